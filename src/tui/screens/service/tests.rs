//! Snapshots and behaviour of the service screen.
