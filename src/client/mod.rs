//! The protocol between the engine and everything that shows or commands it.
//!
//! A client sends a [`Request`] and gets a [`Response`] or a [`Refusal`]; it subscribes to [`Event`]s, which carry what
//! changed and never a flood: log lines are read from the store, a window at a time, when an event says that there are
//! more. All types are plain data that go over the engine's socket as JSON lines ([`wire`], [`socket`]); an engine in the same
//! process is called without a detour.

pub mod conversation;
pub mod path;
pub mod socket;
pub mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::conversation::{Conversation, Opening};
use crate::domain::action::{Consent, Gate};
use crate::domain::approval::{Decision, Waiting};
use crate::domain::bootstrap::{Adopted, Candidate};
use crate::domain::drift::board::DriftBoard;
use crate::domain::environment::Environment;
use crate::domain::finding::{Finding, Subject};
use crate::domain::history::Point;
use crate::domain::live::{EnvironmentLive, Lock, NodeReport, Observed, ServiceReport};
use crate::domain::mark::{MarkChange, Marks};
use crate::domain::matrix::TaskMatrix;
use crate::domain::node::Node;
use crate::domain::operator::Operator;
use crate::domain::plan::{Plan, PlanRequest};
use crate::domain::question::{OpenQuestion, QuestionAnswer};
use crate::domain::reach::Way;
use crate::domain::recipe::Recipe;
use crate::domain::retention::Kept;
use crate::domain::run::{Run, RunId, Task, TaskKey};
use crate::domain::schedule::ScheduleStatus;
use crate::domain::seal::{Ceremony, NewKeys, SealBoard, Word};
use crate::domain::service::ServiceKind;
use crate::domain::snapshot::Snapshot;
use crate::domain::table::Table;

/// The name under which hosts are told of that belong to no environment: no environment can be called so.
pub const SURVEY: &str = ".survey";

