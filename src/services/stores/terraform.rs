//! The state of a Terraform configuration, by `terraform` itself, so that any backend will do
//! (<https://developer.hashicorp.com/terraform/cli/commands/state/pull>). A state holds secrets: recipients are worth having.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::tools::{Tools, failed};
use super::{Given, Store};
use crate::domain::backup::StoreSpec;
use crate::domain::snapshot::{Inventory, Snapshot};
use crate::services::ServiceError;
use crate::services::contents::{TerraformResource, TerraformState};
use crate::services::intake::Intake;
use crate::transport::Host;

/// See the module.
pub(super) struct Terraform {
    directory: String,
    tools: Tools,
}

impl Terraform {
    pub(super) fn new(spec: &StoreSpec, host: Arc<dyn Host>) -> Result<Self, ServiceError> {
        let directory = spec.directory.as_ref().ok_or_else(|| {
            ServiceError::Setup(format!(
                "{} has no `directory`, where its Terraform configuration is",
                spec.name
            ))
        })?;
        Ok(Self {
            directory: format!("-chdir={}", directory.display()),
            tools: Tools { host, secret: None },
        })
    }

    async fn pull(&self, deadline: Duration) -> Result<Vec<u8>, ServiceError> {
        let argv = ["terraform", &self.directory, "state", "pull"];
        Ok(self.tools.output(&argv, deadline).await?.stdout)
    }
}

#[async_trait]
impl Store for Terraform {
    async fn take(
        &self,
        intake: &mut Intake,
        cancel: &CancellationToken,
    ) -> Result<Given, ServiceError> {
        let argv = ["terraform", &self.directory, "state", "pull"];
        self.tools.pour(&argv, intake, None, cancel).await?;
        Ok(Given {
            from: self.directory.replace("-chdir=", ""),
            ..Given::default()
        })
    }

    async fn inventory(&self, deadline: Duration) -> Result<Inventory, ServiceError> {
        let bytes = self.pull(deadline).await?;
        // Nothing was ever applied.
        if bytes.trim_ascii().is_empty() {
            return Ok(Inventory::default());
        }
        resources(&bytes).map_err(|reason| failed("terraform", &reason))
    }

    /// As the next change of the state that is there: Terraform refuses one that is older, and never mixes two lineages.
    async fn restore(
        &self,
        snapshot: &Snapshot,
        file: &Path,
        _: &CancellationToken,
    ) -> Result<(), ServiceError> {
        let now = self.pull(super::LOOK).await?;
        let bytes = tokio::fs::read(file)
            .await
            .map_err(|error| failed("terraform", &error.to_string()))?;
        let mut state: Value = serde_json::from_slice(&bytes)
            .map_err(|error| failed("terraform", &error.to_string()))?;
        if !now.trim_ascii().is_empty() {
            let now = TerraformState::read(&now)
                .map_err(|flaw| failed("terraform", &format!("the state that is there: {flaw}")))?;
            if state["lineage"].as_str() != Some(now.lineage.as_str()) {
                return Err(failed(
                    "terraform",
                    &format!(
                        "snapshot {} is of another lineage than the state that is there: it is of another infrastructure",
                        snapshot.id()
                    ),
                ));
            }
            state["serial"] = (now.serial + 1).into();
        }
        let mut next =
            tempfile::NamedTempFile::new_in(file.parent().unwrap_or_else(|| Path::new(".")))
                .map_err(|error| failed("terraform", &error.to_string()))?;
        std::io::Write::write_all(&mut next, state.to_string().as_bytes())
            .map_err(|error| failed("terraform", &error.to_string()))?;
        let next = next.path().display().to_string();
        let argv = ["terraform", &self.directory, "state", "push", &next];
        self.tools.output(&argv, super::RESTORE).await.map(|_| ())
    }
}

/// The resources of a state by address.
pub(super) fn resources(bytes: &[u8]) -> Result<Inventory, String> {
    let state = TerraformState::read(bytes).map_err(|flaw| flaw.to_string())?;
    let mut held = Inventory::default();
    for resource in &state.resources {
        for instance in &resource.instances {
            let mark = crate::domain::hex(
                &Sha256::digest(instance["attributes"].to_string().as_bytes())[..8],
            );
            held.add("resource", &address(resource, instance), mark);
        }
    }
    held.blind.push(
        "what the resources themselves are like: a state is only what Terraform last saw".into(),
    );
    Ok(held)
}

/// As Terraform writes it: `module.net.aws_subnet.a["x"]`.
fn address(resource: &TerraformResource, instance: &Value) -> String {
    let mut address = String::new();
    if let Some(module) = &resource.module {
        address.push_str(module);
        address.push('.');
    }
    if resource.mode == "data" {
        address.push_str("data.");
    }
    address.push_str(&resource.kind);
    address.push('.');
    address.push_str(&resource.name);
    match &instance["index_key"] {
        Value::Null => {}
        // Writing to a String cannot fail.
        key => drop(write!(address, "[{key}]")),
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_called_by_their_addresses_and_marked_by_their_attributes() {
        let state = |size: u32| {
            format!(
                r#"{{"version":4,"serial":3,"lineage":"l","resources":[
                {{"module":"module.net","mode":"managed","type":"terraform_data","name":"a","instances":[
                  {{"index_key":"x","attributes":{{"size":{size}}}}},{{"index_key":1,"attributes":{{}}}}]}},
                {{"mode":"data","type":"local_file","name":"b","instances":[{{"attributes":{{}}}}]}}]}}"#
            )
        };
        let (one, two) = (
            resources(state(1).as_bytes()).unwrap(),
            resources(state(2).as_bytes()).unwrap(),
        );
        let names: Vec<&String> = one.items.keys().collect();
        assert_eq!(
            names,
            [
                "resource data.local_file.b",
                "resource module.net.terraform_data.a[\"x\"]",
                "resource module.net.terraform_data.a[1]",
            ]
        );
        let changed: Vec<&String> = one
            .items
            .iter()
            .filter(|(name, mark)| two.items[*name] != **mark)
            .map(|(name, _)| name)
            .collect();
        assert_eq!(changed, ["resource module.net.terraform_data.a[\"x\"]"]);
        assert!(resources(b"{}").is_err());
    }
}
