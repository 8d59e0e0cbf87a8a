//! The engine as its clients see it, over a world in memory.

mod approvals;
mod handlers;
mod locks;
mod resume;

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use secrecy::SecretString;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::client::{Refusal, Request, Response, Subscription};
use crate::domain::action::{Consent, Gate, Risk};
use crate::domain::approval::Approver;
use crate::domain::environment::Protection;
use crate::domain::finding::{Severity, Subject};
use crate::domain::live::{Health, ServiceReport};
use crate::domain::node::{Node, SshAccess};
use crate::domain::operator::Operator;
use crate::domain::plan::{Plan, PlanRequest};
use crate::domain::platform::{Arch, Platform};
use crate::domain::recipe::{Approve, Param, RunCommand, Selector, Step};
use crate::domain::run::{Run, RunState};
use crate::domain::service::{ServiceKind, ServiceSpec};
use crate::domain::stack::Stack;
use crate::domain::table::Table;
use crate::services::{Service, ServiceError, ViewSpec};
use crate::store::database_path;
use crate::transport::{
    Chunk, ChunkSink, Command, Exit, FileMeta, Host, Progress, Reach, ReachError, Source,
};

/// What the world is like, for all who look.
#[derive(Debug, Default)]
pub(super) struct Weather {
    /// Nodes that are out of reach.
    dead: Mutex<Vec<String>>,
    /// What nodes say of commands that were left behind.
    left: Mutex<BTreeMap<String, String>>,
}

pub(super) struct Memory(pub(super) Arc<Weather>);

impl World for Memory {
    fn hosts(&self, _environment: &Arc<Environment>) -> Arc<dyn Reach> {
        Arc::new(Hosts(Arc::clone(&self.0)))
    }

    fn service(
        &self,
        _spec: &ServiceSpec,
        secret: Option<SecretString>,
    ) -> Result<Box<dyn Service>, ServiceError> {
        assert!(secret.is_none());
        Ok(Box::new(Consul))
    }
}

struct Hosts(Arc<Weather>);

impl Reach for Hosts {
    fn host(&self, name: &str) -> Result<Arc<dyn Host>, ReachError> {
        Ok(Arc::new(Board {
            name: name.into(),
            weather: Arc::clone(&self.0),
        }))
    }
}

#[derive(Debug)]
struct Board {
    name: String,
    weather: Arc<Weather>,
}

#[async_trait]
impl Host for Board {
    fn name(&self) -> &str {
        &self.name
    }

    async fn stream(
        &self,
        command: &Command,
        sink: &mut dyn ChunkSink,
        cancel: &CancellationToken,
    ) -> Result<Exit, ReachError> {
        if self.weather.dead.lock().unwrap().contains(&self.name) {
            return Err(ReachError::Connect {
                hop: self.name.clone(),
                address: "192.0.2.7:22".into(),
                reason: "connection refused".into(),
            });
        }
        let words: Vec<&str> = command.argv.iter().map(String::as_str).collect();
        let left = self.weather.left.lock().unwrap().get(&self.name).cloned();
        let (text, code) = match words.as_slice() {
            ["sh", "-c", ..] if left.is_some() => (left.as_deref().unwrap_or_default(), 0),
            ["sh"] => (
                "@hello\n@facts\nuname:Linux 6.12.0 aarch64\ncpus:4\n/etc/os-release:PRETTY_NAME=\"Debian 13\"\n\
                 @sample\n/proc/uptime:77.5 100.0\n/proc/loadavg:0.5 0.4 0.3 1/99 1234\n@end\n",
                0,
            ),
            ["hang"] => {
                cancel.cancelled().await;
                return Err(ReachError::Cancelled {
                    hop: self.name.clone(),
                });
            }
            ["work"] => ("worked\n", 0),
            _ => ("", 127),
        };
        let text = text.to_owned();
        sink.chunk(Chunk::Stdout(text.into())).await;
        Ok(Exit::Code(code))
    }

