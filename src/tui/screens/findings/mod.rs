//! Findings: what is wrong, worst first, since when, and how one knows.

mod model;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use model::Findings;
pub(crate) use view::{calm, counts, strip};
