//! The first start, step by step: one question a page, back and on at will, nothing lost when one leaves.
//!
//! `model` holds the answers and moves between pages, `rows` says what stands on each page, `change` takes in what is typed or
//! chosen, `stages` is the last page: what is left to do after the files are written.

mod change;
mod model;
mod rows;
mod stages;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use model::Wizard;
