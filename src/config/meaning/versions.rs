//! Versions, which the file may give under three keys.

use std::collections::BTreeMap;

use crate::config::cursor::Cursor;
use crate::config::diagnostic::{Fault, Span, quoted};
use crate::config::format::environment::EnvironmentFile;

/// All versions by software name.
pub(crate) fn read(
    file: &EnvironmentFile,
    top: Cursor<'_>,
    faults: &mut Vec<Fault>,
) -> BTreeMap<String, String> {
    let canonical = file.canonical.clone().unwrap_or_default();
    let hashicorp = file.hashicorp.clone().unwrap_or_default();
    let channel = canonical.juju_channel.map(|channel| channel.0);
    let text =
        |version: Option<crate::config::format::words::Version>| version.map(|version| version.0);
    let fixed = [
        (
            "ubuntu",
            "canonical",
            "ubuntu_version",
            text(canonical.ubuntu_version),
        ),
        (
            "microk8s",
            "canonical",
            "microk8s_version",
            text(canonical.microk8s_version),
        ),
        ("juju", "canonical", "juju_channel", channel),
        (
            "consul",
            "hashicorp",
            "consul_version",
            text(hashicorp.consul_version),
        ),
        (
            "vault",
            "hashicorp",
            "vault_version",
            text(hashicorp.vault_version),
        ),
        (
            "nomad",
            "hashicorp",
            "nomad_version",
            text(hashicorp.nomad_version),
        ),
    ];
    let fixed = fixed
        .into_iter()
        .filter_map(|(software, group, key, version)| {
            Some((
                software.to_owned(),
                version?,
                top.key(group).key(key).span(),
            ))
        });
    let free = file.versions.iter().map(|(software, version)| {
        let span = top.key("versions").key(software).span();
        (software.clone(), version.0.clone(), span)
    });
    let mut versions: BTreeMap<String, (String, Span)> = BTreeMap::new();
    for (software, version, span) in fixed.chain(free) {
        if let Some((_, first)) = versions.get(&software) {
            faults.push(
                Fault::error(
                    "duplicate-version",
                    span,
                    format!("the version of {} is given twice", quoted(&software)),
                )
                .label("again here")
                .related(*first, "first here")
                .help("keep one of the two"),
            );
            continue;
        }
        versions.insert(software, (version, span));
    }
    versions
        .into_iter()
        .map(|(software, (version, _))| (software, version))
        .collect()
}
