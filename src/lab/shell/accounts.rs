//! The shadow suite on a simulated node: `useradd`, `usermod`, `userdel`, `groupadd`, `groupmod`, `groupdel`, and `id`.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{Instant, Said};
use crate::lab::world::files::FsError;
use crate::lab::world::node::NodeState;

/// The program of that name, and whether it changes anything.
pub(super) fn find(name: &str) -> Option<(bool, Instant)> {
    let run: Instant = match name {
        "useradd" => useradd,
        "usermod" => usermod,
        "userdel" => userdel,
        "groupadd" => groupadd,
        "groupmod" => groupmod,
        "groupdel" => groupdel,
        _ => return None,
    };
    Some((true, run))
}

/// A table of `/etc`: lines of fields.
struct Table {
    path: &'static str,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn read(path: &'static str, node: &NodeState) -> Self {
        let content = node.files.read(path).unwrap_or_default();
        let rows = String::from_utf8_lossy(content)
            .lines()
            .map(|line| line.split(':').map(str::to_owned).collect())
            .collect();
        Self { path, rows }
    }

    fn write(&self, node: &mut NodeState, now: Timestamp) -> Result<(), FsError> {
        let mode = node.files.stat(self.path).map_or(0o644, |entry| entry.mode);
        let mut text = String::new();
        for row in &self.rows {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", row.join(":"));
        }
        node.files.write(self.path, text, mode, now)
    }

    fn row(&mut self, name: &str) -> Option<&mut Vec<String>> {
        self.rows
            .iter_mut()
            .find(|row| row.first().is_some_and(|first| first == name))
    }

    fn drop(&mut self, name: &str) -> bool {
        let before = self.rows.len();
        self.rows
            .retain(|row| row.first().is_none_or(|first| first != name));
        self.rows.len() < before
    }

    /// The first number from `from` that no row has for its id.
    fn free(&self, from: u32) -> u32 {
        let taken = |id: &u32| {
            self.rows
                .iter()
                .any(|row| row.get(2) == Some(&id.to_string()))
        };
        (from..60_000).find(|id| !taken(id)).unwrap_or(from)
    }
}

/// The value of an option.
fn option<'a>(words: &'a [String], name: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| word == name)?;
    words.get(at + 1).map(String::as_str)
}

fn has(words: &[String], name: &str) -> bool {
    words.iter().any(|word| word == name)
}

fn last(words: &[String]) -> &str {
    words.last().map_or("", String::as_str)
}

fn done(result: Result<(), FsError>) -> Said {
    match result {
        Ok(()) => Said::default(),
        Err(error) => Said::err(1, error),
    }
}

fn useradd(words: &[String], node: &mut NodeState, now: Timestamp) -> Said {
    let name = last(words).to_owned();
    let mut users = Table::read("/etc/passwd", node);
    let mut groups = Table::read("/etc/group", node);
    if users.row(&name).is_some() {
        return Said::err(9, format_args!("useradd: user '{name}' already exists"));
    }
    let from = if has(words, "--system") { 100 } else { 1000 };
    let uid = option(words, "--uid").map_or_else(|| users.free(from).to_string(), str::to_owned);
    let gid = match option(words, "--gid") {
        None => {
            let gid = groups.free(uid.parse().unwrap_or(from)).to_string();
            groups
                .rows
                .push(vec![name.clone(), "x".into(), gid.clone(), String::new()]);
            gid
        }
        Some(group) => match groups.row(group) {
            Some(row) => row.get(2).cloned().unwrap_or_default(),
            None => {
                return Said::err(6, format_args!("useradd: group '{group}' does not exist"));
            }
        },
    };
    let home = option(words, "--home-dir").map_or_else(|| format!("/home/{name}"), str::to_owned);
    let or = |name: &str, default: &str| option(words, name).unwrap_or(default).to_owned();
    users.rows.push(vec![
        name.clone(),
        "x".into(),
        uid,
        gid,
        or("--comment", ""),
        home.clone(),
        or("--shell", "/bin/sh"),
    ]);
    join(&mut groups, &name, option(words, "--groups"), true);
    let mut shadow = Table::read("/etc/shadow", node);
    let expires = or("--expiredate", "");
    let row = [&name, "!", "20000", "0", "99999", "7", "", &expires, ""];
    shadow.rows.push(row.map(str::to_owned).into());
    done((|| {
        for table in [&users, &groups, &shadow] {
            table.write(node, now)?;
        }
        if has(words, "--create-home") && !node.files.exists(&home) {
            node.files.mkdir_all(&home, 0o755, now)?;
            let group = groups
                .rows
                .iter()
                .find(|row| row.get(2) == users.rows.last().and_then(|user| user.get(3)))
                .and_then(|row| row.first().cloned());
            node.files.set(&home, |entry| {
                entry.owner.clone_from(&name);
                entry.group = group.unwrap_or_else(|| name.clone());
            })?;
        }
        Ok(())
    })())
}

/// Makes `name` a member of the groups; of no others unless `append`.
fn join(table: &mut Table, name: &str, groups: Option<&str>, append: bool) {
    let Some(groups) = groups else {
        return;
    };
    let groups: Vec<&str> = groups.split(',').collect();
    for row in &mut table.rows {
        if row.len() < 4 {
            continue;
        }
        let wanted = groups.contains(&row[0].as_str());
        let members = row[3].split(',').filter(|member| !member.is_empty());
        let mut members: Vec<&str> = members
            .filter(|member| *member != name || append || wanted)
            .collect();
        if wanted && !members.contains(&name) {
            members.push(name);
        }
        row[3] = members.join(",");
    }
}

