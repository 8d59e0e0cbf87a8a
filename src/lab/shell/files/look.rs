//! Programs that only look at files: `stat` and `ls`.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{Flags, number_of};
use crate::lab::shell::Said;
use crate::lab::world::files::{Entry, Kind};
use crate::lab::world::node::NodeState;

fn kind_word(entry: &Entry) -> &'static str {
    match &entry.kind {
        Kind::File(bytes) if bytes.is_empty() => "regular empty file",
        Kind::File(_) => "regular file",
        Kind::Directory => "directory",
        Kind::Link(_) => "symbolic link",
    }
}

fn type_bits(entry: &Entry) -> u32 {
    match entry.kind {
        Kind::File(_) => 0o100_000,
        Kind::Directory => 0o040_000,
        Kind::Link(_) => 0o120_000,
    }
}

pub(super) fn stat(arguments: &[String], node: &mut NodeState, now: Timestamp) -> Said {
    let mut words: Vec<String> = Vec::new();
    for word in arguments {
        match word.split_once('=') {
            Some(("--format", format)) => words.extend(["-c".into(), format.into()]),
            _ => words.push(word.clone()),
        }
    }
    let flags = Flags::read(&words, "c");
    let mut said = Said::default();
    if flags.rest.is_empty() {
        return Said::err(1, "stat: missing operand");
    }
    for path in &flags.rest {
        let entry = if flags.has('L') {
            node.files.stat(path)
        } else {
            node.files.lstat(path)
        };
        let made_up;
        let entry = match (entry, node.read(path, now)) {
            (Ok(entry), _) => entry,
            (Err(_), Ok(bytes)) => {
                made_up = Entry {
                    kind: Kind::File(bytes),
                    mode: 0o444,
                    owner: "root".into(),
                    group: "root".into(),
                    modified: now,
                };
                &made_up
            }
            (Err(error), Err(_)) => {
                said.complain(format_args!("stat: cannot statx '{path}': {error}"));
                continue;
            }
        };
        let line = match flags.value('c') {
            Some(format) => format_stat(format, path, entry, node),
            None => format!(
                "  File: {path}\n  Size: {}\t{}\nAccess: ({:04o}/{})  Uid: {}   Gid: {}\nModify: {}",
                entry.size(),
                kind_word(entry),
                entry.mode,
                permissions(entry),
                entry.owner,
                entry.group,
                entry.modified
            ),
        };
        said.out.extend_from_slice(line.as_bytes());
        said.out.push(b'\n');
    }
    said
}

fn format_stat(format: &str, path: &str, entry: &Entry, node: &NodeState) -> String {
    let mut text = String::new();
    let mut letters = format.chars();
    while let Some(c) = letters.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let uid = || number_of(node, "/etc/passwd", &entry.owner).unwrap_or(65_534);
        let gid = || number_of(node, "/etc/group", &entry.group).unwrap_or(65_534);
        // Writing to a String cannot fail.
        let _ = match letters.next() {
            Some('a') => write!(text, "{:o}", entry.mode),
            Some('A') => write!(text, "{}", permissions(entry)),
            Some('f') => write!(text, "{:x}", type_bits(entry) | entry.mode),
            Some('F') => write!(text, "{}", kind_word(entry)),
            Some('U') => write!(text, "{}", entry.owner),
            Some('G') => write!(text, "{}", entry.group),
            Some('u') => write!(text, "{}", uid()),
            Some('g') => write!(text, "{}", gid()),
            Some('s') => write!(text, "{}", entry.size()),
            Some('Y' | 'Z' | 'X' | 'W') => write!(text, "{}", entry.modified.as_second()),
            Some('y') => write!(text, "{}", entry.modified),
            Some('n') => write!(text, "{path}"),
            Some('N') => match &entry.kind {
                Kind::Link(target) => write!(text, "'{path}' -> '{target}'"),
                _ => write!(text, "'{path}'"),
            },
            Some('h') => write!(text, "1"),
            Some('b') => write!(text, "{}", entry.size().div_ceil(512)),
            Some('B') => write!(text, "512"),
            Some('%') | None => write!(text, "%"),
            Some(_) => write!(text, "?"),
        };
    }
    text
}

fn permissions(entry: &Entry) -> String {
    let mut text = String::from(match entry.kind {
        Kind::File(_) => "-",
        Kind::Directory => "d",
        Kind::Link(_) => "l",
    });
    for shift in [6, 3, 0] {
        for (bit, letter) in [(4, 'r'), (2, 'w'), (1, 'x')] {
            let set = entry.mode >> shift & bit != 0;
            text.push(if set { letter } else { '-' });
        }
    }
    if entry.mode & 0o1000 != 0 {
        text.pop();
        text.push('t');
    }
    text
}

pub(super) fn ls(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
    let flags = Flags::read(arguments, "");
    let mut said = Said::default();
    let paths = if flags.rest.is_empty() {
        vec!["/root"]
    } else {
        flags.rest.clone()
    };
    for path in paths {
        let names = match node.files.stat(path) {
            Err(error) => {
                said.complain(format_args!("ls: cannot access '{path}': {error}"));
                said.status = 2;
                continue;
            }
            Ok(entry) if entry.is_dir() && !flags.has('d') => {
                node.files.list(path).unwrap_or_default()
            }
            Ok(_) => vec![path.to_owned()],
        };
        for name in names {
            if name.starts_with('.') && !flags.has('a') && !flags.has('A') {
                continue;
            }
            let full = if name.starts_with('/') || name == path {
                name.clone()
            } else {
                format!("{}/{name}", path.trim_end_matches('/'))
            };
            let line = match node.files.lstat(&full) {
                Ok(entry) if flags.has('l') => format!(
                    "{} 1 {} {} {:>8} {} {name}\n",
                    permissions(entry),
                    entry.owner,
                    entry.group,
                    entry.size(),
                    entry.modified.strftime("%b %e %H:%M"),
                ),
                _ => format!("{name}\n"),
            };
            said.out.extend_from_slice(line.as_bytes());
        }
    }
    said
}
