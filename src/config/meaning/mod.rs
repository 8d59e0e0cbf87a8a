//! The second round of checks: does what the file says make sense?
//!
//! Each module reads one part of a file into the domain's types and reports what contradicts the rest: names that are
//! taken or unknown, machines that cannot run what they are given, ways that lead nowhere. Values that the first round
//! cut out are simply absent here, and are passed over in silence: their mistake has been told.

pub(super) mod artifacts;
pub(super) mod backups;
pub(super) mod desired;
pub(super) mod doubt;
pub(super) mod environment;
pub(super) mod jumps;
pub(super) mod nodes;
pub(super) mod notifications;
pub(super) mod paths;
pub(super) mod roles;
pub(super) mod schedules;
pub(super) mod services;
pub(super) mod settings;
pub(super) mod versions;
