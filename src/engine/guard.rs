//! The quorum guard: a plan that would leave a cluster unable to agree is refused, with the sum, before anything runs.
//!
//! What a step does to the nodes that vote is known from its kind (`machine: power-off`, actions that make a member be
//! forgotten) or said by the recipe (`quorum: leave`, `quorum: remove`). Who votes, and who of them is alive, the service
//! itself is asked. There is no way around it: what has lost its quorum already is not held back, as nothing is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;

use super::core::Core;
use crate::client::Refusal;
use crate::domain::environment::Environment;
use crate::domain::plan::{Plan, PlannedStep};
use crate::domain::quorum::{self, Loss, Sum};
use crate::domain::recipe::{Machine, QuorumEffect, Selector};
use crate::domain::service::{ServiceKind, ServiceSpec};
use crate::steps::{self, AskService};

/// How long a service may take to say who votes: somebody waits for the plan.
const PATIENCE: Duration = Duration::from_secs(8);

impl Core {
    /// The plan, with a word about quorums that it makes smaller or that could not be looked at.
    ///
    /// # Errors
    /// [`Refusal`] with the sum, when a quorum would be lost.
    pub(super) async fn guard_quorum(
        &self,
        mut plan: Plan,
        environment: &Environment,
    ) -> Result<Plan, Refusal> {
        let services: Vec<(&ServiceSpec, Loss)> = environment
            .services
            .iter()
            .map(|service| (service, loss(&plan, service.kind)))
            .filter(|(service, loss)| concerns(service.kind, environment, loss))
            .collect();
        if services.is_empty() {
            return Ok(plan);
        }
        let directory = self.directory_of(&environment.name)?;
        let asked = services.iter().map(async |(service, loss)| {
            let voters = directory.voters(&service.name, PATIENCE).await;
            (*service, loss, voters)
        });
        let mut lost = Vec::new();
        let mut cautions = Vec::new();
        for (service, loss, voters) in join_all(asked).await {
            match voters {
                Ok(None) => {}
                Ok(Some(voters)) => {
                    let declared = declared(service.kind, environment);
                    match quorum::sum(&voters, declared, loss) {
                        Some(sum) if sum.is_lost() => lost.push(refusal(service, &sum)),
                        Some(sum) if sum.tolerance() == 0 => {
                            cautions.push(format!(
                                "{}: {} of its servers will be alive and {} are needed, so that none may fail then",
                                service.name, sum.left, sum.needed
                            ));
                        }
                        _ => {}
                    }
                }
                Err(reason) => cautions.push(format!(
                    "whether {} keeps its quorum could not be looked at: {reason}",
                    service.name
                )),
            }
        }
        if !lost.is_empty() {
            return Err(Refusal::new(lost.join("; ")));
        }
        if cautions.is_empty() {
            return Ok(plan);
        }
        plan.cautions.extend(cautions);
        Ok(steps::seal(plan, environment))
    }
}

fn refusal(service: &ServiceSpec, sum: &Sum) -> String {
    format!(
        "{name} would lose its quorum: it has {voters} voters, {alive} of them alive; {left} would be left alive, and {needed} \
         are needed to agree. Bring back or add a server of {name} first",
        name = service.name,
        voters = sum.voters,
        alive = sum.alive,
        left = sum.left,
        needed = sum.needed,
    )
}

/// What the plan does to the nodes that vote in a service of this kind. A step on nodes of certain roles is about these roles:
/// whoever lets Consul's servers leave lets nobody leave Nomad.
fn loss(plan: &Plan, kind: ServiceKind) -> Loss {
    let mut loss = Loss::default();
    let Some(role) = kind.voters() else {
        return loss;
    };
    for planned in &plan.steps {
        let PlannedStep { step, hosts, .. } = planned;
        let is_meant = |on: &Selector| on.roles.is_empty() || on.roles.contains(&role);
        if !step.on.as_ref().is_some_and(is_meant) || planned.does_nothing() {
            continue;
        }
        let hosts = hosts.iter().flatten().cloned();
        let effect = match (&step.machine, step.quorum) {
            (Some(Machine::PowerOff), _) => Some(QuorumEffect::Off),
            (_, effect) => effect,
        };
        match effect {
            Some(QuorumEffect::Off) => loss.off.extend(hosts),
            Some(QuorumEffect::Leave) => loss.leaving.extend(hosts),
            Some(QuorumEffect::Remove) => loss.removed.extend(hosts),
            None => {}
        }
    }
    // Who is taken out for good has been drained in the same breath, if at all.
    let removed: BTreeSet<String> = loss.removed.clone();
    loss.leaving.retain(|node| !removed.contains(node));
    loss
}

/// Whether one of the nodes has a vote in a service of this kind, as far as the environment says.
fn concerns(kind: ServiceKind, environment: &Environment, loss: &Loss) -> bool {
    let nodes = loss.off.iter().chain(&loss.leaving).chain(&loss.removed);
    nodes
        .filter_map(|name| environment.node(name))
        .any(|node| kind.voters().is_some_and(|role| node.roles.contains(&role)))
}

/// How many nodes are declared to vote in a service of this kind.
fn declared(kind: ServiceKind, environment: &Environment) -> usize {
    kind.voters()
        .map_or(0, |role| environment.nodes_with(role).count())
}
