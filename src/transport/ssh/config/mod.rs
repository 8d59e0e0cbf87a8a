//! The operator's OpenSSH client configuration: `~/.ssh/config` and `/etc/ssh/ssh_config` (`ssh_config(5)`).
//!
//! What is kept is the meaning of OpenSSH: for each keyword the first value that applies counts, except for `IdentityFile`
//! and `CertificateFile`, which add up; `Host` and `Match` open blocks; `Include` stands for the files it names, and what
//! they say holds only where the block around the `Include` does. Each value remembers the line it came from, so that
//! [`crate::transport::ssh::Pool`] can explain a way hop by hop. A test compares it with `ssh -G`.
//!
//! This is a reader of our own because the `ssh2-config` crate (0.9) has neither `Match` nor tokens, and keeps no positions.
//! A block that cannot be judged (`Match exec` would run a command) is passed over, and that is said.

mod criteria;
mod files;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use self::criteria::{Judged, SoFar, judge};
use self::files::{File, Item, Reading, Seen};
use super::pattern;

/// Keywords whose values add up.
const ADDING: [&str; 2] = ["identityfile", "certificatefile"];

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The file.
    pub(super) file: PathBuf,
    /// The line in it, from 1.
    pub(super) line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// For whom the configuration is asked.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// The host as it would be typed after `ssh`.
    pub(super) host: String,
    /// The login name that is known from elsewhere.
    pub(super) user: Option<String>,
    /// Who asks.
    pub(super) local_user: String,
}

/// What the configuration says about one host.
#[derive(Debug, Default)]
pub(super) struct Found {
    values: BTreeMap<String, Vec<(Vec<String>, Place)>>,
    /// What could not be taken into account, and why.
    pub(super) remarks: BTreeSet<String>,
}

impl Found {
    /// The arguments that count for `keyword`, which is in lower case.
    pub(super) fn get(&self, keyword: &str) -> Option<(&[String], &Place)> {
        let (arguments, place) = self.values.get(keyword)?.first()?;
        Some((arguments, place))
    }

    /// The first argument that counts for `keyword`.
    pub(super) fn word(&self, keyword: &str) -> Option<(&str, &Place)> {
        let (arguments, place) = self.get(keyword)?;
        Some((arguments.first()?, place))
    }

    /// All that was said for a keyword whose values add up.
    pub(super) fn all(&self, keyword: &str) -> impl Iterator<Item = (&str, &Place)> {
        let said = self.values.get(keyword).into_iter().flatten();
        said.filter_map(|(arguments, place)| Some((arguments.first()?.as_str(), place)))
    }

    fn set(&mut self, keyword: &str, arguments: &[String], place: Place) {
        // Two ways to say one thing: the first of them counts.
        let other = match keyword {
            "proxyjump" => "proxycommand",
            "proxycommand" => "proxyjump",
            _ => keyword,
        };
        if other != keyword && self.values.contains_key(other) {
            return;
        }
        let said = self.values.entry(keyword.to_owned()).or_default();
        if said.is_empty() || ADDING.contains(&keyword) {
            said.push((arguments.to_vec(), place));
        }
    }
}

/// Configuration files as they were when they were read.
#[derive(Debug)]
pub(super) struct Config {
    files: Vec<File>,
    seen: Vec<Seen>,
    remarks: Vec<String>,
}

impl Config {
    /// Reads `files`, the one that counts first in front. Touches the disk: not for a thread that others wait for.
    pub(super) fn read(files: &[PathBuf], home: Option<&Path>) -> Self {
        let mut reading = Reading {
            home,
            seen: Vec::new(),
            remarks: Vec::new(),
        };
        let files = files.iter().filter_map(|path| reading.file(path, 0));
        Self {
            files: files.collect(),
            seen: reading.seen,
            remarks: reading.remarks,
        }
    }

    /// What it says for `asked`.
    pub(super) fn look_up(&self, asked: &Asked) -> Found {
        let mut found = Found {
            remarks: self.remarks.iter().cloned().collect(),
            ..Found::default()
        };
        for file in &self.files {
            walk(file, true, asked, &mut found);
        }
        found
    }
}

/// Takes in what `file` says; `holds` is whether the block around its `Include` does.
fn walk(file: &File, holds: bool, asked: &Asked, found: &mut Found) {
    let mut active = holds;
    for (line, item) in &file.items {
        let place = || Place {
            file: file.path.clone(),
            line: *line,
        };
        match item {
            Item::Host(patterns) => {
                let patterns = patterns.iter().map(String::as_str);
                active = holds && pattern::list(patterns, &asked.host);
            }
            Item::Match(criteria) => {
                let host = host_name(found, &asked.host);
                let user = asked.user.as_deref();
                let user = user.or(found.word("user").map(|(user, _)| user));
                let so_far = SoFar {
                    asked,
                    host: &host,
                    user: user.unwrap_or(super::way::USER),
                };
                active = match judge(criteria, &so_far) {
                    Judged::Holds => holds,
                    Judged::Not => false,
                    Judged::PassedOver(reason) => {
                        if holds {
                            let remark = format!("{}: Match block passed over: {reason}", place());
                            found.remarks.insert(remark);
                        }
                        false
                    }
                };
            }
            Item::Include(files) => {
                for file in files {
                    walk(file, active, asked, found);
                }
            }
            Item::Set(keyword, arguments) if active => found.set(keyword, arguments, place()),
            Item::Set(..) => {}
        }
    }
}

/// The name to connect to: `HostName`, in which `%h` stands for the host as it was asked for.
pub(super) fn host_name(found: &Found, asked: &str) -> String {
    match found.word("hostname") {
        Some((name, _)) => name
            .replace("%%", "\0")
            .replace("%h", asked)
            .replace('\0', "%"),
        None => asked.to_owned(),
    }
}

/// Configurations that were read, and are read again when a file of theirs has changed.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<BTreeMap<Vec<PathBuf>, Arc<Config>>>);

impl Shelf {
    /// The configuration in `files`. Touches the disk: not for a thread that others wait for.
    pub(super) fn config(&self, files: &[PathBuf], home: Option<&Path>) -> Arc<Config> {
        // Entries are replaced whole: a panic elsewhere cannot have left one half made.
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = shelf.get(files)
            && config.seen.iter().all(Seen::still)
        {
            return Arc::clone(config);
        }
        let config = Arc::new(Config::read(files, home));
        shelf.insert(files.to_vec(), Arc::clone(&config));
        config
    }
}

/// The hosts that `Host` lines name one by one, in the order of the files.
pub(super) fn named(config: &Config) -> Vec<String> {
    fn of(file: &File, names: &mut Vec<String>) {
        for (_, item) in &file.items {
            match item {
                Item::Host(patterns) => names.extend(
                    patterns
                        .iter()
                        .filter(|name| !name.contains(['*', '?', '!']))
                        .cloned(),
                ),
                Item::Include(files) => files.iter().for_each(|file| of(file, names)),
                Item::Match(_) | Item::Set(..) => {}
            }
        }
    }
    let mut names = Vec::new();
    config.files.iter().for_each(|file| of(file, &mut names));
    names
}
