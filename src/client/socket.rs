//! A client of an engine in another process: calls and events over its Unix socket, and a connection that mends itself.
//!
//! One task owns the connection. When it is lost the task makes it again, with a pause that grows, starting a new engine
//! when there is none; what was asked meanwhile is refused with the reason rather than asked twice, because a request may
//! have been carried out just before the connection broke. Subscribers hear [`Event::Connection`] and, afterwards,
//! [`Event::Missed`], which tells them to read everything again.
//!
//! An engine that was stopped on purpose is not started again behind the back of who stopped it. Commands end then;
//! screens, whose link [stays](Greeted::stay), wait for the next engine, and start it when asked to ([`Request::Renew`]).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::net::UnixStream;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::conversation::{self, Conversation, Counterpart, Down, Ending, Opening};
use super::wire::{Asked, Ear, Hello, LONGEST_TOLD, Mouth, PROTOCOL, Told, Welcome, halves};
use super::{Connection, Event, Link, Refusal, Request, Response, Subscription};
use crate::domain::action::READ_ONLY;

/// Events kept for a subscriber within this process that is behind.
const BEHIND: usize = 8192;
/// Requests that may wait to be sent.
const WAITING: usize = 64;
/// How long the engine may take to say who it is.
const GREETING: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause where it is only looked whether somebody has started an engine, which costs next to nothing.
const LONGEST_GLANCE: Duration = Duration::from_secs(1);

/// Starts an engine that listens at the socket; returns when it does.
pub type Starter = Arc<dyn Fn() -> BoxFuture<'static, Result<(), Refusal>> + Send + Sync>;

/// How to reach an engine.
#[derive(Clone)]
pub struct Dial {
    /// The engine's socket.
    pub socket: PathBuf,
    /// Who calls.
    pub hello: Hello,
    /// What is done when nobody listens; `None` leaves it at that.
    pub starter: Option<Starter>,
}

/// A greeted connection.
pub struct Greeted {
    /// What the engine said of itself.
    pub welcome: Welcome,
    ear: Ear,
    mouth: Mouth,
}

impl Dial {
    /// Connects and exchanges greetings, whatever the engine's version.
    ///
    /// # Errors
    /// [`Refusal`] when nobody listens (see [`Dial::is_absent`]), or who listens does not greet in time.
    pub async fn greet(&self) -> Result<Greeted, Refusal> {
        let stream = connect(&self.socket)
            .await
            .map_err(|error| Refusal::new(format!("{}: {error}", self.socket.display())))?;
        let (mut ear, mut mouth) = halves(stream, LONGEST_TOLD);
        let greeting = async {
            mouth.say(&Asked::Hello(self.hello.clone())).await?;
            ear.hear::<Told>().await
        };
        let told = timeout(GREETING, greeting)
            .await
            .map_err(|_| {
                Refusal::new(format!(
                    "the engine did not answer within {} s",
                    GREETING.as_secs()
                ))
            })?
            .map_err(|error| Refusal::new(format!("the engine's greeting: {error}")))?;
        match told {
            Told::Welcome(welcome) => Ok(Greeted {
                welcome,
                ear,
                mouth,
            }),
            Told::Sorry { message } => Err(Refusal::new(message)),
            Told::Bye { reason, .. } => Err(Refusal::new(reason)),
            other => Err(Refusal::new(format!("the engine greeted with {other:?}"))),
        }
    }

    /// Whether nobody listens at the socket: no file, or one that a dead engine left behind.
    pub async fn is_absent(&self) -> bool {
        use std::io::ErrorKind::{ConnectionRefused, NotFound};
        connect(&self.socket)
            .await
            .is_err_and(|error| matches!(error.kind(), NotFound | ConnectionRefused))
    }

    /// Asks the engine to end, and waits until it has closed the connection; works with every version.
    ///
    /// # Errors
    /// [`Refusal`] when it has runs under way and `force` is not given, or does not end within `patience`.
    pub async fn stop(
        &self,
        force: bool,
        restart: bool,
        patience: Duration,
    ) -> Result<(), Refusal> {
        let Greeted {
            mut ear, mut mouth, ..
        } = self.greet().await?;
        mouth
            .say(&Asked::Stop { force, restart })
            .await
            .map_err(|error| Refusal::new(error.to_string()))?;
        let ended = async {
            loop {
                match ear.hear::<Told>().await {
                    Ok(Told::Sorry { message }) => return Err(Refusal::new(message)),
                    Err(super::wire::WireError::NotUnderstood(_)) | Ok(_) => {}
                    Err(_) => return Ok(()),
                }
            }
        };
        timeout(patience, ended).await.map_err(|_| {
            Refusal::new(format!(
                "the engine did not end within {} s",
                patience.as_secs()
            ))
        })?
    }
}

