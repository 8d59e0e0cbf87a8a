//! The engine's Unix socket: who may come in, what is said at the door, and how a slow or rude guest harms nobody.
//!
//! The socket lies beside the store it speaks for, in a directory that only its owner may enter: who holds the store's
//! lock owns the socket, so a socket that a dead engine left behind can be removed without asking anybody, and two engines
//! cannot race for it. (`$XDG_RUNTIME_DIR` is no place for it: logind removes that directory when the last session ends, and
//! the engine is meant to outlive sessions.)
//!
//! Each connection has two halves. One hears requests and has each of them carried out by a task of its own, which goes on
//! when the guest leaves; the other says answers and events, one line at a time. A guest that stops reading stops only his
//! own half: what he misses of the events is counted, and at most [`AT_ONCE`] of his requests are under way.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::core::{Core, Counter};
use super::peer;
use crate::client::conversation::Conversation;
use crate::client::path::short;
use crate::client::wire::{
    Asked, Ear, Hello, LONGEST_ASKED, Mouth, PROTOCOL, Told, WireError, halves,
};
use crate::client::{Event, Guest, Link, Refusal};

/// The socket's name within the state directory.
const SOCKET: &str = "engine.sock";
/// How long a guest may take to say who he is.
const GREETING: Duration = Duration::from_secs(5);
/// Requests of one guest under way at a time; more wait in the socket.
const AT_ONCE: usize = 64;
/// How often it is looked whether the engine is still needed, at most.
const LOOK: Duration = Duration::from_secs(5);
/// Guests at a time.
const GUESTS: usize = 256;

/// Where the socket is within the state directory.
pub fn socket_path(state_dir: &Path) -> PathBuf {
    state_dir.join(SOCKET)
}

/// Why nobody can come in.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct DoorError {
    path: PathBuf,
    reason: String,
}

/// Why the engine shall end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Farewell {
    /// As a sentence.
    pub reason: String,
    /// Whether another engine follows at once.
    pub restart: bool,
}

/// Who is in, and whether the engine shall end.
#[derive(Debug, Default)]
pub(super) struct Guestbook {
    guests: Mutex<Vec<(u64, Guest)>>,
    farewell: Mutex<Option<Farewell>>,
    pub(super) ending: CancellationToken,
}

impl Guestbook {
    /// Who is in, the longest first.
    pub(super) fn guests(&self) -> Vec<Guest> {
        let guests = self.lock();
        guests.iter().map(|(_, guest)| guest.clone()).collect()
    }

    /// Asks for the engine's end; the first one who asks says why.
    pub(super) fn end(&self, farewell: Farewell) {
        self.farewell
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(farewell);
        self.ending.cancel();
    }

    /// Why the engine ends.
    pub(super) fn farewell(&self) -> Farewell {
        let farewell = self.farewell.lock().unwrap_or_else(PoisonError::into_inner);
        farewell.clone().unwrap_or_else(|| Farewell {
            reason: "the engine was ended".into(),
            restart: false,
        })
    }

    fn enter(self: &Arc<Self>, guest: Guest) -> Result<Place, Refusal> {
        let mut guests = self.lock();
        if guests.len() >= GUESTS {
            return Err(Refusal::new(format!(
                "{GUESTS} clients are connected, which is as many as the engine takes; end some of them"
            )));
        }
        let number = guests.last().map_or(0, |(number, _)| number + 1);
        guests.push((number, guest));
        Ok(Place {
            book: Arc::clone(self),
            number,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Guest)>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A guest's line in the book; struck out when dropped.
struct Place {
    book: Arc<Guestbook>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.book
            .lock()
            .retain(|(number, _)| *number != self.number);
    }
}

/// An open door.
pub(super) struct Door {
    path: PathBuf,
    /// The connections.
    pub(super) guests: TaskTracker,
}

impl Door {
    /// Listens beside the store whose lock this process holds.
    pub(super) fn open(
        core: &Arc<Core>,
        state_dir: &Path,
        tasks: &TaskTracker,
    ) -> Result<Self, DoorError> {
        let path = socket_path(state_dir);
        let error = |reason: String| DoorError {
            path: path.clone(),
            reason,
        };
        close_to_others(state_dir).map_err(&error)?;
        // Whoever listened here is dead: the store's lock is ours.
        match fs::remove_file(&path) {
            Err(gone) if gone.kind() != std::io::ErrorKind::NotFound => {
                return Err(error(gone.to_string()));
            }
            _ => {}
        }
        let bind = || {
            let way = short(&path)?;
            let listener = UnixListener::bind(way.path())?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            Ok::<_, std::io::Error>(listener)
        };
        let listener = bind().map_err(|reason| error(reason.to_string()))?;
        let guests = TaskTracker::new();
        tasks.spawn(welcome_all(Arc::clone(core), listener, guests.clone()));
        Ok(Self { path, guests })
    }

    /// Lets nobody in any more.
    pub(super) fn close(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "the socket could not be removed");
        }
        self.guests.close();
    }
}

