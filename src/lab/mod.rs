//! The lab: a practice cluster inside the process.
//!
//! Five simulated boards behind real SSH servers on loopback, simulated services behind HTTP on loopback. The cockpit
//! reaches them with the same clients it uses on real machines and cannot tell the difference: this is the flight
//! simulator, with faults to practise on ([`world::World::command`]).
//!
//! One [`world::World`] holds everything that is true about the cluster: which nodes have power, their files, packages,
//! units and journals. The SSH side and the HTTP side both read and change that one truth, so a node that loses power
//! takes its services with it.

#![allow(dead_code, reason = "the SSH side that reads the rest of it follows")]

mod consul;
pub mod services;
pub mod world;
