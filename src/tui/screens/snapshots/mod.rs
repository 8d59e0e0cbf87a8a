//! The snapshots of the environment's stores: how old, how large, whether whole, when last tried.

mod model;
mod rows;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use model::Snapshots;
