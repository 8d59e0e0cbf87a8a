//! etcd, version 3, through its JSON gateway (<https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/>).
//!
//! etcd itself only restores a member that is stopped, and then it is a new cluster. Here the keys are restored: a scratch
//! instance reads the snapshot, and what differs is put or deleted in transactions. Clients stay connected, revisions go on
//! rising, and watchers see what changes. Leases are not restored: a key that had one stays.

mod keys;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf as _, BytesMut};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::scratch;
use super::{Given, LOOK, Store};
use crate::domain::snapshot::{Inventory, Snapshot};
use crate::services::ServiceError;
use crate::services::api::{Endpoint, Until};
use crate::services::etcd::Access;
use crate::services::intake::Intake;

/// The longest line of a snapshot's answer: a piece of it in base64, bytes.
const LINE: usize = 8 * 1024 * 1024;
/// Keys that are listed.
const LISTED: usize = 20_000;

/// See the module.
pub(super) struct Etcd {
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) access: Access,
}

/// One line of a snapshot's answer.
#[derive(Deserialize)]
struct Line {
    result: Option<Part>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Part {
    /// Absent in the last parts, where nothing remains.
    #[serde(default)]
    blob: String,
}

impl Etcd {
    /// The leader, let in: a follower's database may lack the newest changes.
    async fn leader(&self) -> Result<Endpoint, ServiceError> {
        let until = Until::after(LOOK);
        let mut refusal = ServiceError::Setup("no endpoint".into());
        let leaderless = |url: String, reason: &str| ServiceError::Status {
            url,
            status: 503,
            reason: reason.into(),
        };
        let asked = self.endpoints.iter().map(async |endpoint| {
            let endpoint = self.access.let_in(endpoint, until).await?;
            let status: Value = endpoint
                .post("/v3/maintenance/status", &json!({}), until)
                .await?
                .success()?
                .json()?;
            let (leader, own) = (&status["leader"], &status["header"]["member_id"]);
            Ok::<_, ServiceError>((endpoint, leader == own, leader.is_string() && leader != "0"))
        });
        for answer in futures::future::join_all(asked).await {
            match answer {
                Ok((endpoint, true, _)) => return Ok(endpoint),
                // The leader may be a member that the environment does not name.
                Ok((endpoint, false, true)) if self.endpoints.len() == 1 => return Ok(endpoint),
                Ok((endpoint, _, has_leader)) => {
                    let reason = if has_leader {
                        "the leader is none of the members that answer"
                    } else {
                        "no leader"
                    };
                    refusal = leaderless(endpoint.base, reason);
                }
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }
}

#[async_trait]
impl Store for Etcd {
    async fn take(
        &self,
        intake: &mut Intake,
        _: &CancellationToken,
    ) -> Result<Given, ServiceError> {
        let endpoint = self.leader().await?;
        let url = format!("{}/v3/maintenance/snapshot", endpoint.base);
        let malformed = |reason: String| ServiceError::Malformed {
            url: url.clone(),
            reason,
        };
        let mut incoming = endpoint
            .open("POST", "/v3/maintenance/snapshot", Some(&json!({})))
            .await?;
        let mut held = BytesMut::new();
        'all: loop {
            let chunk = incoming
                .chunk()
                .await
                .map_err(|error| ServiceError::Unreachable {
                    url: url.clone(),
                    reason: format!("it broke off: {error}"),
                })?;
            let Some(chunk) = chunk else { break };
            held.extend_from_slice(&chunk);
            while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
                let line = held.split_to(end);
                held.advance(1);
                if line.trim_ascii().is_empty() {
                    continue;
                }
                let blob = part(&line, &url)?;
                if !intake.put(blob.into()).await {
                    break 'all;
                }
            }
            if held.len() > LINE {
                return Err(malformed("a line without an end".into()));
            }
        }
        if !held.trim_ascii().is_empty() {
            let blob = part(&held, &url)?;
            intake.put(blob.into()).await;
        }
        Ok(Given {
            from: endpoint.name.clone(),
            ..Given::default()
        })
    }

    async fn inventory(&self, deadline: Duration) -> Result<Inventory, ServiceError> {
        let endpoint = self.leader().await?;
        let until = Until::after(deadline);
        let mut held = Inventory {
            by_index: true,
            ..Inventory::default()
        };
        let page = keys::page(&endpoint, b"\0", b"\0", LISTED, true, until).await?;
        for key in &page.keys {
            held.add("key", &keys::shown(&key.key), key.modified.to_string());
        }
        held.left_out = usize::try_from(page.count)
            .unwrap_or(usize::MAX)
            .saturating_sub(page.keys.len());
        held.add("etcd", "revision", format!("at {}", page.revision));
        Ok(held)
    }

    async fn restore(
        &self,
        snapshot: &Snapshot,
        file: &Path,
        cancel: &CancellationToken,
    ) -> Result<(), ServiceError> {
        let to = self.leader().await?;
        let folder = file.parent().unwrap_or_else(|| Path::new("."));
        let scratch = scratch::etcd(file, folder, cancel)
            .await
            .map_err(ServiceError::Setup)?;
        let until = Until::after(LOOK);
        let from = self.access.let_in(&scratch.endpoint, until).await?;
        let moved = keys::make_alike(&from, &to).await;
        scratch.server.stop().await;
        let changed = moved?;
        tracing::info!(
            snapshot = snapshot.id(),
            changed,
            "etcd's keys were restored"
        );
        Ok(())
    }
}

/// The bytes that one line of the answer of `url` brings.
fn part(line: &[u8], url: &str) -> Result<Vec<u8>, ServiceError> {
    let malformed = |reason: String| ServiceError::Malformed {
        url: url.to_owned(),
        reason,
    };
    let line: Line = serde_json::from_slice(line).map_err(|error| malformed(error.to_string()))?;
    if let Some(error) = line.error {
        let words = error["message"]
            .as_str()
            .map_or_else(|| error.to_string(), str::to_owned);
        // Its leader changed, most likely.
        return Err(ServiceError::Unreachable {
            url: url.to_owned(),
            reason: format!("it broke off: {words}"),
        });
    }
    let blob = line.result.map(|part| part.blob).unwrap_or_default();
    STANDARD
        .decode(blob)
        .map_err(|error| malformed(format!("a piece is not base64: {error}")))
}

/// A key with its value, as far as it was asked for.
type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

#[cfg(test)]
mod tests {
    #[test]
    fn a_line_brings_bytes_or_says_why_it_broke_off() {
        let part = |line: &[u8]| super::part(line, "http://pc1");
        assert_eq!(
            part(br#"{"result":{"remaining_bytes":"3","blob":"YWJj"}}"#).unwrap(),
            b"abc"
        );
        assert_eq!(part(br#"{"result":{}}"#).unwrap(), b"");
        let broke = part(br#"{"error":{"grpc_code":14,"message":"etcdserver: leader changed"}}"#);
        let broke = broke.unwrap_err();
        assert!(broke.is_passing(), "{broke}");
        assert_eq!(
            broke.to_string(),
            "http://pc1: it broke off: etcdserver: leader changed"
        );
        assert!(part(br#"{"result":{"blob":"%"}}"#).is_err());
    }
}
