//! Recipes: pipelines described in YAML, a graph of steps.
//!
//! Strings may hold MiniJinja expressions; they are rendered per host by [`crate::steps`], with the same types before
//! and after.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::action::Risk;
use super::approval::Approver;
use super::node::Role;
use super::resource::{Declared, Resource};
use super::rolling::Rolling;
use super::service_action::ServiceAction;
use super::words;

mod drift;
mod provision;

pub use super::selector::Selector;
pub use drift::{DeclaredBy, DriftStep};
pub use provision::{
    AnsibleAction, AnsibleStep, HostsOutput, InventoryFrom, Root, Switch, TerraformAction,
    TerraformStep,
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

/// What a step does: the one of its fields that is set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Work<'a> {
    /// See [`Step::ensure`].
    Ensure(&'a [Declared]),
    /// See [`Step::run`].
    Run(&'a RunCommand),
    /// See [`Step::local`].
    Local(&'a RunCommand),
    /// See [`Step::terraform`].
    Terraform(&'a TerraformStep),
    /// See [`Step::ansible`].
    Ansible(&'a AnsibleStep),
    /// See [`Step::http`].
    Http(&'a HttpWait),
    /// See [`Step::tcp`].
    Tcp(&'a TcpWait),
    /// See [`Step::service`].
    Service(&'a ServiceWait),
    /// See [`Step::upload`].
    Upload(&'a CopyFiles),
    /// See [`Step::fetch`].
    Fetch(&'a CopyFiles),
    /// See [`Step::machine`].
    Machine(Machine),
    /// See [`Step::snapshot`].
    Snapshot(&'a SnapshotWork),
    /// See [`Step::vault`].
    Vault(&'a VaultStep),
    /// See [`Step::drift`].
    Drift(&'a DriftStep),
    /// See [`Step::approve`].
    Approve(&'a Approve),
    /// See [`Step::report`].
    Report(&'a Report),
    /// See [`Step::recipe`].
    Recipe(&'a CallRecipe),
    /// See [`Step::flush`].
    Flush(&'a [String]),
}

impl Work<'_> {
    /// The name of the field, as it is written in the recipe.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Ensure(_) => "ensure",
            Self::Run(_) => "run",
            Self::Local(_) => "local",
            Self::Terraform(_) => "terraform",
            Self::Ansible(_) => "ansible",
            Self::Http(_) => "http",
            Self::Tcp(_) => "tcp",
            Self::Service(_) => "service",
            Self::Upload(_) => "upload",
            Self::Fetch(_) => "fetch",
            Self::Machine(_) => "machine",
            Self::Snapshot(_) => "snapshot",
            Self::Vault(_) => "vault",
            Self::Drift(_) => "drift",
            Self::Approve(_) => "approve",
            Self::Report(_) => "report",
            Self::Recipe(_) => "recipe",
            Self::Flush(_) => "flush",
        }
    }

    /// Whether the step only waits or tells, so that a dry run can carry it out as it is.
    pub const fn is_read_only(&self) -> bool {
        match self {
            Self::Ensure(_)
            | Self::Upload(_)
            | Self::Fetch(_)
            | Self::Machine(_)
            | Self::Vault(_) => false,
            Self::Run(command) | Self::Local(command) => !command.changes,
            Self::Service(service) => service.act.is_none(),
            Self::Terraform(step) => step.action.is_read_only(),
            Self::Ansible(step) => step.action.is_read_only(),
            Self::Drift(step) => step.reconcile.is_none(),
            Self::Snapshot(work) => !matches!(work.what, SnapshotVerb::Restore),
            Self::Http(_)
            | Self::Tcp(_)
            | Self::Approve(_)
            | Self::Report(_)
            | Self::Recipe(_)
            | Self::Flush(_) => true,
        }
    }
}

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
        length(text)
    }
}

/// Reads a length of time such as `90s`.
fn length(text: &str) -> Result<Duration, String> {
    text.parse::<SignedDuration>()
        .ok()
        .and_then(|limit| Duration::try_from(limit).ok())
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

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunCommand {
    /// The argument vector.
    pub argv: Vec<String>,
    /// Whether it changes anything; a command that does is not run in a dry run, and reports `changed`.
    #[serde(default = "yes")]
    pub changes: bool,
    /// Run it by itself on the node, with its output in a spool there: it goes on while the connection is lost or the engine
    /// is gone, and is attached to again. For commands that take long; `run` only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detached: bool,
    /// Run it not on the node but on another one that has one of these roles: the first that answers. What others see of a
    /// node is worth more than what it says itself. `run` only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<Role>,
    /// Standard output must be another one than on each other node of the environment that answers; for names and ids that
    /// two nodes must not share. `run` only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub distinct: bool,
    /// A text that standard output must contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// A MiniJinja expression that must be true afterwards. Sees `output` (standard output as text, without the last line
    /// break) and `now` (seconds since 1970 where the engine is) besides `env`, `node` and `params`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
}

/// See [`Step::http`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpWait {
    /// What to get.
    pub url: String,
    /// The status wanted.
    #[serde(default = "default_status")]
    pub status: u16,
    /// A regular expression that the body must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// See [`Step::tcp`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpWait {
    /// Host name or address.
    pub host: String,
    /// Port, as a number or an expression.
    pub port: String,
}

/// See [`Step::service`]. Without any of the conditions it waits until the service says that it is well.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceWait {
    /// Name of a service of the environment, or `*` for every one.
    pub name: String,
    /// Wait until this many members are well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<String>,
    /// Wait until it has a leader.
    #[serde(default)]
    pub leader: bool,
    /// Wait until it says that this is its version, as far as that is written: `1.8` is satisfied by 1.8.7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Wait only until it answers, however it is: a Vault that is sealed does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answers: bool,
    /// Wait until one of its lists has this row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shows: Option<ListedRow>,
    /// Wait until one of its lists does not have this row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacks: Option<ListedRow>,
    /// Ask only where it runs on other nodes than the step's own: what others see of a node is worth more than what it says
    /// itself. Needs `on`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
    /// Instead of waiting, tell it to do this; done is what it says itself.
    #[serde(default, rename = "do", skip_serializing_if = "Option::is_none")]
    pub act: Option<ServiceAction>,
}

/// A row of a list that a service has, as its screen shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListedRow {
    /// The list, such as `members`.
    pub view: String,
    /// What one of its cells says, such as a node's name.
    pub row: String,
    /// What another of its cells says, such as `alive`; without it any row counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<String>,
}

/// See [`Step::upload`] and [`Step::fetch`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyFiles {
    /// What is copied: a path, absolute where the engine is.
    pub from: String,
    /// Where to: a path, absolute where the engine is. A directory that is there gets the copy in it; from several nodes,
    /// each in a directory of the node's name.
    pub to: String,
}

words! {
    /// See [`Step::machine`].
    pub enum Machine {
        /// Boot it anew.
        Reboot = "reboot",
        /// Shut it down and leave it off.
        PowerOff = "power-off",
        /// Switch it on over the network (Wake-on-LAN); its label `mac` has the hardware address of its network card.
        PowerOn = "power-on",
    }
}

words! {
    /// See [`Step::quorum`].
    pub enum QuorumEffect {
        /// They stop answering and stay members.
        Off = "off",
        /// They leave in good order, to come back.
        Leave = "leave",
        /// They are taken out for good.
        Remove = "remove",
    }
}

impl Machine {
    /// What is done, as in "would …".
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Reboot => "reboot, and wait until it is back with another boot id",
            Self::PowerOff => "switch it off, and wait until it does not answer any more",
            Self::PowerOn => "switch it on by a magic packet, and wait until it answers",
        }
    }
}

words! {
    /// What is done with snapshots.
    #[derive(Default)]
    pub enum SnapshotVerb {
        /// Take one of each store.
        #[default]
        Take = "take",
        /// Read what is there again and compare it with what it was.
        Verify = "verify",
        /// Replace the store's state by that of a snapshot.
        Restore = "restore",
        /// Try a snapshot in a scratch instance.
        Drill = "drill",
    }
}

/// See [`Step::snapshot`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotWork {
    /// What is done; default: take.
    #[serde(default, rename = "do")]
    pub what: SnapshotVerb,
    /// The store's name in the environment, or `*` for every one; to restore, one must be named.
    pub name: String,
    /// How many are kept of each store when one is taken, the newest; a template, because it often comes from a parameter.
    /// Default: 14.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    /// Which snapshot, as `STORE/TIME` or only the time; `latest` is the newest whole one. Default: latest; to verify, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub which: Option<String>,
}

/// See [`Step::vault`]. What is a text here is a template, because it often comes from a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VaultStep {
    /// The service's name in the environment, or `*` for its only Vault.
    pub name: String,
    /// What is done.
    #[serde(rename = "do")]
    pub act: VaultAct,
    /// Only these nodes, apart by commas; empty means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<String>,
    /// Whether each operator may give only one share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separate: Option<String>,
    /// How many shares there shall be; default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<String>,
    /// How many of them shall unseal; default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<String>,
    /// age recipients (`age1…`) for the new shares, apart by commas: one for each share, or one for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients: Option<String>,
    /// PGP public keys in base64, apart by commas, one for each share: Vault itself encrypts for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pgp_keys: Option<String>,
}

words! {
    /// What is done to the seal of a Vault.
    pub enum VaultAct {
        /// Ask for shares and give them to every node that is sealed, until none is.
        Unseal = "unseal",
        /// Make a new Vault and hand over its keys.
        Init = "init",
        /// Replace the shares by others.
        Rekey = "rekey",
        /// Seal nodes.
        Seal = "seal",
        /// Have the active node give way to another.
        StepDown = "step-down",
    }
}

impl VaultAct {
    /// What is done, as in "would …".
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Unseal => {
                "ask for shares and give each to every node that is sealed, until every node says that it is open"
            }
            Self::Init => "initialise a new Vault and hand over its shares and its root token",
            Self::Rekey => {
                "ask for the present shares, make others, hand them over, and only then put them into force"
            }
            Self::Seal => {
                "seal it: nothing can be read or written until it is unsealed with its shares"
            }
            Self::StepDown => "have the active node give way, until another says that it is active",
        }
    }
}

/// See [`Step::approve`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// What is asked.
    pub text: String,
    /// Who may approve: `anyone`, or a `second` operator who is not the one who started the run.
    #[serde(default = "anyone")]
    pub by: Approver,
    /// The id of the step whose plan it is about: that is shown with the question, and the approval is void when it has moved.
    /// A plan that changes nothing is not asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

/// See [`Step::report`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Text put before the table of tasks.
    #[serde(default)]
    pub text: String,
}

/// See [`Step::recipe`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallRecipe {
    /// The recipe: the workspace's own of that name, or the built-in one.
    pub name: String,
    /// Ids of the steps that are wanted of it; all, when none is named. What they need beyond these is not waited for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// Only look: of the called recipe only the steps that bring resources into their declared state, and those only compare.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub look: bool,
}

const fn anyone() -> Approver {
    Approver::Anyone
}
fn default_status() -> u16 {
    200
}
fn yes() -> bool {
    true
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