    async fn read(&self, _path: &str) -> Result<Option<Vec<u8>>, ReachError> {
        Ok(None)
    }

    async fn write(
        &self,
        _path: &str,
        _source: Source,
        _meta: &FileMeta,
        _progress: Progress<'_>,
        _cancel: &CancellationToken,
    ) -> Result<(), ReachError> {
        Ok(())
    }
}

struct Consul;

#[async_trait]
impl Service for Consul {
    async fn report(&self, _deadline: Duration) -> Result<ServiceReport, ServiceError> {
        Ok(ServiceReport {
            health: Health::Ok,
            version: None,
            leader: Some("pc1".into()),
            members: None,
            summary: "well".into(),
            problems: Vec::new(),
            latency_ms: 1,
        })
    }

    fn views(&self) -> &'static [ViewSpec] {
        &[]
    }

    async fn table(&self, view: &str, _deadline: Duration) -> Result<Table, ServiceError> {
        match view {
            "members" => Ok(Table::new("Members", ["Name"], "no members")),
            other => Err(ServiceError::NoSuchView(other.into())),
        }
    }
}

pub(super) fn environment(name: &str, protection: Protection) -> Environment {
    let node = |name: &str| Node {
        name: name.into(),
        address: "192.0.2.7".into(),
        platform: Platform::Generic,
        arch: Arch::Arm64,
        roles: std::iter::empty().collect(),
        labels: BTreeMap::new(),
        ssh: SshAccess::default(),
    };
    Environment {
        name: name.into(),
        protection,
        marking: None,
        stack: Stack::Consul,
        versions: BTreeMap::new(),
        nodes: vec![node("pc1"), node("pc2")],
        services: vec![ServiceSpec {
            name: "consul".into(),
            kind: ServiceKind::Consul,
            urls: vec!["http://192.0.2.7:8500".into()],
            nodes: vec!["pc1".into()],
            user: None,
            secret: None,
            ca: None,
        }],
        artifacts: BTreeMap::new(),
        variables: BTreeMap::new(),
        backups: crate::domain::backup::Backups::default(),
        desired: Vec::new(),
    }
}

pub(super) fn recipe(name: &str, risk: Risk, command: &str) -> Recipe {
    Recipe {
        name: name.into(),
        title: name.into(),
        description: String::new(),
        risk,
        offer_on: Vec::new(),
        kinds: Vec::new(),
        params: Vec::new(),
        handlers: Vec::new(),
        steps: vec![Step {
            id: "do".into(),
            title: "Do it".into(),
            on: Some(Selector::default()),
            run: Some(RunCommand {
                detached: false,
                elsewhere: Vec::new(),
                distinct: false,
                argv: vec![command.into()],
                changes: true,
                check: None,
                otherwise: None,
                expect: None,
            }),
            ..Step::default()
        }],
    }
}

/// A recipe that asks before it works.
fn asking() -> Recipe {
    let mut asking = recipe("ask", Risk::Change, "work");
    asking.steps[0].needs = vec!["ask".into()];
    asking.steps.insert(
        0,
        Step {
            id: "ask".into(),
            title: "Ask".into(),
            approve: Some(Approve {
                of: None,
                text: "go on with {{ env.name }}?".into(),
                by: Approver::Anyone,
            }),
            ..Step::default()
        },
    );
    asking
}

/// A recipe that wants to be told a word.
fn greeting() -> Recipe {
    Recipe {
        params: vec![Param {
            name: "word".into(),
            help: "what to say".into(),
            default: None,
        }],
        ..recipe("greet", Risk::Change, "work")
    }
}

struct Scene {
    engine: Engine,
    client: Client,
    weather: Arc<Weather>,
    dir: TempDir,
}

