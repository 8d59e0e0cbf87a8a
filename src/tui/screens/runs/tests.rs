//! Snapshots and behaviour of the list of runs.
