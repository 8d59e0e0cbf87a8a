//! Finding, reading and checking a workspace.
//!
//! A workspace is a directory that the operator keeps in Git: `quarterdeck.yaml` with the settings, one file per
//! environment in `environments/`, and his own recipes. [`find`] says where it is, [`check`] reads all of it and says
//! everything that is wrong, [`render`] draws that for a person, [`schema`] tells editors the format.
//!
//! # How a file is read
//!
//! ```text
//! bytes ─ source ─► text ─ tree ─► values with places ─ masks ─► … whose secrets are known
//!                                        │
//!                       shape: JSON Schema, all errors; what is wrong is cut out
//!                                        │
//!                       format: lenient types, every part optional
//!                                        │
//!                       meaning: names, machines, ways, quorums ─► domain::environment::Environment
//! ```
//!
//! The types in `format` are the one description of the format: the schema that editors use and that the first round
//! of checks applies is generated from them, and the second round reads into them. A mistake in one place never hides
//! another elsewhere in the file, short of the file not being YAML at all.
//!
//! A secret that stands in a file in plain text is an error, and no diagnostic ever shows it: whatever the mistake, lines
//! and messages leave here already masked.

mod check;
mod cursor;
mod diagnostic;
pub mod drift_rules;
mod find;
mod fingerprint;
mod format;
mod masks;
mod meaning;
mod read;
mod render;
mod schema;
mod shape;
mod source;
mod suggest;
mod tree;
mod workspace;
mod write;

#[cfg(test)]
mod tests;

pub use check::{FILE, answers_from, check, environment_from, recipe_from};
pub use diagnostic::{Diagnostic, Place, Severity, Span};
pub use find::{FindError, Found, WorkspaceRoot, find};
pub use fingerprint::fingerprint;
pub use render::render;
pub use schema::{Which, schema};
pub use workspace::{Checked, Recipes, Settings, Workspace};
pub use write::{read_old, replace, write};
