//! What can be done to the services on purpose, in words.

use super::Services;

/// A fault that a person can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The words, with a number as `<n>`.
    pub words: &'static str,
    /// What happens.
    pub effect: &'static str,
}

/// Every fault of the services.
pub const FAULTS: &[Fault] = &[
    Fault {
        words: "seal",
        effect: "Vault is sealed on all its nodes",
    },
    Fault {
        words: "unseal",
        effect: "Vault is unsealed again on all nodes that run it",
    },
];

/// Why a fault did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// Nothing here is called that.
    #[error("no fault is called {0:?}")]
    Unknown(String),
    /// The lab has no such system or part.
    #[error("the lab has no {0}")]
    Missing(String),
}

impl Services {
    /// Makes `words` happen and says what did.
    ///
    /// # Errors
    /// [`FaultError::Unknown`] when the words are not among [`FAULTS`].
    pub fn fault(&self, words: &str) -> Result<String, FaultError> {
        let parts: Vec<&str> = words.split_whitespace().collect();
        let missing = |what: &str| FaultError::Missing(what.to_owned());
        match parts.as_slice() {
            ["seal"] => {
                let vault = self
                    .machines
                    .vault
                    .as_ref()
                    .ok_or_else(|| missing("Vault"))?;
                vault.with(|vault, _| vault.seal_all());
                Ok("Vault is sealed on all its nodes".into())
            }
            ["unseal"] => {
                let vault = self
                    .machines
                    .vault
                    .as_ref()
                    .ok_or_else(|| missing("Vault"))?;
                vault.with(|vault, _| vault.unseal_all());
                Ok("Vault is unsealed".into())
            }
            _ => Err(FaultError::Unknown(words.to_owned())),
        }
    }
}
