//! The configuration's files: read, taken apart line by line, with the files that they include.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::words::words;
use crate::transport::ssh::pattern::wildcard;

/// How deep files may include each other, as in OpenSSH.
const DEEPEST: usize = 16;
/// The largest file that is read, bytes.
const LARGEST: u64 = 1024 * 1024;
/// The most files that are read in all.
const MOST: usize = 1024;

/// A file, as far as it could be read.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) items: Vec<(usize, Item)>,
}

/// What one line says.
#[derive(Debug)]
pub(super) enum Item {
    /// The lines up to the next `Host` or `Match` hold for hosts that these patterns name.
    Host(Vec<String>),
    /// The same, for what these criteria describe.
    Match(Vec<String>),
    /// These files, as if they stood here.
    Include(Vec<File>),
    /// A keyword and its arguments.
    Set(String, Vec<String>),
}

/// What was looked at, to notice that it has changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    path: PathBuf,
    state: Option<(u64, SystemTime, u64)>,
}

impl Seen {
    fn of(path: &Path) -> Self {
        let metadata = std::fs::metadata(path).ok();
        Self {
            path: path.to_owned(),
            state: metadata.and_then(|metadata| {
                Some((metadata.len(), metadata.modified().ok()?, metadata.ino()))
            }),
        }
    }

    /// Whether it is as it was.
    pub(super) fn still(&self) -> bool {
        *self == Self::of(&self.path)
    }
}

/// Reads files and remembers which, and what was wrong with them.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) home: Option<&'a Path>,
    pub(super) seen: Vec<Seen>,
    pub(super) remarks: Vec<String>,
}

impl Reading<'_> {
    /// The file at `path` and what it includes. A file that is not there says nothing.
    ///
    /// A file in the operator's home must be his own and nobody else's to write, as OpenSSH demands.
    pub(super) fn file(&mut self, path: &Path, depth: usize) -> Option<File> {
        if self.seen.len() >= MOST {
            self.remarks
                .push(format!("{}: passed over: too many files", path.display()));
            return None;
        }
        self.seen.push(Seen::of(path));
        let text = match self.text(path) {
            Ok(text) => text?,
            Err(reason) => {
                let remark = format!("{}: passed over: {reason}", path.display());
                self.remarks.push(remark);
                return None;
            }
        };
        let mut items = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let (keyword, arguments) = match words(line) {
                Ok(Some(said)) => said,
                Ok(None) => continue,
                Err(reason) => {
                    self.remark(path, number, reason);
                    continue;
                }
            };
            let item = match keyword.as_str() {
                "host" => Item::Host(arguments),
                "match" => Item::Match(arguments),
                "include" if depth >= DEEPEST => {
                    self.remark(
                        path,
                        number,
                        "passed over: files include each other too deep",
                    );
                    continue;
                }
                "include" => Item::Include(self.included(path, &arguments, depth)),
                _ if arguments.is_empty() => {
                    self.remark(path, number, &format!("{keyword} says nothing"));
                    continue;
                }
                _ => Item::Set(keyword, arguments),
            };
            items.push((number, item));
        }
        Some(File {
            path: path.to_owned(),
            items,
        })
    }

    fn remark(&mut self, path: &Path, line: usize, words: &str) {
        let words = crate::transport::ssh::tame(words);
        self.remarks
            .push(format!("{}:{line}: {words}", path.display()));
    }

    fn text(&self, path: &Path) -> Result<Option<String>, String> {
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        if !metadata.is_file() || metadata.len() > LARGEST {
            return Err("it is no configuration file".into());
        }
        let me = rustix::process::getuid().as_raw();
        let is_mine = self.home.is_some_and(|home| path.starts_with(home));
        if is_mine && metadata.uid() != me && metadata.uid() != 0 {
            return Err("it belongs to somebody else".into());
        }
        if is_mine && metadata.mode() & 0o022 != 0 {
            return Err("others may write to it; chmod go-w it".into());
        }
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The files that `arguments` of an `Include` in `path` name, in the order in which they count.
    fn included(&mut self, path: &Path, arguments: &[String], depth: usize) -> Vec<File> {
        let mut found = Vec::new();
        for argument in arguments {
            let folder = if self.home.is_some_and(|home| path.starts_with(home)) {
                self.home.map(|home| home.join(".ssh"))
            } else {
                path.parent().map(Path::to_owned)
            };
            let pattern = match (argument.strip_prefix("~/"), self.home) {
                (Some(rest), Some(home)) => home.join(rest),
                _ => folder.unwrap_or_default().join(argument),
            };
            for path in glob(&pattern, &mut self.seen) {
                found.extend(self.file(&path, depth + 1));
            }
        }
        found
    }
}

/// The paths that `pattern` names, in alphabetical order; folders that were looked through are noted in `seen`.
fn glob(pattern: &Path, seen: &mut Vec<Seen>) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let name = part.as_os_str();
        let Some(wild) = name.to_str().filter(|name| name.contains(['*', '?'])) else {
            for path in &mut found {
                path.push(name);
            }
            continue;
        };
        let mut next = Vec::new();
        for folder in found {
            seen.push(Seen::of(&folder));
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            next.extend(entries.take(MOST).filter_map(|entry| {
                let name = entry.file_name();
                let name = name.to_str()?;
                // As for a shell, a hidden file is meant only by who says so.
                let hidden = name.starts_with('.') && !wild.starts_with('.');
                (!hidden && wildcard(wild, name)).then(|| entry.path())
            }));
        }
        next.sort();
        found = next;
    }
    found
}
