//! What is done to the seal of a Vault, node by node: [`Seals`].
//!
//! Every node is spoken to at its own address: progress is counted per node, and a load balancer would give one share to one
//! node and the next to another. Shares travel in bodies that are wiped when they were sent; what a node says of one is told
//! without it, should the node (or a proxy before it) repeat what it was sent.
//!
//! Sources: <https://developer.hashicorp.com/vault/api-docs/system/unseal>, `…/init`, `…/seal`, `…/step-down`, `…/rekey`,
//! `…/storage/raft`; `OpenBao` 2.7 has no `rekey` but `rotate/root`, which takes and gives the same with a token:
//! <https://openbao.org/api-docs/system/rotate/>.

use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{SealStatus, Seen, Until, Vault};
use crate::domain::seal::{NewKeys, NodeSeal, SHAMIR, SealState};
use crate::domain::secret::Secret;
use crate::services::ServiceError;
use crate::services::api::Endpoint;

/// The longest that a node may take for one of these calls; a node that opens its storage takes seconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// Leading to a node's answer about itself.
const LOOK: Duration = Duration::from_secs(4);

/// How new keys are cut.
#[derive(Debug, Clone, Default)]
pub struct Scheme {
    /// How many shares there shall be.
    pub shares: u32,
    /// How many of them shall unseal.
    pub threshold: u32,
    /// PGP public keys in base64, one per share: Vault then gives each share encrypted. Empty: it gives them as they are.
    pub pgp_keys: Vec<String>,
}

/// A rekey under way.
#[derive(Debug, Clone)]
pub struct Rekey {
    /// Names it.
    pub nonce: String,
    /// How many of the present shares it wants.
    pub required: u32,
    /// `rekey` or `rotate/root`.
    base: &'static str,
}

/// What came of a share given to a rekey.
#[derive(Debug)]
pub enum Rekeyed {
    /// So many were given.
    Progress(u32),
    /// The new shares. With a name for their verification the old ones stay in force until enough of the new were shown
    /// ([`Seals::rekey_verify`]); without one the new are in force now.
    Done(Vec<Secret>, Option<String>),
}

/// The seal of one service, node by node; nodes are named as [`NodeSeal::node`].
#[async_trait]
pub trait Seals: Send + Sync {
    /// Every node as it says itself now.
    async fn nodes(&self) -> Vec<NodeSeal>;

    /// Gives one share to one node; the node afterwards.
    ///
    /// # Errors
    /// [`ServiceError::Status`] when the node has enough shares and they open nothing: it has forgotten all of them then.
    async fn unseal(&self, node: &str, share: &Secret) -> Result<NodeSeal, ServiceError>;

    /// Has a node forget the shares that it was given.
    ///
    /// # Errors
    /// When it does not answer, or is not sealed.
    async fn reset(&self, node: &str) -> Result<(), ServiceError>;

    /// Makes a node the first of a new cluster.
    ///
    /// # Errors
    /// When it belongs to a cluster already, or the scheme is impossible.
    async fn init(&self, node: &str, scheme: &Scheme) -> Result<NewKeys, ServiceError>;

    /// Has a node that belongs to no cluster ask `leader` to be taken into its Raft. It is taken in when it was unsealed with the
    /// leader's shares.
    ///
    /// # Errors
    /// When one of them does not answer or refuses.
    async fn join(&self, node: &str, leader: &str) -> Result<(), ServiceError>;

    /// Seals a node. Vault does that on the active node only, `OpenBao` on any; needs a token.
    ///
    /// # Errors
    /// When the node refuses.
    async fn seal(&self, node: &str) -> Result<(), ServiceError>;

    /// Has the active node give way to another; needs a token.
    ///
    /// # Errors
    /// When the node refuses.
    async fn step_down(&self, node: &str) -> Result<(), ServiceError>;

    /// Begins to replace the shares.
    ///
    /// # Errors
    /// When one is under way already, or the scheme is impossible.
    async fn rekey(&self, node: &str, scheme: &Scheme) -> Result<Rekey, ServiceError>;

    /// Gives one of the present shares to a rekey.
    ///
    /// # Errors
    /// When they are enough and open nothing: all of them are forgotten then.
    async fn rekey_share(
        &self,
        node: &str,
        rekey: &Rekey,
        share: &Secret,
    ) -> Result<Rekeyed, ServiceError>;

    /// Shows one of the new shares, as a proof that they arrived; whether they are in force now.
    ///
    /// # Errors
    /// When the node refuses; the old shares stay in force.
    async fn rekey_verify(
        &self,
        node: &str,
        rekey: &Rekey,
        nonce: &str,
        share: &Secret,
    ) -> Result<bool, ServiceError>;

