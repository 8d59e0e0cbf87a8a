//! Recipes: pipelines described in YAML, a graph of steps.
//!
//! Strings may hold MiniJinja expressions; they are rendered per host by [`crate::steps`], with the same types before
//! and after.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::action::Risk;
use super::node::Role;
use super::resource::{Declared, Resource};
use super::rolling::Rolling;
use super::service::ServiceKind;
use super::service_action::length;
use super::words;

mod drift;
mod provision;
mod work;

pub use super::selector::Selector;
pub use drift::{DeclaredBy, DriftStep};
pub use provision::{
    AnsibleAction, AnsibleStep, HostsOutput, InventoryFrom, Root, Switch, TerraformAction,
    TerraformStep,
};
pub use work::{
    Approve, CallRecipe, CopyFiles, HttpWait, ListedRow, Machine, QuorumEffect, Report, RunCommand,
    ServiceWait, SnapshotVerb, SnapshotWork, TcpWait, VaultAct, VaultStep, Work,
};

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What it is called on the command line.
    pub name: String,
    /// What it does, as a heading.
    pub title: String,
    /// What it does, in a few sentences.
    #[serde(default)]
    pub description: String,
    /// The worst it can do.
    pub risk: Risk,
    /// What kinds of thing it is offered on in the actions menu; it always runs from the command line and the palette.
    #[serde(default)]
    pub offer_on: Vec<Offer>,
    /// Of services, only those of these kinds have it in their menu; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<ServiceKind>,
    /// Values the operator may give.
    #[serde(default)]
    pub params: Vec<Param>,
    /// The graph.
    pub steps: Vec<Step>,
    /// Steps that are carried out once when everything else has ended, or at a `flush`, and only on the hosts where
    /// something changed that names them in `notify`; one after the other, as they stand here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handlers: Vec<Step>,
}

words! {
    /// Where a recipe appears in the actions menu.
    pub enum Offer {
        /// On an environment.
        Environment = "environment",
        /// On one or several nodes.
        Node = "node",
        /// On a service.
        Service = "service",
    }
}

/// A value that the operator may give.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// Name within `params`.
    pub name: String,
    /// What it is for.
    pub help: String,
    /// Used when nothing is given; without it the parameter is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}

/// Under which condition a recipe is called, and what its step asks for beyond that.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Called {
    /// The condition of the call, and of the calls around it.
    pub when: String,
    /// The step's own condition.
    pub own: Option<String>,
}

