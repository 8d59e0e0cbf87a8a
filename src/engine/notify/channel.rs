//! One channel: its queue, and how stubbornly it is tried.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::ExposeSecret as _;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::body::{PAGERDUTY_URL, body};
use crate::domain::notice::{Channel, ChannelKind, Notice};
use crate::engine::secrets;
use crate::store::Redactor;
use crate::transport::http::{HttpClient, HttpError};

/// Notices that may wait for one channel; beyond that the oldest are dropped, and that is told.
pub(super) const QUEUE: usize = 256;
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// How long one notice is tried.
const GIVE_UP: Duration = Duration::from_secs(15 * 60);
/// The pause after the first failure; it doubles from then on.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause that is chosen.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause that a server may ask for.
const LONGEST_WISH: Duration = Duration::from_secs(5 * 60);

/// A notice on its way to one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) id: Uuid,
    pub(super) notice: Notice,
}

/// What waits for a channel.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<VecDeque<Delivery>>,
    grew: Notify,
}

impl Queue {
    /// Adds a delivery; returns the one that had to go for it.
    pub(super) fn push(&self, delivery: Delivery) -> Option<Delivery> {
        let mut waiting = self.lock();
        let dropped = (waiting.len() == QUEUE)
            .then(|| waiting.pop_front())
            .flatten();
        waiting.push_back(delivery);
        self.grew.notify_one();
        dropped
    }

