//! The members of a real Consul cluster with TLS, ACLs and encrypted gossip: a fourth server joins, is drained, one loses its
//! power and is forgotten, and what would lose the quorum is refused. Each time it counts what another node sees.

use std::path::Path;
use std::time::{Duration, Instant};

use quarterdeck::domain::environment::Environment;
use quarterdeck::domain::plan::{Limits, PlanRequest};
use quarterdeck::domain::platform::Arch;
use quarterdeck::domain::recipe::Recipe;
use quarterdeck::domain::run::{RunState, Stream};
use quarterdeck::domain::service::Authority;

use crate::nodes::{Cockpit, Nodes, address, recipes};

pub(crate) const THREE: [&str; 3] = ["n1", "n2", "n3"];
const FOUR: [&str; 4] = ["n1", "n2", "n3", "n4"];
pub(crate) const TOKEN: &str = "-token-file=/etc/consul.d/management.token";

/// Consul with all that it has against listeners.
pub(crate) fn secured(nodes: &Nodes, names: &[&str]) -> Environment {
    let mut environment = nodes.environment(names);
    environment.variables.insert(
        "consul".into(),
        serde_json::json!({ "gossip": true, "acl": true, "tls": true }),
    );
    let consul = &mut environment.services[0];
    consul.urls = names
        .iter()
        .map(|name| format!("https://{}:8501", address(name)))
        .collect();
    consul.ca = Some(Authority::Generated("consul".into()));
    environment
}

/// The recipes, with one change: who looks in vain for a new member gives up after 8 s.
fn impatient() -> Vec<Recipe> {
    let mut recipes = recipes();
    let join = recipes.iter_mut().find(|recipe| recipe.name == "join");
    let steps = &mut join.unwrap().steps;
    let seen = steps.iter_mut().find(|step| step.id == "seen").unwrap();
    seen.timeout = Some("8s".into());
    recipes
}

/// What `node` says about `member`; `None` when it does not know it.
fn seen(nodes: &Nodes, node: &str, member: &str) -> Option<String> {
    let members = nodes.exec(node, &["consul", "members", TOKEN]).unwrap();
    let line = members
        .lines()
        .find(|line| line.starts_with(&format!("{member} ")));
    line.map(str::to_owned)
}

/// How many servers vote, as `node` sees it.
fn voters(nodes: &Nodes, node: &str) -> usize {
    let asked = ["consul", "operator", "raft", "list-peers", TOKEN];
    let peers = nodes.exec(node, &asked).unwrap();
    peers.matches("true").count()
}

