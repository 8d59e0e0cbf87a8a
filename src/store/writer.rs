//! The only thing that writes: a thread of its own that owns the connection.
//!
//! Whatever waits in its bounded queue goes into one transaction (group commit). A transaction with a transition in it is
//! flushed to the disk before anybody hears of it; one with only log lines is left to the next flush, so that it survives
//! a crash of the program at once and a power cut a moment later.
//!
//! A full disk or a locked file is waited out for [`PATIENCE`]; senders are held up meanwhile, so nothing is lost. After that
//! transitions are refused to their senders, and the lines that could not be kept are counted: the log says how many are
//! missing as soon as something can be written again. What was acknowledged is never lost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use super::audit::Clerk;
use super::erase::{self, Erased};
use super::ledger::{Change, Committed, Ledger, NewLine, NewRun};
use super::{StoreError, open, recover, rows, undo};
use crate::domain::audit::{Entry, Record};
use crate::domain::run::{Run, RunId, Stream};
use crate::domain::structured::Level;
use crate::domain::undo::Remembered;

/// Messages that may wait.
const QUEUE: usize = 8192;
/// Text of log lines that may wait, bytes.
const QUEUED_TEXT: usize = 16 * 1024 * 1024;
/// Messages in one transaction, at most.
const BATCH: usize = 16_384;
/// A longer line is stored in pieces.
pub const LINE_LIMIT: usize = 64 * 1024;
/// Ends every piece of a long line but the last.
pub const CONTINUED: char = '↩';
/// How long a write is tried again while the disk is full or the file is locked.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(250);

enum Message {
    Line(NewLine, Option<Level>),
    Create(Box<NewRun>, oneshot::Sender<Result<Run, StoreError>>),
    Commit {
        run: RunId,
        at: Timestamp,
        changes: Vec<Change>,
        reply: oneshot::Sender<Result<Committed, StoreError>>,
    },
    Audit {
        at: Timestamp,
        entry: Box<Entry>,
        reply: oneshot::Sender<Result<Record, StoreError>>,
    },
    Remember(
        RunId,
        Box<Remembered>,
        oneshot::Sender<Result<(), StoreError>>,
    ),
    /// Rows that stand beside the runs.
    Beside(Beside, oneshot::Sender<Result<(), StoreError>>),
    Erase {
        run: i64,
        reply: oneshot::Sender<Result<Erased, StoreError>>,
    },
    /// Answered by whether there is more to give back.
    GiveBack(oneshot::Sender<bool>),
    Flush(oneshot::Sender<()>),
    Stop,
}

/// A write that has nothing to do with the ledger. Called again when the transaction is tried again.
type Beside = Box<dyn Fn(&Connection) -> rusqlite::Result<()> + Send>;

/// Owns the writing thread and the engine's lock.
pub struct Writer {
    handle: Handle,
    thread: JoinHandle<()>,
    /// Runs that were found unfinished; they have ended now, most of them interrupted.
    pub unfinished: Vec<RunId>,
}

/// Sends to the [`Writer`]; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    queue: mpsc::Sender<Message>,
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    room: Semaphore,
    grown: Mutex<BTreeMap<RunId, u64>>,
    grew: Notify,
}

impl Writer {
    /// Opens the store in `state_dir`, creating it where there is none, and marks what a dead engine left unfinished as
    /// interrupted at `now`.
    ///
    /// # Errors
    /// [`StoreError`] when the directory cannot be written, another engine holds it, or the file is damaged, foreign or
    /// of a newer version. Nothing that cannot be read is ever replaced.
    pub fn open(state_dir: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let now = rows::whole(now);
        let (mut connection, lock) = open::for_writing(state_dir)?;
        let path = open::database_path(state_dir);
        let unfinished = recover::interrupt(&mut connection, now)
            .map_err(|error| open::explain(&path, &error))?;
        let clerk = Clerk::open(&mut connection, &path, now)
            .map_err(|error| open::explain(&path, &error))?;
        let (queue, inbox) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            path: path.clone(),
            room: Semaphore::new(QUEUED_TEXT),
            grown: Mutex::default(),
            grew: Notify::new(),
        });
        let scribe = Scribe {
            connection,
            ledger: Ledger::default(),
            clerk,
            lost: BTreeMap::new(),
            shared: Arc::clone(&shared),
            flushing: true,
        };
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || {
                scribe.run(inbox);
                open::release(&lock);
                // Held until the connection is closed.
                drop(lock);
            })
            .map_err(|error| StoreError::new(&path, format!("cannot start a thread: {error}")))?;
        Ok(Self {
            handle: Handle { queue, shared },
            thread,
            unfinished,
        })
    }

    /// Sends to this writer.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Writes what waits, closes the file and gives up the lock. Later sends are refused.
    pub async fn close(self) {
        // An error means that the thread has ended already.
        let _ = self.handle.queue.send(Message::Stop).await;
        let thread = self.thread;
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the store's thread ended by a panic");
        }
    }
}

