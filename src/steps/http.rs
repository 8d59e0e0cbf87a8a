//! `http`: waits until an endpoint answers as wanted. Asked from where the engine is.

use std::time::Duration;

use async_trait::async_trait;
use regex::Regex;

use super::wait::{self, Look, Sight};
use super::{Context, Outcome, StepError};
use crate::domain::recipe::{HttpWait, Step};
use crate::transport::http::{HttpClient, public};

/// The longest that one request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// How much of a body is shown.
const SHOWN: usize = 120;

pub(super) async fn execute(
    wait: &HttpWait,
    step: &Step,
    context: &Context,
) -> Result<Outcome, StepError> {
    let body = wait
        .body
        .as_ref()
        .map(|pattern| {
            Regex::new(pattern).map_err(|error| {
                StepError::lasting(format!("body is no regular expression: {error}"))
            })
        })
        .transpose()?;
    let endpoint = Endpoint {
        client: HttpClient::new(None).map_err(|error| StepError::lasting(error.to_string()))?,
        wait,
        shown: public(&wait.url),
        body,
    };
    let url = &endpoint.shown;
    let what = match &wait.body {
        Some(pattern) => format!("{url} answers {} and matches /{pattern}/", wait.status),
        None => format!("{url} answers {}", wait.status),
    };
    wait::until(&what, step, context, &endpoint).await
}

struct Endpoint<'a> {
    client: HttpClient,
    wait: &'a HttpWait,
    /// The URL without query and user information.
    shown: String,
    body: Option<Regex>,
}

#[async_trait]
impl Look for Endpoint<'_> {
    async fn look(&self) -> Sight {
        let url = &self.shown;
        let answer = self
            .client
            .request("GET", &self.wait.url, &[], None, REQUEST_LIMIT)
            .await;
        let reply = match answer {
            Err(error) => return Sight::NotYet(format!("{url}: {error}")),
            Ok(reply) => reply,
        };
        if reply.status != self.wait.status {
            return Sight::NotYet(format!("{url} answers {}", reply.status));
        }
        let text = String::from_utf8_lossy(&reply.body);
        match &self.body {
            Some(pattern) if !pattern.is_match(&text) => {
                Sight::NotYet(format!("{url} answers {:?}", shorten(&text)))
            }
            _ => Sight::Wanted(format!("{url} answers {}", reply.status)),
        }
    }
}

fn shorten(text: &str) -> String {
    let text = text.trim();
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
