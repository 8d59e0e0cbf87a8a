//! Backups: stores that can be spoken to, under names that are free.

use crate::config::cursor::Cursor;
use crate::config::diagnostic::{Fault, quoted};
use crate::config::format::backups::{BackupsEntry, StoreEntry};
use crate::config::meaning::paths::Paths;
use crate::config::meaning::services::{authority, reference};
use crate::config::meaning::settings::duration;
use crate::domain::backup::{Backups, OtherStore, StoreSpec};
use crate::domain::node::Node;
use crate::domain::service::ServiceSpec;

/// Reads how the state is saved; `at` is the place of `backups`.
pub(crate) fn read(
    file: &BackupsEntry,
    at: Cursor<'_>,
    services: &[ServiceSpec],
    nodes: &[Node],
    paths: &Paths,
    faults: &mut Vec<Fault>,
) -> Backups {
    let identity = file
        .identity
        .as_ref()
        .and_then(|entry| reference(entry, at.key("identity"), paths, faults));
    let mut stores: Vec<StoreSpec> = Vec::with_capacity(file.stores.len());
    for (index, entry) in file.stores.iter().enumerate() {
        let here = at.key("stores").item(index);
        let Some(kind) = entry.kind else { continue };
        let name = entry
            .name
            .as_ref()
            .map_or_else(|| kind.word().to_owned(), |name| name.0.clone());
        let taken = services.iter().any(|service| service.name == name)
            || stores.iter().any(|store| store.name == name);
        if taken {
            faults.push(
                Fault::error(
                    "duplicate-name",
                    here.key("name").span(),
                    format!("a service or store is called {} already", quoted(&name)),
                )
                .help("give it a `name` of its own"),
            );
        }
        complete(entry, kind, here, nodes, faults);
        let one = entry.url.iter();
        let urls = one.chain(entry.urls.iter().flatten());
        stores.push(StoreSpec {
            name,
            kind: kind.kind(),
            urls: urls
                .map(|url| url.0.trim_end_matches('/').to_owned())
                .collect(),
            nodes: Vec::new(),
            user: entry.user.clone(),
            secret: entry
                .secret
                .as_ref()
                .and_then(|secret| reference(secret, here.key("secret"), paths, faults)),
            ca: authority(
                entry.ca.as_ref(),
                entry.authority.as_ref(),
                here,
                paths,
                faults,
            ),
            directory: entry.directory.as_ref().map(|directory| {
                let span = here.key("directory").span();
                paths.existing(&directory.0, span, "the directory", faults)
            }),
            via: entry.via.as_ref().map(|node| node.0.clone()),
        });
    }
    Backups {
        within: file
            .within
            .as_ref()
            .and_then(|text| duration(&text.0))
            .map(|span| span.as_secs()),
        recipients: file.recipients.iter().map(|one| one.0.clone()).collect(),
        identity,
        stores,
    }
}

/// Whether the entry says what its kind needs, and nothing that its kind has no use for.
fn complete(
    entry: &StoreEntry,
    kind: OtherStore,
    at: Cursor<'_>,
    nodes: &[Node],
    faults: &mut Vec<Fault>,
) {
    let has_url = entry.url.is_some() || entry.urls.is_some();
    let (lacks, help) = match kind {
        OtherStore::Etcd => (!has_url, "add `urls: [https://10.0.0.11:2379, …]`"),
        OtherStore::Postgresql => (
            entry.url.is_none(),
            "add `url: postgresql://backup@10.0.0.21:5432/orders`",
        ),
        OtherStore::Terraform => (entry.directory.is_none(), "add `directory: ../terraform`"),
    };
    if lacks {
        faults.push(
            Fault::error(
                "no-endpoint",
                at.key("kind").span(),
                format!("it is not said where this {kind} is"),
            )
            .help(help),
        );
    }
    if let Some(url) = entry.url.as_ref().or(entry.urls.iter().flatten().next()) {
        let database = url.0.starts_with("postgres");
        if database != (kind == OtherStore::Postgresql) {
            let key = if entry.url.is_some() { "url" } else { "urls" };
            faults.push(
                Fault::error(
                    "wrong-url",
                    at.key(key).span(),
                    format!("this is no URL of {kind}"),
                )
                .help(help),
            );
        }
    }
    if let Some(via) = &entry.via {
        let span = at.key("via").span();
        if kind != OtherStore::Postgresql {
            faults.push(
                Fault::error("unused-key", span, format!("{kind} is not reached by SSH"))
                    .help("only PostgreSQL has `via`"),
            );
        } else if nodes.iter().all(|node| node.name != via.0) {
            faults.push(
                Fault::error(
                    "unknown-node",
                    span,
                    format!("there is no node called {}", quoted(&via.0)),
                )
                .help("name one of the environment's `nodes`"),
            );
        }
    }
}
