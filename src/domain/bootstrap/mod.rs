//! The first start: from a few answers and what hosts say of themselves to the files of a workspace.
//!
//! ```text
//!  Answers ──┐
//!            ├─► propose ─► members with roles and reasons ─► conflicts ─► files ─► texts, as a diff
//!  Machines ─┘   (odd quorum, spread)                         (what cannot be, and why)
//! ```
//!
//! [`Answers`] are the one thing that is kept: the answers file of unattended use, and what is remembered when an operator
//! quits half-way. Everything else is worked out anew from them and from the probes. [`stage`] says what comes after the
//! files are written, by what the store and the services say, not by what somebody remembers.

mod adopt;
mod answers;
mod candidate;
mod conflicts;
mod files;
mod machine;
mod propose;
mod range;
pub mod stage;
#[cfg(test)]
mod tests;

pub use adopt::{ADOPTED, taken_in, usual_variable, view_of};
pub use answers::{
    Adopted, Answers, BackupAnswers, Brought, BroughtBy, HostAnswer, HostKeys, Purpose,
    SecretAnswers, SshAnswers,
};
pub use candidate::{Candidate, KnownFrom};
pub use conflicts::{Conflict, INSTALLED, conflicts, lacking, obstacles, refusals, used, warnings};
pub use files::{Change, NewFile, difference, files};
pub use machine::{Machine, networks, platform_of, suggested_consul};
pub use propose::{Member, parts, propose};
pub use range::{MOST, RangeError, expand};
