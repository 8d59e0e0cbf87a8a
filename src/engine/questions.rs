//! The broker between those who must ask and those who can answer.
//!
//! A question is published to every client and waits for the first answer. It is given up when its time is over, when
//! nobody who answers is connected any more, or when whoever asked has gone. Answers go straight to the asker: they are
//! neither stored nor logged; the audit learns who answered what kind of question, never the content.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, oneshot};

use super::bus::Bus;
use crate::client::{Event, Refusal};
use crate::clock::SharedClock;
use crate::domain::question::{OpenQuestion, Question, QuestionAnswer};
use crate::transport::ask::{Operators, Unanswered};

/// How long a question waits: less than the two minutes that an SSH server gives somebody to log in.
const PATIENCE: Duration = Duration::from_secs(100);
/// Questions that may wait at a time.
const MOST: usize = 256;

/// Questions that wait, and who is there to answer them; clones are the same desk.
#[derive(Clone)]
pub struct Broker(Arc<Inner>);

struct Inner {
    open: Mutex<Open>,
    /// Told whenever somebody who answers leaves.
    left: Notify,
    /// Set once the engine is there.
    bus: std::sync::OnceLock<(Bus, SharedClock)>,
}

#[derive(Default)]
struct Open {
    next: u64,
    answerers: usize,
    waiting: BTreeMap<u64, (OpenQuestion, oneshot::Sender<QuestionAnswer>)>,
}

impl Default for Broker {
    fn default() -> Self {
        Self(Arc::new(Inner {
            open: Mutex::default(),
            left: Notify::new(),
            bus: std::sync::OnceLock::new(),
        }))
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        // Entries are added and removed whole: a panic elsewhere cannot have left one half made.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Broker {
    /// Connects it to the engine's bus; questions before that find nobody.
    ///
    /// Questions are numbered from this moment in microseconds: what is typed for a question of an engine that has gone never
    /// answers one of the next.
    pub(super) fn serve(&self, bus: Bus, clock: SharedClock) {
        let first = u64::try_from(clock.now().as_microsecond()).unwrap_or(0);
        self.0.lock().next = first;
        // A broker belongs to one engine; the first stays.
        let _ = self.0.bus.set((bus, clock));
    }

    /// Somebody who answers is there until the seat is dropped.
    pub(super) fn seat(&self) -> Seat {
        self.0.lock().answerers += 1;
        Seat(Arc::clone(&self.0))
    }

    /// What waits, in the order in which it was asked.
    pub(super) fn waiting(&self) -> Vec<OpenQuestion> {
        let open = self.0.lock();
        open.waiting.values().map(|(one, _)| one.clone()).collect()
    }

    /// Hands an answer to whoever asked; what was asked.
    ///
    /// # Errors
    /// [`Refusal`] when it was answered already or taken back, or the answer does not fit.
    pub(super) fn answer(&self, id: u64, answer: QuestionAnswer) -> Result<Question, Refusal> {
        let mut open = self.0.lock();
        let gone = || Refusal::new("the question was answered already, or is not asked any more");
        let fits = open
            .waiting
            .get(&id)
            .map(|(one, _)| answer.fits(&one.question));
        match fits {
            None => return Err(gone()),
            Some(false) => return Err(Refusal::new("the answer does not fit the question")),
            Some(true) => {}
        }
        let (one, to) = open.waiting.remove(&id).ok_or_else(gone)?;
        drop(open);
        to.send(answer).map_err(|_| gone())?;
        Ok(one.question)
    }
}

/// A place of somebody who answers.
pub(super) struct Seat(Arc<Inner>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.lock().answerers -= 1;
        self.0.left.notify_waiters();
    }
}

/// A question as long as somebody waits for its answer.
struct Asked {
    inner: Arc<Inner>,
    bus: Bus,
    id: u64,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.inner.lock().waiting.remove(&self.id);
        self.bus.publish(Event::Settled { question: self.id });
    }
}

