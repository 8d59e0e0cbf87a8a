//! Cordons and labels that operators put on nodes: kept, told to everybody, and laid over what is planned.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::core::Core;
use crate::client::{Event, Refusal};
use crate::domain::environment::Environment;
use crate::domain::live::EnvironmentLive;
use crate::domain::mark::{MarkChange, Marks, lay_over};
use crate::domain::operator::Operator;
use crate::domain::plan::Plan;
use crate::steps;
use crate::store::KnownMarks;

/// The longest reason, label name or label value, characters.
const LONGEST: usize = 200;

/// All marks.
#[derive(Debug, Default)]
pub(super) struct Board {
    marks: Mutex<KnownMarks>,
    /// Held while a change is on its way to the disk, so that changes do not overtake each other.
    turn: tokio::sync::Mutex<()>,
}

impl Board {
    /// Takes over what an engine before this one kept.
    pub(super) fn restore(&self, known: KnownMarks) {
        *self.lock() = known;
    }

    fn of(&self, environment: &str) -> BTreeMap<String, Marks> {
        self.lock().get(environment).cloned().unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, KnownMarks> {
        // Replaced entry by entry: a panic elsewhere cannot have left one half made.
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// The environment with the labels that operators put on its nodes.
    pub(super) fn marked(&self, environment: &Environment) -> Environment {
        let mut environment = environment.clone();
        let marks = self.board.of(&environment.name);
        lay_over(&mut environment, &marks);
        environment
    }

    /// The live view with the marks in it.
    pub(super) fn with_marks(
        &self,
        mut live: BTreeMap<String, EnvironmentLive>,
    ) -> BTreeMap<String, EnvironmentLive> {
        for (name, environment) in &mut live {
            environment.marks = self.board.of(name);
        }
        live
    }

    /// Takes cordoned nodes out of a plan and says so in it. Nodes that the operator named himself stay, with a caution.
    ///
    /// # Errors
    /// [`Refusal`] when no node is left.
    pub(super) fn respect_cordons(
        &self,
        mut plan: Plan,
        environment: &Environment,
    ) -> Result<Plan, Refusal> {
        let cordons: BTreeMap<String, String> = self
            .board
            .of(&environment.name)
            .into_iter()
            .filter_map(|(node, marks)| Some((node, marks.cordon?.to_string())))
            .collect();
        let named = |node: &String| plan.request.nodes.contains(node);
        let meant: Vec<&String> = plan
            .steps
            .iter()
            .filter_map(|step| step.hosts.as_ref())
            .flatten()
            .filter(|host| cordons.contains_key(*host))
            .collect();
        if meant.is_empty() {
            return Ok(plan);
        }
        let mut cautions: Vec<String> = Vec::new();
        for (node, cordon) in &cordons {
            if !meant.contains(&node) {
                continue;
            }
            cautions.push(if named(node) {
                format!("{node} is {cordon}; it is done there all the same, because it was named")
            } else {
                format!("{node} is left out: {cordon}")
            });
        }
        let skipped: Vec<String> = cordons.into_keys().filter(|node| !named(node)).collect();
        let mut left = false;
        for step in &mut plan.steps {
            if let Some(hosts) = &mut step.hosts {
                hosts.retain(|host| !skipped.contains(host));
                left |= !hosts.is_empty();
            }
        }
        if !left {
            return Err(Refusal::new(format!(
                "nothing to do: {}; name a node with --on to use it all the same",
                cautions.join("; ")
            )));
        }
        plan.cautions.extend(cautions);
        Ok(steps::seal(plan, environment))
    }

    /// Puts something on a node, or takes it off.
    pub(super) async fn mark(
        &self,
        environment: &str,
        node: &str,
        change: MarkChange,
        by: &Operator,
    ) -> Result<(), Refusal> {
        let room = self.room(environment)?;
        if room.environment.node(node).is_none() {
            return Err(Refusal::new(format!(
                "environment {environment} has no node called {node:?}"
            )));
        }
        check(&change)?;
        let _turn = self.board.turn.lock().await;
        let mut marks = self.board.of(environment).remove(node).unwrap_or_default();
        let what = format!("{node}: {change}");
        marks.apply(change, &by.to_string(), self.clock.now());
        self.audit.node_marked(by, environment, &what).await?;
        self.store
            .keep_marks(environment, node, &marks)
            .await
            .map_err(|error| Refusal::new(error.to_string()))?;
        let here = environment.to_owned();
        self.board
            .lock()
            .entry(here.clone())
            .or_default()
            .insert(node.to_owned(), marks.clone());
        self.bus.publish(Event::Marks {
            environment: here,
            node: node.to_owned(),
            marks,
        });
        Ok(())
    }
}

fn check(change: &MarkChange) -> Result<(), Refusal> {
    let (name, text) = match change {
        MarkChange::Cordon { reason } => (None, Some(reason)),
        MarkChange::Uncordon => (None, None),
        MarkChange::Label { name, value } => (Some(name), value.as_ref()),
        MarkChange::Restore { name } => (Some(name), None),
    };
    let plain =
        |text: &String| text.chars().count() <= LONGEST && !text.chars().any(char::is_control);
    let is_name = |name: &String| {
        !name.is_empty()
            && plain(name)
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
    };
    if let Some(name) = name.filter(|name| !is_name(name)) {
        return Err(Refusal::new(format!(
            "{name:?} is no name of a label: use letters, digits, dashes, dots and slashes"
        )));
    }
    if text.is_some_and(|text| !plain(text)) {
        return Err(Refusal::new(format!(
            "a reason or a label's value has at most {LONGEST} characters, all on one line"
        )));
    }
    Ok(())
}
