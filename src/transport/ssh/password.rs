//! Answering a host that asks: keyboard-interactive (RFC 4256), then the bare password (RFC 4252, section 8).
//!
//! The operator is asked, on whose behalf the connection is made. What he answers goes to the host and is wiped; a
//! connection that is lost asks again.

use russh::MethodKind;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse as Reply};

use super::auth::{Door, Tried};
use super::greet::Greeter;
use super::tame;
use crate::domain::question::{Prompt, Question, QuestionAnswer, QuestionKind};
use crate::domain::secret::Secret;
use crate::transport::ask::Unanswered;

/// How often a host's question is answered before giving up.
const ATTEMPTS: usize = 3;
/// More than any host asks in one attempt.
const ROUNDS: usize = 16;

impl Door<'_> {
    /// Answers what the host asks, if it asks; what let us in, if it did.
    pub(super) async fn answer(
        &self,
        handle: &mut Handle<Greeter>,
        tried: &mut Tried,
    ) -> Option<String> {
        for attempt in 0..ATTEMPTS {
            let takes = |tried: &Tried, method| {
                let remaining = tried.remaining.as_ref();
                remaining.is_some_and(|remaining| remaining.contains(&method))
            };
            let by_questions =
                *self.target.by_questions && takes(tried, MethodKind::KeyboardInteractive);
            let by_password = *self.target.by_password && takes(tried, MethodKind::Password);
            if handle.is_closed() || !(by_questions || by_password) {
                return None;
            }
            // Nothing is begun that nobody would finish: hosts count attempts, and lock out who makes too many.
            if let Err(why) = self.asker.may_ask() {
                tried.unanswered.get_or_insert(("a password", why));
                return None;
            }
            let answered = if by_questions {
                self.by_questions(handle, attempt, tried).await
            } else {
                self.by_password(handle, attempt, tried).await
            };
            match answered {
                Ok(Some(by)) => return Some(by.into()),
                Ok(None) => {}
                Err(why) => {
                    tried.unanswered.get_or_insert(("a password", why));
                    return None;
                }
            }
        }
        None
    }

    async fn by_password(
        &self,
        handle: &mut Handle<Greeter>,
        attempt: usize,
        tried: &mut Tried,
    ) -> Result<Option<&'static str>, Unanswered> {
        let user = self.target.user.value.as_str();
        let mut question = Question::secret(
            QuestionKind::Password,
            &self.target.name,
            format!("Password of {} at {}", tame(user), self.target.name),
            "Password",
        );
        question.lines = self.said_before(attempt);
        let mut filled = filled(self.asker.ask(question).await?)?;
        let password = filled.remove(0);
        let result = handle.authenticate_password(user, password.expose()).await;
        let by = "password";
        Ok(tried.succeeded(by, result).then_some(by))
    }

    async fn by_questions(
        &self,
        handle: &mut Handle<Greeter>,
        attempt: usize,
        tried: &mut Tried,
    ) -> Result<Option<&'static str>, Unanswered> {
        let by = "keyboard-interactive";
        let user = self.target.user.value.as_str();
        let mut reply = handle
            .authenticate_keyboard_interactive_start(user, None)
            .await;
        for _ in 0..ROUNDS {
            let (name, instructions, prompts) = match reply {
                Ok(Reply::Success) => return Ok(Some(by)),
                Ok(Reply::Failure {
                    remaining_methods,
                    partial_success,
                }) => {
                    let failure = AuthResult::Failure {
                        remaining_methods,
                        partial_success,
                    };
                    tried.succeeded::<russh::Error>(by, Ok(failure));
                    return Ok(None);
                }
                Ok(Reply::InfoRequest {
                    name,
                    instructions,
                    prompts,
                }) => (name, instructions, prompts),
                Err(error) => {
                    tried.say(by, &error.to_string());
                    return Ok(None);
                }
            };
            let answers = if prompts.is_empty() {
                Vec::new()
            } else {
                let mut lines = self.said_before(attempt);
                lines.extend([name, instructions].iter().map(|text| tame(text)));
                lines.retain(|line| !line.is_empty());
                let prompts = prompts.iter().map(|prompt| Prompt {
                    label: tame(prompt.prompt.trim().trim_end_matches(':')),
                    echo: prompt.echo,
                });
                let question = Question {
                    kind: QuestionKind::Login,
                    host: self.target.name.clone(),
                    title: format!("{} asks {}", self.target.name, tame(user)),
                    lines,
                    prompts: prompts.collect(),
                };
                filled(self.asker.ask(question).await?)?
            };
            // The library takes them over as plain text, and hands them on at once.
            let answers = answers.iter().map(|answer| answer.expose().to_owned());
            reply = handle
                .authenticate_keyboard_interactive_respond(answers.collect())
                .await;
        }
        tried.say(by, "the host does not stop asking");
        Ok(None)
    }

    /// What the host said to whoever comes, and what became of the last answer.
    fn said_before(&self, attempt: usize) -> Vec<String> {
        let mut lines = vec![self.fate.banner()];
        if attempt > 0 {
            lines.push("The host did not accept that. Once more:".into());
        }
        lines.retain(|line| !line.is_empty());
        lines
    }
}

fn filled(answer: QuestionAnswer) -> Result<Vec<Secret>, Unanswered> {
    match answer {
        QuestionAnswer::Filled(filled) if !filled.is_empty() => Ok(filled),
        _ => Err(Unanswered::Dismissed),
    }
}
