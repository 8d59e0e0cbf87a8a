//! Nodes: who they are and how they are reached.

use std::collections::HashMap;

use crate::config::cursor::Cursor;
use crate::config::diagnostic::{Fault, Span, quoted};
use crate::config::format::environment::{EnvironmentFile, NodeEntry, Ssh};
use crate::config::meaning::doubt::Doubt;
use crate::config::meaning::paths::Paths;
use crate::config::meaning::{jumps, roles};
use crate::domain::node::{ClientConfig, Jump, Node, SshAccess};
use crate::domain::platform::Arch;
use crate::domain::stack::Stack;

/// All nodes that are complete enough to be one.
pub(crate) fn read(
    file: &EnvironmentFile,
    top: Cursor<'_>,
    stack: Stack,
    doubt: &Doubt,
    paths: &Paths,
    faults: &mut Vec<Fault>,
) -> Vec<Node> {
    names(file, top, faults);
    addresses(file, top, faults);
    roles::check(file, top, stack, doubt, faults);
    let jumps = jumps::check(file, top, faults);
    let defaults = file.ssh.clone().unwrap_or_default();
    files(&defaults, top.key("ssh"), paths, faults);
    let mut nodes = Vec::with_capacity(file.nodes.len());
    for (index, (entry, jump)) in file.nodes.iter().zip(jumps).enumerate() {
        let at = top.key("nodes").item(index);
        let own = entry.ssh.clone().unwrap_or_default();
        files(&own, at.key("ssh"), paths, faults);
        let arch = arch(entry, at, faults);
        let (Some(name), Some(address), Some(platform), Some(arch)) =
            (&entry.name, &entry.address, entry.platform, arch)
        else {
            continue;
        };
        nodes.push(Node {
            name: name.0.clone(),
            address: address.0.clone(),
            platform,
            arch,
            roles: entry.roles.iter().copied().collect(),
            labels: entry.labels.clone(),
            ssh: access(&defaults, &own, jump, paths),
        });
    }
    nodes
}

/// The word for "read no configuration of the SSH client".
const NO_CONFIG: &str = "none";

/// A node's own settings over the environment's. What neither says is left to the SSH client.
fn access(defaults: &Ssh, own: &Ssh, jump: Option<Jump>, paths: &Paths) -> SshAccess {
    let identities = own.identities.as_ref().or(defaults.identities.as_ref());
    let known_hosts = own.known_hosts.as_ref().or(defaults.known_hosts.as_ref());
    let config = own.config.as_ref().or(defaults.config.as_ref());
    let user = own.user.as_ref().or(defaults.user.as_ref());
    SshAccess {
        port: own.port.or(defaults.port),
        user: user.map(|user| user.0.clone()),
        identities: identities
            .into_iter()
            .flatten()
            .map(|path| paths.resolve(&path.0))
            .collect(),
        known_hosts: known_hosts.map(|path| paths.resolve(&path.0)),
        jump,
        elevate: own.elevate.or(defaults.elevate),
        forward_agent: own.forward_agent.or(defaults.forward_agent),
        config: config.map(|path| match path.0.as_str() {
            NO_CONFIG => ClientConfig::None,
            file => ClientConfig::File(paths.resolve(file)),
        }),
    }
}

/// Warns of files that are not there.
fn files(ssh: &Ssh, at: Cursor<'_>, paths: &Paths, faults: &mut Vec<Fault>) {
    for (index, path) in ssh.identities.iter().flatten().enumerate() {
        let span = at.key("identities").item(index).span();
        paths.existing(&path.0, span, "the private key", faults);
    }
    if let Some(path) = &ssh.config
        && path.0 != NO_CONFIG
    {
        let span = at.key("config").span();
        paths.existing(&path.0, span, "the SSH client's configuration", faults);
    }
}

fn names(file: &EnvironmentFile, top: Cursor<'_>, faults: &mut Vec<Fault>) {
    let mut seen: HashMap<&str, Span> = HashMap::new();
    for (index, entry) in file.nodes.iter().enumerate() {
        let Some(name) = &entry.name else { continue };
        let span = top.key("nodes").item(index).key("name").span();
        if name.0 == jumps::DIRECT {
            faults.push(Fault::error(
                "duplicate-name",
                span,
                "a node cannot be called `none`: `jump: none` means no jump host",
            ));
        }
        if let Some(first) = seen.get(name.0.as_str()) {
            faults.push(
                Fault::error(
                    "duplicate-name",
                    span,
                    format!("two nodes are called {}", quoted(&name.0)),
                )
                .label("again here")
                .related(*first, "first here")
                .help("every node of an environment needs a name of its own"),
            );
        } else {
            seen.insert(&name.0, span);
        }
    }
}

fn addresses(file: &EnvironmentFile, top: Cursor<'_>, faults: &mut Vec<Fault>) {
    let mut seen: HashMap<(&str, u16), Span> = HashMap::new();
    let port = |ssh: &Option<Ssh>| ssh.as_ref().and_then(|ssh| ssh.port);
    for (index, entry) in file.nodes.iter().enumerate() {
        let Some(address) = &entry.address else {
            continue;
        };
        let span = top.key("nodes").item(index).key("address").span();
        let port = port(&entry.ssh).or_else(|| port(&file.ssh)).unwrap_or(22);
        if let Some(first) = seen.get(&(address.0.as_str(), port)) {
            faults.push(
                Fault::warning(
                    "duplicate-address",
                    span,
                    format!("two nodes have the address {}", quoted(&address.0)),
                )
                .label("again here")
                .related(*first, "first here")
                .help(
                    "if they are two machines behind one address, give them different `ssh.port`s",
                ),
            );
        } else {
            seen.insert((&address.0, port), span);
        }
    }
}

fn arch(entry: &NodeEntry, at: Cursor<'_>, faults: &mut Vec<Fault>) -> Option<Arch> {
    let platform = entry.platform?;
    match (platform.fixed_arch(), entry.arch) {
        (Some(fixed), Some(written)) if fixed != written => {
            faults.push(
                Fault::error(
                    "arch-mismatch",
                    at.key("arch").span(),
                    format!(
                        "{} is always {fixed}, not {written}",
                        quoted(platform.word())
                    ),
                )
                .related(at.key("platform").span(), format!("this says {fixed}"))
                .help("remove `arch`, or correct the platform"),
            );
            Some(fixed)
        }
        (Some(fixed), _) => Some(fixed),
        (None, Some(written)) => Some(written),
        (None, None) => {
            let span = at.key("platform").span();
            faults.push(
                Fault::error(
                    "missing-key",
                    span,
                    format!(
                        "`arch` is missing: {} comes in several",
                        quoted(platform.word())
                    ),
                )
                .help("add `arch: amd64` or `arch: arm64`"),
            );
            None
        }
    }
}
