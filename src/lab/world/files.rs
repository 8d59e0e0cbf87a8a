//! A node's file system: a map from absolute, normalised paths to entries.
//!
//! Small on purpose (no hard links, no permission checks: everybody is root), but what it does, it does as Linux would:
//! symbolic links are followed with a limit, a rename replaces its target in one step, a full disk refuses to grow.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

/// The most bytes of files one node may hold in memory.
const MEMORY_LIMIT: u64 = 256 * 1024 * 1024;
/// As many symbolic links as Linux follows in one path.
const LINK_LIMIT: usize = 40;
/// The longest path, as `PATH_MAX`.
const PATH_LIMIT: usize = 4096;

/// What can go wrong; the text is `strerror`'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FsError {
    NotFound,
    NotADirectory,
    IsADirectory,
    Exists,
    NotEmpty,
    NoSpace,
    Loop,
    Invalid,
    BrokenPipe,
}

impl fmt::Display for FsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "No such file or directory",
            Self::NotADirectory => "Not a directory",
            Self::IsADirectory => "Is a directory",
            Self::Exists => "File exists",
            Self::NotEmpty => "Directory not empty",
            Self::NoSpace => "No space left on device",
            Self::Loop => "Too many levels of symbolic links",
            Self::Invalid => "Invalid argument",
            Self::BrokenPipe => "Broken pipe",
        })
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File(Vec<u8>),
    Directory,
    Link(String),
}

/// One entry with its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) owner: String,
    pub(crate) group: String,
    pub(crate) modified: Timestamp,
}

impl Entry {
    pub(crate) fn size(&self) -> u64 {
        match &self.kind {
            Kind::File(bytes) => bytes.len() as u64,
            Kind::Directory => 4096,
            Kind::Link(target) => target.len() as u64,
        }
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.kind == Kind::Directory
    }
}

/// The file system of one node.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    entries: BTreeMap<String, Entry>,
    /// Size of the root file system, bytes.
    pub(crate) capacity: u64,
    /// Bytes taken by the operating system and by data that is not simulated.
    pub(crate) base: u64,
    /// Whether a fault has filled the disk.
    pub(crate) full: bool,
    stored: u64,
}

impl Files {
    pub(crate) fn new(capacity: u64, base: u64, now: Timestamp) -> Self {
        let root = Entry {
            kind: Kind::Directory,
            mode: 0o755,
            owner: "root".into(),
            group: "root".into(),
            modified: now,
        };
        Self {
            entries: BTreeMap::from([("/".to_owned(), root)]),
            capacity,
            base,
            full: false,
            stored: 0,
        }
    }

    /// Bytes in use, as `df` counts them.
    pub(crate) fn used(&self) -> u64 {
        if self.full {
            self.capacity
        } else {
            (self.base + self.stored).min(self.capacity)
        }
    }

    /// The entry at `path`, symbolic links followed.
    pub(crate) fn stat(&self, path: &str) -> Result<&Entry, FsError> {
        let path = self.resolve(path, true)?;
        self.entries.get(&path).ok_or(FsError::NotFound)
    }

    /// The entry at `path` itself, even when it is a link.
    pub(crate) fn lstat(&self, path: &str) -> Result<&Entry, FsError> {
        let path = self.resolve(path, false)?;
        self.entries.get(&path).ok_or(FsError::NotFound)
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.stat(path).is_ok()
    }

    /// Content of a regular file.
    pub(crate) fn read(&self, path: &str) -> Result<&[u8], FsError> {
        match &self.stat(path)?.kind {
            Kind::File(bytes) => Ok(bytes),
            _ => Err(FsError::IsADirectory),
        }
    }

    /// The path without links, `.` and `..`; its last part need not exist.
    pub(crate) fn real_path(&self, path: &str) -> Result<String, FsError> {
        self.resolve(path, true)
    }

