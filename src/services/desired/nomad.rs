//! Jobs of Nomad, compared by its own scheduler: <https://developer.hashicorp.com/nomad/api-docs/jobs#create-job-plan>.
//!
//! A job's file is what `nomad job run -output` prints: `{ "Job": { … } }`, or the job itself.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::looker::{DryRun, Looker};
use super::{Compare, Wanted, front, not_declared};
use crate::domain::drift::{DriftSource, Drifted};
use crate::services::ServiceError;
use crate::services::api::{Endpoint, Until};

/// Fails where nobody leads.
const LEADER: &str = "/v1/status/leader";

/// Nomad as desired state.
pub(super) struct Nomad(pub(super) Vec<Endpoint>);

/// The answer to a plan, as far as it is used.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Planned {
    diff: Option<Diff>,
}

/// What differs of a job, a group, a task or an object within one.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Diff {
    #[serde(rename = "Type")]
    kind: String,
    name: String,
    fields: Option<Vec<Field>>,
    objects: Option<Vec<Diff>>,
    task_groups: Option<Vec<Diff>>,
    tasks: Option<Vec<Diff>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Field {
    #[serde(rename = "Type")]
    kind: String,
    name: String,
    old: String,
    new: String,
}

/// The job in a file, and its id.
fn job(text: &str, path: &std::path::Path) -> Result<(String, Value), ServiceError> {
    let wrong = |reason: String| ServiceError::Setup(format!("{}: {reason}", path.display()));
    let file: Value = serde_json::from_str(text).map_err(|error| {
        wrong(format!(
            "{error}; a job is declared as JSON: nomad job run -output FILE"
        ))
    })?;
    let job = match file.get("Job") {
        Some(job) => job.clone(),
        None => file,
    };
    let id = job.get("ID").and_then(Value::as_str);
    let id = id
        .ok_or_else(|| wrong("the job has no ID".into()))?
        .to_owned();
    Ok((id, job))
}

#[async_trait]
impl Compare for Nomad {
    async fn compare(
        &self,
        wanted: &Wanted,
        deadline: Duration,
    ) -> Result<Vec<Drifted>, ServiceError> {
        let until = Until::after(deadline);
        let looker = Looker::at(front(&self.0, LEADER, until).await?);
        let mut found = Vec::new();
        for path in &wanted.desired.jobs {
            let (id, job) = job(wanted.text(path)?, path)?;
            let body = json!({ "Job": job, "Diff": true });
            let answer = looker.dry_run(DryRun::NomadPlan(&id), &body, until).await?;
            let planned: Planned = answer.json()?;
            let object = format!("{}/job/{id}", wanted.desired.service);
            if let Some(diff) = planned.diff {
                found.extend(rows(&object, &diff));
            }
        }
        Ok(found)
    }

    async fn bring(
        &self,
        wanted: &Wanted,
        object: &str,
        deadline: Duration,
    ) -> Result<String, ServiceError> {
        let until = Until::after(deadline);
        for path in &wanted.desired.jobs {
            let (id, job) = job(wanted.text(path)?, path)?;
            if format!("{}/job/{id}", wanted.desired.service) != object {
                continue;
            }
            let endpoint = front(&self.0, LEADER, until).await?;
            let body = json!({ "Job": job });
            endpoint.post("/v1/jobs", &body, until).await?.success()?;
            return Ok(format!("POST /v1/jobs with job {id}"));
        }
        Err(not_declared(object))
    }
}

/// A row for each field that a registration would change.
fn rows(object: &str, diff: &Diff) -> Vec<Drifted> {
    match diff.kind.as_str() {
        "None" => Vec::new(),
        "Added" => vec![Drifted::new(
            DriftSource::Nomad,
            object,
            "job",
            "registered",
            "(no such job)",
        )],
        _ => {
            let mut found = Vec::new();
            walk(object, "", diff, &mut found);
            found
        }
    }
}

fn walk(object: &str, within: &str, diff: &Diff, found: &mut Vec<Drifted>) {
    let changed = |kind: &str| kind != "None" && !kind.is_empty();
    let shown = |text: &str| if text.is_empty() { "(none)" } else { text }.to_owned();
    for field in diff
        .fields
        .iter()
        .flatten()
        .filter(|field| changed(&field.kind))
    {
        found.push(Drifted::new(
            DriftSource::Nomad,
            object,
            format!("{within}{}", field.name),
            shown(&field.new),
            shown(&field.old),
        ));
    }
    let parts = [&diff.task_groups, &diff.tasks, &diff.objects];
    for part in parts.into_iter().flatten().flatten() {
        if changed(&part.kind) {
            walk(object, &format!("{within}{}.", part.name), part, found);
        }
    }
}
