//! Scratch instances: the software of a store on this machine, on loopback, with a directory of its own, only to find out
//! whether a snapshot can be restored. It asks no questions of the cluster and is gone afterwards.

mod consul;
mod etcd;
mod postgresql;
mod server;
mod terraform;
mod vault;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::domain::backup::{StoreKind, StoreSpec};
use crate::domain::snapshot::{Comparison, Inventory, Snapshot};
use crate::services::api::{self, Auth, Endpoint};
use crate::transport::http::HttpClient;
use crate::transport::local::LocalHost;

pub(super) use etcd::start as etcd;

use super::Store;

/// What a drill needs.
pub struct Trial<'a> {
    /// What is tried.
    pub snapshot: &'a Snapshot,
    /// The same in plain text.
    pub file: &'a Path,
    /// The store it came from.
    pub spec: &'a StoreSpec,
    /// What lets one into a state that has its own users.
    pub secret: Option<SecretString>,
    /// Where the scratch instance may keep its files; for its owner alone.
    pub folder: &'a Path,
    /// Stops the trial.
    pub cancel: &'a CancellationToken,
}

/// Restores a snapshot into a scratch instance and asks it questions; what it answered.
///
/// # Errors
/// Why the snapshot cannot be relied on, or that the software is not at hand.
pub async fn drill(trial: &Trial<'_>) -> Result<String, String> {
    match trial.spec.kind {
        StoreKind::Consul => consul::drill(trial).await,
        StoreKind::Vault => vault::drill(trial).await,
        StoreKind::Etcd => etcd::drill(trial).await,
        StoreKind::Postgresql => postgresql::drill(trial).await,
        StoreKind::Terraform => terraform::drill(trial).await,
        StoreKind::Nomad => at_hand(StoreKind::Nomad).map(|()| String::new()),
    }
}

/// The programs of which one must be at hand for a drill; empty where there is no drill yet.
const fn programs(kind: StoreKind) -> &'static [&'static str] {
    match kind {
        StoreKind::Consul => &["consul"],
        StoreKind::Vault => &["vault", "bao"],
        StoreKind::Etcd => &["etcd"],
        StoreKind::Postgresql => &["initdb"],
        StoreKind::Terraform => &["terraform"],
        StoreKind::Nomad => &[],
    }
}

/// Whether a drill of `kind` is possible here.
///
/// # Errors
/// Why it is not.
pub fn at_hand(kind: StoreKind) -> Result<(), String> {
    match programs(kind) {
        [] => Err(format!(
            "a drill of {} is not possible yet; that the file is whole is all that can be known",
            kind.title()
        )),
        names => program(names).map(|_| ()),
    }
}

/// The first of these programs that is in `PATH`, or where Debian keeps those of `PostgreSQL`.
///
/// # Errors
/// That none of them is here.
pub(super) fn program(names: &[&str]) -> Result<String, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        let mut bins: Vec<PathBuf> = versions
            .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
            .collect();
        bins.sort();
        folders.extend(bins.into_iter().rev());
    }
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|place| place.is_file())
        .map(|place| place.display().to_string())
        .ok_or_else(|| {
            format!(
                "a drill needs {} on the engine's machine, and it is not in PATH",
                names.join(" or ")
            )
        })
}

/// An endpoint on loopback, without credentials.
fn endpoint(port: u16, auth: &Auth) -> Result<Endpoint, String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let http = HttpClient::new(None).map_err(|error| said(&error))?;
    let url = format!("http://127.0.0.1:{port}");
    let mut all =
        api::endpoints_at("scratch", &[url], &[], &http, auth).map_err(|error| said(&error))?;
    Ok(all.remove(0))
}

/// The store of a scratch instance on loopback.
fn store(
    trial: &Trial<'_>,
    port: u16,
    secret: Option<SecretString>,
) -> Result<Box<dyn Store>, String> {
    let spec = StoreSpec {
        urls: vec![format!("http://127.0.0.1:{port}")],
        nodes: Vec::new(),
        ca: None,
        via: None,
        ..trial.spec.clone()
    };
    super::open(&spec, secret, Arc::new(LocalHost::new("here"))).map_err(|error| error.to_string())
}

/// What a scratch instance cannot list: it has no users.
const UNSEEN: &[&str] = &["acl-policy"];

/// Whether everything that was taken down with the snapshot is there.
fn all_there(snapshot: &Snapshot, now: &Inventory) -> Result<String, String> {
    let snapshot = &Snapshot {
        inventory: snapshot.inventory.clone().without(UNSEEN),
        ..snapshot.clone()
    };
    let compared = Comparison::of(snapshot, now);
    let lacking = compared.returned.len() + compared.returned_unnamed;
    if lacking > 0 {
        let some: Vec<&str> = compared
            .returned
            .iter()
            .take(3)
            .map(String::as_str)
            .collect();
        return Err(format!(
            "{lacking} of {} names that it should hold are not in it{}",
            snapshot.inventory.items.len(),
            if some.is_empty() {
                String::new()
            } else {
                format!(": {}", some.join(", "))
            }
        ));
    }
    Ok(format!(
        "all {} names that were taken down with it are there",
        snapshot.inventory.items.len()
    ))
}
