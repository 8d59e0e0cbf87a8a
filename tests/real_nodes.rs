//! The `deploy` recipe on real machines: Debian with systemd, OpenSSH, and the real Consul from Debian's package.
//!
//! Everything goes the way an operator's key press goes: a client asks the engine for a plan, starts it by its hash and
//! reads what happened from the store. `tests/run nodes` boots the nodes and calls this with
//!
//! * `QUARTERDECK_REAL_NODES`: the state directory of `tests/real/nodes`, with `n1` to `n3` up
//! * `QUARTERDECK_CONSUL_DEB`: Debian's package of Consul 1.8.7
//! * `QUARTERDECK_OPENBAO`, `QUARTERDECK_TRAEFIK`: the programs
//! * `QUARTERDECK_ETCD`, `QUARTERDECK_PROMETHEUS`: archives as their makers publish them

#![allow(
    clippy::unwrap_used,
    reason = "a node that does not answer fails the test"
)]

#[path = "support/nodes.rs"]
#[allow(
    unreachable_pub,
    dead_code,
    reason = "a module of several tests has nobody outside, and no test uses all of it"
)]
mod nodes;

#[path = "real_nodes/faults.rs"]
mod faults;
#[path = "real_nodes/members.rs"]
mod members;
#[path = "real_nodes/stack.rs"]
mod stack;
#[path = "real_nodes/states.rs"]
mod states;
#[path = "real_nodes/vanish.rs"]
mod vanish;
#[path = "real_nodes/watching.rs"]
mod watching;

use std::time::Duration;

use quarterdeck::domain::finding::Severity;
use quarterdeck::domain::finding::Subject;
use quarterdeck::domain::run::{RunState, Stream};

