//! Steps of recipes that are called on a condition: what the environment rules out is no part of the plan.
//!
//! A stack's recipe calls one recipe for each piece of software. Where it is known beforehand that a call is not made, its
//! steps would only be read over, and be skipped one by one.

use std::collections::BTreeMap;

use crate::domain::recipe::Called;
use crate::steps::template::Templates;

/// Where a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// On none of the step's hosts.
    Nowhere,
    /// On some, or it cannot be told beforehand.
    Somewhere,
    /// On each of them.
    Everywhere,
}

/// Where the call of a step is made that runs on `hosts`, or where the engine is.
pub(super) fn reach(called: &Called, hosts: Option<&[String]>, templates: &Templates) -> Reach {
    let on = |host: Option<&str>| templates.scope(host).holds(&called.when);
    let asked: Vec<_> = match hosts {
        // A step for which there is no node is still ruled out, or not.
        None | Some([]) => vec![on(None)],
        Some(hosts) => hosts.iter().map(|host| on(Some(host))).collect(),
    };
    if asked.iter().all(|holds| matches!(holds, Ok(false))) {
        Reach::Nowhere
    } else if asked.iter().all(|holds| matches!(holds, Ok(true))) {
        Reach::Everywhere
    } else {
        // What is wrong with a condition is told by whoever renders the step.
        Reach::Somewhere
    }
}

/// Steps that are left out, and what those wait for that needed them.
#[derive(Debug, Default)]
pub(super) struct LeftOut(BTreeMap<String, Vec<String>>);

impl LeftOut {
    /// Leaves out the step `id`, which itself needs `needs`.
    pub(super) fn add(&mut self, id: String, needs: Vec<String>) {
        self.0.insert(id, needs);
    }

    /// `needs` with what left-out steps need in their place, each once.
    pub(super) fn instead_of(&self, needs: &[String]) -> Vec<String> {
        let mut found: Vec<String> = Vec::with_capacity(needs.len());
        for need in needs {
            // Steps come in the order of their needs: what is left out knows what stands for its own.
            let standing = self
                .0
                .get(need)
                .map_or(std::slice::from_ref(need), Vec::as_slice);
            for one in standing {
                if !found.contains(one) {
                    found.push(one.clone());
                }
            }
        }
        found
    }
}
