//! What happens when a client asks a simulated node to run something.
//!
//! A client sends one line; the login shell reads it ([`syntax`]), carries it out ([`interpret`]) and starts programs,
//! which are functions here. They look at and change the [`World`], write to streams, take their time, and end with a
//! status. Dropping the future of a command ends it, as a signal would.

mod accounts;
mod consul;
mod deb;
mod files;
mod interpret;
pub(crate) mod io;
mod packages;
mod syntax;
mod system;
mod systemd;
mod text;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use jiff::Timestamp;

use self::io::Io;
use super::world::World;
use super::world::node::NodeState;

pub(crate) use self::deb::write as write_deb;
pub(crate) use self::files::{name_of, number_of};
pub(crate) use self::packages::{contents as package_contents, set_up};

/// Where a process runs and what it has at hand.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) world: Arc<World>,
    pub(crate) node: String,
    pub(crate) user: String,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) io: Io,
    umask: u32,
    depth: u32,
    commands: Arc<AtomicU32>,
}

/// What a program that needs no time says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    out: Vec<u8>,
    err: String,
    status: u32,
}

impl Said {
    fn out(text: impl Into<Vec<u8>>) -> Self {
        Self {
            out: text.into(),
            ..Self::default()
        }
    }

    fn status(status: u32) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    fn err(status: u32, text: impl std::fmt::Display) -> Self {
        Self {
            err: format!("{text}\n"),
            status,
            ..Self::default()
        }
    }

    /// Notes a complaint and goes on; the status will be 1.
    fn complain(&mut self, text: impl std::fmt::Display) {
        self.err.push_str(&text.to_string());
        self.err.push('\n');
        self.status = 1;
    }
}

/// Adds formatted text.
fn push(text: &mut String, piece: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = std::fmt::Write::write_fmt(text, piece);
}

/// A program that needs no time: arguments, node, now.
type Instant = fn(&[String], &mut NodeState, Timestamp) -> Said;

impl Context {
    /// The context of a fresh login.
    pub(crate) fn new(world: Arc<World>, node: String, user: String, io: Io) -> Self {
        let home = if user == "root" {
            "/root".to_owned()
        } else {
            format!("/home/{user}")
        };
        let env = BTreeMap::from([
            ("HOME".to_owned(), home),
            ("USER".to_owned(), user.clone()),
            ("PATH".to_owned(), "/usr/sbin:/usr/bin".to_owned()),
        ]);
        Self {
            world,
            node,
            user,
            env,
            io,
            umask: 0o022,
            depth: 0,
            commands: Arc::default(),
        }
    }

    /// Runs a line as the login shell does and returns its exit status.
    pub(crate) async fn run_line(&self, line: &str) -> u32 {
        interpret::run(line, vec!["sh".into()], self).await
    }

    fn look<T>(
        &self,
        look: impl FnOnce(&NodeState, Timestamp) -> Result<T, super::world::files::FsError>,
    ) -> Result<T, super::world::files::FsError> {
        let now = self.world.now();
        self.world
            .look(&self.node, |node| look(node, now))
            .unwrap_or(Err(super::world::files::FsError::NotFound))
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut NodeState, Timestamp) -> Result<T, super::world::files::FsError>,
    ) -> Result<T, super::world::files::FsError> {
        self.world
            .change(&self.node, change)
            .unwrap_or(Err(super::world::files::FsError::NotFound))
    }

    async fn print(&self, text: impl Into<Vec<u8>>) -> u32 {
        let text = text.into();
        if text.is_empty() {
            return 0;
        }
        match self.io.out.write(Bytes::from(text)).await {
            Ok(()) => 0,
            Err(error) => {
                self.complain(&format!("write error: {error}")).await;
                1
            }
        }
    }

    async fn complain(&self, text: &str) {
        let line = format!("{}\n", text.trim_end_matches('\n'));
        // There is nowhere left to complain to when this fails.
        let _ = self.io.err.write(Bytes::from(line)).await;
    }

    async fn say(&self, said: Said) -> u32 {
        let written = self.print(said.out).await;
        if !said.err.is_empty() {
            self.complain(&said.err).await;
        }
        if said.status == 0 {
            written
        } else {
            said.status
        }
    }

    async fn pause(&self, milliseconds: u64) {
        self.world.pause(Duration::from_millis(milliseconds)).await;
    }

    fn begin_count(&self) {
        self.commands.store(0, Ordering::Relaxed);
    }

    fn count_command(&self) -> u32 {
        self.commands.fetch_add(1, Ordering::Relaxed)
    }
}

