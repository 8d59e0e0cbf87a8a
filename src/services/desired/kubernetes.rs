//! Objects of Kubernetes, compared by the API server itself: what a server-side apply would leave, against what is there.
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/>, `dryRun=All`: "does not persist any changes".

use std::time::Duration;

use async_trait::async_trait;
use kube::api::{Api, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::core::ApiResource;
use kube::discovery::{self, Scope};
use serde_json::Value;

use super::super::kubernetes as adapter;
use super::{Compare, Wanted, not_declared};
use crate::domain::drift::{DriftSource, Drifted};
use crate::services::ServiceError;

/// Who owns the fields that are applied.
const MANAGER: &str = "quarterdeck";
/// What the server keeps in every object for itself.
const OWN: [&str; 6] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "uid",
    "selfLink",
];

/// Kubernetes as desired state.
pub(super) struct Kubernetes(pub(super) adapter::Kubernetes);

/// Whether an apply is carried out. Comparing has no way to say [`Persist::Yes`] but by writing it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Persist {
    DryRun,
    Yes,
}

/// An object of a manifest, and where it belongs.
struct Declared {
    object: DynamicObject,
    api: Api<DynamicObject>,
    name: String,
    /// As the board calls it, without the service.
    label: String,
}

impl Kubernetes {
    async fn declared(
        &self,
        wanted: &Wanted,
        until: adapter::Limit,
    ) -> Result<Vec<Declared>, ServiceError> {
        let mut all = Vec::new();
        for path in &wanted.desired.manifests {
            let wrong =
                |reason: String| ServiceError::Setup(format!("{}: {reason}", path.display()));
            let documents: Vec<Value> = serde_saphyr::from_multiple(wanted.text(path)?)
                .map_err(|error| wrong(error.to_string()))?;
            for document in documents.into_iter().filter(|document| !document.is_null()) {
                let object: DynamicObject = serde_json::from_value(document)
                    .map_err(|error| wrong(format!("not an object of Kubernetes: {error}")))?;
                all.push(
                    self.place(object, until)
                        .await
                        .map_err(|error| match error {
                            ServiceError::Setup(reason) => wrong(reason),
                            other => other,
                        })?,
                );
            }
        }
        Ok(all)
    }

    /// Finds out where an object belongs, as the server itself lists it.
    async fn place(
        &self,
        object: DynamicObject,
        until: adapter::Limit,
    ) -> Result<Declared, ServiceError> {
        let setup = |reason: &str| ServiceError::Setup(reason.to_owned());
        let types = object
            .types
            .clone()
            .ok_or_else(|| setup("no apiVersion and kind"))?;
        let name = object
            .metadata
            .name
            .clone()
            .ok_or_else(|| setup("no metadata.name"))?;
        let (group, version) = types
            .api_version
            .split_once('/')
            .unwrap_or(("", &types.api_version));
        let gvk = GroupVersionKind::gvk(group, version, &types.kind);
        let client = self.0.client();
        let found: (ApiResource, _) = until
            .hold(self.0.url(), discovery::pinned_kind(client, &gvk))
            .await?;
        let (resource, capabilities) = found;
        let namespace = object.metadata.namespace.clone();
        let (api, label) = if capabilities.scope == Scope::Namespaced {
            let namespace = namespace.unwrap_or_else(|| "default".into());
            (
                Api::namespaced_with(client.clone(), &namespace, &resource),
                format!("{}/{namespace}/{name}", types.kind),
            )
        } else {
            (
                Api::all_with(client.clone(), &resource),
                format!("{}/{name}", types.kind),
            )
        };
        Ok(Declared {
            object,
            api,
            name,
            label,
        })
    }

    async fn apply(
        &self,
        declared: &Declared,
        persist: Persist,
        until: adapter::Limit,
    ) -> Result<DynamicObject, ServiceError> {
        let params = PatchParams {
            dry_run: persist == Persist::DryRun,
            ..PatchParams::apply(MANAGER).force()
        };
        let patch = Patch::Apply(&declared.object);
        until
            .hold(
                self.0.url(),
                declared.api.patch(&declared.name, &params, &patch),
            )
            .await
    }
}

#[async_trait]
impl Compare for Kubernetes {
    async fn compare(
        &self,
        wanted: &Wanted,
        deadline: Duration,
    ) -> Result<Vec<Drifted>, ServiceError> {
        let until = adapter::Limit::after(deadline);
        let mut found = Vec::new();
        for declared in self.declared(wanted, until).await? {
            let object = format!("{}/{}", wanted.desired.service, declared.label);
            let there = until
                .hold(self.0.url(), declared.api.get_opt(&declared.name))
                .await?;
            let would = self.apply(&declared, Persist::DryRun, until).await?;
            match there {
                None => found.push(Drifted::new(
                    DriftSource::Kubernetes,
                    object,
                    "object",
                    "there",
                    "(no such object)",
                )),
                Some(there) => differences(&object, &plain(&would), &plain(&there), &mut found),
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
        let until = adapter::Limit::after(deadline);
        let all = self.declared(wanted, until).await?;
        let of_object =
            |one: &&Declared| format!("{}/{}", wanted.desired.service, one.label) == object;
        let declared = all
            .iter()
            .find(of_object)
            .ok_or_else(|| not_declared(object))?;
        self.apply(declared, Persist::Yes, until).await?;
        Ok(format!("PATCH {} (server-side apply)", declared.label))
    }
}

/// An object without what the server writes into it by itself.
fn plain(object: &DynamicObject) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        for own in OWN {
            metadata.remove(own);
        }
    }
    value
}

/// A row for each leaf that an apply would change.
fn differences(object: &str, wanted: &Value, there: &Value, found: &mut Vec<Drifted>) {
    let mut leaves = Vec::new();
    walk("", wanted, there, &mut leaves);
    found.extend(leaves.into_iter().map(|(path, wanted, there)| {
        Drifted::new(DriftSource::Kubernetes, object, path, wanted, there)
    }));
}

fn walk(path: &str, wanted: &Value, there: &Value, leaves: &mut Vec<(String, String, String)>) {
    if wanted == there {
        return;
    }
    let below = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    match (wanted, there) {
        (Value::Object(wanted), Value::Object(there)) => {
            let mut names: Vec<&String> = wanted.keys().chain(there.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let (wanted, there) = (wanted.get(name), there.get(name));
                walk(
                    &below(name),
                    wanted.unwrap_or(&Value::Null),
                    there.unwrap_or(&Value::Null),
                    leaves,
                );
            }
        }
        (Value::Array(wanted), Value::Array(there)) if wanted.len() == there.len() => {
            for (index, (wanted, there)) in wanted.iter().zip(there).enumerate() {
                walk(&below(&index.to_string()), wanted, there, leaves);
            }
        }
        _ => {
            let word = |value: &Value| match value {
                Value::Null => "(not set)".to_owned(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            leaves.push((path.to_owned(), word(wanted), word(there)));
        }
    }
}
