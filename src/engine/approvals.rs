//! What waits for an operator's decision, and what a decision does.
//!
//! A question is bound to the hash of its run's plan. Before an approval counts, the plan is made again and compared, the
//! decision is written down, and only then whoever asked hears of it: once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use super::core::Core;
use super::run::Questions;
use crate::client::Refusal;
use crate::clock::SharedClock;
use crate::domain::approval::{Approval, Approver, Decision, Fate, Waiting};
use crate::domain::hex;
use crate::domain::operator::Operator;
use crate::domain::plan::Plan;
use crate::domain::run::{Run, RunId};
use crate::steps::{AskOperator, Bound, Question};

/// Which question: the run, and the step that asks.
type Key = (RunId, Option<String>);

/// The questions that are open; clones are the same book.
#[derive(Clone, Default)]
pub(super) struct Approvals(Arc<Mutex<BTreeMap<Key, Open>>>);

struct Open {
    waiting: Waiting,
    asker: Operator,
    plan: Arc<Plan>,
    bound: Option<Arc<dyn Bound>>,
    verdict: oneshot::Sender<Verdict>,
}

/// An open question, copied.
struct Looked {
    waiting: Waiting,
    asker: Operator,
    plan: Arc<Plan>,
    bound: Option<Arc<dyn Bound>>,
}

/// What an approval is for: the run's plan, and with it what the question is bound to.
fn hash_of(plan: &str, bound: Option<&dyn Bound>) -> String {
    match bound {
        None => plan.to_owned(),
        Some(bound) => hex(&Sha256::digest(format!("{plan} {}", bound.hash()))),
    }
}

/// What was decided, and by whom, in a sentence.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) decision: Decision,
    pub(super) said: String,
}

/// The asking end of a question; withdrawn when dropped.
pub(super) struct Asked {
    approvals: Approvals,
    key: Key,
    verdict: oneshot::Receiver<Verdict>,
}

impl Asked {
    /// Waits for the decision.
    pub(super) async fn verdict(&mut self) -> Verdict {
        match (&mut self.verdict).await {
            Ok(verdict) => verdict,
            // The sender is kept until it is used; should it get lost all the same, nothing was approved.
            Err(_) => Verdict {
                decision: Decision::Refuse,
                said: "the question was withdrawn".into(),
            },
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.approvals.lock().remove(&self.key);
    }
}

/// Asks on behalf of one run.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) approvals: Approvals,
    pub(super) run: Run,
    pub(super) plan: Arc<Plan>,
    /// Who started it.
    pub(super) by: Operator,
    pub(super) clock: SharedClock,
    /// Tells the run that it waits.
    pub(super) questions: Questions,
}

impl Asker {
    /// Opens a question about `step`, or about the run as a whole.
    pub(super) fn open(&self, step: Option<&str>, question: Question) -> Asked {
        let Question {
            text,
            approver,
            bound,
        } = question;
        let key = (self.run.id, step.map(Into::into));
        let (verdict, receiver) = oneshot::channel();
        let waiting = Waiting {
            run: self.run.id,
            number: self.run.number,
            title: self.run.title.clone(),
            environment: self.run.environment.clone(),
            step: step.map(Into::into),
            text,
            details: bound
                .as_ref()
                .map(|bound| bound.details())
                .unwrap_or_default(),
            approver,
            asked_by: self.by.to_string(),
            plan: self.run.plan_hash.clone(),
            hash: hash_of(&self.run.plan_hash, bound.as_deref()),
            since: self.clock.now(),
        };
        let open = Open {
            waiting,
            asker: self.by.clone(),
            plan: Arc::clone(&self.plan),
            bound,
            verdict,
        };
        self.approvals.lock().insert(key.clone(), open);
        Asked {
            approvals: self.approvals.clone(),
            key,
            verdict: receiver,
        }
    }
}

#[async_trait]
impl AskOperator for Asker {
    async fn ask(&self, step: &str, question: Question) -> Result<String, String> {
        let waits = format!("{step} waits for an approval: {}", question.text);
        let mut asked = self.open(Some(step), question);
        let _waiting = self.questions.wait(waits);
        let verdict = asked.verdict().await;
        match verdict.decision {
            Decision::Approve => Ok(verdict.said),
            Decision::Refuse => Err(verdict.said),
        }
    }
}

impl Approvals {
    /// Everything that waits, in the order of the runs.
    pub(super) fn waiting(&self) -> Vec<Waiting> {
        let open = self.lock();
        open.values().map(|open| open.waiting.clone()).collect()
    }

