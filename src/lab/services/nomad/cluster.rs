//! Lists of what runs: [nodes](https://developer.hashicorp.com/nomad/api-docs/nodes),
//! [jobs](https://developer.hashicorp.com/nomad/api-docs/jobs),
//! [allocations](https://developer.hashicorp.com/nomad/api-docs/allocations),
//! [deployments](https://developer.hashicorp.com/nomad/api-docs/deployments).
//!
//! Everything is in the namespace `default`; lists of another namespace are empty, `*` means all.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;

use super::answer::Server;
use super::shapes::{
    self, Children, Deployment, DeploymentHealth, DeploymentState, Driver, GroupSummary,
    JobSummary, TaskEvent, TaskState, Transition,
};
use super::state::{Agent, Allocation, Job, Kind, Nomad, Status};
use super::{DATACENTER, VERSION};
use crate::lab::services::http::Params;

const NAMESPACE: &str = "default";

fn in_namespace(params: &Params) -> bool {
    matches!(params.get("namespace"), None | Some("" | "*" | NAMESPACE))
}

fn has_prefix(params: &Params, id: &str) -> bool {
    params
        .get("prefix")
        .is_none_or(|prefix| id.starts_with(prefix))
}

/// `GET /v1/nodes`.
pub(crate) async fn nodes(
    State(server): State<Server>,
    headers: HeaderMap,
    params: Params,
) -> Response {
    server
        .list(&headers, &params, |nomad, _| {
            let mut nodes: Vec<_> = nomad
                .clients
                .values()
                .filter(|client| client.joined && has_prefix(&params, &client.id))
                .map(|client| (client.id.clone(), node(client, nomad.born)))
                .collect();
            nodes.sort_by(|(a, _), (b, _)| a.cmp(b));
            nodes
        })
        .await
}

fn node(client: &Agent, born: Timestamp) -> shapes::Node {
    let driver = |attributes: &[(&'static str, &'static str)]| Driver {
        attributes: attributes.iter().copied().collect(),
        detected: true,
        healthy: true,
        health_description: "Healthy",
        update_time: born.to_string(),
    };
    shapes::Node {
        address: client.host.address.clone(),
        id: client.id.clone(),
        datacenter: DATACENTER,
        name: client.host.name.clone(),
        node_pool: "default",
        node_class: "",
        version: VERSION,
        drain: client.draining.is_some(),
        scheduling_eligibility: if client.eligible {
            "eligible"
        } else {
            "ineligible"
        },
        status: if client.failed { "down" } else { "ready" },
        status_description: "",
        drivers: BTreeMap::from([
            (
                "docker",
                driver(&[
                    ("driver.docker", "true"),
                    ("driver.docker.version", "27.5.1"),
                ]),
            ),
            ("exec", driver(&[("driver.exec", "true")])),
        ]),
        host_volumes: None,
        last_drain: None,
        create_index: 12,
        modify_index: client.modified,
    }
}

/// `GET /v1/jobs`.
pub(crate) async fn jobs(
    State(server): State<Server>,
    headers: HeaderMap,
    params: Params,
) -> Response {
    server
        .list(&headers, &params, |nomad, _| {
            nomad
                .jobs
                .iter()
                .enumerate()
                .filter(|(_, job)| in_namespace(&params) && has_prefix(&params, job.id))
                .map(|(at, job)| (format!("{NAMESPACE}.{}", job.id), stub(nomad, at, job)))
                .collect()
        })
        .await
}

fn stub(nomad: &Nomad, at: usize, job: &Job) -> shapes::Job {
    let running = nomad.count(at, Status::Running);
    let starting = nomad.count(at, Status::Pending);
    let summary = GroupSummary {
        queued: nomad.queued(at),
        complete: 0,
        failed: 0,
        running,
        starting,
        lost: nomad.count(at, Status::Lost),
        unknown: 0,
    };
    let modified = nomad
        .allocations
        .iter()
        .filter(|allocation| allocation.job == at)
        .map(|allocation| allocation.modify_index)
        .max()
        .unwrap_or(job.index);
    shapes::Job {
        id: job.id,
        parent_id: "",
        name: job.id,
        namespace: NAMESPACE,
        datacenters: [DATACENTER],
        node_pool: "default",
        kind: job.kind.word(),
        priority: job.priority,
        periodic: false,
        parameterized_job: false,
        stop: false,
        status: if running + starting > 0 {
            "running"
        } else {
            "pending"
        },
        status_description: "",
        job_summary: JobSummary {
            job_id: job.id,
            namespace: NAMESPACE,
            summary: BTreeMap::from([(job.group, summary)]),
            children: Children::default(),
            create_index: job.index,
            modify_index: modified,
        },
        create_index: job.index,
        modify_index: modified,
        job_modify_index: job.index,
        submit_time: nanoseconds(nomad.born),
    }
}

/// `GET /v1/allocations`.
pub(crate) async fn allocations(
    State(server): State<Server>,
    headers: HeaderMap,
    params: Params,
) -> Response {
    server
        .list(&headers, &params, |nomad, _| {
            let mut found: Vec<_> = nomad
                .allocations
                .iter()
                .filter(|allocation| in_namespace(&params) && has_prefix(&params, &allocation.id))
                .map(|allocation| (allocation.id.clone(), shown(nomad, allocation)))
                .collect();
            found.sort_by(|(a, _), (b, _)| a.cmp(b));
            found
        })
        .await
}

