//! A host as the rest of the program sees it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::copy;
use super::elevate::{self, NotRisen, Overhear, Rise};
use super::exec::{self, Ended, Input, Job};
use super::files;
use super::link::Link;
use super::shell;
use crate::domain::node::Elevate;
use crate::domain::question::{Question, QuestionAnswer, QuestionKind};
use crate::domain::secret::Secret;
use crate::transport::ask::{self, Unanswered};
use crate::transport::copy::{Copied, TreeEntry};
use crate::transport::terminal::{TerminalInput, TerminalOutput, TerminalSpec};
use crate::transport::{
    ChunkSink, Collect, Command, Exit, FileMeta, Host, Output, Progress, ReachError, Source,
};

/// The longest that a command which handles one file may take, content aside.
const FILE: Duration = Duration::from_secs(60);
/// The slowest link for which a copy's limit allows, bytes per second.
const SLOWEST: u64 = 16 * 1024;

/// The status with which shells end where there is no such program (POSIX, Shell Command Language, 2.8.2).
const NOT_FOUND: u32 = 127;
/// How often a password is asked for before giving up.
const PASSWORDS: usize = 3;

/// A node, reached over SSH.
#[derive(Debug)]
pub(super) struct SshHost {
    link: Arc<Link>,
    turns: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

/// What the login user may do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// It is root.
    pub(super) is_root: bool,
    /// It becomes root for root's work.
    pub(super) elevates: bool,
}