    /// Gives a rekey up.
    ///
    /// # Errors
    /// When the node does not answer.
    async fn rekey_cancel(&self, node: &str, rekey: &Rekey) -> Result<(), ServiceError>;
}

/// `/v1/sys/leader`.
#[derive(Debug, Deserialize)]
struct Leader {
    #[serde(default)]
    leader_address: String,
}

/// The keys in the answers of `init`, `rekey/update` and `rotate/root/update`.
#[derive(Deserialize)]
struct Keys {
    #[serde(default)]
    keys: Vec<Secret>,
    /// Auto-unseal: what operators get does not unseal, but lets them act for it.
    #[serde(default)]
    recovery_keys: Vec<Secret>,
    root_token: Option<Secret>,
}

impl Keys {
    fn cut(self, threshold: u32) -> NewKeys {
        let recovery = self.keys.is_empty();
        NewKeys {
            shares: if recovery {
                self.recovery_keys
            } else {
                self.keys
            },
            threshold,
            root_token: self.root_token,
            recovery,
        }
    }
}

/// `rekey/init` and `rekey/update`; the latter without keys until there are enough shares. `rotate` wraps it in `data`.
///
/// Not by serde's `flatten` or `untagged`: these would keep copies of the keys that nobody wipes.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RekeyStatus {
    data: Option<Box<RekeyStatus>>,
    nonce: String,
    required: u32,
    progress: u32,
    complete: bool,
    verification_nonce: String,
    keys: Vec<Secret>,
}

impl RekeyStatus {
    fn open(self) -> Self {
        match self.data {
            Some(data) => *data,
            None => self,
        }
    }
}

impl Vault {
    fn endpoint(&self, node: &str) -> Result<&Endpoint, ServiceError> {
        let found = self.endpoints.iter().find(|one| one.name == node);
        found.ok_or_else(|| ServiceError::Setup(format!("{node} is none of its nodes")))
    }

    /// The name of the endpoint at `address`, or the address where it is none of ours.
    fn called(&self, address: &str) -> String {
        let address = address.trim_end_matches('/');
        let found = self.endpoints.iter().find(|one| one.base == address);
        found.map_or_else(|| address.to_owned(), |one| one.name.clone())
    }

    async fn leader(&self, endpoint: &Endpoint, until: Until) -> Option<String> {
        let leader: Leader = endpoint.get("/v1/sys/leader", until).await.ok()?;
        (!leader.leader_address.is_empty()).then_some(leader.leader_address)
    }

    async fn told(&self, seen: Seen<'_>, until: Until) -> NodeSeal {
        let name = seen.endpoint.name.clone();
        let (status, seal) = match seen.state {
            Ok(known) => known,
            Err(error) => return NodeSeal::unreachable(name, error.to_string()),
        };
        let mut node = told(name, status, seal);
        if node.state.is_open() {
            let leader = self.leader(seen.endpoint, until).await;
            node.leader = leader.map(|address| self.called(&address));
        }
        node
    }
}

/// What a node says, in our words. The status is that of `/v1/sys/health`.
fn told(node: String, status: u16, seal: SealStatus) -> NodeSeal {
    let state = match status {
        _ if !seal.initialized => SealState::Uninitialized,
        _ if seal.sealed => SealState::Sealed,
        200 => SealState::Active,
        474 => SealState::CutOff,
        530 => SealState::Removed,
        // 429, and what is a standby by another name: 472, 473.
        _ => SealState::Standby,
    };
    NodeSeal {
        node,
        state,
        kind: seal.kind,
        t: seal.t,
        n: seal.n,
        progress: seal.progress,
        nonce: seal.nonce,
        version: seal.version,
        leader: None,
        since: None,
        trouble: None,
    }
}

/// A body with a share in it, wiped when it was sent. The share must have been judged before: it is written as it is.
fn body_with(share: &Secret, rest: &str) -> Zeroizing<String> {
    let share = share.expose().trim();
    // Once and for all, so that nothing is left behind by growing.
    let mut body = Zeroizing::new(String::with_capacity(share.len() + rest.len() + 16));
    body.push_str("{\"key\":\"");
    body.extend(share.chars().filter(|c| is_share(*c)));
    body.push('"');
    body.push_str(rest);
    body.push('}');
    body
}

/// Whether it occurs in hexadecimal digits or base64.
fn is_share(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_')
}

