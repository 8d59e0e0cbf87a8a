//! The cockpit on the lab: the workspace that the lab writes is read as any workspace, and the real clients do the work.
//!
//! What is proved here is that the whole way holds together without machines; what works on machines is proved by
//! `real_nodes.rs`.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

#[path = "lab/ceremonies.rs"]
mod ceremonies;
#[path = "lab/deploying.rs"]
mod deploying;
#[path = "lab/saving.rs"]
mod saving;
#[path = "lab/watching.rs"]
mod watching;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quarterdeck::client::{Client, Event, Request, Response};
use quarterdeck::clock::SystemClock;
use quarterdeck::config::{Recipes, check};
use quarterdeck::domain::action::{Consent, Risk};
use quarterdeck::domain::operator::Operator;
use quarterdeck::domain::plan::{Origin, PlanRequest};
use quarterdeck::domain::run::Run;
use quarterdeck::domain::stack::Stack;
use quarterdeck::engine::{Engine, EngineSettings, Network};
use quarterdeck::lab::{Lab, LabSettings};
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
