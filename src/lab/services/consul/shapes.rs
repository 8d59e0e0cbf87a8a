//! The JSON that Consul's API shows, field by field as its Go structs name them.

use std::collections::BTreeMap;

use serde::Serialize;

type Text = BTreeMap<&'static str, String>;

/// An entry of `/v1/agent/members`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Member {
    pub name: String,
    pub addr: String,
    pub port: u16,
    pub tags: Text,
    /// Serf's number: 1 alive, 2 leaving, 3 left, 4 failed.
    pub status: u8,
    pub protocol_min: u8,
    pub protocol_max: u8,
    pub protocol_cur: u8,
    pub delegate_min: u8,
    pub delegate_max: u8,
    pub delegate_cur: u8,
}

/// `/v1/agent/self`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AgentSelf {
    pub config: AgentConfig,
    pub coord: Coordinate,
    pub member: Member,
    pub meta: BTreeMap<&'static str, String>,
    pub stats: BTreeMap<&'static str, Text>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AgentConfig {
    pub datacenter: String,
    pub primary_datacenter: String,
    pub node_name: String,
    #[serde(rename = "NodeID")]
    pub node_id: String,
    pub revision: &'static str,
    pub server: bool,
    pub version: &'static str,
}

/// A place in the network, from round-trip times.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Coordinate {
    pub vec: [f64; 8],
    pub error: f64,
    pub adjustment: f64,
    pub height: f64,
}

/// `/v1/operator/raft/configuration`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RaftConfiguration {
    pub servers: Vec<RaftServer>,
    pub index: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RaftServer {
    #[serde(rename = "ID")]
    pub id: String,
    pub node: String,
    pub address: String,
    pub leader: bool,
    pub protocol_version: &'static str,
    pub voter: bool,
}

/// `/v1/operator/autopilot/health`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AutopilotHealth {
    pub healthy: bool,
    pub failure_tolerance: usize,
    pub servers: Vec<ServerHealth>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ServerHealth {
    #[serde(rename = "ID")]
    pub id: String,
    pub name: String,
    pub address: String,
    pub serf_status: &'static str,
    pub version: &'static str,
    pub leader: bool,
    /// A Go duration, such as `27.18ms`.
    pub last_contact: String,
    pub last_term: u64,
    pub last_index: u64,
    pub healthy: bool,
    pub voter: bool,
    pub stable_since: String,
}

/// An entry of `/v1/catalog/nodes`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Node {
    #[serde(rename = "ID")]
    pub id: String,
    pub node: String,
    pub address: String,
    pub datacenter: String,
    pub tagged_addresses: Text,
    pub meta: Text,
    pub create_index: u64,
    pub modify_index: u64,
}

/// A service instance within `/v1/health/service/:name`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Service {
    #[serde(rename = "ID")]
    pub id: String,
    pub service: String,
    pub tags: Vec<&'static str>,
    pub address: String,
    pub meta: Option<Text>,
    pub port: u16,
    pub weights: Weights,
    pub enable_tag_override: bool,
    pub proxy: Proxy,
    pub connect: Nothing,
    pub create_index: u64,
    pub modify_index: u64,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Weights {
    pub passing: u8,
    pub warning: u8,
}

#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Proxy {
    pub mesh_gateway: Nothing,
    pub expose: Nothing,
}

/// `{}`.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Nothing {}

/// An entry of `/v1/health/state/:state`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Check {
    pub node: String,
    #[serde(rename = "CheckID")]
    pub check_id: String,
    pub name: String,
    pub status: &'static str,
    pub notes: &'static str,
    pub output: String,
    #[serde(rename = "ServiceID")]
    pub service_id: String,
    pub service_name: String,
    pub service_tags: Vec<&'static str>,
    #[serde(rename = "Type")]
    pub kind: &'static str,
    pub definition: Nothing,
    pub create_index: u64,
    pub modify_index: u64,
}

/// An entry of `/v1/health/service/:name`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ServiceEntry {
    pub node: Node,
    pub service: Service,
    pub checks: Vec<Check>,
}

/// An entry of `/v1/kv/:key`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Pair {
    pub lock_index: u64,
    pub key: String,
    pub flags: u64,
    /// Base64; `null` for an empty value.
    pub value: Option<String>,
    pub create_index: u64,
    pub modify_index: u64,
}

/// `/v1/acl/token/self`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Token {
    #[serde(rename = "CreateIndex")]
    pub create_index: u64,
    pub modify_index: u64,
    #[serde(rename = "AccessorID")]
    pub accessor_id: String,
    #[serde(rename = "SecretID")]
    pub secret_id: String,
    pub description: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyLink>,
    pub local: bool,
    pub create_time: String,
    pub hash: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PolicyLink {
    #[serde(rename = "ID")]
    pub id: &'static str,
    pub name: &'static str,
}
