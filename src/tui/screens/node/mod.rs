//! One node: facts, gauges, how it fared, what is wrong, which runs touched it.

mod figures;
mod model;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use model::NodeScreen;
