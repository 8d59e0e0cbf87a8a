//! For tests of this room: pools over nodes that need no more than a name, and a host that says what it is told to say.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session, run_stream};
use russh::{Channel, ChannelId};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Pool, SshSettings};
use crate::domain::backup::Backups;
use crate::domain::environment::{Environment, Protection};
use crate::domain::node::{Node, SshAccess};
use crate::domain::platform::{Arch, Platform};
use crate::domain::stack::Stack;

/// A pool of nodes on loopback, each reached as said.
pub(super) fn pool<'a>(
    nodes: impl IntoIterator<Item = (&'a str, SshAccess)>,
    settings: SshSettings,
) -> Pool {
    let nodes = nodes.into_iter().map(|(name, ssh)| Node {
        name: name.into(),
        address: Ipv4Addr::LOCALHOST.to_string(),
        platform: Platform::Generic,
        arch: Arch::Amd64,
        roles: [].into(),
        labels: [].into(),
        ssh,
    });
    let environment = Environment {
        name: "test".into(),
        protection: Protection::Open,
        marking: None,
        stack: Stack::Consul,
        versions: [].into(),
        nodes: nodes.collect(),
        services: vec![],
        artifacts: [].into(),
        variables: [].into(),
        backups: Backups::default(),
        desired: Vec::new(),
    };
    Pool::new(Arc::new(environment), settings)
}

/// What a host sends of a command, piece by piece.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sent {
    /// Standard output.
    Data(&'static str),
    /// The exit status.
    Status(u32),
    /// That there is no more output.
    Eof,
    /// That the channel is closed.
    Close,
    /// Nothing any more: once the client has taken all that was sent before, the connection is gone without a word.
    Cut,
}

/// A host on loopback that lets in whoever comes and answers every command by `script`. It ends with the test's runtime.
pub(super) async fn serve(script: &'static [Sent]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, script));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, script: &'static [Sent]) {
    // The server speaks into a pipe, so that the connection can end without the server's farewell.
    let (mut near, far) = tokio::io::duplex(64 * 1024);
    let cut = CancellationToken::new();
    let player = Player {
        script,
        cut: cut.clone(),
    };
    let config = Config {
        keys: vec![PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]))],
        ..Config::default()
    };
    tokio::spawn(async move {
        if let Ok(session) = run_stream(Arc::new(config), far, player).await {
            // How it ends is the test's business.
            let _ = session.await;
        }
    });
    tokio::select! {
        () = cut.cancelled() => {}
        _ = tokio::io::copy_bidirectional(&mut stream, &mut near) => {}
    }
}

/// The server's side of one connection.
struct Player {
    script: &'static [Sent],
    cut: CancellationToken,
}

impl Handler for Player {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)?;
        for sent in self.script {
            match sent {
                Sent::Data(text) => session.data(channel, text.as_bytes())?,
                Sent::Status(status) => session.exit_status_request(channel, *status)?,
                Sent::Eof => session.eof(channel)?,
                Sent::Close => session.close(channel)?,
                Sent::Cut => {
                    // The client answers in the order in which it was asked: what came before this has arrived by then.
                    let (taken, answered) = oneshot::channel();
                    session.send_ping(taken)?;
                    let cut = self.cut.clone();
                    tokio::spawn(async move {
                        answered.await.unwrap();
                        cut.cancel();
                    });
                }
            }
        }
        Ok(())
    }
}
