//! Failures, as objects of kind `Status`.

use axum::response::Response;
use serde_json::{Value, json};

use crate::lab::services::http;

/// An answer that is not what was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    code: u16,
    reason: &'static str,
    message: String,
    details: Value,
}

impl Failure {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: Value::Null,
        }
    }

    /// 401.
    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 400.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 404 for an object.
    pub(crate) fn no_object(plural: &str, group: &str, name: &str) -> Self {
        let qualified = if group.is_empty() {
            plural.to_owned()
        } else {
            format!("{plural}.{group}")
        };
        let mut details = json!({ "name": name, "kind": plural });
        if !group.is_empty() {
            details["group"] = json!(group);
        }
        Self {
            details,
            ..Self::new(404, "NotFound", format!("{qualified} {name:?} not found"))
        }
    }

    /// 404 for a path that no resource has.
    pub(crate) fn no_resource() -> Self {
        Self {
            details: json!({}),
            ..Self::new(
                404,
                "NotFound",
                "the server could not find the requested resource",
            )
        }
    }

    /// 405.
    pub(crate) fn method() -> Self {
        Self {
            details: json!({}),
            ..Self::new(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )
        }
    }

    /// 429 for an eviction: the budget of the pod's kind is used up.
    pub(crate) fn disruption_budget() -> Self {
        Self::new(
            429,
            "TooManyRequests",
            "Cannot evict pod as it would violate the pod's disruption budget.",
        )
    }

    /// 409: the object of that name is not the one that was meant.
    pub(crate) fn other_object(plural: &str, name: &str, wanted: &str, found: &str) -> Self {
        Self::new(
            409,
            "Conflict",
            format!(
                "Operation cannot be fulfilled on {plural} {name:?}: Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
            ),
        )
    }

    /// 410: the history before that version is gone.
    pub(crate) fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(
            410,
            "Expired",
            format!("too old resource version: {asked} ({oldest})"),
        )
    }

    /// The object.
    pub(crate) fn object(&self) -> Value {
        let mut object = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        });
        if !self.details.is_null() {
            object["details"] = self.details.clone();
        }
        object["code"] = json!(self.code);
        object
    }
}

impl From<Failure> for Response {
    fn from(failure: Failure) -> Self {
        http::json(failure.code, &failure.object())
    }
}
