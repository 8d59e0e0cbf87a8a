//! Hosts that could be meant, before anybody has looked at them.

use serde::{Deserialize, Serialize};

use crate::domain::words;

words! {
    /// Where a host is known from.
    pub enum KnownFrom {
        /// It was typed.
        Typed = "typed",
        /// A `Host` of the OpenSSH client configuration.
        Config = "ssh config",
        /// A line of `known_hosts`.
        KnownHosts = "known_hosts",
    }
}

/// A host that could be meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// What one would type after `ssh`.
    pub address: String,
    /// Where it is known from.
    pub from: KnownFrom,
    /// Whether something listens at its SSH port; `None` where that was not tried, as the way there may lead through others.
    pub listens: Option<bool>,
}
