//! A host for tests: real commands under a temporary root, and a script for those that must not be real.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::undo::Records;
use super::{Difference, Log, Means, ResourceError, apply, check, undo};
use crate::domain::resource::Resource;
use crate::domain::run::Stream;
use crate::domain::undo::Before;
use crate::transport::{
    Chunk, ChunkSink, Command, Exit, FileMeta, Host, Progress, ReachError, Source,
};

/// What a scripted command answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) code: u32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Succeeds and says `stdout`.
#[allow(
    clippy::unnecessary_wraps,
    reason = "a script gives an option: None means a real command"
)]
pub(crate) fn says(stdout: &str) -> Option<Answer> {
    Some(Answer {
        stdout: stdout.into(),
        ..Answer::default()
    })
}

/// Fails and says `stderr`.
#[allow(
    clippy::unnecessary_wraps,
    reason = "a script gives an option: None means a real command"
)]
pub(crate) fn fails(code: u32, stderr: &str) -> Option<Answer> {
    Some(Answer {
        code,
        stderr: stderr.into(),
        ..Answer::default()
    })
}

type Script = Box<dyn Fn(&str) -> Option<Answer> + Send + Sync>;

/// A host whose `/` is a temporary directory and whose `root` is whoever runs the tests.
pub(crate) struct TempHost {
    root: TempDir,
    pub(crate) cache: TempDir,
    pub(crate) user: String,
    pub(crate) group: String,
    script: Script,
    ran: Mutex<Vec<String>>,
    lines: Arc<Lines>,
    records: Arc<Memory>,
}

/// Keeps records in memory, in the order of the changes.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Vec<Before>>);

impl Memory {
    /// What was recorded so far.
    pub(crate) fn all(&self) -> Vec<Before> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Records for Memory {
    async fn name(&self, position: u32) -> Option<String> {
        Some(format!("run/{}-{position}", self.all().len()))
    }

    async fn record(&self, _: u32, before: &Before) -> Result<(), String> {
        self.0.lock().unwrap().push(before.clone());
        Ok(())
    }
}

#[derive(Default)]
struct Lines(Mutex<Vec<(Stream, String)>>);

#[async_trait]
impl Log for Lines {
    async fn line(&self, stream: Stream, text: String) {
        self.0.lock().unwrap().push((stream, text));
    }
}

impl std::fmt::Debug for TempHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TempHost({})", self.root.path().display())
    }
}

impl TempHost {
    pub(crate) fn new() -> Self {
        Self::scripted(|_| None)
    }

    /// A host on which `script` answers the command lines that it knows; the others are real.
    pub(crate) fn scripted(
        script: impl Fn(&str) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            cache: tempfile::tempdir().unwrap(),
            user: "root".into(),
            group: "root".into(),
            script: Box::new(script),
            ran: Mutex::default(),
            lines: Arc::default(),
            records: Arc::default(),
        }
    }

    /// Where a path of the host really is.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    /// Puts a file on the host.
    pub(crate) fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        let real = self.path(path);
        std::fs::create_dir_all(real.parent().unwrap()).unwrap();
        std::fs::write(real, content).unwrap();
    }

    /// The command lines that were run so far.
    pub(crate) fn ran(&self) -> Vec<String> {
        self.ran.lock().unwrap().clone()
    }

    /// The log so far, as `stream: text`.
    pub(crate) fn log(&self) -> Vec<String> {
        let lines = self.lines.0.lock().unwrap();
        lines
            .iter()
            .map(|(stream, text)| format!("{stream}: {text}"))
            .collect()
    }

    /// Where the lines of a check or an apply go.
    pub(crate) fn lines(&self) -> Arc<dyn Log> {
        self.lines.clone()
    }

    /// What was recorded before each change.
    pub(crate) fn records(&self) -> Arc<Memory> {
        Arc::clone(&self.records)
    }

    fn real(&self, word: &str) -> String {
        match word {
            "root:root" => {
                let me = rustix::process::getuid().as_raw();
                let mine = rustix::process::getgid().as_raw();
                format!("{me}:{mine}")
            }
            path if path.starts_with('/') => self.path(path).display().to_string(),
            other => other.to_owned(),
        }
    }

    /// Takes the temporary root, and who runs the tests, out of a command's output.
    fn pretend(&self, argv: &[String], output: &[u8]) -> Bytes {
        let mut text =
            String::from_utf8_lossy(output).replace(&self.root.path().display().to_string(), "");
        if argv[0] == "stat" {
            let mut parts: Vec<&str> = text.split(':').collect();
            if parts.len() == 5 {
                parts[1] = "root";
                parts[2] = "root";
            }
            text = parts.join(":");
        }
        Bytes::from(text)
    }
}

