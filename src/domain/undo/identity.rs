//! A node's name and time zone before they were changed.

use serde::{Deserialize, Serialize};

/// The node's name before it was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostnameBefore {
    /// What it was called.
    pub was: String,
    /// What the run calls it.
    pub left: String,
}

/// The node's time zone before it was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimezoneBefore {
    /// The zone; `None` when there was none to go back to.
    pub was: Option<String>,
    /// The zone that the run sets.
    pub left: String,
}

impl TimezoneBefore {
    pub(super) fn limits(&self) -> Vec<String> {
        match self.was {
            Some(_) => Vec::new(),
            None => vec![format!(
                "timezone {0}: stays {0}, because no zone of the database was set before",
                self.left
            )],
        }
    }
}
