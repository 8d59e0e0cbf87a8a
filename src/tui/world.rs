//! What the screens know: the workspace, the live view, the runs, the tables fetched so far. Fed by events and answers,
//! read by every screen, bounded in size.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use crate::client::{Event, Workspace};
use crate::domain::approval::Waiting;
use crate::domain::drift::board::DriftBoard;
use crate::domain::environment::{Environment, Protection};
use crate::domain::finding::{Finding, Severity, heads};
use crate::domain::history::Point;
use crate::domain::live::{EnvironmentLive, NodeReport, Observed, ServiceReport};
use crate::domain::recipe::Recipe;
use crate::domain::run::{Run, RunId};
use crate::domain::schedule::ScheduleStatus;
use crate::domain::seal::{Ceremony, SealBoard};
use crate::domain::service::ServiceSpec;
use crate::domain::snapshot::Snapshot;
use crate::domain::table::Table;

/// Runs kept for the lists; older ones are read from the store when asked for by number.
pub(crate) const RUNS: usize = 500;
/// Points of a node's history that are kept here; the engine keeps more.
pub(crate) const TREND: usize = 240;

/// Something that was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) enum Known<T> {
    /// No answer yet.
    #[default]
    Asked,
    /// The answer.
    Ready(T),
    /// Why there is none.
    Failed(String),
}

/// How a node fared lately, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trend {
    points: VecDeque<Point>,
}

impl Trend {
    /// The values of one figure, as far as they are known, oldest first.
    pub(crate) fn of(&self, figure: impl Fn(&Point) -> Option<f32>) -> Vec<f32> {
        self.points.iter().filter_map(figure).collect()
    }

    /// Takes in a point unless one as new is known.
    fn push(&mut self, point: Point) {
        if self.points.back().is_none_or(|last| last.at < point.at) {
            self.points.push_back(point);
        }
        if self.points.len() > TREND {
            self.points.pop_front();
        }
    }
}

/// A service's table and how fresh it is.
#[derive(Debug, Clone)]
pub(crate) struct Fetched<T = Table> {
    pub table: Option<T>,
    pub as_of: Option<Timestamp>,
    /// Why the newest attempt failed.
    pub trouble: Option<String>,
    /// A request is under way.
    pub asked: bool,
}

impl<T> Default for Fetched<T> {
    fn default() -> Self {
        Self {
            table: None,
            as_of: None,
            trouble: None,
            asked: false,
        }
    }
}

/// Environment, service, view.
pub(crate) type TableKey = (String, String, String);

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub now: Timestamp,
    pub size: (u16, u16),
    pub workspace: Known<Workspace>,
    pub live: BTreeMap<String, EnvironmentLive>,
    /// Newest first.
    pub runs: Vec<Run>,
    pub runs_read: Known<()>,
    /// What runs by itself, in the order of environments and their files.
    pub schedules: Vec<ScheduleStatus>,
    /// The snapshots of the environment that they were last asked of.
    pub shelf: (String, Known<Vec<Snapshot>>),
    /// The drift board of the environment that it was last asked of.
    pub drift: (String, Known<Box<DriftBoard>>),
    /// What waits for an operator's decision.
    pub waiting: Vec<Waiting>,
    /// Runs that wait for shares, or for somebody who takes new ones.
    pub ceremonies: Vec<Ceremony>,
    /// The nodes of every Vault, by environment.
    pub seals: BTreeMap<String, Fetched<Vec<SealBoard>>>,
    /// The current environment's name; empty while there is none.
    pub environment: String,
    /// Why there is no engine, and nothing here is told anew.
    pub lost: Option<String>,
    pub trends: BTreeMap<(String, String), Trend>,
    pub tables: BTreeMap<TableKey, Fetched>,
}

impl World {
    pub(crate) fn new(now: Timestamp, size: (u16, u16), environment: Option<String>) -> Self {
        Self {
            now,
            size,
            workspace: Known::Asked,
            live: BTreeMap::new(),
            runs: Vec::new(),
            runs_read: Known::Asked,
            schedules: Vec::new(),
            shelf: (String::new(), Known::Asked),
            drift: (String::new(), Known::Asked),
            waiting: Vec::new(),
            ceremonies: Vec::new(),
            seals: BTreeMap::new(),
            environment: environment.unwrap_or_default(),
            lost: None,
            trends: BTreeMap::new(),
            tables: BTreeMap::new(),
        }
    }