impl Handle {
    /// The database file, for readers.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Stores a new run; returns when it is on the disk.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be stored.
    pub async fn create(&self, mut new: NewRun) -> Result<Run, StoreError> {
        new.at = rows::whole(new.at);
        let (reply, answer) = oneshot::channel();
        self.send(Message::Create(Box::new(new), reply)).await?;
        answer.await.map_err(|_| self.closed())?
    }

    /// Stores transitions of one run, all or none; returns when they are on the disk.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be stored or the state machine forbids one.
    pub async fn commit(
        &self,
        run: RunId,
        at: Timestamp,
        changes: Vec<Change>,
    ) -> Result<Committed, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Commit {
            run,
            at: rows::whole(at),
            changes,
            reply,
        })
        .await?;
        answer.await.map_err(|_| self.closed())?
    }

    /// Adds to the audit; returns when it is on the disk. What the entry tells of must not happen before.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be stored.
    pub async fn audit(&self, at: Timestamp, entry: Entry) -> Result<Record, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Audit {
            at: rows::whole(at),
            entry: Box::new(entry),
            reply,
        })
        .await?;
        answer.await.map_err(|_| self.closed())?
    }

    /// Stores what was there before a change; returns when it is on the disk. The first record of a resource stays.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be stored or there is no such run.
    pub async fn remember(&self, run: RunId, record: Remembered) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Remember(run, Box::new(record), reply))
            .await?;
        answer.await.map_err(|_| self.closed())?
    }

    /// Appends a line to a run's log. Waits while the queue is full, so a chatty command is slowed down and nothing is
    /// dropped.
    ///
    /// NULs become `␀`; a line longer than [`LINE_LIMIT`] is stored in pieces, all but the last ending in [`CONTINUED`].
    ///
    /// # Errors
    /// [`StoreError`] when the store is closed.
    pub async fn line(&self, mut line: NewLine) -> Result<(), StoreError> {
        if line.text.contains('\0') {
            line.text = line.text.replace('\0', "␀");
        }
        if line.text.len() <= LINE_LIMIT {
            return self.push(line).await;
        }
        let text = std::mem::take(&mut line.text);
        let mut rest = text.as_str();
        while rest.len() > LINE_LIMIT {
            let mut cut = LINE_LIMIT - CONTINUED.len_utf8();
            while !rest.is_char_boundary(cut) {
                cut -= 1;
            }
            let mut piece = String::with_capacity(LINE_LIMIT);
            piece.push_str(&rest[..cut]);
            piece.push(CONTINUED);
            rest = &rest[cut..];
            self.push(NewLine {
                text: piece,
                ..line.clone()
            })
            .await?;
        }
        line.text = rest.to_owned();
        self.push(line).await
    }

    async fn push(&self, line: NewLine) -> Result<(), StoreError> {
        let permits = self
            .shared
            .room
            .acquire_many(weight(&line))
            .await
            .map_err(|_| self.closed())?;
        let level = if line.stream == Stream::Diff {
            None
        } else {
            Level::of_line(&line.text)
        };
        self.send(Message::Line(line, level)).await?;
        // Given back by the thread once the line is written.
        permits.forget();
        Ok(())
    }

    /// Does `write` in the order of everything else; returns when it is on the disk.
    pub(super) async fn beside(
        &self,
        write: impl Fn(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Beside(Box::new(write), reply)).await?;
        answer.await.map_err(|_| self.closed())?
    }

    /// Removes a part of the run called `run`; small enough not to hold up the lines of others. Ask until it is gone wholly.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be stored, the run goes on, or one that goes on builds upon it.
    pub async fn erase(&self, run: i64) -> Result<Erased, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Erase { run, reply }).await?;
        answer.await.map_err(|_| self.closed())?
    }

    /// Gives the room of what was removed back to the file system, a little at a time.
    pub async fn give_back(&self) {
        loop {
            let (reply, answer) = oneshot::channel();
            let sent = self.send(Message::GiveBack(reply)).await;
            if sent.is_err() || !answer.await.unwrap_or(false) {
                return;
            }
        }
    }

    /// Returns when everything that was sent before is written.
    pub async fn flush(&self) {
        let (reply, answer) = oneshot::channel();
        if self.send(Message::Flush(reply)).await.is_ok() {
            // An error means that the thread ended, after writing what it had.
            let _ = answer.await;
        }
    }

    /// Waits until lines were committed, and says which runs have how many now.
    pub async fn grown(&self) -> BTreeMap<RunId, u64> {
        loop {
            let grew = self.shared.grew.notified();
            let grown = std::mem::take(
                &mut *self
                    .shared
                    .grown
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
            );
            if !grown.is_empty() {
                return grown;
            }
            grew.await;
        }
    }

    async fn send(&self, message: Message) -> Result<(), StoreError> {
        self.queue.send(message).await.map_err(|_| self.closed())
    }

    fn closed(&self) -> StoreError {
        StoreError::new(&self.shared.path, "the store is closed")
    }
}

