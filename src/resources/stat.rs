//! What is at a path of a host: kind, mode, owner, size, age.

use super::exec::{look, look_well, succeeds};
use super::{Difference, Means, ResourceError};
use crate::transport::{Command, Host};

/// What kind of thing a path leads to; links are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Link,
    Other,
}

impl Kind {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Link => "symbolic link",
            Self::Other => "special file",
        }
    }
}

/// What `stat` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) kind: Kind,
    /// Permission bits.
    pub(super) mode: u32,
    pub(super) owner: String,
    pub(super) group: String,
    /// Bytes.
    pub(super) size: u64,
    /// Last change of the content, seconds since 1970.
    pub(super) modified: i64,
}

/// Looks at `path`; `None` when nothing is there.
pub(super) async fn see(
    path: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<Seen>, ResourceError> {
    check_path(path)?;
    // %f is the kind and mode in hexadecimal: the same in every language, unlike %F.
    let command = Command::new(["stat", "-c", "%f:%U:%G:%s:%Y", path]);
    let output = look(host, &command, means.cancel).await?;
    if output.exit.success() {
        let text = output.text();
        return parse(text.trim())
            .map(Some)
            .ok_or_else(|| ResourceError::Failed {
                command: command.shell_line(),
                exit: output.exit.to_string(),
                complaint: format!("{:?} is not what stat promises", text.trim()),
            });
    }
    if succeeds(host, ["test", "-e", path], means.cancel).await? {
        return Err(ResourceError::Failed {
            command: command.shell_line(),
            exit: output.exit.to_string(),
            complaint: output.complaint(),
        });
    }
    Ok(None)
}

fn parse(line: &str) -> Option<Seen> {
    let mut parts = line.split(':');
    let raw = u32::from_str_radix(parts.next()?, 16).ok()?;
    // The file type bits of st_mode, from <sys/stat.h>.
    let kind = match raw & 0o170_000 {
        0o100_000 => Kind::File,
        0o040_000 => Kind::Directory,
        0o120_000 => Kind::Link,
        _ => Kind::Other,
    };
    let seen = Seen {
        kind,
        mode: raw & 0o7777,
        owner: parts.next()?.to_owned(),
        group: parts.next()?.to_owned(),
        size: parts.next()?.parse().ok()?,
        modified: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(seen)
}

/// Refuses paths that do not mean the same thing from everywhere.
pub(super) fn check_path(path: &str) -> Result<(), ResourceError> {
    let reason = if !path.starts_with('/') {
        "is not absolute: write the whole path from /"
    } else if path.contains('\0') {
        "holds a NUL byte"
    } else if path.split('/').any(|part| part == "..") {
        "holds `..`: write where it leads"
    } else {
        return Ok(());
    };
    Err(ResourceError::Unfit(format!("path {path:?} {reason}")))
}

/// Reads permission bits such as `0644`.
pub(super) fn parse_mode(text: &str) -> Result<u32, ResourceError> {
    let digits = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    digits
        .then(|| u32::from_str_radix(text, 8).ok())
        .flatten()
        .ok_or_else(|| {
            ResourceError::Unfit(format!(
                "mode {text:?} is not three or four octal digits, such as \"0644\""
            ))
        })
}

/// Adds what differs in mode and owner.
pub(super) fn compare_meta(
    seen: &Seen,
    mode: u32,
    owner: &str,
    group: &str,
    difference: &mut Difference,
) {
    if seen.mode != mode {
        difference.note(format!("mode {:04o} → {mode:04o}", seen.mode));
    }
    if seen.owner != owner {
        difference.note(format!("owner {} → {owner}", seen.owner));
    }
    if seen.group != group {
        difference.note(format!("group {} → {group}", seen.group));
    }
}

/// Sets mode and owner where they differ from what was `seen`; `None` sets both.
pub(super) async fn set_meta(
    path: &str,
    seen: Option<&Seen>,
    mode: u32,
    owner: &str,
    group: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    // Owner first: changing it clears set-user-id bits.
    if seen.is_none_or(|seen| seen.owner != owner || seen.group != group) {
        let names = format!("{owner}:{group}");
        look_well(host, ["chown", &names, path], means.cancel).await?;
    }
    if seen.is_none_or(|seen| seen.mode != mode || seen.owner != owner) {
        let mode = format!("{mode:04o}");
        look_well(host, ["chmod", &mode, path], means.cancel).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_of_stat_is_read() {
        let seen = parse("81a4:root:consul:170:1619258760").unwrap();
        assert_eq!(seen.kind, Kind::File);
        assert_eq!(seen.mode, 0o644);
        assert_eq!(
            (seen.owner.as_str(), seen.group.as_str()),
            ("root", "consul")
        );
        assert_eq!((seen.size, seen.modified), (170, 1_619_258_760));
        assert_eq!(parse("41ed:a:b:1:2").unwrap().kind, Kind::Directory);
        assert_eq!(parse("a1ff:a:b:1:2").unwrap().kind, Kind::Link);
        assert_eq!(parse("2190:a:b:0:2").unwrap().kind, Kind::Other);
    }

    #[test]
    fn modes_are_octal_and_nothing_else() {
        assert_eq!(parse_mode("0644").unwrap(), 0o644);
        assert_eq!(parse_mode("755").unwrap(), 0o755);
        for bad in ["", "0o644", "888", "rw-r--r--", "00644", "-644", "+644"] {
            assert!(parse_mode(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn paths_that_could_mean_something_else_are_refused() {
        for bad in ["etc/hosts", "", "/etc/../root", "/a\0b", "-rf"] {
            assert!(check_path(bad).is_err(), "{bad:?}");
        }
        assert!(check_path("/etc/consul.d/a..b").is_ok());
    }

    proptest! {
        #[test]
        fn no_line_makes_the_reader_panic(line in ".{0,60}|[0-9a-f:]{0,40}") {
            let _ = parse(&line);
            let _ = parse_mode(&line);
        }
    }
}
