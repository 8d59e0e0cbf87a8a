//! One run: what failed, the steps and hosts, the log.

mod failure;
mod matrix;
mod model;
pub(crate) mod steps;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use model::RunScreen;
