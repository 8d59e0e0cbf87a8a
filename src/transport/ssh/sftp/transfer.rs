//! Moving whole files and trees over SFTP, from any offset, with many requests in flight.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::stream::{FuturesOrdered, Stream, StreamExt as _};
use russh_sftp::client::error::Error;
use russh_sftp::protocol::{FileAttributes, OpenFlags, StatusCode};

use super::{AHEAD, PIECE, Sftp, status};
use crate::transport::ReachError;
use crate::transport::copy::{MOST_ENTRIES, TreeEntry};

impl Sftp {
    /// What is at `path`, links followed; `None` when there is nothing.
    pub(in crate::transport::ssh) async fn stat(
        &self,
        path: &str,
    ) -> Result<Option<FileAttributes>, ReachError> {
        match self.raw.stat(path).await {
            Ok(attrs) => Ok(Some(attrs.attrs)),
            Err(error) if status(&error) == Some(StatusCode::NoSuchFile) => Ok(None),
            Err(error) => Err(self.failed(path, error).await),
        }
    }

    /// Makes a directory, unless there is one.
    pub(in crate::transport::ssh) async fn make_directory(
        &self,
        path: &str,
    ) -> Result<(), ReachError> {
        if let Some(found) = self.stat(path).await? {
            if found.file_type().is_dir() {
                return Ok(());
            }
            return Err(self.file(path, "is there and is no directory".into()));
        }
        match self.raw.mkdir(path, FileAttributes::empty()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed(path, error).await),
        }
    }

    /// Everything below `path`, directories before what is in them; `path` itself comes first. Links within are not
    /// followed, and left out, as devices and sockets are.
    pub(in crate::transport::ssh) async fn tree(
        &self,
        path: &str,
    ) -> Result<Vec<TreeEntry>, ReachError> {
        let Some(found) = self.stat(path).await? else {
            return Err(self.file(path, "no such file or directory".into()));
        };
        let kind = found.file_type();
        let mut entries = vec![TreeEntry {
            path: String::new(),
            directory: kind.is_dir(),
            size: if kind.is_dir() {
                0
            } else {
                found.size.unwrap_or(0)
            },
        }];
        let mut waiting = VecDeque::new();
        if kind.is_dir() {
            waiting.push_back(String::new());
        }
        while let Some(below) = waiting.pop_front() {
            let here = join(path, &below);
            for (name, attributes) in self.names(&here).await? {
                let kind = attributes.file_type();
                if !kind.is_dir() && !kind.is_file() {
                    continue;
                }
                let entry = TreeEntry {
                    path: join(&below, &name),
                    directory: kind.is_dir(),
                    size: if kind.is_dir() {
                        0
                    } else {
                        attributes.size.unwrap_or(0)
                    },
                };
                if entry.directory {
                    waiting.push_back(entry.path.clone());
                }
                entries.push(entry);
                if entries.len() > MOST_ENTRIES {
                    let reason = format!("has more than {MOST_ENTRIES} files; copy its parts");
                    return Err(self.file(path, reason));
                }
            }
        }
        Ok(entries)
    }

    async fn names(&self, path: &str) -> Result<Vec<(String, FileAttributes)>, ReachError> {
        let handle = match self.raw.opendir(path).await {
            Ok(handle) => handle.handle,
            Err(error) => return Err(self.failed(path, error).await),
        };
        let mut names = Vec::new();
        loop {
            match self.raw.readdir(&*handle).await {
                Ok(some) => {
                    let fit = some.files.into_iter().filter(|file| {
                        // A name with a slash would lead out of the directory it is copied to.
                        !matches!(file.filename.as_str(), "." | "..")
                            && !file.filename.contains('/')
                    });
                    names.extend(fit.map(|file| (file.filename, file.attrs)));
                }
                Err(error) if status(&error) == Some(StatusCode::Eof) => break,
                Err(error) => return Err(self.failed(path, error).await),
            }
            if names.len() > MOST_ENTRIES {
                break;
            }
        }
        let _ = self.raw.close(handle).await;
        Ok(names)
    }

    /// Writes `pieces` into the file `path` from `offset` on, and has them on the disk; the file is made when it is not there.
    pub(in crate::transport::ssh) async fn write_from(
        &self,
        path: &str,
        offset: u64,
        pieces: impl Stream<Item = std::io::Result<Bytes>>,
        progress: impl Fn(u64),
    ) -> Result<(), ReachError> {
        // At the start, whatever is there is not ours to go on with.
        let handle = if offset == 0 {
            self.create(path).await?
        } else {
            let opened = self
                .raw
                .open(path, OpenFlags::WRITE, FileAttributes::empty())
                .await;
            match opened {
                Ok(handle) => handle.handle,
                Err(error) => return Err(self.failed(path, error).await),
            }
        };
        let finished = async {
            self.fill(&handle, offset, pieces, progress).await?;
            self.raw.close(&*handle).await
        };
        match finished.await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.unwritten(path, error).await),
        }
    }

    /// Reads the file `path` from `offset` to `size` and hands the pieces on in order.
    pub(in crate::transport::ssh) async fn read_from<F>(
        &self,
        path: &str,
        offset: u64,
        size: u64,
        mut take: impl FnMut(Vec<u8>) -> F,
    ) -> Result<(), ReachError>
    where
        F: Future<Output = std::io::Result<()>>,
    {
        let opened = self
            .raw
            .open(path, OpenFlags::READ, FileAttributes::empty())
            .await;
        let handle = match opened {
            Ok(handle) => handle.handle,
            Err(error) => return Err(self.failed(path, error).await),
        };
        let handle = &*handle;
        let mut asked = offset;
        let mut under_way = FuturesOrdered::new();
        let outcome = loop {
            while under_way.len() < AHEAD && asked < size {
                let length = (size - asked).min(PIECE as u64);
                under_way.push_back(self.whole(handle, asked, length));
                asked += length;
            }
            match under_way.next().await {
                None => break Ok(()),
                Some(Err(error)) => break Err(self.failed(path, error).await),
                Some(Ok(piece)) => {
                    if let Err(error) = take(piece).await {
                        break Err(self.file(path, format!("cannot be kept here: {error}")));
                    }
                }
            }
        };
        drop(under_way);
        let _ = self.raw.close(handle).await;
        outcome
    }

    /// Exactly `length` bytes from `offset`: a server may answer with less at a time.
    async fn whole(&self, handle: &str, offset: u64, length: u64) -> Result<Vec<u8>, Error> {
        let mut piece: Vec<u8> = Vec::new();
        while (piece.len() as u64) < length {
            let at = offset + piece.len() as u64;
            let rest = u32::try_from(length - piece.len() as u64).unwrap_or(u32::MAX);
            let data = self.raw.read(handle, at, rest).await?.data;
            if data.is_empty() {
                return Err(Error::IO("it became shorter while it was read".into()));
            }
            piece.extend_from_slice(&data);
        }
        Ok(piece)
    }
}

/// `name` below `folder`, which may be empty.
fn join(folder: &str, name: &str) -> String {
    match (folder.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => folder.to_owned(),
        _ => format!("{}/{name}", folder.trim_end_matches('/')),
    }
}
