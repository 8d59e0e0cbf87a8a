//! Snapshots and behaviour of the environments.
