//! Programs about files: `stat`, `mkdir`, `chmod`, `chown`, `mv`, `rm`, `cp`, `install`, `ls`, `test` and their kin.

mod accounts;
mod change;
mod condition;
mod look;

use jiff::Timestamp;

use super::{Instant, Said};
use crate::lab::world::files::parent;
use crate::lab::world::node::NodeState;

pub(crate) use self::accounts::{name_of, number_of};
use self::change::{chmod, chown, cp, install, ln, mkdir, mv, rm, rmdir, touch, truncate};
use self::condition::{bracket, test};
use self::look::{ls, stat};

/// The program of that name, and whether it changes anything.
pub(super) fn find(name: &str) -> Option<(bool, Instant)> {
    Some(match name {
        "stat" => (false, stat),
        "ls" => (false, ls),
        "test" => (false, test),
        "[" => (false, bracket),
        "readlink" | "realpath" => (false, readlink),
        "basename" => (false, basename),
        "dirname" => (false, dirname),
        "sync" => (false, |_, _, _| Said::default()),
        "mkdir" => (true, mkdir),
        "rmdir" => (true, rmdir),
        "chmod" => (true, chmod),
        "chown" => (true, chown),
        "mv" => (true, mv),
        "rm" => (true, rm),
        "cp" => (true, cp),
        "install" => (true, install),
        "touch" => (true, touch),
        "ln" => (true, ln),
        "truncate" => (true, truncate),
        _ => return None,
    })
}

/// Arguments taken apart: letters of short flags, values of those that take one, and the rest.
struct Flags<'a> {
    letters: String,
    values: Vec<(char, &'a str)>,
    rest: Vec<&'a str>,
}

impl<'a> Flags<'a> {
    /// Reads arguments; letters in `with_value` take the rest of the word or the next word.
    fn read(arguments: &'a [String], with_value: &str) -> Self {
        let mut flags = Self {
            letters: String::new(),
            values: Vec::new(),
            rest: Vec::new(),
        };
        let mut words = arguments.iter().map(String::as_str);
        while let Some(word) = words.next() {
            if word == "--" {
                flags.rest.extend(words.by_ref());
            } else if word.starts_with("--") || word == "-" || !word.starts_with('-') {
                flags.rest.push(word);
            } else {
                for (at, letter) in word.char_indices().skip(1) {
                    if with_value.contains(letter) {
                        let inline = &word[at + letter.len_utf8()..];
                        let value = if inline.is_empty() {
                            words.next().unwrap_or_default()
                        } else {
                            inline
                        };
                        flags.values.push((letter, value));
                        break;
                    }
                    flags.letters.push(letter);
                }
            }
        }
        flags
    }

    fn has(&self, letter: char) -> bool {
        self.letters.contains(letter)
    }

    fn value(&self, letter: char) -> Option<&'a str> {
        self.values
            .iter()
            .rev()
            .find(|(key, _)| *key == letter)
            .map(|(_, value)| *value)
    }
}

fn readlink(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
    let flags = Flags::read(arguments, "");
    let Some(path) = flags.rest.first() else {
        return Said::err(1, "readlink: missing operand");
    };
    let answer = if flags.letters.is_empty() && node.files.read_link(path).is_ok() {
        node.files.read_link(path).map(str::to_owned)
    } else if flags.letters.is_empty() {
        return Said::status(1);
    } else {
        node.files.real_path(path)
    };
    match answer {
        Ok(target) => Said::out(format!("{target}\n")),
        Err(_) => Said::status(1),
    }
}

fn basename(arguments: &[String], _: &mut NodeState, _: Timestamp) -> Said {
    let path = arguments.first().map_or("", String::as_str);
    let name = path.trim_end_matches('/').rsplit('/').next();
    Said::out(format!("{}\n", name.unwrap_or("/")))
}

fn dirname(arguments: &[String], _: &mut NodeState, _: Timestamp) -> Said {
    let path = arguments.first().map_or("", String::as_str);
    let path = path.trim_end_matches('/');
    let above = if path.contains('/') || path.is_empty() {
        parent(path)
    } else {
        "."
    };
    Said::out(format!("{above}\n"))
}
