//! The services stand on the lab's world: what they see of it, and what they give back to it.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::cluster::{Cluster, Host};
use super::consul::{self, Consul};
use super::pace::Pace;
use super::sim::Sim;
use super::{Services, consul::Serf};
use crate::clock::Clock;
use crate::lab::world::{ConsulMember, ConsulView, World};

impl Services {
    /// Starts the services on the nodes of `world`. Their faults join those of the world, and the `consul` command of the nodes
    /// shows the same cluster as the HTTP API.
    ///
    /// # Errors
    /// When there are no free loopback ports.
    pub async fn start_in(world: &Arc<World>, pace: Pace) -> io::Result<Self> {
        let clock = Arc::new(WorldClock(Arc::clone(world)));
        let cluster: Arc<dyn Cluster> = Arc::<World>::clone(world);
        let services = Self::start(cluster, clock, world.seed(), pace).await?;
        world.add_fault_target(Arc::new(services.machines.clone()));
        if let Some(consul) = &services.machines.consul {
            world.set_consul_view(Arc::new(Gossip(Arc::clone(consul))));
        }
        Ok(services)
    }
}

struct WorldClock(Arc<World>);

impl Clock for WorldClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

impl Cluster for World {
    fn nodes(&self) -> Vec<Host> {
        Self::nodes(self)
            .into_iter()
            .map(|node| Host {
                name: node.name,
                address: node.address.to_string(),
                platform: node.platform,
                arch: node.arch,
                roles: node.roles.iter().copied().collect(),
            })
            .collect()
    }

    fn node_up(&self, node: &str) -> bool {
        Self::node_up(self, node)
    }

    fn unit_active(&self, node: &str, unit: &str) -> bool {
        Self::unit_active(self, node, unit)
    }

    fn starts(&self, node: &str, unit: &str) -> u64 {
        // Every start has a process of its own; at boot numbers begin anew, but time has passed.
        let start = self.look(node, |node| {
            let unit = node.units.get(unit)?;
            let second = unit.active_since?.as_second();
            Some(u64::from(unit.pid) << 40 ^ second.unsigned_abs())
        });
        start.flatten().unwrap_or_default()
    }

    fn changed(&self) -> watch::Receiver<u64> {
        Self::changed(self)
    }

    fn latency(&self) -> Duration {
        Self::latency(self)
    }
}

/// What the `consul` command on a node shows.
struct Gossip(Arc<Sim<Consul>>);

impl ConsulView for Gossip {
    fn datacenter(&self) -> String {
        consul::DATACENTER.into()
    }

    fn members(&self) -> Vec<ConsulMember> {
        self.0.with(|consul, _| {
            consul
                .members()
                .map(|agent| ConsulMember {
                    name: agent.host.name.clone(),
                    address: agent.host.address.parse().unwrap_or(Ipv4Addr::UNSPECIFIED),
                    status: match agent.serf {
                        Serf::Alive | Serf::None => "alive",
                        Serf::Left => "left",
                        Serf::Failed => "failed",
                    },
                    server: agent.server,
                    version: consul::VERSION.into(),
                })
                .collect()
        })
    }

    fn leader(&self) -> Option<String> {
        self.0
            .with(|consul, _| consul.quorum.leader().map(ToOwned::to_owned))
    }

    fn leave(&self, node: &str) {
        self.0.with(|consul, _| consul.leave(node));
    }

    fn forget(&self, node: &str) -> bool {
        self.0.with(|consul, _| consul.forget(node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::domain::service::ServiceKind;
    use crate::lab::world::WorldSettings;

    fn world() -> (Arc<World>, Arc<ManualClock>) {
        let start: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::new(start));
        let settings = WorldSettings {
            seed: 7,
            clock: clock.clone(),
            pace: 0.0,
        };
        (World::new(&settings), clock)
    }

    #[tokio::test]
    async fn every_kind_of_service_runs_in_the_world() {
        let (world, _) = world();
        let services = Services::start_in(&world, Pace::default()).await.unwrap();
        // These stand beside a stack, and only on boards that are given their roles.
        let beside = [ServiceKind::Etcd, ServiceKind::Prometheus];
        let kinds = ServiceKind::ALL.iter().copied();
        for kind in kinds.filter(|kind| !beside.contains(kind)) {
            let found = services
                .endpoints()
                .iter()
                .filter(|endpoint| endpoint.kind == kind);
            assert_eq!(found.count(), 1, "{kind}");
        }
        services.shut_down().await;
    }

    #[tokio::test]
    async fn a_killed_node_fails_in_gossip_and_comes_back_with_power() {
        let (world, clock) = world();
        let _services = Services::start_in(&world, Pace::default()).await.unwrap();
        let view = world.consul_view().unwrap();
        assert_eq!(view.leader().as_deref(), Some("pc1"));
        assert_eq!(view.members().len(), 3);
        world.command("kill pc1").unwrap();
        assert_eq!(view.leader(), None);
        clock.advance(jiff::SignedDuration::from_secs(3));
        assert_eq!(view.members()[0].status, "failed");
        assert_eq!(view.leader().as_deref(), Some("pc2"));
        world.command("start pc1").unwrap();
        assert_eq!(view.members()[0].status, "alive");
    }

    #[tokio::test]
    async fn the_world_knows_the_faults_of_the_services() {
        let (world, _) = world();
        let services = Services::start_in(&world, Pace::default()).await.unwrap();
        world.command("seal").unwrap();
        let vault = services.machines.vault.as_ref().unwrap();
        assert!(vault.with(|vault, _| vault.members.values().all(|member| member.sealed)));
        world.command("unseal").unwrap();
        assert!(vault.with(|vault, _| vault.members.values().all(|member| !member.sealed)));
        assert!(
            world
                .command("seal pc1")
                .unwrap_err()
                .starts_with("usage: seal")
        );
    }

    #[test]
    fn the_version_is_the_one_that_the_nodes_install() {
        assert_eq!(crate::lab::consul::upstream_version(), consul::VERSION);
    }
}
