//! What all of Nomad's endpoints have in common: who asks, the headers, blocking queries, pages, errors as plain text.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;

use super::state::Nomad;
use crate::lab::services::blocking::Blocking;
use crate::lab::services::http::{self, Params, with};
use crate::lab::services::sim::Sim;

/// One agent's HTTP server.
#[derive(Clone)]
pub(crate) struct Server {
    pub sim: Arc<Sim<Nomad>>,
    pub node: Arc<str>,
    pub token: Arc<str>,
}

/// Whoever shows the management token; nobody else reaches a handler that asks for it.
pub(crate) struct Management;

impl FromRequestParts<Server> for Management {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Response> {
        server.require(&parts.headers)?;
        Ok(Self)
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
    /// Lets only the management token pass.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn require(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let token = headers
            .get("x-nomad-token")
            .and_then(|value| value.to_str().ok())
            .or_else(|| http::bearer(headers))
            .unwrap_or_default();
        match token {
            "" => Err(Refusal(403, "Permission denied".into())),
            token if token == &*self.token => Ok(()),
            _ => Err(Refusal(403, "ACL token not found".into())),
        }
    }

    /// Refuses what needs the leader when there is none; `?stale` asks any server.
    ///
    /// # Errors
    /// 500, in the words of a server or of a client agent.
    pub(crate) fn reach(&self, nomad: &Nomad, params: &Params) -> Result<(), Refusal> {
        let server = nomad.servers.contains_key(&*self.node);
        if !server && !nomad.servers.values().any(|server| server.pulse.alive()) {
            return Err(Refusal(500, "No Nomad servers".into()));
        }
        if nomad.quorum.leader().is_none() && !params.has("stale") {
            return Err(Refusal(500, "No cluster leader".into()));
        }
        Ok(())
    }

    /// Answers a list: with rights, after the index of the query, and a page at a time when asked for.
    pub(crate) async fn list<T: Serialize>(
        &self,
        headers: &HeaderMap,
        params: &Params,
        read: impl Fn(&Nomad, Timestamp) -> Vec<(String, T)>,
    ) -> Response {
        if let Err(refusal) = self.require(headers) {
            return refusal.into();
        }
        let blocking = match Blocking::parse(params) {
            Ok(blocking) => blocking,
            Err(words) => return Refusal(400, words.into()).into(),
        };
        let outcome = blocking
            .read(&self.sim, |nomad: &mut Nomad, now| {
                self.reach(nomad, params)?;
                let leader = nomad.quorum.leader().is_some();
                Ok((nomad.index, (read(nomad, now), leader)))
            })
            .await;
        let (index, (items, leader)) = match outcome {
            Ok(found) => found,
            Err(refusal) => return Refusal::into(refusal),
        };
        let (page, next) = match page(items, params) {
            Ok(page) => page,
            Err(refusal) => return refusal.into(),
        };
        let response = meta(http::json(200, &page), index, leader);
        match next {
            Some(token) => with(response, "x-nomad-nexttoken", token),
            None => response,
        }
    }
}

/// The headers that tell of the index and the leader.
pub(crate) fn meta(response: Response, index: u64, leader: bool) -> Response {
    let response = with(response, "x-nomad-index", index.to_string());
    let response = with(response, "x-nomad-knownleader", leader.to_string());
    with(response, "x-nomad-lastcontact", "0")
}

/// `?per_page=` items from `?next_token=` on, and the token of the next page.
fn page<T>(items: Vec<(String, T)>, params: &Params) -> Result<(Vec<T>, Option<String>), Refusal> {
    let size = params.number("per_page", 0).map_err(|value| {
        Refusal(
            400,
            format!("Failed to parse value of \"per_page\" ({value}) as a int32"),
        )
    })?;
    let size = match usize::try_from(size) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(size) => size,
    };
    let from = params.get("next_token").unwrap_or_default();
    let mut rest = items
        .into_iter()
        .skip_while(|(token, _)| !from.is_empty() && token != from);
    let page: Vec<T> = rest.by_ref().take(size).map(|(_, item)| item).collect();
    Ok((page, rest.next().map(|(token, _)| token)))
}
