//! engine: see the house in the crate's documentation.

mod run;