impl SshHost {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self {
            link,
            turns: Mutex::default(),
        }
    }

    pub(super) fn link(&self) -> Arc<Link> {
        Arc::clone(&self.link)
    }

    /// Whether the login user is root, and whether root's work has to be done by becoming root. Connects, for the
    /// operator's own configuration may say who logs in.
    pub(super) async fn standing(&self) -> Result<Standing, ReachError> {
        let connection = self.link.connection().await?;
        let target = connection.target();
        Ok(Standing {
            is_root: *target.user == "root",
            elevates: elevate::how(target) != Elevate::No,
        })
    }

    /// The lock that writers of `path` take, one after the other.
    pub(super) fn turn(&self, path: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(path).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        turns.insert(path.to_owned(), Arc::downgrade(&turn));
        turn
    }

    pub(super) fn file(&self, path: &str, reason: String) -> ReachError {
        ReachError::File {
            hop: self.name().to_owned(),
            path: path.to_owned(),
            reason,
        }
    }

    /// How long a command that handles one file may take.
    #[allow(clippy::unused_self)]
    pub(super) fn file_limit(&self) -> Duration {
        FILE
    }

    /// How long it may take to send `bytes`.
    pub(super) fn copy_limit(&self, bytes: u64) -> Duration {
        self.file_limit() + Duration::from_secs(bytes / SLOWEST)
    }

    /// Runs `command` with `input` and collects its output.
    pub(super) async fn output_of(
        &self,
        command: &Command,
        input: Input<'_>,
    ) -> Result<Output, ReachError> {
        let mut collected = Collect::default();
        let cancel = CancellationToken::new();
        let exit = self.run(command, input, &mut collected, &cancel).await?;
        Ok(collected.into_output(exit))
    }

    async fn run(
        &self,
        command: &Command,
        input: Input<'_>,
        sink: &mut dyn ChunkSink,
        cancel: &CancellationToken,
    ) -> Result<Exit, ReachError> {
        let (rise, how) = if command.elevated {
            match elevate::how(self.link.connection().await?.target()) {
                Elevate::No => (Some(Rise::No), Elevate::No),
                Elevate::Doas => (Some(Rise::Doas), Elevate::Doas),
                Elevate::Su => (None, Elevate::Su),
                // Once a password was given, there is no use in trying without.
                Elevate::Sudo if self.was_told().await => (None, Elevate::Sudo),
                Elevate::Sudo => (Some(Rise::Sudo), Elevate::Sudo),
            }
        } else {
            (Some(Rise::No), Elevate::No)
        };
        if let Some(rise) = rise {
            let tried = self.attempt(command, &rise, input.clone(), sink, cancel);
            match tried.await? {
                Tried::Ended(exit) => return Ok(exit),
                Tried::Complaint(reason)
                    if how == Elevate::Sudo && elevate::wants_password(&reason) => {}
                Tried::Complaint(reason)
                    if how == Elevate::Doas && elevate::wants_password(&reason) =>
                {
                    return Err(self.not_root(format!(
                        "{reason}; doas reads a password only from a terminal of its own: permit nopass, or say \
                         `elevate: sudo` or `su`"
                    )));
                }
                Tried::Complaint(reason) | Tried::NotBegun(reason) => {
                    return Err(self.not_root(reason));
                }
            }
        }
        let mut refused = None;
        for _ in 0..PASSWORDS {
            let password = self.password(how, refused.as_ref()).await?;
            let rise = match how {
                Elevate::Su => Rise::SuWith(password.clone()),
                _ => Rise::SudoWith(password.clone()),
            };
            let tried = self.attempt(command, &rise, input.clone(), sink, cancel);
            match tried.await? {
                Tried::Ended(exit) => return Ok(exit),
                Tried::Complaint(words) | Tried::NotBegun(words) => {
                    match elevate::judge(&rise, &words) {
                        NotRisen::Wrong(_) => refused = Some(password),
                        NotRisen::Refused(reason) => return Err(self.not_root(reason)),
                    }
                }
            }
        }
        Err(self.not_root(format!("wrong password for {how}, {PASSWORDS} times")))
    }

    fn not_root(&self, reason: String) -> ReachError {
        ReachError::Elevate {
            hop: self.name().to_owned(),
            reason,
        }
    }

    /// Runs `command` once, as `rise` says.
    async fn attempt(
        &self,
        command: &Command,
        rise: &Rise,
        input: Input<'_>,
        sink: &mut dyn ChunkSink,
        cancel: &CancellationToken,
    ) -> Result<Tried, ReachError> {
        let hop = self.name();
        let opened = tokio::select! {
            biased;
            () = cancel.cancelled() => {
                return Err(ReachError::Cancelled { hop: hop.to_owned() });
            }
            opened = self.link.open_session() => opened,
        };
        let (connection, opened) = opened?;
        let job = Job {
            hop,
            argv: &command.argv,
            rise,
            input,
            limit: command.timeout,
            gives_way: command.gives_way,
        };
        if !rise.may_complain() {
            return Ok(
                match exec::run(&connection, opened, job, sink, cancel).await? {
                    Ended::Exit(exit) => Tried::Ended(exit),
                    Ended::NotBegun(words) => Tried::NotBegun(words),
                },
            );
        }
        let mut overhear = Overhear::new(sink);
        let exit = match exec::run(&connection, opened, job, &mut overhear, cancel).await? {
            Ended::Exit(exit) => exit,
            Ended::NotBegun(words) => return Ok(Tried::NotBegun(words)),
        };
        if let Some(program) = command.argv.first()
            && overhear.is_missing(program, &exit)
        {
            overhear.release().await;
            return Ok(Tried::Ended(Exit::Code(NOT_FOUND)));
        }
        if let Some(reason) = overhear.complaint(&exit) {
            return Ok(Tried::Complaint(reason));
        }
        overhear.release().await;
        Ok(Tried::Ended(exit))
    }

    /// Whether the password for becoming root was given already.
    async fn was_told(&self) -> bool {
        match ask::wallet() {
            Some(wallet) => wallet.pocket(self.name()).lock().await.is_some(),
            None => false,
        }
    }

    /// The password for becoming root: as it was given before, unless that was `refused`, or asked for now.
    async fn password(&self, how: Elevate, refused: Option<&Secret>) -> Result<Secret, ReachError> {
        let whose = match how {
            Elevate::Su => "root's password".to_owned(),
            _ => format!("the password for {how}"),
        };
        let mut question = Question::secret(
            QuestionKind::Elevate,
            self.name(),
            format!("{} wants {whose}", self.name()),
            "Password",
        );
        if refused.is_some() {
            question.lines.push("That was not it.".into());
        }
        let unanswered = |why: Unanswered| ReachError::Unanswered {
            hop: self.name().to_owned(),
            wants: question.wants().into(),
            reason: why.to_string(),
        };
        let wallet = ask::wallet().ok_or_else(|| unanswered(Unanswered::Unattended))?;
        let operators = self.link.operators();
        let operators = operators.ok_or_else(|| unanswered(Unanswered::Nobody))?;
        let pocket = wallet.pocket(self.name());
        let mut kept = pocket.lock().await;
        if let Some(password) = &*kept
            && refused != Some(password)
        {
            return Ok(password.clone());
        }
        *kept = None;
        match operators.ask(question.clone()).await {
            Ok(QuestionAnswer::Filled(mut filled)) if !filled.is_empty() => {
                let password = filled.remove(0);
                *kept = Some(password.clone());
                Ok(password)
            }
            Ok(_) => Err(unanswered(Unanswered::Dismissed)),
            Err(why) => Err(unanswered(why)),
        }
    }
}

