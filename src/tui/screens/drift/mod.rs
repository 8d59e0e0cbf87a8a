//! The drift board: what differs from what is declared, since when, what is ignored, and what is not known.

mod model;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use model::Drift;
