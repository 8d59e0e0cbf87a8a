//! Snapshots and behaviour of the list of nodes.