/// Runs one program by its argument vector.
fn dispatch<'a>(argv: &'a [String], context: &'a mut Context) -> BoxFuture<'a, u32> {
    Box::pin(async move {
        let Some(program) = argv.first() else {
            return 0;
        };
        let name = program.rsplit('/').next().unwrap_or(program);
        let instant = files::find(name)
            .or_else(|| system::find(name))
            .or_else(|| packages::find(name))
            .or_else(|| accounts::find(name));
        if let Some((changes, run)) = instant {
            let world = Arc::clone(&context.world);
            let said = world.act(&context.node, changes, |node, now| {
                run(&argv[1..], node, now)
            });
            return match said {
                Some(said) => context.say(said).await,
                None => 255,
            };
        }
        let arguments = &argv[1..];
        match name {
            "sh" | "bash" | "dash" => shell(arguments, context).await,
            "sudo" | "env" | "nohup" | "nice" | "timeout" | "setsid" => {
                system::wrapped(name, arguments, context).await
            }
            "sleep" => system::sleep(arguments, context).await,
            "reboot" | "shutdown" => system::reboot(context).await,
            "id" | "whoami" => {
                let said = match arguments {
                    [flags, other] if name == "id" => context
                        .world
                        .look(&context.node, |node| accounts::id(flags, other, node))
                        .unwrap_or_default(),
                    _ => system::identity(name, arguments, &context.user),
                };
                context.say(said).await
            }
            "printenv" => {
                let said = system::environment(arguments, &context.env);
                context.say(said).await
            }
            "command" | "which" => system::locate(arguments, context).await,
            "cat" | "wc" | "head" | "tail" | "grep" | "tee" | "sha256sum" | "sort" | "tr"
            | "cut" => text::run(name, arguments, context).await,
            "dpkg" => packages::dpkg(arguments, context).await,
            "apt-get" | "apt" => packages::apt(arguments, context).await,
            "systemctl" => systemd::systemctl(arguments, context).await,
            "journalctl" => systemd::journalctl(arguments, context).await,
            "consul" => consul::run(arguments, context).await,
            _ => {
                context
                    .complain(&format!("sh: 1: {program}: not found"))
                    .await;
                127
            }
        }
    })
}

/// In the environment of every command that a run begins; a script that speaks of it looks through `/proc` for those left.
const JOB_MARK: &str = "QUARTERDECK_JOB=";

/// Which commands of a run are left: none, as whatever was begun over a connection ends with it here. Before them come the
/// ticks of a second and the time of the boot.
async fn jobs(context: &Context) -> u32 {
    match context.look(|node, _| Ok(node.booted_at.as_second())) {
        Ok(booted) => context.say(Said::out(format!("100\n{booted}\n"))).await,
        Err(error) => context.say(Said::err(2, error)).await,
    }
}

async fn shell(arguments: &[String], context: &Context) -> u32 {
    let mut rest = arguments;
    while let Some(flags) = rest.first().filter(|flag| flag.starts_with('-')) {
        rest = &rest[1..];
        if flags.contains('c') {
            let Some(script) = rest.first() else {
                context.complain("sh: 0: -c requires an argument").await;
                return 2;
            };
            let mut parameters = rest[1..].to_vec();
            if parameters.is_empty() {
                parameters.push("sh".into());
            }
            if script.contains(JOB_MARK) {
                return jobs(context).await;
            }
            return interpret::run(script, parameters, context).await;
        }
    }
    let script = match rest.first() {
        Some(file) => match context.look(|node, now| node.read(file, now)) {
            Ok(script) => script,
            Err(error) => {
                context
                    .complain(&format!("sh: 0: cannot open {file}: {error}"))
                    .await;
                return 2;
            }
        },
        None => context.io.stdin.read_all().await,
    };
    let script = String::from_utf8_lossy(&script).into_owned();
    let parameters = if rest.is_empty() {
        vec!["sh".to_owned()]
    } else {
        rest.to_vec()
    };
    interpret::run(&script, parameters, context).await
}
