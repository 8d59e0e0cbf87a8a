//! Answers in Vault's manner: the headers on all of them, errors as a list, data in an envelope.

use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value};

use super::shapes::{Envelope, Errors};
use crate::lab::services::http::{self, with};

/// An answer that is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal(pub u16, pub Vec<String>);

impl Refusal {
    /// An error with one sentence.
    pub(crate) fn new(status: u16, words: impl Into<String>) -> Self {
        Self(status, vec![words.into()])
    }

    /// 404 for a path of a backend where nothing is: without words.
    pub(crate) const fn nothing() -> Self {
        Self(404, Vec::new())
    }

    /// 405, without words.
    pub(crate) const fn method() -> Self {
        Self(405, Vec::new())
    }
}

impl From<Refusal> for Response {
    fn from(Refusal(status, errors): Refusal) -> Self {
        headers(http::json(status, &Errors { errors }))
    }
}

/// The headers that every answer has.
pub(crate) fn headers(response: Response) -> Response {
    let response = with(response, "cache-control", "no-store");
    with(
        response,
        "strict-transport-security",
        "max-age=31536000; includeSubDomains",
    )
}

/// An answer whose body is `value` itself.
pub(crate) fn bare<T: Serialize>(status: u16, value: &T) -> Response {
    headers(http::json(status, value))
}

/// An answer without a body.
pub(crate) fn done() -> Response {
    headers(http::empty(204))
}

/// What a backend found, before it is wrapped.
pub(crate) struct Found {
    pub data: Value,
    /// The type of the mount that answers, such as `kv` or `system`.
    pub mount: &'static str,
    /// Older system endpoints repeat their data beside the envelope's fields.
    pub on_top: bool,
}

impl Found {
    /// Data of a `mount`.
    pub(crate) const fn new(mount: &'static str, data: Value) -> Self {
        Self {
            data,
            mount,
            on_top: false,
        }
    }

    /// Data of the system backend that is repeated on top.
    pub(crate) const fn repeated(data: Value) -> Self {
        Self {
            data,
            mount: "system",
            on_top: true,
        }
    }

    /// The whole answer.
    pub(crate) fn answer(self, request_id: String) -> Response {
        let on_top: Map<String, Value> = match (&self.data, self.on_top) {
            (Value::Object(fields), true) => fields.clone(),
            _ => Map::new(),
        };
        let envelope = Envelope {
            request_id,
            lease_id: "",
            renewable: false,
            lease_duration: 0,
            data: self.data,
            wrap_info: None,
            warnings: None,
            auth: None,
            mount_type: self.mount,
        };
        match serde_json::to_value(envelope) {
            Ok(Value::Object(mut body)) => {
                body.extend(on_top);
                bare(200, &body)
            }
            _ => Refusal::new(500, "internal error").into(),
        }
    }
}
