//! One SSH connection: made, greeted, let in, and shared by everything that is done on the host.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use russh::client::{self, Handle, Msg};
use russh::keys::Algorithm;
use russh::{Channel, ChannelOpenFailure, Preferred};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::greet::{Fate, Greeter, explain};
use super::identities::KeyRing;
use super::known_hosts::Pins;
use super::slots::{Slot, Slots};
use super::{SshSettings, auth, tame};
use crate::domain::node::{Node, SshAccess};
use crate::transport::ReachError;

/// Where every user's host keys are pinned by whoever keeps this machine.
const SYSTEM_KNOWN_HOSTS: &str = "/etc/ssh/ssh_known_hosts";
/// How often a refused session is asked for again when none of ours is in its way.
const ASK_AGAIN: [Duration; 5] = [
    Duration::from_millis(20),
    Duration::from_millis(60),
    Duration::from_millis(200),
    Duration::from_millis(600),
    Duration::from_millis(1500),
];

/// Whom to connect to.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// The node's name.
    pub(super) name: String,
    /// Host name or IP address.
    pub(super) address: String,
    /// How to be let in.
    pub(super) access: SshAccess,
}

impl From<&Node> for Target {
    fn from(node: &Node) -> Self {
        Self {
            name: node.name.clone(),
            address: node.address.clone(),
            access: node.ssh.clone(),
        }
    }
}

impl Target {
    /// Address and port as they are shown.
    fn place(&self) -> String {
        if self.address.contains(':') && !self.address.starts_with('[') {
            format!("[{}]:{}", self.address, self.access.port)
        } else {
            format!("{}:{}", self.address, self.access.port)
        }
    }

    fn unreachable(&self, reason: impl Into<String>) -> ReachError {
        ReachError::Connect {
            hop: self.name.clone(),
            address: self.place(),
            reason: reason.into(),
        }
    }

    fn silent(&self, reason: impl Into<String>) -> ReachError {
        ReachError::Handshake {
            hop: self.name.clone(),
            address: self.place(),
            reason: reason.into(),
        }
    }

    /// The files that pin its key, the one for new keys first.
    fn known_hosts(&self, settings: &SshSettings) -> Vec<PathBuf> {
        match (&self.access.known_hosts, &settings.home) {
            (Some(file), _) => vec![settings.expand(file)],
            (None, Some(home)) => vec![home.join(".ssh/known_hosts"), SYSTEM_KNOWN_HOSTS.into()],
            (None, None) => vec![SYSTEM_KNOWN_HOSTS.into()],
        }
    }
}

/// A connection that has been let in.
pub(super) struct Connection {
    handle: Handle<Greeter>,
    fate: Arc<Fate>,
    slots: Arc<Slots>,
    name: String,
    /// Channels being opened to other hosts.
    forwarding: AtomicUsize,
    /// Set once the host has shown that it has no SFTP.
    pub(super) without_sftp: AtomicBool,
    /// The connection that carries this one.
    _through: Option<Arc<Connection>>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("name", &self.name)
            .field("alive", &self.is_alive())
            .finish_non_exhaustive()
    }
}

/// A session channel and its place among the server's sessions.
pub(super) struct Opened {
    /// The channel.
    pub(super) channel: Channel<Msg>,
    /// To be kept as long as the channel is open.
    pub(super) slot: Slot,
}

