//! The services of the lab: systems that behave as the published HTTP APIs say, on loopback ports, over simulated nodes.
//!
//! ```text
//!   client ── http ──► door ──► router (api) ──► Sim<machine> ◄── clock, pace
//!                       │                            ▲
//!                       └── is the unit running? ── Cluster (simulated nodes)
//! ```
//!
//! Each system is a state machine in a folder of its own (`sim::Machine`): it is told what the nodes do and what time it
//! is, and nothing else, so that the same seed and the same events always give the same answers. `door` couples every
//! endpoint to its node: when the node dies, its ports go silent. Identifiers and secrets come from the seed (`ids`).
//!
//! Clients must not be able to tell these from the real thing as far as they go; what an endpoint here does not know is
//! answered as the real server answers an unknown path, never with an invention.

mod archive;
mod blocking;
mod ceph;
pub mod cluster;
mod consul;
mod door;
mod faults;
mod grafana;
mod ground;
mod harbor;
mod http;
mod ids;
mod kubernetes;
mod nomad;
pub mod pace;
mod pulse;
mod quorum;
mod sim;
mod traefik;
pub mod units;
mod vault;

#[cfg(test)]
mod testing;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use axum::Router;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::cluster::{Cluster, Host};
use self::door::Behind;
use self::faults::Machines;
use self::ids::Ids;
use self::pace::Pace;
use self::sim::{Machine, Sim, Surroundings};
use crate::clock::SharedClock;
use crate::domain::node::Role;
use crate::domain::service::ServiceKind;

/// A system of the lab, as the environment file describes it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its name; there is one of each kind.
    pub kind: ServiceKind,
    /// Base URLs, one per member that has an API of its own.
    pub urls: Vec<String>,
    /// The nodes that the URLs belong to, in the same order.
    pub nodes: Vec<String>,
    /// Login name, where the system has one.
    pub user: Option<String>,
    /// Token or password.
    pub secret: Option<SecretString>,
}

/// The running systems. Dropping it stops them.
pub struct Services {
    endpoints: Vec<Endpoint>,
    unseal_shares: Vec<SecretString>,
    machines: Machines,
    tasks: TaskTracker,
    stop: CancellationToken,
    #[cfg(test)]
    settlers: Vec<Box<dyn Fn() + Send + Sync>>,
}

#[cfg(test)]
impl Services {
    /// Lets every machine see what has happened to the nodes.
    fn settle(&self) {
        for settle in &self.settlers {
            settle();
        }
    }
}

impl Services {
    /// Starts every system that some node has a role for.
    ///
    /// # Errors
    /// When there are no free loopback ports.
    pub async fn start(
        cluster: Arc<dyn Cluster>,
        clock: SharedClock,
        seed: u64,
        pace: Pace,
    ) -> io::Result<Self> {
        let mut starter = Starter {
            around: Surroundings {
                cluster,
                clock,
                pace,
                ids: Ids::new(seed),
            },
            services: Self {
                endpoints: Vec::new(),
                unseal_shares: Vec::new(),
                machines: Machines::default(),
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
                #[cfg(test)]
                settlers: Vec::new(),
            },
        };
        starter.consul().await?;
        starter.vault().await?;
        starter.nomad().await?;
        starter.kubernetes().await?;
        starter.traefik().await?;
        starter.ceph().await?;
        starter.harbor().await?;
        starter.grafana().await?;
        Ok(starter.services)
    }

    /// What the environment file needs to know.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The shares that unseal Vault, in hexadecimal digits; any three of the five do.
    pub fn unseal_shares(&self) -> &[SecretString] {
        &self.unseal_shares
    }