/// What a client can ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "request", content = "with")]
pub enum Request {
    /// The workspace: environments, recipes, what can be shown. Answered by [`Response::Workspace`].
    Workspace,
    /// What is known right now of every environment. Answered by [`Response::Live`].
    Live,
    /// How nodes fared lately. Answered by [`Response::History`].
    History {
        /// The environment's name.
        environment: String,
        /// One node; `None` for all of them.
        node: Option<String>,
        /// So many points of each at most, the newest.
        most: usize,
    },
    /// Fit a recipe to an environment. Answered by [`Response::Plan`].
    Plan(PlanRequest),
    /// Start the plan with this hash. Answered by [`Response::Started`].
    Start {
        /// [`Plan::hash`] of a plan that this engine made.
        hash: String,
        /// What was given at the gate.
        consent: Consent,
    },
    /// Stop a run. Answered by [`Response::Done`] as soon as the request is taken.
    Cancel {
        /// Which run.
        run: RunId,
    },
    /// How the engine itself is. Answered by [`Response::Engine`].
    Engine,
    /// End this engine, for a new one that reads the workspace's files anew; refused while a run is under way. Answered by
    /// [`Response::Done`].
    Renew,
    /// What waits for an operator's decision. Answered by [`Response::Approvals`].
    Approvals,
    /// Decide about something that waits. Answered by [`Response::Done`] when the decision is on record.
    Approve {
        /// The run.
        run: RunId,
        /// The step that asks; `None` for the run as a whole.
        step: Option<String>,
        /// [`Plan::hash`] of the plan that was looked at.
        hash: String,
        /// What is decided.
        decision: Decision,
        /// Why.
        note: Option<String>,
    },
    /// Take an environment from the run that is changing it. Answered by [`Response::Unlocked`].
    BreakLock {
        /// The environment's name.
        environment: String,
        /// What was given at the gate: the same as for something that destroys, but never a second operator.
        consent: Consent,
        /// Also when tasks are in progress; they are stopped in the middle.
        force: bool,
    },
    /// Poll something now instead of at its time. Answered by [`Response::Done`].
    Refresh {
        /// The environment's name.
        environment: String,
        /// What to poll; the environment means everything in it.
        subject: Subject,
    },
    /// The way to a node, hop by hop, and how far one gets. Answered by [`Response::Way`], after as long as connecting takes.
    Way {
        /// The environment's name.
        environment: String,
        /// The node's name.
        node: String,
        /// Whether it is tried, by connections of its own.
        test: bool,
    },
    /// This client answers questions from now on, as long as it is connected. Answered by [`Response::Questions`].
    Attend,
    /// Answer a question. Answered by [`Response::Done`] when the asker has the answer.
    Answer {
        /// [`OpenQuestion::id`].
        id: u64,
        /// The answer.
        answer: QuestionAnswer,
    },
    /// Connect to a node now, on behalf of whoever asks for it: what the host wants to know is asked. Answered by
    /// [`Response::Done`].
    LetIn {
        /// The environment's name.
        environment: String,
        /// The node's name.
        node: String,
        /// Answer only when it is done, which may take as long as a person does.
        wait: bool,
    },
    /// The rows of a service's view. Answered by [`Response::Table`].
    Table {
        /// The environment's name.
        environment: String,
        /// The service's name.
        service: String,
        /// The view's id.
        view: String,
    },
    /// The snapshots of an environment, without what they hold. Answered by [`Response::Snapshots`].
    Snapshots {
        /// The environment's name.
        environment: String,
    },
    /// What differs from what is declared. Answered by [`Response::Drift`].
    Drift {
        /// The environment's name.
        environment: String,
    },
    /// Write a rule into the workspace that this drift is meant. Answered by [`Response::Done`] when it is in the file.
    IgnoreDrift {
        /// The environment's name.
        environment: String,
        /// What the rule covers, see [`crate::domain::drift::ignore::IgnoreRule::matches`].
        matches: String,
        /// Why.
        reason: String,
        /// For how many days from now on; `None` for good.
        days: Option<u32>,
    },
    /// What runs by itself, and when. Answered by [`Response::Schedules`].
    Schedules,
    /// Run a schedule now, at its operator's word. Answered by [`Response::Started`].
    RunSchedule {
        /// The environment's name.
        environment: String,
        /// The schedule's name.
        name: String,
    },
    /// Let a schedule rest, or go on from now. Kept when the engine ends. Answered by [`Response::Done`].
    PauseSchedule {
        /// The environment's name.
        environment: String,
        /// The schedule's name.
        name: String,
        /// Whether it rests.
        paused: bool,
    },
    /// Put something on a node, or take it off. Answered by [`Response::Done`] when it is kept.
    Mark {
        /// The environment's name.
        environment: String,
        /// The node's name.
        node: String,
        /// What.
        change: MarkChange,
    },
    /// The nodes of every Vault of an environment, each as it says itself now. Answered by [`Response::Seals`].
    Seals {
        /// The environment's name.
        environment: String,
    },
    /// Which runs wait for shares, or for somebody who takes new ones. Answered by [`Response::Ceremonies`].
    Ceremonies,
    /// Say something to a run that waits for it. Answered by [`Response::Ceremony`] when it was taken, and by
    /// [`Response::Keys`] to whoever takes new keys.
    Ceremony {
        /// The run.
        run: RunId,
        /// What.
        word: Word,
    },
    /// Look for hosts: those that the operator's SSH client knows, and those of `typed` that listen. Answered by
    /// [`Response::Hosts`].
    FindHosts {
        /// Names, addresses, ranges; see [`crate::domain::bootstrap::expand`].
        typed: String,
    },
    /// Look once at hosts that belong to no environment. Answered by [`Response::Done`]; what each says comes as
    /// [`Event::Node`] of the environment [`SURVEY`]. Whatever was looked at before is dropped; without nodes nothing more
    /// is.
    Survey {
        /// The hosts; how to reach each.
        nodes: Vec<Node>,
    },
    /// The members that a service says it has, which belongs to no environment; none where it only answers. Answered by
    /// [`Response::Table`].
    Members {
        /// What it is.
        kind: ServiceKind,
        /// Where it is, and what lets one in.
        service: Adopted,
    },
    /// Send a test notification. Answered by [`Response::Done`] once it arrived.
    TestChannel {
        /// The channel's name.
        channel: String,
    },
    /// Remove old runs. Answered by [`Response::Pruned`] when they are gone.
    Prune(PruneRequest),
}

