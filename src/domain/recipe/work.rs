//! What a step does: each kind of work with what it is told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::approval::Approver;
use super::super::node::Role;
use super::super::resource::Declared;
use super::super::service_action::ServiceAction;
use super::super::words;
use super::{AnsibleStep, DriftStep, TerraformStep};

/// What a step does: the one of its fields that is set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Work<'a> {
    /// See [`super::Step::ensure`].
    Ensure(&'a [Declared]),
    /// See [`super::Step::run`].
    Run(&'a RunCommand),
    /// See [`super::Step::local`].
    Local(&'a RunCommand),
    /// See [`super::Step::terraform`].
    Terraform(&'a TerraformStep),
    /// See [`super::Step::ansible`].
    Ansible(&'a AnsibleStep),
    /// See [`super::Step::http`].
    Http(&'a HttpWait),
    /// See [`super::Step::tcp`].
    Tcp(&'a TcpWait),
    /// See [`super::Step::service`].
    Service(&'a ServiceWait),
    /// See [`super::Step::upload`].
    Upload(&'a CopyFiles),
    /// See [`super::Step::fetch`].
    Fetch(&'a CopyFiles),
    /// See [`super::Step::machine`].
    Machine(Machine),
    /// See [`super::Step::snapshot`].
    Snapshot(&'a SnapshotWork),
    /// See [`super::Step::vault`].
    Vault(&'a VaultStep),
    /// See [`super::Step::drift`].
    Drift(&'a DriftStep),
    /// See [`super::Step::approve`].
    Approve(&'a Approve),
    /// See [`super::Step::report`].
    Report(&'a Report),
    /// See [`super::Step::recipe`].
    Recipe(&'a CallRecipe),
    /// See [`super::Step::flush`].
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
    /// What it means when `check` does not hold, as a clause without a full stop; default: the expression itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<String>,
}

/// See [`super::Step::http`].
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

/// See [`super::Step::tcp`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpWait {
    /// Host name or address.
    pub host: String,
    /// Port, as a number or an expression.
    pub port: String,
}

/// See [`super::Step::service`]. Without any of the conditions it waits until the service says that it is well.
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

/// See [`super::Step::upload`] and [`super::Step::fetch`].
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
    /// See [`super::Step::machine`].
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
    /// See [`super::Step::quorum`].
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

/// See [`super::Step::snapshot`].
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

/// See [`super::Step::vault`]. What is a text here is a template, because it often comes from a parameter.
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

/// See [`super::Step::approve`].
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

/// See [`super::Step::report`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Text put before the table of tasks.
    #[serde(default)]
    pub text: String,
}

/// See [`super::Step::recipe`].
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
