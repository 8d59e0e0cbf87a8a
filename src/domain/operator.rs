//! Operators: who asks.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who sits at the other end of a connection to the engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Operator {
    /// Login name.
    pub user: String,
    /// The machine the session is on.
    pub host: String,
    /// User id, as the kernel gives it.
    pub uid: u32,
    /// Fingerprint (`SHA256:…`) of the SSH key that opened the session, where the SSH server tells it
    /// (`ExposeAuthInfo` of `sshd_config(5)`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Operator {
    /// The user called `user` with the id `uid`, in a session on `host` that does not tell its key.
    pub fn new(user: impl Into<String>, host: impl Into<String>, uid: u32) -> Self {
        Self {
            user: user.into(),
            host: host.into(),
            uid,
            key: None,
        }
    }

    /// Whether these may be two people: different users, or one account entered with two different SSH keys.
    ///
    /// Two sessions of one user of which one does not tell its key are taken for the same person.
    pub fn is_someone_else_than(&self, other: &Self) -> bool {
        match (&self.key, &other.key) {
            _ if self.uid != other.uid => true,
            (Some(mine), Some(theirs)) => mine != theirs,
            _ => false,
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}@{}", self.user, self.host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(uid: u32, key: Option<&str>) -> Operator {
        Operator {
            key: key.map(Into::into),
            ..Operator::new("ada", "bastion", uid)
        }
    }

    #[test]
    fn two_users_are_two_people_and_two_terminals_of_one_user_are_not() {
        assert!(operator(1000, None).is_someone_else_than(&operator(1001, None)));
        assert!(!operator(1000, None).is_someone_else_than(&operator(1000, None)));
    }

    #[test]
    fn one_account_is_two_people_only_when_both_sessions_tell_different_keys() {
        let (one, other) = (
            operator(1000, Some("SHA256:a")),
            operator(1000, Some("SHA256:b")),
        );
        assert!(one.is_someone_else_than(&other));
        assert!(!one.is_someone_else_than(&operator(1000, Some("SHA256:a"))));
        assert!(!one.is_someone_else_than(&operator(1000, None)));
        assert!(!operator(1000, None).is_someone_else_than(&one));
    }
}