#[async_trait]
impl Operators for Broker {
    async fn ask(&self, question: Question) -> Result<QuestionAnswer, Unanswered> {
        let inner = &self.0;
        let Some((bus, clock)) = inner.bus.get() else {
            return Err(Unanswered::Nobody);
        };
        let (sender, answer) = oneshot::channel();
        let (asked, open) = {
            let mut open = inner.lock();
            if open.answerers == 0 || open.waiting.len() >= MOST {
                return Err(Unanswered::Nobody);
            }
            let id = open.next;
            open.next += 1;
            let one = OpenQuestion {
                id,
                question,
                until: clock.now() + PATIENCE,
            };
            open.waiting.insert(id, (one.clone(), sender));
            let asked = Asked {
                inner: Arc::clone(inner),
                bus: bus.clone(),
                id,
            };
            (asked, one)
        };
        bus.publish(Event::Question(Box::new(open)));
        let deserted = async {
            loop {
                let left = inner.left.notified();
                tokio::pin!(left);
                // Registered before looking: nobody leaves unnoticed in between.
                left.as_mut().enable();
                if inner.lock().answerers == 0 {
                    return;
                }
                left.await;
            }
        };
        let result = tokio::select! {
            biased;
            given = answer => match given {
                Ok(QuestionAnswer::No) => Err(Unanswered::Dismissed),
                Ok(given) => Ok(given),
                Err(_) => Err(Unanswered::Nobody),
            },
            () = deserted => Err(Unanswered::Nobody),
            () = tokio::time::sleep(PATIENCE) => Err(Unanswered::Late),
        };
        drop(asked);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Subscription;
    use crate::clock::SystemClock;
    use crate::domain::question::QuestionKind;
    use crate::domain::secret::Secret;

    fn scene() -> (Broker, Subscription) {
        let (broker, bus) = (Broker::default(), Bus::new());
        let events = bus.subscribe();
        broker.serve(bus, Arc::new(SystemClock));
        (broker, events)
    }

    #[tokio::test]
    async fn no_question_has_the_number_that_one_of_an_earlier_engine_had() {
        let mut numbers = Vec::new();
        for second in [0, 1] {
            let (broker, bus) = (Broker::default(), Bus::new());
            let mut events = bus.subscribe();
            let started = jiff::Timestamp::from_second(1_795_266_000 + second).unwrap();
            broker.serve(bus, Arc::new(crate::clock::ManualClock::new(started)));
            let _seat = broker.seat();
            let asking = tokio::spawn(async move { broker.ask(question()).await });
            let Some(Event::Question(open)) = events.next().await else {
                panic!("nothing is asked");
            };
            numbers.push(open.id);
            asking.abort();
        }
        assert_ne!(numbers[0], numbers[1]);
    }

    fn question() -> Question {
        Question::secret(QuestionKind::Password, "pc1", "Password of ops", "Password")
    }

    fn filled() -> QuestionAnswer {
        QuestionAnswer::Filled(vec![Secret::new("hunter2".into())])
    }

    fn ask(broker: &Broker) -> tokio::task::JoinHandle<Result<QuestionAnswer, Unanswered>> {
        let broker = broker.clone();
        tokio::spawn(async move { broker.ask(question()).await })
    }

    async fn asked(events: &mut Subscription) -> u64 {
        match events.next().await {
            Some(Event::Question(one)) => one.id,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_first_answer_counts_and_everybody_hears_that_it_is_settled() {
        let (broker, mut events) = scene();
        let _seat = broker.seat();
        let asking = ask(&broker);
        let id = asked(&mut events).await;
        assert_eq!(broker.waiting().len(), 1);
        assert!(
            broker.answer(id, QuestionAnswer::Yes).is_err(),
            "does not fit"
        );
        assert_eq!(broker.answer(id, filled()), Ok(question()));
        assert!(broker.answer(id, filled()).is_err(), "only once");
        assert_eq!(asking.await.unwrap(), Ok(filled()));
        assert_eq!(events.next().await, Some(Event::Settled { question: id }));
    }

    #[tokio::test]
    async fn with_nobody_there_nothing_is_asked() {
        let (broker, _events) = scene();
        assert_eq!(broker.ask(question()).await, Err(Unanswered::Nobody));
        drop(broker.seat());
        assert_eq!(broker.ask(question()).await, Err(Unanswered::Nobody));
        assert_eq!(
            Broker::default().ask(question()).await,
            Err(Unanswered::Nobody)
        );
    }

    #[tokio::test]
    async fn a_question_ends_when_the_last_who_could_answer_leaves() {
        let (broker, mut events) = scene();
        let (one, other) = (broker.seat(), broker.seat());
        let asking = ask(&broker);
        asked(&mut events).await;
        drop(one);
        tokio::task::yield_now().await;
        assert!(!asking.is_finished());
        drop(other);
        assert_eq!(asking.await.unwrap(), Err(Unanswered::Nobody));
    }

    #[tokio::test]
    async fn a_question_is_taken_back_when_the_asker_goes() {
        let (broker, mut events) = scene();
        let _seat = broker.seat();
        let asking = ask(&broker);
        let id = asked(&mut events).await;
        asking.abort();
        assert_eq!(events.next().await, Some(Event::Settled { question: id }));
        assert_eq!(broker.waiting(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_waits_for_so_long_and_no_longer() {
        let (broker, _events) = scene();
        let _seat = broker.seat();
        let began = tokio::time::Instant::now();
        assert_eq!(broker.ask(question()).await, Err(Unanswered::Late));
        assert_eq!(began.elapsed(), PATIENCE);
    }

    #[tokio::test]
    async fn a_no_is_an_answer_of_its_own() {
        let (broker, mut events) = scene();
        let _seat = broker.seat();
        let asking = ask(&broker);
        let id = asked(&mut events).await;
        broker.answer(id, QuestionAnswer::No).unwrap();
        assert_eq!(asking.await.unwrap(), Err(Unanswered::Dismissed));
    }
}
