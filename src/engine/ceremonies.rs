//! The hall where ceremonies are held: steps open them, operators from any session say their words.
//!
//! A share goes from the socket straight to the step that asked for it; nothing of it is stored or logged. The audit learns who
//! said what kind of word to which run, before the step hears it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::bus::Bus;
use super::core::Core;
use crate::client::{Event, Refusal, Response};
use crate::domain::audit::{Act, Entry};
use crate::domain::operator::Operator;
use crate::domain::run::{Run, RunId};
use crate::domain::seal::{Ceremony, CeremonyKind, SealBoard, Standing, Word};
use crate::domain::service::ServiceKind;
use crate::steps::{AskService as _, Ceremonies, Chair, Heard, Spoken};

/// Words that may wait for a step at a time; more operators than that do not type at once.
const QUEUE: usize = 8;
/// How long a step may take to make something of a word: as long as its slowest node.
const PATIENCE: Duration = Duration::from_secs(60);

/// The ceremonies that are held now; clones are the same hall.
#[derive(Clone, Default)]
pub(super) struct Hall(Arc<Mutex<BTreeMap<RunId, Held>>>);

struct Held {
    ceremony: Ceremony,
    words: mpsc::Sender<Spoken>,
}

impl Hall {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<RunId, Held>> {
        // Entries are added, changed and removed whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is held, in the order of the runs.
    pub(super) fn held(&self) -> Vec<Ceremony> {
        let held = self.lock();
        held.values().map(|held| held.ceremony.clone()).collect()
    }

    fn of(&self, run: RunId) -> Option<(Ceremony, mpsc::Sender<Spoken>)> {
        let held = self.lock();
        let held = held.get(&run)?;
        Some((held.ceremony.clone(), held.words.clone()))
    }

    /// The part of the hall where the steps of one run hold theirs.
    pub(super) fn room(&self, run: &Run, bus: &Bus) -> Arc<dyn Ceremonies> {
        Arc::new(OfRun {
            hall: self.clone(),
            bus: bus.clone(),
            run: run.id,
            number: run.number,
            environment: run.environment.clone(),
        })
    }
}

struct OfRun {
    hall: Hall,
    bus: Bus,
    run: RunId,
    number: i64,
    environment: String,
}

impl Ceremonies for OfRun {
    fn open(&self, service: &str, kind: CeremonyKind) -> Chair {
        let (words, heard) = mpsc::channel(QUEUE);
        let ceremony = Ceremony {
            run: self.run,
            number: self.number,
            environment: self.environment.clone(),
            service: service.to_owned(),
            kind,
            standing: Standing::quiet(),
        };
        let held = Held {
            ceremony: ceremony.clone(),
            words,
        };
        self.hall.lock().insert(self.run, held);
        self.bus.publish(Event::Ceremony(Box::new(ceremony)));
        let (hall, bus, run) = (self.hall.clone(), self.bus.clone(), self.run);
        let show = move |standing: &Standing| {
            let shown = {
                let mut held = hall.lock();
                held.get_mut(&run).map(|held| {
                    held.ceremony.standing = standing.clone();
                    held.ceremony.clone()
                })
            };
            if let Some(shown) = shown {
                bus.publish(Event::Ceremony(Box::new(shown)));
            }
        };
        let seat = Seat {
            hall: self.hall.clone(),
            bus: self.bus.clone(),
            run: self.run,
        };
        Chair::new(heard, show, seat)
    }
}

/// Ends the ceremony when the step leaves its chair.
struct Seat {
    hall: Hall,
    bus: Bus,
    run: RunId,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hall.lock().remove(&self.run);
        self.bus.publish(Event::CeremonyOver { run: self.run });
    }
}

