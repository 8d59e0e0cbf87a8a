//! Files taken back: what was replaced is kept on the node itself, readable by root alone, and never leaves it.

use super::super::checksum::{HASH_LIMIT, sha256_of, sha256_of_bytes};
use super::super::exec::{look_well, perform};
use super::super::stat::{self, Kind, Seen};
use super::super::undo::{Back, keep_directory, missing_directories, remove_empty};
use super::super::{Means, ResourceError};
use super::diff_between;
use crate::domain::resource::{DownloadSpec, FileSpec};
use crate::domain::undo::{Before, FileBefore, Owned, Was};
use crate::transport::{Command, Host, OUTPUT_LIMIT};

/// Copies `$3` to `$1/undo/$2/$4`, whole or not at all. Only what is ours is closed to others, not the directory above.
const KEEP: &str = r#"mkdir -p -- "$1" && umask 077 && mkdir -p -- "$1/undo/$2" && chmod 0700 -- "$1/undo" "$1/undo/$2" &&
cp -- "$3" "$1/undo/$2/$4.part" && chmod 0600 -- "$1/undo/$2/$4.part" &&
{ sync -- "$1/undo/$2/$4.part" 2>/dev/null || :; } && mv -fT -- "$1/undo/$2/$4.part" "$1/undo/$2/$4""#;
/// Puts the copy `$1` in the place of `$3` in one step, prepared as `$2`; owner before mode, which it may clear.
const RESTORE: &str = r#"umask 077; cp -- "$1" "$2" && chown -- "$4" "$2" && chmod -- "$5" "$2" &&
{ sync -- "$2" 2>/dev/null || :; } && mv -fT -- "$2" "$3""#;
/// Puts a link to `$1` in the place of `$3` in one step, prepared as `$2`.
pub(in crate::resources) const RELINK: &str =
    r#"rm -f -- "$2" && ln -s -- "$1" "$2" && mv -fT -- "$2" "$3""#;

/// What is at the path now.
enum Now {
    Absent,
    File { sha256: String, seen: Seen },
    Link { target: String },
    Other(Kind),
}

async fn now(path: &str, host: &dyn Host, means: &Means<'_>) -> Result<Now, ResourceError> {
    Ok(match stat::see(path, host, means).await? {
        None => Now::Absent,
        Some(seen) if seen.kind == Kind::File => Now::File {
            sha256: sha256_of(path, host, means).await?,
            seen,
        },
        Some(seen) if seen.kind == Kind::Link => {
            let target = look_well(host, ["readlink", path], means.cancel).await?;
            Now::Link {
                target: target.trim_end_matches('\n').to_owned(),
            }
        }
        Some(seen) => Now::Other(seen.kind),
    })
}

fn owned(seen: &Seen) -> Owned {
    Owned {
        mode: seen.mode,
        user: seen.owner.clone(),
        group: seen.group.clone(),
    }
}

