//! This machine as a [`Host`], for nodes that are here and for trying resources without SSH.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::{LocalError, Program, run};
use crate::transport::{
    ChunkSink, Command, Exit, FileMeta, Host, OUTPUT_LIMIT, Progress, ReachError, Source,
};

/// Bytes copied between two reports of progress.
const PIECE: usize = 64 * 1024;

/// Runs commands here, as whoever we are: nothing is elevated.
#[derive(Debug, Clone)]
pub struct LocalHost {
    name: String,
}

impl LocalHost {
    /// This machine under the name of a node.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    fn file(&self, path: &str, reason: &dyn std::fmt::Display) -> ReachError {
        ReachError::File {
            hop: self.name.clone(),
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    async fn replace(
        &self,
        path: &str,
        source: Source,
        meta: &FileMeta,
        progress: Progress<'_>,
    ) -> Result<(), ReachError> {
        let failed = |error: std::io::Error| self.file(path, &error);
        let folder = Path::new(path).parent().unwrap_or_else(|| Path::new("/"));
        // Removed on every way out but the last.
        let (file, temporary) = tempfile::NamedTempFile::new_in(folder)
            .map_err(failed)?
            .into_parts();
        let mut file = tokio::fs::File::from_std(file);
        let total = match &source {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::File(from) => tokio::fs::metadata(from).await.map_err(failed)?.len(),
        };
        match source {
            Source::Bytes(bytes) => {
                file.write_all(&bytes).await.map_err(failed)?;
                progress(total, total);
            }
            Source::File(from) => {
                let mut from = tokio::fs::File::open(from).await.map_err(failed)?;
                let mut piece = vec![0; PIECE];
                let mut done = 0;
                loop {
                    let count = from.read(&mut piece).await.map_err(failed)?;
                    if count == 0 {
                        break;
                    }
                    file.write_all(&piece[..count]).await.map_err(failed)?;
                    done += count as u64;
                    progress(done, total.max(done));
                }
            }
        }
        file.flush().await.map_err(failed)?;
        let name = temporary.to_string_lossy().into_owned();
        let owner = format!("{}:{}", meta.owner, meta.group);
        let output = self
            .output(&Command::new(["chown", "--", &owner, &name]))
            .await?;
        if !output.exit.success() {
            return Err(self.file(path, &output.complaint()));
        }
        // After the owner: changing that clears set-user-ID.
        let mode = std::fs::Permissions::from_mode(meta.mode & 0o7777);
        file.set_permissions(mode).await.map_err(failed)?;
        file.sync_all().await.map_err(failed)?;
        temporary
            .persist(path)
            .map_err(|error| self.file(path, &error.error))
    }
}

#[async_trait]
impl Host for LocalHost {
    fn name(&self) -> &str {
        &self.name
    }

    async fn stream(
        &self,
        command: &Command,
        sink: &mut dyn ChunkSink,
        cancel: &CancellationToken,
    ) -> Result<Exit, ReachError> {
        let program = Program {
            stdin: command.stdin.clone(),
            timeout: Some(command.timeout),
            ..Program::new(command.argv.iter().cloned())
        };
        let hop = self.name.clone();
        run(&program, sink, cancel)
            .await
            .map_err(|error| match error {
                LocalError::Cancelled { .. } => ReachError::Cancelled { hop },
                LocalError::Timeout { program, limit, .. } => ReachError::Timeout {
                    hop,
                    what: program,
                    limit,
                },
                LocalError::Start { .. } | LocalError::Watch { .. } => ReachError::Refused {
                    hop,
                    reason: error.to_string(),
                },
            })
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, ReachError> {
        let file = match tokio::fs::File::open(path).await {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.file(path, &error)),
        };
        let mut content = Vec::new();
        let most = OUTPUT_LIMIT as u64 + 1;
        file.take(most)
            .read_to_end(&mut content)
            .await
            .map_err(|error| self.file(path, &error))?;
        if content.len() > OUTPUT_LIMIT {
            return Err(self.file(path, &format!("is larger than {} MiB", OUTPUT_LIMIT >> 20)));
        }
        Ok(Some(content))
    }

    async fn write(
        &self,
        path: &str,
        source: Source,
        meta: &FileMeta,
        progress: Progress<'_>,
        cancel: &CancellationToken,
    ) -> Result<(), ReachError> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(ReachError::Cancelled { hop: self.name.clone() }),
            done = self.replace(path, source, meta, progress) => done,
        }
    }
}
