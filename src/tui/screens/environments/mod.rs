//! Environments: what is declared beside what is there.

mod model;
pub(crate) mod rows;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use model::Environments;
