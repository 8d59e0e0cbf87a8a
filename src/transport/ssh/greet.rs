//! The client's end of a connection as russh sees it: is the host key good, and why did it end.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use russh::client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelId, ChannelOpenFailure, Names};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use super::asker::Asker;
use super::known_hosts::{self, Pin, Pins, Verdict};
use super::way::{Strict, Target};
use super::{host_cert, tame};
use crate::domain::question::{Question, QuestionAnswer, QuestionKind};
use crate::transport::ReachError;
use crate::transport::ask::Unanswered;

/// More of a banner than anybody reads, characters.
const BANNER: usize = 400;

/// What became of a connection, for everyone who holds a part of it.
#[derive(Debug, Default)]
pub(super) struct Fate {
    ended: CancellationToken,
    reason: OnceLock<String>,
    refusal: Mutex<Option<ReachError>>,
    closed_door: Mutex<Option<String>>,
    trust: Mutex<String>,
    algorithms: Mutex<String>,
    banner: Mutex<String>,
}

impl Fate {
    /// Why the host key was refused, if it was.
    pub(super) fn refusal(&self) -> Option<ReachError> {
        lock(&self.refusal).take()
    }

    /// What the server said when it last refused to open a channel.
    pub(super) fn closed_door(&self) -> Option<String> {
        lock(&self.closed_door).take()
    }

    /// Why the host key is trusted.
    pub(super) fn trust(&self) -> String {
        lock(&self.trust).clone()
    }

    /// What the key exchange agreed on.
    pub(super) fn algorithms(&self) -> String {
        lock(&self.algorithms).clone()
    }

    /// What the host said to whoever comes, before letting anybody in.
    pub(super) fn banner(&self) -> String {
        lock(&self.banner).clone()
    }

    /// Why the connection ended, in one sentence; waits a moment for the reason, which may come after the end.
    pub(super) async fn reason(&self) -> String {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.ended.cancelled()).await;
        self.reason
            .get()
            .cloned()
            .unwrap_or_else(|| "it ended without a word".into())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at the host key and takes note of the end.
pub(super) struct Greeter {
    /// Whom it greets.
    pub(super) target: Arc<Target>,
    /// What is pinned for it.
    pub(super) pins: Pins,
    /// Who wants to know.
    pub(super) fate: Arc<Fate>,
    /// Who can be asked.
    pub(super) asker: Arc<Asker>,
}

impl Greeter {
    fn changed(&self, offered: &str, pin: &Pin) -> ReachError {
        ReachError::HostKeyChanged {
            hop: self.target.name.clone(),
            known: known_hosts::fingerprint(&pin.key),
            offered: offered.to_owned(),
            file: pin.file.clone(),
            line: pin.line,
        }
    }

    fn revoked(&self, offered: &str, pin: &Pin) -> ReachError {
        ReachError::HostKeyRevoked {
            hop: self.target.name.clone(),
            revoked: known_hosts::fingerprint(&pin.key),
            offered: offered.to_owned(),
            file: pin.file.clone(),
            line: pin.line,
        }
    }

    /// Refuses what the host shows, or says why it is trusted.
    async fn judge(&mut self, shown: &PublicKeyOrCertificate) -> Result<String, ReachError> {
        let key = shown.public_key();
        let offered = known_hosts::fingerprint(&key);
        let mut spoilt = None;
        if let Some(certificate) = shown.certificate() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.map_or(0, |since| since.as_secs());
            let (name, _) = self.target.filed();
            match host_cert::judge(certificate, name, now, &self.pins) {
                Ok(pin) => {
                    return Ok(format!(
                        "certificate {:?} of {offered}, signed by the authority of {}:{}, valid until {}",
                        tame(certificate.key_id()),
                        pin.file.display(),
                        pin.line,
                        host_cert::day(certificate.valid_before()),
                    ));
                }
                Err(host_cert::Refused::Revoked(pin)) => {
                    return Err(self.revoked(&offered, pin));
                }
                // As in OpenSSH the bare key may still be pinned.
                Err(host_cert::Refused::Useless(reason)) => spoilt = Some(reason),
            }
        }
        match self.pins.verdict(&key) {
            Verdict::Known(pin) if pin.line == 0 => {
                return Ok(format!("{offered}, accepted just now"));
            }
            Verdict::Known(pin) => {
                return Ok(format!(
                    "{offered}, pinned in {}:{}",
                    pin.file.display(),
                    pin.line
                ));
            }
            Verdict::Changed(pin) => {
                return Err(self.changed(&offered, pin));
            }
            Verdict::Revoked(pin) => {
                return Err(self.revoked(&offered, pin));
            }
            Verdict::Unknown => {}
        }
        if let Some(reason) = spoilt {
            return Err(ReachError::HostCertificate {
                hop: self.target.name.clone(),
                offered,
                reason,
            });
        }
        self.meet(key, offered).await
    }

