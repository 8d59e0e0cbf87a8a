//! A whole environment.

use crate::config::cursor::Cursor;
use crate::config::diagnostic::{Fault, quoted};
use crate::config::format::environment::EnvironmentFile;
use crate::config::meaning::doubt::Doubt;
use crate::config::meaning::paths::Paths;
use crate::config::meaning::{artifacts, backups, desired, nodes, services, versions};
use crate::domain::environment::{Environment, Protection};
use crate::domain::stack::Stack;

/// Reads an environment; `None` when it has not even a name. `lost` is what the first round cut out.
pub(crate) fn read(
    file: &EnvironmentFile,
    top: Cursor<'_>,
    lost: &[(String, String)],
    paths: &Paths,
    faults: &mut Vec<Fault>,
) -> Option<Environment> {
    let about = file.environment.clone().unwrap_or_default();
    let stack = about
        .stack
        .unwrap_or(if file.canonical.is_some() || file.hashicorp.is_some() {
            Stack::HashicorpCanonical
        } else {
            Stack::Consul
        });
    let versions = versions::read(file, top, faults);
    let doubt = Doubt::of(file, lost);
    let nodes = nodes::read(file, top, stack, &doubt, paths, faults);
    let services = services::read(file, &nodes, top, &doubt, paths, faults);
    let artifacts = artifacts::read(file, top, paths, faults);
    let backups = file.backups.as_ref().map(|backups| {
        let at = top.key("backups");
        backups::read(backups, at, &services, &nodes, paths, faults)
    });
    let desired = desired::read(&file.desired, top.key("desired"), &services, paths, faults);
    let mut variables = file.variables.clone();
    if let Some(integration) = &file.integration {
        if let Some(taken) = top.key("variables").key_span("integration") {
            faults.push(
                Fault::error(
                    "duplicate-key",
                    taken,
                    "`integration` is taken by the key of that name",
                )
                .related(top.key_span("integration").unwrap_or(taken), "this one")
                .help("call the variable otherwise"),
            );
        }
        let words = [
            ("service_mesh", integration.service_mesh),
            ("secrets_injection", integration.secrets_injection),
            ("monitoring", integration.monitoring),
        ];
        let values = words
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?.into())))
            .collect();
        variables.insert("integration".into(), serde_json::Value::Object(values));
    }
    let name = about.name?.0;
    let at = top.key("environment");
    if name.starts_with("prod") && about.protection == Some(Protection::Open) {
        faults.push(
            Fault::warning(
                "open-production",
                at.key("protection").span(),
                format!("{} can be changed without asking", quoted(&name)),
            )
            .related(
                at.key("name").span(),
                "by its name, this is no place for that",
            )
            .help("use confirm, typed or two-person"),
        );
    }
    Some(Environment {
        name,
        // Safe unless told otherwise.
        protection: about.protection.unwrap_or(Protection::Confirm),
        marking: about.marking.map(|marking| marking.0),
        stack,
        versions,
        nodes,
        services,
        artifacts,
        variables,
        backups: backups.unwrap_or_default(),
        desired,
    })
}
