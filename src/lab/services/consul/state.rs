//! What a Consul datacenter knows: its agents, who leads, the catalog and the key-value store.
//!
//! An agent is a member from the first time its unit ran. It fails when it has been gone for [`Pace::gossip`]; a client
//! whose unit was stopped on a living machine has left instead (`leave_on_terminate` is the default of clients, not of
//! servers) and is taken out of the catalog.
//!
//! [`Pace::gossip`]: crate::lab::services::pace::Pace::gossip

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::kv::Store;
use crate::domain::node::Role;
use crate::lab::services::cluster::Host;
use crate::lab::services::pulse::{Beat, Pulse};
use crate::lab::services::quorum::Quorum;
use crate::lab::services::sim::{Machine, Outlook, Surroundings};
use crate::lab::services::units;

/// Serf's opinion of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serf {
    /// Never seen.
    None,
    Alive,
    Left,
    Failed,
}

impl Serf {
    /// The number in `/v1/agent/members`.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Alive => 1,
            Self::Left => 3,
            Self::Failed => 4,
        }
    }

    /// The word in `/v1/operator/autopilot/health`.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Alive => "alive",
            Self::Left => "left",
            Self::Failed => "failed",
        }
    }
}

/// An agent, on a node that has a Consul role.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    pub host: Host,
    pub id: String,
    pub server: bool,
    pub pulse: Pulse,
    pub serf: Serf,
    pub created: u64,
    pub modified: u64,
}

/// A service instance that an agent has registered.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub node: String,
    pub name: &'static str,
    pub tags: Vec<&'static str>,
    pub port: u16,
    /// The unit whose state the check shows; `None` for services without a check.
    pub unit: Option<&'static str>,
    pub health: Health,
    pub created: u64,
    pub modified: u64,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Passing,
    Critical,
}

impl Health {
    /// The word in the API.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Critical => "critical",
        }
    }
}

/// A datacenter.
pub(crate) struct Consul {
    pub agents: BTreeMap<String, Agent>,
    pub quorum: Quorum,
    pub instances: Vec<Instance>,
    pub kv: Store,
    /// The last index of the Raft log.
    pub index: u64,
    /// The index of the last change of nodes, services or checks.
    pub catalog_index: u64,
    revision: u64,
}

impl Consul {
    /// The datacenter on the nodes that have a Consul role.
    pub(crate) fn new(around: &Surroundings, now: Timestamp) -> Self {
        let agents: BTreeMap<String, Agent> = around
            .cluster
            .nodes()
            .into_iter()
            .filter_map(|host| {
                let server = host.roles.contains(&Role::ConsulServer);
                if !server && !host.roles.contains(&Role::ConsulClient) {
                    return None;
                }
                let agent = Agent {
                    id: around.ids.uuid(&format!("consul/node/{}", host.name)),
                    server,
                    pulse: Pulse::new(false, 0, now),
                    serf: Serf::None,
                    created: 0,
                    modified: 0,
                    host,
                };
                Some((agent.host.name.clone(), agent))
            })
            .collect();
        let voters = agents
            .values()
            .filter(|agent| agent.server)
            .map(|agent| agent.host.name.clone())
            .collect();
        let mut consul = Self {
            agents,
            quorum: Quorum::new(voters),
            instances: Vec::new(),
            kv: Store::default(),
            index: 10,
            catalog_index: 10,
            revision: 0,
        };
        consul.observe(around, now);
        let agents = &consul.agents;
        consul.quorum.settle(|name| able(agents, name), now);
        consul.kv = Store::seeded(consul.bump());
        consul
    }

    /// The agent of that node.
    pub(crate) fn agent(&self, node: &str) -> Option<&Agent> {
        self.agents.get(node)
    }

    /// The leading server.
    pub(crate) fn leader(&self) -> Option<&Agent> {
        self.agents.get(self.quorum.leader()?)
    }

