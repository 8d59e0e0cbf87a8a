//! What all of Consul's endpoints have in common: who asks, the headers that tell of an index and of the leader, blocking
//! queries, and errors as plain text.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;

use super::state::{Consul, Serf};
use crate::lab::services::blocking::Blocking;
use crate::lab::services::http::{self, Params, with};
use crate::lab::services::sim::Sim;

/// One agent's HTTP server.
#[derive(Clone)]
pub(crate) struct Server {
    pub sim: Arc<Sim<Consul>>,
    pub node: Arc<str>,
    pub token: Arc<str>,
    pub datacenter: Arc<str>,
}

/// What a request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The bootstrap token: everything.
    Management,
    /// No token: nothing, as the default policy is `deny`.
    Anonymous,
}

/// Whoever shows a token that exists, or none. A request with another one is refused before its handler sees it.
impl FromRequestParts<Server> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Response> {
        let params = Params::from_request_parts(parts, server).await;
        let params = params.map_err(IntoResponse::into_response)?;
        Ok(server.caller(&parts.headers, &params)?)
    }
}

/// Whoever shows the management token; nobody else reaches a handler that asks for it.
pub(crate) struct Management;

impl FromRequestParts<Server> for Management {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Response> {
        match Caller::from_request_parts(parts, server).await? {
            Caller::Management => Ok(Self),
            Caller::Anonymous => Err(Refusal(403, "Permission denied".into()).into()),
        }
    }
}

/// An answer that is not 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal(pub u16, pub String);

impl From<Refusal> for Response {
    fn from(Refusal(status, words): Refusal) -> Self {
        http::text(status, &words)
    }
}

impl Server {
    /// Who asks.
    ///
    /// # Errors
    /// 403 for a token that does not exist.
    pub(crate) fn caller(&self, headers: &HeaderMap, params: &Params) -> Result<Caller, Refusal> {
        let token = headers
            .get("x-consul-token")
            .and_then(|value| value.to_str().ok())
            .or_else(|| http::bearer(headers))
            .or_else(|| params.get("token"))
            .unwrap_or_default();
        match token {
            "" | "anonymous" => Ok(Caller::Anonymous),
            token if token == &*self.token => Ok(Caller::Management),
            _ => Err(Refusal(403, "ACL not found".into())),
        }
    }

    /// Lets only the management token pass.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn require(&self, headers: &HeaderMap, params: &Params) -> Result<(), Refusal> {
        match self.caller(headers, params)? {
            Caller::Management => Ok(()),
            Caller::Anonymous => Err(Refusal(403, "Permission denied".into())),
        }
    }

    /// Refuses what needs the leader when there is none; `?stale` asks any server.
    ///
    /// # Errors
    /// 500, in the words of a server or of a client agent.
    pub(crate) fn reach(&self, consul: &Consul, params: &Params) -> Result<(), Refusal> {
        let server = consul.agent(&self.node).is_some_and(|agent| agent.server);
        let any_server = consul
            .members()
            .any(|agent| agent.server && agent.serf == Serf::Alive && agent.pulse.alive());
        if !server && !any_server {
            return Err(Refusal(500, "No known Consul servers".into()));
        }
        if consul.quorum.leader().is_none() && !params.has("stale") {
            return Err(Refusal(500, "No cluster leader".into()));
        }
        Ok(())
    }

    /// Answers a query that may block until the index of what it reads has passed `?index=`.
    pub(crate) async fn query<T: Serialize>(
        &self,
        params: &Params,
        read: impl Fn(&Consul, Timestamp) -> Result<Found<T>, Refusal>,
    ) -> Response {
        let blocking = match Blocking::parse(params) {
            Ok(blocking) => blocking,
            Err(words) => return Refusal(400, words.into()).into(),
        };
        let read = |consul: &mut Consul, now| {
            self.reach(consul, params)?;
            let found = read(consul, now)?;
            Ok((found.index, (found, consul.quorum.leader().is_some())))
        };
        match blocking.read(&self.sim, read).await {
            Ok((_, (found, leader))) => found.answer(params, leader),
            Err(refusal) => Refusal::into(refusal),
        }
    }
}

/// What a query has read.
pub(crate) struct Found<T> {
    /// The index of the last change of what was read.
    pub index: u64,
    /// The body; `None` is a 404.
    pub value: Option<T>,
}

impl<T: Serialize> Found<T> {
    fn answer(self, params: &Params, leader: bool) -> Response {
        let response = match &self.value {
            Some(value) => http::json(200, value),
            None => http::empty(404),
        };
        let consistency = if params.has("consistent") {
            "consistent"
        } else if params.has("stale") {
            "stale"
        } else {
            "leader"
        };
        let mut response = with(response, "x-consul-index", self.index.max(1).to_string());
        for (name, value) in [
            (
                "x-consul-knownleader",
                if leader { "true" } else { "false" },
            ),
            ("x-consul-lastcontact", "0"),
            ("x-consul-effective-consistency", consistency),
        ] {
            response = with(response, name, value);
        }
        response
    }
}
