//! Words that nobody but their addressee may see.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::words;

words! {
    /// What a secret that is made for a cluster looks like.
    pub enum SecretKind {
        /// 32 random bytes in Base64: keys that encrypt.
        Key = "key",
        /// 64 random hexadecimal digits: passwords and join tokens.
        Token = "token",
        /// A random UUID: ACL tokens of HashiCorp's systems.
        Uuid = "uuid",
    }
}

/// Who shows a certificate, and which authority vouches for him.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// What the authority is called, such as `consul`.
    pub authority: String,
    /// What the holder is called, often a node.
    pub name: String,
    /// The host names and IP addresses he is reached by.
    pub names: Vec<String>,
}

/// A certificate and its key, both in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Certified {
    /// May be seen by everybody.
    pub certificate: String,
    /// May be seen by nobody else.
    pub key: String,
}

impl Certified {
    /// What stands for it where it is not known; `new ` says that it will be made.
    pub fn placeholder(new: &str, holder: &str) -> Self {
        Self {
            certificate: format!("[{new}certificate of {holder}]\n"),
            key: format!("[{new}key of {holder}]\n"),
        }
    }
}

impl fmt::Debug for Certified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certified(…)")
    }
}

/// A password or passphrase on its way from an operator to where it is needed. Wiped from memory when dropped, never shown.
///
/// It can be written to the engine's socket, which only this user can open; nothing else serialises it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes `text` over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for whoever needs it now.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_by_debug_not_even_its_length() {
        assert_eq!(
            format!("{:?}", Secret::new("hunter2".into())),
            format!("{:?}", Secret::new(String::new()))
        );
    }
}