/// The error without the share, should what answered have repeated it.
fn without(share: &Secret, error: ServiceError) -> ServiceError {
    let clean = |reason: String| reason.replace(share.expose().trim(), "[redacted]");
    match error {
        ServiceError::Unreachable { url, reason } => ServiceError::Unreachable {
            url,
            reason: clean(reason),
        },
        ServiceError::Denied {
            url,
            status,
            reason,
        } => ServiceError::Denied {
            url,
            status,
            reason: clean(reason),
        },
        ServiceError::Status {
            url,
            status,
            reason,
        } => ServiceError::Status {
            url,
            status,
            reason: clean(reason),
        },
        ServiceError::Malformed { url, reason } => ServiceError::Malformed {
            url,
            reason: clean(reason),
        },
        other => other,
    }
}

#[async_trait]
impl Seals for Vault {
    async fn nodes(&self) -> Vec<NodeSeal> {
        let until = Until::after(LOOK);
        let seen = self.look(until).await;
        join_all(seen.into_iter().map(|seen| self.told(seen, until))).await
    }

    async fn unseal(&self, node: &str, share: &Secret) -> Result<NodeSeal, ServiceError> {
        let endpoint = self.endpoint(node)?;
        let until = Until::after(PATIENCE);
        let given = async {
            let body = body_with(share, "");
            let answer = endpoint.post_secret("/v1/sys/unseal", body, until).await?;
            answer.success()?.json::<SealStatus>()
        };
        let seal = given.await.map_err(|error| without(share, error))?;
        // Whether it is the active one is for the next look to tell.
        Ok(told(node.to_owned(), 429, seal))
    }

    async fn reset(&self, node: &str) -> Result<(), ServiceError> {
        let until = Until::after(LOOK);
        let endpoint = self.endpoint(node)?;
        let body = json!({ "reset": true });
        let answer = endpoint.post("/v1/sys/unseal", &body, until).await?;
        answer.success().map(drop)
    }

    async fn init(&self, node: &str, scheme: &Scheme) -> Result<NewKeys, ServiceError> {
        let endpoint = self.endpoint(node)?;
        let until = Until::after(PATIENCE);
        let seal: SealStatus = endpoint.get("/v1/sys/seal-status", until).await?;
        // Where something else unseals, operators get recovery keys, and a word about shares is refused.
        let (cut, pgp) = if seal.kind == SHAMIR {
            ("secret", "pgp_keys")
        } else {
            ("recovery", "recovery_pgp_keys")
        };
        let mut body = json!({
            format!("{cut}_shares"): scheme.shares,
            format!("{cut}_threshold"): scheme.threshold,
        });
        if let Some(first) = scheme.pgp_keys.first() {
            body[pgp] = json!(scheme.pgp_keys);
            body["root_token_pgp_key"] = json!(first);
        }
        let answer = endpoint.post("/v1/sys/init", &body, until).await?;
        let keys: Keys = answer.success()?.json_wiped()?;
        Ok(keys.cut(scheme.threshold))
    }

    async fn join(&self, node: &str, leader: &str) -> Result<(), ServiceError> {
        let until = Until::after(PATIENCE);
        let leader = self.endpoint(leader)?;
        // What the leader calls itself is what the newcomer can reach it by; our way to it may be another.
        let address = self.leader(leader, until).await;
        let mut body = json!({ "leader_api_addr": address.unwrap_or_else(|| leader.base.clone()) });
        if let Some(ca) = &self.ca {
            let pem = tokio::fs::read_to_string(ca).await.map_err(|error| {
                ServiceError::Setup(format!("authority {}: {error}", ca.display()))
            })?;
            body["leader_ca_cert"] = json!(pem);
        }
        let endpoint = self.endpoint(node)?;
        let answer = endpoint.post("/v1/sys/storage/raft/join", &body, until);
        answer.await?.success().map(drop)
    }

    async fn seal(&self, node: &str) -> Result<(), ServiceError> {
        let until = Until::after(PATIENCE);
        let answer = self
            .endpoint(node)?
            .post("/v1/sys/seal", &json!({}), until)
            .await?;
        answer.success().map(drop)
    }

    async fn step_down(&self, node: &str) -> Result<(), ServiceError> {
        let until = Until::after(PATIENCE);
        let endpoint = self.endpoint(node)?;
        let answer = endpoint
            .post("/v1/sys/step-down", &json!({}), until)
            .await?;
        answer.success().map(drop)
    }