impl Core {
    /// Hands an operator's word to the step that waits for it, and what it makes of that back.
    ///
    /// # Errors
    /// [`Refusal`] when nothing is held for that run, or the word was not taken.
    pub(super) async fn speak(
        &self,
        run: RunId,
        word: Word,
        who: &Operator,
    ) -> Result<Response, Refusal> {
        let gone = || Refusal::new("nothing is asked of operators for this run any more");
        let (ceremony, words) = self.ceremonies.of(run).ok_or_else(gone)?;
        let said = match word {
            Word::Share(_) => "a share",
            Word::Reset => "that all shares be forgotten",
            Word::Take => "that he takes the new keys",
            Word::Kept => "that the new keys are in a safe place",
        };
        let mut entry = Entry::new(Act::Answered, "done")
            .by(who)
            .on(&ceremony.environment)
            .saying(format!("{} of {}: {said}", ceremony.kind, ceremony.service));
        entry.run = Some(ceremony.number);
        self.audit.write(entry).await?;
        let (reply, answer) = oneshot::channel();
        let spoken = Spoken {
            word,
            by: who.to_string(),
            reply,
        };
        words.send(spoken).await.map_err(|_| gone())?;
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let answer = answer.map_err(|_| {
            Refusal::new(format!(
                "the step has not said within {} s what became of it; the board shows it",
                PATIENCE.as_secs()
            ))
        })?;
        match answer.map_err(|_| gone())? {
            Ok(Heard::Keys(keys)) => Ok(Response::Keys(Box::new(keys))),
            Ok(Heard::Taken) => Ok(Response::Ceremony(
                self.ceremonies.of(run).map(|(now, _)| Box::new(now)),
            )),
            Err(reason) => Err(Refusal::new(self.redactor.cleaned(reason))),
        }
    }

    /// The nodes of every Vault of an environment as they say themselves now.
    ///
    /// # Errors
    /// [`Refusal`] for an environment that is not there, or a service that cannot be used as configured.
    pub(super) async fn seals(&self, environment: &str) -> Result<Vec<SealBoard>, Refusal> {
        let room = self.room(environment)?;
        let vaults = room
            .environment
            .services
            .iter()
            .filter(|service| service.kind == ServiceKind::Vault);
        let boards = vaults.map(async |service| {
            let seals = room.directory.seals(&service.name).await;
            let seals = seals.map_err(|reason| {
                Refusal::new(self.redactor.cleaned(format!("{}: {reason}", service.name)))
            })?;
            let mut nodes = seals.nodes().await;
            for node in &mut nodes {
                node.trouble = node.trouble.take().map(|text| self.redactor.cleaned(text));
                if !node.state.is_open() {
                    node.since = self
                        .live
                        .problem_since(environment, &service.name, &node.node);
                }
            }
            Ok(SealBoard {
                environment: environment.to_owned(),
                service: service.name.clone(),
                nodes,
                as_of: self.now(),
            })
        });
        futures::future::join_all(boards)
            .await
            .into_iter()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;

    fn scene() -> (Hall, Bus, RunId, Arc<dyn Ceremonies>) {
        let (hall, bus, run) = (Hall::default(), Bus::new(), RunId(uuid::Uuid::now_v7()));
        let part: Arc<dyn Ceremonies> = Arc::new(OfRun {
            hall: hall.clone(),
            bus: bus.clone(),
            run,
            number: 7,
            environment: "lab".into(),
        });
        (hall, bus, run, part)
    }

    #[tokio::test]
    async fn a_ceremony_is_held_while_the_step_keeps_its_chair() {
        let (hall, bus, run, part) = scene();
        let mut events = bus.subscribe();
        let chair = part.open("vault", CeremonyKind::Unseal);
        assert_eq!(hall.held().len(), 1);
        assert!(matches!(events.next().await, Some(Event::Ceremony(_))));
        drop(chair);
        assert_eq!(hall.held(), []);
        assert_eq!(events.next().await, Some(Event::CeremonyOver { run }));
        assert!(hall.of(run).is_none());
    }

    #[test]
    fn neither_a_request_nor_an_event_shows_a_share() {
        let share = "0123456789abcdef0123456789abcdef";
        let request = crate::client::Request::Ceremony {
            run: RunId(uuid::Uuid::now_v7()),
            word: Word::Share(Secret::new(share.into())),
        };
        assert!(!format!("{request:?}").contains(share));
        let keys = Response::Keys(Box::new(crate::domain::seal::NewKeys {
            shares: vec![Secret::new(share.into())],
            threshold: 1,
            root_token: None,
            recovery: false,
        }));
        assert!(!format!("{keys:?}").contains(share));
    }
}
