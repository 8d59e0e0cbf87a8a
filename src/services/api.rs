//! What every adapter needs of HTTP: base URLs, credentials, statuses that mean something, and JSON that may not be JSON.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use zeroize::{Zeroize as _, Zeroizing};

use super::ServiceError;
use crate::domain::service::ServiceSpec;
use crate::transport::http::{HttpClient, HttpError, Incoming, Reply};

/// What there is to do about a Vault that is sealed.
pub(crate) const UNSEAL: &str = "unseal it (`quarterdeck unseal`)";

/// The moment by which an answer must be there, and the limit it came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Until {
    at: Instant,
    limit: Duration,
}

impl Until {
    /// `limit` from now.
    pub(super) fn after(limit: Duration) -> Self {
        Self {
            at: Instant::now() + limit,
            limit,
        }
    }

    /// What is left; zero when it is over.
    fn left(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }
}

/// How a request shows who asks.
#[derive(Clone)]
pub(super) enum Auth {
    /// Not at all.
    None,
    /// A header of the system's own, such as `X-Vault-Token`.
    Header(&'static str, SecretString),
    /// `Authorization: Bearer`.
    Bearer(SecretString),
    /// `Authorization: Basic`.
    Basic(String, SecretString),
}

impl Auth {
    /// The header that shows it.
    fn header(&self) -> Option<(&'static str, String)> {
        match self {
            Self::None => None,
            Self::Header(name, secret) => Some((name, secret.expose_secret().to_owned())),
            Self::Bearer(secret) => Some((
                "authorization",
                format!("Bearer {}", secret.expose_secret()),
            )),
            Self::Basic(user, secret) => {
                use base64::Engine as _;
                let pair = base64::engine::general_purpose::STANDARD
                    .encode(format!("{user}:{}", secret.expose_secret()));
                Some(("authorization", format!("Basic {pair}")))
            }
        }
    }
}

/// One endpoint of a service.
#[derive(Clone)]
pub(super) struct Endpoint {
    http: HttpClient,
    /// Base URL without a trailing slash.
    pub(super) base: String,
    /// The node behind it where the environment says so, else its host and port.
    pub(super) name: String,
    auth: Auth,
    accept: Option<&'static str>,
}

/// The endpoints of `spec`, in order; never empty.
pub(super) fn endpoints(
    spec: &ServiceSpec,
    http: &HttpClient,
    auth: &Auth,
) -> Result<Vec<Endpoint>, ServiceError> {
    endpoints_at(&spec.name, &spec.urls, &spec.nodes, http, auth)
}

/// The first of `endpoints`, for a system that answers as a whole at any of them.
pub(super) fn first(endpoints: &[Endpoint]) -> Result<&Endpoint, ServiceError> {
    let first = endpoints.first();
    first.ok_or_else(|| ServiceError::Setup("no endpoint".into()))
}

/// The endpoints at `urls`, in order; never empty.
pub(super) fn endpoints_at(
    name: &str,
    urls: &[String],
    nodes: &[String],
    http: &HttpClient,
    auth: &Auth,
) -> Result<Vec<Endpoint>, ServiceError> {
    if urls.is_empty() {
        return Err(ServiceError::Setup(format!(
            "{name} has no URL; give it `url:` or `urls:`"
        )));
    }
    // One URL per node: then the URL can be called by the node's name.
    let by_node = urls.len() == nodes.len();
    Ok(urls
        .iter()
        .enumerate()
        .map(|(index, url)| {
            let base = url.trim_end_matches('/').to_owned();
            let host = base
                .split_once("://")
                .map_or(base.as_str(), |(_, rest)| rest)
                .to_owned();
            let name = if by_node { nodes[index].clone() } else { host };
            Endpoint {
                http: http.clone(),
                base,
                name,
                auth: auth.clone(),
                accept: None,
            }
        })
        .collect())
}

impl Endpoint {
    /// The host part of its URL.
    pub(super) fn host(&self) -> &str {
        let rest = self.base.split_once("://").map_or("", |(_, rest)| rest);
        let place = rest.split('/').next().unwrap_or_default();
        place.rsplit_once(':').map_or(place, |(host, _)| host)
    }

