//! Programs that change files: `mkdir`, `chmod`, `chown`, `mv`, `rm`, `cp`, `install`, `touch`, `ln`.

use jiff::Timestamp;

use super::Flags;
use super::accounts::owners;
use crate::lab::shell::Said;
use crate::lab::world::files::{Entry, FsError, parent};
use crate::lab::world::node::NodeState;

fn mode(text: Option<&str>, default: u32) -> Result<u32, String> {
    match text {
        None => Ok(default),
        Some(text) => u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777)
            .ok_or_else(|| format!("invalid mode: '{text}'")),
    }
}

pub(super) fn mkdir(arguments: &[String], node: &mut NodeState, now: Timestamp) -> Said {
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

pub(super) fn rmdir(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
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

pub(super) fn chmod(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
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

pub(super) fn chown(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
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

pub(super) fn mv(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
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

pub(super) fn rm(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
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

pub(super) fn cp(arguments: &[String], node: &mut NodeState, now: Timestamp) -> Said {
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

pub(super) fn install(arguments: &[String], node: &mut NodeState, now: Timestamp) -> Said {
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

pub(super) fn touch(arguments: &[String], node: &mut NodeState, now: Timestamp) -> Said {
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

pub(super) fn ln(arguments: &[String], node: &mut NodeState, now: Timestamp) -> Said {
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

pub(super) fn truncate(arguments: &[String], node: &mut NodeState, now: Timestamp) -> Said {
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
