//! Paths in a file: relative to it, `~/` to the home directory.

use std::path::{Path, PathBuf};

use crate::config::diagnostic::{Fault, Span, quoted};

/// What relative paths are relative to.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// The directory of the file.
    pub(crate) base: PathBuf,
    /// The operator's home directory, if he has one.
    pub(crate) home: Option<PathBuf>,
}

impl Paths {
    /// The path that `text` means.
    pub(crate) fn resolve(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ if text == "~" && self.home.is_some() => self.home.clone().unwrap_or_default(),
            _ => self.base.join(text),
        }
    }

    /// As [`Self::resolve`], with a warning at `span` when there is no such file now.
    pub(crate) fn existing(
        &self,
        text: &str,
        span: Span,
        what: &str,
        faults: &mut Vec<Fault>,
    ) -> PathBuf {
        let path = self.resolve(text);
        if !path.exists() {
            faults.push(
                Fault::warning(
                    "missing-file",
                    span,
                    format!("{what} {} does not exist", quoted(text)),
                )
                .help(format!(
                    "looked for {}",
                    quoted(&path.display().to_string())
                )),
            );
        }
        path
    }
}

/// Whether somebody other than the owner may read the file (any of the mode's lower six bits).
pub(crate) fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}