    /// The same endpoint, asked with another identity and media type.
    pub(super) fn with(&self, auth: Auth, accept: &'static str) -> Self {
        Self {
            auth,
            accept: Some(accept),
            ..self.clone()
        }
    }

    /// Asks with GET and takes whatever status comes.
    pub(super) async fn ask(&self, path: &str, until: Until) -> Result<Answer, ServiceError> {
        self.send("GET", path, None, until).await
    }

    /// Sends JSON with POST and takes whatever status comes.
    pub(super) async fn post(
        &self,
        path: &str,
        body: &serde_json::Value,
        until: Until,
    ) -> Result<Answer, ServiceError> {
        self.send("POST", path, Some(Bytes::from(body.to_string())), until)
            .await
    }

    /// Sends nothing with PUT and takes whatever status comes.
    pub(super) async fn put(&self, path: &str, until: Until) -> Result<Answer, ServiceError> {
        self.send("PUT", path, None, until).await
    }

    /// Sends a text with PUT and takes whatever status comes.
    pub(super) async fn put_text(
        &self,
        path: &str,
        text: String,
        until: Until,
    ) -> Result<Answer, ServiceError> {
        self.send("PUT", path, Some(Bytes::from(text)), until).await
    }

    /// Sends JSON with something secret in it, which is wiped when it was sent; takes whatever status comes.
    pub(super) async fn post_secret(
        &self,
        path: &str,
        body: Zeroizing<String>,
        until: Until,
    ) -> Result<Answer, ServiceError> {
        // Taken as it is, not copied: whoever drops the last handle on it wipes it.
        self.send("POST", path, Some(Bytes::from_owner(body)), until)
            .await
    }

    /// As [`Endpoint::post_secret`], with PUT.
    pub(super) async fn put_secret(
        &self,
        path: &str,
        body: Zeroizing<String>,
        until: Until,
    ) -> Result<Answer, ServiceError> {
        self.send("PUT", path, Some(Bytes::from_owner(body)), until)
            .await
    }

    /// Sends JSON with DELETE and takes whatever status comes.
    pub(super) async fn delete(
        &self,
        path: &str,
        body: &serde_json::Value,
        until: Until,
    ) -> Result<Answer, ServiceError> {
        let body = Some(Bytes::from(body.to_string()));
        self.send("DELETE", path, body, until).await
    }

    /// Asks with GET; any status but 2xx is an error.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        until: Until,
    ) -> Result<T, ServiceError> {
        self.ask(path, until).await?.success()?.json()
    }

    /// Sends a request whose answer is read piece by piece; any status but 2xx is an error.
    pub(super) async fn open(
        &self,
        method: &str,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Incoming, ServiceError> {
        let url = format!("{}{path}", self.base);
        let headers: Vec<(&str, String)> = self.auth.header().into_iter().collect();
        let body = body.map(|body| Bytes::from(body.to_string()));
        let opened = self.http.open(method, &url, &headers, body).await;
        let mut incoming = opened.map_err(|error| unreachable(&url, &error))?;
        if (200..300).contains(&incoming.status()) {
            return Ok(incoming);
        }
        let mut words = Vec::new();
        // What cannot be read says nothing.
        while let (true, Ok(Some(chunk))) = (words.len() < 4096, incoming.chunk().await) {
            words.extend_from_slice(&chunk);
        }
        Err(refused(url, incoming.status(), short(&words)))
    }

    /// Sends a file as the body and waits for the answer up to `limit`; any status but 2xx is an error.
    pub(super) async fn upload(
        &self,
        method: &str,
        path: &str,
        file: &Path,
        limit: Duration,
    ) -> Result<Answer, ServiceError> {
        let url = format!("{}{path}", self.base);
        let headers: Vec<(&str, String)> = self.auth.header().into_iter().collect();
        match self.http.upload(method, &url, &headers, file, limit).await {
            Ok(reply) => Answer { url, reply }.success(),
            Err(HttpError::Timeout(_)) => Err(ServiceError::Timeout { url, limit }),
            Err(error) => Err(unreachable(&url, &error)),
        }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<Bytes>,
        until: Until,
    ) -> Result<Answer, ServiceError> {
        let url = format!("{}{path}", self.base);
        let left = until.left();
        if left.is_zero() {
            return Err(ServiceError::Timeout {
                url,
                limit: until.limit,
            });
        }
        let mut headers = vec![(
            "accept",
            self.accept.unwrap_or("application/json").to_owned(),
        )];
        if body.is_some() {
            headers.push(("content-type", "application/json".into()));
        }
        headers.extend(self.auth.header());
        match self.http.request(method, &url, &headers, body, left).await {
            Ok(reply) => Ok(Answer { url, reply }),
            Err(HttpError::Timeout(_)) => Err(ServiceError::Timeout {
                url,
                limit: until.limit,
            }),
            Err(error) => Err(unreachable(&url, &error)),
        }
    }
}

fn unreachable(url: &str, error: &HttpError) -> ServiceError {
    ServiceError::Unreachable {
        url: url.to_owned(),
        reason: error.to_string(),
    }
}

/// An answer with any status.
pub(super) struct Answer {
    /// What was asked for.
    pub(super) url: String,
    reply: Reply,
}

impl Answer {
    /// The HTTP status.
    pub(super) fn status(&self) -> u16 {
        self.reply.status
    }

