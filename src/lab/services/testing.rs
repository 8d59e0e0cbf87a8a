//! A cluster of five nodes whose strings a test pulls, and a client for the services on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, Method, RequestBuilder, Response};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::sync::watch;

use super::cluster::{Cluster, Host};
use super::{Endpoint, Pace, Services, units};
use crate::clock::ManualClock;
use crate::domain::node::Role;
use crate::domain::platform::{Arch, Platform};
use crate::domain::service::ServiceKind;

/// Five nodes as in the lab: three with everything that votes, two that work.
pub(crate) struct Puppets {
    hosts: Vec<Host>,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    down: BTreeSet<String>,
    stopped: BTreeSet<(String, String)>,
    starts: BTreeMap<(String, String), u64>,
    boots: BTreeMap<String, u64>,
}

impl Puppets {
    fn new() -> Self {
        let voters = [
            Role::ConsulServer,
            Role::Vault,
            Role::NomadServer,
            Role::CephMon,
            Role::CephOsd,
        ];
        let hosts = (1..=5)
            .map(|number| Host {
                name: format!("pc{number}"),
                address: format!("10.42.0.1{number}"),
                platform: Platform::Rpi5Ubuntu,
                arch: Arch::Arm64,
                roles: match number {
                    1 => voters.into_iter().chain([Role::KubernetesServer]).collect(),
                    2 | 3 => voters.into_iter().chain([Role::KubernetesAgent]).collect(),
                    4 => BTreeSet::from([
                        Role::ConsulClient,
                        Role::NomadClient,
                        Role::Harbor,
                        Role::KubernetesAgent,
                    ]),
                    _ => BTreeSet::from([
                        Role::ConsulClient,
                        Role::NomadClient,
                        Role::Traefik,
                        Role::Grafana,
                        Role::KubernetesAgent,
                    ]),
                },
            })
            .collect();
        let mut state = State::default();
        for node in ["pc4", "pc5"] {
            state.stopped.insert((node.into(), units::CONSUL.into()));
        }
        Self {
            hosts,
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
        }
    }

    fn pull(&self, act: impl FnOnce(&mut State)) {
        act(&mut self.state.lock().unwrap());
        self.changed.send_modify(|count| *count += 1);
    }

    pub(crate) fn kill(&self, node: &str) {
        self.pull(|state| {
            state.down.insert(node.into());
        });
    }

    pub(crate) fn revive(&self, node: &str) {
        self.pull(|state| {
            state.down.remove(node);
            *state.boots.entry(node.into()).or_default() += 1;
        });
    }

    pub(crate) fn stop(&self, node: &str, unit: &str) {
        self.pull(|state| {
            state.stopped.insert((node.into(), unit.into()));
        });
    }

    pub(crate) fn start(&self, node: &str, unit: &str) {
        self.pull(|state| {
            state.stopped.remove(&(node.into(), unit.into()));
            *state.starts.entry((node.into(), unit.into())).or_default() += 1;
        });
    }
}

impl Cluster for Puppets {
    fn nodes(&self) -> Vec<Host> {
        self.hosts.clone()
    }

    fn node_up(&self, node: &str) -> bool {
        !self.state.lock().unwrap().down.contains(node)
    }

    fn unit_active(&self, node: &str, unit: &str) -> bool {
        let unit = (node.to_owned(), unit.to_owned());
        !self.state.lock().unwrap().stopped.contains(&unit)
    }

    fn starts(&self, node: &str, unit: &str) -> u64 {
        let unit = (node.to_owned(), unit.to_owned());
        let state = self.state.lock().unwrap();
        let starts = state.starts.get(&unit).copied().unwrap_or_default();
        starts + state.boots.get(node).copied().unwrap_or_default()
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn latency(&self) -> Duration {
        Duration::ZERO
    }
}

/// The puppets, the services on them, a clock that stands still, and a client.
pub(crate) struct Stage {
    pub puppets: Arc<Puppets>,
    pub clock: Arc<ManualClock>,
    pub services: Services,
    client: Client,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        Self::without(&[]).await
    }

    /// The stage before some units were ever started.
    pub(crate) async fn without(units: &[&str]) -> Self {
        // The client is built with a TLS stack although nothing here speaks TLS; a second test finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let puppets = Arc::new(Puppets::new());
        for host in puppets.nodes() {
            for unit in units {
                puppets.stop(&host.name, unit);
            }
        }
        let start: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::new(start));
        let pace = Pace {
            silence: Duration::from_millis(20),
            ..Pace::default()
        };
        let services = Services::start(puppets.clone(), clock.clone(), 7, pace)
            .await
            .unwrap();
        // A kept connection breaks when its unit restarts, at a moment that a test cannot know.
        let client = Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        Self {
            puppets,
            clock,
            services,
            client,
        }
    }

    pub(crate) fn pass(&self, seconds: i64) {
        // The machines see what happened before the time passes.
        self.services.settle();
        self.clock.advance(SignedDuration::from_secs(seconds));
        self.services.settle();
    }

    pub(crate) fn endpoint(&self, kind: ServiceKind) -> &Endpoint {
        let mut all = self.services.endpoints().iter();
        all.find(|endpoint| endpoint.kind == kind).unwrap()
    }

    pub(crate) fn secret(&self, kind: ServiceKind) -> String {
        let secret = self.endpoint(kind).secret.as_ref().unwrap();
        secret.expose_secret().to_owned()
    }

    pub(crate) fn url(&self, kind: ServiceKind, node: &str, path: &str) -> String {
        let endpoint = self.endpoint(kind);
        let at = endpoint.nodes.iter().position(|name| name == node).unwrap();
        format!("{}{path}", endpoint.urls[at])
    }

    /// A request without credentials.
    pub(crate) fn bare(
        &self,
        method: Method,
        kind: ServiceKind,
        node: &str,
        path: &str,
    ) -> RequestBuilder {
        self.client.request(method, self.url(kind, node, path))
    }

    /// A request with the credentials that the kind of service wants.
    pub(crate) fn request(
        &self,
        method: Method,
        kind: ServiceKind,
        node: &str,
        path: &str,
    ) -> RequestBuilder {
        let request = self.bare(method, kind, node, path);
        match kind {
            ServiceKind::Consul => request.header("X-Consul-Token", self.secret(kind)),
            ServiceKind::Vault => request.header("X-Vault-Token", self.secret(kind)),
            ServiceKind::Nomad => request.header("X-Nomad-Token", self.secret(kind)),
            ServiceKind::Harbor => {
                let user = self.endpoint(kind).user.clone().unwrap();
                request.basic_auth(user, Some(self.secret(kind)))
            }
            ServiceKind::Grafana | ServiceKind::Kubernetes => {
                request.bearer_auth(self.secret(kind))
            }
            ServiceKind::Ceph
            | ServiceKind::Traefik
            | ServiceKind::Prometheus
            | ServiceKind::Etcd => request,
        }
    }

    pub(crate) async fn get(&self, kind: ServiceKind, node: &str, path: &str) -> Response {
        let request = self.request(Method::GET, kind, node, path);
        request.send().await.unwrap()
    }

    /// Status and JSON body of a GET.
    pub(crate) async fn json(&self, kind: ServiceKind, node: &str, path: &str) -> (u16, Value) {
        read(self.get(kind, node, path).await).await
    }
}

/// Status and JSON body of an answer.
pub(crate) async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    let value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{body:?}: {error}"));
    (status, value)
}
