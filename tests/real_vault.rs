//! The seal of a real Vault: `OpenBao` servers with Raft on loopback, and the built program from initialisation to a leader that
//! loses its power. What the shares leave behind is looked for everywhere they could have gone.
//!
//! Needs `QUARTERDECK_OPENBAO`, the path of its program (`tests/real/openbao` fetches it); `tests/run vault` does all of it.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

#[path = "real_vault/canary.rs"]
mod canary;
#[path = "real_vault/cluster.rs"]
mod cluster;
#[path = "support/freeze.rs"]
#[allow(dead_code, reason = "no test uses all of it")]
mod freeze;
#[path = "real_vault/handover.rs"]
mod handover;
#[path = "real_vault/life.rs"]
mod life;
#[path = "real_vault/mid_run.rs"]
mod mid_run;
#[path = "real_vault/panics.rs"]
mod panics;
#[path = "support/terminal.rs"]
#[allow(dead_code, reason = "no test uses all of it")]
mod terminal;
