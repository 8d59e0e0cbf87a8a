//! Kubernetes of any make, over its API server (<https://kubernetes.io/docs/reference/kubernetes-api/>).

mod act;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Event, Namespace, Node, PersistentVolumeClaim, Pod};
use kube::api::{Api, ListParams};
use kube::{Client, Config, ResourceExt as _};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::{Acted, Service, ServiceError, Tell, ViewSpec, gather, not_mine};
use crate::domain::live::{Health, Members, Problem, ServiceReport};
use crate::domain::quorum::Voter;
use crate::domain::service::{Authority, ServiceSpec};
use crate::domain::service_action::ServiceAction;
use crate::domain::table::{Cell, Table, Tone};

/// See the module.
pub(super) struct Kubernetes {
    client: Client,
    url: String,
}

/// The lists of a Kubernetes cluster.
pub(super) const VIEWS: &[ViewSpec] = &[
    ViewSpec {
        id: "nodes",
        title: "Nodes",
    },
    ViewSpec {
        id: "workloads",
        title: "Workloads",
    },
    ViewSpec {
        id: "pods",
        title: "Pods",
    },
    ViewSpec {
        id: "events",
        title: "Events",
    },
    ViewSpec {
        id: "pvcs",
        title: "Volume claims",
    },
    ViewSpec {
        id: "namespaces",
        title: "Namespaces",
    },
];

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
            "nodes" => Ok(nodes(&self.list(until).await?)),
            "workloads" => {
                let (deployments, stateful_sets, daemon_sets) =
                    tokio::join!(self.list(until), self.list(until), self.list(until));
                Ok(workloads(&deployments?, &stateful_sets?, &daemon_sets?))
            }
            "pods" => Ok(pods(&self.list(until).await?)),
            "events" => Ok(events(self.list(until).await?)),
            "pvcs" => Ok(claims(&self.list(until).await?)),
            "namespaces" => Ok(namespaces(&self.list(until).await?)),
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

/// What `kubectl get pods` shows as status: a container's reason to wait, else the phase.
fn condition_of(pod: &Pod) -> String {
    let containers = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_deref())
        .unwrap_or_default();
    containers
        .iter()
        .find_map(|container| container.state.as_ref()?.waiting.as_ref()?.reason.clone())
        .or_else(|| pod.status.as_ref()?.reason.clone())
        .unwrap_or_else(|| phase(pod).to_owned())
}

fn is_stuck(pod: &Pod) -> bool {
    phase(pod) == "Failed"
        || matches!(
            condition_of(pod).as_str(),
            "CrashLoopBackOff"
                | "ImagePullBackOff"
                | "ErrImagePull"
                | "CreateContainerConfigError"
                | "Unschedulable"
        )
}

/// Ready and all containers, and restarts.
fn containers(pod: &Pod) -> (usize, usize, i32) {
    let list = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_deref())
        .unwrap_or_default();
    let ready = list.iter().filter(|container| container.ready).count();
    (
        ready,
        list.len(),
        list.iter().map(|container| container.restart_count).sum(),
    )
}

fn nodes(list: &[Node]) -> Table {
    let mut table = Table::new(
        "Nodes",
        ["NODE", "STATE", "ROLE", "VERSION", "ARCH", "OS", "ADDRESS"],
        "no node has joined",
    );
    for node in list {
        let cordoned = node
            .spec
            .as_ref()
            .and_then(|spec| spec.unschedulable)
            .unwrap_or(false);
        let state = match (readiness(node), cordoned) {
            (Ok(()), false) => Cell::new("ready", Tone::Good),
            (Ok(()), true) => Cell::new("ready, cordoned", Tone::Warn),
            (Err(reason), _) => Cell::new(format!("not ready: {reason}"), Tone::Bad),
        };
        let status = node.status.as_ref();
        let info = status.and_then(|status| status.node_info.as_ref());
        let address = status
            .and_then(|status| status.addresses.as_deref())
            .and_then(|addresses| {
                addresses
                    .iter()
                    .find(|address| address.type_ == "InternalIP")
            })
            .map_or("-", |address| address.address.as_str());
        let role = if is_control_plane(node) {
            Cell::new("control plane", Tone::Accent)
        } else {
            Cell::plain("worker")
        };
        table.push(
            node.name_any(),
            [
                node.name_any().into(),
                state,
                role,
                info.map_or("-", |info| info.kubelet_version.trim_start_matches('v'))
                    .into(),
                info.map_or("-", |info| info.architecture.as_str()).into(),
                info.map_or("-", |info| info.os_image.as_str()).into(),
                address.into(),
            ],
        );
    }
    table
}