    /// The snapshots of the current environment, oldest first, as far as they are known.
    pub(crate) fn snapshots(&self) -> &[Snapshot] {
        match &self.shelf {
            (environment, Known::Ready(snapshots)) if *environment == self.environment => snapshots,
            _ => &[],
        }
    }

    /// The drift board of the current environment, as far as it is known.
    pub(crate) fn drift(&self) -> Option<&DriftBoard> {
        match &self.drift {
            (environment, Known::Ready(board)) if *environment == self.environment => Some(board),
            _ => None,
        }
    }

    /// A number that goes up by one each second.
    pub(crate) fn beat(&self) -> usize {
        usize::try_from(self.now.as_second()).unwrap_or(0)
    }

    pub(crate) fn workspace(&self) -> Option<&Workspace> {
        match &self.workspace {
            Known::Ready(workspace) => Some(workspace),
            Known::Asked | Known::Failed(_) => None,
        }
    }

    /// The recipe of this name.
    pub(crate) fn recipe(&self, name: &str) -> Option<&Recipe> {
        let recipes = &self.workspace()?.recipes;
        recipes.iter().find(|recipe| recipe.name == name)
    }

    pub(crate) fn environments(&self) -> &[Environment] {
        self.workspace()
            .map(|workspace| workspace.environments.as_slice())
            .unwrap_or_default()
    }

    /// The current environment.
    pub(crate) fn here(&self) -> Option<&Environment> {
        self.environment(&self.environment)
    }

    pub(crate) fn environment(&self, name: &str) -> Option<&Environment> {
        self.environments()
            .iter()
            .find(|environment| environment.name == name)
    }

    pub(crate) fn protection(&self) -> Protection {
        self.here()
            .map_or(Protection::Open, |environment| environment.protection)
    }

    pub(crate) fn live(&self) -> Option<&EnvironmentLive> {
        self.live.get(&self.environment)
    }

    /// Findings of the current environment, worst first.
    pub(crate) fn findings(&self) -> &[Finding] {
        self.live()
            .map(|live| live.findings.as_slice())
            .unwrap_or_default()
    }

    pub(crate) fn node(&self, name: &str) -> Option<&Observed<NodeReport>> {
        self.live()?.nodes.get(name)
    }

    pub(crate) fn service(&self, name: &str) -> Option<&Observed<ServiceReport>> {
        self.live()?.services.get(name)
    }

    pub(crate) fn service_spec(&self, name: &str) -> Option<&ServiceSpec> {
        self.here()?.service(name)
    }

    pub(crate) fn trend(&self, node: &str) -> Option<&Trend> {
        self.trends
            .get(&(self.environment.clone(), node.to_owned()))
    }

    pub(crate) fn run(&self, id: RunId) -> Option<&Run> {
        self.runs.iter().find(|run| run.id == id)
    }