use nodes::{Cockpit, Nodes};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real nodes: run tests/run nodes"]
async fn deploy_forms_a_consul_cluster_keeps_it_and_notices_a_power_cut() {
    let nodes = Nodes::from_environment();
    let cockpit = Cockpit::start(&nodes).await;

    // Looking first: everything is missing, and still is afterwards.
    let rehearsal = cockpit.run("deploy", true).await;
    assert_eq!(rehearsal.run.state, RunState::Succeeded, "{rehearsal}");
    assert_eq!(rehearsal.changed("consul.servers"), 3, "{rehearsal}");
    assert!(
        rehearsal.says(Stream::Note, "package consul: not installed → 1.8.7"),
        "{rehearsal}"
    );
    assert!(
        rehearsal.says(Stream::Diff, "+  \"bootstrap_expect\": 3,"),
        "{rehearsal}"
    );
    for node in ["n1", "n2", "n3"] {
        assert_eq!(
            nodes.exec(node, &["ls", "/etc/consul.d"]),
            None,
            "the rehearsal left something on {node}"
        );
        assert_eq!(nodes.exec(node, &["ls", "/var/cache/quarterdeck"]), None);
    }

    // For real: three servers, one leader, all of it confirmed by Consul itself.
    let deployed = cockpit.run("deploy", false).await;
    assert_eq!(deployed.run.state, RunState::Succeeded, "{deployed}");
    assert_eq!(deployed.changed("consul.brought-package"), 3, "{deployed}");
    assert_eq!(deployed.changed("consul.servers"), 3, "{deployed}");
    assert!(
        deployed.says(Stream::Note, "pushed 13.8 MiB of 13.8 MiB (100 %)"),
        "{deployed}"
    );
    // Nobody is let in without the token that the first run made, and nothing that was written down shows it or the key.
    assert_eq!(
        nodes
            .exec("n2", &["consul", "members"])
            .unwrap_or_default()
            .matches("alive")
            .count(),
        0
    );
    let asked = [
        "consul",
        "members",
        "-token-file=/etc/consul.d/management.token",
    ];
    let members = nodes.exec("n2", &asked).unwrap();
    let keys = nodes
        .exec("n2", &["consul", "keyring", "-list", asked[2]])
        .unwrap();
    assert!(
        keys.contains("[3/3]"),
        "gossip is encrypted everywhere: {keys}"
    );
    for secret in ["consul-management", "consul-gossip"] {
        let file = cockpit.state().join("secrets/real").join(secret);
        let text = std::fs::read_to_string(file).unwrap();
        assert!(
            !deployed.to_string().contains(&text),
            "{secret} is in a log"
        );
    }
    assert_eq!(members.matches("alive").count(), 3, "{members}");
    assert_eq!(members.matches("server").count(), 3, "{members}");

    // Again: nothing to do, and nothing is done. The agents that run are still the same processes.
    let before = nodes.pids("consul.service");
    let again = cockpit.run("deploy", false).await;
    assert_eq!(again.run.state, RunState::Succeeded, "{again}");
    assert_eq!(again.run.tally.changed, 0, "{again}");
    assert_eq!(nodes.pids("consul.service"), before);

    // A drifted file comes back, and only its agent is restarted.
    nodes
        .exec(
            "n2",
            &["sh", "-c", "echo >> /etc/consul.d/quarterdeck.json"],
        )
        .unwrap();
    // A drift check sees it, and touches nothing: neither the file nor any process.
    let file = ["stat", "-c", "%Y %Z %s", "/etc/consul.d/quarterdeck.json"];
    let touched = nodes.exec("n2", &file).unwrap();
    let looked = cockpit.run("drift", false).await;
    assert_eq!(looked.run.state, RunState::Succeeded, "{looked}");
    let drifted = "nodes:n2/file /etc/consul.d/quarterdeck.json#content";
    assert!(looked.says(Stream::Note, drifted), "{looked}");
    assert_eq!(nodes.exec("n2", &file).unwrap(), touched);
    assert_eq!(nodes.pids("consul.service"), before);
    let repaired = cockpit.run("deploy", false).await;
    assert_eq!(repaired.run.state, RunState::Succeeded, "{repaired}");
    assert_eq!(repaired.changed("consul.servers"), 1, "{repaired}");
    let looked = cockpit.run("drift", false).await;
    assert!(!looked.says(Stream::Note, drifted), "{looked}");
    let after = nodes.pids("consul.service");
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]));
    assert_ne!(after[1], before[1]);

    // The adapter sees what the cluster is.
    let report = cockpit
        .service_until("consul", |report| {
            report.members.is_some_and(|members| members.well == 3)
        })
        .await;
    assert!(report.leader.is_some(), "{report:?}");
    assert_eq!(report.version.as_deref(), Some("1.8.7"));

    let verified = cockpit.run("verify", false).await;
    assert_eq!(verified.run.state, RunState::Succeeded, "{verified}");

    // Two of three servers at once would leave nobody to agree with: the sum, before anything runs.
    let refused = cockpit.refusal("power-off", &["n2", "n3"]).await;
    assert!(
        refused
            .contains("it has 3 voters, 3 of them alive; 1 would be left alive, and 2 are needed"),
        "{refused}"
    );

    // A power cut: no FIN, no RST. Within two polls it is a finding.
    let mut watch = cockpit.watch_node("n3");
    nodes.power("kill", "n3");
    let (polls, finding) = watch
        .finding_on(&Subject::Node("n3".into()), Severity::Critical)
        .await;
    assert!(polls <= 2, "{finding:?} took {polls} polls");
    // With one server dead none of the others may go.
    cockpit
        .service_until("consul", |report| {
            report.members.is_some_and(|members| members.well == 2)
        })
        .await;
    let refused = cockpit.refusal("drain", &["n2"]).await;
    assert!(
        refused.contains("2 of them alive; 1 would be left alive, and 2 are needed"),
        "{refused}"
    );
    nodes.power("start", "n3");
    cockpit
        .service_until("consul", |report| {
            report.members.is_some_and(|members| members.well == 3)
        })
        .await;

    // A node leaves in good order, is forgotten, and comes back: each time as another one sees it.
    let members = || nodes.exec("n1", &asked).unwrap();
    let of = |name: &str| {
        let line = |line: &&str| line.starts_with(&format!("{name} "));
        members().lines().find(line).map(str::to_owned)
    };
    let early = cockpit.run_on("remove", "n3").await;
    assert_eq!(early.run.state, RunState::Failed, "it is alive: {early}");
    let drained = cockpit.run_on("drain", "n3").await;
    assert_eq!(drained.run.state, RunState::Succeeded, "{drained}");
    assert!(of("n3").unwrap().contains("left"), "{}", members());
    let removed = cockpit.run_on("remove", "n3").await;
    assert_eq!(removed.run.state, RunState::Succeeded, "{removed}");
    assert_eq!(of("n3"), None, "{}", members());

    let joined = cockpit.run_on("join", "n3").await;
    assert_eq!(joined.run.state, RunState::Succeeded, "{joined}");
    assert!(of("n3").unwrap().contains("alive"), "{}", members());

    cockpit.stop(Duration::from_secs(10)).await;
}