fn usermod(words: &[String], node: &mut NodeState, now: Timestamp) -> Said {
    let name = last(words).to_owned();
    let mut users = Table::read("/etc/passwd", node);
    let mut groups = Table::read("/etc/group", node);
    let mut shadow = Table::read("/etc/shadow", node);
    let gid = match option(words, "--gid") {
        None => None,
        Some(group) => match groups.row(group) {
            Some(row) => row.get(2).cloned(),
            None => {
                return Said::err(6, format_args!("usermod: group '{group}' does not exist"));
            }
        },
    };
    let Some(row) = users.row(&name).filter(|row| row.len() == 7) else {
        return Said::err(6, format_args!("usermod: user '{name}' does not exist"));
    };
    for (field, value) in [
        (2, option(words, "--uid")),
        (3, gid.as_deref()),
        (4, option(words, "--comment")),
        (5, option(words, "--home")),
        (6, option(words, "--shell")),
    ] {
        if let Some(value) = value {
            value.clone_into(&mut row[field]);
        }
    }
    join(
        &mut groups,
        &name,
        option(words, "--groups"),
        has(words, "--append"),
    );
    if let (Some(day), Some(row)) = (option(words, "--expiredate"), shadow.row(&name))
        && let Some(field) = row.get_mut(7)
    {
        day.clone_into(field);
    }
    done(
        [&users, &groups, &shadow]
            .iter()
            .try_for_each(|table| table.write(node, now)),
    )
}

fn userdel(words: &[String], node: &mut NodeState, now: Timestamp) -> Said {
    let name = last(words).to_owned();
    let mut users = Table::read("/etc/passwd", node);
    let mut groups = Table::read("/etc/group", node);
    let mut shadow = Table::read("/etc/shadow", node);
    let home = users.row(&name).and_then(|row| row.get(5).cloned());
    if !users.drop(&name) {
        return Said::err(6, format_args!("userdel: user '{name}' does not exist"));
    }
    shadow.drop(&name);
    join(&mut groups, &name, Some(""), false);
    groups.drop(&name);
    if let Some(home) = home.filter(|_| has(words, "--remove")) {
        // A home that is gone already is what was wanted.
        let _ = node.files.remove_all(&home);
    }
    done(
        [&users, &groups, &shadow]
            .iter()
            .try_for_each(|table| table.write(node, now)),
    )
}

fn groupadd(words: &[String], node: &mut NodeState, now: Timestamp) -> Said {
    let name = last(words);
    let mut groups = Table::read("/etc/group", node);
    if groups.row(name).is_some() {
        return Said::err(9, format_args!("groupadd: group '{name}' already exists"));
    }
    let from = if has(words, "--system") { 100 } else { 1000 };
    let gid = option(words, "--gid").map_or_else(|| groups.free(from).to_string(), str::to_owned);
    groups
        .rows
        .push(vec![name.to_owned(), "x".into(), gid, String::new()]);
    done(groups.write(node, now))
}

fn groupmod(words: &[String], node: &mut NodeState, now: Timestamp) -> Said {
    let name = last(words);
    let mut groups = Table::read("/etc/group", node);
    let Some(field) = groups.row(name).and_then(|row| row.get_mut(2)) else {
        return Said::err(6, format_args!("groupmod: group '{name}' does not exist"));
    };
    if let Some(gid) = option(words, "--gid") {
        gid.clone_into(field);
    }
    done(groups.write(node, now))
}

fn groupdel(words: &[String], node: &mut NodeState, now: Timestamp) -> Said {
    let name = last(words);
    let mut groups = Table::read("/etc/group", node);
    if !groups.drop(name) {
        return Said::err(6, format_args!("groupdel: group '{name}' does not exist"));
    }
    done(groups.write(node, now))
}

/// `id` about somebody else than whoever asks, or about the groups of anybody.
pub(super) fn id(flags: &str, name: &str, node: &NodeState) -> Said {
    let mut users = Table::read("/etc/passwd", node);
    let groups = Table::read("/etc/group", node);
    let Some(row) = users.row(name).filter(|row| row.len() > 3) else {
        return Said::err(1, format_args!("id: '{name}': no such user"));
    };
    let (uid, gid) = (row[2].clone(), row[3].clone());
    let named = |row: &&Vec<String>| row.get(2) == Some(&gid);
    let group = groups
        .rows
        .iter()
        .find(named)
        .map_or(gid.clone(), |row| row[0].clone());
    let member = |row: &&Vec<String>| {
        row.get(3)
            .is_some_and(|members| members.split(',').any(|member| member == name))
    };
    let mut all = vec![group.clone()];
    all.extend(groups.rows.iter().filter(member).map(|row| row[0].clone()));
    Said::out(match flags {
        "-u" => format!("{uid}\n"),
        "-un" => format!("{name}\n"),
        "-g" => format!("{gid}\n"),
        "-gn" => format!("{group}\n"),
        "-Gn" => format!("{}\n", all.join(" ")),
        _ => format!(
            "uid={uid}({name}) gid={gid}({group}) groups={}\n",
            all.join(",")
        ),
    })
}
