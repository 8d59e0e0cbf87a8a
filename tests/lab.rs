//! The cockpit on the lab: the workspace that the lab writes is read as any workspace, and the real clients do the work.
//!
//! What is proved here is that the whole way holds together without machines; what works on machines is proved by
//! `real_nodes.rs`.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quarterdeck::client::{Client, Event, Request, Response};
use quarterdeck::clock::SystemClock;
use quarterdeck::config::{Recipes, check};
use quarterdeck::domain::action::{Consent, Risk};
use quarterdeck::domain::drift::board::{DriftBoard, DriftRow};
use quarterdeck::domain::finding::Subject;
use quarterdeck::domain::operator::Operator;
use quarterdeck::domain::plan::{Origin, PlanRequest};
use quarterdeck::domain::run::{Run, RunState};
use quarterdeck::domain::seal::{Ceremony, Wants, Word};
use quarterdeck::domain::secret::Secret;
use quarterdeck::domain::stack::Stack;
use quarterdeck::engine::{Engine, EngineSettings, Network};
use quarterdeck::lab::{Lab, LabSettings};
use quarterdeck::services::shelf::{self, Shelf};
use quarterdeck::steps::Library;
use quarterdeck::store::LineFilter;
use quarterdeck::transport::Reach;
use quarterdeck::transport::ssh::{Pool, SshSettings};
use tempfile::TempDir;

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(120);

struct Cockpit {
    lab: Lab,
    engine: Engine,
    client: Client,
    dir: TempDir,
}

impl Cockpit {
    async fn start(pace: f32) -> Self {
        Self::begin(pace, None).await
    }

    /// On boards with nothing installed.
    async fn bare(stack: Stack) -> Self {
        Self::begin(0.0, Some(stack)).await
    }

