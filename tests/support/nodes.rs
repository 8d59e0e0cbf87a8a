//! Real nodes and a cockpit on them: an engine in this process, and what a client of it can see.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use quarterdeck::client::conversation::{Conversation, FollowOpening, Opening, Source};
use quarterdeck::client::{Client, Event, Request, Response, Subscription};
use quarterdeck::domain::action::Consent;
use quarterdeck::domain::environment::{Artifact, Environment, Protection};
use quarterdeck::domain::finding::{Finding, Severity, Subject};
use quarterdeck::domain::live::ServiceReport;
use quarterdeck::domain::node::{ClientConfig, Elevate, Jump, Node, Role, SshAccess};
use quarterdeck::domain::operator::Operator;
use quarterdeck::domain::plan::{Origin, Plan, PlanRequest};
use quarterdeck::domain::platform::{Arch, Platform};
use quarterdeck::domain::recipe::Recipe;
use quarterdeck::domain::run::{LogLine, Run, Stream, Task, TaskState};
use quarterdeck::domain::seal::{NewKeys, Word};
use quarterdeck::domain::service::{SecretRef, ServiceKind, ServiceSpec};
use quarterdeck::domain::stack::Stack;
use quarterdeck::engine::{Engine, EngineSettings, Network};
use quarterdeck::steps::Library;
use quarterdeck::store::LineFilter;
use quarterdeck::transport::Reach;
use quarterdeck::transport::ssh::{Pool, SshSettings};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::time::timeout;

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
const NAMES: [&str; 3] = ["n1", "n2", "n3"];

/// The nodes that `tests/real/nodes` has up.
pub struct Nodes {
    state: PathBuf,
    deb: PathBuf,
}

impl Nodes {
    /// Those that the environment variables tell of.
    pub fn from_environment() -> Self {
        let path = |name: &str| {
            let value = std::env::var_os(name);
            PathBuf::from(value.unwrap_or_else(|| panic!("{name} is not set: run tests/run nodes")))
        };
        Self {
            state: path("QUARTERDECK_REAL_NODES"),
            deb: path("QUARTERDECK_CONSUL_DEB"),
        }
    }