    /// Pins a key that is not known, if it is accepted, or refuses it.
    async fn meet(&mut self, key: PublicKey, offered: String) -> Result<String, ReachError> {
        let (name, port) = self.target.filed();
        let entry = known_hosts::line_for(name, port, &key, *self.target.hash_names);
        let file = self.target.for_new_keys.clone().unwrap_or_default();
        let refused = || ReachError::HostKeyUnknown {
            hop: self.target.name.clone(),
            offered: offered.clone(),
            file: file.clone(),
            entry: entry.clone(),
        };
        if self.target.for_new_keys.is_none() {
            return Err(refused());
        }
        match *self.target.strict {
            Strict::Yes => return Err(refused()),
            Strict::AcceptNew => {}
            Strict::Ask => {
                let question = self.question(&key, &offered, &file);
                let wants = question.wants();
                match self.asker.ask(question).await {
                    Ok(QuestionAnswer::Yes) => {}
                    Err(Unanswered::Unattended) => {
                        return Err(ReachError::Unanswered {
                            hop: self.target.name.clone(),
                            wants: wants.into(),
                            reason: format!("{}; {}", Unanswered::Unattended, refused()),
                        });
                    }
                    Ok(_) | Err(_) => return Err(refused()),
                }
            }
        }
        let path = file.clone();
        let written = tokio::task::spawn_blocking(move || known_hosts::append(&path, &entry)).await;
        let written = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        if let Err(error) = written {
            return Err(ReachError::File {
                hop: self.target.name.clone(),
                path: file.display().to_string(),
                reason: format!("cannot pin the new host key {offered}: {error}"),
            });
        }
        self.pins.accept(&file, key);
        Ok(format!("{offered}, new, pinned in {}", file.display()))
    }
}

impl Greeter {
    fn question(&self, key: &PublicKey, offered: &str, file: &Path) -> Question {
        Question {
            kind: QuestionKind::HostKey,
            host: self.target.name.clone(),
            title: format!("Is this really {}?", self.target.name),
            lines: vec![
                format!("The host at {} is not known.", self.target.place()),
                format!("It shows the {} key", key.algorithm().as_str()),
                offered.to_owned(),
                "Compare this with what the machine itself says, on its console:".into(),
                "for f in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $f; done".into(),
                format!(
                    "A yes pins the key in {}.",
                    tame(&file.display().to_string())
                ),
            ],
            prompts: Vec::new(),
        }
    }
}

impl Handler for Greeter {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        offered: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        match self.judge(offered).await {
            Ok(trust) => {
                *lock(&self.fate.trust) = trust;
                Ok(true)
            }
            Err(refusal) => {
                *lock(&self.fate.refusal) = Some(refusal);
                Ok(false)
            }
        }
    }

    async fn kex_done(
        &mut self,
        _shared_secret: Option<&[u8]>,
        names: &Names,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let (kex, cipher) = (names.kex.as_ref(), names.cipher.as_ref());
        *lock(&self.fate.algorithms) = format!("{kex}, {}, {cipher}", names.key.as_str());
        Ok(())
    }

    async fn auth_banner(
        &mut self,
        banner: &str,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let mut said = lock(&self.fate.banner);
        let room = BANNER.saturating_sub(said.len());
        said.extend(tame(banner).chars().take(room));
        Ok(())
    }

    async fn channel_open_failure(
        &mut self,
        _channel: ChannelId,
        _reason: ChannelOpenFailure,
        description: &str,
        _language: &str,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        *lock(&self.fate.closed_door) = Some(tame(description));
        Ok(())
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<Self::Error>,
    ) -> Result<(), Self::Error> {
        let (reason, result) = match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                (format!("the host says: {}", tame(&info.message)), Ok(()))
            }
            DisconnectReason::Error(error) => (explain(&error), Err(error)),
        };
        // The first reason stands.
        let _ = self.fate.reason.set(reason);
        self.fate.ended.cancel();
        result
    }

    // A client that asked for no forwarding gets no channels from the server: dropping `reply` refuses them. The agent's is
    // the exception.

    async fn server_channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    /// A program on the host wants to talk to the agent: only where that was allowed.
    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some(socket) = self.target.forward_agent.value.clone() else {
            return Ok(());
        };
        let Ok(mut agent) = UnixStream::connect(&socket).await else {
            return Ok(());
        };
        reply.accept().await;
        let ended = self.fate.ended.clone();
        tokio::spawn(async move {
            let mut channel = channel.into_stream();
            let talk = tokio::io::copy_bidirectional(&mut channel, &mut agent);
            // Either end may leave in the middle of a word; nobody is waiting to hear of it.
            let _ = ended.run_until_cancelled(talk).await;
        });
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _connected_address: &str,
        _connected_port: u32,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _socket_path: &str,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _host_to_connect: &str,
        _port_to_connect: u32,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _socket_path: &str,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _channel: Channel<Msg>,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// russh's errors in words that say what happened to the host, not to the protocol.
pub(super) fn explain(error: &russh::Error) -> String {
    use russh::Error as E;
    match error {
        E::Disconnect | E::HUP | E::RecvError | E::SendError => {
            "the host closed the connection".into()
        }
        E::KeepaliveTimeout => "the host gave no sign of life".into(),
        E::Version => "it does not speak SSH 2".into(),
        E::IO(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the host closed the connection".into()
        }
        E::IO(error) => tame(&error.to_string()),
        E::NoCommonAlgo { kind, theirs, .. } => {
            let theirs = tame(&theirs.join(", "));
            format!("no common {kind:?} algorithm; it offers {theirs}").to_lowercase()
        }
        other => tame(&other.to_string()),
    }
}
