//! Terminals on nodes: several at a time, one of them shown.
//!
//! While one types, every key but one goes to the node; `ctrl-]` takes the keyboard back. The terminals stay
//! open while one is on other screens, and end with this program.

mod glass;
mod keys;
mod model;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use model::{TABS, Terminals};
