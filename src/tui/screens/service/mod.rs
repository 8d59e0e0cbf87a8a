//! One service: how it is, and its tables.

mod model;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use model::ServiceScreen;
