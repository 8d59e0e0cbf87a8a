//! The adapters against the lab's services, as the cockpit uses both: nothing in between is short-circuited.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use quarterdeck::clock::ManualClock;
use quarterdeck::domain::live::Health;
use quarterdeck::domain::service::{ServiceKind, ServiceSpec};
use quarterdeck::lab::services::pace::Pace;
use quarterdeck::lab::services::{Endpoint, Services};
use quarterdeck::lab::world::{World, WorldSettings};
use quarterdeck::services::{self, Service};

const DEADLINE: Duration = Duration::from_secs(20);

struct Lab {
    world: Arc<World>,
    clock: Arc<ManualClock>,
    services: Services,
}

impl Lab {
    async fn start() -> Self {
        // A second test finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let start: Timestamp = "2026-03-01T12:00:00Z".parse().expect("a timestamp");
        let clock = Arc::new(ManualClock::new(start));
        let world = World::new(&WorldSettings {
            seed: 7,
            clock: clock.clone(),
            pace: 0.0,
        });
        let pace = Pace {
            silence: Duration::from_millis(50),
            ..Pace::default()
        };
        let services = Services::start_in(&world, pace)
            .await
            .expect("free loopback ports");
        Self {
            world,
            clock,
            services,
        }
    }

    fn adapter(&self, kind: ServiceKind) -> Box<dyn Service> {
        let mut endpoints = self.services.endpoints().iter();
        let endpoint: &Endpoint = endpoints
            .find(|endpoint| endpoint.kind == kind)
            .expect("every kind runs in the lab");
        let spec = ServiceSpec {
            name: kind.word().into(),
            kind,
            urls: endpoint.urls.clone(),
            nodes: endpoint.nodes.clone(),
            user: endpoint.user.clone(),
            secret: None,
            ca: None,
        };
        services::connect(&spec, endpoint.secret.clone()).expect("a usable endpoint")
    }

    fn command(&self, words: &str) {
        self.world.command(words).expect("a known fault");
    }

    /// Lets time pass, after everybody has seen what happened so far.
    async fn pass(&self, seconds: i64) {
        for kind in carried() {
            // Looking is enough; whether the answer is good is for the test to say.
            let _ = self.adapter(kind).report(DEADLINE).await;
        }
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    /// The keys of what the adapter finds wrong.
    async fn problems(&self, kind: ServiceKind) -> Vec<String> {
        let report = self.adapter(kind).report(DEADLINE).await;
        let problems = report.expect("an answer").problems;
        problems.into_iter().map(|problem| problem.key).collect()
    }
}

/// What runs on the lab's boards; etcd and Prometheus do where boards are given their roles.
fn carried() -> impl Iterator<Item = ServiceKind> {
    let beside = [ServiceKind::Etcd, ServiceKind::Prometheus];
    let kinds = ServiceKind::ALL.iter().copied();
    kinds.filter(move |kind| !beside.contains(kind))
}

/// What is wrong from the start: nobody has deployed Consul's agents on these nodes yet.
const MISSING_AGENTS: [&str; 2] = ["endpoint:pc4", "endpoint:pc5"];

fn at_the_start(kind: ServiceKind) -> &'static [&'static str] {
    match kind {
        ServiceKind::Consul => &MISSING_AGENTS,
        _ => &[],
    }
}

#[tokio::test]
async fn every_adapter_finds_its_service_well_and_reads_all_its_lists() {
    let lab = Lab::start().await;
    for kind in carried() {
        let adapter = lab.adapter(kind);
        let report = adapter.report(DEADLINE).await.expect("an answer");
        assert_ne!(report.health, Health::Down, "{kind}: {report:?}");
        assert!(report.version.is_some(), "{kind}: {report:?}");
        assert_eq!(lab.problems(kind).await, at_the_start(kind), "{kind}");
        for view in adapter.views() {
            let table = adapter.table(view.id, DEADLINE).await;
            let table = table.unwrap_or_else(|error| panic!("{kind} {}: {error}", view.id));
            // Alerts and events are the lists that are empty when all is well.
            let quiet = matches!(view.id, "alerts" | "events");
            assert!(quiet || !table.rows.is_empty(), "{kind} {}", view.id);
        }
    }
    lab.services.shut_down().await;
}

#[tokio::test]
async fn a_power_cut_shows_in_everything_that_ran_on_the_node() {
    let lab = Lab::start().await;
    lab.command("kill pc2");
    lab.pass(40).await;
    for kind in [
        ServiceKind::Consul,
        ServiceKind::Vault,
        ServiceKind::Nomad,
        ServiceKind::Ceph,
    ] {
        assert_ne!(lab.problems(kind).await, at_the_start(kind), "{kind}");
    }
    lab.command("start pc2");
    lab.command("unseal");
    lab.pass(40).await;
    for kind in [
        ServiceKind::Consul,
        ServiceKind::Vault,
        ServiceKind::Nomad,
        ServiceKind::Ceph,
    ] {
        assert_eq!(lab.problems(kind).await, at_the_start(kind), "{kind}");
    }
}

#[tokio::test]
async fn faults_of_services_are_found_by_their_adapters() {
    let lab = Lab::start().await;
    for (fault, kind) in [
        ("seal", ServiceKind::Vault),
        ("osd 1 down", ServiceKind::Ceph),
        ("traefik error", ServiceKind::Traefik),
        ("cert expiring", ServiceKind::Grafana),
    ] {
        lab.command(fault);
        lab.pass(10).await;
        assert!(!lab.problems(kind).await.is_empty(), "{fault}");
    }
}
