//! Changing text within a file that belongs to somebody else: `line`, `block`, `hosts`, `authorized_keys`.
//!
//! Such a resource is a pure function from the old text to the new one ([`Edit::edited`]); everything else is here and the
//! same for all. The file is replaced in one step, and keeps its mode and owner. What is not edited stays as it is, to
//! the byte, with the line breaks that the file has. The text is looked at again right before it is replaced, so that the
//! window in which another writer's change could be lost is one round trip.

use bytes::Bytes;
use regex::Regex;

use super::checksum::sha256_of_bytes;
use super::file;
use super::stat::{self, Kind, Seen};
use super::{Difference, Means, ResourceError};
use crate::domain::undo::{FileBefore, Owned};
use crate::transport::{FileMeta, Host, OUTPUT_LIMIT, Source};

/// One change of a file's text.
pub(super) trait Edit: Sync {
    /// Absolute path of the file.
    fn path(&self) -> &str;

    /// The whole new text; `None` when nothing is to be done. A file that does not exist has no text.
    ///
    /// # Errors
    /// [`ResourceError::Unfit`] when the text cannot be edited as declared.
    fn edited(&self, text: &str) -> Result<Option<String>, ResourceError>;

    /// Mode and owner of the file when it has to be made; `None` when it must be there.
    fn create(&self) -> Option<Owned>;
}

/// Mode and owner of a file that is made for everybody to read.
pub(super) fn public() -> Owned {
    Owned {
        mode: 0o644,
        user: "root".into(),
        group: "root".into(),
    }
}

/// Puts a file that everybody may read in the place of what is at `path`, in one step.
pub(super) async fn write_public(
    path: &str,
    content: String,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let Owned { mode, user, group } = public();
    let meta = FileMeta {
        mode,
        owner: user,
        group,
    };
    let source = Source::Bytes(Bytes::from(content));
    host.write(path, source, &meta, &|_, _| {}, means.cancel)
        .await?;
    Ok(())
}

/// The file as it is.
struct Found {
    seen: Option<Seen>,
    text: String,
}

async fn find(edit: &dyn Edit, host: &dyn Host, means: &Means<'_>) -> Result<Found, ResourceError> {
    let path = edit.path();
    let Some(seen) = stat::see(path, host, means).await? else {
        return Ok(Found {
            seen: None,
            text: String::new(),
        });
    };
    let unfit = |reason: String| Err(ResourceError::Unfit(format!("{path} {reason}")));
    match seen.kind {
        Kind::File => {}
        Kind::Link => {
            return unfit("is a symbolic link: name the file that it leads to".into());
        }
        kind => return unfit(format!("is a {}, not a text file", kind.word())),
    }
    if seen.size > OUTPUT_LIMIT as u64 {
        return unfit(format!(
            "has {} MiB: only files up to {} MiB are edited",
            seen.size >> 20,
            OUTPUT_LIMIT >> 20
        ));
    }
    let Some(bytes) = host.read(path).await? else {
        return unfit("was removed in this moment: try again".into());
    };
    let Ok(text) = String::from_utf8(bytes) else {
        return unfit("is not UTF-8 text".into());
    };
    Ok(Found {
        seen: Some(seen),
        text,
    })
}

pub(super) async fn check(
    edit: &dyn Edit,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    let found = find(edit, host, means).await?;
    let mut difference = Difference::default();
    let Some(new) = edit.edited(&found.text)? else {
        return Ok(difference);
    };
    match (&found.seen, edit.create()) {
        (Some(_), _) => difference.note(summary(&found.text, &new)),
        (None, Some(meta)) => difference.note(format!(
            "does not exist → {} bytes, {:04o} {}:{}",
            new.len(),
            meta.mode,
            meta.user,
            meta.group
        )),
        // In a dry run, what brings the file may not have happened yet.
        (None, None) => difference.note(format!("{}, once the file is there", summary("", &new))),
    }
    difference.diff = file::diff(edit.path(), found.text.as_bytes(), new.as_bytes());
    Ok(difference)
}

/// Such as `1 line added, 1 line removed`.
fn summary(old: &str, new: &str) -> String {
    use similar::{ChangeTag, TextDiff};
    let compared = TextDiff::configure()
        .timeout(std::time::Duration::from_millis(500))
        .diff_lines(old, new);
    let (mut added, mut removed) = (0_u32, 0_u32);
    for change in compared.iter_all_changes() {
        match change.tag() {
            ChangeTag::Insert => added += 1,
            ChangeTag::Delete => removed += 1,
            ChangeTag::Equal => {}
        }
    }
    let lines = |count: u32, what: &str| {
        let plural = if count == 1 { "" } else { "s" };
        (count > 0).then(|| format!("{count} line{plural} {what}"))
    };
    [lines(added, "added"), lines(removed, "removed")]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
}

