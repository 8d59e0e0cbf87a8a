//! Streams of simulated processes.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;

use super::Context;
use crate::lab::world::World;
use crate::lab::world::files::FsError;

/// The most that is kept of one stream, bytes.
pub(super) const STREAM_LIMIT: usize = 64 * 1024 * 1024;

/// Takes a process's output.
#[async_trait]
pub(crate) trait Write: Send + Sync {
    /// Takes a piece; waits while the reader is slow.
    async fn write(&self, bytes: Bytes) -> Result<(), FsError>;
}

/// Where output goes.
pub(crate) type Sink = Arc<dyn Write>;

/// The three streams of a process.
#[derive(Clone)]
pub(crate) struct Io {
    pub(crate) stdin: Arc<Pipe>,
    pub(crate) out: Sink,
    pub(crate) err: Sink,
}

/// Standard input: bytes that arrive while the process runs.
#[derive(Default)]
pub(crate) struct Pipe {
    state: Mutex<PipeState>,
    changed: Notify,
}

#[derive(Default)]
struct PipeState {
    bytes: Vec<u8>,
    ended: bool,
}

impl Pipe {
    /// One that holds everything already.
    pub(crate) fn full(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(PipeState { bytes, ended: true }),
            changed: Notify::new(),
        })
    }

    /// Adds bytes; `false` when there would be too many of them.
    pub(crate) fn push(&self, bytes: &[u8]) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.bytes.len() + bytes.len() > STREAM_LIMIT {
            return false;
        }
        state.bytes.extend_from_slice(bytes);
        true
    }

    /// Says that nothing more will come.
    pub(crate) fn end(&self) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ended = true;
        self.changed.notify_waiters();
    }

    /// Everything up to the end.
    pub(crate) async fn read_all(&self) -> Vec<u8> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registered before looking, so that an end in between is not missed.
            changed.as_mut().enable();
            {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.ended {
                    return std::mem::take(&mut state.bytes);
                }
            }
            changed.await;
        }
    }
}

/// Output that the shell itself wants: of a substitution, or for the next command of a pipe.
#[derive(Default)]
pub(crate) struct Buffer(Mutex<Vec<u8>>);

impl Buffer {
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Write for Buffer {
    async fn write(&self, bytes: Bytes) -> Result<(), FsError> {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.len() + bytes.len() > STREAM_LIMIT {
            return Err(FsError::NoSpace);
        }
        buffer.extend_from_slice(&bytes);
        Ok(())
    }
}

/// Output into a file of the node.
pub(super) struct FileSink {
    /// `None` for `/dev/null`.
    file: Option<(Arc<World>, String, String)>,
}

impl FileSink {
    pub(super) fn open(context: &Context, path: &str, append: bool) -> Result<Self, FsError> {
        if path == "/dev/null" {
            return Ok(Self { file: None });
        }
        let mode = 0o666 & !context.umask;
        context.change(|node, now| {
            if append && node.files.read(path).is_ok() {
                return Ok(());
            }
            node.files.write(path, Vec::new(), mode, now)
        })?;
        let world = Arc::clone(&context.world);
        Ok(Self {
            file: Some((world, context.node.clone(), path.to_owned())),
        })
    }
}

#[async_trait]
impl Write for FileSink {
    async fn write(&self, bytes: Bytes) -> Result<(), FsError> {
        let Some((world, node, path)) = &self.file else {
            return Ok(());
        };
        world
            .change(node, |node, now| {
                let end = node.files.stat(path)?.size();
                node.files.write_at(path, end, &bytes, now)
            })
            .unwrap_or(Err(FsError::NotFound))
    }
}