    async fn rekey(&self, node: &str, scheme: &Scheme) -> Result<Rekey, ServiceError> {
        let endpoint = self.endpoint(node)?;
        let until = Until::after(PATIENCE);
        let mut body = json!({
            "secret_shares": scheme.shares,
            "secret_threshold": scheme.threshold,
        });
        if scheme.pgp_keys.is_empty() {
            body["require_verification"] = json!(true);
        } else {
            // What is encrypted for others cannot be shown by us.
            body["pgp_keys"] = json!(scheme.pgp_keys);
        }
        let mut base = "rekey";
        let mut answer = endpoint.post("/v1/sys/rekey/init", &body, until).await?;
        if matches!(answer.status(), 404 | 405) {
            base = "rotate/root";
            answer = endpoint
                .post("/v1/sys/rotate/root/init", &body, until)
                .await?;
        }
        let answer = answer.success()?;
        // Vault 1.9 and older begin with an empty answer.
        let status: RekeyStatus = match answer.status() {
            204 => {
                let path = format!("/v1/sys/{base}/init");
                endpoint.get::<RekeyStatus>(&path, until).await?
            }
            _ => answer.json::<RekeyStatus>()?,
        }
        .open();
        Ok(Rekey {
            nonce: status.nonce,
            required: status.required,
            base,
        })
    }

    async fn rekey_share(
        &self,
        node: &str,
        rekey: &Rekey,
        share: &Secret,
    ) -> Result<Rekeyed, ServiceError> {
        let endpoint = self.endpoint(node)?;
        let until = Until::after(PATIENCE);
        let given = async {
            let nonce: String = rekey.nonce.chars().filter(|c| is_share(*c)).collect();
            let body = body_with(share, &format!(",\"nonce\":\"{nonce}\""));
            let path = format!("/v1/sys/{}/update", rekey.base);
            let answer = endpoint.post_secret(&path, body, until).await?;
            answer.success()?.json_wiped::<RekeyStatus>()
        };
        let status = given.await.map_err(|error| without(share, error))?.open();
        if !status.complete {
            return Ok(Rekeyed::Progress(status.progress));
        }
        let verification = Some(status.verification_nonce).filter(|nonce| !nonce.is_empty());
        Ok(Rekeyed::Done(status.keys, verification))
    }

    async fn rekey_verify(
        &self,
        node: &str,
        rekey: &Rekey,
        nonce: &str,
        share: &Secret,
    ) -> Result<bool, ServiceError> {
        let endpoint = self.endpoint(node)?;
        let until = Until::after(PATIENCE);
        let shown = async {
            let nonce: String = nonce.chars().filter(|c| is_share(*c)).collect();
            let body = body_with(share, &format!(",\"nonce\":\"{nonce}\""));
            let path = format!("/v1/sys/{}/verify", rekey.base);
            let answer = endpoint.post_secret(&path, body, until).await?;
            answer.success()?.json::<RekeyStatus>()
        };
        let status = shown.await.map_err(|error| without(share, error))?.open();
        Ok(status.complete)
    }

    async fn rekey_cancel(&self, node: &str, rekey: &Rekey) -> Result<(), ServiceError> {
        let endpoint = self.endpoint(node)?;
        let path = format!("/v1/sys/{}/init", rekey.base);
        let until = Until::after(LOOK);
        // With a token `rotate` asks for no nonce; `rekey` takes it where it is asked for.
        let body = json!({ "nonce": rekey.nonce });
        endpoint
            .delete(&path, &body, until)
            .await?
            .success()
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_written_into_its_body_and_nothing_can_break_out_of_it() {
        let secret = |text: &str| Secret::new(text.into());
        assert_eq!(
            body_with(&secret(" ab12\n"), "").as_str(),
            r#"{"key":"ab12"}"#
        );
        assert_eq!(
            body_with(&secret(r#"ab","reset":true,"x":"#), "").as_str(),
            r#"{"key":"abresettruex"}"#
        );
    }

    #[test]
    fn an_error_that_repeats_the_share_is_told_without_it() {
        let share = Secret::new("0123456789abcdef".into());
        let error = ServiceError::Status {
            url: "http://pc1".into(),
            status: 400,
            reason: "bad key 0123456789abcdef".into(),
        };
        let told = without(&share, error).to_string();
        assert_eq!(told, "http://pc1: 400: bad key [redacted]");
    }

    #[test]
    fn keys_are_read_bare_and_within_data() {
        for text in [
            r#"{"nonce":"a","complete":true,"keys":["k"]}"#,
            r#"{"request_id":"r","data":{"nonce":"a","complete":true,"keys":["k"]},"auth":null}"#,
        ] {
            let status: RekeyStatus = serde_json::from_str(text).unwrap();
            let status = status.open();
            assert!(status.complete);
            assert_eq!(status.keys.len(), 1);
        }
    }
}
