//! What clients say about questions: that they answer, what they answer, and that a host shall be let to ask.

use std::time::Duration;

use super::core::{Core, Counter};
use crate::client::{Event, Refusal, Response};
use crate::domain::audit::{Act, Entry};
use crate::domain::finding::Subject;
use crate::domain::operator::Operator;
use crate::domain::question::QuestionAnswer;
use crate::transport::Command;

/// How long the look at a node that was let in may take.
const LOOK: Duration = Duration::from_secs(15);

impl Counter {
    /// Takes note that this client answers questions as long as it is connected; what waits already.
    pub(super) fn attend(&self) -> Response {
        let questions = &self.core.questions;
        // Once is enough, however often it is said.
        let _ = self.seat.get_or_init(|| questions.seat());
        Response::Questions(questions.waiting())
    }
}

impl Core {
    /// Hands an answer on. The audit learns who answered what, before the asker learns the answer.
    pub(super) async fn answer_question(
        &self,
        id: u64,
        answer: QuestionAnswer,
        who: &Operator,
    ) -> Result<Response, Refusal> {
        let waiting = self.questions.waiting();
        let gone = || Refusal::new("the question was answered already, or is not asked any more");
        let one = waiting.iter().find(|one| one.id == id).ok_or_else(gone)?;
        let question = &one.question;
        let outcome = match answer {
            QuestionAnswer::Yes => "accepted",
            QuestionAnswer::Filled(_) => "done",
            QuestionAnswer::No => "refused",
        };
        let mut said = format!("{} for {}", question.kind, question.host);
        if question.prompts.is_empty() {
            said = format!("{said}: {}", question.lines.join(" "));
        }
        let entry = Entry::new(Act::Answered, outcome).by(who).saying(said);
        self.audit.write(entry).await?;
        self.questions.answer(id, answer)?;
        Ok(Response::Done)
    }

    /// Connects to a node on behalf of whoever asks for it, so that the host's questions reach him; then looks at it anew.
    pub(super) async fn let_in(&self, environment: &str, node: &str) -> Result<(), Refusal> {
        let room = self.room(environment)?;
        let host = room
            .reach
            .host(node)
            .map_err(|error| Refusal::new(error.to_string()))?;
        let knock = Command::new(["true"]).as_login_user().within(LOOK);
        host.output(&knock)
            .await
            .map_err(|error| Refusal::new(self.redactor.cleaned(error.to_string())))?;
        let mut events = self.bus.subscribe();
        self.refresh(environment, &Subject::Node(node.to_owned()))?;
        let seen = async {
            while let Some(event) = events.next().await {
                if matches!(&event, Event::Node { name, .. } if name == node) {
                    return;
                }
            }
        };
        // A node that is slow to answer is told by its row.
        let _ = tokio::time::timeout(LOOK, seen).await;
        Ok(())
    }
}