impl Connection {
    /// Connects to `target`, over `through` if given, and logs in.
    pub(super) async fn make(
        target: &Target,
        through: Option<Arc<Self>>,
        settings: &SshSettings,
        keys: &KeyRing,
    ) -> Result<Self, ReachError> {
        // Before connecting: a person may have to be asked for a passphrase, and no server waits for that.
        let candidates = auth::candidates(target, settings, keys).await;
        let fate = Arc::new(Fate::default());
        let (greeter, config) = greeting(target, settings, &fate).await;
        let mut handle = match &through {
            None => {
                let stream = dial(target, settings.connect).await?;
                shake_hands(target, stream, greeter, config, settings.handshake).await?
            }
            Some(jump) => {
                let stream = jump.forward(target, settings.connect).await?;
                shake_hands(target, stream, greeter, config, settings.handshake).await?
            }
        };
        let login = auth::log_in(&mut handle, target, candidates, settings);
        timeout(settings.login, login).await.unwrap_or_else(|_| {
            Err(ReachError::Timeout {
                hop: target.name.clone(),
                what: "logging in".into(),
                limit: settings.login,
            })
        })?;
        Ok(Self {
            handle,
            fate,
            slots: Slots::new(),
            name: target.name.clone(),
            forwarding: AtomicUsize::new(0),
            without_sftp: AtomicBool::new(false),
            _through: through,
        })
    }

    /// Whether nothing is known to be wrong with it.
    pub(super) fn is_alive(&self) -> bool {
        !self.handle.is_closed()
    }

    /// Opens a session, waiting for a place if the server allows no more at once.
    ///
    /// # Errors
    /// [`ReachError::Lost`] when the connection has ended: nothing has been started then, and a new one may be tried.
    pub(super) async fn open_session(&self) -> Result<Opened, ReachError> {
        let mut patience = ASK_AGAIN.iter();
        loop {
            let slot = self.slots.take().await;
            match self.handle.channel_open_session().await {
                Ok(channel) => return Ok(Opened { channel, slot }),
                Err(russh::Error::ChannelOpenFailure(reason)) => {
                    if !self.slots.refuse(slot) {
                        // None of ours is in the way; the server may not have noticed yet that one has ended.
                        let Some(pause) = patience.next() else {
                            return Err(ReachError::Refused {
                                hop: self.name.clone(),
                                reason: format!("the host opens no session: {}", door(&reason)),
                            });
                        };
                        tokio::time::sleep(*pause).await;
                    }
                }
                Err(_) => return Err(self.lost().await),
            }
        }
    }

    /// The error of whoever was using it when it ended.
    pub(super) async fn lost(&self) -> ReachError {
        ReachError::Lost {
            hop: self.name.clone(),
            reason: self.fate.reason().await,
        }
    }