    /// The oldest, as soon as there is one.
    pub(super) async fn next(&self) -> Delivery {
        loop {
            let grew = self.grew.notified();
            if let Some(delivery) = self.lock().pop_front() {
                return delivery;
            }
            grew.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Delivery>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// From `Retry-After`, when that is a number of seconds (RFC 9110 §10.2.3).
    pub(super) retry_after: Option<Duration>,
}

/// How a body gets to a server.
#[async_trait]
pub(super) trait Post: Send + Sync {
    async fn post(
        &self,
        url: &str,
        headers: &[(&str, String)],
        body: Bytes,
        limit: Duration,
    ) -> Result<Answer, HttpError>;
}

/// By HTTP; redirects are not followed, so nothing goes to another host than the one that was named.
#[derive(Default)]
pub(super) struct Http(OnceLock<Result<HttpClient, HttpError>>);

#[async_trait]
impl Post for Http {
    async fn post(
        &self,
        url: &str,
        headers: &[(&str, String)],
        body: Bytes,
        limit: Duration,
    ) -> Result<Answer, HttpError> {
        let client = self.0.get_or_init(|| HttpClient::new(None)).clone()?;
        let reply = client
            .request("POST", url, headers, Some(body), limit)
            .await?;
        let seconds = reply
            .header("retry-after")
            .and_then(|text| text.trim().parse().ok());
        Ok(Answer {
            status: reply.status,
            retry_after: seconds.map(Duration::from_secs),
        })
    }
}

/// Why one attempt failed.
#[derive(Debug)]
struct Trouble {
    reason: String,
    /// Whether another attempt may go better.
    passing: bool,
    /// How long the server wants to be left alone.
    wish: Option<Duration>,
}

/// Sends a notice once.
///
/// # Errors
/// Why it did not arrive; free of secrets.
pub(super) async fn once(
    post: &dyn Post,
    channel: &Channel,
    redactor: &Redactor,
    notice: &Notice,
) -> Result<(), String> {
    attempt(post, channel, redactor, notice)
        .await
        .map_err(|trouble| trouble.reason)
}

/// Sends a notice, again and again while the trouble may pass and its time is not up.
///
/// # Errors
/// The last trouble; free of secrets.
pub(super) async fn stubbornly(
    post: &dyn Post,
    channel: &Channel,
    redactor: &Redactor,
    notice: &Notice,
) -> Result<(), String> {
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let trouble = match attempt(post, channel, redactor, notice).await {
            Ok(()) => return Ok(()),
            Err(trouble) => trouble,
        };
        // Between half and one and a half: many engines do not come back in step.
        let chosen = pause.mul_f64(0.5 + fastrand::f64());
        let wait = trouble
            .wish
            .map_or(chosen, |wish| wish.min(LONGEST_WISH).max(chosen));
        if !trouble.passing || begun.elapsed() + wait > GIVE_UP {
            return Err(trouble.reason);
        }
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn attempt(
    post: &dyn Post,
    channel: &Channel,
    redactor: &Redactor,
    notice: &Notice,
) -> Result<(), Trouble> {
    let secret =
        match &channel.secret {
            None => None,
            Some(reference) => Some(secrets::resolve(reference, redactor).await.map_err(
                |error| Trouble {
                    reason: error.to_string(),
                    passing: false,
                    wish: None,
                },
            )?),
        };
    let secret = secret.as_ref().map(secrecy::SecretString::expose_secret);
    let mut headers = vec![("content-type", "application/json".to_owned())];
    let url = match (channel.kind, channel.url.as_deref(), secret) {
        (ChannelKind::Pagerduty, url, _) => url.unwrap_or(PAGERDUTY_URL),
        (ChannelKind::Webhook, Some(url), Some(token)) => {
            headers.push(("authorization", format!("Bearer {token}")));
            url
        }
        (_, Some(url), None) | (_, _, Some(url)) => url,
        (_, None, None) => "",
    };
    let body = Bytes::from(body(channel.kind, notice, secret).to_string());
    let answer = post.post(url, &headers, body, ATTEMPT).await;
    let (reason, passing, wish) = match answer {
        Ok(Answer {
            status: 200..=299, ..
        }) => return Ok(()),
        Ok(Answer {
            status: status @ 300..=399,
            ..
        }) => (
            format!("status {status}: redirects are not followed"),
            false,
            None,
        ),
        Ok(Answer {
            status,
            retry_after,
        }) => (
            format!("status {status}"),
            matches!(status, 408 | 425 | 429 | 500..=599),
            retry_after,
        ),
        Err(error) => {
            let passing = matches!(error, HttpError::Unreachable(_) | HttpError::Timeout(_));
            (redactor.cleaned(error.to_string()), passing, None)
        }
    };
    Err(Trouble {
        reason,
        passing,
        wish,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::domain::notice::NoticeKind;
    use crate::engine::notify::testing::{channel, notice};

    /// Answers from a list, then well for ever; notes when it was asked.
    struct Script {
        answers: Mutex<VecDeque<Result<Answer, HttpError>>>,
        asked: AtomicUsize,
        times: Mutex<Vec<Instant>>,
    }

    impl Script {
        fn new(answers: impl IntoIterator<Item = Result<Answer, HttpError>>) -> Self {
            Self {
                answers: Mutex::new(answers.into_iter().collect()),
                asked: AtomicUsize::new(0),
                times: Mutex::default(),
            }
        }
    }

    #[async_trait]
    impl Post for Script {
        async fn post(
            &self,
            _url: &str,
            _headers: &[(&str, String)],
            _body: Bytes,
            _limit: Duration,
        ) -> Result<Answer, HttpError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.times.lock().unwrap().push(Instant::now());
            self.answers
                .lock()
                .unwrap()
                .pop_front()
                .unwrap_or(status(200))
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "one of the script's answers")]
    const fn status(status: u16) -> Result<Answer, HttpError> {
        Ok(Answer {
            status,
            retry_after: None,
        })
    }

    async fn send(script: &Script) -> Result<(), String> {
        let channel = channel(ChannelKind::Webhook, "http://192.0.2.1/hook");
        let notice = notice(NoticeKind::RunFailed, "k");
        stubbornly(script, &channel, &Redactor::default(), &notice).await
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_again_with_growing_pauses() {
        let script = Script::new([
            status(500),
            Err(HttpError::Timeout(ATTEMPT)),
            Err(HttpError::Unreachable("connection reset".into())),
            status(503),
        ]);
        assert_eq!(send(&script).await, Ok(()));
        let times = script.times.lock().unwrap();
        let pauses: Vec<f64> = times
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).as_secs_f64())
            .collect();
        assert_eq!(pauses.len(), 4);
        for (pause, middle) in pauses.iter().zip([1.0, 2.0, 4.0, 8.0]) {
            assert!(
                (middle * 0.49..=middle * 1.51).contains(pause),
                "{pauses:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_asks_for_a_pause_gets_it_up_to_a_limit() {
        let wish = |seconds| {
            Ok(Answer {
                status: 429,
                retry_after: Some(Duration::from_secs(seconds)),
            })
        };
        let script = Script::new([wish(30), wish(86_400)]);
        let begun = Instant::now();
        assert_eq!(send(&script).await, Ok(()));
        assert_eq!(begun.elapsed().as_secs(), 30 + LONGEST_WISH.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn what_will_not_pass_is_given_up_at_once() {
        for (status, says) in [
            (400, "status 400"),
            (404, "status 404"),
            (302, "redirects are not followed"),
        ] {
            let script = Script::new([self::status(status)]);
            assert!(send(&script).await.unwrap_err().contains(says));
            assert_eq!(script.asked.load(Ordering::Relaxed), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_answers_is_given_up_in_time() {
        let script = Script::new((0..1000).map(|_| status(500)));
        let begun = Instant::now();
        assert_eq!(send(&script).await, Err("status 500".into()));
        assert!(begun.elapsed() <= GIVE_UP);
        assert!(script.asked.load(Ordering::Relaxed) < 40);
    }

    #[tokio::test]
    async fn a_full_queue_lets_the_oldest_go_and_hands_it_back() {
        let queue = Queue::default();
        let delivery = |number: u128| Delivery {
            id: Uuid::from_u128(number),
            notice: notice(NoticeKind::RunFailed, "k"),
        };
        for number in 0..QUEUE as u128 {
            assert_eq!(queue.push(delivery(number)), None);
        }
        assert_eq!(
            queue.push(delivery(9999)).map(|gone| gone.id),
            Some(Uuid::from_u128(0))
        );
        assert_eq!(queue.next().await.id, Uuid::from_u128(1));
    }

    #[tokio::test]
    async fn a_secret_that_cannot_be_read_is_told_without_trying_again() {
        let script = Script::new([]);
        let mut channel = channel(ChannelKind::Pagerduty, "http://192.0.2.1/");
        channel.secret = Some(crate::domain::service::SecretRef::Env(
            "QUARTERDECK_NO_SUCH_VARIABLE".into(),
        ));
        let error = stubbornly(
            &script,
            &channel,
            &Redactor::default(),
            &notice(NoticeKind::Test, "k"),
        )
        .await
        .unwrap_err();
        assert!(error.contains("is not set"), "{error}");
        assert_eq!(script.asked.load(Ordering::Relaxed), 0);
    }
}
