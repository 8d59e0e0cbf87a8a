//! The users and groups of a test's host, and just enough of the shadow suite to change them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::super::testing::{Answer, TempHost, fails, says};
use crate::domain::undo::Account;

/// Users, and groups with their ids and members.
#[derive(Default)]
struct Book {
    users: BTreeMap<String, Account>,
    groups: BTreeMap<String, (u32, Vec<String>)>,
}

/// A host with the groups `sudo` (27) and `video` (44) and no users.
pub(in crate::resources) fn host() -> TempHost {
    let mut book = Book::default();
    book.groups.insert("sudo".into(), (27, Vec::new()));
    book.groups.insert("video".into(), (44, Vec::new()));
    let book = Arc::new(Mutex::new(book));
    TempHost::scripted(move |line| {
        let words = shlex::split(line)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        book.lock().unwrap().answer(&words)
    })
}

impl Book {
    fn answer(&mut self, words: &[&str]) -> Option<Answer> {
        let (&name, rest) = words[1..].split_last()?;
        match words[0] {
            "getent" if words[1] == "passwd" => self.users.get(name).map_or_else(
                || fails(2, ""),
                |user| {
                    says(&format!(
                        "{name}:x:{}:{}:{}:{}:{}\n",
                        user.uid, user.gid, user.comment, user.home, user.shell
                    ))
                },
            ),
            "getent" => self.groups.get(name).map_or_else(
                || fails(2, ""),
                |(gid, members)| says(&format!("{name}:x:{gid}:{}\n", members.join(","))),
            ),
            "id" if words[1] == "-gn" => says(&self.users[name].group),
            "id" => {
                let user = &self.users[name];
                says(&format!(
                    "{} {}\n",
                    user.group,
                    self.groups_of(name).join(" ")
                ))
            }
            "sh" => says(self.users[name].expires.as_deref().unwrap_or_default()),
            "useradd" => {
                let group = option(rest, "--gid").unwrap_or(name).to_owned();
                if !self.groups.contains_key(&group) {
                    self.groups.insert(group.clone(), (1000, Vec::new()));
                }
                let user = Account {
                    uid: 1000,
                    gid: self.groups[&group].0,
                    group,
                    groups: Vec::new(),
                    comment: String::new(),
                    home: format!("/home/{name}"),
                    shell: "/bin/sh".into(),
                    expires: Some(String::new()),
                };
                self.users.insert(name.into(), user);
                self.modify(name, rest)
            }
            "usermod" => self.modify(name, rest),
            "userdel" => {
                self.users.remove(name);
                for (_, members) in self.groups.values_mut() {
                    members.retain(|member| member != name);
                }
                self.groups.remove(name);
                says("")
            }
            "groupadd" | "groupmod" => {
                let gid = option(rest, "--gid").map_or(1001, |gid| gid.parse().unwrap());
                self.groups.entry(name.into()).or_default().0 = gid;
                says("")
            }
            "groupdel" => {
                self.groups.remove(name);
                says("")
            }
            _ => None,
        }
    }

    fn groups_of(&self, name: &str) -> Vec<&str> {
        let groups = self.groups.iter();
        groups
            .filter(|(_, (_, members))| members.iter().any(|member| member == name))
            .map(|(group, _)| group.as_str())
            .collect()
    }

    fn modify(&mut self, name: &str, words: &[&str]) -> Option<Answer> {
        let gid = option(words, "--gid").map(|group| (group.to_owned(), self.groups[group].0));
        let user = self.users.get_mut(name)?;
        let set = |field: &mut String, value: Option<&str>| {
            if let Some(value) = value {
                value.clone_into(field);
            }
        };
        set(&mut user.shell, option(words, "--shell"));
        set(
            &mut user.home,
            option(words, "--home").or(option(words, "--home-dir")),
        );
        set(&mut user.comment, option(words, "--comment"));
        if let Some((group, gid)) = gid {
            (user.group, user.gid) = (group, gid);
        }
        if let Some(uid) = option(words, "--uid") {
            user.uid = uid.parse().unwrap();
        }
        if let Some(day) = option(words, "--expiredate") {
            user.expires = Some(day.into());
        }
        if let Some(groups) = option(words, "--groups") {
            let groups: Vec<&str> = groups
                .split(',')
                .filter(|group| !group.is_empty())
                .collect();
            for (group, (_, members)) in &mut self.groups {
                if !words.contains(&"--append") {
                    members.retain(|member| member != name);
                }
                if groups.contains(&group.as_str()) && !members.iter().any(|member| member == name)
                {
                    members.push(name.into());
                }
            }
        }
        says("")
    }
}

fn option<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| *word == name)?;
    words.get(at + 1).copied()
}