/// Connects to a socket by its path, however long that is.
///
/// # Errors
/// As connect(2) says.
async fn connect(path: &std::path::Path) -> std::io::Result<UnixStream> {
    let short = super::path::short(path)?;
    UnixStream::connect(short.path()).await
}

impl Greeted {
    /// A link that keeps this connection, and makes it again by `dial` when it is lost; it ends when the engine is stopped
    /// on purpose.
    ///
    /// # Errors
    /// [`Refusal`] when the engine speaks another protocol.
    pub fn keep(self, dial: Dial) -> Result<Remote, Refusal> {
        self.hold(dial, false)
    }

    /// As [`Greeted::keep`], and stays when the engine is stopped on purpose: for who outlives engines.
    ///
    /// # Errors
    /// As [`Greeted::keep`].
    pub fn stay(self, dial: Dial) -> Result<Remote, Refusal> {
        self.hold(dial, true)
    }

    fn hold(self, dial: Dial, stays: bool) -> Result<Remote, Refusal> {
        self.check()?;
        let (outbox, inbox) = mpsc::channel(WAITING);
        let shared = Arc::new(Shared {
            outbox,
            events: Mutex::new(Some(broadcast::channel(BEHIND).0)),
            ended: Mutex::new(None),
        });
        let keeper = Keeper {
            dial: dial.clone(),
            shared: Arc::clone(&shared),
            inbox,
            next: 1,
            stays,
        };
        let task = tokio::spawn(keeper.keep(self));
        Ok(Remote { dial, shared, task })
    }

    /// Makes this connection a conversation's own.
    ///
    /// # Errors
    /// [`Refusal`] when the engine speaks another protocol, or does not enter into it.
    pub async fn talk(mut self, opening: Opening) -> Result<Conversation, Refusal> {
        self.check()?;
        let lost =
            |error: &dyn std::fmt::Display| Refusal::new(format!("lost the engine: {error}"));
        self.mouth
            .say(&Asked::Open(opening))
            .await
            .map_err(|error| lost(&error))?;
        loop {
            match self
                .ear
                .hear::<Told>()
                .await
                .map_err(|error| lost(&error))?
            {
                Told::Opened(Ok(())) => break,
                Told::Opened(Err(refusal)) => return Err(refusal),
                Told::Sorry { message } => return Err(Refusal::new(message)),
                Told::Bye { reason, .. } => return Err(Refusal::new(reason)),
                _ => {}
            }
        }
        let (ours, theirs) = conversation::pair();
        tokio::spawn(carry(self.ear, self.mouth, theirs));
        Ok(ours)
    }

    fn check(&self) -> Result<(), Refusal> {
        let Welcome {
            protocol, version, ..
        } = &self.welcome;
        if *protocol == PROTOCOL {
            return Ok(());
        }
        Err(Refusal::new(format!(
            "the engine is Quarterdeck {version} and speaks protocol {protocol}, this program speaks {PROTOCOL}; `quarterdeck engine \
             restart` replaces it once its runs have ended"
        )))
    }
}

/// Carries a conversation over a connection until either side has gone.
async fn carry(mut ear: Ear, mut mouth: Mouth, theirs: Counterpart) {
    let Counterpart { mut up, down } = theirs;
    let ended = |reason: String| Down::Ended(Ending::Failed(reason));
    let hearing = async {
        loop {
            let (said, last) = match ear.hear::<Told>().await {
                Ok(Told::Down(said)) => {
                    let last = matches!(said, Down::Ended(_));
                    (said, last)
                }
                Ok(Told::Bye { reason, .. }) => (ended(reason), true),
                Ok(Told::Sorry { message }) => (ended(message), true),
                Ok(_) => continue,
                Err(error) => (ended(format!("lost the engine: {error}")), true),
            };
            if down.send(said).await.is_err() || last {
                return;
            }
        }
    };
    let saying = async {
        while let Some(said) = up.recv().await {
            if mouth.say(&Asked::Up(said)).await.is_err() {
                // The other half will hear why.
                return std::future::pending().await;
            }
        }
    };
    tokio::select! {
        () = hearing => {}
        () = saying => {}
    }
}