/// What a `file` resource is about to replace; `None` for what it will refuse to replace.
pub(in crate::resources) async fn remember(
    spec: &FileSpec,
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<Before>, ResourceError> {
    let left = Owned {
        mode: stat::parse_mode(&spec.mode)?,
        user: spec.owner.clone(),
        group: spec.group.clone(),
    };
    let sha256 = sha256_of_bytes(spec.content.as_bytes());
    let file = observe(&spec.path, sha256, left, name, host, means).await?;
    Ok(file.map(Before::File))
}

/// What a `download` resource is about to replace.
pub(in crate::resources) async fn remember_download(
    spec: &DownloadSpec,
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<Before>, ResourceError> {
    let left = Owned {
        mode: stat::parse_mode(&spec.mode)?,
        user: "root".into(),
        group: "root".into(),
    };
    let sha256 = spec.sha256.to_ascii_lowercase();
    let file = observe(&spec.path, sha256, left, name, host, means).await?;
    Ok(file.map(Before::File))
}

/// Looks at the file at `path`, and keeps a copy of it when another content is about to take its place.
pub(in crate::resources) async fn observe(
    path: &str,
    left: String,
    left_owned: Owned,
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<FileBefore>, ResourceError> {
    let was = match now(path, host, means).await? {
        Now::Other(_) => return Ok(None),
        Now::Absent => {
            let above = path.rsplit_once('/').map_or("", |(above, _)| above);
            Was::Absent {
                made: missing_directories(above, host, means).await?,
            }
        }
        Now::Link { target } => Was::Link { target },
        Now::File { sha256, seen } if sha256 == left => Was::File {
            sha256,
            owned: owned(&seen),
            kept: None,
        },
        Now::File { seen, .. } => {
            let kept = keep(path, name, host, means).await?;
            Was::File {
                // Of the copy: the file may have changed in the same moment.
                sha256: sha256_of(&kept, host, means).await?,
                owned: owned(&seen),
                kept: Some(kept),
            }
        }
    };
    Ok(Some(FileBefore {
        path: path.to_owned(),
        was,
        left,
        left_owned,
    }))
}

async fn keep(
    path: &str,
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<String, ResourceError> {
    let base = keep_directory(host, means).await?;
    let (run, file) = name.rsplit_once('/').unwrap_or(("run", name));
    let command = Command::new(["sh", "-c", KEEP, "sh", &base, run, path, file]).within(HASH_LIMIT);
    perform(host, &command, means).await?;
    let kept = format!("{base}/undo/{name}");
    means
        .note(format!("the old {path} is kept as {kept}"))
        .await;
    Ok(kept)
}

pub(in crate::resources) async fn check(
    before: &FileBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Back, ResourceError> {
    let mut back = Back::default();
    let now = now(&before.path, host, means).await?;
    if !restored(before, &now, &mut back) {
        back.refused = changed_since(before, &now);
        if let Was::File {
            kept: Some(kept), ..
        } = &before.was
        {
            back.difference.diff = difference_to(before, &now, Some(kept), host, means).await?;
        } else if matches!(before.was, Was::Absent { .. }) {
            back.difference.diff = difference_to(before, &now, None, host, means).await?;
        }
    }
    Ok(back)
}

/// Notes what must change to have the old state again; whether nothing must.
fn restored(before: &FileBefore, now: &Now, back: &mut Back) -> bool {
    match (&before.was, now) {
        (Was::Absent { .. }, Now::Absent) => {}
        (Was::Absent { .. }, _) => back.note("removed"),
        (Was::Link { target }, Now::Link { target: is }) if target == is => {}
        (Was::Link { target }, _) => back.note(format!("a symbolic link to {target} again")),
        (Was::File { sha256, owned, .. }, Now::File { sha256: is, seen }) => {
            if sha256 != is {
                back.note(format!("content as before (SHA-256 {}…)", short(sha256)));
            }
            stat::compare_meta(
                seen,
                owned.mode,
                &owned.user,
                &owned.group,
                &mut back.difference,
            );
        }
        (Was::File { sha256, .. }, _) => {
            back.note(format!("a file again (SHA-256 {}…)", short(sha256)));
        }
    }
    back.difference.is_none()
}

/// What somebody did to the file since the run, if anything.
fn changed_since(before: &FileBefore, now: &Now) -> Option<String> {
    let what = match now {
        Now::Absent if before.left.is_empty() => return None,
        Now::Absent => "it was removed since".to_owned(),
        Now::Link { .. } => "it is a symbolic link now".into(),
        Now::Other(kind) => format!("it is a {} now", kind.word()),
        Now::File { sha256, seen } => {
            let (old, old_owned) = match &before.was {
                Was::File { sha256, owned, .. } => (Some(sha256), Some(owned)),
                Was::Absent { .. } | Was::Link { .. } => (None, None),
            };
            let left = &before.left_owned;
            let mut wrong = Vec::new();
            if *sha256 != before.left && Some(sha256) != old {
                wrong.push(format!(
                    "its content was changed since (SHA-256 {}…, the run left {}…)",
                    short(sha256),
                    short(&before.left)
                ));
            }
            if seen.mode != left.mode && old_owned.is_none_or(|old| seen.mode != old.mode) {
                wrong.push(format!(
                    "its mode is {:04o} now, the run left {:04o}",
                    seen.mode, left.mode
                ));
            }
            let user =
                seen.owner != left.user && old_owned.is_none_or(|old| seen.owner != old.user);
            let group =
                seen.group != left.group && old_owned.is_none_or(|old| seen.group != old.group);
            if user || group {
                wrong.push(format!(
                    "it belongs to {}:{} now, the run left {}:{}",
                    seen.owner, seen.group, left.user, left.group
                ));
            }
            if wrong.is_empty() {
                return None;
            }
            wrong.join("; ")
        }
    };
    Some(what)
}

fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

/// A unified diff from what lies there to the copy (`None`: to nothing), where both are text of a readable size.
async fn difference_to(
    before: &FileBefore,
    now: &Now,
    kept: Option<&String>,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Vec<String>, ResourceError> {
    let limit = OUTPUT_LIMIT as u64;
    let old = match now {
        Now::File { seen, .. } if seen.size <= limit => {
            host.read(&before.path).await?.unwrap_or_default()
        }
        Now::Absent => Vec::new(),
        _ => return Ok(Vec::new()),
    };
    let new = match kept {
        None => Vec::new(),
        Some(kept) => match stat::see(kept, host, means).await? {
            Some(seen) if seen.size <= limit => host.read(kept).await?.unwrap_or_default(),
            _ => return Ok(Vec::new()),
        },
    };
    Ok(diff_between(
        &before.path,
        &old,
        &new,
        ("now", "before the run"),
    ))
}

pub(in crate::resources) async fn take_back(
    before: &FileBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let path = before.path.as_str();
    let now = now(path, host, means).await?;
    if restored(before, &now, &mut Back::default()) {
        return Ok(());
    }
    if let Now::Other(kind) = now {
        return Err(ResourceError::Unfit(format!(
            "{path} is a {} on the node: move it away first",
            kind.word()
        )));
    }
    match (&before.was, now) {
        (Was::Absent { made }, _) => {
            look_well(host, ["rm", "-f", path], means.cancel).await?;
            remove_empty(made, host, means).await
        }
        (Was::Link { target }, _) => {
            let script = ["sh", "-c", RELINK, "sh", target, &beside(path), path];
            perform(host, &Command::new(script), means).await
        }
        (
            Was::File {
                sha256,
                owned: old,
                kept,
            },
            now,
        ) => {
            if let Now::File { sha256: is, seen } = &now
                && is == sha256
            {
                return stat::set_meta(
                    path,
                    Some(seen),
                    old.mode,
                    &old.user,
                    &old.group,
                    host,
                    means,
                )
                .await;
            }
            let kept = sound_copy(path, kept.as_ref(), sha256, host, means).await?;
            let names = format!("{}:{}", old.user, old.group);
            let mode = format!("{:04o}", old.mode);
            let temporary = beside(path);
            let script = [
                "sh", "-c", RESTORE, "sh", kept, &temporary, path, &names, &mode,
            ];
            perform(host, &Command::new(script).within(HASH_LIMIT), means).await
        }
    }
}

/// The kept copy, if it still is what was kept.
async fn sound_copy<'a>(
    path: &str,
    kept: Option<&'a String>,
    sha256: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<&'a str, ResourceError> {
    let lost = |why: String| {
        ResourceError::Unfit(format!(
            "{path} cannot be brought back: {why}; restore it from a backup (SHA-256 {sha256})"
        ))
    };
    let Some(kept) = kept else {
        return Err(lost(
            "the run did not replace its content, so no copy was kept".into(),
        ));
    };
    if stat::see(kept, host, means).await?.is_none() {
        return Err(lost(format!("the copy {kept} is gone")));
    }
    if sha256_of(kept, host, means).await? != *sha256 {
        return Err(lost(format!("the copy {kept} is not what was kept")));
    }
    Ok(kept)
}

/// The name under which a file is prepared, in the same directory and hidden from programs that read all of it.
pub(in crate::resources) fn beside(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/.{name}.quarterdeck-undo"),
        None => format!(".{path}.quarterdeck-undo"),
    }
}
