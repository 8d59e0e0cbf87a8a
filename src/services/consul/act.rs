//! What Consul can be told, and who votes in it.

use std::time::Duration;

use super::{Consul, Member, Raft, token};
use crate::domain::quorum::Voter;
use crate::domain::service_action::ConsulAction;
use crate::services::api::Until;
use crate::services::{Acted, ServiceError};

/// The longest that one request may take.
const LIMIT: Duration = Duration::from_secs(10);

impl Consul {
    /// See [`crate::services::Service::act`].
    pub(super) async fn carry_out(&self, action: &ConsulAction) -> Result<Acted, ServiceError> {
        let node = match action {
            ConsulAction::ForceLeave { node } => node,
            ConsulAction::Grant {
                name,
                secret,
                rules,
            } => {
                let front = self.front(Until::after(LIMIT)).await?;
                let until = Until::after(LIMIT);
                return token::bring_about(front.endpoint, name, secret, rules, until).await;
            }
        };
        let front = self.front(Until::after(LIMIT)).await?;
        // Whoever is dead has used up that time.
        let until = Until::after(LIMIT);
        let members: Vec<Member> = front.endpoint.get("/v1/agent/members", until).await?;
        let Some(member) = members.iter().find(|member| member.name == *node) else {
            return Ok(Acted::Already(format!("Consul does not know {node}")));
        };
        if member.status == 1 {
            // Consul would take the word for it, and the member would be back a second later.
            return Err(ServiceError::Setup(format!(
                "{node} is alive: drain it, or switch it off, before Consul is made to forget it"
            )));
        }
        let path = format!("/v1/agent/force-leave/{node}?prune");
        front.endpoint.put(&path, until).await?.success()?;
        Ok(Acted::Changed(format!("Consul was told to forget {node}")))
    }

    /// See [`crate::services::Service::voters`].
    pub(super) async fn who_votes(&self, deadline: Duration) -> Result<Vec<Voter>, ServiceError> {
        // All are asked who leads, and the dead use up their time; as much is left for the rest.
        let front = self.front(Until::after(deadline / 2)).await?;
        let until = Until::after(deadline / 2);
        let (raft, members) = tokio::join!(
            front
                .endpoint
                .get::<Raft>("/v1/operator/raft/configuration", until),
            front
                .endpoint
                .get::<Vec<Member>>("/v1/agent/members", until),
        );
        let members = members?;
        let alive = |name: &str| {
            let of_name = |member: &&Member| member.name == name;
            members
                .iter()
                .find(of_name)
                .is_some_and(|member| member.status == 1)
        };
        Ok(raft?
            .servers
            .into_iter()
            .filter(|server| server.voter)
            .map(|server| Voter {
                alive: alive(&server.node),
                name: server.node,
            })
            .collect())
    }
}
