//! Real SSH servers in front of the simulated boards, one per node, on loopback.
//!
//! A node without power refuses connections and drops those it has, as its port does in life. Host keys come from the
//! seed, so that `known_hosts` files stay true from one start of the lab to the next; the only way in is the lab's own
//! client key.

mod cut;
mod keys;
mod session;
mod sftp;
mod terminal;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{PrivateKey, PublicKey};
use russh::server::Config;
use russh::{MethodKind, MethodSet, SshId};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::cut::Cut;
pub(super) use self::keys::{client_key, host_key};
use self::session::Session;
use super::world::World;

/// Connections that one node serves at a time, as `MaxStartups` and memory would limit them.
const CONNECTION_LIMIT: usize = 128;
const BACKLOG: u32 = 256;

/// Where a node can be reached.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Door {
    /// The node's name.
    pub(super) node: String,
    /// Its port on loopback.
    pub(super) address: SocketAddr,
    /// Its public host key.
    pub(super) host_key: PublicKey,
}

/// Opens a server for every node of the world. The servers end with the world's [`World::stopping`].
///
/// # Errors
/// When loopback has no free port, or a key cannot be made.
pub(super) fn open(world: &Arc<World>, tasks: &TaskTracker) -> io::Result<Vec<Door>> {
    let client = client_key(world.seed()).public_key().clone();
    let mut doors = Vec::new();
    for node in world.nodes() {
        let key = host_key(world.seed(), &node.name);
        let host_key = key.public_key().clone();
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        doors.push(Door {
            node: node.name.clone(),
            address,
            host_key,
        });
        let gate = Gate {
            world: Arc::clone(world),
            node: node.name,
            address,
            config: Arc::new(config(key)),
            client: client.clone(),
            tasks: tasks.clone(),
        };
        tasks.spawn(gate.serve(listener));
    }
    Ok(doors)
}

fn config(key: PrivateKey) -> Config {
    Config {
        server_id: SshId::Standard("SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13.14".into()),
        methods: MethodSet::from([MethodKind::PublicKey].as_slice()),
        auth_rejection_time: Duration::from_millis(200),
        // The first, empty attempt only asks for the methods.
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![key],
        inactivity_timeout: None,
        ..Config::default()
    }
}

struct Gate {
    world: Arc<World>,
    node: String,
    address: SocketAddr,
    config: Arc<Config>,
    client: PublicKey,
    tasks: TaskTracker,
}

impl Gate {
    /// Serves while the node has power, and holds the port while it has not.
    async fn serve(self, listener: TcpListener) {
        let mut changed = self.world.changed();
        let mut listener = Some(listener);
        while !self.world.stopping().is_cancelled() {
            let (up, epoch) = self.power();
            let Some(open) = listener.take().filter(|_| up) else {
                // Bound but not listening: the port refuses, and nobody else can take it.
                let held = hold(self.address);
                while !self.power().0 {
                    tokio::select! {
                        () = self.world.stopping().cancelled() => return,
                        _ = changed.changed() => {}
                    }
                }
                drop(held);
                listener = self.reopen().await;
                continue;
            };
            let cut = self.world.stopping().child_token();
            let places = Arc::new(Semaphore::new(CONNECTION_LIMIT));
            loop {
                tokio::select! {
                    () = self.world.stopping().cancelled() => return,
                    _ = changed.changed() => {
                        if self.power() != (true, epoch) {
                            cut.cancel();
                            // A board that was off and on again in between keeps its door open.
                            listener = self.power().0.then_some(open);
                            break;
                        }
                    }
                    accepted = open.accept() => match accepted {
                        Ok((stream, _)) => self.admit(stream, &cut, &places),
                        // Out of file descriptors: better to wait than to spin.
                        Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                    },
                }
            }
        }
    }

    fn power(&self) -> (bool, u64) {
        self.world
            .look(&self.node, |node| (node.is_up(), node.power_epoch))
            .unwrap_or((false, 0))
    }

    async fn reopen(&self) -> Option<TcpListener> {
        loop {
            if let Ok(listener) = listen(self.address) {
                return Some(listener);
            }
            tokio::select! {
                () = self.world.stopping().cancelled() => return None,
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
    }

    fn admit(&self, stream: TcpStream, cut: &CancellationToken, places: &Arc<Semaphore>) {
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            return;
        };
        let session = Session::new(
            Arc::clone(&self.world),
            self.node.clone(),
            self.client.clone(),
        );
        let config = Arc::clone(&self.config);
        let world = Arc::clone(&self.world);
        let cut = cut.clone();
        self.tasks.spawn(async move {
            tokio::time::sleep(world.latency()).await;
            // russh sets this only on sockets it accepts itself; without it every answer waits for a delayed ACK. Where it
            // cannot be set the connection is about to fail anyway.
            let _ = stream.set_nodelay(true);
            let stream = Cut::new(stream, cut.clone());
            // How a connection ends is the client's business; the node only forgets it.
            if let Ok(running) = russh::server::run_stream(config, stream, session).await {
                let _ = running.await;
            }
            drop(place);
        });
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // Connections of before the power cut may still linger on the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Keeps a port without listening on it.
fn hold(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