/// Which runs are to be removed. Without [`older_than`](Self::older_than) and [`keep`](Self::keep): by the workspace's
/// `retention`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PruneRequest {
    /// Runs that ended more seconds ago.
    pub older_than: Option<u64>,
    /// All but so many, the newest, of each environment.
    pub keep: Option<usize>,
    /// Only say which.
    pub dry_run: bool,
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// The runs, oldest first.
    pub runs: Vec<Kept>,
    /// Whether they were only named.
    pub dry_run: bool,
}

impl Request {
    /// Whether a session that is read-only may not ask this. What depends on the plan or the run is decided there: only a
    /// plan knows its risk.
    pub const fn is_change(&self) -> bool {
        match self {
            Self::RunSchedule { .. }
            | Self::PauseSchedule { .. }
            | Self::Mark { .. }
            | Self::IgnoreDrift { .. }
            | Self::Approve { .. }
            | Self::Ceremony { .. }
            | Self::BreakLock { .. } => true,
            Self::Prune(request) => !request.dry_run,
            Self::Workspace
            | Self::Live
            | Self::History { .. }
            | Self::Plan(_)
            | Self::Start { .. }
            | Self::Cancel { .. }
            | Self::Engine
            | Self::Renew
            | Self::Approvals
            | Self::Refresh { .. }
            | Self::Way { .. }
            | Self::Attend
            | Self::Answer { .. }
            | Self::LetIn { .. }
            | Self::Table { .. }
            | Self::Schedules
            | Self::Seals { .. }
            | Self::Ceremonies
            | Self::Snapshots { .. }
            | Self::Drift { .. }
            | Self::FindHosts { .. }
            | Self::Survey { .. }
            | Self::Members { .. }
            | Self::TestChannel { .. } => false,
        }
    }
}

/// What the engine answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "response", content = "with")]
pub enum Response {
    /// To [`Request::Workspace`].
    Workspace(Box<Workspace>),
    /// To [`Request::Live`]: by environment name.
    Live(BTreeMap<String, EnvironmentLive>),
    /// To [`Request::History`]: by node name, oldest first.
    History(BTreeMap<String, Vec<Point>>),
    /// To [`Request::Plan`].
    Plan {
        /// What will happen.
        plan: Box<Plan>,
        /// What the operator must give to start it.
        gate: Gate,
    },
    /// To [`Request::Start`].
    Started(Box<Run>),
    /// To [`Request::Approvals`], in the order of the runs.
    Approvals(Vec<Waiting>),
    /// To [`Request::BreakLock`].
    Unlocked {
        /// The run that had the lock, as it ended.
        run: Box<Run>,
        /// What was in progress when it was stopped.
        half_done: Vec<TaskKey>,
    },
    /// To [`Request::Way`].
    Way(Box<Way>),
    /// To [`Request::Attend`]: what waits, in the order in which it was asked.
    Questions(Vec<OpenQuestion>),
    /// To [`Request::Table`] and [`Request::Members`].
    Table(Table),
    /// To [`Request::FindHosts`].
    Hosts(Vec<Candidate>),
    /// To [`Request::Snapshots`]: oldest first.
    Snapshots(Vec<Snapshot>),
    /// To [`Request::Drift`].
    Drift(Box<DriftBoard>),
    /// To [`Request::Schedules`]: in the order of environments and their files.
    Schedules(Vec<ScheduleStatus>),
    /// To [`Request::Engine`].
    Engine(Box<EngineReport>),
    /// To [`Request::Prune`].
    Pruned(Pruned),
    /// To [`Request::Seals`]: in the order of the environment's services.
    Seals(Vec<SealBoard>),
    /// To [`Request::Ceremonies`]: in the order of the runs.
    Ceremonies(Vec<Ceremony>),
    /// To [`Request::Ceremony`]: how it stands now; `None` when it is over.
    Ceremony(Option<Box<Ceremony>>),
    /// To [`Request::Ceremony`] with [`Word::Take`].
    Keys(Box<NewKeys>),
    /// Accepted.
    Done,
}