    /// Names in a directory, sorted.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<String>, FsError> {
        let path = self.resolve(path, true)?;
        match self.entries.get(&path) {
            None => Err(FsError::NotFound),
            Some(entry) if !entry.is_dir() => Err(FsError::NotADirectory),
            Some(_) => Ok(self.children(&path)),
        }
    }

    /// Writes a whole file, creating it with `mode` when it is new.
    pub(crate) fn write(
        &mut self,
        path: &str,
        content: impl Into<Vec<u8>>,
        mode: u32,
        now: Timestamp,
    ) -> Result<(), FsError> {
        let content = content.into();
        let path = self.resolve(path, true)?;
        self.parent_is_directory(&path)?;
        let old = match self.entries.get(&path) {
            Some(entry) if entry.is_dir() => return Err(FsError::IsADirectory),
            Some(entry) => entry.size(),
            None => 0,
        };
        self.make_room(old, content.len() as u64)?;
        match self.entries.get_mut(&path) {
            Some(entry) => {
                entry.kind = Kind::File(content);
                entry.modified = now;
            }
            None => self.insert(path, Kind::File(content), mode, now),
        }
        Ok(())
    }

    /// Writes bytes at an offset of a file that exists; a gap reads as zeros.
    pub(crate) fn write_at(
        &mut self,
        path: &str,
        offset: u64,
        data: &[u8],
        now: Timestamp,
    ) -> Result<(), FsError> {
        let path = self.resolve(path, true)?;
        let old = match self.entries.get(&path) {
            None => return Err(FsError::NotFound),
            Some(entry) if entry.is_dir() => return Err(FsError::IsADirectory),
            Some(entry) => entry.size(),
        };
        let end = offset
            .checked_add(data.len() as u64)
            .ok_or(FsError::Invalid)?;
        self.make_room(old, old.max(end))?;
        let (start, end) = (
            usize::try_from(offset).map_err(|_| FsError::Invalid)?,
            usize::try_from(end).map_err(|_| FsError::Invalid)?,
        );
        let entry = self.entries.get_mut(&path).ok_or(FsError::NotFound)?;
        entry.modified = now;
        if let Kind::File(bytes) = &mut entry.kind {
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[start..end].copy_from_slice(data);
        }
        Ok(())
    }

    /// Cuts or extends a file.
    pub(crate) fn truncate(
        &mut self,
        path: &str,
        size: u64,
        now: Timestamp,
    ) -> Result<(), FsError> {
        let path = self.resolve(path, true)?;
        let old = match self.entries.get(&path) {
            None => return Err(FsError::NotFound),
            Some(entry) if entry.is_dir() => return Err(FsError::IsADirectory),
            Some(entry) => entry.size(),
        };
        self.make_room(old, size)?;
        let size = usize::try_from(size).map_err(|_| FsError::Invalid)?;
        if let Some(entry) = self.entries.get_mut(&path) {
            entry.modified = now;
            if let Kind::File(bytes) = &mut entry.kind {
                bytes.resize(size, 0);
            }
        }
        Ok(())
    }

    /// Makes one directory.
    pub(crate) fn mkdir(&mut self, path: &str, mode: u32, now: Timestamp) -> Result<(), FsError> {
        let path = self.resolve(path, false)?;
        if self.entries.contains_key(&path) {
            return Err(FsError::Exists);
        }
        self.parent_is_directory(&path)?;
        if self.full {
            return Err(FsError::NoSpace);
        }
        self.insert(path, Kind::Directory, mode, now);
        Ok(())
    }

    /// Makes a directory and those above it; one that exists is left as it is.
    pub(crate) fn mkdir_all(
        &mut self,
        path: &str,
        mode: u32,
        now: Timestamp,
    ) -> Result<(), FsError> {
        let path = self.resolve(path, true)?;
        let mut so_far = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            so_far.push('/');
            so_far.push_str(part);
            match self.stat(&so_far) {
                Ok(entry) if entry.is_dir() => {}
                Ok(_) => return Err(FsError::NotADirectory),
                Err(_) => {
                    let mode = if so_far == path { mode } else { 0o755 };
                    self.mkdir(&so_far, mode, now)?;
                }
            }
        }
        Ok(())
    }

    /// Makes a symbolic link at `path` that says `target`.
    pub(crate) fn symlink(
        &mut self,
        target: &str,
        path: &str,
        now: Timestamp,
    ) -> Result<(), FsError> {
        let path = self.resolve(path, false)?;
        if self.entries.contains_key(&path) {
            return Err(FsError::Exists);
        }
        if target.is_empty() || target.len() > PATH_LIMIT {
            return Err(FsError::Invalid);
        }
        self.parent_is_directory(&path)?;
        self.insert(path, Kind::Link(target.to_owned()), 0o777, now);
        Ok(())
    }

    /// Removes anything but a directory.
    pub(crate) fn unlink(&mut self, path: &str) -> Result<(), FsError> {
        let path = self.resolve(path, false)?;
        match self.entries.get(&path) {
            None => Err(FsError::NotFound),
            Some(entry) if entry.is_dir() => Err(FsError::IsADirectory),
            Some(_) => {
                self.remove(&path);
                Ok(())
            }
        }
    }

    /// Removes an empty directory.
    pub(crate) fn rmdir(&mut self, path: &str) -> Result<(), FsError> {
        let path = self.resolve(path, false)?;
        match self.entries.get(&path) {
            None => Err(FsError::NotFound),
            Some(entry) if !entry.is_dir() => Err(FsError::NotADirectory),
            Some(_) if path == "/" => Err(FsError::Invalid),
            Some(_) if !self.children(&path).is_empty() => Err(FsError::NotEmpty),
            Some(_) => {
                self.remove(&path);
                Ok(())
            }
        }
    }

    /// Removes whatever is there, with everything below it. Nothing there is an error, as it is for `rm`.
    pub(crate) fn remove_all(&mut self, path: &str) -> Result<(), FsError> {
        let path = self.resolve(path, false)?;
        if path == "/" {
            return Err(FsError::Invalid);
        }
        if !self.entries.contains_key(&path) {
            return Err(FsError::NotFound);
        }
        for below in self.below(&path) {
            self.remove(&below);
        }
        self.remove(&path);
        Ok(())
    }

    /// Renames, replacing what is at `to` in one step, as `rename(2)` does.
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Result<(), FsError> {
        let from = self.resolve(from, false)?;
        let to = self.resolve(to, false)?;
        let source = self.entries.get(&from).ok_or(FsError::NotFound)?;
        if from == to {
            return Ok(());
        }
        if from == "/" || to == "/" || to.starts_with(&format!("{from}/")) {
            return Err(FsError::Invalid);
        }
        let source_is_dir = source.is_dir();
        match self.entries.get(&to) {
            Some(target) if target.is_dir() && !source_is_dir => return Err(FsError::IsADirectory),
            Some(target) if !target.is_dir() && source_is_dir => {
                return Err(FsError::NotADirectory);
            }
            Some(target) if target.is_dir() && !self.children(&to).is_empty() => {
                return Err(FsError::NotEmpty);
            }
            _ => {}
        }
        self.parent_is_directory(&to)?;
        self.remove(&to);
        for old in std::iter::once(from.clone()).chain(self.below(&from)) {
            if let Some(entry) = self.entries.remove(&old) {
                self.entries
                    .insert(format!("{to}{}", &old[from.len()..]), entry);
            }
        }
        Ok(())
    }

    /// Changes metadata; links are followed.
    pub(crate) fn set(&mut self, path: &str, set: impl FnOnce(&mut Entry)) -> Result<(), FsError> {
        let path = self.resolve(path, true)?;
        self.entries
            .get_mut(&path)
            .map(set)
            .ok_or(FsError::NotFound)
    }

    /// What the link at `path` says.
    pub(crate) fn read_link(&self, path: &str) -> Result<&str, FsError> {
        match &self.lstat(path)?.kind {
            Kind::Link(target) => Ok(target),
            _ => Err(FsError::Invalid),
        }
    }

    /// All paths below a directory, parents before children.
    pub(crate) fn below(&self, path: &str) -> Vec<String> {
        let prefix = if path == "/" {
            "/".to_owned()
        } else {
            format!("{path}/")
        };
        self.entries
            .range(prefix.clone()..)
            .map(|(below, _)| below)
            .take_while(|below| below.starts_with(&prefix))
            .filter(|below| *below != "/")
            .cloned()
            .collect()
    }

    fn children(&self, path: &str) -> Vec<String> {
        let skip = if path == "/" { 1 } else { path.len() + 1 };
        self.below(path)
            .into_iter()
            .map(|below| below[skip..].to_owned())
            .filter(|name| !name.contains('/'))
            .collect()
    }

    fn insert(&mut self, path: String, kind: Kind, mode: u32, now: Timestamp) {
        let entry = Entry {
            kind,
            mode,
            owner: "root".into(),
            group: "root".into(),
            modified: now,
        };
        self.entries.insert(path, entry);
    }

    fn remove(&mut self, path: &str) {
        if let Some(Entry {
            kind: Kind::File(bytes),
            ..
        }) = self.entries.remove(path)
        {
            self.stored = self.stored.saturating_sub(bytes.len() as u64);
        }
    }

    /// Accounts for a file that goes from `old` to `new` bytes.
    fn make_room(&mut self, old: u64, new: u64) -> Result<(), FsError> {
        let stored = (self.stored.saturating_sub(old)).saturating_add(new);
        let grows = new > old;
        if grows && (self.full || stored > MEMORY_LIMIT || self.base + stored > self.capacity) {
            return Err(FsError::NoSpace);
        }
        self.stored = stored;
        Ok(())
    }

    fn parent_is_directory(&self, path: &str) -> Result<(), FsError> {
        let parent = parent(path);
        match self.entries.get(parent) {
            Some(entry) if entry.is_dir() => Ok(()),
            Some(_) => Err(FsError::NotADirectory),
            None => Err(FsError::NotFound),
        }
    }

    /// The entry's real path. Relative paths start at `/root`, where logins land.
    fn resolve(&self, path: &str, follow_last: bool) -> Result<String, FsError> {
        if path.is_empty() {
            return Err(FsError::NotFound);
        }
        if path.len() > PATH_LIMIT || path.contains('\0') {
            return Err(FsError::Invalid);
        }
        let absolute = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/root/{path}")
        };
        let mut todo: Vec<String> = absolute.split('/').rev().map(str::to_owned).collect();
        let mut done = String::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    done.truncate(done.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let next = format!("{done}/{part}");
            let is_last = todo.iter().all(|rest| rest.is_empty() || rest == ".");
            match self.entries.get(&next).map(|entry| &entry.kind) {
                Some(Kind::Link(target)) if follow_last || !is_last => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return Err(FsError::Loop);
                    }
                    if target.starts_with('/') {
                        done.clear();
                    }
                    todo.extend(target.split('/').rev().map(str::to_owned));
                }
                Some(Kind::File(_)) if !is_last => return Err(FsError::NotADirectory),
                _ => done = next,
            }
        }
        Ok(if done.is_empty() { "/".into() } else { done })
    }
}

/// The path of the directory that holds `path`.
pub(crate) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(cut) => &path[..cut],
    }
}