    async fn begin(pace: f32, bare: Option<Stack>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let settings = LabSettings {
            seed: 11,
            clock: Arc::new(SystemClock),
            pace,
            dir: dir.path().join("workspace"),
        };
        let lab = match bare {
            Some(stack) => Lab::start_bare(settings, stack).await,
            None => Lab::start(settings).await,
        };
        let lab = lab.unwrap();
        let checked = check(lab.workspace(), |_| Recipes::default());
        // The lab has more roles than its stack uses; that is warned of, and nothing else is.
        let wrong: Vec<_> = checked
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.code != "unused-role")
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        let workspace = checked.workspace.unwrap();
        let ssh = SshSettings {
            agent: None,
            ..SshSettings::default()
        };
        let network = Network::new(move |environment| -> Arc<dyn Reach> {
            Arc::new(Pool::new(environment, ssh.clone()))
        });
        let mut settings = EngineSettings::new(
            workspace.name,
            Arc::new(network),
            dir.path().join("state"),
            dir.path().join("cache"),
        );
        settings.environments = workspace.environments;
        // The built-in recipes, and those of the example workspace.
        let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/recipes");
        settings.recipes = Library::load(Some(&recipes)).recipes().cloned().collect();
        settings.root = Some(lab.workspace().to_owned());
        settings.node_interval = Duration::from_millis(500);
        settings.service_interval = Duration::from_millis(500);
        let engine = Engine::start(settings).await.unwrap();
        let client = engine.client(Operator::new("test", "here", 1000));
        Self {
            lab,
            engine,
            client,
            dir,
        }
    }

    /// Plans a recipe, starts it and waits for its end; the log comes along for complaints.
    async fn run(&self, recipe: &str, dry_run: bool) -> (Run, String) {
        let request = PlanRequest {
            environment: "lab".into(),
            recipe: recipe.into(),
            dry_run,
            ..PlanRequest::default()
        };
        self.carry_out(request).await.unwrap()
    }

    /// As [`Cockpit::run`], on these nodes.
    async fn run_on(&self, recipe: &str, nodes: &[&str]) -> Result<(Run, String), String> {
        self.carry_out(PlanRequest {
            environment: "lab".into(),
            recipe: recipe.into(),
            nodes: nodes.iter().map(ToString::to_string).collect(),
            ..PlanRequest::default()
        })
        .await
    }

    /// Takes a run back as [`Cockpit::run`] runs a recipe; the refusal when it cannot be planned.
    async fn undo(&self, run: &Run, dry_run: bool, force: bool) -> Result<(Run, String), String> {
        self.carry_out(PlanRequest {
            environment: "lab".into(),
            recipe: run.recipe.clone(),
            dry_run,
            origin: Some(Origin::Undo { run: run.id, force }),
            ..PlanRequest::default()
        })
        .await
    }

    async fn carry_out(&self, request: PlanRequest) -> Result<(Run, String), String> {
        let recipe = request.recipe.clone();
        let mut events = self.client.subscribe();
        let plan = self.client.call(Request::Plan(request)).await;
        let Response::Plan { plan, .. } = plan.map_err(|refusal| refusal.message)? else {
            panic!("{recipe}: no plan");
        };
        // What destroys is confirmed with the environment's name.
        let consent = match plan.risk {
            Risk::Destroy => Consent::Typed("lab".into()),
            Risk::Read | Risk::Change => Consent::Yes,
        };
        let start = Request::Start {
            hash: plan.hash,
            consent,
        };
        let Response::Started(run) = self.client.call(start).await.unwrap() else {
            panic!("{recipe}: not started");
        };
        let mut run = *run;
        let ended = tokio::time::timeout(PATIENCE, async {
            while !run.state.is_final() {
                match events.next().await {
                    Some(Event::Run(now)) if now.id == run.id => run = *now,
                    Some(_) => {}
                    None => panic!("the engine is gone"),
                }
            }
        });
        ended
            .await
            .unwrap_or_else(|_| panic!("{recipe} does not end"));
        let lines = self
            .client
            .history
            .lines(run.id, 0, 10_000, &LineFilter::default())
            .unwrap();
        let mut log = String::new();
        for line in lines {
            let task = line.task.map(|task| task.to_string()).unwrap_or_default();
            writeln!(log, "{task:28} {:6} {}", line.stream.word(), line.text).unwrap();
        }
        Ok((run, log))
    }

    async fn stop(self) {
        self.engine.shutdown(Duration::from_secs(10)).await;
        self.lab.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_brings_the_missing_agents_and_a_second_one_changes_nothing() {
    let cockpit = Cockpit::start(0.05).await;
    let world = Arc::clone(cockpit.lab.world());
    assert!(!world.unit_active("pc4", "consul.service"));

    let (rehearsal, log) = cockpit.run("deploy", true).await;
    assert_eq!(rehearsal.state, RunState::Succeeded, "{log}");
    assert_eq!(
        world.file("pc4", "/usr/bin/consul"),
        None,
        "a rehearsal changes nothing"
    );

    let (first, log) = cockpit.run("deploy", false).await;
    assert_eq!(first.state, RunState::Succeeded, "{log}");
    assert!(first.tally.changed > 0, "{log}");
    for node in ["pc1", "pc2", "pc3", "pc4", "pc5"] {
        assert!(world.unit_active(node, "consul.service"), "{node}\n{log}");
    }

    let (second, log) = cockpit.run("deploy", false).await;
    assert_eq!(second.state, RunState::Succeeded, "{log}");
    assert_eq!(second.tally.changed, 0, "{log}");

    world
        .command("drift pc4 /etc/consul.d/quarterdeck.json")
        .unwrap();
    let (third, log) = cockpit.run("deploy", false).await;
    assert_eq!(third.state, RunState::Succeeded, "{log}");
    assert!(third.tally.changed > 0, "{log}");
    cockpit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_leaves_the_nodes_as_they_were_before_and_a_second_one_finds_nothing() {
    const NODES: [&str; 5] = ["pc1", "pc2", "pc3", "pc4", "pc5"];
    let cockpit = Cockpit::start(0.05).await;
    let world = Arc::clone(cockpit.lab.world());
    let state = || {
        NODES.map(|node| {
            let file = |path| world.file(node, path);
            (
                file("/usr/bin/consul"),
                file("/etc/consul.d/quarterdeck.json"),
                file("/etc/systemd/system/consul.service"),
                file("/var/cache/quarterdeck/consul.deb"),
                world.unit_active(node, "consul.service"),
            )
        })
    };
    let before = state();
    let (deployed, log) = cockpit.run("deploy", false).await;
    assert_eq!(deployed.state, RunState::Succeeded, "{log}");
    let after = state();
    assert_ne!(before, after);

    let (rehearsal, log) = cockpit.undo(&deployed, true, false).await.unwrap();
    assert_eq!(rehearsal.state, RunState::Succeeded, "{log}");
    assert!(
        log.contains("file /etc/consul.d/quarterdeck.json: "),
        "{log}"
    );
    assert!(
        log.contains("--- /etc/consul.d/quarterdeck.json (now)"),
        "{log}"
    );
    assert_eq!(state(), after, "a rehearsal changes nothing");

    // Somebody edits a file that the run left: that one is refused, and so the run fails.
    world
        .command("drift pc4 /etc/consul.d/quarterdeck.json")
        .unwrap();
    let (refused, log) = cockpit.undo(&deployed, false, false).await.unwrap();
    assert_eq!(refused.state, RunState::Failed, "{log}");
    assert!(log.contains("its content was changed since"), "{log}");
    assert!(
        world
            .file("pc4", "/etc/consul.d/quarterdeck.json")
            .is_some()
    );

    // Asked for again, with force: only what is left is taken back.
    let (undone, log) = cockpit.undo(&deployed, false, true).await.unwrap();
    assert_eq!(undone.state, RunState::Succeeded, "{log}");
    assert_eq!(state(), before, "{log}");

    let runs = cockpit.client.history.runs(10).unwrap();
    let deployed = runs.iter().find(|run| run.id == deployed.id).unwrap();
    assert_eq!(deployed.tally.changed, 0);
    assert!(deployed.tally.undone > 0);
    assert!(
        deployed
            .kinship(&runs)
            .contains(&format!("undone by run {}", undone.number)),
        "{:?}",
        deployed.kinship(&runs)
    );
    let nothing = cockpit.undo(deployed, false, false).await.unwrap_err();
    assert!(nothing.contains("was undone already"), "{nothing}");
    cockpit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_drained_removed_and_joins_again_as_others_see_it() {
    let cockpit = Cockpit::start(0.05).await;
    let world = Arc::clone(cockpit.lab.world());
    let (deployed, log) = cockpit.run("deploy", false).await;
    assert_eq!(deployed.state, RunState::Succeeded, "{log}");
    let on_pc5 = async |recipe: &str| {
        let request = PlanRequest {
            environment: "lab".into(),
            recipe: recipe.into(),
            nodes: vec!["pc5".into()],
            ..PlanRequest::default()
        };
        cockpit.carry_out(request).await.unwrap()
    };
    let (early, log) = on_pc5("remove").await;
    assert_eq!(early.state, RunState::Failed, "it is alive: {log}");

    let (drained, log) = on_pc5("drain").await;
    assert_eq!(drained.state, RunState::Succeeded, "{log}");
    assert!(log.contains(", as seen by pc1"), "{log}");
    assert!(!world.unit_active("pc5", "consul.service"));
    let (again, log) = on_pc5("drain").await;
    assert_eq!(again.state, RunState::Succeeded, "{log}");

    let (removed, log) = on_pc5("remove").await;
    assert_eq!(removed.state, RunState::Succeeded, "{log}");

    let (joined, log) = on_pc5("join").await;
    assert_eq!(joined.state, RunState::Succeeded, "{log}");
    assert!(world.unit_active("pc5", "consul.service"));
    assert!(log.contains("alive"), "{log}");
    cockpit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_provisioning_can_be_practised_and_taken_back() {
    let cockpit = Cockpit::start(0.0).await;
    let (looked, log) = cockpit.run("provision", true).await;
    assert_eq!(looked.state, RunState::Succeeded, "{log}");
    assert!(log.contains("user ada: does not exist → added"), "{log}");
    assert!(log.contains("+UMASK 027"), "{log}");

    let (made, log) = cockpit.run("provision", false).await;
    assert_eq!(made.state, RunState::Succeeded, "{log}");
    assert_eq!(made.tally.changed, looked.tally.changed, "{log}");
    let (again, log) = cockpit.run("provision", false).await;
    assert_eq!(again.state, RunState::Succeeded, "{log}");
    assert_eq!(again.tally.changed, 0, "{log}");

    let (undone, log) = cockpit.undo(&made, false, false).await.unwrap();
    assert_eq!(undone.state, RunState::Succeeded, "{log}");
    let (fresh, log) = cockpit.run("provision", true).await;
    assert_eq!(fresh.tally.changed, looked.tally.changed, "{log}");
    cockpit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_becomes_a_finding_and_goes_with_the_power() {
    let cockpit = Cockpit::start(0.05).await;
    let mut events = cockpit.client.subscribe();
    let pc3 = Subject::Node("pc3".into());
    cockpit.lab.world().command("kill pc3").unwrap();
    let mut there = false;
    let seen = tokio::time::timeout(PATIENCE, async {
        while let Some(event) = events.next().await {
            let Event::Findings { findings, .. } = event else {
                continue;
            };
            let now = findings.iter().any(|finding| finding.subject == pc3);
            if now && !there {
                cockpit.lab.world().command("start pc3").unwrap();
            }
            if !now && there {
                return true;
            }
            there = now;
        }
        false
    });
    assert!(seen.await.unwrap());
    cockpit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_consul_and_vault_is_saved_and_verified_and_the_oldest_goes() {
    let cockpit = Cockpit::start(0.05).await;
    let shelf = Shelf::of(&cockpit.dir.path().join("state"));
    let services = || -> Vec<String> {
        let (taken, odd) = shelf.list().unwrap();
        assert!(odd.is_empty(), "{odd:?}");
        for snapshot in &taken {
            shelf::inspect(snapshot, None).unwrap();
            assert!(snapshot.state > 0 && snapshot.index > 0, "{snapshot:?}");
        }
        let mut names: Vec<String> = taken.into_iter().map(|one| one.service).collect();
        names.sort();
        names
    };

    let (rehearsal, log) = cockpit.run("snapshot", true).await;
    assert_eq!(rehearsal.state, RunState::Succeeded, "{log}");
    assert!(services().is_empty(), "a rehearsal saves nothing");

    for _ in 0..2 {
        let (run, log) = cockpit.run("snapshot", false).await;
        assert_eq!(
            (run.state, run.tally.changed),
            (RunState::Succeeded, 0),
            "{log}"
        );
    }
    assert_eq!(
        services(),
        ["consul", "consul", "nomad", "nomad", "vault", "vault"]
    );
    let (run, log) = cockpit
        .carry_out(PlanRequest {
            environment: "lab".into(),
            recipe: "snapshot".into(),
            params: [("keep".to_owned(), 1.into())].into(),
            ..PlanRequest::default()
        })
        .await
        .unwrap();
    assert_eq!(run.state, RunState::Succeeded, "{log}");
    assert_eq!(services(), ["consul", "nomad", "vault"]);

    // A Vault that is sealed gives nothing, nothing is recorded as if it had, and the others are saved all the same.
    cockpit.lab.world().command("seal").unwrap();
    let (run, log) = cockpit.run("snapshot", false).await;
    assert_eq!(run.state, RunState::Failed, "{log}");
    assert!(log.contains("vault: "), "{log}");
    let failures = shelf.all().unwrap().0.failures;
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0].service, "vault");
    let vaults = services().iter().filter(|name| *name == "vault").count();
    assert_eq!(vaults, 1, "{log}");
    cockpit.stop().await;
}

/// The shares of the practice Vault, as the lab leaves them to its operators.
fn practice_shares(cockpit: &Cockpit) -> Vec<String> {
    let path = cockpit.lab.workspace().join("secrets/vault-unseal-shares");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(ToOwned::to_owned).collect()
}

/// Waits until the ceremony of a run wants a share, so many having been given.
async fn wants_share(client: &Client, given: usize) -> Ceremony {
    let wanted = async {
        loop {
            let Response::Ceremonies(held) = client.call(Request::Ceremonies).await.unwrap() else {
                panic!("no ceremonies");
            };
            let wanted = held.into_iter().find(|one| {
                one.standing.wants == Wants::Share && one.standing.givers.len() == given
            });
            if let Some(ceremony) = wanted {
                return ceremony;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wanted).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_vault_is_opened_by_several_operators_and_the_wrong_share_is_told() {
    let cockpit = Cockpit::start(0.05).await;
    let shares = practice_shares(&cockpit);
    let mut wrong = shares[1].clone();
    wrong.replace_range(0..1, if wrong.starts_with('0') { "1" } else { "0" });
    cockpit.lab.world().command("seal").unwrap();
    let ada = cockpit.engine.client(Operator::new("ada", "jump", 1000));
    let bob = cockpit.engine.client(Operator::new("bob", "desk", 1001));

    let give = async |client: &Client, run, share: &str| {
        let word = Word::Share(Secret::new(share.to_owned()));
        client.call(Request::Ceremony { run, word }).await
    };
    let operators = async {
        let run = wants_share(&ada, 0).await.run;
        give(&ada, run, &shares[0]).await.unwrap();
        let board = wants_share(&bob, 1).await.standing;
        assert!(
            board.nodes.iter().all(|node| node.progress == 1),
            "{board:?}"
        );
        let twice = give(&bob, run, &shares[0]).await.unwrap_err();
        assert_eq!(twice.message, "this share was given already, by ada@jump");
        give(&bob, run, &wrong).await.unwrap();
        give(&ada, run, &shares[2]).await.unwrap();
        let doubtful = wants_share(&ada, 3).await.standing;
        assert!(doubtful.said.contains("open nothing"), "{doubtful:?}");
        give(&bob, run, &shares[3]).await.unwrap();
    };
    let ((run, log), ()) = tokio::join!(cockpit.run("unseal", false), operators);
    assert_eq!(run.state, RunState::Succeeded, "{log}");
    assert!(
        log.contains("the share that was wrong is number 2 (given by bob@desk)"),
        "{log}"
    );

    // A second time there is nothing to do, and nobody is asked.
    let (run, log) = cockpit.run("unseal", false).await;
    assert_eq!(
        (run.state, run.tally.changed),
        (RunState::Succeeded, 0),
        "{log}"
    );

    let mut files = vec![cockpit.dir.path().join("state")];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        for share in shares.iter().chain([&wrong]) {
            let found = bytes
                .windows(40)
                .any(|window| window == &share.as_bytes()[..40]);
            assert!(!found, "a share is in {}", path.display());
        }
    }
    cockpit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ceremony_that_is_cancelled_takes_back_what_it_gave() {
    let cockpit = Cockpit::start(0.05).await;
    let shares = practice_shares(&cockpit);
    cockpit.lab.world().command("seal").unwrap();
    let operator = async {
        let run = wants_share(&cockpit.client, 0).await.run;
        let word = Word::Share(Secret::new(shares[0].clone()));
        let given = Request::Ceremony { run, word };
        cockpit.client.call(given).await.unwrap();
        wants_share(&cockpit.client, 1).await;
        cockpit.client.call(Request::Cancel { run }).await.unwrap();
    };
    let ((run, log), ()) = tokio::join!(cockpit.run("unseal", false), operator);
    assert_eq!(run.state, RunState::Cancelled, "{log}");
    let request = Request::Seals {
        environment: "lab".into(),
    };
    let Response::Seals(boards) = cockpit.client.call(request).await.unwrap() else {
        panic!("no seals");
    };
    assert!(
        boards[0].nodes.iter().all(|node| node.progress == 0),
        "{boards:?}\n{log}"
    );
    cockpit.stop().await;
}

/// Deploys `stack` on bare boards, twice: the second run finds nothing to do.
async fn deploy_twice(stack: Stack) -> Cockpit {
    let cockpit = Cockpit::bare(stack).await;
    let (rehearsal, log) = cockpit.run("deploy", true).await;
    assert_eq!(rehearsal.state, RunState::Succeeded, "{log}");
    let (deployed, log) = cockpit.run("deploy", false).await;
    assert_eq!(deployed.state, RunState::Succeeded, "{log}");
    assert!(deployed.tally.changed > 0, "{log}");
    let (again, log) = cockpit.run("deploy", false).await;
    assert_eq!(again.state, RunState::Succeeded, "{log}");
    assert_eq!(again.tally.changed, 0, "{log}");
    cockpit
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nomad_stack_is_deployed_on_bare_boards_and_a_client_goes_and_comes_back() {
    let cockpit = deploy_twice(Stack::Nomad).await;

    // Two of three servers at once: refused before anything runs, with the sum.
    let refused = cockpit.run_on("power-off", &["pc2", "pc3"]).await;
    let refused = refused.unwrap_err();
    assert!(
        refused.contains("consul would lose its quorum: it has 3 voters, 3 of them alive; 1 would be left alive, and 2 are"),
        "{refused}"
    );
    assert!(refused.contains("nomad would lose its quorum"), "{refused}");

    let (drained, log) = cockpit.run_on("drain", &["pc5"]).await.unwrap();
    assert_eq!(drained.state, RunState::Succeeded, "{log}");
    assert!(log.contains("POST /v1/node/ID/drain"), "{log}");
    assert!(
        log.contains("pc5 is drained and takes nothing new"),
        "{log}"
    );
    let (removed, log) = cockpit.run_on("remove", &["pc5"]).await.unwrap();
    assert_eq!(removed.state, RunState::Succeeded, "{log}");
    let (joined, log) = cockpit.run_on("join", &["pc5"]).await.unwrap();
    assert_eq!(joined.state, RunState::Succeeded, "{log}");
    assert!(log.contains("lists pc5 ready"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kubernetes_stack_is_deployed_on_bare_boards_and_an_agent_is_drained() {
    let cockpit = deploy_twice(Stack::Kubernetes).await;
    let (paused, log) = cockpit.run_on("pause-node", &["pc5"]).await.unwrap();
    assert_eq!(paused.state, RunState::Succeeded, "{log}");
    assert_eq!(paused.tally.changed, 1, "{log}");
    let (drained, log) = cockpit.run_on("drain", &["pc5"]).await.unwrap();
    assert_eq!(drained.state, RunState::Succeeded, "{log}");
    assert!(log.contains("pc5 is drained"), "{log}");
    let (joined, log) = cockpit.run_on("join", &["pc5"]).await.unwrap();
    assert_eq!(joined.state, RunState::Succeeded, "{log}");
    assert!(log.contains("pc5 takes pods again"), "{log}");
}

/// The drift board as it is now.
async fn drift_board(cockpit: &Cockpit) -> DriftBoard {
    let request = Request::Drift {
        environment: "lab".into(),
    };
    let Response::Drift(board) = cockpit.client.call(request).await.unwrap() else {
        panic!("no board");
    };
    *board
}

fn open_keys(board: &DriftBoard) -> Vec<String> {
    let key = |row: &DriftRow| row.known.drifted.key.to_string();
    board.open().map(key).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_behind_everyones_back_is_on_the_board_until_it_is_brought_back() {
    let cockpit = Cockpit::start(0.0).await;
    let (deployed, log) = cockpit.run("deploy", false).await;
    assert_eq!(deployed.state, RunState::Succeeded, "{log}");
    let (checked, log) = cockpit.run("drift", false).await;
    assert_eq!(checked.state, RunState::Succeeded, "{log}");
    let board = drift_board(&cockpit).await;
    assert_eq!(open_keys(&board), Vec::<String>::new(), "{log}");
    assert!(board.looks.len() > 10, "{board:?}");

    for fault in ["drift pc2", "meddle"] {
        cockpit.lab.world().command(fault).unwrap();
    }
    let (checked, log) = cockpit.run("drift", false).await;
    assert_eq!(checked.state, RunState::Succeeded, "{log}");
    assert_eq!(checked.tally.changed, 0, "{log}");
    let board = drift_board(&cockpit).await;
    let keys = open_keys(&board);
    for begins in [
        "consul:consul/kv/config/web/motd#value",
        "nodes:pc2/file /etc/consul",
        "nomad:nomad/job/web#Priority",
        "vault:vault/policy/metrics#policy",
        "kubernetes:kubernetes/ConfigMap/default/shop#data.colour",
    ] {
        assert!(
            keys.iter().any(|key| key.starts_with(begins)),
            "{begins}: {keys:?}\n{log}"
        );
    }
    // Looking has changed nothing: a second look sees the same, first seen when the first did.
    cockpit.run("drift", false).await;
    let again = drift_board(&cockpit).await;
    let ages = |board: &DriftBoard| -> Vec<_> {
        let rows = board.open();
        rows.map(|row| (row.known.drifted.clone(), row.known.first_seen))
            .collect()
    };
    assert_eq!(ages(&again), ages(&board));

    // A rule hides one row, and is in the workspace's file with its reason.
    let rule = Request::IgnoreDrift {
        environment: "lab".into(),
        matches: "consul:*motd*".into(),
        reason: "the shop tries it out".into(),
        days: Some(3),
    };
    cockpit.client.call(rule).await.unwrap();
    let board = drift_board(&cockpit).await;
    assert!(!open_keys(&board).iter().any(|key| key.contains("motd")));
    let file = cockpit.lab.workspace().join("drift-ignore.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("the shop tries it out"), "{text}");

    // Each row's own run brings it back, and nothing else is left.
    for row in &board.rows {
        let drifted = &row.known.drifted;
        let remedy = drifted.reconcile.as_ref().unwrap();
        let (run, log) = cockpit.carry_out(remedy.request("lab")).await.unwrap();
        assert_eq!(run.state, RunState::Succeeded, "{}\n{log}", drifted.key);
    }
    let board = drift_board(&cockpit).await;
    assert!(board.rows.is_empty(), "{:?}", board.rows);
    cockpit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_looked_at_is_not_known_and_never_well() {
    let cockpit = Cockpit::start(0.0).await;
    cockpit.run("drift", false).await;
    cockpit.lab.world().command("kill pc3").unwrap();
    let (checked, log) = cockpit.run("drift", false).await;
    assert_eq!(checked.state, RunState::Failed, "{log}");
    let board = drift_board(&cockpit).await;
    let blind: Vec<_> = board.unknown().collect();
    assert!(
        blind.iter().any(|look| look.scope.starts_with("pc3/")),
        "{blind:?}\n{log}"
    );
    for look in blind {
        assert!(!look.trouble.as_deref().unwrap().is_empty());
        assert!(look.known_at.is_none_or(|known| known < look.looked_at));
    }
    cockpit.stop().await;
}