/// How the engine itself is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineReport {
    /// Its version, for people.
    pub version: String,
    /// The protocol it speaks.
    pub protocol: u32,
    /// Its process.
    pub pid: u32,
    /// Since when it runs.
    pub started_at: Timestamp,
    /// The workspace's name.
    pub workspace: String,
    /// Where it keeps history.
    pub state_dir: PathBuf,
    /// Runs that are under way, by number.
    pub running: Vec<i64>,
    /// Who is connected, the longest first.
    pub clients: Vec<Guest>,
    /// Seconds without clients, runs and schedules after which it ends by itself; `None` when it never does.
    pub idle_exit: Option<u64>,
    /// Memory in use (resident set), bytes; `None` where the system does not tell.
    pub memory: Option<u64>,
    /// The most memory it ever used, bytes.
    pub memory_peak: Option<u64>,
    /// What an operator should know of how it runs, such as that it will not outlive his session.
    pub remarks: Vec<String>,
}

/// Somebody connected to the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// Who.
    pub operator: Operator,
    /// What it is, such as `screens`.
    pub role: String,
    /// The client's process, where the system tells.
    pub pid: Option<u32>,
    /// Since when.
    pub since: Timestamp,
    /// Whether it may not change anything.
    pub read_only: bool,
}

/// A request that the engine did not carry out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What is wrong and what to do.
    pub message: String,
}

impl Refusal {
    /// A refusal that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

/// What a client needs to know of the workspace; fixed while the engine runs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Workspace {
    /// Its name.
    pub name: String,
    /// Whether changes are refused.
    pub read_only: bool,
    /// Its environments, in the order of their files.
    pub environments: Vec<Environment>,
    /// Recipes that can be run, by name.
    pub recipes: Vec<Recipe>,
    /// The lists that each kind of service offers, the main one first: by [`crate::domain::service::ServiceKind::word`].
    pub views: BTreeMap<String, Vec<View>>,
}

/// A list that a service offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Short name.
    pub id: String,
    /// Heading.
    pub title: String,
}

