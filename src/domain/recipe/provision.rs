//! Steps that are carried out by Terraform (or OpenTofu) and by Ansible: what a recipe says about them.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::service::SecretRef;
use crate::domain::words;

words! {
    /// What Terraform is asked to do.
    pub enum TerraformAction {
        /// Look whether the program is there, install providers and validate the configuration.
        Check = "check",
        /// Keep a copy of the state where snapshots are kept.
        Snapshot = "snapshot",
        /// Plan, show the plan, and keep it for the steps that name this one in `of`.
        Plan = "plan",
        /// Apply the plan of the step `of`, if nothing has moved since it was shown.
        Apply = "apply",
        /// Compare the state with what is really there, and fail when it differs.
        Drift = "drift",
    }
}

/// The root module, the workspace and the values that Terraform works with. Paths are relative to Quarterdeck's workspace.
///
/// `ENVIRONMENT.tfvars` and `ENVIRONMENT.tfvars.json` beside the configuration are used when they are there, as Terraform
/// itself uses `terraform.tfvars`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// The directory of the root module.
    #[serde(default = "terraform_directory")]
    pub directory: String,
    /// Terraform's workspace; default: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Values of input variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Value>,
    /// Further files with values, relative to `directory`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub var_files: Vec<String>,
    /// Environment variables with secrets, such as a provider's token or `TF_VAR_password`. They are on no command line and
    /// in no file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credentials: BTreeMap<String, SecretRef>,
    /// The program; default: `terraform`, or `tofu` where only that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
}

/// See [`super::Step::terraform`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TerraformStep {
    /// What is done.
    #[serde(rename = "do")]
    pub action: TerraformAction,
    /// What it works with. Not for `apply`: that takes everything from the step `of`.
    #[serde(default)]
    pub root: Root,
    /// For `apply`: the id of the step whose plan is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// For `plan`: plan to destroy everything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub destroy: bool,
    /// For `plan`: change nothing but the state, which then says what is there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refresh_only: bool,
    /// For `plan`: the address of the only resource that is planned, and whatever it depends on; empty for all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// How long to wait for a state that somebody else has locked, such as `30s`.
    #[serde(default = "lock_timeout")]
    pub lock_timeout: String,
    /// How long it may take to end after it was told to stop, before it is killed in the middle, such as `5m`.
    #[serde(default = "terraform_grace")]
    pub grace: String,
    /// For `snapshot`: how many are kept, the newest; a template, because it often comes from a parameter.
    #[serde(default = "keep")]
    pub keep: String,
}

words! {
    /// What Ansible is asked to do.
    pub enum AnsibleAction {
        /// Look whether the program is there, and whether it can read the playbook.
        Check = "check",
        /// Make the inventory and show it.
        Inventory = "inventory",
        /// Wait until every host of the inventory lets us in by SSH.
        Wait = "wait",
        /// Carry out a playbook.
        Playbook = "playbook",
    }
}

/// See [`super::Step::ansible`]. Paths are relative to Quarterdeck's workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnsibleStep {
    /// What is done.
    #[serde(rename = "do")]
    pub action: AnsibleAction,
    /// The playbook. Ansible runs in its directory, and reads the `ansible.cfg`, roles and variables that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub playbook: Option<String>,
    /// Do nothing when there is no such playbook.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// The hosts.
    #[serde(default)]
    pub inventory: InventoryFrom,
    /// Extra variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Value>,
    /// Extra variables that are secrets. They are on no command line.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretRef>,
    /// Environment variables with secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credentials: BTreeMap<String, SecretRef>,
    /// The password of Ansible Vault. It reaches Ansible by its standard input, never by a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault_password: Option<SecretRef>,
    /// Only what has one of these tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// How many hosts at a time; default: Ansible's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forks: Option<u32>,
    /// `ansible-playbook`; default: what is in `PATH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// How long it may take to end after it was told to stop, before it is killed in the middle, such as `1m`.
    #[serde(default = "ansible_grace")]
    pub grace: String,
}

/// Where the hosts of an inventory come from. A host of both sources is one host: its address is Terraform's, the way to it
/// that of the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InventoryFrom {
    /// Whether the environment's nodes are in it, each in a group for each of its roles.
    #[serde(default = "on")]
    pub nodes: Switch,
    /// The output of Terraform that lists hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terraform: Option<HostsOutput>,
    /// Pin the key of a host that is not known yet on first contact: for machines that were made just now.
    #[serde(default = "off")]
    pub accept_new: Switch,
    /// Variables of every host, such as `ansible_python_interpreter`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: BTreeMap<String, Value>,
}

/// Yes or no; or a template that gives one of them, because it often comes from a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Switch {
    /// As it is written.
    Set(bool),
    /// A template.
    Template(String),
}

