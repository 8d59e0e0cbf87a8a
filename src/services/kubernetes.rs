//! Kubernetes of any make, over its API server (<https://kubernetes.io/docs/reference/kubernetes-api/>).

mod act;
mod tables;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Node, Pod};
use kube::api::{Api, ListParams};
use kube::{Client, Config, ResourceExt as _};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

pub(super) use self::tables::VIEWS;
use super::{Acted, Service, ServiceError, Tell, ViewSpec, gather, not_mine};
use crate::domain::live::{Health, Members, Problem, ServiceReport};
use crate::domain::quorum::Voter;
use crate::domain::service::{Authority, ServiceSpec};
use crate::domain::service_action::ServiceAction;
use crate::domain::table::Table;

/// See the module.
pub(super) struct Kubernetes {
    client: Client,
    url: String,
}

/// Objects asked for at a time, and pages read at most: a list of more than 20,000 objects is cut.
const PAGE: u32 = 500;
const PAGES: usize = 40;

impl Kubernetes {
    /// An adapter that shows `token` to the API server.
    ///
    /// # Errors
    /// [`ServiceError::Setup`] when the URL or the authority cannot be used.
    pub(super) fn new(
        spec: &ServiceSpec,
        token: Option<SecretString>,
    ) -> Result<Self, ServiceError> {
        let setup = |reason: String| ServiceError::Setup(format!("{}: {reason}", spec.name));
        let url = spec
            .urls
            .first()
            .ok_or_else(|| setup("no URL; give it `url:`".into()))?
            .clone();
        let uri = url
            .parse()
            .map_err(|error| setup(format!("{url}: {error}")))?;
        let mut config = Config::new(uri);
        config.connect_timeout = Some(Duration::from_secs(5));
        config.root_cert_file = spec
            .ca
            .as_ref()
            .and_then(Authority::file)
            .map(PathBuf::from);
        config.auth_info.token = token;
        // The poller has its own backoff; hidden retries would only blur what is seen.
        config.default_retry = false;
        let client = Client::try_from(config).map_err(|error| setup(error.to_string()))?;
        Ok(Self { client, url })
    }

    /// What speaks to the API server.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Its base URL.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Reads a list to its end, page by page.
    async fn list<K>(&self, until: Limit) -> Result<Vec<K>, ServiceError>
    where
        K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let mut all = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        for _ in 0..PAGES {
            let page = until.hold(&self.url, api.list(&params)).await?;
            let next = page
                .metadata
                .continue_
                .clone()
                .filter(|token| !token.is_empty());
            all.extend(page.items);
            match next {
                Some(token) => params = ListParams::default().limit(PAGE).continue_token(&token),
                None => break,
            }
        }
        Ok(all)
    }
}

/// The moment by which an answer must be there.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    at: tokio::time::Instant,
    limit: Duration,
}

impl Limit {
    pub(super) fn after(limit: Duration) -> Self {
        Self {
            at: tokio::time::Instant::now() + limit,
            limit,
        }
    }

