//! The workspace that describes the lab: the files an operator would have written, so that the cockpit reads the lab the
//! way it reads any cluster.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use secrecy::{ExposeSecret as _, SecretString};

use super::artifacts::Artifact;
use super::services::Endpoint;
use super::ssh::Door;
use super::world::NodeInfo;
use crate::domain::service::ServiceKind;
use crate::domain::stack::Stack;

/// The name of the lab's environment.
pub(super) const ENVIRONMENT: &str = "lab";

/// The policy that the lab's Vault has from the beginning.
const POLICY: &str = "path \"sys/metrics\" {\n    capabilities = [\"read\"]\n}\n";
/// A job that the lab's Nomad has from the beginning.
const JOB: &str = r#"{
  "Job": {
    "ID": "web",
    "Name": "web",
    "Type": "service",
    "Priority": 50,
    "TaskGroups": [{ "Name": "web", "Count": 3 }]
  }
}
"#;

/// A config map that the lab's Kubernetes has from the beginning.
const MANIFEST: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: shop, namespace: default }\ndata:\n  colour: green\n";

/// What the services hold from the beginning, declared: drift is what is changed afterwards.
fn desired(services: &[Endpoint]) -> String {
    let has = |kind| services.iter().any(|service| service.kind == kind);
    let mut text = String::new();
    for (kind, lines) in [
        (
            ServiceKind::Consul,
            "  - service: consul\n    kv:\n      config/web/motd: Welcome aboard\n      config/web/max-connections: \"256\"\n",
        ),
        (
            ServiceKind::Vault,
            "  - service: vault\n    policies:\n      metrics: ../policies/metrics.hcl\n    mounts: [{ path: secret, type: kv, options: { version: \"2\" } }]\n",
        ),
        (
            ServiceKind::Nomad,
            "  - service: nomad\n    jobs: [../jobs/web.json]\n",
        ),
        (
            ServiceKind::Kubernetes,
            "  - service: kubernetes\n    manifests: [../k8s/shop.yaml]\n",
        ),
    ] {
        if has(kind) {
            text.push_str(lines);
        }
    }
    if text.is_empty() {
        return text;
    }
    format!("\ndesired:\n{text}")
}

/// Everything the workspace tells.
pub(super) struct Contents<'a> {
    pub(super) stack: Stack,
    pub(super) nodes: &'a [NodeInfo],
    pub(super) doors: &'a [Door],
    pub(super) services: &'a [Endpoint],
    pub(super) unseal_shares: &'a [SecretString],
    pub(super) artifacts: &'a [Artifact],
    pub(super) client_key: &'a PrivateKey,
}

/// Writes the workspace into `dir`, replacing what an earlier lab left there.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn write(dir: &Path, contents: &Contents<'_>) -> io::Result<()> {
    for folder in ["environments", "ssh", "secrets", "policies", "jobs", "k8s"] {
        fs::create_dir_all(dir.join(folder))?;
    }
    let key = contents
        .client_key
        .to_openssh(LineEnding::LF)
        .map_err(io::Error::other)?;
    private(&dir.join("ssh/id_ed25519"), key.as_bytes())?;
    fs::write(dir.join("ssh/known_hosts"), known_hosts(contents.doors)?)?;
    for service in contents.services {
        if let Some(secret) = &service.secret {
            let file = dir.join(format!("secrets/{}", service.kind));
            private(&file, format!("{}\n", secret.expose_secret()).as_bytes())?;
        }
    }
    // What an operator would keep in a safe, for practising the unseal ceremony. A Vault that is new has none yet.
    let safe = dir.join("secrets/vault-unseal-shares");
    if contents.unseal_shares.is_empty() {
        absent(&safe)?;
    } else {
        let shares: String = contents
            .unseal_shares
            .iter()
            .flat_map(|share| [share.expose_secret(), "\n"])
            .collect();
        private(&safe, shares.as_bytes())?;
    }
    fs::write(
        dir.join("quarterdeck.yaml"),
        "# A practice cluster. Everything here is simulated and made anew each time the lab starts.\n\
         name: lab\ndefault_environment: lab\n\npoll:\n  nodes: 2s\n  services: 2s\n",
    )?;
    fs::write(dir.join("policies/metrics.hcl"), POLICY)?;
    fs::write(dir.join("jobs/web.json"), JOB)?;
    fs::write(dir.join("k8s/shop.yaml"), MANIFEST)?;
    fs::write(
        dir.join(format!("environments/{ENVIRONMENT}.yaml")),
        environment(contents),
    )
}

/// Writes a file that only its owner can read, from its first byte on.
fn private(path: &Path, content: &[u8]) -> io::Result<()> {
    absent(path)?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(content)
}

fn absent(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn known_hosts(doors: &[Door]) -> io::Result<String> {
    let mut text = String::new();
    for door in doors {
        let key = door.host_key.to_openssh().map_err(io::Error::other)?;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "[{}]:{} {key}",
            door.address.ip(),
            door.address.port()
        );
    }
    Ok(text)
}

fn environment(contents: &Contents<'_>) -> String {
    let mut versions = String::new();
    let mut last = "";
    for artifact in contents.artifacts {
        if artifact.software != last {
            // Writing to a String cannot fail.
            let _ = writeln!(
                versions,
                "  {}: {:?}",
                artifact.software,
                upstream(artifact.version)
            );
            last = artifact.software;
        }
    }
    let mut text = format!(
        "environment:\n  name: {ENVIRONMENT}\n  marking: LAB\n  protection: confirm\n  stack: {}\n\n\
         versions:\n{versions}\n\
         ssh:\n  user: root\n  identities: [../ssh/id_ed25519]\n  known_hosts: ../ssh/known_hosts\n  jump: none\n  config: none\n\nnodes:\n",
        contents.stack,
    );
    for node in contents.nodes {
        let Some(door) = contents.doors.iter().find(|door| door.node == node.name) else {
            continue;
        };
        let roles: Vec<&str> = node.roles.iter().map(|role| role.word()).collect();
        // Writing to a String cannot fail, here and below.
        let _ = write!(
            text,
            "  - name: {}\n    address: {}\n    platform: {}\n    roles: [{}]\n    labels:\n      lan: {:?}\n    \
             ssh:\n      port: {}\n",
            node.name,
            door.address.ip(),
            node.platform,
            roles.join(", "),
            node.address.to_string(),
            door.address.port(),
        );
    }
    if !contents.services.is_empty() {
        text.push_str("\nservices:\n");
    }
    for service in contents.services {
        let _ = write!(
            text,
            "  - kind: {}\n    urls: [{}]\n    nodes: [{}]\n",
            service.kind,
            service.urls.join(", "),
            service.nodes.join(", "),
        );
        if let Some(user) = &service.user {
            let _ = writeln!(text, "    user: {user:?}");
        }
        if service.secret.is_some() {
            let _ = writeln!(text, "    secret:\n      file: ../secrets/{}", service.kind);
        }
    }
    text.push_str(&desired(contents.services));
    text.push_str("\nartifacts:\n");
    let mut last = "";
    for artifact in contents.artifacts {
        if artifact.software != last {
            let _ = writeln!(text, "  {}:", artifact.software);
            last = artifact.software;
        }
        let _ = write!(
            text,
            "    {}:\n      source: {}\n      sha256: {}\n",
            artifact.arch, artifact.url, artifact.sha256
        );
    }
    text
}

/// A Debian version without what Debian added to it.
fn upstream(version: &str) -> &str {
    version
        .split("+dfsg")
        .next()
        .and_then(|version| version.split('-').next())
        .unwrap_or(version)
}