    /// Runs that have not ended.
    pub(crate) fn alive(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| !run.state.is_final())
    }

    /// The run most worth watching: the newest one alive, else the newest.
    pub(crate) fn latest_run(&self) -> Option<&Run> {
        self.alive().next().or_else(|| self.runs.first())
    }

    /// The services' views, main one first.
    pub(crate) fn views(&self, service: &str) -> &[crate::client::View] {
        let kind = self.service_spec(service).map(|spec| spec.kind.word());
        kind.and_then(|kind| self.workspace()?.views.get(kind))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The table of a service's view, when it was ever asked for.
    pub(crate) fn table(&self, service: &str, view: &str) -> Option<&Fetched> {
        let key = (
            self.environment.clone(),
            service.to_owned(),
            view.to_owned(),
        );
        self.tables.get(&key)
    }

    /// How many findings there are of each severity, without those that follow from others.
    pub(crate) fn severities(&self, environment: &str) -> [usize; 3] {
        let mut counts = [0; 3];
        if let Some(live) = self.live.get(environment) {
            for finding in heads(&live.findings) {
                counts[match finding.severity {
                    Severity::Critical => 0,
                    Severity::Warning => 1,
                    Severity::Notice => 2,
                }] += 1;
            }
        }
        counts
    }

    /// The workspace came: the current environment is the one asked for, or the first.
    pub(crate) fn learn(&mut self, workspace: Workspace) {
        let known = workspace
            .environments
            .iter()
            .any(|environment| environment.name == self.environment);
        if !known {
            self.environment = workspace
                .environments
                .first()
                .map(|environment| environment.name.clone())
                .unwrap_or_default();
        }
        self.workspace = Known::Ready(workspace);
    }

    /// The runs were read; what events brought meanwhile is newer and stays. What has ended and is not in the store any
    /// more was removed.
    pub(crate) fn read_runs(&mut self, runs: Vec<Run>) {
        self.runs_read = Known::Ready(());
        let newest = runs.first().map_or(i64::MAX, |run| run.number);
        let kept = |known: &Run| runs.iter().any(|run| run.id == known.id);
        self.runs
            .retain(|known| !known.state.is_final() || known.number > newest || kept(known));
        for run in runs {
            if self.run(run.id).is_none_or(|known| !is_newer(known, &run)) {
                self.upsert(run);
            }
        }
    }

    /// Takes in a run as it is now.
    pub(crate) fn upsert(&mut self, run: Run) {
        if let Some(known) = self.runs.iter_mut().find(|known| known.id == run.id) {
            *known = run;
        } else {
            let at = self.runs.partition_point(|known| known.number > run.number);
            self.runs.insert(at, run);
            self.runs.truncate(RUNS);
        }
    }

    /// Takes in an event; runs' tasks and lines are for the screens that show them.
    pub(crate) fn apply(&mut self, event: &Event) {
        match event {
            Event::Node {
                environment,
                name,
                observed,
            } => {
                self.follow(environment, name, observed);
                let live = self.live.entry(environment.clone()).or_default();
                live.nodes.insert(name.clone(), (**observed).clone());
            }
            Event::Service {
                environment,
                name,
                observed,
            } => {
                let live = self.live.entry(environment.clone()).or_default();
                live.services.insert(name.clone(), (**observed).clone());
            }
            Event::Findings {
                environment,
                findings,
            } => {
                let live = self.live.entry(environment.clone()).or_default();
                live.findings.clone_from(findings);
            }
            Event::Marks {
                environment,
                node,
                marks,
            } => {
                if let Some(live) = self.live.get_mut(environment) {
                    live.marks.insert(node.clone(), marks.clone());
                }
            }
            Event::Lock { environment, lock } => {
                let live = self.live.entry(environment.clone()).or_default();
                live.lock.clone_from(lock);
            }
            Event::Run(run) => self.upsert((**run).clone()),
            Event::Ceremony(news) => {
                let known = self.ceremonies.iter_mut().find(|one| one.run == news.run);
                match known {
                    Some(known) => known.clone_from(news),
                    None => self.ceremonies.push((**news).clone()),
                }
            }
            Event::CeremonyOver { run } => self.ceremonies.retain(|one| one.run != *run),
            Event::Schedule(status) => {
                let same = |known: &&mut ScheduleStatus| {
                    known.environment == status.environment && known.name == status.name
                };
                if let Some(known) = self.schedules.iter_mut().find(same) {
                    known.clone_from(status);
                } else {
                    self.schedules.push((**status).clone());
                }
            }
            Event::Lines { run, total } => {
                if let Some(run) = self.runs.iter_mut().find(|known| known.id == *run) {
                    run.lines = run.lines.max(*total);
                }
            }
            Event::Task { .. }
            | Event::Matrix { .. }
            | Event::Question(_)
            | Event::Snapshots
            | Event::Drift { .. }
            | Event::Settled { .. }
            | Event::Connection(_)
            | Event::Missed(_) => {}
        }
    }

    /// The whole live view was read.
    pub(crate) fn see(&mut self, live: BTreeMap<String, EnvironmentLive>) {
        for (environment, known) in &live {
            for (name, observed) in &known.nodes {
                self.follow(environment, name, observed);
            }
        }
        self.live = live;
    }

    fn follow(&mut self, environment: &str, name: &str, observed: &Observed<NodeReport>) {
        let Some(report) = observed.fresh() else {
            return;
        };
        let Some(as_of) = observed.as_of else { return };
        let key = (environment.to_owned(), name.to_owned());
        let trend = self.trends.entry(key).or_default();
        trend.push(Point::of(&report.sample, as_of));
    }

    /// The engine told how nodes fared before one looked; what was seen since then stays.
    pub(crate) fn remember(&mut self, environment: &str, history: BTreeMap<String, Vec<Point>>) {
        for (name, points) in history {
            let trend = self
                .trends
                .entry((environment.to_owned(), name))
                .or_default();
            let seen = std::mem::take(&mut trend.points);
            for point in points.into_iter().chain(seen) {
                trend.push(point);
            }
        }
    }
}

/// Whether `known` has moved on further than `read`.
fn is_newer(known: &Run, read: &Run) -> bool {
    (known.state.is_final(), known.tally.done(), known.lines)
        > (read.state.is_final(), read.tally.done(), read.lines)
}