fn weight(line: &NewLine) -> u32 {
    u32::try_from(line.text.len()).unwrap_or(u32::MAX)
}

/// What is told to the sender after the commit.
enum Done {
    Nothing,
    Created(Result<Run, StoreError>),
    Committed(Result<Committed, StoreError>),
    Audited(Result<Record, StoreError>),
    Erased(Result<Erased, StoreError>),
    Remembered(Result<(), StoreError>),
    Beside(Result<(), StoreError>),
}

struct Scribe {
    connection: Connection,
    ledger: Ledger,
    clerk: Clerk,
    /// Lines that could not be stored, with the time of the first: the log will say so.
    lost: BTreeMap<RunId, (u64, Timestamp)>,
    shared: Arc<Shared>,
    /// Whether a commit waits for the disk at present.
    flushing: bool,
}

impl Scribe {
    fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut batch = Vec::with_capacity(256);
        while inbox.blocking_recv_many(&mut batch, BATCH) > 0 {
            let stop = batch
                .iter()
                .position(|message| matches!(message, Message::Stop));
            if let Some(stop) = stop {
                batch.truncate(stop);
            }
            self.write(&mut batch);
            if stop.is_some() {
                break;
            }
        }
        inbox.close();
        self.shared.room.close();
    }

    /// Writes a batch, whatever it takes within [`PATIENCE`], and answers its senders.
    fn write(&mut self, batch: &mut Vec<Message>) {
        let begun = Instant::now();
        let result = loop {
            let mut grown = BTreeMap::new();
            match self.transact(batch, &mut grown) {
                Ok(done) => break Ok((done, grown)),
                Err(error) => {
                    self.ledger.forget();
                    self.clerk.rolled_back();
                    // A failed commit leaves the transaction open; there may also be none.
                    let _ = self.connection.execute_batch("ROLLBACK");
                    if open::is_passing(&error) && begun.elapsed() < PATIENCE {
                        tracing::warn!(%error, "the store cannot write, trying again");
                        std::thread::sleep(PAUSE);
                        continue;
                    }
                    break Err(open::explain(&self.shared.path, &error));
                }
            }
        };
        match result {
            Ok((done, grown)) => {
                self.ledger.close_finished();
                self.clerk.committed();
                self.lost.clear();
                for (message, done) in batch.drain(..).zip(done) {
                    if let Message::GiveBack(reply) = message {
                        // The asker may have gone.
                        let _ = reply.send(self.give_back());
                    } else {
                        self.shared.answer(message, done);
                    }
                }
                self.shared.announce(grown);
            }
            Err(error) => {
                tracing::error!(%error, messages = batch.len(), "a batch could not be stored");
                for message in &*batch {
                    if let Message::Line(line, _) = message {
                        self.lost.entry(line.run).or_insert((0, line.at)).0 += 1;
                    }
                }
                for message in batch.drain(..) {
                    let done = match &message {
                        Message::Create(..) => Done::Created(Err(error.clone())),
                        Message::Commit { .. } => Done::Committed(Err(error.clone())),
                        Message::Audit { .. } => Done::Audited(Err(error.clone())),
                        Message::Erase { .. } => Done::Erased(Err(error.clone())),
                        Message::Remember(..) => Done::Remembered(Err(error.clone())),
                        Message::Beside(..) => Done::Beside(Err(error.clone())),
                        _ => Done::Nothing,
                    };
                    self.shared.answer(message, done);
                }
            }
        }
    }

    /// Gives some free pages back; that it fails costs nothing but room.
    fn give_back(&self) -> bool {
        erase::give_back(&self.connection).unwrap_or_else(|error| {
            tracing::warn!(%error, "free pages could not be given back");
            false
        })
    }

    fn transact(
        &mut self,
        batch: &[Message],
        grown: &mut BTreeMap<RunId, u64>,
    ) -> rusqlite::Result<Vec<Done>> {
        let flush = batch
            .iter()
            .any(|message| !matches!(message, Message::Line(..)));
        if flush != self.flushing {
            let level = if flush { "FULL" } else { "NORMAL" };
            self.connection
                .execute_batch(&format!("PRAGMA synchronous = {level}"))?;
            self.flushing = flush;
        }
        let db = &self.connection;
        db.execute_batch("BEGIN IMMEDIATE")?;
        let mut insert = db.prepare_cached(
            "INSERT INTO lines (key, at, task, stream, text, level) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let refuse = |reason: String| StoreError::new(&self.shared.path, reason);
        let mut results = Vec::with_capacity(batch.len());
        // Lines of one run come in rows; its total is noted once per row.
        let mut row: Option<(RunId, u64)> = None;
        for (run, (count, at)) in &self.lost {
            let note = NewLine {
                run: *run,
                task: None,
                stream: Stream::Note,
                at: *at,
                text: format!(
                    "{count} lines could not be stored here: the disk was full or could not be written"
                ),
            };
            let level = Some(Level::Error);
            if let Some(total) = self.ledger.line(db, &mut insert, &note, level)? {
                grown.insert(*run, total);
            }
        }
        for message in batch {
            results.push(match message {
                Message::Line(line, level) => {
                    if let Some(total) = self.ledger.line(db, &mut insert, line, *level)? {
                        if let Some((run, total)) = row.filter(|(run, _)| *run != line.run) {
                            grown.insert(run, total);
                        }
                        row = Some((line.run, total));
                    }
                    Done::Nothing
                }
                Message::Create(new, _) => Done::Created(Ok(self.ledger.create(db, new)?)),
                Message::Commit {
                    run, at, changes, ..
                } => Done::Committed(self.ledger.apply(db, *run, *at, changes)?.map_err(refuse)),
                Message::Audit { at, entry, .. } => {
                    Done::Audited(Ok(self.clerk.append(db, *at, entry)?))
                }
                Message::Remember(run, record, _) => {
                    Done::Remembered(undo::insert(db, *run, record)?.map_err(refuse))
                }
                Message::Beside(write, _) => {
                    write(db)?;
                    Done::Beside(Ok(()))
                }
                Message::Erase { run, .. } => Done::Erased(erase::step(db, *run)?.map_err(refuse)),
                Message::GiveBack(_) | Message::Flush(_) | Message::Stop => Done::Nothing,
            });
        }
        grown.extend(row);
        self.ledger.settle(db)?;
        db.execute_batch("COMMIT")?;
        Ok(results)
    }
}

impl Shared {
    /// Tells the sender; one that has gone away is no error.
    fn answer(&self, message: Message, done: Done) {
        match (message, done) {
            (Message::Line(line, _), _) => self.room.add_permits(weight(&line) as usize),
            (Message::Create(_, reply), Done::Created(result)) => drop(reply.send(result)),
            (Message::Commit { reply, .. }, Done::Committed(result)) => drop(reply.send(result)),
            (Message::Audit { reply, .. }, Done::Audited(result)) => drop(reply.send(result)),
            (Message::Remember(.., reply), Done::Remembered(result))
            | (Message::Beside(_, reply), Done::Beside(result)) => drop(reply.send(result)),
            (Message::Erase { reply, .. }, Done::Erased(result)) => drop(reply.send(result)),
            (Message::Flush(reply), _) => drop(reply.send(())),
            _ => {}
        }
    }

    fn announce(&self, news: BTreeMap<RunId, u64>) {
        if news.is_empty() {
            return;
        }
        self.grown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(news);
        self.grew.notify_one();
    }
}