    fn look(&self, key: &Key) -> Option<Looked> {
        let open = self.lock();
        let open = open.get(key)?;
        Some(Looked {
            waiting: open.waiting.clone(),
            asker: open.asker.clone(),
            plan: Arc::clone(&open.plan),
            bound: open.bound.clone(),
        })
    }

    fn take(&self, key: &Key) -> Option<Open> {
        self.lock().remove(key)
    }

    fn put_back(&self, key: Key, open: Open) {
        self.lock().insert(key, open);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A decision as it comes from a client.
pub(super) struct Deciding {
    pub(super) run: RunId,
    pub(super) step: Option<String>,
    pub(super) hash: String,
    pub(super) decision: Decision,
    pub(super) note: Option<String>,
}

impl Core {
    /// Takes an operator's decision.
    ///
    /// # Errors
    /// [`Refusal`] when nothing waits for it, it is for another plan, it is not his to make, or it is void.
    pub(super) async fn decide(&self, deciding: Deciding, by: &Operator) -> Result<(), Refusal> {
        let Deciding {
            run,
            step,
            hash,
            decision,
            note,
        } = deciding;
        let key = (run, step);
        let gone =
            || Refusal::new("this does not wait for an approval, or somebody decided already");
        let Looked {
            waiting,
            asker,
            plan,
            bound,
        } = self.approvals.look(&key).ok_or_else(gone)?;
        if waiting.hash != hash {
            return Err(Refusal::new(
                "this is an approval of another plan than the one that waits; look at it again",
            ));
        }
        let mut fate = Fate::Used;
        let mut void = VOID.to_owned();
        if decision == Decision::Approve {
            may_approve(&waiting, &asker, by)?;
            // Void, when the plan would be another one now or cannot be made any more.
            let again = self.plan_as(plan.request.clone(), Some(run)).await;
            let moved = match &bound {
                Some(bound) => bound.moved().await,
                None => None,
            };
            if let Some(what) = moved {
                fate = Fate::Void;
                void = format!("the approval is void: {what}; resume the run to plan again");
            } else if again.is_ok_and(|again| again.hash == plan.hash) {
                if key.1.is_none() {
                    self.desk.claim(run, self.clock.now())?;
                }
            } else {
                fate = Fate::Void;
            }
        }
        // From here on nobody else can decide.
        let open = self.approvals.take(&key).ok_or_else(gone)?;
        let note = note.map(|note| self.redactor.cleaned(note));
        let approval = Approval {
            step: key.1.clone(),
            hash,
            decision,
            by: by.to_string(),
            uid: by.uid,
            key: by.key.clone(),
            note,
            at: self.clock.now(),
            fate,
        };
        let verdict = verdict(&approval, &void);
        if let Err(refusal) = self.put_on_record(&waiting, approval, by).await {
            if key.1.is_none() {
                self.desk.give_back(run);
            }
            self.approvals.put_back(key, open);
            return Err(refusal);
        }
        open.verdict
            .send(verdict)
            .map_err(|_| Refusal::new("the run ended before it heard of the decision"))?;
        match fate {
            Fate::Used => Ok(()),
            Fate::Void => Err(Refusal::new(void)),
        }
    }

    async fn put_on_record(
        &self,
        waiting: &Waiting,
        approval: Approval,
        by: &Operator,
    ) -> Result<(), Refusal> {
        self.audit.decided(by, waiting, &approval).await?;
        self.store
            .approval(waiting.run, approval)
            .await
            .map_err(|error| Refusal::new(format!("the decision cannot be stored: {error}")))
    }
}

fn may_approve(waiting: &Waiting, asker: &Operator, by: &Operator) -> Result<(), Refusal> {
    if waiting.approver == Approver::Anyone || by.is_someone_else_than(asker) {
        return Ok(());
    }
    Err(Refusal::new(format!(
        "{asker} started this, and it asks for another operator; your session cannot be told from his: come as another user, \
         or with an SSH key of your own (ExposeAuthInfo yes in sshd_config)"
    )))
}

const VOID: &str =
    "the approval is void: what the plan was made from has changed since it was shown; plan again";

fn verdict(approval: &Approval, void: &str) -> Verdict {
    let note = match &approval.note {
        Some(note) => format!(": {note}"),
        None => String::new(),
    };
    let by = &approval.by;
    match (approval.decision, approval.fate) {
        (_, Fate::Void) => Verdict {
            decision: Decision::Refuse,
            said: format!("approved by {by}, but {void}"),
        },
        (Decision::Approve, Fate::Used) => Verdict {
            decision: Decision::Approve,
            said: format!("approved by {by}{note}"),
        },
        (Decision::Refuse, Fate::Used) => Verdict {
            decision: Decision::Refuse,
            said: format!("refused by {by}{note}"),
        },
    }
}
