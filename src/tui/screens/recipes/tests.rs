//! Snapshots and behaviour of the recipes.
