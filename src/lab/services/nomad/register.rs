//! Jobs that are registered, or planned to be:
//! [register](https://developer.hashicorp.com/nomad/api-docs/jobs#create-job),
//! [plan](https://developer.hashicorp.com/nomad/api-docs/jobs#create-job-plan).
//!
//! The lab's jobs are known beforehand; what can be changed of them is their priority and how many instances they have.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::answer::{Management, Refusal, Server};
use super::state::{Job, Nomad};
use crate::lab::services::http::{self, Params};

/// What a job's body says of what can be changed here.
struct Body {
    id: String,
    priority: u32,
    count: Option<usize>,
}

impl Body {
    fn read(body: &Value) -> Result<Self, Refusal> {
        let job = &body["Job"];
        let id = job["ID"].as_str().filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Refusal(400, "Job must be specified".into()))?;
        let number = |value: &Value| value.as_u64().and_then(|number| number.try_into().ok());
        Ok(Self {
            id: id.to_owned(),
            // Nomad's default.
            priority: number(&job["Priority"]).unwrap_or(50),
            count: job["TaskGroups"][0]["Count"]
                .as_u64()
                .and_then(|count| count.try_into().ok()),
        })
    }
}

/// `POST /v1/job/:id/plan`: changes nothing.
pub(crate) async fn plan(
    State(server): State<Server>,
    _: Management,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Response {
    let planned = server.sim.with(|nomad, _| {
        server.reach(nomad, &Params::default())?;
        let body = Body::read(&body)?;
        if body.id != id {
            return Err(Refusal(400, "Job ID does not match".into()));
        }
        let job = nomad.jobs.iter().find(|job| job.id == id);
        Ok(json!({
            "Annotations": { "DesiredTGUpdates": {} },
            "Diff": job.map_or_else(|| json!({ "Type": "Added", "ID": id }), |job| diff(job, &body)),
            "FailedTGAllocs": null,
            "JobModifyIndex": job.map_or(0, |job| job.index),
            "Warnings": "",
        }))
    });
    match planned {
        Ok(planned) => http::json(200, &planned),
        Err(refusal) => Refusal::into(refusal),
    }
}

fn diff(job: &Job, body: &Body) -> Value {
    let field = |name: &str, old: String, new: String| {
        let kind = if old == new { "None" } else { "Edited" };
        json!({ "Type": kind, "Name": name, "Old": old, "New": new, "Annotations": null })
    };
    let kind = |edited: bool| if edited { "Edited" } else { "None" };
    let count = body.count.unwrap_or(job.count);
    let (resized, reranked) = (count != job.count, body.priority != job.priority);
    json!({
        "Type": kind(resized || reranked),
        "ID": job.id,
        "Fields": [field("Priority", job.priority.to_string(), body.priority.to_string())],
        "Objects": null,
        "TaskGroups": [{
            "Type": kind(resized),
            "Name": job.group,
            "Fields": [field("Count", job.count.to_string(), count.to_string())],
            "Objects": null,
            "Tasks": [{ "Type": "None", "Name": job.task, "Fields": null, "Objects": null, "Annotations": null }],
            "Updates": null,
        }],
    })
}

/// `POST /v1/jobs`: a job of the lab gets another priority, or another number of instances.
pub(crate) async fn register(
    State(server): State<Server>,
    _: Management,
    Json(body): Json<Value>,
) -> Response {
    let registered = server.sim.with(|nomad, _| {
        server.reach(nomad, &Params::default())?;
        let body = Body::read(&body)?;
        let index = nomad.set_job(&body.id, body.priority, body.count);
        index.ok_or_else(|| Refusal(500, format!("this lab has no image for job {:?}", body.id)))
    });
    match registered {
        Ok(index) => http::json(
            200,
            &json!({ "EvalID": "", "JobModifyIndex": index, "Warnings": "", "Index": index }),
        ),
        Err(refusal) => Refusal::into(refusal),
    }
}

impl Nomad {
    /// Registers a job that there is anew; the index of the change.
    pub(crate) fn set_job(&mut self, id: &str, priority: u32, count: Option<usize>) -> Option<u64> {
        let next = self.index + 1;
        let job = self.jobs.iter_mut().find(|job| job.id == id)?;
        job.priority = priority;
        job.count = count.unwrap_or(job.count);
        job.version += 1;
        job.index = next;
        self.index = next;
        Some(next)
    }
}
