//! What the wizard asks: the answers file, and what is kept when somebody quits half-way. No secret is ever among them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::environment::Protection;
use crate::domain::node::{Jump, Node, Role, SshAccess};
use crate::domain::platform::{Arch, Platform};
use crate::domain::service::{SecretRef, ServiceKind};
use crate::domain::stack::Stack;
use crate::domain::words;

words! {
    /// What somebody starts Quarterdeck for.
    pub enum Purpose {
        /// Practise on simulated boards.
        Lab = "lab",
        /// Install a stack on hosts.
        Build = "build",
        /// Watch, and act on, what runs already.
        Adopt = "adopt",
    }
}

words! {
    /// What happens when a host shows a key that is not known.
    pub enum HostKeys {
        /// Somebody compares it and says yes; where nobody can be asked the host is refused.
        Ask = "ask",
        /// It is pinned on first contact without being compared.
        FirstUse = "first-use",
    }
}

/// The answers of `quarterdeck bootstrap`. What is left out has the default that the wizard proposes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "AnswersFile")]
pub struct Answers {
    /// What for; default: build.
    pub purpose: Purpose,
    /// What the workspace is called on screens; default: homelab.
    pub workspace: String,
    /// The environment to make; default: home.
    pub environment: String,
    /// How hard it is to change; default: confirm.
    pub protection: Protection,
    /// What is installed; default: consul.
    pub stack: Stack,
    /// The hosts.
    pub hosts: Vec<HostAnswer>,
    /// How they are reached.
    pub ssh: SshAnswers,
    /// What happens when a host shows a key that is not known; default: ask.
    pub trust_host_keys: HostKeys,
    /// The network by which the nodes reach each other, such as 10.0.0.0/24; default: that of their addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// How secrets are made.
    #[serde(rename = "keys")]
    pub secrets: SecretAnswers,
    /// How the state is saved.
    pub backups: BackupAnswers,
    /// Versions to install, by software name. Quote them.
    pub versions: BTreeMap<String, String>,
    /// Programs and packages that are brought, by software name and architecture.
    pub artifacts: BTreeMap<String, BroughtBy>,
    /// For `adopt`: services that run already, by kind.
    pub adopt: BTreeMap<ServiceKind, Adopted>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            purpose: Purpose::Build,
            workspace: "homelab".into(),
            environment: "home".into(),
            protection: Protection::Confirm,
            stack: Stack::Consul,
            hosts: Vec::new(),
            ssh: SshAnswers::default(),
            trust_host_keys: HostKeys::Ask,
            network: None,
            secrets: SecretAnswers::default(),
            backups: BackupAnswers::default(),
            versions: BTreeMap::new(),
            artifacts: BTreeMap::new(),
            adopt: BTreeMap::new(),
        }
    }
}

impl Answers {
    /// Whether there are services that run already and can be watched, with or without hosts.
    pub fn adopts_services(&self) -> bool {
        self.purpose == Purpose::Adopt && !self.adopt.is_empty()
    }
}

/// A host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["address"]))]
pub struct HostAnswer {
    /// Host name, IP address, or an alias of `~/.ssh/config`.
    pub address: String,
    /// What it shall be called; default: its own host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// TCP port of its SSH server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// What it is for; default: as proposed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
}

/// A service that runs already.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["url"]))]
pub struct Adopted {
    /// The base URL of its API, such as `http://10.0.0.11:8500`.
    pub url: String,
    /// Where the secret is that lets one in, such as `env: CONSUL_HTTP_TOKEN` or `file: /etc/consul.d/token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretRef>,
    /// The PEM file of the authority that signed its certificate; default: those that the system trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

/// How the hosts are reached. What is not said is left to `~/.ssh/config`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SshAnswers {
    /// Login name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Private key files; absolute, or beginning with `~/`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<String>,
    /// The one file where host keys are pinned; absolute, or beginning with `~/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<String>,
    /// The host that the others are reached through, as `ADDRESS` or `ADDRESS:PORT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jump: Option<String>,
}

