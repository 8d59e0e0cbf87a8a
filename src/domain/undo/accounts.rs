//! Users and groups before they were changed.

use serde::{Deserialize, Serialize};

use crate::domain::resource::{GroupSpec, UserSpec};

/// What a user is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Id of the primary group.
    pub gid: u32,
    /// Name of the primary group.
    pub group: String,
    /// The other groups, sorted.
    pub groups: Vec<String>,
    /// Full name, or what the account is for.
    pub comment: String,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
    /// The day on which it expires or has expired, counted from 1970, as shadow(5) has it; empty for never. `None` when
    /// that was not looked at.
    pub expires: Option<String>,
}

/// A user before he was added, changed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserBefore {
    /// What he was; `None` when there was none.
    pub was: Option<Account>,
    /// What the run makes of him.
    pub left: UserSpec,
}

/// A group before it was added, changed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupBefore {
    /// What it was; `None` when there was none.
    pub was: Option<GroupWas>,
    /// What the run makes of it.
    pub left: GroupSpec,
}

/// What a group was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupWas {
    /// Group id.
    pub gid: u32,
    /// Its members besides those whose primary group it is.
    pub members: Vec<String>,
}

impl UserBefore {
    pub(super) fn outlook(&self) -> &'static str {
        match (&self.was, self.left.state.is_present()) {
            (None, _) => "removed",
            (Some(_), true) => "as before",
            (Some(_), false) => "added again",
        }
    }

    pub(super) fn limits(&self) -> Vec<String> {
        let name = &self.left.name;
        match (&self.was, self.left.state.is_present()) {
            (None, _) => vec![format!(
                "user {name}: files stay, the home directory among them (`find / -nouser` on the node shows them)"
            )],
            (Some(_), true) => Vec::new(),
            (Some(was), false) if self.left.remove_home => vec![format!(
                "user {name}: comes back without password, and {} without what was in it",
                was.home
            )],
            (Some(_), false) => vec![format!("user {name}: comes back without password")],
        }
    }
}

impl GroupBefore {
    pub(super) fn outlook(&self) -> String {
        match (&self.was, self.left.state.is_present()) {
            (None, _) => "removed".into(),
            (Some(was), true) => format!("gid {} again", was.gid),
            (Some(_), false) => "added again".into(),
        }
    }
}
