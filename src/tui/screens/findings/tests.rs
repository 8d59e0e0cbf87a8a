//! Snapshots and behaviour of the findings.