    /// Runs a command on a node without any code of ours; `None` when it fails.
    pub fn exec(&self, node: &str, argv: &[&str]) -> Option<String> {
        let output = self.script().arg("exec").arg(node).args(argv).output();
        let output = output.expect("tests/real/nodes can be started");
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The public half of the key that the nodes accept.
    pub fn public_key(&self) -> String {
        let file = self.state.join("id.pub");
        let line = std::fs::read_to_string(file).expect("the nodes have a key");
        line.trim().to_owned()
    }

    /// Process ids of the unit on each node.
    pub fn pids(&self, unit: &str) -> Vec<String> {
        let show = ["systemctl", "show", "-p", "MainPID", unit];
        let pid = |node: &&str| self.exec(node, &show).expect("systemctl answers");
        NAMES.iter().map(pid).collect()
    }

    /// `kill`, `start` …
    pub fn power(&self, verb: &str, node: &str) {
        let status = self.script().args([verb, node]).status();
        assert!(
            status.expect("tests/real/nodes can be started").success(),
            "{verb} {node}"
        );
    }

    /// Whether this machine still has a network of the node's own: its interface, and where that lives.
    pub fn has_network(&self, node: &str) -> bool {
        let name = std::fs::read_to_string(self.state.join("name")).expect("the nodes have a name");
        Path::new("/run/netns")
            .join(format!("{}-{node}", name.trim()))
            .exists()
    }

    fn script(&self) -> Command {
        let mut command =
            Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/nodes"));
        command.env("QUARTERDECK_REAL_NODES", &self.state);
        command
    }

    /// The environment `real`: Consul's servers on these nodes, with encrypted gossip and ACLs.
    pub fn environment(&self, names: &[&str]) -> Environment {
        let node = |name: &&str| Node {
            name: (*name).to_owned(),
            address: address(name),
            platform: Platform::Generic,
            arch: Arch::Amd64,
            roles: BTreeSet::from([Role::ConsulServer]),
            labels: BTreeMap::new(),
            ssh: SshAccess {
                port: Some(22),
                // An ordinary user, so that becoming root is proved as well.
                user: Some("ops".into()),
                identities: vec![self.state.join("id")],
                known_hosts: Some(self.state.join("known_hosts")),
                jump: Some(Jump::Direct),
                elevate: Some(Elevate::Sudo),
                forward_agent: Some(false),
                config: Some(ClientConfig::None),
            },
        };
        Environment {
            name: "real".into(),
            protection: Protection::Open,
            marking: None,
            stack: Stack::Consul,
            versions: BTreeMap::from([("consul".into(), "1.8.7".into())]),
            nodes: names.iter().map(node).collect(),
            services: vec![ServiceSpec {
                name: "consul".into(),
                kind: ServiceKind::Consul,
                urls: names
                    .iter()
                    .map(|name| format!("http://{}:8500", address(name)))
                    .collect(),
                nodes: names.iter().map(|&name| name.into()).collect(),
                user: None,
                secret: Some(SecretRef::Generated("consul-management".into())),
                ca: None,
            }],
            artifacts: BTreeMap::from([("consul".into(), brought(&self.deb))]),
            backups: quarterdeck::domain::backup::Backups::default(),
            desired: Vec::new(),
            // Encrypted gossip, and nobody is let in without a token.
            variables: BTreeMap::from([(
                "consul".into(),
                serde_json::json!({ "gossip": true, "acl": true }),
            )]),
        }
    }
}

/// A file that the operator brings.
pub fn brought(file: &Path) -> BTreeMap<Arch, Artifact> {
    let content = std::fs::read(file).expect("what is brought can be read");
    let artifact = Artifact {
        source: file.display().to_string(),
        sha256: quarterdeck::domain::hex(&Sha256::digest(&content)),
    };
    BTreeMap::from([(Arch::Amd64, artifact)])
}

/// Where `tests/real/nodes` puts a node.
pub fn address(node: &str) -> String {
    let number: u8 = node[1..].parse().expect("n1, n2 …");
    format!("10.77.0.{}", 10 + number)
}

/// The recipes of this program.
pub fn recipes() -> Vec<Recipe> {
    Library::load(None).recipes().cloned().collect()
}

/// An engine on the nodes and a client of it.
pub struct Cockpit {
    engine: Engine,
    client: Client,
    state: TempDir,
}

impl Cockpit {
    /// Starts an engine with a state of its own, which polls every two seconds.
    pub async fn start(nodes: &Nodes) -> Self {
        Self::with_recipes(nodes, recipes()).await
    }

    /// The same with these recipes.
    pub async fn with_recipes(nodes: &Nodes, recipes: Vec<Recipe>) -> Self {
        let state = tempfile::tempdir().expect("a temporary directory");
        Self::of(nodes.environment(&NAMES), recipes, state).await
    }

    /// Another engine on the same state, for this environment and these recipes.
    pub async fn instead(self, environment: Environment, recipes: Vec<Recipe>) -> Self {
        self.engine.shutdown(Duration::from_secs(10)).await;
        Self::of(environment, recipes, self.state).await
    }

    /// Starts an engine for this environment, which keeps its state there.
    pub async fn of(environment: Environment, recipes: Vec<Recipe>, state: TempDir) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ssh = SshSettings {
            agent: None,
            // Power cuts and pulled cables are noticed after 15 s, not 45.
            keepalive: Duration::from_secs(5),
            ..SshSettings::default()
        };
        let world = Network::new(move |environment| -> Arc<dyn Reach> {
            Arc::new(Pool::new(environment, ssh.clone()))
        });
        let mut settings = EngineSettings::new(
            "real",
            Arc::new(world),
            state.path().join("state"),
            state.path().join("cache"),
        );
        settings.environments = vec![environment];
        settings.recipes = recipes;
        settings.node_interval = Duration::from_secs(2);
        settings.service_interval = Duration::from_secs(2);
        settings.deadline = Duration::from_secs(3);
        let engine = Engine::start(settings).await.expect("the engine starts");
        let client = engine.client(Operator::new("test", "here", 1000));
        Self {
            engine,
            client,
            state,
        }
    }

    /// Plans a recipe, starts it and waits for its end.
    pub async fn run(&self, recipe: &str, dry_run: bool) -> Finished {
        let running = self.start_run(PlanRequest {
            environment: "real".into(),
            recipe: recipe.into(),
            dry_run,
            ..PlanRequest::default()
        });
        self.end(running.await).await
    }

