//! An environment and helpers for the tests of this room.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;

use super::{Matrices, Secrets, Workshop};
use crate::domain::environment::{Artifact, Environment, Protection};
use crate::domain::matrix::{Matrix, TaskMatrix};
use crate::domain::node::{Node, Role, SshAccess};
use crate::domain::plan::PlanRequest;
use crate::domain::platform::{Arch, Platform};
use crate::domain::service::{SecretRef, ServiceKind, ServiceSpec};
use crate::domain::stack::Stack;

/// Three Consul servers (two of them arm64) and a client.
pub(crate) fn staging() -> Environment {
    let node = |name: &str, host: u8, arch, role| Node {
        name: name.into(),
        address: format!("10.0.0.{host}"),
        platform: Platform::Generic,
        arch,
        roles: BTreeSet::from([role]),
        labels: BTreeMap::from([("rack".into(), format!("r{}", host % 2))]),
        ssh: SshAccess::default(),
    };
    let artifact = |file: &str, digit: &str| Artifact {
        source: format!("/srv/artifacts/{file}"),
        sha256: digit.repeat(64),
    };
    Environment {
        name: "staging".into(),
        protection: Protection::Confirm,
        marking: None,
        stack: Stack::Consul,
        versions: BTreeMap::from([("consul".into(), "1.8.7".into())]),
        nodes: vec![
            node("pc1", 1, Arch::Arm64, Role::ConsulServer),
            node("pc2", 2, Arch::Arm64, Role::ConsulServer),
            node("pc3", 3, Arch::Amd64, Role::ConsulServer),
            node("pc4", 4, Arch::Amd64, Role::ConsulClient),
        ],
        services: vec![ServiceSpec {
            name: "consul".into(),
            kind: ServiceKind::Consul,
            urls: vec!["http://10.0.0.1:8500".into()],
            nodes: vec!["pc1".into(), "pc2".into(), "pc3".into()],
            user: None,
            secret: None,
            ca: None,
        }],
        artifacts: BTreeMap::from([(
            "consul".into(),
            BTreeMap::from([
                (Arch::Amd64, artifact("consul_amd64.deb", "a")),
                (Arch::Arm64, artifact("consul_arm64.deb", "b")),
            ]),
        )]),
        variables: BTreeMap::from([("motd".into(), "hello".into())]),
        backups: crate::domain::backup::Backups::default(),
        desired: Vec::new(),
    }
}

/// A workshop in `dir` whose secrets are what they are called, and that shows nothing.
pub(super) fn workshop(dir: &std::path::Path) -> Workshop {
    Workshop {
        root: Some(dir.join("workspace")),
        run: dir.join("work"),
        tools: dir.join("tools"),
        secrets: Arc::new(Nothing),
        matrices: Arc::new(Nothing),
    }
}

struct Nothing;

#[async_trait]
impl Secrets for Nothing {
    async fn read(&self, reference: &SecretRef) -> Result<SecretString, String> {
        match reference {
            SecretRef::Env(name) => Ok(SecretString::from(name.clone())),
            _ => Err("there are no secrets here".into()),
        }
    }

    fn hide(&self, _: &str) {}

    fn clean(&self, text: String) -> String {
        text
    }
}

#[async_trait]
impl Matrices for Nothing {
    async fn show(&self, _: Matrix) {}

    fn shown(&self) -> Vec<TaskMatrix> {
        Vec::new()
    }
}

/// A request for `recipe` in [`staging`] without parameters.
pub(super) fn request(recipe: &str) -> PlanRequest {
    PlanRequest {
        environment: "staging".into(),
        recipe: recipe.into(),
        ..PlanRequest::default()
    }
}
