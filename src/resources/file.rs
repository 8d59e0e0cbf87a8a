//! A file with a declared content, mode and owner.

use std::time::Duration;

use bytes::Bytes;
use similar::TextDiff;

use super::stat::{self, Kind, Seen};
use super::{Difference, Means, ResourceError};
use crate::domain::resource::FileSpec;
use crate::transport::{FileMeta, Host, OUTPUT_LIMIT, Source};

/// Content up to this size is shown as a diff, bytes.
const DIFF_LIMIT: usize = 256 * 1024;
/// The most lines of a diff that are shown.
const DIFF_LINES: usize = 400;

/// What is there and what is in it.
struct Found {
    seen: Seen,
    /// `None` for what is no file, or too large to be the declared one.
    content: Option<Vec<u8>>,
}

async fn find(
    spec: &FileSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<Found>, ResourceError> {
    let Some(seen) = stat::see(&spec.path, host, means).await? else {
        return Ok(None);
    };
    let content = if seen.kind == Kind::File && seen.size <= OUTPUT_LIMIT as u64 {
        host.read(&spec.path).await?
    } else {
        None
    };
    Ok(Some(Found { seen, content }))
}

pub(super) async fn check(
    spec: &FileSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    let mode = stat::parse_mode(&spec.mode)?;
    let mut difference = Difference::default();
    let Some(found) = find(spec, host, means).await? else {
        difference.note(format!(
            "does not exist → {} bytes, {mode:04o} {}:{}",
            spec.content.len(),
            spec.owner,
            spec.group
        ));
        difference.diff = diff(&spec.path, b"", spec.content.as_bytes());
        return Ok(difference);
    };
    if found.seen.kind == Kind::File {
        compare_content(spec, &found, &mut difference);
    } else {
        difference.note(format!("{} → file", found.seen.kind.word()));
    }
    if found.seen.kind != Kind::Link {
        stat::compare_meta(&found.seen, mode, &spec.owner, &spec.group, &mut difference);
    }
    Ok(difference)
}

fn compare_content(spec: &FileSpec, found: &Found, difference: &mut Difference) {
    let wanted = spec.content.as_bytes();
    match &found.content {
        Some(content) if content == wanted => {}
        Some(content) => {
            difference.note("content differs");
            difference.diff = diff(&spec.path, content, wanted);
        }
        None => difference.note(format!(
            "content differs: {} bytes → {} bytes",
            found.seen.size,
            wanted.len()
        )),
    }
}

/// A unified diff from what lies on the node to what is declared; see [`diff_between`].
pub(super) fn diff(path: &str, old: &[u8], new: &[u8]) -> Vec<String> {
    diff_between(path, old, new, ("on the node", "declared"))
}

/// A unified diff, or one line where there is no text to compare or too much of it.
fn diff_between(path: &str, old: &[u8], new: &[u8], names: (&str, &str)) -> Vec<String> {
    let summary = |kind: &str| {
        vec![format!(
            "{path}: {kind}, {} bytes → {} bytes",
            old.len(),
            new.len()
        )]
    };
    let (Ok(old_text), Ok(new_text)) = (std::str::from_utf8(old), std::str::from_utf8(new)) else {
        return summary("binary");
    };
    if old_text.contains('\0') || new_text.contains('\0') {
        return summary("binary");
    }
    if old.len() > DIFF_LIMIT || new.len() > DIFF_LIMIT {
        return summary("too large to compare here");
    }
    let compared = TextDiff::configure()
        .timeout(Duration::from_millis(500))
        .diff_lines(old_text, new_text);
    let unified = compared
        .unified_diff()
        .context_radius(3)
        .header(
            &format!("{path} ({})", names.0),
            &format!("{path} ({})", names.1),
        )
        .to_string();
    let mut lines: Vec<String> = unified.lines().map(ToOwned::to_owned).collect();
    if lines.len() > DIFF_LINES {
        let more = lines.len() - DIFF_LINES;
        lines.truncate(DIFF_LINES);
        lines.push(format!("… {more} more lines"));
    }
    lines
}

pub(super) async fn apply(
    spec: &FileSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let mode = stat::parse_mode(&spec.mode)?;
    let found = find(spec, host, means).await?;
    if let Some(found) = &found {
        if matches!(found.seen.kind, Kind::Directory | Kind::Other) {
            return Err(ResourceError::Unfit(format!(
                "{} is a {} on the node: move it away first",
                spec.path,
                found.seen.kind.word()
            )));
        }
        if found.content.as_deref() == Some(spec.content.as_bytes()) {
            // A file that is not written again keeps its age, and no unit that reads it is restarted for nothing.
            return stat::set_meta(
                &spec.path,
                Some(&found.seen),
                mode,
                &spec.owner,
                &spec.group,
                host,
                means,
            )
            .await;
        }
    }
    let meta = FileMeta {
        mode,
        owner: spec.owner.clone(),
        group: spec.group.clone(),
    };
    let content = Source::Bytes(Bytes::from(spec.content.clone()));
    Ok(host
        .write(&spec.path, content, &meta, &|_, _| {}, means.cancel)
        .await?)
}

pub(super) mod undo;

#[cfg(test)]
mod tests;
