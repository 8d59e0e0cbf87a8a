//! Snapshots and behaviour of the Bridge.