async fn start(read_only: bool) -> Scene {
    let (dir, weather) = (TempDir::new().unwrap(), Arc::new(Weather::default()));
    let world = Arc::new(Memory(Arc::clone(&weather)));
    let mut settings = EngineSettings::new("test", world, dir.path(), dir.path().join("cache"));
    settings.environments = vec![
        environment("lab", Protection::Open),
        environment("production", Protection::Typed),
        environment("guarded", Protection::TwoPerson),
    ];
    settings.recipes = vec![
        recipe("work", Risk::Change, "work"),
        recipe("hang", Risk::Change, "hang"),
        recipe("look", Risk::Read, "hang"),
        greeting(),
        asking(),
        handlers::following(),
    ];
    settings.read_only = read_only;
    // Far apart: what is asked again is asked because of a refresh.
    settings.node_interval = Duration::from_secs(3600);
    settings.service_interval = Duration::from_secs(3600);
    let engine = Engine::start(settings).await.unwrap();
    Scene {
        client: engine.client(ada()),
        engine,
        weather,
        dir,
    }
}

pub(super) fn ada() -> Operator {
    Operator::new("ada", "bastion", 1000)
}

pub(super) fn request(environment: &str, recipe: &str) -> PlanRequest {
    PlanRequest {
        environment: environment.into(),
        recipe: recipe.into(),
        ..PlanRequest::default()
    }
}

impl Scene {
    async fn plan(&self, environment: &str, recipe: &str) -> Result<(Plan, Gate), Refusal> {
        match self
            .client
            .call(Request::Plan(request(environment, recipe)))
            .await?
        {
            Response::Plan { plan, gate } => Ok((*plan, gate)),
            other => panic!("{other:?}"),
        }
    }

    async fn begin(&self, plan: &Plan, consent: Consent) -> Result<Run, Refusal> {
        let request = Request::Start {
            hash: plan.hash.clone(),
            consent,
        };
        match self.client.call(request).await? {
            Response::Started(run) => Ok(*run),
            other => panic!("{other:?}"),
        }
    }
}

pub(super) async fn end_of(run: RunId, events: &mut Subscription) -> Run {
    loop {
        if let Event::Run(seen) = events.next().await.unwrap()
            && seen.id == run
            && seen.state.is_final()
        {
            return *seen;
        }
    }
}

#[tokio::test]
async fn nodes_and_services_become_known_by_themselves() {
    let scene = start(false).await;
    let mut events = scene.client.subscribe();
    loop {
        let Response::Live(live) = scene.client.call(Request::Live).await.unwrap() else {
            panic!("not the answer to the question");
        };
        let lab = &live["lab"];
        let known = lab.nodes.values().all(|node| node.as_of.is_some())
            && lab.services.values().all(|service| service.as_of.is_some());
        if known {
            let report = lab.nodes["pc1"].fresh().unwrap();
            assert_eq!((report.sample.uptime, report.facts.cpus), (77, 4));
            assert_eq!(report.facts.os, "Debian 13");
            assert!(!report.facts.systemd);
            assert_eq!(
                lab.services["consul"].fresh().unwrap().leader.as_deref(),
                Some("pc1")
            );
            break;
        }
        events.next().await.unwrap();
    }
}

#[tokio::test]
async fn a_node_that_dies_is_a_finding_after_the_next_look_and_keeps_its_last_value() {
    let scene = start(false).await;
    let mut events = scene.client.subscribe();
    let refresh = Request::Refresh {
        environment: "lab".into(),
        subject: Subject::Node("pc2".into()),
    };
    let mut killed = false;
    loop {
        match events.next().await.unwrap() {
            Event::Node {
                environment,
                name,
                observed,
            } if environment == "lab" && name == "pc2" && !killed => {
                assert!(observed.trouble.is_none());
                scene.weather.dead.lock().unwrap().push(name);
                scene.client.call(refresh.clone()).await.unwrap();
                killed = true;
            }
            Event::Findings {
                environment,
                findings,
            } if environment == "lab" => {
                assert_eq!(findings.len(), 1, "{findings:?}");
                assert_eq!(findings[0].subject, Subject::Node("pc2".into()));
                assert_eq!(findings[0].severity, Severity::Critical);
                assert!(findings[0].evidence.contains("connection refused"));
                break;
            }
            _ => {}
        }
    }
    let Response::Live(live) = scene.client.call(Request::Live).await.unwrap() else {
        panic!("not the answer to the question");
    };
    assert!(live["lab"].nodes["pc2"].value.is_some());
}