impl Switch {
    /// Whether it is on, once it is rendered.
    ///
    /// # Errors
    /// When what was rendered is neither `true` nor `false`.
    pub fn is_on(&self) -> Result<bool, String> {
        match self {
            Self::Set(set) => Ok(*set),
            Self::Template(text) => text
                .trim()
                .to_ascii_lowercase()
                .parse()
                .map_err(|_| format!("{text:?} is neither true nor false")),
        }
    }
}

/// An output of Terraform that lists hosts: by name, an address or an object with `address` and, as far as wanted, `groups`
/// (or `roles`), `user`, `port` and `vars`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostsOutput {
    /// The name of the output.
    #[serde(default = "output_name")]
    pub output: String,
    /// Whose output.
    #[serde(default)]
    pub root: Root,
}

impl Default for Root {
    fn default() -> Self {
        Self {
            directory: terraform_directory(),
            workspace: None,
            variables: BTreeMap::new(),
            var_files: Vec::new(),
            credentials: BTreeMap::new(),
            program: None,
        }
    }
}

impl Default for InventoryFrom {
    fn default() -> Self {
        Self {
            nodes: on(),
            terraform: None,
            accept_new: off(),
            vars: BTreeMap::new(),
        }
    }
}

impl Root {
    /// Terraform's workspace.
    pub fn workspace(&self) -> &str {
        match self.workspace.as_deref() {
            None | Some("") => "default",
            Some(name) => name,
        }
    }
}

impl TerraformAction {
    /// Whether it changes nothing but what Quarterdeck keeps for itself.
    pub const fn is_read_only(self) -> bool {
        !matches!(self, Self::Apply)
    }
}

impl AnsibleAction {
    /// Whether it changes nothing.
    pub const fn is_read_only(self) -> bool {
        !matches!(self, Self::Playbook)
    }
}

impl TerraformStep {
    /// How long it may take to end once it was told to stop; five minutes where what is written cannot be read.
    pub fn grace(&self) -> Duration {
        super::limit(&self.grace).unwrap_or(Duration::from_secs(300))
    }

    /// Everything about it that cannot be.
    pub fn faults(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        match (self.action, &self.of) {
            (TerraformAction::Apply, None) => reasons.push(
                "terraform: `do: apply` needs `of` with the id of the step that plans: only a plan that was shown is applied"
                    .into(),
            ),
            (TerraformAction::Apply, Some(_)) if self.root != Root::default() => reasons
                .push("terraform: `do: apply` takes its root from the step `of`, so it has none of its own".into()),
            (TerraformAction::Apply, _) | (_, None) => {}
            (_, Some(_)) => reasons.push("terraform: `of` is for `do: apply`".into()),
        }
        for (word, is_set) in [
            ("destroy", self.destroy),
            ("refresh_only", self.refresh_only),
            ("target", !self.target.is_empty()),
        ] {
            if is_set && self.action != TerraformAction::Plan {
                reasons.push(format!("terraform: `{word}` is for `do: plan`"));
            }
        }
        if self.destroy && self.refresh_only {
            reasons.push("terraform: `destroy` and `refresh_only` exclude each other".into());
        }
        reasons.extend(super::limit(&self.grace).err());
        reasons.extend(super::limit(&self.lock_timeout).err());
        reasons
    }
}

impl AnsibleStep {
    /// How long it may take to end once it was told to stop; a minute where what is written cannot be read.
    pub fn grace(&self) -> Duration {
        super::limit(&self.grace).unwrap_or(Duration::from_secs(60))
    }

    /// Everything about it that cannot be.
    pub fn faults(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        let wants = matches!(self.action, AnsibleAction::Check | AnsibleAction::Playbook);
        if wants && self.playbook.is_none() {
            reasons.push(format!("ansible: `do: {}` needs a `playbook`", self.action));
        }
        if !wants && self.playbook.is_some() {
            reasons.push(format!("ansible: `do: {}` has no `playbook`", self.action));
        }
        if self.inventory.nodes == off() && self.inventory.terraform.is_none() {
            reasons
                .push("ansible: an inventory without `nodes` and `terraform` has no hosts".into());
        }
        reasons.extend(super::limit(&self.grace).err());
        reasons
    }
}

fn terraform_directory() -> String {
    "terraform".into()
}
fn lock_timeout() -> String {
    "10s".into()
}
fn terraform_grace() -> String {
    "5m".into()
}
fn ansible_grace() -> String {
    "1m".into()
}
fn keep() -> String {
    "14".into()
}
fn output_name() -> String {
    "nodes".into()
}
const fn on() -> Switch {
    Switch::Set(true)
}
const fn off() -> Switch {
    Switch::Set(false)
}
