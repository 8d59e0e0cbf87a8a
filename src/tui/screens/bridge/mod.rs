//! The Bridge: environments, nodes, services and activity at once; findings above, a live log below.

mod model;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use model::Bridge;
