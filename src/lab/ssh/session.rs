//! One SSH connection: who may log in, and what each channel does.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use russh::keys::PublicKey;
use russh::server::{
    Auth, ChannelOpenHandle, Handle, Handler, Msg, PublicKeyOffer, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Pty, Sig};

use super::sftp::Sftp;
use super::terminal::{Login, Size};
use crate::lab::shell::Context;
use crate::lab::shell::io::{Io, Pipe, Write};
use crate::lab::world::World;
use crate::lab::world::files::FsError;

/// Channels of one connection that may be open at a time, as `MaxSessions`.
const CHANNEL_LIMIT: usize = 100;
/// Environment variables that one channel may set.
const ENV_LIMIT: usize = 64;
/// The longest command line.
const LINE_LIMIT: usize = 256 * 1024;

pub(super) struct Session {
    world: Arc<World>,
    node: String,
    client: PublicKey,
    user: String,
    waiting: HashMap<ChannelId, Waiting>,
}

/// A channel that has not been told what to do yet.
struct Waiting {
    channel: Channel<Msg>,
    env: BTreeMap<String, String>,
    /// The terminal that was asked for.
    terminal: Option<Size>,
}

impl Session {
    pub(super) fn new(world: Arc<World>, node: String, client: PublicKey) -> Self {
        Self {
            world,
            node,
            client,
            user: String::new(),
            waiting: HashMap::new(),
        }
    }

    fn knows(&self, user: &str, key: &PublicKey) -> bool {
        matches!(user, "root" | "ubuntu") && key.key_data() == self.client.key_data()
    }
}

impl Handler for Session {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        key: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(verdict(self.knows(user, key.public_key)))
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let known = self.knows(user, key.public_key);
        if known {
            user.clone_into(&mut self.user);
        }
        Ok(verdict(known))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        // Dropping the reply refuses the channel.
        if self.waiting.len() < CHANNEL_LIMIT {
            let waiting = Waiting {
                channel,
                env: BTreeMap::new(),
                terminal: None,
            };
            self.waiting.insert(waiting.channel.id(), waiting);
            reply.accept().await;
        }
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        self.waiting.remove(&channel);
        Ok(())
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        match self.waiting.get_mut(&channel) {
            Some(waiting) if waiting.env.len() < ENV_LIMIT => {
                waiting.env.insert(name.to_owned(), value.to_owned());
                session.channel_success(channel)
            }
            _ => session.channel_failure(channel),
        }
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        columns: u32,
        rows: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        match self.waiting.get_mut(&channel) {
            Some(waiting) => {
                waiting.terminal = Some((columns, rows));
                session.channel_success(channel)
            }
            None => session.channel_failure(channel),
        }
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        let terminal = |waiting: &Waiting| waiting.terminal;
        let Some(size) = self.waiting.get(&channel).and_then(terminal) else {
            return session.channel_failure(channel);
        };
        let Some(waiting) = self.waiting.remove(&channel) else {
            return session.channel_failure(channel);
        };
        session.channel_success(channel)?;
        let (reads, writes) = waiting.channel.split();
        let login = Login {
            world: Arc::clone(&self.world),
            node: self.node.clone(),
            user: self.user.clone(),
            size,
            reads,
            writes: Arc::new(writes),
        };
        tokio::spawn(login.run());
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        line: &[u8],
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        let Some(waiting) = self
            .waiting
            .remove(&channel)
            .filter(|_| line.len() <= LINE_LIMIT)
        else {
            return session.channel_failure(channel);
        };
        session.channel_success(channel)?;
        let line = String::from_utf8_lossy(line).into_owned();
        let (reads, writes) = waiting.channel.split();
        let process = Process {
            reads,
            writes: Arc::new(writes),
            handle: session.handle(),
        };
        let login = (
            Arc::clone(&self.world),
            self.node.clone(),
            self.user.clone(),
        );
        tokio::spawn(process.run(line, login, waiting.env));
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        let Some(waiting) = self.waiting.remove(&channel).filter(|_| name == "sftp") else {
            return session.channel_failure(channel);
        };
        session.channel_success(channel)?;
        let sftp = Sftp::new(Arc::clone(&self.world), self.node.clone());
        // Runs in a task of its own, which ends with the channel.
        russh_sftp::server::run(waiting.channel.into_stream(), sftp).await;
        Ok(())
    }
}

fn verdict(known: bool) -> Auth {
    if known { Auth::Accept } else { Auth::reject() }
}

/// A command that runs in a channel.
struct Process {
    reads: ChannelReadHalf,
    writes: Arc<ChannelWriteHalf<Msg>>,
    handle: Handle,
}

/// How it ended.
enum End {
    Status(u32),
    Signal(Sig),
    /// The client closed the channel, or the connection is gone.
    Gone,
}

impl Process {
    async fn run(
        mut self,
        line: String,
        (world, node, user): (Arc<World>, String, String),
        env: BTreeMap<String, String>,
    ) {
        let stdin = Arc::new(Pipe::default());
        let sink = |extended| {
            Arc::new(ChannelSink {
                writes: Arc::clone(&self.writes),
                extended,
            })
        };
        let io = Io {
            stdin: Arc::clone(&stdin),
            out: sink(None),
            err: sink(Some(1)),
        };
        let latency = world.latency();
        let mut context = Context::new(world, node, user, io);
        context.env.extend(env);
        let work = async {
            tokio::time::sleep(latency).await;
            context.run_line(&line).await
        };
        let end = {
            let mut work = std::pin::pin!(work);
            loop {
                tokio::select! {
                    status = &mut work => break End::Status(status),
                    message = self.reads.wait() => match message {
                        Some(ChannelMsg::Data { data }) => {
                            if !stdin.push(&data) {
                                break End::Signal(Sig::KILL);
                            }
                        }
                        Some(ChannelMsg::Eof) => stdin.end(),
                        Some(ChannelMsg::Signal { signal }) if is_deadly(&signal) => {
                            break End::Signal(signal);
                        }
                        Some(ChannelMsg::Close) | None => break End::Gone,
                        Some(_) => {}
                    },
                }
            }
        };
        // Failures below mean that the client is gone, which needs no answer.
        let id = self.writes.id();
        match end {
            End::Gone => {}
            End::Status(status) => {
                let _ = self.writes.exit_status(status).await;
            }
            End::Signal(signal) => {
                let _ = self
                    .handle
                    .exit_signal_request(id, signal, false, String::new(), String::new())
                    .await;
            }
        }
        let _ = self.writes.eof().await;
        let _ = self.writes.close().await;
    }
}

fn is_deadly(signal: &Sig) -> bool {
    matches!(
        signal,
        Sig::TERM | Sig::INT | Sig::KILL | Sig::HUP | Sig::QUIT | Sig::ABRT
    )
}

/// Output into the channel; waits while the client's window is closed.
struct ChannelSink {
    writes: Arc<ChannelWriteHalf<Msg>>,
    /// 1 for standard error.
    extended: Option<u32>,
}

#[async_trait]
impl Write for ChannelSink {
    async fn write(&self, bytes: Bytes) -> Result<(), FsError> {
        let sent = match self.extended {
            None => self.writes.data_bytes(bytes).await,
            Some(kind) => self.writes.extended_data_bytes(kind, bytes).await,
        };
        // The process is about to be ended with its channel.
        sent.map_err(|_| FsError::BrokenPipe)
    }
}