/// One step. Exactly one of `ensure`, `run`, `local`, `terraform`, `ansible`, `http`, `tcp`, `service`, `snapshot`,
/// `vault`, `drift`, `upload`, `fetch`, `machine`, `approve`, `report`, `recipe` and `flush` says what it does.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Unique within the recipe.
    pub id: String,
    /// What it does, as a short line.
    pub title: String,
    /// Ids of the steps that must have ended well before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// A MiniJinja expression; the step is skipped where it is false. Sees `env`, `node` and `params`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Of a step that a call brought: the call's condition, and its own. `when` is both of them.
    #[serde(skip)]
    pub called: Option<Called>,
    /// Which nodes it runs on; without it the step runs once, where the engine is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Selector>,
    /// Roles of which the environment must have nodes, each at least one: without them the step would wait for what never
    /// comes, so the plan is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Role>,
    /// As whom `run` runs its command: `root`, as everything else that is done on nodes, or `login`, the user who logs in.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// How many times to try again after a failure.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
    /// The longest one attempt may take, such as `90s` or `5m`; default 5 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// How many hosts at a time; default: the engine's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u32>,
    /// On how many hosts it may fail before it begins on no other; default: none where `parallel` makes it go host by host,
    /// otherwise any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fail: Option<u32>,
    /// Goes through the hosts in batches; the next begins when the one before has ended well enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling: Option<Rolling>,
    /// Whether it must not be repeated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
    /// What it does to the votes of its nodes: a plan that would leave a cluster without its quorum is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<QuorumEffect>,
    /// Handlers to carry out when it changes something; a resource of `ensure` may have its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<String>,
    /// Bring these resources into their declared state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ensure: Option<Vec<Declared>>,
    /// Run a command on the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunCommand>,
    /// Run a command where the engine is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<RunCommand>,
    /// Let Terraform or OpenTofu plan, apply, or look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terraform: Option<TerraformStep>,
    /// Let Ansible configure hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ansible: Option<AnsibleStep>,
    /// Wait until an HTTP endpoint answers as wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpWait>,
    /// Wait until a TCP port accepts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpWait>,
    /// Wait until a service of the environment reports as wanted, or tell it to do something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceWait>,
    /// Copy a file or a directory from where the engine is to the node, as the login user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<CopyFiles>,
    /// Copy a file or a directory from the node to where the engine is, as the login user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch: Option<CopyFiles>,
    /// Reboot the node, or switch it off or on, and wait until that has happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// Save the state of stores where the engine is, verify, restore or try what was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotWork>,
    /// Do something to the seal of a Vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<VaultStep>,
    /// Compare what is declared with what is there, for the drift board; or bring one object of it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftStep>,
    /// Wait until an operator has approved; without a `timeout` for as long as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve: Option<Approve>,
    /// Write a summary of the run into its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// Carry out the steps of another recipe in the place of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<CallRecipe>,
    /// Carry out now what was notified so far: these handlers, or with `[]` all of them. Steps that need this one begin
    /// after them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flush: Option<Vec<String>>,
    /// How what its command did is taken back; resources know that themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<StepUndo>,
}

/// How what a step's command did is taken back: exactly one of `run`, `local` and `ensure`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StepUndo {
    /// By a command on the node.
    Run(RunCommand),
    /// By a command where the engine is.
    Local(RunCommand),
    /// By bringing these resources into their declared state.
    Ensure(Vec<Declared>),
}

impl StepUndo {
    /// The same as the work of a step.
    pub fn work(&self) -> Work<'_> {
        match self {
            Self::Run(command) => Work::Run(command),
            Self::Local(command) => Work::Local(command),
            Self::Ensure(resources) => Work::Ensure(resources),
        }
    }
}

/// The directory of files that the recipes in `recipes` are made from, such as templates: `files/` beside it.
pub fn files_beside(recipes: &Path) -> PathBuf {
    recipes
        .parent()
        .unwrap_or_else(|| Path::new(""))
        .join("files")
}

/// The longest one attempt of a step may take when it does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// The same for what Terraform and Ansible do: clouds and packages take their time.
const PROVISION_TIMEOUT: Duration = Duration::from_secs(60 * 60);

impl Step {
    /// Whether it runs anything detached on a node.
    pub fn detaches(&self) -> bool {
        let resource = |declared: &Declared| matches!(&declared.resource, Resource::Command(command) if command.detached);
        self.run.as_ref().is_some_and(|run| run.detached)
            || self.ensure.iter().flatten().any(resource)
    }

