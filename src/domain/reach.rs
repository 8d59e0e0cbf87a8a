//! The way to a node, hop by hop: what it is made of, where each setting came from, and how far one gets.

use serde::{Deserialize, Serialize};

use super::words;

words! {
    /// A stage of being let in at a hop, in order.
    pub enum StageName {
        /// Finding an address for the name.
        Resolve = "resolve",
        /// A TCP connection, or a channel through the hop before.
        Connect = "connect",
        /// SSH's key exchange.
        KeyExchange = "key-exchange",
        /// Is the host's key good?
        HostKey = "host-key",
        /// Being let in.
        Login = "login",
        /// Running a command.
        Command = "command",
        /// Whether the machine's first boot has done its work.
        CloudInit = "cloud-init",
        /// Becoming root.
        Elevate = "elevate",
    }
}

words! {
    /// How a stage went.
    pub enum StageOutcome {
        /// As it should.
        Ok = "ok",
        /// It works, but something is to be known.
        Warn = "warn",
        /// Not.
        Failed = "failed",
    }
}

/// One stage of one hop, as it was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Which.
    pub name: StageName,
    /// How it went.
    pub outcome: StageOutcome,
    /// What was seen, or why it failed.
    pub detail: String,
    /// How long it took, milliseconds.
    pub ms: u32,
}

/// A setting that plays a part at a hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// What it is called, such as `user`.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Where it came from: `workspace`, `FILE:LINE` of an SSH configuration, `command line` or `default`.
    pub from: String,
}

/// One hop of a way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// The node's name, or what `ProxyJump` calls it.
    pub name: String,
    /// Host name or IP address, and port.
    pub address: String,
    /// Login name.
    pub user: String,
    /// What is offered there and believed of it, each with its origin.
    pub settings: Vec<Setting>,
    /// What was tried, up to the stage that failed; empty when nothing was.
    pub stages: Vec<Stage>,
}

impl Hop {
    /// The stage at which it went wrong.
    pub fn failure(&self) -> Option<&Stage> {
        self.stages
            .iter()
            .find(|stage| stage.outcome == StageOutcome::Failed)
    }
}

/// The way to a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// The node.
    pub node: String,
    /// Its hops, the one next to us first, the node last. Empty when the way cannot be followed at all.
    pub hops: Vec<Hop>,
    /// Why it cannot be followed; `None` when each stage that was tried went well.
    pub trouble: Option<String>,
    /// What could not be taken into account, such as a `Match` block of `~/.ssh/config`.
    pub remarks: Vec<String>,
}
