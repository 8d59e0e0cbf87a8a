//! Desired state: of services that there are, and of a kind that holds such a thing.

use crate::config::cursor::Cursor;
use crate::config::diagnostic::{Fault, quoted};
use crate::config::format::desired::DesiredEntry;
use crate::config::meaning::paths::Paths;
use crate::domain::drift::desired::{Desired, Mounted, Registered};
use crate::domain::service::{ServiceKind, ServiceSpec};

/// Reads what is declared; `at` is the place of `desired`.
pub(crate) fn read(
    file: &[DesiredEntry],
    at: Cursor<'_>,
    services: &[ServiceSpec],
    paths: &Paths,
    faults: &mut Vec<Fault>,
) -> Vec<Desired> {
    let mut all: Vec<Desired> = Vec::with_capacity(file.len());
    for (index, entry) in file.iter().enumerate() {
        let here = at.item(index);
        let Some(name) = &entry.service else { continue };
        let Some(spec) = services.iter().find(|service| service.name == name.0) else {
            let names: Vec<&str> = services.iter().map(|one| one.name.as_str()).collect();
            faults.push(
                Fault::error(
                    "unknown-service",
                    here.key("service").span(),
                    format!("the environment has no service called {}", quoted(&name.0)),
                )
                .help(format!("it has {}", names.join(", "))),
            );
            continue;
        };
        if all.iter().any(|before| before.service == name.0) {
            faults.push(Fault::error(
                "duplicate-name",
                here.key("service").span(),
                format!(
                    "{} is declared above already: put both into one",
                    quoted(&name.0)
                ),
            ));
        }
        misplaced(entry, spec, here, faults);
        all.push(one(entry, &name.0, here, paths, faults));
    }
    all
}

/// Parts that a service of this kind does not have.
fn misplaced(entry: &DesiredEntry, spec: &ServiceSpec, here: Cursor<'_>, faults: &mut Vec<Fault>) {
    let parts = [
        ("kv", entry.kv.is_empty(), ServiceKind::Consul),
        ("services", entry.services.is_empty(), ServiceKind::Consul),
        ("policies", entry.policies.is_empty(), ServiceKind::Vault),
        ("mounts", entry.mounts.is_empty(), ServiceKind::Vault),
        ("jobs", entry.jobs.is_empty(), ServiceKind::Nomad),
        (
            "manifests",
            entry.manifests.is_empty(),
            ServiceKind::Kubernetes,
        ),
    ];
    for (part, is_empty, kind) in parts {
        if !is_empty && kind != spec.kind {
            faults.push(Fault::error(
                "wrong-kind",
                here.key_span(part).unwrap_or_else(|| here.span()),
                format!(
                    "{} is a {}: only a {} has `{part}`",
                    quoted(&spec.name),
                    spec.kind.title(),
                    kind.title()
                ),
            ));
        }
    }
}

fn one(
    entry: &DesiredEntry,
    service: &str,
    here: Cursor<'_>,
    paths: &Paths,
    faults: &mut Vec<Fault>,
) -> Desired {
    let mut existing =
        |text: &str, at: Cursor<'_>, what: &str| paths.existing(text, at.span(), what, faults);
    let policies = entry.policies.iter();
    let policies = policies.map(|(name, file)| {
        let at = here.key("policies").key(name);
        (name.clone(), existing(&file.0, at, "the policy"))
    });
    let policies = policies.collect();
    let jobs = entry.jobs.iter().enumerate();
    let jobs = jobs
        .map(|(index, file)| existing(&file.0, here.key("jobs").item(index), "the job"))
        .collect();
    let manifests = entry.manifests.iter().enumerate();
    let manifests = manifests
        .map(|(index, file)| existing(&file.0, here.key("manifests").item(index), "the manifest"))
        .collect();
    let registered = entry.services.iter().map(|(name, service)| {
        let registered = Registered {
            instances: service.instances.and_then(|count| count.try_into().ok()),
            port: service.port,
            tags: service.tags.clone(),
        };
        (name.clone(), registered)
    });
    let mounts = entry.mounts.iter().filter_map(|mount| {
        let path = mount.path.as_deref()?;
        let mounted = Mounted {
            kind: mount.kind.clone()?,
            description: mount.description.clone(),
            options: mount.options.clone(),
        };
        Some((path.trim_end_matches('/').to_owned(), mounted))
    });
    Desired {
        service: service.to_owned(),
        kv: entry.kv.clone(),
        services: registered.collect(),
        policies,
        mounts: mounts.collect(),
        jobs,
        manifests,
    }
}
