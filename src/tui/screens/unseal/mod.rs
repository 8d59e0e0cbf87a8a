//! The seal board: every node of every Vault of the environment, and the ceremony that is held.

mod model;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use model::Unseal;