    /// What the step does.
    ///
    /// # Errors
    /// A sentence that says how many kinds of work it names, when that is not one.
    pub fn work(&self) -> Result<Work<'_>, String> {
        let all: Vec<Work<'_>> = [
            self.ensure.as_deref().map(Work::Ensure),
            self.run.as_ref().map(Work::Run),
            self.local.as_ref().map(Work::Local),
            self.terraform.as_ref().map(Work::Terraform),
            self.ansible.as_ref().map(Work::Ansible),
            self.http.as_ref().map(Work::Http),
            self.tcp.as_ref().map(Work::Tcp),
            self.service.as_ref().map(Work::Service),
            self.upload.as_ref().map(Work::Upload),
            self.fetch.as_ref().map(Work::Fetch),
            self.machine.map(Work::Machine),
            self.snapshot.as_ref().map(Work::Snapshot),
            self.vault.as_ref().map(Work::Vault),
            self.drift.as_ref().map(Work::Drift),
            self.approve.as_ref().map(Work::Approve),
            self.report.as_ref().map(Work::Report),
            self.recipe.as_ref().map(Work::Recipe),
            self.flush.as_deref().map(Work::Flush),
        ]
        .into_iter()
        .flatten()
        .collect();
        match all.as_slice() {
            [work] => Ok(*work),
            [] => Err(format!(
                "step {:?} does nothing: give it one of ensure, run, local, terraform, ansible, http, tcp, service, snapshot, vault, drift, upload, fetch, machine, approve, report, recipe and flush",
                self.id
            )),
            several => Err(format!(
                "step {:?} has {}, but a step does one thing: make it several steps",
                self.id,
                several
                    .iter()
                    .map(Work::word)
                    .collect::<Vec<_>>()
                    .join(" and ")
            )),
        }
    }

    /// The handlers that it or one of its resources names, some perhaps twice.
    pub fn notified(&self) -> impl Iterator<Item = &str> {
        let resources = self.ensure.iter().flatten();
        let own = self.notify.iter();
        own.chain(resources.flat_map(|declared| &declared.notify))
            .map(String::as_str)
    }

    /// Whether a change by this step may notify `handler`.
    pub fn may_notify(&self, handler: &str) -> bool {
        self.notified().any(|named| named == handler)
    }

    /// How long what it does may take to end in good order once it was told to stop; `None` means no longer than anything
    /// else.
    pub fn grace(&self) -> Option<Duration> {
        let terraform = self.terraform.as_ref().map(TerraformStep::grace);
        terraform.or(self.ansible.as_ref().map(AnsibleStep::grace))
    }

    /// The longest one attempt may take: [`Step::timeout`], or [`DEFAULT_TIMEOUT`], or an hour for Terraform and Ansible; an
    /// approval takes as long as it takes.
    ///
    /// # Errors
    /// A sentence that shows how a timeout is written, when this one cannot be read or is not positive.
    pub fn time_limit(&self) -> Result<Duration, String> {
        let Some(text) = &self.timeout else {
            return Ok(if self.approve.is_some() {
                Duration::MAX
            } else if self.terraform.is_some() || self.ansible.is_some() {
                PROVISION_TIMEOUT
            } else {
                DEFAULT_TIMEOUT
            });
        };
        limit(text)
    }
}

/// Reads a limit of time such as `90s`, which leaves some time and is a year at most.
fn limit(text: &str) -> Result<Duration, String> {
    length(text)
        .ok()
        .filter(|limit| !limit.is_zero())
        .ok_or_else(|| {
            format!(
                "{text:?} is not a timeout: write a number with a unit, such as 90s, 5m or 1h30m"
            )
        })
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for this signature"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(timeout: &str) -> Step {
        Step {
            id: "wait".into(),
            timeout: Some(timeout.into()),
            ..Step::default()
        }
    }

    #[test]
    fn a_timeout_is_written_with_units() {
        assert_eq!(step("90s").time_limit(), Ok(Duration::from_secs(90)));
        assert_eq!(step("1h30m").time_limit(), Ok(Duration::from_secs(5400)));
        assert_eq!(Step::default().time_limit(), Ok(DEFAULT_TIMEOUT));
    }

    #[test]
    fn a_timeout_that_cannot_be_kept_is_refused_with_an_example() {
        for bad in ["90", "", "-5s", "0s", "soon"] {
            let error = step(bad).time_limit().unwrap_err();
            assert!(error.contains("90s, 5m or 1h30m"), "{bad:?}: {error}");
        }
    }

    #[test]
    fn a_step_does_exactly_one_thing() {
        let mut step = step("1m");
        assert!(step.work().unwrap_err().contains("does nothing"));
        step.report = Some(Report {
            text: String::new(),
        });
        assert_eq!(step.work().unwrap().word(), "report");
        step.tcp = Some(TcpWait {
            host: "a".into(),
            port: "1".into(),
        });
        let error = step.work().unwrap_err();
        assert!(error.contains("has tcp and report"), "{error}");
    }
}
