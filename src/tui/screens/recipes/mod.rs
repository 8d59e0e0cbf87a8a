//! Recipes: what can be run, with steps and parameters.

mod model;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use model::Recipes;
