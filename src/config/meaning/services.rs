//! Services: their endpoints, their nodes and their credentials.

use std::collections::{HashMap, HashSet};

use crate::config::cursor::Cursor;
use crate::config::diagnostic::{Fault, Span, quoted};
use crate::config::format::environment::{EnvironmentFile, SecretEntry, ServiceEntry};
use crate::config::format::words::{Name, Path};
use crate::config::meaning::doubt::Doubt;
use crate::config::meaning::paths::{Paths, is_open_to_others};
use crate::config::suggest;
use crate::domain::node::{Node, Role};
use crate::domain::service::{Authority, SecretRef, ServiceKind, ServiceSpec};

/// What services may refer to.
struct Inventory<'f> {
    file: &'f EnvironmentFile,
    /// Every name that a node has, also of nodes with mistakes of their own.
    names: HashSet<&'f str>,
    /// The nodes without mistakes.
    nodes: HashMap<&'f str, &'f Node>,
    doubt: &'f Doubt,
}

/// All services that are complete enough to be one.
pub(crate) fn read(
    file: &EnvironmentFile,
    nodes: &[Node],
    top: Cursor<'_>,
    doubt: &Doubt,
    paths: &Paths,
    faults: &mut Vec<Fault>,
) -> Vec<ServiceSpec> {
    let inventory = Inventory {
        file,
        names: file
            .nodes
            .iter()
            .filter_map(|node| Some(node.name.as_ref()?.0.as_str()))
            .collect(),
        nodes: nodes
            .iter()
            .map(|node| (node.name.as_str(), node))
            .collect(),
        doubt,
    };
    let mut seen: HashMap<String, Span> = HashMap::new();
    let mut services = Vec::with_capacity(file.services.len());
    for (index, entry) in file.services.iter().enumerate() {
        let at = top.key("services").item(index);
        let secret = entry
            .secret
            .as_ref()
            .and_then(|secret| reference(secret, at.key("secret"), paths, faults));
        let ca = authority(
            entry.ca.as_ref(),
            entry.authority.as_ref(),
            at,
            paths,
            faults,
        );
        let on = placed(entry, &inventory.names, at, faults);
        let name = match (&entry.name, entry.kind) {
            (Some(name), _) => name.0.clone(),
            (None, Some(kind)) => kind.word().to_owned(),
            (None, None) => continue,
        };
        let span = if entry.name.is_some() {
            at.key("name")
        } else {
            at.key("kind")
        }
        .span();
        if let Some(first) = seen.get(&name) {
            faults.push(
                Fault::error(
                    "duplicate-name",
                    span,
                    format!("two services are called {}", quoted(&name)),
                )
                .label("again here")
                .related(*first, "first here")
                .help("give one of them a `name` of its own"),
            );
        } else {
            seen.insert(name.clone(), span);
        }
        let Some(kind) = entry.kind else { continue };
        let (urls, on) = endpoints(entry, kind, on, &inventory, at, faults);
        services.push(ServiceSpec {
            name,
            kind,
            urls,
            nodes: on,
            user: entry.user.clone(),
            secret,
            ca,
        });
    }
    services
}

