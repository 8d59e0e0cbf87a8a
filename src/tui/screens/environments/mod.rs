//! Environments: what is declared beside what is there.

mod model;
pub(crate) mod rows;
mod schedules;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use model::Environments;
