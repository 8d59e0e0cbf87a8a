//! Unpacking an archive on the node, into a directory of its own.
//!
//! It is unpacked beside the directory and takes its place when it is whole, so that nobody ever sees half of it. A file in
//! it holds the archive's checksum: by that a later check knows what lies there. A directory with anything else in it is
//! not replaced.

use std::time::Duration;

use super::super::exec::{look_well, perform, succeeds};
use super::super::stat::{self, Kind};
use super::super::{Difference, Means, ResourceError};
use crate::domain::resource::DownloadSpec;
use crate::domain::undo::UnpackedBefore;
use crate::resources::undo::Back;
use crate::transport::{Command, Host};

const LIMIT: Duration = Duration::from_secs(30 * 60);
/// Holds the checksum of the archive that was unpacked.
const MARK: &str = ".quarterdeck-unpacked";
/// Puts `$1` in the place of `$2`. Between the two names is one instant without any; a later attempt goes on from there.
const SWAP: &str = r#"rm -rf -- "$2.quarterdeck-before" && { [ ! -e "$2" ] || mv -T -- "$2" "$2.quarterdeck-before"; } &&
mv -T -- "$1" "$2" && rm -rf -- "$2.quarterdeck-before""#;

/// The program that unpacks it, and its arguments; the archive and the directory follow.
///
/// # Errors
/// [`ResourceError::Unfit`] for a name that does not say what kind of archive it is.
fn tool(spec: &DownloadSpec, archive: &str, into: &str) -> Result<Vec<String>, ResourceError> {
    let plain = spec
        .source
        .split(['?', '#'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let named = [plain, spec.path.to_ascii_lowercase()];
    let is = |ends: &[&str]| {
        named
            .iter()
            .any(|name| ends.iter().any(|end| name.ends_with(end)))
    };
    let strip = format!("--strip-components={}", spec.strip);
    let words: Vec<&str> = if is(&[".tar.gz", ".tgz"]) {
        vec!["tar", "-xzf", archive, "-C", into, &strip]
    } else if is(&[".tar.xz", ".txz"]) {
        vec!["tar", "-xJf", archive, "-C", into, &strip]
    } else if is(&[".tar"]) {
        vec!["tar", "-xf", archive, "-C", into, &strip]
    } else if is(&[".zip"]) && spec.strip == 0 {
        vec!["unzip", "-q", archive, "-d", into]
    } else {
        return Err(ResourceError::Unfit(format!(
            "{} cannot be unpacked: its name ends in none of .tar.gz, .tgz, .tar.xz, .txz, .tar and .zip (a .zip has no \
             `strip`)",
            spec.source
        )));
    };
    Ok(words.into_iter().map(ToOwned::to_owned).collect())
}

/// The checksum of the archive that was unpacked there; `None` when none was.
async fn unpacked(folder: &str, host: &dyn Host) -> Result<Option<String>, ResourceError> {
    let mark = host.read(&format!("{folder}/{MARK}")).await?;
    Ok(mark.map(|text| String::from_utf8_lossy(&text).trim().to_owned()))
}

pub(super) async fn check(
    spec: &DownloadSpec,
    folder: &str,
    host: &dyn Host,
    difference: &mut Difference,
) -> Result<(), ResourceError> {
    stat::check_path(folder)?;
    tool(spec, "", "")?;
    match unpacked(folder, host).await? {
        Some(sum) if sum.eq_ignore_ascii_case(&spec.sha256) => {}
        Some(_) => difference.note(format!("{folder}: another archive → this one unpacked")),
        None => difference.note(format!("{folder}: not unpacked → unpacked")),
    }
    Ok(())
}

pub(super) async fn apply(
    spec: &DownloadSpec,
    folder: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    if unpacked(folder, host)
        .await?
        .is_some_and(|sum| sum.eq_ignore_ascii_case(&spec.sha256))
    {
        return Ok(());
    }
    refuse_foreign(folder, host, means).await?;
    let next = format!("{folder}.quarterdeck-part");
    let argv = tool(spec, &spec.path, &next)?;
    if !succeeds(
        host,
        ["sh", "-c", "command -v \"$1\" >/dev/null", "sh", &argv[0]],
        means.cancel,
    )
    .await?
    {
        return Err(ResourceError::Unfit(format!(
            "the node has no {0}, which unpacks {1}: install the package {0} first",
            argv[0], spec.path
        )));
    }
    look_well(host, ["rm", "-rf", "--", &next], means.cancel).await?;
    look_well(host, ["mkdir", "-p", "--", &next], means.cancel).await?;
    perform(host, &Command::new(argv).within(LIMIT), means).await?;
    let mark = format!("printf '%s\\n' \"$2\" > \"$1/{MARK}\"");
    let sum = spec.sha256.to_ascii_lowercase();
    look_well(host, ["sh", "-c", &mark, "sh", &next, &sum], means.cancel).await?;
    look_well(host, ["sh", "-c", SWAP, "sh", &next, folder], means.cancel).await?;
    Ok(())
}

/// What was not unpacked by this is somebody's, and stays.
async fn refuse_foreign(
    folder: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let Some(seen) = stat::see(folder, host, means).await? else {
        return Ok(());
    };
    if seen.kind != Kind::Directory {
        return Err(ResourceError::Unfit(format!(
            "{folder} is a {} on the node, not a directory: move it away first",
            seen.kind.word()
        )));
    }
    if unpacked(folder, host).await?.is_some() {
        return Ok(());
    }
    let content = look_well(host, ["ls", "-A", folder], means.cancel).await?;
    if content.trim().is_empty() {
        return Ok(());
    }
    Err(ResourceError::Unfit(format!(
        "{folder} has something in it that was not unpacked by this, and unpacking replaces the whole directory: name \
         another, or move it away first"
    )))
}

/// What is there before it is replaced.
pub(super) async fn remember(
    spec: &DownloadSpec,
    folder: &str,
    host: &dyn Host,
) -> Result<UnpackedBefore, ResourceError> {
    Ok(UnpackedBefore {
        folder: folder.to_owned(),
        was: unpacked(folder, host).await?,
        left: spec.sha256.to_ascii_lowercase(),
        file: None,
    })
}

pub(in crate::resources) async fn check_undo(
    before: &UnpackedBefore,
    host: &dyn Host,
    back: &mut Back,
) -> Result<(), ResourceError> {
    if before.was.is_some() {
        return Ok(());
    }
    if let Some(sum) = unpacked(&before.folder, host).await? {
        back.note(format!("{} removed", before.folder));
        if sum != before.left {
            back.refused = Some(format!("{} holds another archive since", before.folder));
        }
    }
    Ok(())
}

pub(in crate::resources) async fn take_back(
    before: &UnpackedBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    if before.was.is_none() && unpacked(&before.folder, host).await?.is_some() {
        look_well(host, ["rm", "-rf", "--", &before.folder], means.cancel).await?;
    }
    Ok(())
}