    pub(super) async fn hold<T>(
        self,
        url: &str,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, ServiceError> {
        match tokio::time::timeout_at(self.at, call).await {
            Ok(answer) => answer.map_err(|error| explain(url, error)),
            Err(_) => Err(ServiceError::Timeout {
                url: url.into(),
                limit: self.limit,
            }),
        }
    }
}

fn explain(url: &str, error: kube::Error) -> ServiceError {
    let url = url.to_owned();
    match error {
        kube::Error::Api(status) => {
            let reason = super::brief(&status.message);
            match status.code {
                code @ (401 | 403) => ServiceError::Denied {
                    url,
                    status: code,
                    reason,
                },
                code => ServiceError::Status {
                    url,
                    status: code,
                    reason,
                },
            }
        }
        kube::Error::SerdeError(error) => ServiceError::Malformed {
            url,
            reason: error.to_string(),
        },
        kube::Error::FromUtf8(error) => ServiceError::Malformed {
            url,
            reason: error.to_string(),
        },
        other => {
            // The outer messages only say "service error"; the root says "connection refused".
            let mut root: &dyn std::error::Error = &other;
            while let Some(cause) = root.source() {
                root = cause;
            }
            ServiceError::Unreachable {
                url,
                reason: root.to_string(),
            }
        }
    }
}

/// Whether the node's `Ready` condition is true, and its words when it is not.
fn readiness(node: &Node) -> Result<(), String> {
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    match conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
    {
        Some(ready) if ready.status == "True" => Ok(()),
        Some(ready) => Err(super::brief(
            ready.message.as_deref().unwrap_or("not ready"),
        )),
        None => Err("has never reported".into()),
    }
}

fn is_control_plane(node: &Node) -> bool {
    node.labels().keys().any(|label| {
        label == "node-role.kubernetes.io/control-plane"
            || label == "node-role.kubernetes.io/master"
    })
}

#[async_trait]
impl Service for Kubernetes {
    async fn report(&self, deadline: Duration) -> Result<ServiceReport, ServiceError> {
        let started = Instant::now();
        let until = Limit::after(deadline);
        let version = until
            .hold(&self.url, self.client.apiserver_version())
            .await?;
        let latency_ms = super::millis(started);
        let (nodes, pods, deployments) = tokio::join!(
            self.list::<Node>(until),
            self.list::<Pod>(until),
            self.list::<Deployment>(until)
        );
        let mut problems = Vec::new();
        let nodes = gather(nodes, "nodes", &mut problems).unwrap_or_default();
        let mut ready = 0;
        for node in &nodes {
            let name = node.name_any();
            match readiness(node) {
                Ok(()) => ready += 1,
                Err(reason) => problems.push(Problem {
                    key: format!("node:{name}"),
                    health: Health::Warn,
                    text: format!("node {name} is not ready: {reason}"),
                }),
            }
        }
        if !nodes.is_empty() && ready == 0 {
            let text = "no node is ready".into();
            problems.insert(
                0,
                Problem {
                    key: "no-nodes".into(),
                    health: Health::Down,
                    text,
                },
            );
        }
        let pods = gather(pods, "pods", &mut problems).unwrap_or_default();
        let running = pods.iter().filter(|pod| phase(pod) == "Running").count();
        for pod in pods.iter().filter(|pod| is_stuck(pod)) {
            let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
            problems.push(Problem {
                key: format!("pod:{namespace}/{name}"),
                health: Health::Warn,
                text: format!("pod {namespace}/{name}: {}", condition_of(pod)),
            });
        }
        for deployment in gather(deployments, "deployments", &mut problems).unwrap_or_default() {
            let wanted = deployment
                .spec
                .as_ref()
                .and_then(|spec| spec.replicas)
                .unwrap_or(1);
            let available = deployment
                .status
                .as_ref()
                .and_then(|status| status.available_replicas)
                .unwrap_or(0);
            if available < wanted {
                let (name, namespace) = (
                    deployment.name_any(),
                    deployment.namespace().unwrap_or_default(),
                );
                problems.push(Problem {
                    key: format!("deployment:{namespace}/{name}"),
                    health: Health::Warn,
                    text: format!(
                        "deployment {namespace}/{name}: {available} of {wanted} available"
                    ),
                });
            }
        }
        Ok(ServiceReport {
            health: super::worst(&problems),
            version: Some(version.git_version.trim_start_matches('v').to_owned()),
            leader: None,
            members: Some(Members {
                well: ready,
                total: super::count(nodes.len()),
            }),
            summary: format!(
                "{ready} of {} nodes ready, {running} of {} pods running",
                nodes.len(),
                pods.len()
            ),
            problems,
            latency_ms,
        })
    }

    fn views(&self) -> &'static [ViewSpec] {
        VIEWS
    }

    async fn act(
        &self,
        action: &ServiceAction,
        tell: Tell<'_>,
        cancel: &CancellationToken,
    ) -> Result<Acted, ServiceError> {
        match action {
            ServiceAction::Kubernetes(action) => self.carry_out(action, tell, cancel).await,
            other => Err(not_mine(other)),
        }
    }

