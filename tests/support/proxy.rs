//! A bad line: a TCP relay on loopback that can stall, throttle and reset what goes over it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

/// How the line is.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    /// Nothing arrives any more, in either direction, and nobody is told.
    stalled: bool,
    /// Bytes per second towards the client; all there are without it.
    rate: Option<u64>,
    /// Each connection is reset when so many bytes have gone towards the client.
    reset_after: Option<u64>,
    /// Counted up to reset all connections there are.
    resets: u64,
}

/// A line to a server, good until it is told otherwise. It is gone when this is dropped.
pub struct Proxy {
    pub port: u16,
    weather: watch::Sender<Weather>,
    relay: AbortHandle,
}

impl Proxy {
    /// A line to the server that listens on loopback at `port`.
    pub async fn before(port: u16) -> Self {
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = door.local_addr().unwrap().port();
        let (weather, seen) = watch::channel(Weather::default());
        let relay = tokio::spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((client, _)) = door.accept().await {
                lines.spawn(line(client, port, seen.clone()));
            }
        });
        Self {
            port: own,
            weather,
            relay: relay.abort_handle(),
        }
    }

    /// From now on nothing arrives.
    pub fn stall(&self) {
        self.weather.send_modify(|now| now.stalled = true);
    }

    /// What was held back arrives, and all that follows.
    pub fn flow(&self) {
        self.weather.send_modify(|now| now.stalled = false);
    }

    /// Bytes per second towards the client, of each connection.
    pub fn throttle(&self, rate: u64) {
        self.weather.send_modify(|now| now.rate = Some(rate));
    }

    /// Resets all connections, now.
    pub fn reset(&self) {
        self.weather.send_modify(|now| now.resets += 1);
    }

    /// Resets each connection when so many bytes of it have gone towards the client; `None` to leave them in peace.
    pub fn reset_after(&self, bytes: Option<u64>) {
        self.weather.send_modify(|now| now.reset_after = bytes);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

/// One connection until either side ends it or the weather does.
async fn line(client: TcpStream, port: u16, mut weather: watch::Receiver<Weather>) {
    let server = SocketAddr::from(([127, 0, 0, 1], port));
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    for end in [&client, &server] {
        end.set_nodelay(true).unwrap();
    }
    let born = weather.borrow().resets;
    let (mut client, mut server) = (client, server);
    let broken = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            broken = pump(from_client, to_server, weather.clone(), false) => broken,
            broken = pump(from_server, to_client, weather.clone(), true) => broken,
            _ = weather.wait_for(|now| now.resets != born) => Broken::Reset,
        }
    };
    if let Broken::Reset = broken {
        for end in [&client, &server] {
            // Closing then says RST instead of FIN.
            let _ = end.set_zero_linger();
        }
    }
}

/// How a direction ended.
enum Broken {
    Closed,
    Reset,
}

/// Carries bytes one way, as the weather allows.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut weather: watch::Receiver<Weather>,
    towards_client: bool,
) -> Broken {
    let mut buffer = vec![0; 16 * 1024];
    let mut carried = 0;
    let mut free_at = Instant::now();
    loop {
        let now = *weather.borrow_and_update();
        if now.stalled {
            if weather.changed().await.is_err() {
                return Broken::Closed;
            }
            continue;
        }
        let most = match now.rate.filter(|_| towards_client) {
            Some(rate) => {
                sleep_until(free_at).await;
                usize::try_from(rate / 20)
                    .unwrap_or(1)
                    .clamp(1, buffer.len())
            }
            None => buffer.len(),
        };
        let read = tokio::select! {
            read = from.read(&mut buffer[..most]) => read,
            _ = weather.changed() => continue,
        };
        let Ok(mut count @ 1..) = read else {
            let _ = to.shutdown().await;
            return Broken::Closed;
        };
        // It may have turned while the bytes were on their way.
        if weather.wait_for(|now| !now.stalled).await.is_err() {
            return Broken::Closed;
        }
        let limit = now.reset_after.filter(|_| towards_client);
        if let Some(limit) = limit {
            count = count.min(usize::try_from(limit.saturating_sub(carried)).unwrap_or(count));
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return Broken::Closed;
        }
        carried += count as u64;
        if limit.is_some_and(|limit| carried >= limit) {
            return Broken::Reset;
        }
        if let Some(rate) = now.rate.filter(|_| towards_client) {
            let time = Duration::from_micros(count as u64 * 1_000_000 / rate.max(1));
            free_at = free_at.max(Instant::now()) + time;
        }
    }
}
