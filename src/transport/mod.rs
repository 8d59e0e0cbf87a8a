//! Reaching things: hosts over SSH, child processes here, HTTP endpoints. Everything has a deadline and can be cancelled.
//!
//! The rest of the program sees hosts through [`Host`] and finds them through [`Reach`]; [`ssh::Pool`] is the real one.
//! Commands are argument vectors. Where a shell must be passed through (SSH has no other way) they are quoted once, here.

pub mod ask;
mod command;
pub mod copy;
pub mod detached;
mod error;
pub mod http;
pub mod job;
pub mod local;
pub mod ssh;
pub mod terminal;
pub mod wake;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::command::Collect;
pub use self::command::{Chunk, ChunkSink, Command, Exit, OUTPUT_LIMIT, Output, quote};
pub use self::error::ReachError;
use crate::domain::reach::Way;

/// What a written file shall be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMeta {
    /// Permission bits, such as `0o644`.
    pub mode: u32,
    /// Owning user by name.
    pub owner: String,
    /// Owning group by name.
    pub group: String,
}

/// Where the content of a file comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// From memory.
    Bytes(Bytes),
    /// From a file here.
    File(PathBuf),
}

/// Takes note of a copy's progress: bytes done, bytes in all.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// A host that commands can be run on.
#[async_trait]
pub trait Host: Send + Sync + fmt::Debug {
    /// The node's name.
    fn name(&self) -> &str;

    /// Connects, where that is needed and has not been done: what is asked next is on its way at once.
    ///
    /// # Errors
    /// [`ReachError`] when the host cannot be reached.
    async fn ready(&self) -> Result<(), ReachError> {
        Ok(())
    }

    /// Runs a command and hands its output to `sink` as it arrives.
    ///
    /// Cancelling asks the remote process to end (TERM) and gives up on it.
    ///
    /// # Errors
    /// [`ReachError`] when the command could not be started, its time ran out, it was cancelled, or the connection was
    /// lost. A command that ran and failed is not an error: see [`Exit`].
    async fn stream(
        &self,
        command: &Command,
        sink: &mut dyn ChunkSink,
        cancel: &CancellationToken,
    ) -> Result<Exit, ReachError>;

    /// Reads a file of at most [`OUTPUT_LIMIT`] bytes as root; `None` when there is none at `path`.
    ///
    /// # Errors
    /// [`ReachError`] as for [`Host::stream`], or [`ReachError::File`] when it cannot be read.
    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, ReachError>;

    /// Replaces the file at `path` in one step: other processes see the old one or the new one, whole, with its mode and
    /// owner. A cut connection leaves the old one.
    ///
    /// # Errors
    /// [`ReachError`] as for [`Host::stream`], or [`ReachError::File`] when it cannot be written.
    async fn write(
        &self,
        path: &str,
        source: Source,
        meta: &FileMeta,
        progress: Progress<'_>,
        cancel: &CancellationToken,
    ) -> Result<(), ReachError>;

    /// Copies the file `from` here to the path `to` on the host, as the login user, and goes on with what an earlier attempt
    /// has brought. There is never half a file under the target's name.
    ///
    /// # Errors
    /// [`ReachError`] as for [`Host::stream`]; [`ReachError::File`] when either file cannot be used.
    async fn push(
        &self,
        _from: &std::path::Path,
        _to: &str,
        _progress: Progress<'_>,
    ) -> Result<copy::Copied, ReachError> {
        Err(self.no_copies())
    }

    /// Copies the file `from` on the host to the path `to` here, as [`Host::push`] does the other way.
    ///
    /// # Errors
    /// As [`Host::push`].
    async fn pull(
        &self,
        _from: &str,
        _to: &std::path::Path,
        _progress: Progress<'_>,
    ) -> Result<copy::Copied, ReachError> {
        Err(self.no_copies())
    }

    /// Everything below `path` on the host that the login user sees, directories before what is in them, `path` first;
    /// links within are left out.
    ///
    /// # Errors
    /// As [`Host::push`].
    async fn tree(&self, _path: &str) -> Result<Vec<copy::TreeEntry>, ReachError> {
        Err(self.no_copies())
    }

    /// Whether there is a directory at `path` on the host.
    ///
    /// # Errors
    /// As [`Host::push`].
    async fn is_directory(&self, _path: &str) -> Result<bool, ReachError> {
        Err(self.no_copies())
    }

    /// Makes a directory on the host, unless there is one.
    ///
    /// # Errors
    /// As [`Host::push`].
    async fn make_directory(&self, _path: &str) -> Result<(), ReachError> {
        Err(self.no_copies())
    }

    /// What a host that copies no files says.
    fn no_copies(&self) -> ReachError {
        ReachError::Refused {
            hop: self.name().to_owned(),
            reason: "files cannot be copied to or from it".into(),
        }
    }

    /// Runs a terminal until its program ends. Dropping the other ends of both channels hangs it up.
    ///
    /// # Errors
    /// [`ReachError`] as for [`Host::stream`]; [`ReachError::Refused`] when the host gives no terminal.
    async fn terminal(
        &self,
        _spec: &terminal::TerminalSpec,
        _input: mpsc::Receiver<terminal::TerminalInput>,
        _output: mpsc::Sender<terminal::TerminalOutput>,
        _cancel: &CancellationToken,
    ) -> Result<Exit, ReachError> {
        Err(ReachError::Refused {
            hop: self.name().to_owned(),
            reason: "it has no terminal to give".into(),
        })
    }

    /// Runs a command and collects its output.
    ///
    /// # Errors
    /// As [`Host::stream`].
    async fn output(&self, command: &Command) -> Result<Output, ReachError> {
        let mut collected = Collect::default();
        let exit = self
            .stream(command, &mut collected, &CancellationToken::new())
            .await?;
        Ok(collected.into_output(exit))
    }
}

/// Finds the hosts of one environment by the names of its nodes.
#[async_trait]
pub trait Reach: Send + Sync {
    /// The way to the node called `name`: its hops, and where each setting came from. With `test` it is tried, beside the
    /// connections that are kept; that takes as long as connecting takes.
    async fn way(&self, name: &str, _test: bool) -> Way {
        Way {
            node: name.to_owned(),
            ..Way::default()
        }
    }

    /// The host of the node called `name`. Connects on first use, not here.
    ///
    /// # Errors
    /// [`ReachError::UnknownNode`] when the environment has no such node.
    fn host(&self, name: &str) -> Result<Arc<dyn Host>, ReachError>;
}
