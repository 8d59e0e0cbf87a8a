//! `test` and `[`.

use jiff::Timestamp;

use crate::lab::shell::Said;
use crate::lab::world::files::{Entry, Kind};
use crate::lab::world::node::NodeState;

pub(super) fn bracket(arguments: &[String], node: &mut NodeState, now: Timestamp) -> Said {
    match arguments.split_last() {
        Some((last, arguments)) if last == "]" => test(arguments, node, now),
        _ => Said::err(2, "[: missing ']'"),
    }
}

pub(super) fn test(arguments: &[String], node: &mut NodeState, now: Timestamp) -> Said {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match condition(&words, node, now) {
        Ok(true) => Said::default(),
        Ok(false) => Said::status(1),
        Err(complaint) => Said::err(2, complaint),
    }
}

fn condition(words: &[&str], node: &NodeState, now: Timestamp) -> Result<bool, String> {
    let number = |text: &str| {
        text.trim()
            .parse::<i64>()
            .map_err(|_| format!("test: Illegal number: {text}"))
    };
    match *words {
        [] => Ok(false),
        ["!", ref rest @ ..] if !rest.is_empty() => condition(rest, node, now).map(|held| !held),
        [text] | ["-n", text] => Ok(!text.is_empty()),
        ["-z", text] => Ok(text.is_empty()),
        [operator @ ("-h" | "-L"), path] => Ok(matches!(
            (operator, node.files.lstat(path).map(|entry| &entry.kind)),
            (_, Ok(Kind::Link(_)))
        )),
        [operator, path] if operator.starts_with('-') => {
            let entry = node.files.stat(path);
            let made_up = || node.read(path, now).is_ok();
            match operator {
                "-e" | "-r" | "-w" => Ok(entry.is_ok() || made_up()),
                "-f" => Ok(entry.map_or_else(|_| made_up(), |entry| !entry.is_dir())),
                "-d" => Ok(entry.is_ok_and(Entry::is_dir)),
                "-s" => Ok(entry.is_ok_and(|entry| entry.size() > 0)),
                "-x" => Ok(entry.is_ok_and(|entry| entry.mode & 0o111 != 0)),
                _ => Err(format!("test: {operator}: unexpected operator")),
            }
        }
        [left, "=" | "==", right] => Ok(left == right),
        [left, "!=", right] => Ok(left != right),
        [left, "-eq", right] => Ok(number(left)? == number(right)?),
        [left, "-ne", right] => Ok(number(left)? != number(right)?),
        [left, "-lt", right] => Ok(number(left)? < number(right)?),
        [left, "-le", right] => Ok(number(left)? <= number(right)?),
        [left, "-gt", right] => Ok(number(left)? > number(right)?),
        [left, "-ge", right] => Ok(number(left)? >= number(right)?),
        [left, "-nt", right] => {
            let time = |path: &str| node.files.stat(path).ok().map(|entry| entry.modified);
            Ok(time(left) > time(right))
        }
        [first, ..] => Err(format!("test: {first}: unexpected operator")),
    }
}