/// The link to an engine in another process. The connection ends when this is dropped.
pub struct Remote {
    dial: Dial,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Shared {
    outbox: mpsc::Sender<Call>,
    /// Gone when the engine has ended for good.
    events: Mutex<Option<broadcast::Sender<Event>>>,
    /// Why nothing can be asked any more.
    ended: Mutex<Option<String>>,
}

struct Call {
    request: Request,
    reply: oneshot::Sender<Result<Response, Refusal>>,
}

#[async_trait]
impl Link for Remote {
    async fn call(&self, request: Request) -> Result<Response, Refusal> {
        let (reply, answer) = oneshot::channel();
        let gone = || Refusal::new(self.shared.ended());
        self.shared
            .outbox
            .send(Call { request, reply })
            .await
            .map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    async fn open(&self, opening: Opening) -> Result<Conversation, Refusal> {
        let dial = Dial {
            hello: Hello {
                events: false,
                ..self.dial.hello.clone()
            },
            ..self.dial.clone()
        };
        dial.greet().await?.talk(opening).await
    }

    fn subscribe(&self) -> Subscription {
        let events = self.shared.lock_events();
        Subscription::new(match &*events {
            Some(events) => events.subscribe(),
            None => broadcast::channel(1).1,
        })
    }
}

impl Shared {
    fn lock_events(&self) -> std::sync::MutexGuard<'_, Option<broadcast::Sender<Event>>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, event: Event) {
        if let Some(events) = &*self.lock_events() {
            // An error means that nobody listens.
            let _ = events.send(event);
        }
    }

    fn end(&self, reason: String) {
        self.publish(Event::Connection(Connection::Lost(reason.clone())));
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        self.lock_events().take();
    }

    fn ended(&self) -> String {
        self.ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .unwrap_or_else(|| "the connection to the engine is closed".into())
    }
}

struct Keeper {
    dial: Dial,
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Call>,
    next: u64,
    /// Whether another engine is waited for when one was stopped on purpose.
    stays: bool,
}

/// Why there is no engine.
enum Absence {
    /// Nobody meant that: another one is started.
    Mishap,
    /// Somebody stopped it, and what to do is this: another one is waited for.
    Meant(String),
}

/// Somebody wants an engine.
struct StartOne;

/// Why a connection is over.
enum Over {
    /// Broken: to be made again.
    Lost(String),
    /// Another engine is about to be there.
    Replaced(String),
    /// The engine was ended on purpose.
    Stopped(String),
    /// Nobody will ask any more.
    Ended(String),
}

impl Keeper {
    async fn keep(mut self, mut greeted: Greeted) {
        loop {
            let (news, absence) = match self.serve(greeted).await {
                Over::Ended(reason) => return self.shared.end(reason),
                Over::Stopped(reason) if !self.stays => return self.shared.end(reason),
                Over::Stopped(reason) => {
                    let remedy = format!("{reason}; :restart engine starts another");
                    (Connection::Stopped(reason), Absence::Meant(remedy))
                }
                Over::Replaced(reason) => (Connection::Replaced(reason), Absence::Mishap),
                Over::Lost(reason) => (Connection::Lost(reason), Absence::Mishap),
            };
            self.shared.publish(Event::Connection(news));
            greeted = match self.again(absence).await {
                Ok(greeted) => greeted,
                Err(refusal) => return self.shared.end(refusal.message),
            };
            self.shared.publish(Event::Connection(Connection::Made));
            self.shared.publish(Event::Missed(0));
        }
    }

