//! What is read of workspaces: the example, each mistake as a person sees it, and input that nobody would write.

mod diagnostics;
mod hostile;
mod mistakes;
mod notifications;
mod schedules;
mod sound;
mod workspaces;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::domain::environment::Protection;
use crate::domain::node::{ClientConfig, Jump};
use crate::domain::service::SecretRef;
use crate::domain::stack::Stack;

/// The environment file of the platform's first description, as it is.
const ORIGINAL: &str = r#"# config/environments/production.yaml
environment:
  name: "production"
  
canonical:
  ubuntu_version: "22.04"
  microk8s_version: "1.28"
  juju_channel: "stable"
  
hashicorp:
  consul_version: "1.16"
  vault_version: "1.14"
  nomad_version: "1.6"
  
integration:
  service_mesh: true
  secrets_injection: true
  monitoring: true
"#;

/// Nothing wrong with it; tests change one thing.
const SOUND: &str = "\
environment:
  name: test
  stack: nomad
nodes:
  - name: pc1
    address: 192.0.2.1
    platform: rpi5-ubuntu
    roles: [consul-server, vault, nomad-server]
  - name: pc2
    address: 192.0.2.2
    platform: odroid-h4
    roles: [nomad-client]
services:
  - kind: consul
";

fn environment(
    text: &str,
) -> (
    Option<crate::domain::environment::Environment>,
    Vec<Diagnostic>,
) {
    environment_from(Path::new("environments/test.yaml"), text)
}

fn seen(text: &str) -> String {
    render(&environment(text).1, false)
}

/// The built-in recipes; with mistakes in none of their files.
fn recipes(_: &Path) -> Recipes {
    let source = |name: &str| {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("assets/recipes/{name}.yaml"));
        let (recipe, _) = recipe_from(&file, &std::fs::read_to_string(&file).unwrap());
        recipe.unwrap()
    };
    Recipes {
        known: ["deploy", "restart-unit", "verify"].map(source).to_vec(),
        broken: vec!["nightly".into()],
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}
