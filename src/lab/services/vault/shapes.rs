//! The JSON that Vault's API shows, field by field as its Go structs name them.

#![expect(clippy::struct_excessive_bools, reason = "the fields are the API's")]

use serde::Serialize;
use serde_json::Value;

/// `/v1/sys/health`.
#[derive(Debug, Serialize)]
pub(crate) struct Health {
    pub initialized: bool,
    pub sealed: bool,
    pub standby: bool,
    pub performance_standby: bool,
    pub replication_performance_mode: &'static str,
    pub replication_dr_mode: &'static str,
    pub server_time_utc: i64,
    pub version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    pub enterprise: bool,
    pub echo_duration_ms: u32,
    pub clock_skew_ms: u32,
    pub replication_primary_canary_age_ms: u32,
    pub removed_from_cluster: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ha_connection_healthy: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_request_forwarding_heartbeat_ms: Option<i64>,
}

/// `/v1/sys/seal-status`, and the answer to `/v1/sys/unseal`.
#[derive(Debug, Serialize)]
pub(crate) struct SealStatus {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub initialized: bool,
    pub sealed: bool,
    pub t: u8,
    pub n: u8,
    pub progress: usize,
    pub nonce: String,
    pub version: &'static str,
    pub build_date: &'static str,
    pub migration: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    pub recovery_seal: bool,
    pub storage_type: &'static str,
    pub removed_from_cluster: bool,
}

/// `/v1/sys/leader`.
#[derive(Debug, Serialize)]
pub(crate) struct Leader {
    pub ha_enabled: bool,
    pub is_self: bool,
    /// Go's zero time on nodes that are not active.
    pub active_time: String,
    pub leader_address: String,
    pub leader_cluster_address: String,
    pub performance_standby: bool,
    pub performance_standby_last_remote_wal: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub raft_committed_index: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub raft_applied_index: u64,
}

// serde hands out references.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// An entry of `/v1/sys/ha-status`.
#[derive(Debug, Serialize)]
pub(crate) struct HaNode {
    pub hostname: String,
    pub api_address: String,
    pub cluster_address: String,
    pub active_node: bool,
    pub last_echo: Option<String>,
    pub echo_duration_ms: u32,
    pub clock_skew_ms: u32,
    pub version: &'static str,
    pub replication_primary_canary_age_ms: u32,
}

/// A server within `/v1/sys/storage/raft/configuration`.
#[derive(Debug, Serialize)]
pub(crate) struct RaftServer {
    pub address: String,
    pub leader: bool,
    pub node_id: String,
    pub protocol_version: &'static str,
    pub voter: bool,
}

/// What is around every answer of a backend.
#[derive(Debug, Serialize)]
pub(crate) struct Envelope {
    pub request_id: String,
    pub lease_id: &'static str,
    pub renewable: bool,
    pub lease_duration: u32,
    pub data: Value,
    pub wrap_info: Option<Value>,
    pub warnings: Option<Value>,
    pub auth: Option<Value>,
    pub mount_type: &'static str,
}

/// The body of every error.
#[derive(Debug, Serialize)]
pub(crate) struct Errors {
    pub errors: Vec<String>,
}
