//! Snapshots and behaviour of the node screen.