fn workloads(
    deployments: &[Deployment],
    stateful_sets: &[StatefulSet],
    daemon_sets: &[DaemonSet],
) -> Table {
    let columns = ["NAMESPACE", "NAME", "KIND", "READY", "WANTED"];
    let mut table = Table::new("Workloads", columns, "nothing has been deployed");
    let mut add = |kind: &str, namespace: Option<String>, name: String, ready: i32, wanted: i32| {
        let namespace = namespace.unwrap_or_default();
        let tone = if ready >= wanted {
            Tone::Good
        } else {
            Tone::Bad
        };
        table.push(
            format!("{kind}/{namespace}/{name}"),
            [
                namespace.into(),
                name.into(),
                kind.into(),
                Cell::new(ready.to_string(), tone),
                wanted.to_string().into(),
            ],
        );
    };
    for item in deployments {
        let wanted = item
            .spec
            .as_ref()
            .and_then(|spec| spec.replicas)
            .unwrap_or(1);
        let ready = item
            .status
            .as_ref()
            .and_then(|status| status.ready_replicas)
            .unwrap_or(0);
        add(
            "Deployment",
            item.namespace(),
            item.name_any(),
            ready,
            wanted,
        );
    }
    for item in stateful_sets {
        let wanted = item
            .spec
            .as_ref()
            .and_then(|spec| spec.replicas)
            .unwrap_or(1);
        let ready = item
            .status
            .as_ref()
            .and_then(|status| status.ready_replicas)
            .unwrap_or(0);
        add(
            "StatefulSet",
            item.namespace(),
            item.name_any(),
            ready,
            wanted,
        );
    }
    for item in daemon_sets {
        let status = item.status.as_ref();
        let ready = status.map_or(0, |status| status.number_ready);
        let wanted = status.map_or(0, |status| status.desired_number_scheduled);
        add(
            "DaemonSet",
            item.namespace(),
            item.name_any(),
            ready,
            wanted,
        );
    }
    table
}

fn pods(list: &[Pod]) -> Table {
    let columns = ["NAMESPACE", "POD", "STATE", "READY", "RESTARTS", "NODE"];
    let mut table = Table::new("Pods", columns, "there are no pods");
    for pod in list {
        let (ready, all, restarts) = containers(pod);
        let condition = condition_of(pod);
        let tone = match condition.as_str() {
            "Running" | "Succeeded" if ready == all || condition == "Succeeded" => Tone::Good,
            "Running" | "Pending" | "ContainerCreating" => Tone::Warn,
            _ => Tone::Bad,
        };
        let node = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.node_name.clone())
            .unwrap_or_else(|| "-".into());
        table.push(
            format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any()),
            [
                pod.namespace().unwrap_or_default().into(),
                pod.name_any().into(),
                Cell::new(condition, tone),
                format!("{ready}/{all}").into(),
                Cell::new(
                    restarts.to_string(),
                    if restarts > 5 {
                        Tone::Warn
                    } else {
                        Tone::Plain
                    },
                ),
                node.into(),
            ],
        );
    }
    table
}

fn events(mut list: Vec<Event>) -> Table {
    let columns = ["LAST SEEN", "TYPE", "OBJECT", "REASON", "MESSAGE"];
    let mut table = Table::new("Events", columns, "no recent events");
    let seen = |event: &Event| {
        event
            .last_timestamp
            .as_ref()
            .map(|time| time.0.to_string())
            .unwrap_or_default()
    };
    list.sort_by_key(|event| std::cmp::Reverse(seen(event)));
    for event in list {
        let kind = event.type_.clone().unwrap_or_default();
        let tone = if kind == "Warning" {
            Tone::Warn
        } else {
            Tone::Muted
        };
        let object = &event.involved_object;
        table.push(
            format!(
                "{}/{}",
                event.namespace().unwrap_or_default(),
                event.name_any()
            ),
            [
                seen(&event).chars().take(19).collect::<String>().into(),
                Cell::new(kind, tone),
                format!(
                    "{}/{}",
                    object.kind.as_deref().unwrap_or("-"),
                    object.name.as_deref().unwrap_or("-")
                )
                .into(),
                event.reason.clone().unwrap_or_default().into(),
                super::brief(event.message.as_deref().unwrap_or_default()).into(),
            ],
        );
    }
    table
}

fn claims(list: &[PersistentVolumeClaim]) -> Table {
    let columns = ["NAMESPACE", "CLAIM", "STATE", "CLASS", "SIZE"];
    let mut table = Table::new("Volume claims", columns, "there are no volume claims");
    for claim in list {
        let phase = claim
            .status
            .as_ref()
            .and_then(|status| status.phase.clone())
            .unwrap_or_default();
        let tone = match phase.as_str() {
            "Bound" => Tone::Good,
            "Lost" => Tone::Bad,
            _ => Tone::Warn,
        };
        let class = claim
            .spec
            .as_ref()
            .and_then(|spec| spec.storage_class_name.clone());
        let size = claim
            .status
            .as_ref()
            .and_then(|status| status.capacity.as_ref())
            .and_then(|capacity| capacity.get("storage"))
            .map_or_else(|| "-".into(), |quantity| quantity.0.clone());
        table.push(
            format!(
                "{}/{}",
                claim.namespace().unwrap_or_default(),
                claim.name_any()
            ),
            [
                claim.namespace().unwrap_or_default().into(),
                claim.name_any().into(),
                Cell::new(phase, tone),
                class.unwrap_or_else(|| "-".into()).into(),
                size.into(),
            ],
        );
    }
    table
}

fn namespaces(list: &[Namespace]) -> Table {
    let mut table = Table::new(
        "Namespaces",
        ["NAMESPACE", "STATE"],
        "there are no namespaces",
    );
    for namespace in list {
        let phase = namespace
            .status
            .as_ref()
            .and_then(|status| status.phase.clone())
            .unwrap_or_default();
        let tone = if phase == "Active" {
            Tone::Good
        } else {
            Tone::Warn
        };
        table.push(
            namespace.name_any(),
            [namespace.name_any().into(), Cell::new(phase, tone)],
        );
    }
    table
}