    /// A stream from this host to `target`.
    async fn forward(
        &self,
        target: &Target,
        limit: Duration,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static, ReachError> {
        let address = target.address.trim_matches(['[', ']']);
        let port = u32::from(target.access.port);
        let alone = self.forwarding.fetch_add(1, Ordering::Relaxed) == 0;
        let opened = timeout(
            limit,
            self.handle
                .channel_open_direct_tcpip(address, port, "127.0.0.1", 0),
        )
        .await;
        self.forwarding.fetch_sub(1, Ordering::Relaxed);
        match opened {
            Ok(Ok(channel)) => Ok(channel.into_stream()),
            Ok(Err(russh::Error::ChannelOpenFailure(
                ChannelOpenFailure::AdministrativelyProhibited,
            ))) => Err(ReachError::Refused {
                hop: self.name.clone(),
                reason: "its SSH server does not permit forwarding (AllowTcpForwarding), so it cannot be a jump host"
                    .into(),
            }
            .on_the_way_to(&target.name)),
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => {
                // The server's words do not say which channel they belong to; they do when there was only one.
                tokio::task::yield_now().await;
                let words = self.fate.closed_door().filter(|words| alone && !words.is_empty());
                let words = words.unwrap_or_else(|| door(&reason));
                Err(target.unreachable(format!("{} says: {words}", self.name)))
            }
            Ok(Err(_)) => Err(self.lost().await.on_the_way_to(&target.name)),
            Err(_) => Err(target.unreachable(format!(
                "{} has no connection to it within {limit:?}",
                self.name
            ))),
        }
    }
}

/// Why a channel was not opened, in words.
fn door(reason: &ChannelOpenFailure) -> String {
    match reason {
        ChannelOpenFailure::AdministrativelyProhibited => "prohibited".into(),
        ChannelOpenFailure::ConnectFailed => "the connection failed".into(),
        ChannelOpenFailure::UnknownChannelType => "it does not know how".into(),
        ChannelOpenFailure::ResourceShortage => "it has no room".into(),
        ChannelOpenFailure::Other { reason, .. } => tame(reason),
    }
}

/// A TCP connection to `target`: each of its addresses in turn, all of them within `limit`.
async fn dial(target: &Target, limit: Duration) -> Result<TcpStream, ReachError> {
    let until = Instant::now() + limit;
    let address = target.address.trim_matches(['[', ']']);
    let unknown = |reason: String| ReachError::Resolve {
        hop: target.name.clone(),
        address: target.address.clone(),
        reason,
    };
    let found: Vec<SocketAddr> = timeout_at(
        until,
        tokio::net::lookup_host((address, target.access.port)),
    )
    .await
    .map_err(|_| unknown(format!("no answer within {limit:?}")))?
    .map_err(|error| unknown(error.to_string()))?
    .collect();
    let mut failure = unknown("the name has no addresses".into());
    for (index, place) in found.iter().enumerate() {
        // What is left is shared fairly, so that one address that swallows packets does not use it all up.
        let left = until.saturating_duration_since(Instant::now());
        let others = u32::try_from(found.len() - index).unwrap_or(u32::MAX);
        failure = match timeout(left / others, TcpStream::connect(place)).await {
            Ok(Ok(stream)) => {
                // Requests are small and somebody waits for each of them.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => target.unreachable(plain(&error)),
            Err(_) => target.unreachable(format!("no answer within {limit:?}")),
        };
    }
    Err(failure)
}

/// The system's words without its error number.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    words.to_lowercase()
}

async fn greeting(
    target: &Target,
    settings: &SshSettings,
    fate: &Arc<Fate>,
) -> (Greeter, client::Config) {
    let files = target.known_hosts(settings);
    let mut pins = Pins::default();
    for file in &files {
        // A file that is not there pins nothing, which refuses the host.
        if let Ok(bytes) = tokio::fs::read(file).await {
            let text = String::from_utf8_lossy(&bytes);
            pins.read(&text, file, &target.address, target.access.port);
        }
    }
    let accepted: Vec<Algorithm> = Preferred::DEFAULT
        .key
        .iter()
        // Signatures over SHA-1 prove nothing any more (RFC 8332).
        .filter(|algorithm| !matches!(algorithm, Algorithm::Rsa { hash: None }))
        .cloned()
        .collect();
    let config = client::Config {
        preferred: Preferred {
            key: Cow::Owned(pins.prefer(&accepted)),
            ..Preferred::DEFAULT
        },
        keepalive_interval: Some(settings.keepalive),
        keepalive_max: 3,
        ..client::Config::default()
    };
    let greeter = Greeter {
        hop: target.name.clone(),
        address: target.address.clone(),
        port: target.access.port,
        pins,
        file: files.into_iter().next().unwrap_or_default(),
        accept_new: settings.accept_new,
        fate: Arc::clone(fate),
    };
    (greeter, config)
}

async fn shake_hands<S>(
    target: &Target,
    stream: S,
    greeter: Greeter,
    config: client::Config,
    limit: Duration,
) -> Result<Handle<Greeter>, ReachError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let fate = Arc::clone(&greeter.fate);
    let shaken = timeout(
        limit,
        client::connect_stream(Arc::new(config), stream, greeter),
    );
    match shaken.await {
        Ok(Ok(handle)) => Ok(handle),
        Ok(Err(error)) => Err(fate
            .refusal()
            .unwrap_or_else(|| target.silent(explain(&error)))),
        Err(_) => Err(target.silent(format!("nothing useful within {limit:?}"))),
    }
}
