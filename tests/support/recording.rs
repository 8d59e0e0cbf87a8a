//! Plays the session that the pictures are made from: calm, a deploy, a snapshot, hands that meddle and a Vault that is sealed,
//! and a deploy during which a node loses its power.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use quarterdeck::client::{Client, Event, Request, Response};
use quarterdeck::clock::SystemClock;
use quarterdeck::config::{self, Recipes};
use quarterdeck::domain::action::Consent;
use quarterdeck::domain::operator::Operator;
use quarterdeck::domain::plan::PlanRequest;
use quarterdeck::domain::run::{Run, RunState};
use quarterdeck::engine::{Engine, EngineSettings, Network};
use quarterdeck::lab::{Lab, LabSettings};
use quarterdeck::steps::Library;
use quarterdeck::transport::ssh::{Pool, SshSettings};

use super::tape::{Moment, Tape, folder, key};

/// How long the cluster is watched before anything happens, so that the sparklines have something to show.
const CALM: Duration = Duration::from_secs(25);

/// Plays the session and replaces the tape.
pub(crate) async fn record() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A place whose name may be seen in pictures.
    let home = tempfile::Builder::new()
        .prefix("quarterdeck-")
        .tempdir()
        .unwrap();
    let dir = home.path().join("lab");
    let lab = Lab::start(LabSettings {
        seed: 1,
        clock: Arc::new(SystemClock),
        pace: 1.0,
        dir: dir.clone(),
    })
    .await
    .unwrap();
    let workspace = config::check(&dir, |_| Recipes::default())
        .workspace
        .unwrap();
    let ssh = SshSettings::default();
    let world = Network::new(move |environment| Arc::new(Pool::new(environment, ssh.clone())));
    let state = home.path().join("state");
    let mut settings = EngineSettings::new(
        &workspace.name,
        Arc::new(world),
        &state,
        home.path().join("cache"),
    );
    settings.environments = workspace.environments;
    settings.recipes = Library::load(None).recipes().cloned().collect();
    settings.node_interval = Duration::from_secs(1);
    settings.service_interval = Duration::from_secs(2);
    let engine = Engine::start(settings).await.unwrap();
    let client = engine.client(Operator::new("operator", "jump", 1000));
    fs::create_dir_all(folder()).unwrap();

    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut tape = Tape {
        workspace: match client.call(Request::Workspace).await.unwrap() {
            Response::Workspace(workspace) => *workspace,
            other => panic!("{other:?}"),
        },
        began: Timestamp::now(),
        live: match client.call(Request::Live).await.unwrap() {
            Response::Live(live) => live,
            other => panic!("{other:?}"),
        },
        events: Vec::new(),
        moments: BTreeMap::new(),
    };
    let events = Arc::new(Mutex::new(Vec::new()));
    let listener = tokio::spawn(listen(client.clone(), Arc::clone(&events)));

    tokio::time::sleep(CALM).await;
    let deploy = start(&client, "deploy").await;
    until_lines(&client, &deploy, 170).await;
    moment(&mut tape, "running", &client, &state).await;
    until_ended(&client, &deploy).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    moment(&mut tape, "done", &client, &state).await;

    let snapshot = start(&client, "snapshot").await;
    until_ended(&client, &snapshot).await;
    lab.world().command("meddle").unwrap();
    lab.world().command("seal").unwrap();
    let check = start(&client, "drift").await;
    until_ended(&client, &check).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    moment(&mut tape, "sealed", &client, &state).await;
    lab.world().command("unseal").unwrap();

    lab.world().command("drift pc3").unwrap();
    let deploy = start(&client, "deploy").await;
    until_lines(&client, &deploy, 24).await;
    lab.world().command("kill pc2").unwrap();
    until_ended(&client, &deploy).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    moment(&mut tape, "failed", &client, &state).await;

    listener.abort();
    tape.events = std::mem::take(&mut *events.lock().unwrap());
    tape.save();
    engine.shutdown(Duration::from_secs(10)).await;
    lab.stop().await;
}

async fn listen(client: Client, events: Arc<Mutex<Vec<(Timestamp, Event)>>>) {
    let mut subscription = client.subscribe();
    while let Some(event) = subscription.next().await {
        // Runs are read from the store when the tape is replayed.
        if matches!(
            event,
            Event::Node { .. } | Event::Service { .. } | Event::Findings { .. }
        ) {
            events.lock().unwrap().push((Timestamp::now(), event));
        }
    }
}

fn request(recipe: &str) -> PlanRequest {
    PlanRequest {
        environment: "lab".into(),
        recipe: recipe.into(),
        ..PlanRequest::default()
    }
}

async fn start(client: &Client, recipe: &str) -> Run {
    let wanted = Request::Plan(request(recipe));
    let Response::Plan { plan, .. } = client.call(wanted).await.unwrap() else {
        panic!("no plan");
    };
    let start = Request::Start {
        hash: plan.hash,
        consent: Consent::Yes,
    };
    match client.call(start).await.unwrap() {
        Response::Started(run) => *run,
        other => panic!("{other:?}"),
    }
}

async fn until(client: &Client, run: &Run, reached: impl Fn(&Run) -> bool) {
    loop {
        let now = client.history.run(run.id).unwrap().unwrap();
        if reached(&now) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until_lines(client: &Client, run: &Run, lines: u64) {
    until(client, run, |run| {
        run.lines >= lines || run.state.is_final()
    })
    .await;
}

async fn until_ended(client: &Client, run: &Run) {
    until(client, run, |run| {
        run.state.is_final() && run.state != RunState::Queued
    })
    .await;
}

/// Keeps what can be asked at this moment, and the store as it is.
async fn moment(tape: &mut Tape, name: &str, client: &Client, state: &Path) {
    let mut tables = BTreeMap::new();
    for service in &tape.workspace.environments[0].services {
        for view in &tape.workspace.views[service.kind.word()] {
            let request = Request::Table {
                environment: "lab".into(),
                service: service.name.clone(),
                view: view.id.clone(),
            };
            if let Ok(Response::Table(table)) = client.call(request).await {
                tables.insert(format!("{}/{}", service.name, view.id), table);
            }
        }
    }
    let copy = folder().join(format!("{name}.db"));
    let _ = fs::remove_file(&copy);
    let store = rusqlite::Connection::open(quarterdeck::store::database_path(state)).unwrap();
    store
        .execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
        .unwrap();
    let wanted = Request::Plan(request("deploy"));
    let plan = client.call(wanted).await.unwrap();
    let environment = || "lab".to_owned();
    let mut answers = BTreeMap::new();
    for request in [
        Request::Seals {
            environment: environment(),
        },
        Request::Snapshots {
            environment: environment(),
        },
        Request::Drift {
            environment: environment(),
        },
        Request::Ceremonies,
    ] {
        let name = key(&request);
        answers.insert(name, client.call(request).await.unwrap());
    }
    tape.moments.insert(
        name.into(),
        Moment {
            at: Timestamp::now(),
            tables,
            plan,
            answers,
        },
    );
}