/// How secrets are made. They are made by the first run and kept where the engine is; none of them is in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SecretAnswers {
    /// Nobody uses Consul without a token; default: true.
    pub consul_acl: bool,
    /// What Consul's members say to each other is encrypted; default: true.
    pub consul_gossip: bool,
    /// Into how many shares Vault's key is split; default: 5.
    #[schemars(range(min = 1, max = 255))]
    pub vault_shares: u32,
    /// How many of them unseal; default: 3.
    #[schemars(range(min = 1, max = 255))]
    pub vault_threshold: u32,
    /// For unattended use: age recipients that Vault's shares are encrypted for; one for each share, or one for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vault_recipients: Vec<String>,
}

impl Default for SecretAnswers {
    fn default() -> Self {
        Self {
            consul_acl: true,
            consul_gossip: true,
            vault_shares: 5,
            vault_threshold: 3,
            vault_recipients: Vec::new(),
        }
    }
}

/// How the state is saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BackupAnswers {
    /// Whether a snapshot is taken each day; default: true.
    pub daily: bool,
    /// age recipients that snapshots are encrypted for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
}

impl Default for BackupAnswers {
    fn default() -> Self {
        Self {
            daily: true,
            recipients: Vec::new(),
        }
    }
}

/// What is brought of one piece of software.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BroughtBy {
    /// For 64-bit x86.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amd64: Option<Brought>,
    /// For 64-bit Arm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arm64: Option<Brought>,
}

impl BroughtBy {
    /// What is brought for `arch`.
    pub const fn of(&self, arch: Arch) -> Option<&Brought> {
        match arch {
            Arch::Amd64 => self.amd64.as_ref(),
            Arch::Arm64 => self.arm64.as_ref(),
        }
    }

    /// As [`Self::of`], to be filled in.
    pub const fn of_mut(&mut self, arch: Arch) -> &mut Option<Brought> {
        match arch {
            Arch::Amd64 => &mut self.amd64,
            Arch::Arm64 => &mut self.arm64,
        }
    }
}

/// A file pinned by its checksum.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["source", "sha256"]))]
pub struct Brought {
    /// An http(s) URL, or an absolute path.
    pub source: String,
    /// SHA-256, 64 hexadecimal digits.
    pub sha256: String,
}

impl HostAnswer {
    /// What it is called before it has a name: the address, with the port where several may share the address.
    pub fn key(&self) -> String {
        match self.port {
            Some(port) if self.address.contains(':') => format!("[{}]:{port}", self.address),
            Some(port) => format!("{}:{port}", self.address),
            None => self.address.clone(),
        }
    }
}

impl Answers {
    /// The host of that key.
    pub fn host(&self, key: &str) -> Option<&HostAnswer> {
        self.hosts.iter().find(|host| host.key() == key)
    }

    /// The hosts as nodes of no environment, to be looked at; `home` stands for `~`. Each is called by its key.
    pub fn nodes(&self, home: Option<&Path>) -> Vec<Node> {
        let file = |path: &str| match (path.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(path),
        };
        let node = |host: &HostAnswer| Node {
            name: host.key(),
            address: host.address.clone(),
            // Not known before it was looked at; nothing that is done to it by then depends on either.
            platform: Platform::Generic,
            arch: Arch::Amd64,
            roles: BTreeSet::new(),
            labels: BTreeMap::new(),
            ssh: SshAccess {
                port: host.port,
                user: self.ssh.user.clone(),
                identities: self.ssh.identities.iter().map(|path| file(path)).collect(),
                known_hosts: self.ssh.known_hosts.as_deref().map(file),
                jump: self.ssh.jump.as_ref().map(|jump| {
                    if *jump == host.key() {
                        Jump::Direct
                    } else {
                        Jump::Through(jump.clone())
                    }
                }),
                ..SshAccess::default()
            },
        };
        self.hosts.iter().map(node).collect()
    }
}
