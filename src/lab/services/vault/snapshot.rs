//! `sys/storage/raft/snapshot`: <https://developer.hashicorp.com/vault/api-docs/system/storage/raft>. What is in it is
//! ciphertext that only the same cluster can read; here, a stream made from the root token stands for the barrier's cipher.

use std::collections::BTreeMap;

use axum::response::Response;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::answer::{Refusal, done};
use super::secrets::{Secrets, Version};
use super::state::Vault;
use crate::lab::services::archive::{archive, open};
use crate::lab::services::http;

/// `GET`.
pub(super) fn take(vault: &Vault, now: Timestamp) -> Result<Response, Refusal> {
    let wrong = |error: &dyn std::fmt::Display| Refusal::new(500, error.to_string());
    let all: BTreeMap<&str, &[Version]> = vault.secrets.all().collect();
    let state = serde_json::to_vec(&all).map_err(|error| wrong(&error))?;
    let bytes = archive(
        vault.index,
        vault.quorum.term(),
        &ciphered(vault, &state),
        Some(seal_of(vault).as_bytes()),
        now,
    );
    bytes
        .map(|bytes| http::reply(200, "application/gzip", bytes))
        .map_err(|error| wrong(&error))
}

/// `POST`: only of the same cluster.
pub(super) fn restore(vault: &mut Vault, body: &[u8]) -> Result<Response, Refusal> {
    let refused = |reason: String| Refusal::new(400, reason);
    let opened = open(body).map_err(refused)?;
    if opened.sealed.as_deref() != Some(seal_of(vault).as_bytes()) {
        return Err(refused(
            "could not verify hash file, possibly the snapshot is using a different set of unseal keys; use the snapshot-force \
             API to bypass this check"
                .into(),
        ));
    }
    let all: BTreeMap<String, Vec<Version>> =
        serde_json::from_slice(&ciphered(vault, &opened.state))
            .map_err(|error| refused(error.to_string()))?;
    vault.secrets = Secrets::from_all(all);
    vault.index += 1;
    Ok(done())
}

fn seal_of(vault: &Vault) -> String {
    crate::domain::hex(&Sha256::digest(vault.seal.root_token.as_bytes()))
}

/// The same once more is the plain text again.
fn ciphered(vault: &Vault, bytes: &[u8]) -> Vec<u8> {
    let stream = (0_u64..).flat_map(|block| {
        let mut digest = Sha256::new();
        digest.update(vault.seal.root_token.as_bytes());
        digest.update(block.to_be_bytes());
        <[u8; 32]>::from(digest.finalize())
    });
    bytes
        .iter()
        .zip(stream)
        .map(|(byte, key)| byte ^ key)
        .collect()
}