    /// As [`Cockpit::run`], on one node.
    pub async fn run_on(&self, recipe: &str, node: &str) -> Finished {
        let running = self.start_run(PlanRequest {
            environment: "real".into(),
            recipe: recipe.into(),
            nodes: vec![node.into()],
            ..PlanRequest::default()
        });
        self.end(running.await).await
    }

    /// Why a recipe cannot even be planned on these nodes.
    pub async fn refusal(&self, recipe: &str, nodes: &[&str]) -> String {
        self.refused(PlanRequest {
            environment: "real".into(),
            recipe: recipe.into(),
            nodes: nodes.iter().map(ToString::to_string).collect(),
            ..PlanRequest::default()
        })
        .await
    }

    /// Why this cannot even be planned.
    pub async fn refused(&self, request: PlanRequest) -> String {
        let answer = self.client.call(Request::Plan(request)).await;
        answer.expect_err("the plan is refused").message
    }

    /// Where the engine keeps what it fetched.
    pub fn cache(&self) -> PathBuf {
        self.state.path().join("cache")
    }

    /// Where the engine keeps what it keeps.
    pub fn state(&self) -> PathBuf {
        self.state.path().join("state")
    }

    /// Takes a run back, and with `force` also what was changed since.
    pub async fn undo(&self, run: &Run, force: bool) -> Finished {
        let running = self.start_run(PlanRequest {
            environment: "real".into(),
            recipe: run.recipe.clone(),
            origin: Some(Origin::Undo { run: run.id, force }),
            ..PlanRequest::default()
        });
        self.end(running.await).await
    }

    /// Plans a recipe with these parameters and starts it.
    pub async fn begin(&self, recipe: &str, params: &[(&str, String)]) -> Running {
        let params = params.iter();
        self.start_run(PlanRequest {
            environment: "real".into(),
            recipe: recipe.into(),
            params: params
                .map(|(name, value)| ((*name).to_owned(), value.clone().into()))
                .collect(),
            ..PlanRequest::default()
        })
        .await
    }

    /// The plan of what is asked for.
    pub async fn plan(&self, request: PlanRequest) -> Plan {
        match self.client.call(Request::Plan(request)).await {
            Ok(Response::Plan { plan, .. }) => *plan,
            other => panic!("there is no plan: {other:?}"),
        }
    }

    /// Plans what is asked for, starts it and waits for its end.
    pub async fn carry_out(&self, request: PlanRequest) -> Finished {
        let running = self.start_run(request).await;
        self.end(running).await
    }

