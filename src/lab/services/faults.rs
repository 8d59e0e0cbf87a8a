//! What can be done to the services on purpose: `:lab seal` and the like.

use std::sync::Arc;

use super::consul::Consul;
use super::sim::Sim;
use super::vault::Vault;
use crate::lab::world::{FaultHelp, FaultTarget};

/// The machines that faults act on; `None` where no node has the role.
#[derive(Clone, Default)]
pub(crate) struct Machines {
    pub consul: Option<Arc<Sim<Consul>>>,
    pub vault: Option<Arc<Sim<Vault>>>,
}

const FAULTS: &[FaultHelp] = &[
    FaultHelp {
        verb: "seal",
        arguments: "",
        what: "seal Vault on all its nodes",
    },
    FaultHelp {
        verb: "unseal",
        arguments: "",
        what: "unseal Vault on all nodes that run it",
    },
];

impl Machines {
    fn vault(&self) -> Result<&Arc<Sim<Vault>>, String> {
        self.vault.as_ref().ok_or_else(|| missing("Vault"))
    }
}

fn missing(what: &str) -> String {
    format!("this lab has no {what}")
}

impl FaultTarget for Machines {
    fn faults(&self) -> &'static [FaultHelp] {
        FAULTS
    }

    fn fault(&self, verb: &str, arguments: &[&str]) -> Result<String, String> {
        match (verb, arguments) {
            ("seal", []) => {
                self.vault()?.with(|vault, _| vault.seal_all());
                Ok("Vault is sealed on all its nodes".into())
            }
            ("unseal", []) => {
                self.vault()?.with(|vault, _| vault.unseal_all());
                Ok("Vault is unsealed".into())
            }
            _ => Err(usage(verb)),
        }
    }
}

fn usage(verb: &str) -> String {
    match FAULTS.iter().find(|fault| fault.verb == verb) {
        Some(fault) => format!("usage: {} {}", fault.verb, fault.arguments),
        None => format!("{verb:?} is not a fault of the services"),
    }
}
