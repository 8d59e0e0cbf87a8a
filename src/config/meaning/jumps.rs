//! Jump hosts: every way must lead to a node, and end.
//!
//! The environment's `ssh.jump` holds for every node without one of its own, except for the jump host itself and for
//! those that it is reached through. `none` means a direct way, as in OpenSSH's `ProxyJump`. Where nothing is said, the
//! operator's `~/.ssh/config` may know a way.

use std::collections::HashMap;

use crate::config::cursor::Cursor;
use crate::config::diagnostic::{Fault, Span, quoted};
use crate::config::format::environment::{EnvironmentFile, Ssh};
use crate::config::suggest;
use crate::domain::node::Jump;

/// The word for "no jump host".
pub(crate) const DIRECT: &str = "none";

/// The jump host of each node, in the order of the file.
pub(crate) fn check(
    file: &EnvironmentFile,
    top: Cursor<'_>,
    faults: &mut Vec<Fault>,
) -> Vec<Option<Jump>> {
    let mut index: HashMap<&str, usize> = HashMap::new();
    for (number, node) in file.nodes.iter().enumerate() {
        if let Some(name) = &node.name {
            index.entry(&name.0).or_insert(number);
        }
    }
    let names: Vec<&str> = index.keys().copied().collect();
    let mut known = |ssh: Option<&Ssh>, at: Cursor<'_>| -> Way {
        let Some(jump) = ssh.and_then(|ssh| ssh.jump.as_ref()) else {
            return Way::Unsaid;
        };
        if jump.0 == DIRECT {
            return Way::Direct;
        }
        let span = at.key("jump").span();
        let Some(target) = index.get(jump.0.as_str()) else {
            let fault = Fault::error(
                "unknown-node",
                span,
                format!(
                    "the jump host {} is not a node of this environment",
                    quoted(&jump.0)
                ),
            );
            faults.push(match suggest::closest(&jump.0, names.iter().copied()) {
                Some(close) => fault.label(format!("did you mean `{close}`?")),
                None => fault.help("add it to `nodes` (with the role bastion if it is nothing else), or write `jump: none`"),
            });
            return Way::Direct;
        };
        Way::Through(*target, span)
    };
    let default = known(file.ssh.as_ref(), top.key("ssh"));
    let own: Vec<Way> = file
        .nodes
        .iter()
        .enumerate()
        .map(|(number, node)| known(node.ssh.as_ref(), top.key("nodes").item(number).key("ssh")))
        .collect();
    let ways = resolve(&own, default);
    cycles(file, &ways, faults);
    ways.iter()
        .zip(own)
        .map(|(way, own)| match (way, own) {
            (Some((target, _)), _) => {
                let name = file.nodes[*target].name.as_ref()?;
                Some(Jump::Through(name.0.clone()))
            }
            (None, Way::Direct) => Some(Jump::Direct),
            // The environment's jump host itself, or nobody said anything: the operator's own configuration may.
            (None, _) => match default {
                Way::Direct => Some(Jump::Direct),
                Way::Unsaid | Way::Through(..) => None,
            },
        })
        .collect()
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Unsaid,
    Direct,
    Through(usize, Span),
}

/// What each node does, with the environment's jump host put in where a node says nothing.
fn resolve(own: &[Way], default: Way) -> Vec<Option<(usize, Span)>> {
    let mut exempt = vec![false; own.len()];
    if let Way::Through(mut at, _) = default {
        while !exempt[at] {
            exempt[at] = true;
            if let Way::Through(next, _) = own[at] {
                at = next;
            }
        }
    }
    own.iter()
        .zip(exempt)
        .map(|(way, exempt)| match (way, default) {
            (Way::Through(target, span), _) => Some((*target, *span)),
            (Way::Unsaid, Way::Through(target, span)) if !exempt => Some((target, span)),
            _ => None,
        })
        .collect()
}

/// Reports each ring once, at its first node in the file.
fn cycles(file: &EnvironmentFile, ways: &[Option<(usize, Span)>], faults: &mut Vec<Fault>) {
    let name = |node: usize| {
        file.nodes[node]
            .name
            .as_ref()
            .map_or("?", |name| name.0.as_str())
    };
    let mut done = vec![false; ways.len()];
    for start in 0..ways.len() {
        let mut trail = Vec::new();
        let mut at = Some(start);
        while let Some(node) = at.filter(|node| !done[*node]) {
            done[node] = true;
            trail.push(node);
            at = ways[node].map(|(next, _)| next);
        }
        let Some(from) = at.and_then(|again| trail.iter().position(|node| *node == again)) else {
            continue;
        };
        let ring = &trail[from..];
        let first = ring.iter().copied().min().unwrap_or(start);
        let Some((_, span)) = ways[first] else {
            continue;
        };
        let mut shown: Vec<&str> = ring.iter().take(8).map(|node| name(*node)).collect();
        shown.push(if ring.len() > 8 { "…" } else { name(ring[0]) });
        let message = if ring.len() == 1 {
            format!("{} is its own jump host", quoted(name(first)))
        } else {
            "the jump hosts lead round in a ring".to_owned()
        };
        faults.push(
            Fault::error("jump-cycle", span, message)
                .label(shown.join(" → "))
                .help("one of them must be reached directly: `jump: none`"),
        );
    }
}
