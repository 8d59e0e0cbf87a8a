//! A listening socket that behaves as its machine does.
//!
//! While the unit runs, connections are served. When the machine has no power they stay silent for a while and then break,
//! as a switch that has lost a host makes them; when only the unit is stopped they break at once. Open connections break
//! in both cases. The socket itself stays bound, so that nobody else takes the port.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

use super::cluster::Cluster;

/// How many silent connections are held at once; more are broken at once.
const SILENT_MAX: usize = 64;

/// What a door stands before.
#[derive(Clone)]
pub(crate) struct Behind {
    /// The machines.
    pub cluster: Arc<dyn Cluster>,
    /// The machine.
    pub node: String,
    /// The unit on it.
    pub unit: String,
}

impl Behind {
    fn standing(&self) -> Standing {
        if !self.cluster.node_up(&self.node) {
            Standing::Silent
        } else if self.cluster.unit_active(&self.node, &self.unit) {
            Standing::Open
        } else {
            Standing::Refusing
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Open,
    Refusing,
    Silent,
}

/// Binds a free port on the loopback interface.
///
/// # Errors
/// When no port is to be had.
pub(crate) async fn bind() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves `router` on `listener` for as long as the unit runs, until `stop`.
pub(crate) fn open(
    listener: TcpListener,
    behind: Behind,
    silence: Duration,
    router: Router,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let connections = Arc::new(Mutex::new(Connections {
        start: None,
        cut: CancellationToken::new(),
    }));
    tasks.spawn(watch(
        behind.clone(),
        Arc::clone(&connections),
        stop.clone(),
    ));
    let door = Door {
        listener,
        behind: behind.clone(),
        connections,
        silence,
        silent: Arc::new(Semaphore::new(SILENT_MAX)),
        tasks: tasks.clone(),
        stop: stop.clone(),
    };
    let router = router.layer(middleware::from_fn_with_state(behind.cluster, lag));
    let stopped = stop.clone().cancelled_owned();
    let stop = stop.clone();
    tasks.spawn(async move {
        let serving = axum::serve(door, router).with_graceful_shutdown(stopped);
        tokio::select! {
            // A blocking query would hold a graceful shutdown for minutes.
            () = stop.cancelled() => {}
            served = serving => if let Err(error) = served {
                tracing::warn!(%error, "a simulated endpoint stopped");
            }
        }
    });
}

/// Delays every answer by what the practice network is said to be slow.
async fn lag(State(cluster): State<Arc<dyn Cluster>>, request: Request, next: Next) -> Response {
    let latency = cluster.latency();
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    next.run(request).await
}

/// The connections that a unit has accepted since it was started.
struct Connections {
    /// Which start of the unit they belong to; `None` while it does not run.
    start: Option<u64>,
    cut: CancellationToken,
}

impl Connections {
    /// Breaks them when they belong to a start that is over. Whoever looks first does it, so that a connection to a unit that
    /// has just been started is not taken for an old one.
    fn refresh(&mut self, behind: &Behind) -> Standing {
        let standing = behind.standing();
        let start =
            (standing == Standing::Open).then(|| behind.cluster.starts(&behind.node, &behind.unit));
        if start != self.start {
            self.start = start;
            std::mem::replace(&mut self.cut, CancellationToken::new()).cancel();
        }
        standing
    }
}

/// Breaks the open connections as soon as the unit stops.
async fn watch(behind: Behind, connections: Arc<Mutex<Connections>>, stop: CancellationToken) {
    let mut nodes = behind.cluster.changed();
    loop {
        connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .refresh(&behind);
        tokio::select! {
            () = stop.cancelled() => return,
            changed = nodes.changed() => if changed.is_err() { return },
        }
    }
}

struct Door {
    listener: TcpListener,
    behind: Behind,
    connections: Arc<Mutex<Connections>>,
    silence: Duration,
    silent: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Door {
    fn keep_silent(&self, stream: TcpStream) {
        let Ok(place) = Arc::clone(&self.silent).try_acquire_owned() else {
            reset(stream);
            return;
        };
        let (silence, stop) = (self.silence, self.stop.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(silence) => {}
                () = stop.cancelled() => {}
            }
            reset(stream);
            drop(place);
        });
    }
}

/// Closes with a reset instead of a polite end.
fn reset(stream: TcpStream) {
    if let Err(error) = stream.set_zero_linger() {
        tracing::debug!(%error, "closing a simulated connection politely");
    }
    drop(stream);
}

impl Listener for Door {
    type Io = Guarded;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guarded, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let mut connections = self
                        .connections
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner);
                    match connections.refresh(&self.behind) {
                        Standing::Open => {
                            let cut = Box::pin(connections.cut.clone().cancelled_owned());
                            return (Guarded { stream, cut }, peer);
                        }
                        Standing::Refusing => reset(stream),
                        Standing::Silent => self.keep_silent(stream),
                    }
                }
                // Out of file descriptors, or the peer left already: neither is helped by haste.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that breaks when its unit stops.
struct Guarded {
    stream: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Guarded {
    fn broken(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.broken(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.broken(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.broken(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