    /// Stops all systems and waits for their tasks.
    pub async fn shut_down(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The work of [`Services::start`].
struct Starter {
    around: Surroundings,
    services: Services,
}

impl Starter {
    /// The nodes that have one of `roles`.
    fn nodes_with(&self, roles: &[Role]) -> Vec<String> {
        self.around
            .cluster
            .nodes()
            .into_iter()
            .filter(|host| roles.iter().any(|role| host.roles.contains(role)))
            .map(|host| host.name)
            .collect()
    }

    /// Shares a machine and keeps it in the present.
    fn run<M: Machine>(&mut self, machine: M) -> Arc<Sim<M>> {
        let sim = Sim::new(machine, self.around.clone());
        #[cfg(test)]
        {
            let sim = Arc::clone(&sim);
            let settle = move || sim.with(|_, _| ());
            self.services.settlers.push(Box::new(settle));
        }
        self.services
            .tasks
            .spawn(Arc::clone(&sim).run(self.services.stop.clone()));
        sim
    }

    /// A port for each of `nodes`, with its URL.
    async fn bind(&self, nodes: &[String]) -> io::Result<Vec<(String, TcpListener, String)>> {
        let mut bound = Vec::with_capacity(nodes.len());
        for node in nodes {
            let (listener, address) = door::bind().await?;
            bound.push((node.clone(), listener, format!("http://{address}")));
        }
        Ok(bound)
    }

    fn open(&self, listener: TcpListener, node: String, unit: impl Into<String>, router: Router) {
        let behind = Behind {
            cluster: Arc::clone(&self.around.cluster),
            node,
            unit: unit.into(),
        };
        door::open(
            listener,
            behind,
            self.around.pace.silence,
            router,
            &self.services.tasks,
            &self.services.stop,
        );
    }

    fn announce(
        &mut self,
        kind: ServiceKind,
        bound: &[(String, TcpListener, String)],
        user: Option<&str>,
        secret: Option<&str>,
    ) {
        self.services.endpoints.push(Endpoint {
            kind,
            urls: bound.iter().map(|(_, _, url)| url.clone()).collect(),
            nodes: bound.iter().map(|(node, _, _)| node.clone()).collect(),
            user: user.map(Into::into),
            secret: secret.map(Into::into),
        });
    }

    async fn consul(&mut self) -> io::Result<()> {
        // Servers first: an adapter that tries one URL after the other should begin with those that always answer.
        let mut nodes = self.nodes_with(&[Role::ConsulServer]);
        let clients = self.nodes_with(&[Role::ConsulClient]);
        nodes.extend(
            clients
                .into_iter()
                .filter(|node| !nodes.contains(node))
                .collect::<Vec<_>>(),
        );
        if nodes.is_empty() {
            return Ok(());
        }
        let token = self.around.ids.uuid("consul/bootstrap-token");
        let now = self.around.clock.now();
        let sim = self.run(consul::Consul::new(&self.around, now));
        self.services.machines.consul = Some(Arc::clone(&sim));
        let bound = self.bind(&nodes).await?;
        self.announce(ServiceKind::Consul, &bound, None, Some(&token));
        for (node, listener, _) in bound {
            let router = consul::router(Arc::clone(&sim), &node, &token);
            self.open(listener, node, units::CONSUL, router);
        }
        Ok(())
    }

    async fn vault(&mut self) -> io::Result<()> {
        let nodes = self.nodes_with(&[Role::Vault]);
        if nodes.is_empty() {
            return Ok(());
        }
        let bound = self.bind(&nodes).await?;
        let urls: BTreeMap<String, String> = bound
            .iter()
            .map(|(node, _, url)| (node.clone(), url.clone()))
            .collect();
        let seal = vault::Seal::new(self.around.ids, vault::USUAL, 0).map_err(io::Error::other)?;
        let token = seal.root_token.clone();
        let shares = seal.shares.clone();
        let now = self.around.clock.now();
        let vault = vault::Vault::new(&self.around, seal, &urls, now);
        if vault.initialised() {
            self.services.unseal_shares = shares.into_iter().map(Into::into).collect();
        }
        let sim = self.run(vault);
        self.services.machines.vault = Some(Arc::clone(&sim));
        self.announce(ServiceKind::Vault, &bound, None, Some(&token));
        for (node, listener, _) in bound {
            let router = vault::router(Arc::clone(&sim), &node);
            self.open(listener, node, units::VAULT, router);
        }
        Ok(())
    }

    async fn nomad(&mut self) -> io::Result<()> {
        let nodes = self.nodes_with(&[Role::NomadServer, Role::NomadClient]);
        if nodes.is_empty() {
            return Ok(());
        }
        let token = self.around.ids.uuid("nomad/bootstrap-token");
        let now = self.around.clock.now();
        let sim = self.run(nomad::Nomad::new(&self.around, now));
        self.services.machines.nomad = Some(Arc::clone(&sim));
        let bound = self.bind(&nodes).await?;
        self.announce(ServiceKind::Nomad, &bound, None, Some(&token));
        for (node, listener, _) in bound {
            let router = nomad::router(Arc::clone(&sim), &node, &token);
            self.open(listener, node, units::NOMAD, router);
        }
        Ok(())
    }

    /// One proxy, on the first node that has the role.
    async fn traefik(&mut self) -> io::Result<()> {
        let Some(node) = self.nodes_with(&[Role::Traefik]).into_iter().next() else {
            return Ok(());
        };
        let now = self.around.clock.now();
        let sim = self.run(traefik::Traefik::new(&self.around, &node, now));
        self.services.machines.traefik = Some(Arc::clone(&sim));
        let bound = self.bind(&[node]).await?;
        self.announce(ServiceKind::Traefik, &bound, None, None);
        for (node, listener, _) in bound {
            self.open(
                listener,
                node,
                units::TRAEFIK,
                traefik::router(Arc::clone(&sim)),
            );
        }
        Ok(())
    }

    /// A dashboard beside every monitor, where the managers run.
    async fn ceph(&mut self) -> io::Result<()> {
        let nodes = self.nodes_with(&[Role::CephMon]);
        if nodes.is_empty() {
            return Ok(());
        }
        let password = self.around.ids.word("ceph/password", 20);
        let now = self.around.clock.now();
        let sim = self.run(ceph::Ceph::new(&self.around, now));
        self.services.machines.ceph = Some(Arc::clone(&sim));
        let bound = self.bind(&nodes).await?;
        self.announce(
            ServiceKind::Ceph,
            &bound,
            Some(ceph::ADMIN),
            Some(&password),
        );
        let urls: BTreeMap<String, String> = bound
            .iter()
            .map(|(node, _, url)| (node.clone(), url.clone()))
            .collect();
        let urls = Arc::new(urls);
        for (node, listener, _) in bound {
            let router = ceph::router(Arc::clone(&sim), &node, Arc::clone(&urls), &password);
            let unit = units::ceph_mon(&node);
            self.open(listener, node, unit, router);
        }
        Ok(())
    }

    async fn harbor(&mut self) -> io::Result<()> {
        let Some(node) = self.nodes_with(&[Role::Harbor]).into_iter().next() else {
            return Ok(());
        };
        let password = self.around.ids.word("harbor/password", 20);
        let now = self.around.clock.now();
        let sim = self.run(harbor::Harbor::new(&self.around, now));
        let bound = self.bind(&[node]).await?;
        self.announce(
            ServiceKind::Harbor,
            &bound,
            Some(harbor::ADMIN),
            Some(&password),
        );
        for (node, listener, _) in bound {
            let router = harbor::router(Arc::clone(&sim), &password);
            self.open(listener, node, units::HARBOR, router);
        }
        Ok(())
    }

    async fn grafana(&mut self) -> io::Result<()> {
        let Some(node) = self.nodes_with(&[Role::Grafana]).into_iter().next() else {
            return Ok(());
        };
        let ids = self.around.ids;
        let token = format!(
            "glsa_{}_{}",
            ids.word("grafana/token", 32),
            ids.hex("grafana/sum", 8)
        );
        let now = self.around.clock.now();
        let sim = self.run(grafana::Grafana::new(&self.around, now));
        self.services.machines.grafana = Some(Arc::clone(&sim));
        let bound = self.bind(&[node]).await?;
        self.announce(ServiceKind::Grafana, &bound, None, Some(&token));
        for (node, listener, _) in bound {
            let router = grafana::router(Arc::clone(&sim), &token);
            self.open(listener, node, units::GRAFANA, router);
        }
        Ok(())
    }

    /// An API server on every node that is a server.
    async fn kubernetes(&mut self) -> io::Result<()> {
        let nodes = self.nodes_with(&[Role::KubernetesServer]);
        if nodes.is_empty() {
            return Ok(());
        }
        let ids = self.around.ids;
        let token = format!(
            "K10{}::server:{}",
            ids.hex("kubernetes/ca", 64),
            ids.hex("kubernetes/token", 32)
        );
        let now = self.around.clock.now();
        let sim = self.run(kubernetes::Kubernetes::new(&self.around, now));
        self.services.machines.kubernetes = Some(Arc::clone(&sim));
        let bound = self.bind(&nodes).await?;
        self.announce(ServiceKind::Kubernetes, &bound, None, Some(&token));
        for (node, listener, _) in bound {
            let router = kubernetes::router(Arc::clone(&sim), &token);
            self.open(listener, node, units::K3S, router);
        }
        Ok(())
    }
}