    /// Everybody that has ever joined.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Agent> {
        self.agents
            .values()
            .filter(|agent| agent.serf != Serf::None)
    }

    /// Members that are in the catalog: those that left are not.
    pub(crate) fn registered(&self) -> impl Iterator<Item = &Agent> {
        self.members().filter(|agent| agent.serf != Serf::Left)
    }

    /// Appends to the Raft log.
    pub(crate) fn bump(&mut self) -> u64 {
        self.index += 1;
        self.revision += 1;
        self.index
    }

    /// The agent of `node` leaves in good order: the catalog forgets it, the gossip remembers that it left.
    pub(crate) fn leave(&mut self, node: &str) {
        let index = self.bump();
        if let Some(agent) = self.agents.get_mut(node) {
            agent.serf = Serf::Left;
            agent.modified = index;
            self.catalog_index = index;
            self.instances.retain(|instance| instance.node != node);
        }
    }

    /// `force-leave -prune`: a member that is not alive is gone from the gossip; `false` where there is no such member.
    pub(crate) fn forget(&mut self, node: &str) -> bool {
        let index = self.bump();
        let Some(agent) = self.agents.get_mut(node) else {
            return false;
        };
        if agent.serf != Serf::Alive {
            agent.serf = Serf::None;
            agent.modified = index;
            self.catalog_index = index;
            self.instances.retain(|instance| instance.node != node);
        }
        true
    }

    fn observe(&mut self, around: &Surroundings, now: Timestamp) -> bool {
        let mut pending = false;
        let names: Vec<String> = self.agents.keys().cloned().collect();
        for name in names {
            pending |= self.observe_agent(around, now, &name);
        }
        pending |= self.observe_instances(around);
        pending
    }

    /// Whether something about the agent is still to come.
    fn observe_agent(&mut self, around: &Surroundings, now: Timestamp, name: &str) -> bool {
        let up = around.cluster.node_up(name);
        let alive = up && around.cluster.unit_active(name, units::CONSUL);
        let starts = around.cluster.starts(name, units::CONSUL);
        let Some(agent) = self.agents.get_mut(name) else {
            return false;
        };
        let beat = agent.pulse.observe(alive, starts, now);
        let serf = match (agent.serf, beat) {
            (_, Beat::Started) => Serf::Alive,
            (Serf::Alive, Beat::Stopped) if up && !agent.server => Serf::Left,
            (Serf::Alive, _) if agent.pulse.gone(now, around.pace.gossip) => Serf::Failed,
            (serf, _) => serf,
        };
        let waiting = serf == Serf::Alive && !alive;
        if serf != agent.serf || beat == Beat::Started {
            agent.serf = serf;
            let (server, host) = (agent.server, agent.host.clone());
            let index = self.bump();
            self.catalog_index = index;
            if let Some(agent) = self.agents.get_mut(name) {
                agent.modified = index;
                if agent.created == 0 {
                    agent.created = index;
                }
            }
            match serf {
                Serf::Alive => self.register(&host, server, index),
                Serf::Left => self.instances.retain(|instance| instance.node != name),
                Serf::None | Serf::Failed => {}
            }
        }
        waiting
    }

    /// The services of a node, as its agent's configuration declares them.
    fn register(&mut self, host: &Host, server: bool, index: u64) {
        let mut declare = |name, tags: &[&'static str], port, unit| {
            let known = self
                .instances
                .iter()
                .any(|instance| instance.node == host.name && instance.name == name);
            if !known {
                self.instances.push(Instance {
                    node: host.name.clone(),
                    name,
                    tags: tags.to_vec(),
                    port,
                    unit,
                    health: Health::Passing,
                    created: index,
                    modified: index,
                });
            }
        };
        if server {
            declare("consul", &[], 8300, None);
        }
        for role in &host.roles {
            match role {
                Role::NomadServer => {
                    declare("nomad", &["http", "rpc", "serf"], 4646, Some(units::NOMAD));
                }
                Role::NomadClient => declare("nomad-client", &["http"], 4646, Some(units::NOMAD)),
                Role::Vault => declare("vault", &[], 8200, Some(units::VAULT)),
                Role::Traefik => declare("traefik", &["lb"], 8080, Some(units::TRAEFIK)),
                Role::Grafana => declare("grafana", &["http"], 3000, Some(units::GRAFANA)),
                Role::Harbor => declare("harbor", &["https"], 443, Some(units::HARBOR)),
                _ => {}
            }
        }
    }

    /// Agents run the checks of their services; nobody runs those of a dead agent, so they keep their last result.
    fn observe_instances(&mut self, around: &Surroundings) -> bool {
        let changed: Vec<usize> = self
            .instances
            .iter()
            .enumerate()
            .filter(|(_, instance)| {
                let running = self
                    .agents
                    .get(&instance.node)
                    .is_some_and(|agent| agent.pulse.alive());
                running
                    && instance.unit.is_some_and(|unit| {
                        let passing = around.cluster.unit_active(&instance.node, unit);
                        passing != (instance.health == Health::Passing)
                    })
            })
            .map(|(at, _)| at)
            .collect();
        for at in changed {
            let index = self.bump();
            self.catalog_index = index;
            let instance = &mut self.instances[at];
            instance.modified = index;
            instance.health = match instance.health {
                Health::Passing => Health::Critical,
                Health::Critical => Health::Passing,
            };
        }
        false
    }

    /// Whether Autopilot calls the server healthy: alive, and stable for a while after it came back.
    pub(crate) fn healthy(&self, agent: &Agent) -> bool {
        agent.serf == Serf::Alive && agent.pulse.alive() && self.quorum.leader().is_some()
    }

    /// How many more servers may fail while the others still are a majority.
    pub(crate) fn failure_tolerance(&self) -> usize {
        let healthy = self
            .agents
            .values()
            .filter(|agent| agent.server && self.healthy(agent))
            .count();
        healthy.saturating_sub(self.quorum.majority())
    }
}

impl Agent {
    /// How long the leader has not heard of the server.
    pub(crate) fn silent(&self, now: Timestamp) -> SignedDuration {
        if self.pulse.alive() {
            SignedDuration::ZERO
        } else {
            now.duration_since(self.pulse.since())
        }
    }
}

fn able(agents: &BTreeMap<String, Agent>, name: &str) -> bool {
    agents.get(name).is_some_and(|agent| agent.pulse.alive())
}

impl Machine for Consul {
    fn advance(&mut self, around: &Surroundings, now: Timestamp) -> Outlook {
        let pending = self.observe(around, now);
        let agents = &self.agents;
        if self
            .quorum
            .advance(|name| able(agents, name), now, around.pace.election)
        {
            self.bump();
        }
        let agents = &self.agents;
        Outlook::pending_if(pending || self.quorum.electing(|name| able(agents, name)))
    }

    fn revision(&self) -> u64 {
        self.revision
    }
}
