//! Snapshots and behaviour of the run screen.