/// `GET /v1/job/:job/allocations`.
pub(crate) async fn job_allocations(
    State(server): State<Server>,
    Path(job): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Response {
    server
        .list(&headers, &params, |nomad, _| {
            nomad
                .allocations
                .iter()
                .filter(|allocation| in_namespace(&params) && nomad.jobs[allocation.job].id == job)
                .map(|allocation| (allocation.id.clone(), shown(nomad, allocation)))
                .collect()
        })
        .await
}

/// `GET /v1/node/:id/allocations`.
pub(crate) async fn node_allocations(
    State(server): State<Server>,
    Path(id): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Response {
    server
        .list(&headers, &params, |nomad, _| {
            nomad
                .allocations
                .iter()
                .map(|allocation| (allocation.id.clone(), shown(nomad, allocation)))
                .filter(|(_, allocation)| allocation.node_id == id)
                .collect()
        })
        .await
}

fn shown(nomad: &Nomad, allocation: &Allocation) -> shapes::Allocation {
    let job = &nomad.jobs[allocation.job];
    let lost = allocation.status == Status::Lost;
    let (desired_status, desired_description) = if lost {
        ("stop", "alloc is lost since its node is down")
    } else if allocation.status == Status::Complete {
        ("stop", "alloc is being migrated")
    } else {
        ("run", "")
    };
    let description = match allocation.status {
        Status::Running => "Tasks are running",
        Status::Pending => "No tasks have started",
        Status::Complete => "All tasks have completed",
        Status::Lost => "",
    };
    let task_states = allocation
        .started()
        .map(|started| (job.task, task_state(started, allocation)));
    let deployed = job.kind == Kind::Service && allocation.status == Status::Running;
    shapes::Allocation {
        id: allocation.id.clone(),
        eval_id: allocation.evaluation.clone(),
        name: nomad.name_of(allocation),
        namespace: NAMESPACE,
        node_id: nomad
            .clients
            .get(&allocation.client)
            .map(|client| client.id.clone())
            .unwrap_or_default(),
        node_name: allocation.client.clone(),
        job_id: job.id,
        job_type: job.kind.word(),
        job_version: job.version,
        task_group: job.group,
        desired_status,
        desired_description,
        client_status: allocation.status.word(),
        client_description: description,
        desired_transition: Transition::default(),
        task_states: task_states.into_iter().collect(),
        deployment_status: deployed.then(|| DeploymentHealth {
            healthy: Some(true),
            timestamp: allocation.created.to_string(),
            canary: false,
            modify_index: allocation.modify_index,
        }),
        followup_eval_id: "",
        next_allocation: allocation.next.clone().unwrap_or_default(),
        reschedule_tracker: None,
        preempted_allocations: None,
        preempted_by_allocation: "",
        create_index: allocation.create_index,
        modify_index: allocation.modify_index,
        create_time: nanoseconds(allocation.created),
        modify_time: nanoseconds(allocation.changed),
    }
}

/// A lost allocation keeps the state that its client reported last.
fn task_state(started: Timestamp, allocation: &Allocation) -> TaskState {
    let event = |kind, message, time| TaskEvent {
        kind,
        time: nanoseconds(time),
        display_message: message,
        message: "",
        details: BTreeMap::new(),
    };
    TaskState {
        state: "running",
        failed: false,
        restarts: 0,
        last_restart: None,
        started_at: Some(started.to_string()),
        finished_at: None,
        events: vec![
            event("Received", "Task received by client", allocation.created),
            event("Task Setup", "Building Task Directory", allocation.created),
            event("Started", "Task started by client", started),
        ],
    }
}

/// `GET /v1/deployments`: one per service job, of its present version.
pub(crate) async fn deployments(
    State(server): State<Server>,
    headers: HeaderMap,
    params: Params,
) -> Response {
    server
        .list(&headers, &params, |nomad, _| {
            nomad
                .jobs
                .iter()
                .filter(|job| in_namespace(&params) && job.kind == Kind::Service)
                .map(|job| {
                    let id = nomad
                        .ids
                        .uuid(&format!("nomad/deployment/{}/{}", job.id, job.version));
                    (id.clone(), deployment(nomad, job, id))
                })
                .filter(|(id, _)| has_prefix(&params, id))
                .collect()
        })
        .await
}

fn deployment(nomad: &Nomad, job: &Job, id: String) -> Deployment {
    let state = DeploymentState {
        auto_revert: false,
        auto_promote: false,
        progress_deadline: 600_000_000_000,
        require_progress_by: nomad.born.to_string(),
        promoted: false,
        placed_canaries: None,
        desired_canaries: 0,
        desired_total: job.count,
        placed_allocs: job.count,
        healthy_allocs: job.count,
        unhealthy_allocs: 0,
    };
    Deployment {
        id,
        namespace: NAMESPACE,
        job_id: job.id,
        job_version: job.version,
        job_modify_index: job.index,
        job_spec_modify_index: job.index,
        job_create_index: job.index,
        is_multiregion: false,
        task_groups: BTreeMap::from([(job.group, state)]),
        status: "successful",
        status_description: "Deployment completed successfully",
        eval_priority: job.priority,
        create_index: job.index,
        modify_index: job.index + 2,
        create_time: nanoseconds(nomad.born),
        modify_time: nanoseconds(nomad.born),
    }
}

/// Nanoseconds since 1970.
fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}