    /// Makes the connection again, however long it takes; refuses meanwhile what is asked.
    async fn again(&mut self, mut absence: Absence) -> Result<Greeted, Refusal> {
        let mut pause = FIRST_PAUSE;
        loop {
            let starter = match &absence {
                Absence::Mishap => self.dial.starter.clone(),
                Absence::Meant(_) => None,
            };
            let dial = self.dial.clone();
            let attempt = async move {
                if let Some(starter) = starter
                    && dial.is_absent().await
                {
                    starter().await?;
                }
                dial.greet().await
            };
            let trying = match &absence {
                Absence::Mishap => "the engine cannot be reached; trying again",
                Absence::Meant(remedy) => remedy,
            };
            tokio::pin!(attempt);
            let mut asked = None;
            let outcome = loop {
                tokio::select! {
                    outcome = &mut attempt => break outcome,
                    call = self.inbox.recv() => asked = self.meanwhile(call, trying)?.or(asked),
                }
            };
            let refusal = match outcome {
                Ok(greeted) => {
                    greeted.check()?;
                    return Ok(greeted);
                }
                Err(refusal) => refusal,
            };
            let trying = match &absence {
                Absence::Mishap => {
                    let news = Connection::Lost(refusal.message.clone());
                    self.shared.publish(Event::Connection(news));
                    refusal.message.as_str()
                }
                // That nobody listens is what was meant.
                Absence::Meant(remedy) => remedy,
            };
            let rest = sleep(pause);
            tokio::pin!(rest);
            while asked.is_none() {
                tokio::select! {
                    () = &mut rest => break,
                    call = self.inbox.recv() => asked = self.meanwhile(call, trying)?,
                }
            }
            pause = match (&asked, &absence) {
                (Some(_), _) => FIRST_PAUSE,
                (None, Absence::Mishap) => (pause * 2).min(LONGEST_PAUSE),
                (None, Absence::Meant(_)) => (pause * 2).min(LONGEST_GLANCE),
            };
            if let Some(StartOne) = asked {
                absence = Absence::Mishap;
            }
        }
    }

    /// Answers what is asked while there is no engine: no, unless it is that one be started.
    fn meanwhile(&self, call: Option<Call>, reason: &str) -> Result<Option<StartOne>, Refusal> {
        let Call { request, reply } = call.ok_or_else(|| Refusal::new("closed"))?;
        let starts = matches!(request, Request::Renew) && self.dial.starter.is_some();
        let answer = match starts {
            true if self.dial.hello.read_only => Err(Refusal::new(READ_ONLY)),
            true => Ok(Response::Done),
            false => Err(Refusal::new(reason)),
        };
        let taken = answer.is_ok().then_some(StartOne);
        // One that has gone away is no error.
        let _ = reply.send(answer);
        Ok(taken)
    }

    /// Carries calls and events until the connection is over.
    async fn serve(&mut self, greeted: Greeted) -> Over {
        let Greeted {
            mut ear, mut mouth, ..
        } = greeted;
        let mut pending: HashMap<u64, oneshot::Sender<Result<Response, Refusal>>> = HashMap::new();
        let over = loop {
            tokio::select! {
                told = ear.hear::<Told>() => match told {
                    Ok(Told::Answer { id, result }) => {
                        if let Some(reply) = pending.remove(&id) {
                            let _ = reply.send(result);
                        }
                    }
                    Ok(Told::Event(event)) => self.shared.publish(event),
                    Ok(Told::Bye { reason, restart: false }) => break Over::Stopped(reason),
                    Ok(Told::Bye { reason, restart: true }) => break Over::Replaced(reason),
                    Ok(Told::Sorry { message }) => tracing::warn!(message, "the engine could not do something"),
                    Ok(Told::Welcome(_) | Told::Opened(_) | Told::Down(_)) => {}
                    Err(super::wire::WireError::NotUnderstood(error)) => {
                        tracing::error!(%error, "a line of the engine cannot be understood");
                    }
                    Err(error) => break Over::Lost(format!("lost the engine: {error}")),
                },
                call = self.inbox.recv() => {
                    let Some(call) = call else {
                        break Over::Ended("closed".into());
                    };
                    let id = self.next;
                    self.next += 1;
                    pending.insert(id, call.reply);
                    if let Err(error) = mouth.say(&Asked::Call { id, request: call.request }).await {
                        break Over::Lost(format!("lost the engine: {error}"));
                    }
                }
            }
            // A caller that has given up needs no place.
            pending.retain(|_, reply| !reply.is_closed());
        };
        let reason = match &over {
            Over::Lost(reason) | Over::Replaced(reason) | Over::Stopped(reason) => format!(
                "{reason}; it is not known whether this was still carried out: look before trying again"
            ),
            Over::Ended(reason) => reason.clone(),
        };
        for (_, reply) in pending {
            let _ = reply.send(Err(Refusal::new(reason.clone())));
        }
        over
    }
}