#[tokio::test]
async fn a_planned_run_is_carried_out_stored_and_told() {
    let scene = start(false).await;
    let (plan, gate) = scene.plan("lab", "work").await.unwrap();
    assert_eq!(gate, Gate::Open);
    let mut events = scene.client.subscribe();
    let run = scene.begin(&plan, Consent::None).await.unwrap();
    assert_eq!((run.number, run.state), (1, RunState::Queued));
    let ended = end_of(run.id, &mut events).await;
    assert_eq!(ended.state, RunState::Succeeded, "{:?}", ended.reason);
    let history = scene.client.history.clone();
    assert_eq!(history.run(run.id).unwrap(), Some(ended));
    assert_eq!(history.plan(run.id).unwrap(), Some(plan.clone()));
    assert_eq!(history.tasks(run.id).unwrap().len(), 2);
    let again = scene.begin(&plan, Consent::None).await.unwrap_err();
    assert!(
        again.message.contains("good for one run"),
        "{}",
        again.message
    );
}

#[tokio::test]
async fn an_environment_that_asks_for_its_name_gets_no_run_without_it() {
    let scene = start(false).await;
    let (plan, gate) = scene.plan("production", "work").await.unwrap();
    assert_eq!(gate, Gate::TypeName);
    for consent in [Consent::None, Consent::Yes, Consent::Typed("prod".into())] {
        assert!(scene.begin(&plan, consent).await.is_err());
    }
    let typed = Consent::Typed("production".into());
    assert!(scene.begin(&plan, typed).await.is_ok());
}

#[tokio::test]
async fn a_read_only_engine_plans_but_changes_nothing() {
    let scene = start(true).await;
    let (plan, gate) = scene.plan("lab", "work").await.unwrap();
    assert_eq!(gate, Gate::ReadOnly);
    let typed = Consent::Typed("lab".into());
    let refusal = scene.begin(&plan, typed).await.unwrap_err();
    assert!(refusal.message.contains("read-only"));
    assert_eq!(scene.client.history.runs(10).unwrap(), []);
}

#[tokio::test]
async fn what_does_not_exist_is_refused_by_name() {
    let scene = start(false).await;
    let refusals = [
        scene.plan("moon", "work").await.unwrap_err(),
        scene.plan("lab", "dance").await.unwrap_err(),
        scene
            .client
            .call(Request::Refresh {
                environment: "lab".into(),
                subject: Subject::Node("pc9".into()),
            })
            .await
            .unwrap_err(),
        scene
            .client
            .call(Request::Table {
                environment: "lab".into(),
                service: "vault".into(),
                view: "members".into(),
            })
            .await
            .unwrap_err(),
    ];
    for (refusal, name) in refusals.iter().zip(["moon", "dance", "pc9", "vault"]) {
        assert!(refusal.message.contains(name), "{}", refusal.message);
    }
    let unknown = Request::Cancel {
        run: RunId(uuid::Uuid::nil()),
    };
    assert!(scene.client.call(unknown).await.is_err());
}

#[tokio::test]
async fn a_table_comes_from_the_services_adapter() {
    let scene = start(false).await;
    let table = |view: &str| Request::Table {
        environment: "lab".into(),
        service: "consul".into(),
        view: view.into(),
    };
    let response = scene.client.call(table("members")).await.unwrap();
    assert!(matches!(response, Response::Table(table) if table.title == "Members"));
    assert!(scene.client.call(table("songs")).await.is_err());
}