    /// Waits until a line of the run has this text in it.
    pub async fn until_says(&self, running: &Running, text: &str) {
        let history = &self.client.history;
        let filter = LineFilter::default();
        let found = timeout(PATIENCE, async {
            loop {
                let lines = history.lines(running.run.id, 0, 100_000, &filter);
                let lines = lines.expect("lines can be read");
                if lines.iter().any(|line| line.text.contains(text)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        found.await.expect("the line is written");
    }

    /// Plans what is asked for and starts it.
    pub async fn start_run(&self, request: PlanRequest) -> Running {
        let recipe = request.recipe.clone();
        let events = self.client.subscribe();
        let plan = match self.client.call(Request::Plan(request)).await {
            Ok(Response::Plan { plan, .. }) => plan,
            other => panic!("{recipe} cannot be planned: {other:?}"),
        };
        let start = Request::Start {
            hash: plan.hash,
            // What destroys is confirmed; the rest needs nothing here.
            consent: Consent::Yes,
        };
        match self.client.call(start).await {
            Ok(Response::Started(run)) => Running { run: *run, events },
            other => panic!("{recipe} does not start: {other:?}"),
        }
    }

    /// Says something to a run that waits for it, as soon as it does; gives the new keys where it hands them over.
    pub async fn say(&self, running: &Running, word: &Word) -> Option<NewKeys> {
        let said = timeout(PATIENCE, async {
            loop {
                let request = Request::Ceremony {
                    run: running.run.id,
                    word: word.clone(),
                };
                match self.client.call(request).await {
                    Ok(Response::Keys(keys)) => return Some(*keys),
                    Ok(_) => return None,
                    // It has not come to that point yet.
                    Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
                }
            }
        });
        said.await.expect("the run waits for a word")
    }

    /// Waits for the end of a run.
    pub async fn end(&self, running: Running) -> Finished {
        let Running { run, mut events } = running;
        let recipe = run.recipe.clone();
        let ended = timeout(PATIENCE, ended(run, &mut events)).await;
        let run = ended.unwrap_or_else(|_| panic!("{recipe} does not end"));
        let history = &self.client.history;
        Finished {
            tasks: history.tasks(run.id).expect("tasks can be read"),
            lines: history
                .lines(run.id, 0, 100_000, &LineFilter::default())
                .expect("lines can be read"),
            run,
        }
    }

    /// What a service says once `wanted` holds.
    pub async fn service_until(
        &self,
        service: &str,
        wanted: impl Fn(&ServiceReport) -> bool,
    ) -> ServiceReport {
        let mut events = self.client.subscribe();
        let found = timeout(PATIENCE, async {
            loop {
                if let Some(Event::Service { name, observed, .. }) = events.next().await
                    && name == service
                    && let Some(report) = observed.fresh()
                    && wanted(report)
                {
                    return report.clone();
                }
            }
        });
        found.await.expect("the service becomes what is wanted")
    }

    /// Watches the polls of a node from now on.
    pub fn watch_node(&self, node: &str) -> Watch {
        Watch {
            node: node.to_owned(),
            events: self.client.subscribe(),
        }
    }

    /// Follows the journals of these nodes from now on.
    pub async fn follow(&self, nodes: &[&str]) -> Conversation {
        let opening = Opening::Follow(FollowOpening {
            environment: "real".into(),
            nodes: nodes.iter().map(|&node| node.into()).collect(),
            source: Source::Journal { units: Vec::new() },
            tail: 0,
        });
        let opened = self.client.open(opening).await;
        opened.expect("journals can be followed")
    }

    pub async fn stop(self, grace: Duration) {
        self.engine.shutdown(grace).await;
    }
}

/// A run under way.
pub struct Running {
    run: Run,
    events: Subscription,
}

async fn ended(mut run: Run, events: &mut Subscription) -> Run {
    while !run.state.is_final() {
        match events.next().await {
            Some(Event::Run(now)) if now.id == run.id => run = *now,
            Some(_) => {}
            None => panic!("the engine is gone"),
        }
    }
    run
}

/// The polls of one node.
pub struct Watch {
    node: String,
    events: Subscription,
}

impl Watch {
    /// Waits for a finding on `subject`; says how many polls of the node failed until then.
    pub async fn finding_on(&mut self, subject: &Subject, severity: Severity) -> (u32, Finding) {
        let mut polls = 0;
        let found = timeout(PATIENCE, async {
            loop {
                match self.events.next().await {
                    Some(Event::Node { name, observed, .. })
                        if name == self.node && observed.trouble.is_some() =>
                    {
                        polls += 1;
                    }
                    Some(Event::Findings { findings, .. }) => {
                        let matching = |finding: &Finding| {
                            finding.subject == *subject && finding.severity == severity
                        };
                        if let Some(finding) = findings.into_iter().find(matching) {
                            return finding;
                        }
                    }
                    Some(_) => {}
                    None => panic!("the engine is gone"),
                }
            }
        });
        let finding = found.await.expect("a finding appears");
        (polls, finding)
    }
}

/// A run that has ended, with everything that is on record of it.
pub struct Finished {
    pub run: Run,
    tasks: Vec<Task>,
    lines: Vec<LogLine>,
}

impl Finished {
    /// How many tasks of the step changed something.
    pub fn changed(&self, step: &str) -> usize {
        let of_step = |task: &&Task| task.key.step == step && task.state == TaskState::Changed;
        self.tasks.iter().filter(of_step).count()
    }

    /// Whether a line of that stream has this text in it.
    pub fn says(&self, stream: Stream, text: &str) -> bool {
        self.lines
            .iter()
            .any(|line| line.stream == stream && line.text.contains(text))
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "run {}: {:?}", self.run.state, self.run.reason)?;
        for line in &self.lines {
            let task = line
                .task
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            writeln!(f, "{task:24} {:6} {}", line.stream.word(), line.text)?;
        }
        Ok(())
    }
}
