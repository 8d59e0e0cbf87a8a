//! Programs about files: `stat`, `mkdir`, `chmod`, `chown`, `mv`, `rm`, `cp`, `install`, `ls`, `test` and their kin.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{Instant, Said};
use crate::lab::world::files::{Entry, FsError, Kind, parent};
use crate::lab::world::node::NodeState;

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

/// A number for a name, as the node's `/etc/passwd` or `/etc/group` has it.
pub(crate) fn number_of(node: &NodeState, table: &str, name: &str) -> Option<u32> {
    let content = String::from_utf8_lossy(node.files.read(table).ok()?).into_owned();
    content.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// The name for a number, from the same tables.
pub(crate) fn name_of(node: &NodeState, table: &str, number: u32) -> String {
    let content = node.files.read(table).unwrap_or_default();
    let number = number.to_string();
    String::from_utf8_lossy(content)
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1) == Some(&number)).then(|| name.to_owned())
        })
        .unwrap_or(number)
}

fn stat(arguments: &[String], node: &mut NodeState, now: Timestamp) -> Said {
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

fn ls(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
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

fn bracket(arguments: &[String], node: &mut NodeState, now: Timestamp) -> Said {
    match arguments.split_last() {
        Some((last, arguments)) if last == "]" => test(arguments, node, now),
        _ => Said::err(2, "[: missing ']'"),
    }
}

fn test(arguments: &[String], node: &mut NodeState, now: Timestamp) -> Said {
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

fn mode(text: Option<&str>, default: u32) -> Result<u32, String> {
    match text {
        None => Ok(default),
        Some(text) => u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777)
            .ok_or_else(|| format!("invalid mode: '{text}'")),
    }
}

fn mkdir(arguments: &[String], node: &mut NodeState, now: Timestamp) -> Said {
    let flags = Flags::read(arguments, "m");
    let mode = match mode(flags.value('m'), 0o755) {
        Ok(mode) => mode,
        Err(complaint) => return Said::err(1, format_args!("mkdir: {complaint}")),
    };
    each("mkdir", &flags, |path| {
        if flags.has('p') {
            return match node.files.mkdir_all(path, mode, now) {
                Err(FsError::NotADirectory) => {
                    Err(format!("cannot create directory '{path}': File exists"))
                }
                done => done.map_err(|e| format!("cannot create directory '{path}': {e}")),
            };
        }
        node.files
            .mkdir(path, mode, now)
            .map_err(|error| format!("cannot create directory '{path}': {error}"))
    })
}

fn rmdir(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
    let flags = Flags::read(arguments, "");
    each("rmdir", &flags, |path| {
        node.files
            .rmdir(path)
            .map_err(|error| format!("failed to remove '{path}': {error}"))
    })
}

fn each(program: &str, flags: &Flags<'_>, mut act: impl FnMut(&str) -> Result<(), String>) -> Said {
    let mut said = Said::default();
    if flags.rest.is_empty() {
        said.complain(format_args!("{program}: missing operand"));
    }
    for path in &flags.rest {
        if let Err(complaint) = act(path) {
            said.complain(format_args!("{program}: {complaint}"));
        }
    }
    said
}

fn chmod(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
    let mut flags = Flags::read(arguments, "");
    if flags.rest.is_empty() {
        return Said::err(1, "chmod: missing operand");
    }
    let text = flags.rest.remove(0);
    // `+x` and its kin set or clear bits for everybody.
    let symbolic = text
        .strip_prefix('+')
        .or_else(|| text.strip_prefix("a+"))
        .map(|letters| {
            letters.chars().fold(0, |bits, letter| {
                bits | match letter {
                    'r' => 0o444,
                    'w' => 0o200,
                    'x' => 0o111,
                    _ => 0,
                }
            })
        });
    let absolute = match (symbolic, mode(Some(text), 0)) {
        (Some(_), _) => 0,
        (None, Ok(mode)) => mode,
        (None, Err(complaint)) => return Said::err(1, format_args!("chmod: {complaint}")),
    };
    each("chmod", &flags, |path| {
        node.files
            .set(path, |entry| {
                entry.mode = symbolic.map_or(absolute, |bits| entry.mode | bits);
            })
            .map_err(|error| format!("cannot access '{path}': {error}"))
    })
}

/// Reads `owner:group`, `owner` or `:group` into names that exist on the node.
fn owners(node: &NodeState, text: &str) -> Result<(Option<String>, Option<String>), String> {
    let (owner, group) = text.split_once(':').unwrap_or((text, ""));
    let lookup = |table: &str, what: &str, name: &str| {
        if name.is_empty() {
            return Ok(None);
        }
        if let Ok(number) = name.parse() {
            return Ok(Some(name_of(node, table, number)));
        }
        match number_of(node, table, name) {
            Some(_) => Ok(Some(name.to_owned())),
            None => Err(format!("invalid {what}: '{text}'")),
        }
    };
    Ok((
        lookup("/etc/passwd", "user", owner)?,
        lookup("/etc/group", "group", group)?,
    ))
}

fn chown(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
    let mut flags = Flags::read(arguments, "");
    if flags.rest.is_empty() {
        return Said::err(1, "chown: missing operand");
    }
    let (owner, group) = match owners(node, flags.rest.remove(0)) {
        Ok(names) => names,
        Err(complaint) => return Said::err(1, format_args!("chown: {complaint}")),
    };
    each("chown", &flags, |path| {
        let mut paths = vec![path.to_owned()];
        if flags.has('R') {
            paths.extend(node.files.below(path));
        }
        for path in paths {
            node.files
                .set(&path, |entry| {
                    if let Some(owner) = &owner {
                        entry.owner.clone_from(owner);
                    }
                    if let Some(group) = &group {
                        entry.group.clone_from(group);
                    }
                    // As the kernel does when the owner of a program changes.
                    if !entry.is_dir() {
                        entry.mode &= 0o1777;
                    }
                })
                .map_err(|error| format!("cannot access '{path}': {error}"))?;
        }
        Ok(())
    })
}

/// Where `from` lands when the target may be a directory to put it into.
fn landing(node: &NodeState, from: &str, to: &str, exact: bool) -> String {
    if !exact && node.files.stat(to).is_ok_and(Entry::is_dir) {
        let name = from
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or(from);
        return format!("{}/{name}", to.trim_end_matches('/'));
    }
    to.to_owned()
}

fn mv(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
    let flags = Flags::read(arguments, "");
    let [from, to] = flags.rest[..] else {
        return Said::err(1, "mv: expected a source and a target");
    };
    let target = landing(node, from, to, flags.has('T'));
    match node.files.rename(from, &target) {
        Ok(()) => Said::default(),
        Err(FsError::NotFound) if node.files.lstat(from).is_err() => Said::err(
            1,
            format_args!("mv: cannot stat '{from}': {}", FsError::NotFound),
        ),
        Err(error) => Said::err(
            1,
            format_args!("mv: cannot move '{from}' to '{target}': {error}"),
        ),
    }
}

fn rm(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
    let flags = Flags::read(arguments, "");
    let force = flags.has('f');
    if flags.rest.is_empty() {
        return if force {
            Said::default()
        } else {
            Said::err(1, "rm: missing operand")
        };
    }
    each("rm", &flags, |path| {
        let result = if flags.has('r') || flags.has('R') {
            node.files.remove_all(path)
        } else {
            node.files.unlink(path)
        };
        match result {
            Err(FsError::NotFound | FsError::NotADirectory) if force => Ok(()),
            result => result.map_err(|error| format!("cannot remove '{path}': {error}")),
        }
    })
}

fn copy(node: &mut NodeState, from: &str, to: &str, now: Timestamp) -> Result<(), FsError> {
    let (content, mode) = match (node.read(from, now), node.files.stat(from)) {
        (Ok(content), Ok(entry)) => (content, entry.mode),
        (Ok(content), Err(_)) => (content, 0o444),
        (Err(error), _) => return Err(error),
    };
    node.files.write(to, content, mode & 0o777, now)
}

fn cp(arguments: &[String], node: &mut NodeState, now: Timestamp) -> Said {
    let flags = Flags::read(arguments, "");
    let rest: Vec<&str> = flags
        .rest
        .iter()
        .copied()
        .filter(|word| !word.starts_with("--"))
        .collect();
    let [from, to] = rest[..] else {
        return Said::err(1, "cp: expected a source and a target");
    };
    let target = landing(node, from, to, flags.has('T'));
    match copy(node, from, &target, now) {
        Ok(()) => Said::default(),
        Err(FsError::NotFound) if !node.files.exists(from) => Said::err(
            1,
            format_args!("cp: cannot stat '{from}': {}", FsError::NotFound),
        ),
        Err(error) => Said::err(
            1,
            format_args!("cp: cannot create regular file '{target}': {error}"),
        ),
    }
}

fn install(arguments: &[String], node: &mut NodeState, now: Timestamp) -> Said {
    let flags = Flags::read(arguments, "mog");
    let fail = |complaint: String| Said::err(1, format_args!("install: {complaint}"));
    let mode = match mode(flags.value('m'), 0o755) {
        Ok(mode) => mode,
        Err(complaint) => return fail(complaint),
    };
    let names = format!(
        "{}:{}",
        flags.value('o').unwrap_or_default(),
        flags.value('g').unwrap_or_default()
    );
    let (owner, group) = match owners(node, &names) {
        Ok(names) => names,
        Err(complaint) => return fail(complaint),
    };
    let targets: Vec<String> = if flags.has('d') {
        for path in &flags.rest {
            if let Err(error) = node.files.mkdir_all(path, mode, now) {
                return fail(format!("cannot create directory '{path}': {error}"));
            }
        }
        flags.rest.iter().map(|path| (*path).to_owned()).collect()
    } else {
        let [from, to] = flags.rest[..] else {
            return fail("expected a source and a target".into());
        };
        let target = landing(node, from, to, flags.has('T'));
        if flags.has('D')
            && let Err(error) = node.files.mkdir_all(parent(&target), 0o755, now)
        {
            return fail(format!(
                "cannot create directory '{}': {error}",
                parent(&target)
            ));
        }
        if let Err(error) = copy(node, from, &target, now) {
            return fail(format!("cannot create regular file '{target}': {error}"));
        }
        vec![target]
    };
    for target in targets {
        let result = node.files.set(&target, |entry| {
            entry.mode = mode;
            if let Some(owner) = &owner {
                entry.owner.clone_from(owner);
            }
            if let Some(group) = &group {
                entry.group.clone_from(group);
            }
        });
        if let Err(error) = result {
            return fail(format!("cannot access '{target}': {error}"));
        }
    }
    Said::default()
}

fn touch(arguments: &[String], node: &mut NodeState, now: Timestamp) -> Said {
    let flags = Flags::read(arguments, "");
    each("touch", &flags, |path| {
        let result = if node.files.exists(path) {
            node.files.set(path, |entry| entry.modified = now)
        } else {
            node.files.write(path, Vec::new(), 0o644, now)
        };
        result.map_err(|error| format!("cannot touch '{path}': {error}"))
    })
}

fn ln(arguments: &[String], node: &mut NodeState, now: Timestamp) -> Said {
    let flags = Flags::read(arguments, "");
    let [target, link] = flags.rest[..] else {
        return Said::err(1, "ln: expected a target and a link name");
    };
    if !flags.has('s') {
        return Said::err(1, "ln: hard links are not simulated; use ln -s");
    }
    let exact = flags.has('n') || flags.has('T');
    let link = landing(node, target, link, exact);
    if flags.has('f') {
        // What cannot be removed makes the next call fail with the reason.
        let _ = node.files.unlink(&link);
    }
    match node.files.symlink(target, &link, now) {
        Ok(()) => Said::default(),
        Err(error) => Said::err(
            1,
            format_args!("ln: failed to create symbolic link '{link}': {error}"),
        ),
    }
}

fn truncate(arguments: &[String], node: &mut NodeState, now: Timestamp) -> Said {
    let flags = Flags::read(arguments, "s");
    let size = flags.value('s').and_then(|size| size.parse().ok());
    let Some(size) = size else {
        return Said::err(1, "truncate: you must specify a size in bytes with -s");
    };
    each("truncate", &flags, |path| {
        if !node.files.exists(path) {
            node.files
                .write(path, Vec::new(), 0o644, now)
                .map_err(|error| format!("cannot open '{path}' for writing: {error}"))?;
        }
        node.files
            .truncate(path, size, now)
            .map_err(|error| format!("failed to truncate '{path}': {error}"))
    })
}
