//! etcd's keys, page by page.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Pairs;
use crate::services::ServiceError;
use crate::services::api::{Endpoint, Until};
use std::time::Duration;

/// Keys with their values that are asked for at once: values have up to 1.5 MiB unless the server was told otherwise.
const PAGE: usize = 10;
/// Changes in one transaction; etcd takes 128 unless told otherwise.
const AT_ONCE: usize = 100;
/// How long one page or transaction may take.
const LIMIT: Duration = Duration::from_secs(30);
/// As the end of a range: no end.
const ALL: &[u8] = b"\0";

/// Keys in order.
pub(super) struct Page {
    pub(super) keys: Vec<Key>,
    /// How many there are in the whole range.
    pub(super) count: u64,
    /// The store's revision when it answered.
    pub(super) revision: u64,
}

/// One key.
pub(super) struct Key {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    /// The revision of its last change.
    pub(super) modified: u64,
}

/// The first `most` keys from `from` up to, not including, `to` (<https://etcd.io/docs/v3.5/learning/api/#range>).
pub(super) async fn page(
    endpoint: &Endpoint,
    from: &[u8],
    to: &[u8],
    most: usize,
    keys_only: bool,
    until: Until,
) -> Result<Page, ServiceError> {
    let path = "/v3/kv/range";
    let question = json!({
        "key": STANDARD.encode(from),
        "range_end": STANDARD.encode(to),
        "limit": most,
        "keys_only": keys_only,
        "sort_target": "KEY",
        "sort_order": "ASCEND",
    });
    let answer: Value = endpoint
        .post(path, &question, until)
        .await?
        .success()?
        .json()?;
    let malformed = |reason: &str| ServiceError::Malformed {
        url: format!("{}{path}", endpoint.base),
        reason: reason.into(),
    };
    let bytes = |value: &Value| {
        STANDARD
            .decode(value.as_str().unwrap_or_default())
            .map_err(|_| malformed("a key or value is not base64"))
    };
    let found = answer["kvs"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let keys = found.iter().map(|one| {
        Ok(Key {
            key: bytes(&one["key"])?,
            value: bytes(&one["value"])?,
            modified: number(&one["mod_revision"]),
        })
    });
    Ok(Page {
        keys: keys.collect::<Result<_, ServiceError>>()?,
        count: number(&answer["count"]),
        revision: number(&answer["header"]["revision"]),
    })
}

/// 64-bit numbers are texts in the gateway's JSON.
fn number(value: &Value) -> u64 {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .or_else(|| value.as_u64())
        .unwrap_or(0)
}

/// A key for eyes.
pub(super) fn shown(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}

/// Gives `to` exactly the keys and values of `from`; how many were put or deleted.
pub(super) async fn make_alike(from: &Endpoint, to: &Endpoint) -> Result<usize, ServiceError> {
    let mut changed = 0;
    let mut begin = ALL.to_vec();
    loop {
        let wanted = page(from, &begin, ALL, PAGE, false, Until::after(LIMIT)).await?;
        let last = wanted.keys.len() < PAGE;
        // Up to the last key of the page, that key included; behind the last page to the end of all keys.
        let end = match wanted.keys.last() {
            Some(key) if !last => next(&key.key),
            _ => ALL.to_vec(),
        };
        let wanted: Pairs = wanted
            .keys
            .into_iter()
            .map(|key| (key.key, key.value))
            .collect();
        changed += range_alike(&wanted, to, &begin, &end).await?;
        if last {
            return Ok(changed);
        }
        begin = end;
    }
}

/// Gives the keys of `to` from `begin` to `end` the values in `wanted`, and deletes the others there.
async fn range_alike(
    wanted: &Pairs,
    to: &Endpoint,
    begin: &[u8],
    end: &[u8],
) -> Result<usize, ServiceError> {
    let mut missing: BTreeMap<&Vec<u8>, &Vec<u8>> = wanted.iter().collect();
    let mut changes = Vec::new();
    let mut at = begin.to_vec();
    loop {
        let there = page(to, &at, end, PAGE, false, Until::after(LIMIT)).await?;
        for key in &there.keys {
            match missing.remove(&key.key) {
                None => changes.push(json!({
                    "request_delete_range": { "key": STANDARD.encode(&key.key) }
                })),
                Some(value) if *value != key.value => changes.push(put(&key.key, value)),
                Some(_) => {}
            }
        }
        match there.keys.last() {
            Some(key) if there.keys.len() == PAGE => at = next(&key.key),
            _ => break,
        }
    }
    changes.extend(missing.into_iter().map(|(key, value)| put(key, value)));
    for some in changes.chunks(AT_ONCE) {
        to.post(
            "/v3/kv/txn",
            &json!({ "success": some }),
            Until::after(LIMIT),
        )
        .await?
        .success()?;
    }
    Ok(changes.len())
}

fn put(key: &[u8], value: &[u8]) -> Value {
    json!({ "request_put": { "key": STANDARD.encode(key), "value": STANDARD.encode(value) } })
}

/// The key that follows `key` at once.
fn next(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}