/// The directory of the socket and the store is for its owner alone.
fn close_to_others(directory: &Path) -> Result<(), String> {
    let meta = fs::metadata(directory).map_err(|error| error.to_string())?;
    let own = rustix::process::geteuid().as_raw();
    if meta.uid() != own {
        return Err(format!(
            "the directory belongs to {}, not to {}; name another one with --state-dir",
            peer::user_name(meta.uid()),
            peer::user_name(own)
        ));
    }
    if meta.mode() & 0o077 != 0 {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).map_err(|error| {
            format!("the directory is open to others, and cannot be closed: {error}")
        })?;
    }
    Ok(())
}

async fn welcome_all(core: Arc<Core>, listener: UnixListener, guests: TaskTracker) {
    loop {
        let Some(accepted) = core.stopped.run_until_cancelled(listener.accept()).await else {
            return;
        };
        match accepted {
            Ok((stream, _)) => {
                let core = Arc::clone(&core);
                guests.spawn(async move {
                    if let Err(error) = attend(core, stream).await {
                        tracing::debug!(%error, "a client's connection ended");
                    }
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely; those of others will be closed some time.
                tracing::warn!(%error, "a client could not come in");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// One guest, from his first word to his last.
async fn attend(core: Arc<Core>, stream: UnixStream) -> Result<(), WireError> {
    let peer = stream.peer_cred()?;
    let (mut ear, mut mouth) = halves(stream, LONGEST_ASKED);
    let own = rustix::process::geteuid().as_raw();
    if !peer::may_talk(peer.uid(), own) {
        tracing::warn!(uid = peer.uid(), "a stranger was turned away");
        let message = format!(
            "this engine belongs to {}, and talks to that user only",
            peer::user_name(own)
        );
        return mouth.say(&Told::Sorry { message }).await;
    }
    let hello = match timeout(GREETING, ear.hear::<Asked>()).await {
        Ok(Ok(Asked::Hello(hello))) => hello,
        Ok(Err(error @ (WireError::Closed | WireError::Io(_)))) => return Err(error),
        _ => {
            let message = "the first line must be a hello".into();
            return mouth.say(&Told::Sorry { message }).await;
        }
    };
    // The names of users may come over the network.
    let operator = tokio::task::spawn_blocking(move || peer::operator(peer))
        .await
        .map_err(std::io::Error::other)?;
    let guest = Guest {
        operator,
        role: hello
            .role
            .chars()
            .filter(|c| !c.is_control())
            .take(40)
            .collect(),
        pid: peer.pid().and_then(|pid| u32::try_from(pid).ok()),
        since: core.now(),
        read_only: hello.read_only || core.is_read_only(),
    };
    // Subscribed before the greeting, so that whoever was greeted misses nothing.
    let (operator, read_only) = (guest.operator.clone(), guest.read_only);
    let counter = Arc::new(Counter {
        at_the_door: true,
        ..Counter::new(Arc::clone(&core), operator, read_only)
    });
    let events = counter.subscribe();
    let place = core.guestbook.enter(guest);
    let _place = match place {
        Ok(place) => place,
        Err(refusal) => {
            return mouth
                .say(&Told::Sorry {
                    message: refusal.message,
                })
                .await;
        }
    };
    mouth.say(&Told::Welcome(core.welcome())).await?;
    let (answers, outbox) = mpsc::channel(AT_ONCE);
    let over = CancellationToken::new();
    let speaking = tokio::spawn(speak(
        mouth,
        outbox,
        events,
        hello.events && hello.protocol == PROTOCOL,
        Arc::clone(&core),
        over.clone(),
    ));
    let result = over
        .run_until_cancelled(listen(ear, &core, &counter, &hello, answers))
        .await;
    // The answers to what is still under way are said before the end, as far as anybody reads them.
    let spoken = speaking.await;
    match (result, spoken) {
        (Some(Err(error)), _) | (_, Ok(Err(error))) => Err(error),
        _ => Ok(()),
    }
}

/// Says answers and events until the guest or the engine leaves.
async fn speak(
    mut mouth: Mouth,
    mut outbox: mpsc::Receiver<Told>,
    mut events: crate::client::Subscription,
    wanted: bool,
    core: Arc<Core>,
    over: CancellationToken,
) -> Result<(), WireError> {
    let _over = over.drop_guard();
    loop {
        tokio::select! {
            biased;
            told = outbox.recv() => match told {
                Some(told) => mouth.say(&told).await?,
                None => return Ok(()),
            },
            event = events.next() => match event {
                Some(Event::Connection(_)) => {}
                Some(event) if wanted => mouth.say(&Told::Event(event)).await?,
                Some(_) => {}
                None => {
                    let Farewell { reason, restart } = core.guestbook.farewell();
                    return mouth.say(&Told::Bye { reason, restart }).await;
                }
            },
        }
    }
}

/// Hears requests until the guest leaves.
async fn listen(
    mut ear: Ear,
    core: &Arc<Core>,
    counter: &Arc<Counter>,
    hello: &Hello,
    answers: mpsc::Sender<Told>,
) -> Result<(), WireError> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let asked = match ear.hear::<Asked>().await {
            Ok(asked) => asked,
            Err(WireError::NotUnderstood(error)) => {
                let message = format!("a line cannot be understood: {error}");
                if answers.send(Told::Sorry { message }).await.is_err() {
                    return Ok(());
                }
                continue;
            }
            Err(WireError::Closed) => return Ok(()),
            Err(error) => return Err(error),
        };
        let told = match asked {
            Asked::Call { id, .. } if hello.protocol != PROTOCOL => Told::Answer {
                id,
                result: Err(Refusal::new(format!(
                    "this engine speaks protocol {PROTOCOL}, the client {}; only stopping it works between them",
                    hello.protocol
                ))),
            },
            Asked::Call { id, request } => {
                // Never closed, so there always will be a place.
                let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                    return Ok(());
                };
                let (counter, answers) = (Arc::clone(counter), answers.clone());
                // A task of its own: a request that was begun is carried out, whether or not anybody waits for the answer.
                core.spawn(async move {
                    let result = counter.call(request).await;
                    // A guest that has left needs no answer.
                    let _ = answers.send(Told::Answer { id, result }).await;
                    drop(place);
                });
                continue;
            }
            Asked::Stop { force, restart } => match counter.stop(force, restart) {
                Ok(()) => continue,
                Err(refusal) => Told::Sorry {
                    message: refusal.message,
                },
            },
            Asked::Open(opening) => {
                let result = match hello.protocol {
                    PROTOCOL => counter.open(opening).await,
                    other => Err(Refusal::new(format!(
                        "this engine speaks protocol {PROTOCOL}, the client {other}"
                    ))),
                };
                let (told, conversation) = match result {
                    Ok(conversation) => (Told::Opened(Ok(())), Some(conversation)),
                    Err(refusal) => (Told::Opened(Err(refusal)), None),
                };
                if answers.send(told).await.is_err() {
                    return Ok(());
                }
                match conversation {
                    Some(conversation) => return converse(ear, conversation, answers).await,
                    None => continue,
                }
            }
            Asked::Hello(_) | Asked::Up(_) => continue,
        };
        if answers.send(told).await.is_err() {
            return Ok(());
        }
    }
}

/// Carries a conversation over the guest's connection until either side has gone.
async fn converse(
    mut ear: Ear,
    conversation: Conversation,
    answers: mpsc::Sender<Told>,
) -> Result<(), WireError> {
    let Conversation { up, mut down } = conversation;
    let hearing = async {
        loop {
            match ear.hear::<Asked>().await {
                Ok(Asked::Up(said)) => {
                    if up.send(said).await.is_err() {
                        // Its end is on its way down.
                        return std::future::pending().await;
                    }
                }
                Ok(_) => {}
                Err(WireError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    };
    let saying = async {
        while let Some(said) = down.recv().await {
            if answers.send(Told::Down(said)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        result = hearing => result,
        () = saying => Ok(()),
    }
}

/// Ends an engine that nobody needs: no clients, runs or schedules for `limit`; or that nobody can reach any more, because
/// its socket was removed.
pub(super) async fn end_when_idle(core: Arc<Core>, socket: PathBuf, limit: Option<Duration>) {
    let step = limit.map_or(LOOK, |limit| (limit / 10).clamp(LOOK / 100, LOOK));
    let mut idle: Option<tokio::time::Instant> = None;
    loop {
        let slept = core
            .stopped
            .run_until_cancelled(tokio::time::sleep(step))
            .await;
        if slept.is_none() {
            return;
        }
        if core.is_needed() {
            idle = None;
            continue;
        }
        let since = *idle.get_or_insert_with(tokio::time::Instant::now);
        let reason = match limit {
            Some(limit) if since.elapsed() >= limit => {
                format!("nobody needed the engine for {} s", limit.as_secs())
            }
            _ if !socket.exists() => "its socket was removed, nobody can reach it".into(),
            _ => continue,
        };
        return core.guestbook.end(Farewell {
            reason,
            restart: false,
        });
    }
}

impl Counter {
    /// Ends the engine, when nobody is disturbed by it or `force` says so.
    pub(super) fn stop(&self, force: bool, restart: bool) -> Result<(), Refusal> {
        if self.read_only {
            return Err(Refusal::new(crate::domain::action::READ_ONLY));
        }
        let running = self.core.running();
        if !running.is_empty() && !force {
            let numbers: Vec<String> = running.iter().map(ToString::to_string).collect();
            return Err(Refusal::new(format!(
                "the engine is busy with run {}; wait, or interrupt with --force",
                numbers.join(", ")
            )));
        }
        self.core.guestbook.end(Farewell {
            reason: format!(
                "{} {} the engine",
                self.operator,
                if restart { "restarted" } else { "stopped" }
            ),
            restart,
        });
        Ok(())
    }
}