/// Something changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event", content = "with")]
pub enum Event {
    /// A node was probed.
    Node {
        /// The environment's name.
        environment: String,
        /// The node's name.
        name: String,
        /// What is known now.
        observed: Box<Observed<NodeReport>>,
    },
    /// A service was polled.
    Service {
        /// The environment's name.
        environment: String,
        /// The service's name.
        name: String,
        /// What is known now.
        observed: Box<Observed<ServiceReport>>,
    },
    /// The findings of an environment are these now.
    Findings {
        /// The environment's name.
        environment: String,
        /// Worst first.
        findings: Vec<Finding>,
    },
    /// An environment was locked by a run, or is free again.
    Lock {
        /// The environment's name.
        environment: String,
        /// Who has it now.
        lock: Option<Lock>,
    },
    /// A run was created or moved on; its tally and number of stored lines are current.
    Run(Box<Run>),
    /// A task moved on.
    Task {
        /// Its run.
        run: RunId,
        /// The task as it is now.
        task: Box<Task>,
    },
    /// More log lines are in the store.
    Lines {
        /// Their run.
        run: RunId,
        /// How many the run has now.
        total: u64,
    },
    /// What the program of a task works on stands so now.
    Matrix {
        /// Its run.
        run: RunId,
        /// The task and its matrix.
        shown: Box<TaskMatrix>,
    },
    /// An operator has put something on a node, or taken it off.
    Marks {
        /// The environment's name.
        environment: String,
        /// The node's name.
        node: String,
        /// What is on it now.
        marks: Marks,
    },
    /// There are other snapshots than before, or they are known to be in another state: ask for [`Request::Snapshots`].
    Snapshots,
    /// More or less differs from what is declared: ask for [`Request::Drift`].
    Drift {
        /// The environment's name.
        environment: String,
    },
    /// A schedule was due, paused or resumed, or its run moved on.
    Schedule(Box<ScheduleStatus>),
    /// Something must be answered before work can go on.
    Question(Box<OpenQuestion>),
    /// A question was answered, taken back or given up.
    Settled {
        /// [`OpenQuestion::id`].
        question: u64,
    },
    /// A run waits for shares, or for somebody who takes new ones, or one that does moved on.
    Ceremony(Box<Ceremony>),
    /// A run waits for nothing of that kind any more.
    CeremonyOver {
        /// The run.
        run: RunId,
    },
    /// How the connection to the engine stands. A client's own: no engine sends it.
    Connection(Connection),
    /// The subscriber was too slow and missed this many events: ask for [`Request::Live`] and read the runs again.
    Missed(u64),
}

/// How the connection to an engine in another process stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "reason")]
pub enum Connection {
    /// It is there again; [`Event::Missed`] follows.
    Made,
    /// It broke, or another engine does not start; it is made again. Why.
    Lost(String),
    /// Somebody had the engine replaced: another one is about to be there. Who.
    Replaced(String),
    /// Somebody stopped the engine, and no other one is started before somebody says so. Who.
    Stopped(String),
}

/// The engine's end of a connection.
#[async_trait]
pub trait Link: Send + Sync {
    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// [`Refusal`] when the engine did not carry it out.
    async fn call(&self, request: Request) -> Result<Response, Refusal>;

    /// Begins a conversation.
    ///
    /// # Errors
    /// [`Refusal`] when the engine does not enter into it; what goes wrong later is its last word.
    async fn open(&self, _opening: Opening) -> Result<Conversation, Refusal> {
        Err(Refusal::new("there is nobody here to talk with"))
    }

    /// Events from now on.
    fn subscribe(&self) -> Subscription;
}

/// A stream of events. Never blocks the engine: a slow reader gets [`Event::Missed`].
pub struct Subscription(tokio::sync::broadcast::Receiver<Event>);

impl Subscription {
    /// Wraps the receiving end of the engine's bus.
    pub fn new(receiver: tokio::sync::broadcast::Receiver<Event>) -> Self {
        Self(receiver)
    }

    /// The next event; `None` when the engine is gone.
    pub async fn next(&mut self) -> Option<Event> {
        use tokio::sync::broadcast::error::RecvError;
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(Event::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

/// A connection to the engine and to the history it writes.
#[derive(Clone)]
pub struct Client {
    link: Arc<dyn Link>,
    /// Runs, tasks and log lines, read from the store without going through the engine.
    pub history: crate::store::Reader,
}

impl Client {
    /// A client of the engine behind `link`, whose store `history` reads.
    pub fn new(link: Arc<dyn Link>, history: crate::store::Reader) -> Self {
        Self { link, history }
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// [`Refusal`] when the engine did not carry it out.
    pub async fn call(&self, request: Request) -> Result<Response, Refusal> {
        self.link.call(request).await
    }

    /// Begins a conversation.
    ///
    /// # Errors
    /// [`Refusal`] when the engine does not enter into it.
    pub async fn open(&self, opening: Opening) -> Result<Conversation, Refusal> {
        self.link.open(opening).await
    }

    /// Events from now on.
    pub fn subscribe(&self) -> Subscription {
        self.link.subscribe()
    }
}
