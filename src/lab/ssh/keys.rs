//! The lab's SSH keys: ed25519, made from the seed.
//!
//! They guard nothing: whoever can reach the loopback port of a simulated board finds simulated files.

use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::Ed25519Keypair;
use sha2::{Digest as _, Sha256};

/// The host key of a node.
pub(in crate::lab) fn host_key(seed: u64, node: &str) -> PrivateKey {
    key(seed, &format!("host {node}"))
}

/// The key that clients log in with.
pub(in crate::lab) fn client_key(seed: u64) -> PrivateKey {
    key(seed, "client")
}

fn key(seed: u64, purpose: &str) -> PrivateKey {
    let mut digest = Sha256::new();
    digest.update(b"quarterdeck lab key");
    digest.update(seed.to_be_bytes());
    digest.update(purpose.as_bytes());
    PrivateKey::from(Ed25519Keypair::from_seed(&digest.finalize().into()))
}
