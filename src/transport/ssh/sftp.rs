//! Files over SFTP version 3 (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions where the host has them.
//!
//! An [`Sftp`] is one channel for one piece of work. Requests are pipelined, so that a slow link is filled.

mod transfer;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{Stream, StreamExt as _, TryStreamExt as _};
use russh_sftp::client::error::Error;
use russh_sftp::client::{Config, RawSftpSession};
use russh_sftp::extensions::HardlinkExtension;
use russh_sftp::protocol::{FileAttributes, OpenFlags, Packet, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::connection::{Connection, Opened};
use super::link::Link;
use super::slots::Slot;
use super::tame;
use crate::transport::{OUTPUT_LIMIT, ReachError};

/// The longest wait for the subsystem to begin.
const START: Duration = Duration::from_secs(10);
/// The longest wait for the answer to one request, seconds; a dead connection is noticed sooner by its keepalive.
const ANSWER: u64 = 60;
/// Bytes per write request: what every server must accept.
pub(super) const PIECE: usize = 32 * 1024;
/// Write requests under way at once.
const AHEAD: usize = 64;
/// Bytes per read request; servers answer with less if they like.
const GULP: u32 = 128 * 1024;

/// One SFTP session.
pub(super) struct Sftp {
    raw: RawSftpSession,
    connection: Arc<Connection>,
    hop: String,
    fsync: bool,
    posix_rename: bool,
}

impl Sftp {
    /// Begins a session; `None` when the host has no SFTP.
    pub(super) async fn open(link: &Arc<Link>) -> Result<Option<Self>, ReachError> {
        let hop = link.name.clone();
        let connection = link.connection().await?;
        if connection.without_sftp.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let (connection, opened) = link.open_session().await?;
        match timeout(START, begin(opened)).await {
            Ok(Some((raw, extensions))) => {
                let has = |name: &str| extensions.contains_key(name);
                Ok(Some(Self {
                    raw,
                    connection,
                    hop,
                    fsync: has("fsync@openssh.com"),
                    posix_rename: has("posix-rename@openssh.com"),
                }))
            }
            Ok(None) if connection.is_alive() => {
                connection.without_sftp.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Ok(None) => Err(connection.lost().await),
            Err(_) => Err(ReachError::Timeout {
                hop,
                what: "starting SFTP".into(),
                limit: START,
            }),
        }
    }

    /// The content of the file at `path`; `None` when there is none.
    pub(super) async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, ReachError> {
        let opened = self
            .raw
            .open(path, OpenFlags::READ, FileAttributes::empty())
            .await;
        let handle = match opened {
            Ok(handle) => handle.handle,
            Err(error) if status(&error) == Some(StatusCode::NoSuchFile) => return Ok(None),
            Err(error) => return Err(self.failed(path, error).await),
        };
        let mut content = Vec::new();
        loop {
            match self.raw.read(&*handle, content.len() as u64, GULP).await {
                Ok(data) if data.data.is_empty() => break,
                Ok(data) if content.len() + data.data.len() > OUTPUT_LIMIT => {
                    let reason = format!("is larger than {} MiB", OUTPUT_LIMIT >> 20);
                    return Err(self.file(path, reason));
                }
                Ok(data) => content.extend_from_slice(&data.data),
                Err(error) if status(&error) == Some(StatusCode::Eof) => break,
                Err(error) => return Err(self.failed(path, error).await),
            }
        }
        if let Err(error) = self.raw.close(handle).await {
            return Err(self.failed(path, error).await);
        }
        Ok(Some(content))
    }

    /// Writes `pieces` to the new file `path` and gives it `attributes` when it is whole.
    ///
    /// What was left at `path` by an earlier attempt is removed first. Until it is whole only the login user can read it.
    pub(super) async fn write(
        &self,
        path: &str,
        pieces: impl Stream<Item = std::io::Result<Bytes>>,
        attributes: FileAttributes,
        progress: impl Fn(u64),
    ) -> Result<(), ReachError> {
        let handle = &*self.create(path).await?;
        let finished = async {
            self.fill(handle, 0, pieces, progress).await?;
            let (owner, mode) = apart(attributes);
            if !owner.is_empty() {
                self.raw.fsetstat(handle, owner).await?;
            }
            // After the owner, and not with it: changing that clears set-user-ID.
            self.raw.fsetstat(handle, mode).await?;
            self.raw.close(handle).await
        };
        let Err(error) = finished.await else {
            return Ok(());
        };
        let answered = status(&error).is_some();
        let told = self.unwritten(path, error).await;
        if answered {
            // Half a file is of no use to anybody. Where the connection is gone, the next attempt removes it.
            let _ = self.raw.remove(path).await;
        }
        Err(told)
    }

    /// Opens the new file `path`, which only the login user can read; what is there is removed first.
    async fn create(&self, path: &str) -> Result<String, ReachError> {
        self.remove(path).await?;
        let private = FileAttributes {
            permissions: Some(0o600),
            ..FileAttributes::empty()
        };
        // EXCLUDE: what somebody else puts there in between (a link to /etc/shadow) is not followed.
        let flags = OpenFlags::CREATE | OpenFlags::EXCLUDE | OpenFlags::WRITE;
        match self.raw.open(path, flags, private).await {
            Ok(handle) => Ok(handle.handle),
            Err(error) => Err(self.failed(path, error).await),
        }
    }

    /// Writes `pieces` one after the other from `offset` on, many at a time, and has them on the disk where the host can say
    /// so. `progress` hears how far the file is whole, bytes.
    async fn fill(
        &self,
        handle: &str,
        offset: u64,
        pieces: impl Stream<Item = std::io::Result<Bytes>>,
        progress: impl Fn(u64),
    ) -> Result<(), Error> {
        let mut next = offset;
        pieces
            .map(|piece| {
                let at = next;
                next += piece.as_ref().map_or(0, |piece| piece.len() as u64);
                async move {
                    let piece = piece.map_err(|error| Error::IO(error.to_string()))?;
                    let end = at + piece.len() as u64;
                    self.raw.write(handle, at, piece.to_vec()).await?;
                    Ok::<_, Error>(end)
                }
            })
            .buffered(AHEAD)
            .try_for_each(|end| {
                progress(end);
                futures::future::ready(Ok(()))
            })
            .await?;
        if self.fsync {
            self.raw.fsync(handle).await?;
        }
        Ok(())
    }

    /// Says why `path` could not be written. Where the disk is full, what was written gives its room back: the node needs it
    /// more than a copy that may be resumed.
    async fn unwritten(&self, path: &str, error: Error) -> ReachError {
        if status(&error).is_some() && self.is_full(path).await {
            let _ = self.raw.remove(path).await;
            return self.file(path, "no space left on the file system".into());
        }
        self.failed(path, error).await
    }

    /// Whether there is no room left where `path` is, as far as the host tells. OpenSSH answers a write that finds none with
    /// a mere "Failure".
    async fn is_full(&self, path: &str) -> bool {
        let Ok(system) = self.raw.statvfs(path).await else {
            return false;
        };
        let room = system.blocks_avail.saturating_mul(system.fragment_size);
        // Some file systems count no inodes at all.
        room < PIECE as u64 || (system.inodes > 0 && system.inodes_avail == 0)
    }

    /// Gives the file at `path` attributes.
    pub(super) async fn set(
        &self,
        path: &str,
        attributes: FileAttributes,
    ) -> Result<(), ReachError> {
        match self.raw.setstat(path, attributes).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed(path, error).await),
        }
    }

    /// Puts the file `from` in the place of `to` in one step; `false` when the host cannot do that over SFTP.
    pub(super) async fn replace(&self, from: &str, to: &str) -> Result<bool, ReachError> {
        if !self.posix_rename {
            return Ok(false);
        }
        let paths = HardlinkExtension {
            oldpath: from.to_owned(),
            newpath: to.to_owned(),
        };
        // The two extensions carry the same two strings.
        let data: Vec<u8> = match paths.try_into() {
            Ok(data) => data,
            Err(error) => return Err(self.file(to, error.to_string())),
        };
        match self.raw.extended("posix-rename@openssh.com", data).await {
            Ok(Packet::Status(answer)) if answer.status_code == StatusCode::Ok => Ok(true),
            Ok(Packet::Status(answer)) => Err(self.failed(to, answer.into()).await),
            Ok(_) => Err(self.file(to, "the host answers nonsense".into())),
            Err(error) => Err(self.failed(to, error).await),
        }
    }

    /// Removes the file `path` if there is one.
    pub(super) async fn remove(&self, path: &str) -> Result<(), ReachError> {
        match self.raw.remove(path).await {
            Ok(_) => Ok(()),
            Err(error) if status(&error) == Some(StatusCode::NoSuchFile) => Ok(()),
            Err(error) => Err(self.failed(path, error).await),
        }
    }

    async fn failed(&self, path: &str, error: Error) -> ReachError {
        match error {
            Error::Status(status) => {
                let words = match status.status_code {
                    StatusCode::NoSuchFile => "no such file or directory".to_owned(),
                    StatusCode::PermissionDenied => "permission denied".to_owned(),
                    StatusCode::Failure if status.error_message.is_empty() => {
                        "the host cannot do that".to_owned()
                    }
                    _ => tame(&status.error_message),
                };
                self.file(path, words)
            }
            Error::Timeout => ReachError::Timeout {
                hop: self.hop.clone(),
                what: format!("{path} over SFTP"),
                limit: Duration::from_secs(ANSWER),
            },
            // Everything else comes of a stream that ended.
            _ if !self.connection.is_alive() => self.connection.lost().await,
            other => self.file(path, tame(&other.to_string())),
        }
    }

    fn file(&self, path: &str, reason: String) -> ReachError {
        ReachError::File {
            hop: self.hop.clone(),
            path: path.to_owned(),
            reason,
        }
    }
}

