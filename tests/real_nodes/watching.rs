//! What stands beside any stack, on real nodes: three etcd members with TLS, and a Prometheus that scrapes them, itself and a
//! Consul that asks for certificates and tokens. All of it by one `deploy`, which changes nothing the second time.

use std::path::PathBuf;
use std::time::Duration;

use quarterdeck::domain::environment::Environment;
use quarterdeck::domain::node::Role;
use quarterdeck::domain::run::{RunState, Stream};
use quarterdeck::domain::service::{Authority, ServiceKind, ServiceSpec};

use crate::members::{THREE, forget_consul, secured};
use crate::nodes::{Cockpit, Finished, Nodes, address, brought, recipes};

/// Consul and etcd on all nodes, Prometheus on the first, asking every `interval`.
fn watched(nodes: &Nodes, interval: &str) -> Environment {
    let mut environment = secured(nodes, &THREE);
    for node in &mut environment.nodes {
        node.roles.insert(Role::Etcd);
    }
    environment.nodes[0].roles.insert(Role::Prometheus);
    let service = |kind: ServiceKind, scheme: &str, on: &[&str]| ServiceSpec {
        name: kind.word().to_owned(),
        kind,
        urls: on
            .iter()
            .map(|name| format!("{scheme}://{}:{}", address(name), kind.default_port()))
            .collect(),
        nodes: on.iter().map(|&name| name.into()).collect(),
        user: None,
        secret: None,
        ca: (scheme == "https").then(|| Authority::Generated("etcd".into())),
    };
    environment.services.extend([
        service(ServiceKind::Etcd, "https", &THREE),
        service(ServiceKind::Prometheus, "http", &THREE[..1]),
    ]);
    let variables = &mut environment.variables;
    variables.insert("etcd".into(), serde_json::json!({ "tls": true }));
    let own = serde_json::json!({ "interval": interval });
    variables.insert("prometheus".into(), own);
    for (software, version, release) in [
        ("etcd", "3.4.23", "QUARTERDECK_ETCD"),
        ("prometheus", "2.42.0", "QUARTERDECK_PROMETHEUS"),
    ] {
        let path = std::env::var_os(release);
        let path = path.unwrap_or_else(|| panic!("{release} is not set: run tests/run nodes"));
        let file = brought(&PathBuf::from(path));
        environment.artifacts.insert(software.into(), file);
        environment.versions.insert(software.into(), version.into());
    }
    environment
}

async fn deployed(cockpit: &Cockpit) -> Finished {
    let done = cockpit.run("deploy", false).await;
    assert_eq!(done.run.state, RunState::Succeeded, "{done}");
    done
}