#[tokio::test]
async fn shutting_down_ends_subscriptions_and_frees_the_state_directory() {
    let Scene {
        engine,
        client,
        dir,
        ..
    } = start(false).await;
    let mut events = client.subscribe();
    engine.shutdown(Duration::from_secs(10)).await;
    while events.next().await.is_some() {}
    let refusal = client
        .call(Request::Plan(request("lab", "work")))
        .await
        .map(|_| ());
    assert!(refusal.is_ok(), "planning touches nothing");
    drop(Writer::open(dir.path(), jiff::Timestamp::UNIX_EPOCH).unwrap());
    assert!(database_path(dir.path()).exists());
}

#[tokio::test]
async fn who_started_was_refused_and_cancelled_is_in_the_audit_and_its_chain_is_whole() {
    let scene = start(false).await;
    let (plan, _) = scene.plan("production", "work").await.unwrap();
    assert!(scene.begin(&plan, Consent::Yes).await.is_err());
    let (plan, _) = scene.plan("lab", "hang").await.unwrap();
    let mut events = scene.client.subscribe();
    let run = scene.begin(&plan, Consent::None).await.unwrap();
    let cancel = Request::Cancel { run: run.id };
    scene.client.call(cancel).await.unwrap();
    end_of(run.id, &mut events).await;
    scene.engine.shutdown(Duration::from_secs(10)).await;

    let reader = Reader::open(&database_path(scene.dir.path())).unwrap();
    let filter = crate::store::AuditFilter {
        limit: 100,
        ..Default::default()
    };
    let mut records = reader.audit(&filter).unwrap();
    records.reverse();
    let told: Vec<String> = records
        .iter()
        .map(|record| {
            let who = record.who.as_ref().map(ToString::to_string);
            format!(
                "{} {} {} by {} run {}",
                record.environment.as_deref().unwrap_or("-"),
                record.act,
                record.outcome,
                who.as_deref().unwrap_or("engine"),
                record.run.map_or_else(|| "-".into(), |run| run.to_string()),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "- engine-started done by engine run -",
            "production run-started refused by ada@bastion run -",
            "lab run-started accepted by ada@bastion run 1",
            "lab run-cancelled accepted by ada@bastion run 1",
            "lab run-ended cancelled by engine run 1",
            "- engine-stopped done by engine run -",
        ]
    );
    assert_eq!(records[2].plan_hash.as_deref(), Some(plan.hash.as_str()));
    assert!(reader.verify_audit().unwrap().is_whole());
}

#[tokio::test]
async fn old_runs_are_removed_on_request_after_that_is_on_record_and_running_ones_stay() {
    let scene = start(false).await;
    let mut events = scene.client.subscribe();
    for _ in 0..3 {
        let (plan, _) = scene.plan("lab", "work").await.unwrap();
        let run = scene.begin(&plan, Consent::None).await.unwrap();
        end_of(run.id, &mut events).await;
    }
    let (plan, _) = scene.plan("lab", "look").await.unwrap();
    let going = scene.begin(&plan, Consent::None).await.unwrap();
    let prune = |dry_run| {
        let keep = Some(2);
        let older_than = None;
        Request::Prune(crate::client::PruneRequest {
            older_than,
            keep,
            dry_run,
        })
    };
    for dry_run in [true, false] {
        let Response::Pruned(pruned) = scene.client.call(prune(dry_run)).await.unwrap() else {
            panic!("not the answer to the question");
        };
        let numbers: Vec<i64> = pruned.runs.iter().map(|run| run.number).collect();
        assert_eq!((numbers, pruned.dry_run), (vec![1, 2], dry_run));
    }
    let left = scene.client.history.runs(10).unwrap();
    let left: Vec<i64> = left.iter().map(|run| run.number).collect();
    assert_eq!(left, [going.number, 3]);
    let filter = crate::store::AuditFilter {
        who: Some("ada".into()),
        limit: 1,
        ..Default::default()
    };
    let record = scene.client.history.audit(&filter).unwrap().remove(0);
    assert_eq!(
        (record.act.as_str(), record.detail.as_deref()),
        ("pruned", Some("2 runs: 1, 2"))
    );
    scene.engine.shutdown(Duration::from_secs(10)).await;
}
