//! The client's end of a connection as russh sees it: is the host key good, and why did it end.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use russh::client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelId, ChannelOpenFailure};
use tokio_util::sync::CancellationToken;

use super::known_hosts::{self, Pins, Verdict};
use super::tame;
use crate::transport::ReachError;

/// What became of a connection, for everyone who holds a part of it.
#[derive(Debug, Default)]
pub(super) struct Fate {
    ended: CancellationToken,
    reason: OnceLock<String>,
    refusal: Mutex<Option<ReachError>>,
    closed_door: Mutex<Option<String>>,
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
    /// The node's name.
    pub(super) hop: String,
    /// Host name or IP address, as it is filed.
    pub(super) address: String,
    /// TCP port.
    pub(super) port: u16,
    /// What is pinned for it.
    pub(super) pins: Pins,
    /// The file that a new key belongs into.
    pub(super) file: PathBuf,
    /// Whether to put it there.
    pub(super) accept_new: bool,
    /// Who wants to know.
    pub(super) fate: Arc<Fate>,
}

impl Greeter {
    /// Refuses `key`, or learns it.
    async fn judge(&mut self, key: &PublicKey) -> Result<(), ReachError> {
        let offered = known_hosts::fingerprint(key);
        let changed = |known: String, file: &PathBuf, line| ReachError::HostKeyChanged {
            hop: self.hop.clone(),
            known,
            offered: offered.clone(),
            file: file.clone(),
            line,
        };
        match self.pins.verdict(key) {
            Verdict::Known => return Ok(()),
            Verdict::Changed(pin) => {
                let known = known_hosts::fingerprint(&pin.key);
                return Err(changed(known, &pin.file, pin.line));
            }
            Verdict::Revoked(pin) => {
                let known = format!("{offered} as revoked");
                return Err(changed(known, &pin.file, pin.line));
            }
            Verdict::Unknown => {}
        }
        let entry = known_hosts::line_for(&self.address, self.port, key);
        if !self.accept_new {
            return Err(ReachError::HostKeyUnknown {
                hop: self.hop.clone(),
                offered,
                file: self.file.clone(),
                entry,
            });
        }
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || known_hosts::append(&file, &entry)).await;
        match written {
            Ok(Ok(())) => {
                self.pins.accept(&self.file, key.clone());
                Ok(())
            }
            Ok(Err(error)) => Err(ReachError::File {
                hop: self.hop.clone(),
                path: self.file.display().to_string(),
                reason: format!("cannot pin the new host key {offered}: {error}"),
            }),
            Err(error) => Err(ReachError::File {
                hop: self.hop.clone(),
                path: self.file.display().to_string(),
                reason: format!("cannot pin the new host key {offered}: {error}"),
            }),
        }
    }
}

impl Handler for Greeter {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        offered: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        match self.judge(&offered.public_key()).await {
            Ok(()) => Ok(true),
            Err(refusal) => {
                *lock(&self.fate.refusal) = Some(refusal);
                Ok(false)
            }
        }
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

    // A client that asked for no forwarding gets no channels from the server: dropping `reply` refuses them.

    async fn server_channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _channel: Channel<Msg>,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
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
