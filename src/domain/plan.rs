//! Plans: what a run will do, settled before it begins and bound to a hash.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::action::Risk;
use super::handler::Owed;
use super::recipe::Step;
use super::run::{RunId, Task, TaskKey};
use super::words;

/// What the operator asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlanRequest {
    /// The environment's name.
    pub environment: String,
    /// The recipe's name.
    pub recipe: String,
    /// Values for the recipe's parameters.
    pub params: BTreeMap<String, Value>,
    /// Only these nodes; empty means all that the steps select.
    pub nodes: Vec<String>,
    /// Only say what would change.
    pub dry_run: bool,
    /// What the operator limits for this run.
    #[serde(default, skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// The earlier run that this one takes up; environment and recipe are then those of that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What is to be done about steps marked `once` of which it is not known how far they came: by [`TaskKey`] as text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub once: BTreeMap<String, OnceAnswer>,
}

/// Limits for the steps on nodes, where the recipe leaves them open.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// The most nodes at a time; a node that fails still holds up no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_once: Option<u32>,
    /// The longest one attempt may take, such as `90s`, instead of what the recipe says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// Only these steps, by id, and the handlers that they notify; empty means all. What they need beyond these is not waited
    /// for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// Nothing is fetched: what nodes get comes from here or from the engine's cache.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub offline: bool,
}

impl Limits {
    /// Whether nothing is limited.
    pub const fn is_none(&self) -> bool {
        self.at_once.is_none() && self.timeout.is_none() && self.steps.is_empty() && !self.offline
    }
}

/// Why a run takes up an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum Origin {
    /// To carry on where it stopped.
    Resume {
        /// The earlier run.
        run: RunId,
        /// Only on the hosts that failed or were cut off.
        failed_hosts: bool,
        /// With the recipe as it is now, not as it was recorded.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        current_recipe: bool,
    },
    /// To take back what it did.
    Undo {
        /// The earlier run.
        run: RunId,
        /// Overwrite what somebody changed since.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
    },
}

impl Origin {
    /// The earlier run.
    pub const fn run(&self) -> RunId {
        match self {
            Self::Resume { run, .. } | Self::Undo { run, .. } => *run,
        }
    }
}

words! {
    /// The operator's word on a `once` task of which it is not known how far it came.
    pub enum OnceAnswer {
        /// Carry it out again.
        Repeat = "repeat",
        /// Take it as done.
        Done = "done",
    }
}

/// A recipe fitted to an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What was asked for; parameters with their defaults filled in.
    pub request: PlanRequest,
    /// The recipe's title.
    pub title: String,
    /// The risk of running it; a dry run is always [`Risk::Read`].
    pub risk: Risk,
    /// The steps in an order that respects `needs`.
    pub steps: Vec<PlannedStep>,
    /// Tasks of `steps` that are taken over from the earlier run as they ended there: shown, counted as ended, not carried
    /// out again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Task>,
    /// `once` tasks of which it is not known how far they came: the plan cannot be started until
    /// [`PlanRequest::once`] answers for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undecided: Vec<TaskKey>,
    /// Handlers that an earlier run owes: they are carried out even where nothing changes any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<Owed>,
    /// It carries out recorded steps, and its recipe was edited since: it is for an operator to say whether it shall be those
    /// or, by [`Origin::Resume`]'s `current_recipe`, the new ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edited: bool,
    /// What the operator must read before he agrees, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cautions: Vec<String>,
    /// What it would do to things as they are at this moment, such as what a restore would lose; for eyes, and no part of
    /// the hash.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outlook: Vec<String>,
    /// SHA-256 of the environment it was made for, 64 hexadecimal digits; tells later whether that has moved.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub environment_hash: String,
    /// SHA-256 over everything above and the environment it was made for, 64 hexadecimal digits. An approval is for this value.
    pub hash: String,
}

impl Plan {
    /// A plan that takes up no earlier run; without hashes, which the planner gives it last.
    pub fn new(request: PlanRequest, title: String, risk: Risk, steps: Vec<PlannedStep>) -> Self {
        Self {
            request,
            title,
            risk,
            steps,
            kept: Vec::new(),
            undecided: Vec::new(),
            owed: Vec::new(),
            edited: false,
            cautions: Vec::new(),
            outlook: Vec::new(),
            environment_hash: String::new(),
            hash: String::new(),
        }
    }

    /// The tasks of a run of this plan before it begins, in the order of the steps: as kept, otherwise pending.
    pub fn tasks(&self) -> Vec<Task> {
        let kept: BTreeMap<&TaskKey, &Task> =
            self.kept.iter().map(|task| (&task.key, task)).collect();
        self.steps
            .iter()
            .flat_map(PlannedStep::tasks)
            .map(|key| match kept.get(&key) {
                Some(task) => Task::clone(task),
                None => Task::pending(key),
            })
            .collect()
    }
}

/// How the preview of a step begins that does nothing anywhere.
pub const NOTHING: &str = "nothing: ";

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// The step as the recipe has it, templates not yet rendered.
    pub step: Step,
    /// Names of the nodes it runs on; `None` when it runs once, where the engine is.
    pub hosts: Option<Vec<String>>,
    /// What it will do, one line each, rendered for the first host.
    pub preview: Vec<String>,
}

impl PlannedStep {
    /// Whether it is known already that it does nothing anywhere: no node is selected, or its condition is false on each.
    pub fn does_nothing(&self) -> bool {
        let first = self.preview.first();
        first.is_some_and(|line| line.starts_with(NOTHING))
    }

    /// Whether it runs on nodes and none is selected.
    pub fn is_idle(&self) -> bool {
        self.hosts.as_ref().is_some_and(Vec::is_empty)
    }

    /// The tasks of this step.
    pub fn tasks(&self) -> Vec<TaskKey> {
        let key = |host| TaskKey {
            step: self.step.id.clone(),
            host,
        };
        match &self.hosts {
            None => vec![key(None)],
            Some(hosts) => hosts.iter().map(|host| key(Some(host.clone()))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::TaskState;

    #[test]
    fn the_tasks_of_a_plan_are_pending_except_those_that_are_kept() {
        let key = |host: &str| TaskKey {
            step: "install".into(),
            host: Some(host.into()),
        };
        let kept = Task {
            state: TaskState::Changed,
            attempts: 2,
            ..Task::pending(key("pc1"))
        };
        let step = PlannedStep {
            step: Step {
                id: "install".into(),
                ..Step::default()
            },
            hosts: Some(vec!["pc1".into(), "pc2".into()]),
            preview: Vec::new(),
        };
        let plan = Plan {
            kept: vec![kept.clone()],
            ..Plan::new(
                PlanRequest::default(),
                "Deploy".into(),
                Risk::Change,
                vec![step],
            )
        };
        assert_eq!(plan.tasks(), [kept, Task::pending(key("pc2"))]);
    }

    #[test]
    fn a_request_without_an_earlier_run_is_written_as_before() {
        let text = serde_json::to_string(&PlanRequest::default()).unwrap();
        assert!(!text.contains("origin") && !text.contains("once"), "{text}");
        assert_eq!(
            serde_json::from_str::<PlanRequest>(&text).unwrap(),
            PlanRequest::default()
        );
    }
}
