//! `backups` of an environment: how its state is saved.

use schemars::JsonSchema;
use serde::Deserialize;

use super::environment::SecretEntry;
use super::words::{AgeRecipient, Name, Path, Span, StoreUrl};
use crate::domain::backup::OtherStore;

/// How the environment's state is saved.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Backups")]
pub(crate) struct BackupsEntry {
    /// The oldest that the newest verified snapshot of a store may be, such as "26h"; an older one is a finding. Default: 26h
    /// where the protection is typed or two-person, else nothing is asked for.
    pub(crate) within: Option<Span>,
    /// age recipients (`age1…`, as age-keygen prints them): snapshots are encrypted for all of them.
    pub(crate) recipients: Vec<AgeRecipient>,
    /// Where the secret key of one recipient can be read; needed to restore and to drill, never to take.
    pub(crate) identity: Option<SecretEntry>,
    /// What is saved besides the environment's services; at most 64.
    #[schemars(length(max = 64))]
    pub(crate) stores: Vec<StoreEntry>,
}

/// A store that is no service of the environment.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Store", extend("required" = ["kind"]))]
pub(crate) struct StoreEntry {
    /// Unique within the environment, services included; default: the kind.
    pub(crate) name: Option<Name>,
    /// What it is.
    pub(crate) kind: Option<OtherStore>,
    /// For etcd the base URL of a member, for `PostgreSQL` `postgresql://USER@HOST:PORT/DATABASE`. No password in it.
    pub(crate) url: Option<StoreUrl>,
    /// For etcd: the base URLs of all members, so that the leader can be asked.
    #[schemars(length(min = 1))]
    pub(crate) urls: Option<Vec<StoreUrl>>,
    /// For etcd with authentication: the login name.
    pub(crate) user: Option<String>,
    /// Where the password can be read.
    pub(crate) secret: Option<SecretEntry>,
    /// For etcd: PEM file of the authority that signed the members' certificates.
    pub(crate) ca: Option<Path>,
    /// For etcd: the name of an authority that a recipe makes; instead of `ca`.
    pub(crate) authority: Option<Name>,
    /// For Terraform: the directory of the configuration, initialised.
    pub(crate) directory: Option<Path>,
    /// For `PostgreSQL`: the node whose `pg_dump` is used, by SSH; default: that of the engine's machine.
    pub(crate) via: Option<Name>,
}
