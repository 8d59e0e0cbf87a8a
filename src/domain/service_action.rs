//! What services can be told to do: one enum per system, written in a recipe as data.
//!
//! ```yaml
//! service:
//!   name: nomad
//!   do: { nomad: { drain: { node: pc4, deadline: 30m } } }
//! ```
//!
//! Here stands what each action means and which requests it makes, so that a plan can show them before anything is asked;
//! the adapters carry them out. Adding an action is a variant here and an arm in its adapter.

use std::time::Duration;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::service::ServiceKind;

/// Something that a service is told to do. Its fields are texts, because they may be templates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ServiceAction {
    /// Consul.
    Consul(ConsulAction),
    /// Nomad.
    Nomad(NomadAction),
    /// Kubernetes of any make.
    Kubernetes(KubernetesAction),
    /// etcd.
    Etcd(EtcdAction),
}

/// What Consul can be told, over [its HTTP API](https://developer.hashicorp.com/consul/api-docs/agent).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ConsulAction {
    /// Make the cluster forget a member that has failed or left.
    ForceLeave {
        /// The member.
        node: String,
    },
    /// Let whoever shows a secret as his token do what the rules say, and nothing else.
    Grant {
        /// What the token's policy is called.
        name: String,
        /// The secret, a UUID: `{{ secret("consul-traefik", "uuid") }}`.
        secret: String,
        /// The rules, as [Consul writes them](https://developer.hashicorp.com/consul/docs/security/acl/acl-rules).
        rules: String,
    },
}

/// What Nomad can be told, over [its HTTP API](https://developer.hashicorp.com/nomad/api-docs/nodes).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum NomadAction {
    /// Move the allocations of a client elsewhere, and wait until that is done.
    Drain {
        /// The client.
        node: String,
        /// How long allocations may take before they are stopped, such as `30m`; `0s` does not wait for them.
        deadline: String,
    },
    /// Place nothing new on a client, or do so again.
    Eligibility {
        /// The client.
        node: String,
        /// `eligible` or `ineligible`.
        is: String,
    },
    /// Make the cluster forget a client that is down.
    Purge {
        /// The client.
        node: String,
    },
    /// Make the servers forget one of them that has failed or left.
    ForceLeave {
        /// The server.
        node: String,
    },
}

/// What a Kubernetes cluster can be told, over [its API](https://kubernetes.io/docs/reference/kubernetes-api/).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum KubernetesAction {
    /// Place no new pods on a node.
    Cordon {
        /// The node.
        node: String,
    },
    /// Place pods on a node again.
    Uncordon {
        /// The node.
        node: String,
    },
    /// Cordon a node, then evict its pods, as their disruption budgets allow.
    Drain {
        /// The node.
        node: String,
        /// How long that may take, such as `10m`.
        deadline: String,
    },
    /// Take a node out of the cluster.
    Delete {
        /// The node.
        node: String,
    },
    /// Evict one pod, so that what manages it makes another; refused for a pod that nothing manages.
    Evict {
        /// The pod, as `NAMESPACE/NAME`.
        pod: String,
        /// How long its disruption budget is waited for, such as `2m`.
        deadline: String,
    },
    /// Make every pod of a deployment anew, as fast as it allows, and wait until all of them are available.
    Restart {
        /// The deployment, as `NAMESPACE/NAME`.
        deployment: String,
        /// How long that may take, such as `10m`.
        deadline: String,
    },
}

/// What etcd can be told, over [its API](https://etcd.io/docs/v3.5/dev-guide/api_reference_v3/).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum EtcdAction {
    /// Forget old revisions, defragment one member after the other, and disarm the alarm NOSPACE.
    Reclaim {},
}

impl ServiceAction {
    /// The kind of service that can do it.
    pub const fn kind(&self) -> ServiceKind {
        match self {
            Self::Consul(_) => ServiceKind::Consul,
            Self::Nomad(_) => ServiceKind::Nomad,
            Self::Kubernetes(_) => ServiceKind::Kubernetes,
            Self::Etcd(_) => ServiceKind::Etcd,
        }
    }

    /// What it does, as in "would …".
    pub fn phrase(&self) -> String {
        match self {
            Self::Consul(ConsulAction::ForceLeave { node }) => {
                format!("make Consul forget the member {node}")
            }
            Self::Consul(ConsulAction::Grant { name, .. }) => {
                format!("give Consul a token for {name}, and the policy that it follows")
            }
            Self::Nomad(action) => match action {
                NomadAction::Drain { node, deadline } => {
                    format!("drain the Nomad client {node} within {deadline}")
                }
                NomadAction::Eligibility { node, is } => {
                    format!("make the Nomad client {node} {is}")
                }
                NomadAction::Purge { node } => format!("make Nomad forget the client {node}"),
                NomadAction::ForceLeave { node } => {
                    format!("make Nomad forget the server {node}")
                }
            },
            Self::Kubernetes(action) => match action {
                KubernetesAction::Cordon { node } => format!("cordon the Kubernetes node {node}"),
                KubernetesAction::Uncordon { node } => {
                    format!("uncordon the Kubernetes node {node}")
                }
                KubernetesAction::Drain { node, deadline } => {
                    format!("drain the Kubernetes node {node} within {deadline}")
                }
                KubernetesAction::Delete { node } => {
                    format!("take the node {node} out of Kubernetes")
                }
                KubernetesAction::Evict { pod, .. } => {
                    format!("evict the pod {pod}, which is made anew")
                }
                KubernetesAction::Restart {
                    deployment,
                    deadline,
                } => {
                    format!("make the pods of {deployment} anew within {deadline}")
                }
            },
            Self::Etcd(EtcdAction::Reclaim {}) => {
                "forget etcd's old revisions, defragment each member and disarm NOSPACE".into()
            }
        }
    }

