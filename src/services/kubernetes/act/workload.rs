//! Pods and deployments that do not come up: one pod made anew, or all of a deployment.
//!
//! A restart is what `kubectl rollout restart` does: the template gets an annotation with the time, and the deployment
//! replaces its pods by its own rules. It is over when the controller has seen the change and every pod is new and available.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::{Kubernetes, Limit};
use super::{Eviction, LIMIT, LOOK};
use crate::domain::service_action::{length, namespaced};
use crate::services::{Acted, ServiceError, Tell, brief};

/// The annotation that `kubectl rollout restart` writes, too.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

/// Namespace and name of the object that is meant (`NAMESPACE/NAME`), and until when it is waited for.
fn meant<'a>(object: &'a str, deadline: &str) -> Result<(&'a str, &'a str, Instant), ServiceError> {
    let (namespace, name) = namespaced(object).map_err(ServiceError::Setup)?;
    let deadline = length(deadline).map_err(ServiceError::Setup)?;
    Ok((namespace, name, Instant::now() + deadline))
}

/// Evicts `pod` (`NAMESPACE/NAME`) and waits until it is gone.
pub(super) async fn evict(
    cluster: &Kubernetes,
    pod: &str,
    deadline: &str,
    tell: Tell<'_>,
    cancel: &CancellationToken,
) -> Result<Acted, ServiceError> {
    let (namespace, name, end) = meant(pod, deadline)?;
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let find = async || {
        let limit = Limit::after(LIMIT);
        limit.hold(&cluster.url, api.get_opt(name)).await
    };
    let Some(first) = find().await? else {
        return Ok(Acted::Already(format!("there is no pod {pod} any more")));
    };
    let owners = first.owner_references().iter();
    let manager = owners
        .filter(|owner| owner.controller == Some(true))
        .find(|owner| owner.kind != "Node");
    let Some(manager) = manager else {
        return Err(ServiceError::Setup(format!(
            "nothing manages the pod {pod}, so it would not be made anew: what made it has to do so"
        )));
    };
    let mut told = String::new();
    loop {
        let words = match cluster.evict(&first).await? {
            Eviction::Asked | Eviction::Gone => "waiting for it to end".to_owned(),
            Eviction::NotYet(why) => format!("not yet: {why}"),
        };
        if words != told {
            tell(words.clone());
            told = words;
        }
        // A stateful pod comes back under its name, as another one.
        let gone = find()
            .await?
            .is_none_or(|now| now.metadata.uid != first.metadata.uid);
        if gone {
            return Ok(Acted::Changed(format!(
                "{pod} is gone, and {} {} makes another",
                manager.kind, manager.name
            )));
        }
        pause(end, cancel, || format!("{pod} is still there ({told})")).await?;
    }
}

/// Restarts `deployment` (`NAMESPACE/NAME`) and waits until its pods are new and available.
pub(super) async fn restart(
    cluster: &Kubernetes,
    deployment: &str,
    deadline: &str,
    tell: Tell<'_>,
    cancel: &CancellationToken,
) -> Result<Acted, ServiceError> {
    let (namespace, name, end) = meant(deployment, deadline)?;
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), namespace);
    let read = async || {
        let limit = Limit::after(LIMIT);
        limit.hold(&cluster.url, api.get(name)).await
    };
    // `kubectl rollout restart` refuses as well: the controller would touch no pod.
    if read().await?.spec.and_then(|spec| spec.paused) == Some(true) {
        return Err(ServiceError::Setup(format!(
            "{deployment} is paused, so its pods would stay as they are: `kubectl rollout resume` it first"
        )));
    }
    let stamp = json!({ RESTARTED: jiff::Timestamp::now() });
    let patch = json!({ "spec": { "template": { "metadata": { "annotations": stamp } } } });
    let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
    let asked = Limit::after(LIMIT)
        .hold(&cluster.url, api.patch(name, &params, &patch))
        .await?;
    let generation = asked.metadata.generation.unwrap_or_default();
    let mut told = String::new();
    loop {
        let now = read().await?;
        let rollout = Rollout::of(&now, generation);
        if rollout.is_over() {
            return Ok(Acted::Changed(format!("{deployment}: {rollout}")));
        }
        if let Some(why) = &rollout.stuck {
            return Err(ServiceError::Setup(format!(
                "{deployment}: {rollout}; Kubernetes counts it as failed: {why}"
            )));
        }
        let words = rollout.to_string();
        if words != told {
            tell(words.clone());
            told = words;
        }
        pause(end, cancel, || {
            format!("{deployment}: {told}; it goes on by itself")
        })
        .await?;
    }
}

/// Waits a little; an error with `state` when the time is up or nobody wants to wait any longer.
async fn pause(
    end: Instant,
    cancel: &CancellationToken,
    state: impl Fn() -> String,
) -> Result<(), ServiceError> {
    if Instant::now() + Duration::from_millis(1) >= end {
        return Err(ServiceError::Setup(format!(
            "the deadline is over: {}",
            state()
        )));
    }
    tokio::select! {
        () = tokio::time::sleep_until(end.min(Instant::now() + LOOK)) => Ok(()),
        () = cancel.cancelled() => Err(ServiceError::Setup(format!("stopped: {}", state()))),
    }
}

/// How far a deployment is.
#[derive(Debug, PartialEq, Eq)]
struct Rollout {
    /// Whether the counts are those of the change, and not of what was before.
    seen: bool,
    wanted: i32,
    new: i32,
    available: i32,
    /// Of whichever template.
    all: i32,
    /// Why the controller expects no more of it: its progress deadline has passed.
    stuck: Option<String>,
}

impl Rollout {
    fn of(deployment: &Deployment, generation: i64) -> Self {
        let status = deployment.status.clone().unwrap_or_default();
        let spec = deployment.spec.as_ref();
        let seen = status.observed_generation.unwrap_or_default() >= generation;
        let mut conditions = status.conditions.unwrap_or_default().into_iter();
        let failed = conditions.find(|one| {
            one.type_ == "Progressing" && one.reason.as_deref() == Some("ProgressDeadlineExceeded")
        });
        Self {
            seen,
            // Until the change is seen it is about what was before.
            stuck: failed
                .filter(|_| seen)
                .map(|one| brief(&one.message.unwrap_or_default())),
            wanted: spec.and_then(|spec| spec.replicas).unwrap_or(1),
            new: status.updated_replicas.unwrap_or_default(),
            available: status.available_replicas.unwrap_or_default(),
            all: status.replicas.unwrap_or_default(),
        }
    }

    /// `kubectl rollout status` decides in the same way.
    const fn is_over(&self) -> bool {
        self.seen && self.new >= self.wanted && self.all <= self.new && self.available >= self.new
    }
}

impl std::fmt::Display for Rollout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.seen {
            return f.write_str("waiting for the controller");
        }
        write!(
            f,
            "{} of {} pods are new, {} available",
            self.new, self.wanted, self.available
        )?;
        match self.all - self.new {
            old if old > 0 => write!(f, ", {old} of the old ones left"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
