//! The JSON that Nomad's API shows, field by field as its Go structs name them.

use std::collections::BTreeMap;

use serde::Serialize;

/// `/v1/agent/members`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Members {
    pub server_name: String,
    pub server_region: &'static str,
    #[serde(rename = "ServerDC")]
    pub server_dc: &'static str,
    pub members: Vec<Member>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Member {
    pub name: String,
    pub addr: String,
    pub port: u16,
    pub tags: BTreeMap<&'static str, String>,
    pub status: &'static str,
    pub protocol_min: u8,
    pub protocol_max: u8,
    pub protocol_cur: u8,
    pub delegate_min: u8,
    pub delegate_max: u8,
    pub delegate_cur: u8,
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
    pub voter: bool,
    pub raft_protocol: &'static str,
}

/// `/v1/operator/autopilot/health`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AutopilotHealth {
    pub healthy: bool,
    pub failure_tolerance: usize,
    pub servers: Vec<ServerHealth>,
    pub leader: String,
    pub voters: Vec<String>,
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
    pub last_contact: String,
    pub last_term: u64,
    pub last_index: u64,
    pub healthy: bool,
    pub voter: bool,
    pub stable_since: String,
}

/// An entry of `/v1/nodes`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Node {
    pub address: String,
    #[serde(rename = "ID")]
    pub id: String,
    pub datacenter: &'static str,
    pub name: String,
    pub node_pool: &'static str,
    pub node_class: &'static str,
    pub version: &'static str,
    pub drain: bool,
    pub scheduling_eligibility: &'static str,
    pub status: &'static str,
    pub status_description: &'static str,
    pub drivers: BTreeMap<&'static str, Driver>,
    pub host_volumes: Option<()>,
    pub last_drain: Option<()>,
    pub create_index: u64,
    pub modify_index: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Driver {
    pub attributes: BTreeMap<&'static str, &'static str>,
    pub detected: bool,
    pub healthy: bool,
    pub health_description: &'static str,
    pub update_time: String,
}

/// An entry of `/v1/jobs`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Job {
    #[serde(rename = "ID")]
    pub id: &'static str,
    #[serde(rename = "ParentID")]
    pub parent_id: &'static str,
    pub name: &'static str,
    pub namespace: &'static str,
    pub datacenters: [&'static str; 1],
    pub node_pool: &'static str,
    #[serde(rename = "Type")]
    pub kind: &'static str,
    pub priority: u32,
    pub periodic: bool,
    pub parameterized_job: bool,
    pub stop: bool,
    pub status: &'static str,
    pub status_description: &'static str,
    pub job_summary: JobSummary,
    pub create_index: u64,
    pub modify_index: u64,
    pub job_modify_index: u64,
    /// Nanoseconds since 1970.
    pub submit_time: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct JobSummary {
    #[serde(rename = "JobID")]
    pub job_id: &'static str,
    pub namespace: &'static str,
    pub summary: BTreeMap<&'static str, GroupSummary>,
    pub children: Children,
    pub create_index: u64,
    pub modify_index: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GroupSummary {
    pub queued: usize,
    pub complete: usize,
    pub failed: usize,
    pub running: usize,
    pub starting: usize,
    pub lost: usize,
    pub unknown: usize,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Children {
    pub pending: u32,
    pub running: u32,
    pub dead: u32,
}

/// An entry of `/v1/allocations`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Allocation {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    pub name: String,
    pub namespace: &'static str,
    #[serde(rename = "NodeID")]
    pub node_id: String,
    pub node_name: String,
    #[serde(rename = "JobID")]
    pub job_id: &'static str,
    pub job_type: &'static str,
    pub job_version: u64,
    pub task_group: &'static str,
    pub desired_status: &'static str,
    pub desired_description: &'static str,
    pub client_status: &'static str,
    pub client_description: &'static str,
    pub desired_transition: Transition,
    pub task_states: BTreeMap<&'static str, TaskState>,
    pub deployment_status: Option<DeploymentHealth>,
    #[serde(rename = "FollowupEvalID")]
    pub followup_eval_id: &'static str,
    pub next_allocation: String,
    pub reschedule_tracker: Option<()>,
    pub preempted_allocations: Option<()>,
    pub preempted_by_allocation: &'static str,
    pub create_index: u64,
    pub modify_index: u64,
    /// Nanoseconds since 1970.
    pub create_time: i64,
    /// Nanoseconds since 1970.
    pub modify_time: i64,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Transition {
    pub migrate: Option<bool>,
    pub reschedule: Option<bool>,
    pub force_reschedule: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TaskState {
    pub state: &'static str,
    pub failed: bool,
    pub restarts: u32,
    pub last_restart: Option<String>,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    pub events: Vec<TaskEvent>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TaskEvent {
    #[serde(rename = "Type")]
    pub kind: &'static str,
    pub time: i64,
    pub display_message: &'static str,
    pub message: &'static str,
    pub details: BTreeMap<&'static str, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeploymentHealth {
    pub healthy: Option<bool>,
    pub timestamp: String,
    pub canary: bool,
    pub modify_index: u64,
}

/// An entry of `/v1/deployments`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Deployment {
    #[serde(rename = "ID")]
    pub id: String,
    pub namespace: &'static str,
    #[serde(rename = "JobID")]
    pub job_id: &'static str,
    pub job_version: u64,
    pub job_modify_index: u64,
    pub job_spec_modify_index: u64,
    pub job_create_index: u64,
    pub is_multiregion: bool,
    pub task_groups: BTreeMap<&'static str, DeploymentState>,
    pub status: &'static str,
    pub status_description: &'static str,
    pub eval_priority: u32,
    pub create_index: u64,
    pub modify_index: u64,
    pub create_time: i64,
    pub modify_time: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeploymentState {
    pub auto_revert: bool,
    pub auto_promote: bool,
    /// Nanoseconds.
    pub progress_deadline: i64,
    pub require_progress_by: String,
    pub promoted: bool,
    pub placed_canaries: Option<Vec<String>>,
    pub desired_canaries: u32,
    pub desired_total: usize,
    pub placed_allocs: usize,
    pub healthy_allocs: usize,
    pub unhealthy_allocs: usize,
}

/// A frame of a followed log; every field is left out when empty, and a frame without fields is a heartbeat.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Frame {
    #[serde(skip_serializing_if = "is_zero")]
    pub offset: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub data: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub file: String,
}

// serde hands out references.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