/// What became of one attempt to run a command.
enum Tried {
    /// It ran to its end.
    Ended(Exit),
    /// `sudo` or `doas` said this instead.
    Complaint(String),
    /// What asks for the password said this instead.
    NotBegun(String),
}

#[async_trait]
impl Host for SshHost {
    fn name(&self) -> &str {
        &self.link.name
    }

    async fn ready(&self) -> Result<(), ReachError> {
        self.link.connection().await.map(drop)
    }

    async fn stream(
        &self,
        command: &Command,
        sink: &mut dyn ChunkSink,
        cancel: &CancellationToken,
    ) -> Result<Exit, ReachError> {
        let input = command.stdin.clone().map_or(Input::Empty, Input::Bytes);
        self.run(command, input, sink, cancel).await
    }

    async fn push(
        &self,
        from: &Path,
        to: &str,
        progress: Progress<'_>,
    ) -> Result<Copied, ReachError> {
        copy::push(self, from, to, progress).await
    }

    async fn pull(
        &self,
        from: &str,
        to: &Path,
        progress: Progress<'_>,
    ) -> Result<Copied, ReachError> {
        copy::pull(self, from, to, progress).await
    }

    async fn tree(&self, path: &str) -> Result<Vec<TreeEntry>, ReachError> {
        copy::tree(self, path).await
    }

    async fn is_directory(&self, path: &str) -> Result<bool, ReachError> {
        copy::is_directory(self, path).await
    }

    async fn make_directory(&self, path: &str) -> Result<(), ReachError> {
        copy::make_directory(self, path).await
    }

    async fn terminal(
        &self,
        spec: &TerminalSpec,
        input: mpsc::Receiver<TerminalInput>,
        output: mpsc::Sender<TerminalOutput>,
        cancel: &CancellationToken,
    ) -> Result<Exit, ReachError> {
        let hop = self.name();
        let (connection, opened) = tokio::select! {
            biased;
            () = cancel.cancelled() => {
                return Err(ReachError::Cancelled { hop: hop.to_owned() });
            }
            // Whoever asked has gone before there was anything to show.
            () = output.closed() => {
                return Err(ReachError::Cancelled { hop: hop.to_owned() });
            }
            opened = self.link.open_session() => opened?,
        };
        shell::run(&connection, opened, hop, spec, input, output, cancel).await
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, ReachError> {
        files::read(self, path).await
    }

    async fn write(
        &self,
        path: &str,
        source: Source,
        meta: &FileMeta,
        progress: Progress<'_>,
        cancel: &CancellationToken,
    ) -> Result<(), ReachError> {
        files::write(self, path, source, meta, progress, cancel).await
    }
}