/// What Prometheus on n1 answers to a query.
fn query(nodes: &Nodes, text: &str) -> String {
    let asked = ["/opt/prometheus/promtool", "query", "instant"];
    let asked = [&asked[..], &["http://127.0.0.1:9090", text]].concat();
    nodes.exec("n1", &asked).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real nodes: run tests/run nodes"]
async fn etcd_and_prometheus_stand_beside_a_stack() {
    let nodes = Nodes::from_environment();
    forget_consul(&nodes, &THREE);
    let state = tempfile::tempdir().unwrap();
    let cockpit = Cockpit::of(watched(&nodes, "2s"), recipes(), state).await;

    // Looking first shows what would stand where, and leaves nothing behind.
    let rehearsal = cockpit.run("deploy", true).await;
    assert_eq!(rehearsal.run.state, RunState::Succeeded, "{rehearsal}");
    assert!(
        rehearsal.says(
            Stream::Diff,
            "+initial-cluster: n1=https://10.77.0.11:2380,n2=https://10.77.0.12:2380,n3=https://10.77.0.13:2380"
        ),
        "{rehearsal}"
    );
    assert_eq!(nodes.exec("n1", &["ls", "/opt/etcd"]), None);
    assert_eq!(nodes.exec("n1", &["ls", "/opt/prometheus"]), None);

    let first = deployed(&cockpit).await;
    assert_eq!(first.changed("etcd.members"), 3, "{first}");
    let token = cockpit.state().join("secrets/real/consul-prometheus");
    let token = std::fs::read_to_string(token).unwrap();
    assert!(!first.to_string().contains(&token), "its token is in a log");

    // One cluster with one leader, as any member says of all; and who comes without encryption is not heard.
    let etcdctl = |node: &str, scheme: &str, words: &[&str]| {
        let places = THREE.map(|name| format!("{scheme}://{}:2379", address(name)));
        let places = format!("--endpoints={}", places.join(","));
        let common = ["env", "ETCDCTL_API=3", "/opt/etcd/etcdctl"];
        let common = [&common[..], &["--cacert=/etc/etcd/tls/ca.pem", &places]].concat();
        nodes.exec(node, &[&common[..], words].concat())
    };
    let status = etcdctl("n3", "https", &["endpoint", "status"]).unwrap();
    assert_eq!(status.matches(", true, false,").count(), 1, "{status}");
    assert_eq!(status.matches(", false, false,").count(), 2, "{status}");
    assert_eq!(etcdctl("n3", "http", &["get", "x"]), None);
    etcdctl("n1", "https", &["put", "greeting", "ahoy"]).unwrap();
    let read = etcdctl("n2", "https", &["get", "greeting"]).unwrap();
    assert!(read.contains("ahoy"), "{read}");
    let report = cockpit
        .service_until("etcd", |report| {
            report.members.is_some_and(|members| members.well == 3)
        })
        .await;
    assert!(report.leader.is_some(), "{report:?}");
    assert_eq!(report.version.as_deref(), Some("3.4.23"));

    // Everything is scraped: itself, three agents that want a token, three members.
    let up = query(&nodes, "sum by (job) (up)");
    for sum in [
        "{job=\"consul\"} => 3 ",
        "{job=\"etcd\"} => 3 ",
        "{job=\"prometheus\"} => 1 ",
    ] {
        assert!(up.contains(sum), "{sum}: {up}");
    }
    assert!(query(&nodes, "etcd_server_has_leader{node=\"n2\"}").contains("=> 1 "));

    let again = deployed(&cockpit).await;
    assert_eq!(again.run.tally.changed, 0, "{again}");

    // Another configuration is read by the process that runs; one that it would refuse never gets to it.
    let before = nodes.pids("prometheus.service");
    let cockpit = cockpit.instead(watched(&nodes, "3s"), recipes()).await;
    let changed = deployed(&cockpit).await;
    assert_eq!(changed.changed("prometheus.server"), 1, "{changed}");
    assert_eq!(
        changed.changed("prometheus.configured:prometheus.read-again"),
        1,
        "{changed}"
    );
    assert_eq!(nodes.pids("prometheus.service"), before);
    let reads = || {
        let file = ["cat", "/etc/prometheus/prometheus.yml"];
        nodes.exec("n1", &file).unwrap()
    };
    assert!(reads().contains("scrape_interval: 3s"));
    let cockpit = cockpit.instead(watched(&nodes, "often"), recipes()).await;
    let refused = cockpit.run("deploy", false).await;
    assert_eq!(refused.run.state, RunState::Failed, "{refused}");
    assert!(
        refused.to_string().contains("not a valid duration string"),
        "{refused}"
    );
    assert!(reads().contains("scrape_interval: 3s"));

    cockpit.stop(Duration::from_secs(10)).await;
    let clear = "systemctl disable -q --now prometheus etcd; \
                 rm -rf /var/lib/etcd /etc/etcd /opt/etcd /var/lib/prometheus /etc/prometheus /opt/prometheus";
    for node in THREE {
        // Prometheus is on the first only.
        let _ = nodes.exec(node, &["sh", "-c", clear]);
    }
}
