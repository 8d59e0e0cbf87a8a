//! One SSH connection: made, greeted, let in, and shared by everything that is done on the host.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use russh::client::{self, Handle, Msg};
use russh::keys::Algorithm;
use russh::{Channel, ChannelOpenFailure, Preferred};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::asker::Asker;
use super::auth::Door;
use super::greet::{Fate, Greeter, explain};
use super::identities::KeyRing;
use super::known_hosts::Pins;
use super::proxy::Program;
use super::slots::{Slot, Slots};
use super::trail::Trail;
use super::way::Target;
use super::{SshSettings, auth, tame};
use crate::domain::reach::StageName;
use crate::transport::ReachError;

/// How often a refused session is asked for again when none of ours is in its way.
const ASK_AGAIN: [Duration; 7] = [
    Duration::from_millis(20),
    Duration::from_millis(60),
    Duration::from_millis(200),
    Duration::from_millis(600),
    // What gave its session up has a second to notice, and is then swept up after, in a session of its own.
    Duration::from_millis(1500),
    Duration::from_millis(1500),
    Duration::from_millis(1500),
];

/// A connection that has been let in.
pub(super) struct Connection {
    handle: Handle<Greeter>,
    fate: Arc<Fate>,
    slots: Arc<Slots>,
    target: Arc<Target>,
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
            .field("name", &self.name())
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
    /// Connects to `target`, over `through` if given, and logs in. What happens on the way is noted in `trail`.
    pub(super) async fn make(
        target: Target,
        through: Option<Arc<Self>>,
        settings: &SshSettings,
        keys: &KeyRing,
        trail: &Trail,
    ) -> Result<Self, ReachError> {
        let target = Arc::new(target);
        // Before connecting: the agent may be slow, and servers do not wait long.
        let candidates = auth::candidates(&target, settings).await;
        let fate = Arc::new(Fate::default());
        let asker = Arc::new(Asker::of(settings));
        let (greeter, config) = greeting(&target, &fate, &asker).await?;
        let limit = *target.connect;
        let handshake = settings.handshake.max(limit);
        let shaken = match (&through, &target.proxy) {
            (None, Some(line)) => {
                let program = Program::start(&target, line)
                    .inspect_err(|error| trail.failed(StageName::Connect, error))?;
                trail.done(StageName::Connect, format!("by {}", program.name()));
                let (stream, words) = program.stream();
                let shaken = shake_hands(&target, stream, greeter, config, handshake, trail).await;
                match shaken {
                    Err(error) => Err(words.told_with(error).await),
                    shaken => shaken,
                }
            }
            (None, None) => {
                let stream = dial(&target, limit, trail).await?;
                shake_hands(&target, stream, greeter, config, handshake, trail).await
            }
            (Some(jump), _) => {
                let stream = jump.forward(&target, limit).await;
                let stream = stream.inspect_err(|error| trail.failed(StageName::Connect, error))?;
                trail.done(StageName::Connect, format!("through {}", jump.name()));
                shake_hands(&target, stream, greeter, config, handshake, trail).await
            }
        };
        let mut handle = shaken?;
        let door = Door {
            target: &target,
            keys,
            asker: &asker,
            fate: &fate,
        };
        let login = door.log_in(&mut handle, candidates);
        let let_in = asker.patience.within(settings.login, login).await;
        let let_in = let_in.unwrap_or_else(|| {
            Err(ReachError::Timeout {
                hop: target.name.clone(),
                what: "logging in".into(),
                limit: settings.login,
            })
        });
        match let_in {
            Ok(by) => trail.done(StageName::Login, format!("{} by {by}", *target.user)),
            Err(error) => {
                trail.failed(StageName::Login, &error);
                return Err(error);
            }
        }
        Ok(Self {
            handle,
            fate,
            slots: Slots::new(),
            target,
            forwarding: AtomicUsize::new(0),
            without_sftp: AtomicBool::new(false),
            _through: through,
        })
    }

