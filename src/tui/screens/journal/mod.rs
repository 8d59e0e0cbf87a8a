//! The journals of several nodes as one stream, merged by time.

mod model;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use model::Journal;