    async fn voters(&self, deadline: Duration) -> Result<Option<Vec<Voter>>, ServiceError> {
        self.who_votes(deadline).await.map(Some)
    }

    async fn table(&self, view: &str, deadline: Duration) -> Result<Table, ServiceError> {
        let until = Limit::after(deadline);
        match view {
            "nodes" => Ok(tables::nodes(&self.list(until).await?)),
            "workloads" => {
                let (deployments, stateful_sets, daemon_sets) =
                    tokio::join!(self.list(until), self.list(until), self.list(until));
                Ok(tables::workloads(
                    &deployments?,
                    &stateful_sets?,
                    &daemon_sets?,
                ))
            }
            "pods" => Ok(tables::pods(&self.list(until).await?)),
            "events" => Ok(tables::events(self.list(until).await?)),
            "pvcs" => Ok(tables::claims(&self.list(until).await?)),
            "namespaces" => Ok(tables::namespaces(&self.list(until).await?)),
            other => Err(ServiceError::NoSuchView(other.into())),
        }
    }
}

fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("Unknown")
}

/// What `kubectl get pods` shows as status: a container's reason to wait, else the phase. Of a pod that no node can take, that.
fn condition_of(pod: &Pod) -> String {
    let Some(status) = &pod.status else {
        return phase(pod).to_owned();
    };
    let waits = |list: &Option<Vec<ContainerStatus>>| {
        let mut all = list.iter().flatten();
        all.find_map(|container| container.state.as_ref()?.waiting.as_ref()?.reason.clone())
    };
    // Those that wait for others in order say so, which is no reason.
    let begins =
        waits(&status.init_container_statuses).filter(|reason| reason != "PodInitializing");
    let conditions = status.conditions.iter().flatten();
    let unschedulable = || {
        conditions
            .filter(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
            .find_map(|condition| condition.reason.clone())
    };
    begins
        .map(|reason| format!("Init:{reason}"))
        .or_else(|| waits(&status.container_statuses))
        .or_else(|| status.reason.clone())
        .or_else(unschedulable)
        .unwrap_or_else(|| phase(pod).to_owned())
}

fn is_stuck(pod: &Pod) -> bool {
    phase(pod) == "Failed"
        || matches!(
            condition_of(pod).trim_start_matches("Init:"),
            "CrashLoopBackOff"
                | "ImagePullBackOff"
                | "ErrImagePull"
                | "CreateContainerConfigError"
                | "Unschedulable"
        )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn waiting(reason: &str) -> Value {
        json!([{
            "name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": reason}}
        }])
    }

    #[rstest]
    #[case::running(json!({"phase": "Running"}), "Running", false)]
    #[case::crashing(json!({"phase": "Running", "containerStatuses": waiting("CrashLoopBackOff")}), "CrashLoopBackOff", true)]
    #[case::being_made(json!({"phase": "Pending", "containerStatuses": waiting("ContainerCreating")}), "ContainerCreating", false)]
    #[case::without_its_image_to_begin_with(
        json!({
            "phase": "Pending", "initContainerStatuses": waiting("ImagePullBackOff"), "containerStatuses": waiting("PodInitializing")
        }),
        "Init:ImagePullBackOff",
        true
    )]
    #[case::beginning_in_order(
        json!({
            "phase": "Pending", "initContainerStatuses": waiting("PodInitializing"), "containerStatuses": waiting("PodInitializing")
        }),
        "PodInitializing",
        false
    )]
    #[case::too_large_for_every_node(
        json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}),
        "Unschedulable",
        true
    )]
    #[case::evicted(json!({"phase": "Failed", "reason": "Evicted"}), "Evicted", true)]
    fn a_pod_is_called_by_what_keeps_it(
        #[case] status: Value,
        #[case] word: &str,
        #[case] stuck: bool,
    ) {
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap();
        assert_eq!((condition_of(&pod).as_str(), is_stuck(&pod)), (word, stuck));
    }
}
