//! The list of services.

mod model;
pub(crate) mod rows;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use model::Services;
