//! Reaching the engine of a workspace: the one that runs already, or a new one in the background.
//!
//! The background engine is this same program, `quarterdeck engine run --detached`, in a session of its own: neither the
//! terminal's hangup nor the end of the client reaches it. Its standard error goes to `engine.log` in the state directory.

use std::fs::{self, File, OpenOptions};
use std::io::{IsTerminal as _, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::exit::Ended;
use super::{Global, output};
use crate::client::Refusal;
use crate::client::socket::{Dial, Greeted, Remote, Starter};
use crate::client::wire::{Hello, PROTOCOL, Welcome};
use crate::config::{self, Workspace};
use crate::engine::socket_path;

/// The role of the screens, which outlive the engines that they show.
pub(super) const SCREENS: &str = "screens";
/// How long a new engine may take until it listens.
const START: Duration = Duration::from_secs(20);
/// How long an engine may take to end.
pub(super) const STOP: Duration = Duration::from_secs(30);
/// How soon the socket of an engine is gone that has hung up because it ends.
const GONE: Duration = Duration::from_secs(1);
/// How often it is looked whether an engine listens.
const LOOK: Duration = Duration::from_millis(15);
/// A log that has grown larger than this is put aside when an engine starts, bytes.
const LOG_LIMIT: u64 = 8 * 1024 * 1024;
/// What is shown of the log of an engine that did not start, bytes.
const TAIL: u64 = 2_000;

/// The engine of a workspace, as it is found and started from the command line.
#[derive(Clone)]
pub(super) struct Background {
    pub(super) state_dir: PathBuf,
    root: PathBuf,
    fingerprint: String,
    global: Global,
    /// In a scope of systemd of its own.
    scope: bool,
}

impl Background {
    /// The engine of `workspace`, whose state is in `state_dir`.
    ///
    /// # Errors
    /// [`super::Exit::Unusable`] when the directories have no absolute path.
    pub(super) fn new(
        global: &Global,
        workspace: &Workspace,
        state_dir: &Path,
    ) -> Result<Self, Ended> {
        let absolute = |path: &Path| std::path::absolute(path).map_err(Ended::unusable);
        Ok(Self {
            state_dir: absolute(state_dir)?,
            root: absolute(&workspace.root)?,
            fingerprint: config::fingerprint(workspace),
            global: Global {
                state_dir: global.state_dir.as_deref().map(absolute).transpose()?,
                ..global.clone()
            },
            scope: false,
        })
    }

    /// As this, in a scope of systemd of its own, which does not end with the session.
    pub(super) fn in_scope(self, scope: bool) -> Self {
        Self { scope, ..self }
    }

    /// A link to the engine, which is started when there is none. One that is older than the workspace or this program
    /// is replaced when nothing runs on it, and otherwise told of.
    ///
    /// # Errors
    /// [`super::Exit::Unusable`] when there is no engine and none can be started, or it speaks another protocol.
    pub(super) async fn link(&self, role: &str) -> Result<Remote, Ended> {
        let (this, starter) = (self.clone(), self.clone());
        let starter: Starter = Arc::new(move || {
            let starter = starter.clone();
            Box::pin(async move { starter.start().await })
        });
        let dial = Dial {
            starter: Some(starter),
            ..dial(&self.global, &self.state_dir, role, true)
        };
        let mut greeted = if let Some(greeted) = greeted(&dial).await? {
            greeted
        } else {
            this.start().await.map_err(Ended::unusable)?;
            dial.greet().await.map_err(Ended::unusable)?
        };
        if let Some(why) = self.outdated(&greeted.welcome) {
            greeted = self.replace(greeted, &dial, &why).await?;
        }
        hold(greeted, dial).map_err(Ended::unusable)
    }

    /// A link to the engine that runs, if one does.
    ///
    /// # Errors
    /// [`super::Exit::Unusable`] when it does not answer or speaks another protocol.
    pub(super) async fn link_if_running(&self, role: &str) -> Result<Option<Remote>, Ended> {
        let dial = dial(&self.global, &self.state_dir, role, true);
        let Some(greeted) = greeted(&dial).await? else {
            return Ok(None);
        };
        if let Some(why) = self.outdated(&greeted.welcome) {
            output::remark(&format!(
                "note: {why}; `quarterdeck engine restart` replaces it"
            ));
        }
        hold(greeted, dial).map(Some).map_err(Ended::unusable)
    }

    /// Why the engine should be replaced.
    fn outdated(&self, welcome: &Welcome) -> Option<String> {
        let own = env!("CARGO_PKG_VERSION");
        if welcome.protocol != PROTOCOL || welcome.version != own {
            return Some(format!(
                "the engine (process {}) is Quarterdeck {}, this program is {own}",
                welcome.pid, welcome.version
            ));
        }
        if welcome.fingerprint != self.fingerprint {
            return Some("the workspace was edited since the engine was started".into());
        }
        if self.global.accept_new_host_keys && !welcome.accepts_new_host_keys {
            return Some("the engine was started without --accept-new-host-keys".into());
        }
        None
    }

    /// Replaces an engine that has nothing to do; asks first when it is another program.
    async fn replace(&self, greeted: Greeted, dial: &Dial, why: &str) -> Result<Greeted, Ended> {
        let Welcome {
            running,
            protocol,
            version,
            ..
        } = &greeted.welcome;
        if *running > 0 {
            output::remark(&format!(
                "note: {why}, and it is busy with {running} run(s): it goes on as it is; `quarterdeck engine restart` when they have ended"
            ));
            return Ok(greeted);
        }
        let other = *protocol != PROTOCOL || version != env!("CARGO_PKG_VERSION");
        if other && !agreed(why) {
            return Ok(greeted);
        }
        drop(greeted);
        match dial.stop(false, true, STOP).await {
            Ok(()) => {}
            // A run was begun in this moment, or this session may not.
            Err(refusal) => output::remark(&format!("note: {why}; {refusal}")),
        }
        if dial.is_absent().await {
            output::remark(&format!("{why}: starting a new engine"));
            self.start().await.map_err(Ended::unusable)?;
        }
        dial.greet().await.map_err(Ended::unusable)
    }

    /// Starts an engine in the background and waits until it listens.
    ///
    /// # Errors
    /// [`Refusal`] with what the engine said when it did not start.
    pub(super) async fn start(&self) -> Result<(), Refusal> {
        let broken = |path: &Path, error: &std::io::Error| {
            Refusal::new(format!(
                "{}: {error}; name another place with --state-dir",
                path.display()
            ))
        };
        fs::DirBuilder::new()
            .recursive(true)
            .create(&self.state_dir)
            .map_err(|error| broken(&self.state_dir, &error))?;
        let path = log(&self.state_dir);
        let spawn = || {
            let (file, from) = open_log(&path).map_err(|error| broken(&path, &error))?;
            let child = self
                .spawn(file)
                .map_err(|error| Refusal::new(format!("the engine cannot be started: {error}")))?;
            Ok::<_, Refusal>((child, from))
        };
        let (mut child, mut from) = spawn()?;
        let dial = dial(&self.global, &self.state_dir, "start", false);
        let deadline = Instant::now() + START;
        loop {
            if !dial.is_absent().await {
                // Not waited for: it outlives this program, or is collected by whoever comes after it.
                return Ok(());
            }
            match child.try_wait() {
                Ok(Some(status)) if !status.success() => {
                    return Err(Refusal::new(format!(
                        "the engine did not start ({status})\n{}",
                        tail(&path, from)
                    )));
                }
                // It made way for another one, which nobody needed any more in this moment.
                Ok(Some(_)) if dial.is_absent().await => (child, from) = spawn()?,
                _ => {}
            }
            if Instant::now() >= deadline {
                return Err(Refusal::new(format!(
                    "the engine did not listen within {} s; its log is {}",
                    START.as_secs(),
                    path.display()
                )));
            }
            sleep(LOOK).await;
        }
    }

    fn spawn(&self, log: File) -> std::io::Result<Child> {
        let program = std::env::current_exe()?;
        let mut command = if self.scope {
            let mut command = Command::new("systemd-run");
            command.args(["--user", "--scope", "--collect", "--quiet", "--"]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(["engine", "run", "--detached", "--workspace"]);
        command.arg(&self.root);
        if let Some(dir) = &self.global.state_dir {
            command.arg("--state-dir").arg(dir);
        }
        if self.global.accept_new_host_keys {
            command.arg("--accept-new-host-keys");
        }
        command
            // Asked for by one client, not by those who come later.
            .env_remove("QUARTERDECK_READ_ONLY")
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
    }
}

/// A link that lasts as long as its role does.
fn hold(greeted: Greeted, dial: Dial) -> Result<Remote, Refusal> {
    if dial.hello.role == SCREENS {
        greeted.stay(dial)
    } else {
        greeted.keep(dial)
    }
}

/// Where an engine's own log is within its state directory.
pub(super) fn log(state_dir: &Path) -> PathBuf {
    state_dir.join("engine.log")
}

/// How to call the engine whose state is in `state_dir`, as a client in the role of `role`; starts nothing.
pub(super) fn dial(global: &Global, state_dir: &Path, role: &str, events: bool) -> Dial {
    Dial {
        socket: socket_path(state_dir),
        hello: Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").into(),
            role: role.into(),
            read_only: global.read_only,
            events,
        },
        starter: None,
    }
}

/// The greeting of whoever listens; `None` when nobody does, or the one that did was just ending.
///
/// # Errors
/// [`super::Exit::Unusable`] when somebody listens and does not greet.
pub(super) async fn greeted(dial: &Dial) -> Result<Option<Greeted>, Ended> {
    if dial.is_absent().await {
        return Ok(None);
    }
    let refusal = match dial.greet().await {
        Ok(greeted) => return Ok(Some(greeted)),
        Err(refusal) => refusal,
    };
    let deadline = Instant::now() + GONE;
    while Instant::now() < deadline {
        if dial.is_absent().await {
            return Ok(None);
        }
        sleep(LOOK).await;
    }
    Err(Ended::unusable(refusal))
}

/// The log to append to, and how long it is already; one that has grown large is put aside.
fn open_log(path: &Path) -> std::io::Result<(File, u64)> {
    let size = fs::metadata(path).map_or(0, |meta| meta.len());
    if size > LOG_LIMIT {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    let from = log.metadata()?.len();
    Ok((log, from))
}

/// What was written to the log since it was `from` bytes long, or the end of that.
fn tail(path: &Path, from: u64) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(TAIL))))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    match read() {
        Ok(text) if !text.is_empty() => text,
        _ => format!("it said nothing; its log is {}", path.display()),
    }
}

/// Whether the operator wants the engine replaced; where nobody can be asked, it is.
fn agreed(why: &str) -> bool {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return true;
    }
    let mut asked = std::io::stderr();
    let mut answer = String::new();
    let said = write!(asked, "{why}. Nothing runs on it: restart it? [Y/n] ")
        .and_then(|()| asked.flush())
        .and_then(|()| std::io::stdin().read_line(&mut answer));
    said.is_ok() && !matches!(answer.trim(), "n" | "N" | "no")
}