/// Where the run asked, it is seen at once. Others may go on listing the member as one that left, which costs no vote: Serf takes
/// no second word about a member that Autopilot has let go in the same moment.
async fn until_forgotten(nodes: &Nodes, node: &str, member: &str) {
    let end = Instant::now() + Duration::from_secs(30);
    while let Some(line) = seen(nodes, node, member) {
        assert!(Instant::now() < end, "{node} still has {line}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn until_well(cockpit: &Cockpit, count: u32) {
    let report = cockpit.service_until("consul", |report| {
        report.members.is_some_and(|members| members.well == count)
    });
    report.await;
}

/// What must be in no log: the lines of the private keys, without those that frame them.
fn private_lines(kept: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for file in std::fs::read_dir(kept).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let key = text.split_once("-----BEGIN PRIVATE KEY-----");
        let key = key.into_iter().flat_map(|(_, key)| key.lines());
        lines.extend(
            key.filter(|line| !line.is_empty() && !line.starts_with("---"))
                .map(str::to_owned),
        );
    }
    assert!(lines.len() >= 8, "an authority and three members have keys");
    lines
}

/// Makes nodes forget what other tests had on them.
pub(crate) fn forget_consul(nodes: &Nodes, names: &[&str]) {
    let forget = "systemctl disable -q --now consul; rm -rf /var/lib/consul /etc/consul.d";
    for node in names {
        // A node that never had one has nothing to stop.
        let _ = nodes.exec(node, &["sh", "-c", forget]);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status();
    assert!(copied.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real nodes: run tests/run nodes"]
async fn a_fourth_server_joins_and_leaves_and_a_dead_one_is_forgotten() {
    let nodes = Nodes::from_environment();
    nodes.power("start", "n4");
    forget_consul(&nodes, &FOUR);

    // The package comes from where nobody answers. A run that fetches nothing is refused, until somebody has put it there.
    let state = tempfile::tempdir().unwrap();
    let mut environment = secured(&nodes, &THREE);
    let artifacts = environment.artifacts.get_mut("consul").unwrap();
    let artifact = artifacts.get_mut(&Arch::Amd64).unwrap();
    let file = std::mem::replace(&mut artifact.source, "http://127.0.0.1:9/consul.deb".into());
    let sum = artifact.sha256.clone();
    let cockpit = Cockpit::of(environment, impatient(), state).await;
    let offline = PlanRequest {
        environment: "real".into(),
        recipe: "deploy".into(),
        limits: Limits {
            offline: true,
            ..Limits::default()
        },
        ..PlanRequest::default()
    };
    let refused = cockpit.refused(offline.clone()).await;
    let kept = cockpit.cache().join(sum);
    assert!(
        refused.contains("http://127.0.0.1:9/consul.deb")
            && refused.contains(kept.to_str().unwrap()),
        "{refused}"
    );
    std::fs::create_dir_all(cockpit.cache()).unwrap();
    std::fs::copy(file, kept).unwrap();

    // A cluster in which everything is encrypted, and everybody is asked for a token.
    let rehearsal = cockpit.run("deploy", true).await;
    assert_eq!(rehearsal.run.state, RunState::Succeeded, "{rehearsal}");
    assert!(
        rehearsal.says(Stream::Diff, "+[new certificate of n1]"),
        "{rehearsal}"
    );
    let deployed = cockpit.carry_out(offline).await;
    assert_eq!(deployed.run.state, RunState::Succeeded, "{deployed}");
    assert!(
        deployed.says(
            Stream::Diff,
            "\"10.77.0.12\",\"localhost\",\"127.0.0.1\",\"server.real.consul\"],\"until\":"
        ),
        "a certificate says for whom and until when: {deployed}"
    );
    let shown = deployed.to_string();
    for line in private_lines(&cockpit.state().join("secrets/real/consul.tls")) {
        assert!(!shown.contains(&line), "a key is in the log");
    }
    let ask = |of: &str| {
        let address = format!("-http-addr={of}");
        let authority = "-ca-file=/etc/consul.d/tls/ca.pem";
        nodes.exec("n1", &["consul", "members", TOKEN, authority, &address])
    };
    assert_eq!(ask("http://10.77.0.12:8500"), None, "only the node itself");
    let members = ask("https://10.77.0.12:8501").unwrap();
    assert_eq!(members.matches("alive").count(), 3, "{members}");
    let again = cockpit.run("deploy", false).await;
    assert_eq!(again.run.state, RunState::Succeeded, "{again}");
    assert_eq!(again.run.tally.changed, 0, "{again}");

    // A newcomer with another gossip key: its agent runs, and the join has failed all the same.
    let other = tempfile::tempdir().unwrap();
    for kept in ["consul-management", "consul.tls"] {
        let within = Path::new("secrets/real").join(kept);
        copy(
            &cockpit.state().join(&within),
            &other.path().join("state").join(&within),
        );
    }
    let stranger = Cockpit::of(secured(&nodes, &FOUR), impatient(), other).await;
    let silent = stranger.run_on("join", "n4").await;
    assert_eq!(silent.run.state, RunState::Failed, "{silent}");
    let active = ["systemctl", "is-active", "consul.service"];
    assert!(nodes.exec("n4", &active).is_some(), "{silent}");
    assert!(
        silent.to_string().contains(
            "consul lists n4 alive among its members, as seen by n1, n2 and n3; last seen: consul does not list n4"
        ),
        "{silent}"
    );
    assert_eq!(seen(&nodes, "n1", "n4"), None);
    stranger.stop(Duration::from_secs(10)).await;

    // The same with a way that leads nowhere, and then for good.
    let cockpit = cockpit.instead(secured(&nodes, &FOUR), impatient()).await;
    let roads = |verb: &str| {
        for node in THREE {
            let road = format!("{}/32", address(node));
            nodes
                .exec("n4", &["ip", "route", verb, "blackhole", &road])
                .unwrap();
        }
    };
    roads("add");
    let silent = cockpit.run_on("join", "n4").await;
    assert_eq!(silent.run.state, RunState::Failed, "{silent}");
    roads("del");
    let joined = cockpit.run_on("join", "n4").await;
    assert_eq!(joined.run.state, RunState::Succeeded, "{joined}");
    assert!(seen(&nodes, "n1", "n4").unwrap().contains("alive"));
    assert_eq!(voters(&nodes, "n1"), 4);

    // Another loses its power, and is forgotten for good.
    until_well(&cockpit, 4).await;
    nodes.power("kill", "n2");
    until_well(&cockpit, 3).await;
    let removed = cockpit.run_on("remove", "n2").await;
    assert_eq!(removed.run.state, RunState::Succeeded, "{removed}");
    until_forgotten(&nodes, "n1", "n2").await;
    assert_eq!(voters(&nodes, "n4"), 3);

    // With one of the three dead (which Autopilot may have taken out by now), taking out one more would leave nobody to agree with.
    nodes.power("kill", "n3");
    until_well(&cockpit, 2).await;
    let refused = cockpit.refusal("remove", &["n4"]).await;
    assert!(
        refused.contains("2 of them alive; 1 would be left alive, and 2 are needed to agree"),
        "{refused}"
    );

    // Both come back, and the fourth goes as it came.
    nodes.power("start", "n3");
    nodes.power("start", "n2");
    let back = cockpit.run_on("join", "n2").await;
    assert_eq!(back.run.state, RunState::Succeeded, "{back}");
    until_well(&cockpit, 4).await;
    let drained = cockpit.run_on("drain", "n4").await;
    assert_eq!(drained.run.state, RunState::Succeeded, "{drained}");
    assert!(seen(&nodes, "n1", "n4").unwrap().contains("left"));
    let removed = cockpit.run_on("remove", "n4").await;
    assert_eq!(removed.run.state, RunState::Succeeded, "{removed}");
    until_forgotten(&nodes, "n1", "n4").await;
    assert_eq!(voters(&nodes, "n1"), 3);
    cockpit.stop(Duration::from_secs(10)).await;
    nodes.power("stop", "n4");
    nodes.power("wipe", "n4");
}
