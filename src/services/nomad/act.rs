//! What Nomad can be told, and who votes in it.
//!
//! Clients are known by an identifier and told by their name, so each action looks the name up first. A drain is over when
//! no allocation of the client is left that Nomad wants moved; until then it tells how many there are.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Client, MemberList, Nomad, list};
use crate::domain::quorum::Voter;
use crate::domain::service_action::{NomadAction, length};
use crate::services::api::{Endpoint, Until};
use crate::services::{Acted, ServiceError, Tell};

/// The longest that one request may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How often a drain is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long Nomad may take to stop what is left when the deadline of a drain is over.
const STOPPING: Duration = Duration::from_secs(60);

/// `/v1/node/:id/allocations`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Placed {
    #[serde(default)]
    job_type: String,
    client_status: String,
}

impl Placed {
    fn holds_up(&self) -> bool {
        // System jobs are stopped last, when the others are gone.
        self.job_type != "system" && matches!(self.client_status.as_str(), "running" | "pending")
    }
}

impl Nomad {
    /// See [`crate::services::Service::act`].
    pub(super) async fn carry_out(
        &self,
        action: &NomadAction,
        tell: Tell<'_>,
        cancel: &CancellationToken,
    ) -> Result<Acted, ServiceError> {
        let until = Until::after(LIMIT);
        let (endpoint, leader) = self.front(until, &mut Vec::new()).await?;
        if leader.is_empty() {
            return Err(ServiceError::Setup(
                "Nomad has no leader, so that nothing can be changed".into(),
            ));
        }
        match action {
            NomadAction::Drain { node, deadline } => {
                let deadline = length(deadline).map_err(ServiceError::Setup)?;
                drain(endpoint, node, deadline, tell, cancel).await
            }
            NomadAction::Eligibility { node, is } => eligibility(endpoint, node, is).await,
            NomadAction::Purge { node } => purge(endpoint, node).await,
            NomadAction::ForceLeave { node } => force_leave(endpoint, node).await,
        }
    }

    /// See [`crate::services::Service::voters`].
    pub(super) async fn who_votes(&self, deadline: Duration) -> Result<Vec<Voter>, ServiceError> {
        let until = Until::after(deadline);
        let (endpoint, _) = self.front(until, &mut Vec::new()).await?;
        let list: MemberList = endpoint.get("/v1/agent/members", until).await?;
        Ok(list
            .members
            .into_iter()
            // Raft has forgotten who left.
            .filter(|member| member.status != "left")
            .map(|member| Voter {
                alive: member.status == "alive",
                name: without_region(&member.name, &member.tags).to_owned(),
            })
            .collect())
    }
}

/// Servers gossip as `NAME.REGION`.
fn without_region<'a>(name: &'a str, tags: &std::collections::BTreeMap<String, String>) -> &'a str {
    let region = tags.get("region").map(String::as_str);
    region
        .and_then(|region| name.strip_suffix(region)?.strip_suffix('.'))
        .unwrap_or(name)
}

async fn client(endpoint: &Endpoint, name: &str) -> Result<Option<Client>, ServiceError> {
    let clients: Vec<Client> = list(endpoint, "/v1/nodes", Until::after(LIMIT)).await?;
    // A machine that was set up anew has registered anew: its older self is down.
    let mut named: Vec<Client> = clients
        .into_iter()
        .filter(|client| client.name == name)
        .collect();
    named.sort_by_key(|client| client.status != "ready");
    Ok(named.into_iter().next())
}

fn unknown(name: &str) -> ServiceError {
    ServiceError::Setup(format!(
        "Nomad has no client called {name:?}; the view Clients lists those it has"
    ))
}

