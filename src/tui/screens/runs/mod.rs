//! The list of runs.

mod model;
pub(crate) mod rows;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use model::Runs;