#[async_trait]
impl Host for TempHost {
    fn name(&self) -> &'static str {
        "temp"
    }

    async fn stream(
        &self,
        command: &Command,
        sink: &mut dyn ChunkSink,
        cancel: &CancellationToken,
    ) -> Result<Exit, ReachError> {
        let line = command.shell_line();
        self.ran.lock().unwrap().push(line.clone());
        let answer = if let Some(answer) = (self.script)(&line) {
            answer
        } else {
            let argv: Vec<String> = command.argv.iter().map(|word| self.real(word)).collect();
            let work = tokio::process::Command::new(&argv[0])
                .args(&argv[1..])
                .env("LC_ALL", "C")
                .kill_on_drop(true)
                .output();
            let output = tokio::select! {
                output = work => output,
                () = cancel.cancelled() => return Err(ReachError::Cancelled { hop: "temp".into() }),
            };
            match output {
                Ok(output) => {
                    sink.chunk(Chunk::Stdout(self.pretend(&command.argv, &output.stdout)))
                        .await;
                    sink.chunk(Chunk::Stderr(self.pretend(&command.argv, &output.stderr)))
                        .await;
                    let code = output.status.code().unwrap_or(255);
                    return Ok(Exit::Code(u32::try_from(code).unwrap()));
                }
                Err(error) => fails(127, &format!("sh: {}: {error}", command.argv[0])).unwrap(),
            }
        };
        sink.chunk(Chunk::Stdout(Bytes::from(answer.stdout))).await;
        sink.chunk(Chunk::Stderr(Bytes::from(answer.stderr))).await;
        Ok(Exit::Code(answer.code))
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, ReachError> {
        match std::fs::read(self.path(path)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_error(path, &error)),
        }
    }

    async fn write(
        &self,
        path: &str,
        source: Source,
        meta: &FileMeta,
        progress: Progress<'_>,
        _cancel: &CancellationToken,
    ) -> Result<(), ReachError> {
        self.ran.lock().unwrap().push(format!("write {path}"));
        let content = match source {
            Source::Bytes(bytes) => bytes.to_vec(),
            Source::File(from) => std::fs::read(from).unwrap(),
        };
        let real = self.path(path);
        let next = real.with_extension("next");
        let work = || {
            std::fs::write(&next, &content)?;
            std::fs::set_permissions(&next, std::fs::Permissions::from_mode(meta.mode))?;
            std::fs::rename(&next, &real)
        };
        work().map_err(|error| file_error(path, &error))?;
        progress(content.len() as u64, content.len() as u64);
        Ok(())
    }
}

fn file_error(path: &str, error: &std::io::Error) -> ReachError {
    ReachError::File {
        hop: "temp".into(),
        path: path.into(),
        reason: error.to_string(),
    }
}

/// The full answer of a check.
pub(crate) async fn difference(
    resource: &Resource,
    host: &TempHost,
) -> Result<Difference, ResourceError> {
    with_means(host, &[], async |means| check(resource, host, means).await).await
}

/// What a check says must change.
pub(crate) async fn differences(
    resource: &Resource,
    host: &TempHost,
) -> Result<Vec<String>, ResourceError> {
    Ok(difference(resource, host).await?.changes)
}

/// Checks, applies, and makes sure that nothing is left to do; gives back what had to change.
pub(crate) async fn ensure(
    resource: &Resource,
    host: &TempHost,
) -> Result<Vec<String>, ResourceError> {
    let first = difference(resource, host).await?;
    with_means(host, &[], async |means| {
        apply(resource, &first, host, means).await
    })
    .await?;
    assert_eq!(
        differences(resource, host).await?,
        [] as [&str; 0],
        "not idempotent"
    );
    Ok(first.changes)
}

/// Calls `work` with means for `host`.
pub(crate) async fn with_means<T>(
    host: &TempHost,
    changed: &[String],
    work: impl AsyncFnOnce(&Means<'_>) -> T,
) -> T {
    let cancel = CancellationToken::new();
    let means = Means {
        offline: false,
        log: &*host.lines,
        cancel: &cancel,
        cache: Path::new(host.cache.path()),
        changed,
        records: &*host.records,
        position: 0,
    };
    work(&means).await
}

/// Takes back everything that was recorded, the last change first, as a step's undo does: refuses at what was changed
/// since. Gives back what had to change, and makes sure that nothing is left to do.
pub(crate) async fn take_back(host: &TempHost) -> Result<Vec<String>, String> {
    let mut changes = Vec::new();
    let mut restored = Vec::new();
    let records = host.records().all();
    for before in records.iter().rev() {
        let back = look_back(before, host).await;
        if let Some(reason) = back.refused {
            return Err(reason);
        }
        with_means(host, &[], async |means| {
            undo::take_back(before, host, means).await
        })
        .await
        .map_err(|error| error.to_string())?;
        if !back.difference.is_none() {
            restored.extend(undo::path_of(before).map(ToOwned::to_owned));
        }
        changes.extend(back.difference.changes);
    }
    for before in &records {
        if let Before::Unit(unit) = before {
            with_means(host, &restored, async |means| {
                undo::settle(unit, host, means).await
            })
            .await
            .map_err(|error| error.to_string())?;
        }
    }
    for before in &records {
        assert_eq!(
            look_back(before, host).await,
            undo::Back::default(),
            "not back: {before:?}"
        );
    }
    Ok(changes)
}

/// What taking `before` back would do.
pub(crate) async fn look_back(before: &Before, host: &TempHost) -> undo::Back {
    with_means(host, &[], async |means| {
        undo::check(before, host, means).await
    })
    .await
    .unwrap()
}