    /// To whom.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    fn name(&self) -> &str {
        &self.target.name
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
                Ok(channel) => {
                    self.lend_agent(&channel).await;
                    return Ok(Opened { channel, slot });
                }
                Err(russh::Error::ChannelOpenFailure(reason)) => {
                    if !self.slots.refuse(slot) {
                        // None of ours is in the way; the server may not have noticed yet that one has ended.
                        let Some(pause) = patience.next() else {
                            return Err(ReachError::Refused {
                                hop: self.name().to_owned(),
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

    /// Lets what runs over `channel` use the agent, where that is allowed. A host that does not want to is none the worse.
    async fn lend_agent(&self, channel: &Channel<Msg>) {
        if self.target.forward_agent.is_some() {
            let _ = channel.agent_forward(false).await;
        }
    }

    /// The error of whoever was using it when it ended.
    pub(super) async fn lost(&self) -> ReachError {
        ReachError::Lost {
            hop: self.name().to_owned(),
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
        let port = u32::from(*target.port);
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
                hop: self.name().to_owned(),
                reason: "its SSH server does not permit forwarding (AllowTcpForwarding), so it cannot be a jump host"
                    .into(),
            }
            .on_the_way_to(&target.name)),
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => {
                // The server's words do not say which channel they belong to; they do when there was only one.
                tokio::task::yield_now().await;
                let words = self.fate.closed_door().filter(|words| alone && !words.is_empty());
                let words = words.unwrap_or_else(|| door(&reason));
                Err(target.unreachable(format!("{} says: {words}", self.name())))
            }
            Ok(Err(_)) => Err(self.lost().await.on_the_way_to(&target.name)),
            Err(_) => Err(target.unreachable(format!(
                "{} has no connection to it within {limit:?}",
                self.name()
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
async fn dial(target: &Target, limit: Duration, trail: &Trail) -> Result<TcpStream, ReachError> {
    let until = Instant::now() + limit;
    let address = target.address.trim_matches(['[', ']']);
    let unknown = |reason: String| ReachError::Resolve {
        hop: target.name.clone(),
        address: target.address.value.clone(),
        reason,
    };
    let looked_up = timeout_at(until, tokio::net::lookup_host((address, *target.port))).await;
    let found = looked_up
        .map_err(|_| unknown(format!("no answer within {limit:?}")))
        .and_then(|found| found.map_err(|error| unknown(error.to_string())))
        .map(Iterator::collect::<Vec<SocketAddr>>)
        .inspect_err(|error| trail.failed(StageName::Resolve, error))?;
    let places: Vec<String> = found.iter().map(|place| place.ip().to_string()).collect();
    trail.done(StageName::Resolve, places.join(", "));
    let mut failure = unknown("the name has no addresses".into());
    for (index, place) in found.iter().enumerate() {
        // What is left is shared fairly, so that one address that swallows packets does not use it all up.
        let left = until.saturating_duration_since(Instant::now());
        let others = u32::try_from(found.len() - index).unwrap_or(u32::MAX);
        failure = match timeout(left / others, TcpStream::connect(place)).await {
            Ok(Ok(stream)) => {
                // Requests are small and somebody waits for each of them.
                let _ = stream.set_nodelay(true);
                trail.done(StageName::Connect, place.to_string());
                return Ok(stream);
            }
            Ok(Err(error)) => target.unreachable(plain(&error)),
            Err(_) => target.unreachable(format!("no answer within {limit:?}")),
        };
    }
    trail.failed(StageName::Connect, &failure);
    Err(failure)
}

/// The system's words without its error number.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    words.to_lowercase()
}

/// What the files pin for `target`.
///
/// # Errors
/// [`ReachError::Refused`] when the list of revoked keys cannot be read: then no key can be trusted.
async fn pins(target: &Target) -> Result<Pins, ReachError> {
    let (name, port) = target.filed();
    let mut pins = Pins::default();
    for file in &target.known_hosts {
        // A file that is not there pins nothing, which refuses the host.
        if let Ok(bytes) = tokio::fs::read(&file.value).await {
            let text = String::from_utf8_lossy(&bytes);
            pins.read(&text, &file.value, name, port);
        }
    }
    for file in &target.revoked {
        let text = tokio::fs::read_to_string(&file.value).await;
        let text = text.map_err(|error| error.to_string());
        let read = text.and_then(|text| pins.revoke(&text, &file.value));
        read.map_err(|reason| ReachError::Refused {
            hop: target.name.clone(),
            reason: format!(
                "no host key can be trusted: RevokedHostKeys {} ({}): {reason}",
                file.value.display(),
                file.from
            ),
        })?;
    }
    Ok(pins)
}

async fn greeting(
    target: &Arc<Target>,
    fate: &Arc<Fate>,
    asker: &Arc<Asker>,
) -> Result<(Greeter, client::Config), ReachError> {
    let pins = pins(target).await?;
    let accepted: Vec<Algorithm> = Preferred::DEFAULT
        .key
        .iter()
        // Signatures over SHA-1 prove nothing any more (RFC 8332).
        .filter(|algorithm| !matches!(algorithm, Algorithm::Rsa { hash: None }))
        .cloned()
        .collect();
    // A host that has a certificate shows it only to those who ask for one.
    let certificates = if pins.has_authority() {
        accepted.clone()
    } else {
        Vec::new()
    };
    let config = client::Config {
        preferred: Preferred {
            key: Cow::Owned(pins.prefer(&accepted)),
            host_key_certificates: Cow::Owned(certificates),
            ..Preferred::DEFAULT
        },
        keepalive_interval: Some(*target.keepalive),
        keepalive_max: *target.keepalive_most,
        ..client::Config::default()
    };
    let greeter = Greeter {
        target: Arc::clone(target),
        pins,
        fate: Arc::clone(fate),
        asker: Arc::clone(asker),
    };
    Ok((greeter, config))
}

async fn shake_hands<S>(
    target: &Target,
    stream: S,
    greeter: Greeter,
    config: client::Config,
    limit: Duration,
    trail: &Trail,
) -> Result<Handle<Greeter>, ReachError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (fate, asker) = (Arc::clone(&greeter.fate), Arc::clone(&greeter.asker));
    let connecting = client::connect_stream(Arc::new(config), stream, greeter);
    let shaken = asker.patience.within(limit, connecting);
    let error = match shaken.await {
        Some(Ok(handle)) => {
            trail.done(StageName::KeyExchange, fate.algorithms());
            trail.done(StageName::HostKey, fate.trust());
            return Ok(handle);
        }
        Some(Err(error)) => {
            if let Some(refusal) = fate.refusal() {
                trail.failed(StageName::HostKey, &refusal);
                return Err(refusal);
            }
            target.silent(explain(&error))
        }
        None => target.silent(format!("nothing useful within {limit:?}")),
    };
    trail.failed(StageName::KeyExchange, &error);
    Err(error)
}