/// The nodes that the entry names; `None` when it names none.
fn placed(
    entry: &ServiceEntry,
    names: &HashSet<&str>,
    at: Cursor<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Vec<String>> {
    let mut placed = Vec::new();
    for (index, wanted) in entry.nodes.as_ref()?.iter().enumerate() {
        if names.contains(wanted.0.as_str()) {
            placed.push(wanted.0.clone());
            continue;
        }
        let span = at.key("nodes").item(index).span();
        let fault = Fault::error(
            "unknown-node",
            span,
            format!("there is no node called {}", quoted(&wanted.0)),
        );
        faults.push(match suggest::closest(&wanted.0, names.iter().copied()) {
            Some(close) => fault.label(format!("did you mean `{close}`?")),
            None => fault.help("name one of the environment's `nodes`"),
        });
    }
    Some(placed)
}

/// The base URLs and the nodes, each worked out from the other where it is not given.
fn endpoints(
    entry: &ServiceEntry,
    kind: ServiceKind,
    placed: Option<Vec<String>>,
    inventory: &Inventory<'_>,
    at: Cursor<'_>,
    faults: &mut Vec<Fault>,
) -> (Vec<String>, Vec<String>) {
    // From the file, so that a node with a mistake of its own still counts as the place.
    let by_role = || {
        let nodes = inventory.file.nodes.iter();
        nodes
            .filter(|node| home(kind).iter().any(|role| node.roles.contains(role)))
            .filter_map(|node| Some(node.name.as_ref()?.0.clone()))
            .collect()
    };
    let placed: Vec<String> = placed.unwrap_or_else(by_role);
    let written = match (&entry.url, &entry.urls) {
        (Some(url), None) => vec![url],
        (None, Some(urls)) => urls.iter().collect(),
        (Some(_), Some(_)) => {
            let (url, urls) = (at.key("url").span(), at.key("urls").span());
            faults.push(
                Fault::error("duplicate-key", url, "both `url` and `urls` are given")
                    .related(urls, "and here")
                    .help("keep `urls` for several members, `url` for one address"),
            );
            Vec::new()
        }
        (None, None) => {
            let urls: Vec<String> = placed
                .iter()
                .filter_map(|name| inventory.nodes.get(name.as_str()))
                .map(|node| usual(kind, node, entry.ca.is_some() || entry.authority.is_some()))
                .collect();
            // A service that names nodes or URLs, though wrong ones, has had its say.
            let named = entry.nodes.as_ref().is_some_and(|nodes| !nodes.is_empty());
            let perhaps = home(kind)
                .iter()
                .any(|role| inventory.doubt.roles.contains(role));
            if placed.is_empty() && !named && !perhaps {
                let roles: Vec<_> = home(kind).iter().map(|role| role.word()).collect();
                faults.push(
                    Fault::error(
                        "no-endpoint",
                        at.key("kind").span(),
                        format!(
                            "where is this {}? It has no `url`, and no node has its role",
                            kind.title()
                        ),
                    )
                    .help(format!(
                        "add `url:`, or give a node the role {}",
                        roles.join(" or ")
                    )),
                );
            }
            return (urls, placed);
        }
    };
    let urls = written
        .into_iter()
        .map(|url| url.0.trim_end_matches('/').to_owned())
        .collect();
    (urls, placed)
}

/// The roles whose nodes answer for a kind of service.
const fn home(kind: ServiceKind) -> &'static [Role] {
    match kind {
        ServiceKind::Consul => &[Role::ConsulServer],
        ServiceKind::Vault => &[Role::Vault],
        ServiceKind::Nomad => &[Role::NomadServer],
        ServiceKind::Ceph => &[Role::CephMon],
        ServiceKind::Harbor => &[Role::Harbor],
        ServiceKind::Traefik => &[Role::Traefik],
        ServiceKind::Grafana => &[Role::Grafana],
        ServiceKind::Kubernetes => &[Role::KubernetesServer, Role::Microk8s],
        ServiceKind::Prometheus => &[Role::Prometheus],
        ServiceKind::Etcd => &[Role::Etcd],
    }
}

/// Where a service listens on a node unless told otherwise: TLS where its makers ship it so, or where a certificate
/// authority is named.
fn usual(kind: ServiceKind, node: &Node, has_ca: bool) -> String {
    let tls = has_ca
        || matches!(
            kind,
            ServiceKind::Ceph | ServiceKind::Harbor | ServiceKind::Kubernetes
        );
    let scheme = if tls { "https" } else { "http" };
    // MicroK8s moves the API server away from 6443 (<https://microk8s.io/docs/services-and-ports>).
    let port = match kind {
        ServiceKind::Kubernetes if node.roles.contains(&Role::Microk8s) => 16443,
        // Consul keeps a port of its own for TLS (<https://developer.hashicorp.com/consul/docs/install/ports>).
        ServiceKind::Consul if tls => 8501,
        _ => kind.default_port(),
    };
    if node.address.contains(':') {
        format!("{scheme}://[{}]:{port}", node.address)
    } else {
        format!("{scheme}://{}:{port}", node.address)
    }
}

/// Whose certificates are trusted: a file, or one that a recipe makes.
pub(crate) fn authority(
    file: Option<&Path>,
    generated: Option<&Name>,
    at: Cursor<'_>,
    paths: &Paths,
    faults: &mut Vec<Fault>,
) -> Option<Authority> {
    if let (Some(_), Some(_)) = (file, generated) {
        faults.push(
            Fault::error(
                "duplicate-key",
                at.key("authority").span(),
                "both `ca` and `authority` are given",
            )
            .related(at.key("ca").span(), "and here")
            .help("keep `ca` for a file of your own, `authority` for one that a recipe makes"),
        );
    }
    if let Some(file) = file {
        let path = paths.existing(&file.0, at.key("ca").span(), "the certificate", faults);
        return Some(Authority::File(path));
    }
    generated.map(|name| Authority::Generated(name.0.clone()))
}

/// Where a secret can be read.
pub(crate) fn reference(
    secret: &SecretEntry,
    at: Cursor<'_>,
    paths: &Paths,
    faults: &mut Vec<Fault>,
) -> Option<SecretRef> {
    if let Some(name) = &secret.env {
        return Some(SecretRef::Env(name.0.clone()));
    }
    if let Some(file) = &secret.file {
        let span = at.key("file").span();
        let path = paths.existing(&file.0, span, "the secret's file", faults);
        if is_open_to_others(&path) {
            faults.push(
                Fault::warning(
                    "open-secret",
                    span,
                    "others may read the secret's file, so it will be refused",
                )
                .help(format!("chmod 600 {}", path.display())),
            );
        }
        return Some(SecretRef::File(path));
    }
    if let Some(name) = &secret.generated {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(plain) {
            faults.push(Fault::error(
                "secret-name",
                at.key("generated").span(),
                "the name of a secret has lower-case letters, digits and dashes",
            ));
            return None;
        }
        return Some(SecretRef::Generated(name.clone()));
    }
    secret.command.clone().map(SecretRef::Command)
}