pub(super) async fn apply(
    edit: &dyn Edit,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let found = find(edit, host, means).await?;
    let Some(new) = edit.edited(&found.text)? else {
        return Ok(());
    };
    let meta = meta(edit, found.seen.as_ref())?;
    let meta = FileMeta {
        mode: meta.mode,
        owner: meta.user,
        group: meta.group,
    };
    let content = Source::Bytes(Bytes::from(new));
    Ok(host
        .write(edit.path(), content, &meta, &|_, _| {}, means.cancel)
        .await?)
}

fn meta(edit: &dyn Edit, seen: Option<&Seen>) -> Result<Owned, ResourceError> {
    if let Some(seen) = seen {
        return Ok(Owned {
            mode: seen.mode,
            user: seen.owner.clone(),
            group: seen.group.clone(),
        });
    }
    edit.create().ok_or_else(|| {
        ResourceError::Unfit(format!(
            "{} does not exist: bring it first (a package, a file), or say `create: true`",
            edit.path()
        ))
    })
}

/// What is about to be edited; `None` for what [`apply`] will refuse.
pub(super) async fn remember(
    edit: &dyn Edit,
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<FileBefore>, ResourceError> {
    let found = find(edit, host, means).await?;
    let (Some(new), Ok(meta)) = (edit.edited(&found.text)?, meta(edit, found.seen.as_ref())) else {
        return Ok(None);
    };
    let left = sha256_of_bytes(new.as_bytes());
    file::undo::observe(edit.path(), left, meta, name, host, means).await
}

/// A text as lines, put together again as it was.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    pub(super) lines: Vec<&'a str>,
    /// What the file's lines end with.
    pub(super) eol: &'static str,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let eol = if text.contains("\r\n") { "\r\n" } else { "\n" };
        Self {
            lines: text.lines().collect(),
            eol,
        }
    }

    /// The text; every line ends with a line break.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            text.push_str(line);
            text.push_str(self.eol);
        }
        text
    }

    /// Where a new line goes: an index, 0 for the beginning.
    pub(super) fn place(
        &self,
        after: Option<&str>,
        before: Option<&str>,
    ) -> Result<usize, ResourceError> {
        let end = self.lines.len();
        Ok(match (after, before) {
            (Some(_), Some(_)) => {
                return Err(ResourceError::Unfit(
                    "`insert_after` and `insert_before` exclude each other".into(),
                ));
            }
            (_, Some("BOF")) => 0,
            (None, Some(pattern)) => self.last(&regexp(pattern)?).unwrap_or(end),
            (Some(pattern), None) => self.last(&regexp(pattern)?).map_or(end, |at| at + 1),
            (None, None) => end,
        })
    }

    /// The last line that matches.
    pub(super) fn last(&self, pattern: &Regex) -> Option<usize> {
        self.lines.iter().rposition(|line| pattern.is_match(line))
    }
}

/// Compiles a regular expression of a recipe.
pub(super) fn regexp(pattern: &str) -> Result<Regex, ResourceError> {
    Regex::new(pattern).map_err(|error| {
        // The last line of the error says what is wrong; those above draw it, which one line of a log cannot.
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim().to_owned();
        ResourceError::Unfit(format!(
            "{pattern:?} is no regular expression: {}",
            reason.trim_start_matches("error: ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_the_line_breaks_it_has() {
        assert_eq!(Lines::of("a\r\nb\r\n").text(), "a\r\nb\r\n");
        assert_eq!(Lines::of("a\nb").text(), "a\nb\n");
        assert_eq!(Lines::of("").text(), "");
    }

    #[test]
    fn a_summary_counts_what_comes_and_goes() {
        assert_eq!(
            summary("a\nb\n", "a\nc\nd\n"),
            "2 lines added, 1 line removed"
        );
        assert_eq!(summary("a\n", "a\nb\n"), "1 line added");
    }

    #[test]
    fn a_broken_expression_is_told_in_one_line() {
        let error = regexp("(a").unwrap_err().to_string();
        assert_eq!(error, "\"(a\" is no regular expression: unclosed group");
    }
}