async fn drain(
    endpoint: &Endpoint,
    name: &str,
    deadline: Duration,
    tell: Tell<'_>,
    cancel: &CancellationToken,
) -> Result<Acted, ServiceError> {
    let found = client(endpoint, name).await?;
    let found = found.ok_or_else(|| unknown(name))?;
    let path = format!("/v1/node/{}", found.id);
    let placed = || async {
        let placed: Vec<Placed> = endpoint
            .get(&format!("{path}/allocations"), Until::after(LIMIT))
            .await?;
        Ok::<_, ServiceError>(placed.iter().filter(|one| one.holds_up()).count())
    };
    let mut left = placed().await?;
    let ineligible = found.scheduling_eligibility != "eligible";
    if ineligible && !found.drain && left == 0 {
        return Ok(Acted::Already(format!("{name} is drained")));
    }
    // Nomad counts in nanoseconds; a negative number forces it at once.
    let nanoseconds = match i64::try_from(deadline.as_nanos()) {
        Ok(0) => -1,
        Ok(nanoseconds) => nanoseconds,
        Err(_) => i64::MAX,
    };
    let body = json!({
        "DrainSpec": { "Deadline": nanoseconds, "IgnoreSystemJobs": false },
        "MarkEligible": false,
    });
    endpoint
        .post(&format!("{path}/drain"), &body, Until::after(LIMIT))
        .await?
        .success()?;
    tell(format!("{name} is draining: {left} allocations to move"));
    let end = tokio::time::Instant::now() + deadline + STOPPING;
    let total = left;
    loop {
        let draining = client(endpoint, name)
            .await?
            .is_some_and(|client| client.drain);
        let now = placed().await?;
        if now != left {
            left = now;
            tell(format!("{left} of {total} allocations left on {name}"));
        }
        if !draining && left == 0 {
            return Ok(Acted::Changed(format!(
                "{name} is drained and takes nothing new"
            )));
        }
        if tokio::time::Instant::now() >= end {
            return Err(ServiceError::Setup(format!(
                "{name} still has {left} allocations after the deadline; it stays ineligible"
            )));
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = cancel.cancelled() => {
                return Err(ServiceError::Setup(format!(
                    "stopped waiting: Nomad goes on draining {name}, {left} allocations are left"
                )));
            }
        }
    }
}

async fn eligibility(endpoint: &Endpoint, name: &str, is: &str) -> Result<Acted, ServiceError> {
    if !matches!(is, "eligible" | "ineligible") {
        return Err(ServiceError::Setup(format!(
            "{is:?} is neither eligible nor ineligible"
        )));
    }
    let found = client(endpoint, name).await?;
    let found = found.ok_or_else(|| unknown(name))?;
    if found.scheduling_eligibility == is && !found.drain {
        return Ok(Acted::Already(format!("{name} is {is}")));
    }
    let path = format!("/v1/node/{}/eligibility", found.id);
    if found.drain {
        // A node that drains cannot be made eligible: the drain is called off first.
        let off = json!({ "DrainSpec": null, "MarkEligible": is == "eligible" });
        let drain = format!("/v1/node/{}/drain", found.id);
        endpoint
            .post(&drain, &off, Until::after(LIMIT))
            .await?
            .success()?;
    } else {
        endpoint
            .post(&path, &json!({ "Eligibility": is }), Until::after(LIMIT))
            .await?
            .success()?;
    }
    Ok(Acted::Changed(format!("{name} is {is}")))
}

async fn purge(endpoint: &Endpoint, name: &str) -> Result<Acted, ServiceError> {
    let Some(found) = client(endpoint, name).await? else {
        return Ok(Acted::Already(format!("Nomad does not know {name}")));
    };
    if found.status == "ready" {
        return Err(ServiceError::Setup(format!(
            "{name} is ready: drain it and stop its agent before Nomad is made to forget it"
        )));
    }
    let path = format!("/v1/node/{}/purge", found.id);
    endpoint
        .post(&path, &json!({}), Until::after(LIMIT))
        .await?
        .success()?;
    Ok(Acted::Changed(format!("Nomad has forgotten {name}")))
}

async fn force_leave(endpoint: &Endpoint, name: &str) -> Result<Acted, ServiceError> {
    let until = Until::after(LIMIT);
    let list: MemberList = endpoint.get("/v1/agent/members", until).await?;
    let Some(member) = list
        .members
        .iter()
        .find(|member| without_region(&member.name, &member.tags) == name)
    else {
        return Ok(Acted::Already(format!("Nomad has no server {name}")));
    };
    if member.status == "alive" {
        return Err(ServiceError::Setup(format!(
            "the server {name} is alive: stop its agent before Nomad is made to forget it"
        )));
    }
    let path = format!("/v1/agent/force-leave?node={}&prune=true", member.name);
    endpoint.put(&path, until).await?.success()?;
    Ok(Acted::Changed(format!(
        "Nomad was told to forget the server {name}"
    )))
}
