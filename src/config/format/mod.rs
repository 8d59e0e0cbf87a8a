//! The files as they are written: one type per mapping, from which both the reader and the JSON Schema come.
//!
//! Every field is optional to serde, even those that the schema requires: a file with mistakes is read without its
//! faulty parts, so that one look finds the mistakes of structure and those of meaning together. Doc comments of fields
//! become the descriptions that editors show.

pub(crate) mod backups;
pub(crate) mod desired;
pub(crate) mod drift_rules;
pub(crate) mod environment;
pub(crate) mod notifications;
pub(crate) mod words;
pub(crate) mod workspace;