/// The owner in one set of attributes, the rest in another.
fn apart(attributes: FileAttributes) -> (FileAttributes, FileAttributes) {
    let owner = FileAttributes {
        uid: attributes.uid,
        gid: attributes.gid,
        ..FileAttributes::empty()
    };
    let rest = FileAttributes {
        uid: None,
        gid: None,
        ..attributes
    };
    (owner, rest)
}

fn status(error: &Error) -> Option<StatusCode> {
    match error {
        Error::Status(status) => Some(status.status_code),
        _ => None,
    }
}

type Extensions = std::collections::HashMap<String, String>;

/// Starts the subsystem; `None` when there is none, or something that is not SFTP answers (a login shell that talks).
async fn begin(opened: Opened) -> Option<(RawSftpSession, Extensions)> {
    let Opened { mut channel, slot } = opened;
    channel.request_subsystem(true, "sftp").await.ok()?;
    loop {
        match channel.wait().await? {
            russh::ChannelMsg::Success => break,
            russh::ChannelMsg::Failure | russh::ChannelMsg::Close => {
                let _ = channel.close().await;
                return None;
            }
            _ => {}
        }
    }
    let config = Config {
        request_timeout_secs: ANSWER,
        ..Config::default()
    };
    let held = Held {
        stream: channel.into_stream(),
        _slot: slot,
    };
    let raw = RawSftpSession::new_with_config(held, config);
    let version = raw.init().await.ok()?;
    Some((raw, version.extensions))
}

/// A stream that keeps its place among the server's sessions.
struct Held<S> {
    stream: S,
    _slot: Slot,
}

impl<S: AsyncRead + Unpin> AsyncRead for Held<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Held<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