    /// A response header as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.reply.header(name)
    }

    /// This answer, when its status is 2xx.
    ///
    /// # Errors
    /// [`ServiceError::Denied`] for 401 and 403, [`ServiceError::Status`] for the others.
    pub(super) fn success(self) -> Result<Self, ServiceError> {
        let status = self.reply.status;
        if (200..300).contains(&status) {
            return Ok(self);
        }
        let reason = self.words();
        Err(refused(self.url, status, reason))
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// [`ServiceError::Malformed`], saying what came instead.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ServiceError> {
        serde_json::from_slice(&self.reply.body).map_err(|error| {
            let begin = self.reply.body.trim_ascii_start();
            let reason = if begin.is_empty() {
                "an empty body instead of JSON".into()
            } else if begin.starts_with(b"<") {
                format!(
                    "HTML instead of JSON ({}); is this the right port, or a proxy's page?",
                    self.words()
                )
            } else {
                error.to_string()
            };
            ServiceError::Malformed {
                url: self.url.clone(),
                reason,
            }
        })
    }

    /// As [`Answer::json`], for a body with something secret in it: it is wiped.
    ///
    /// # Errors
    /// As [`Answer::json`].
    pub(super) fn json_wiped<T: DeserializeOwned>(self) -> Result<T, ServiceError> {
        let read = self.json();
        if let Ok(mut body) = self.reply.body.try_into_mut() {
            body.as_mut().zeroize();
        }
        // What went wrong may quote what it was found in.
        read.map_err(|error| match error {
            ServiceError::Malformed { url, .. } => ServiceError::Malformed {
                url,
                reason: "it is not shown, because there may be keys in it".into(),
            },
            other => other,
        })
    }

    /// What the service said, short enough for one line.
    pub(super) fn words(&self) -> String {
        short(&self.reply.body)
    }
}

/// A status that is not 2xx.
fn refused(url: String, status: u16, reason: String) -> ServiceError {
    // Vault's and OpenBao's words for it; nobody else says them.
    let reason = if status == 503 && reason.contains("Vault is sealed") {
        format!("{reason}: {UNSEAL}")
    } else {
        reason
    };
    match status {
        401 | 403 => ServiceError::Denied {
            url,
            status,
            reason,
        },
        _ => ServiceError::Status {
            url,
            status,
            reason,
        },
    }
}

/// What a body says about an error, short enough for one line.
fn short(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let said = serde_json::from_str::<serde_json::Value>(&text)
        .ok()
        .and_then(|value| complaint(&value))
        .or_else(|| between(&text, "<title>", "</title>").map(str::to_owned))
        .unwrap_or_else(|| text.into_owned());
    let line: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().filter(|c| !c.is_control()).take(160).collect();
    if short.is_empty() {
        "no explanation".into()
    } else {
        short
    }
}

/// The places where the systems spoken to here put their error texts.
fn complaint(value: &serde_json::Value) -> Option<String> {
    let errors = &value["errors"];
    [
        &value["message"],
        &value["detail"],
        &value["error"],
        &errors[0],
        &errors[0]["message"],
    ]
    .into_iter()
    .find_map(|place| place.as_str().map(str::to_owned))
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let from = text.find(open)? + open.len();
    let to = text[from..].find(close)? + from;
    Some(&text[from..to])
}
