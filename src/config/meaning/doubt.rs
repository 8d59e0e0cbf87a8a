//! What cannot be concluded because of mistakes already told: a misspelt `consul-sever` may be the third server.

use crate::config::format::environment::EnvironmentFile;
use crate::config::suggest;
use crate::domain::node::Role;

/// What may have been meant where something was cut out.
#[derive(Debug, Default)]
pub(crate) struct Doubt {
    /// Roles that some node may have beside those that could be read.
    pub(crate) roles: Vec<Role>,
    /// Whether the stack is a default only because the one that was written could not be read.
    pub(crate) stack: bool,
}

impl Doubt {
    /// Reads it from the lost words and the keys they were under.
    pub(crate) fn of(file: &EnvironmentFile, lost: &[(String, String)]) -> Self {
        let words = || Role::ALL.iter().map(|role| role.word());
        let roles = lost
            .iter()
            .filter(|(top, _)| top == "nodes")
            .filter_map(|(_, word)| suggest::closest(word, words())?.parse().ok())
            .collect();
        let stack = file.environment.as_ref().and_then(|about| about.stack);
        Self {
            roles,
            stack: stack.is_none() && lost.iter().any(|(top, _)| top == "environment"),
        }
    }
}