    /// The requests that change something, in order; `ID` stands for what has to be looked up.
    pub fn requests(&self) -> Vec<String> {
        match self {
            Self::Consul(ConsulAction::ForceLeave { node }) => {
                vec![format!("PUT /v1/agent/force-leave/{node}?prune")]
            }
            Self::Consul(ConsulAction::Grant { name, rules, .. }) => vec![
                format!("PUT /v1/acl/policy (name {name}: {})", rules.trim()),
                format!("PUT /v1/acl/token (policy {name})"),
            ],
            Self::Nomad(action) => match action {
                NomadAction::Drain { node, deadline } => vec![format!(
                    "POST /v1/node/ID/drain (ID of {node}, deadline {deadline})"
                )],
                NomadAction::Eligibility { node, is } => {
                    vec![format!("POST /v1/node/ID/eligibility (ID of {node}, {is})")]
                }
                NomadAction::Purge { node } => {
                    vec![format!("POST /v1/node/ID/purge (ID of {node})")]
                }
                NomadAction::ForceLeave { node } => {
                    vec![format!(
                        "PUT /v1/agent/force-leave?node={node}.REGION&prune=true"
                    )]
                }
            },
            Self::Kubernetes(action) => match action {
                KubernetesAction::Cordon { node } => {
                    vec![format!(
                        "PATCH /api/v1/nodes/{node} (spec.unschedulable: true)"
                    )]
                }
                KubernetesAction::Uncordon { node } => {
                    vec![format!(
                        "PATCH /api/v1/nodes/{node} (spec.unschedulable: false)"
                    )]
                }
                KubernetesAction::Drain { node, .. } => vec![
                    format!("PATCH /api/v1/nodes/{node} (spec.unschedulable: true)"),
                    format!("POST /api/v1/namespaces/*/pods/*/eviction (each pod on {node})"),
                ],
                KubernetesAction::Delete { node } => {
                    vec![format!("DELETE /api/v1/nodes/{node}")]
                }
                KubernetesAction::Evict { pod, .. } => {
                    vec![format!("POST eviction of the pod {pod}")]
                }
                KubernetesAction::Restart { deployment, .. } => vec![format!(
                    "PATCH deployment {deployment} (annotation kubectl.kubernetes.io/restartedAt of its template)"
                )],
            },
            Self::Etcd(EtcdAction::Reclaim {}) => vec![
                "POST /v3/kv/compaction".into(),
                "POST /v3/maintenance/defragment (each member)".into(),
                "POST /v3/maintenance/alarm (DEACTIVATE NOSPACE)".into(),
            ],
        }
    }
}

/// The longest that anything is waited for. What is longer is a slip of the keyboard, and no clock could tell its end.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Reads a length of time as recipes write it: a year at most.
///
/// # Errors
/// A sentence that shows how one is written.
pub fn length(text: &str) -> Result<Duration, String> {
    let read = text.trim().parse::<SignedDuration>().ok();
    let read = read.and_then(|length| Duration::try_from(length).ok());
    match read {
        Some(length) if length <= LONGEST => Ok(length),
        Some(_) => Err(format!(
            "{text:?} is longer than a year: write 90s, 30m or 1h30m"
        )),
        None => Err(format!(
            "{text:?} is no length of time: write 90s, 30m or 1h30m"
        )),
    }
}

/// The namespace and the name of an object that is told as `NAMESPACE/NAME`.
///
/// # Errors
/// A sentence that shows how one is written.
pub fn namespaced(text: &str) -> Result<(&str, &str), String> {
    text.split_once('/')
        .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty())
        .filter(|(_, name)| !name.contains('/'))
        .ok_or_else(|| format!("{text:?} names nothing: write NAMESPACE/NAME"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_written_as_system_and_verb() {
        let text = r#"{"nomad": {"drain": {"node": "pc4", "deadline": "30m"}}}"#;
        let action: ServiceAction = serde_json::from_str(text).unwrap();
        assert_eq!(action.kind(), ServiceKind::Nomad);
        assert_eq!(action.phrase(), "drain the Nomad client pc4 within 30m");
        assert!(action.requests()[0].starts_with("POST /v1/node/ID/drain"));
    }

    #[test]
    fn an_action_that_its_system_does_not_have_is_refused() {
        for text in [
            r#"{"nomad": {"unseal": {"node": "pc4"}}}"#,
            r#"{"consul": {"force-leave": {}}}"#,
            r#"{"redis": {"flush": {}}}"#,
        ] {
            assert!(
                serde_json::from_str::<ServiceAction>(text).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_length_of_time_has_a_unit() {
        assert_eq!(length("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(length("0s"), Ok(Duration::ZERO));
        assert!(length("90").unwrap_err().contains("30m"));
        assert!(length("-1s").is_err());
        // No clock reaches this far, and adding it to the time of day would end the program.
        for far in ["9000000000000000s", "9000h"] {
            assert!(length(far).unwrap_err().contains("longer than a year"));
        }
    }
}
