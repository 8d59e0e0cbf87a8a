//! Roles: whether a machine can have them, whether the stack needs them, whether they can vote.

use crate::config::cursor::Cursor;
use crate::config::diagnostic::{Fault, quoted};
use crate::config::format::environment::EnvironmentFile;
use crate::config::meaning::doubt::Doubt;
use crate::domain::node::Role;
use crate::domain::stack::Stack;

pub(crate) fn check(
    file: &EnvironmentFile,
    top: Cursor<'_>,
    stack: Stack,
    doubt: &Doubt,
    faults: &mut Vec<Fault>,
) {
    possible(file, top, faults);
    if !doubt.stack {
        unused(file, top, stack, faults);
    }
    quorum(file, top, doubt, faults);
}

/// Every role with the indexes of its node and of itself.
fn all(file: &EnvironmentFile) -> impl Iterator<Item = (usize, usize, Role)> {
    file.nodes.iter().enumerate().flat_map(|(node, entry)| {
        entry
            .roles
            .iter()
            .enumerate()
            .map(move |(index, role)| (node, index, *role))
    })
}

fn possible(file: &EnvironmentFile, top: Cursor<'_>, faults: &mut Vec<Fault>) {
    for (node, index, role) in all(file) {
        let entry = &file.nodes[node];
        let at = top.key("nodes").item(node);
        let span = at.key("roles").item(index).span();
        if entry.roles[..index].contains(&role) {
            faults.push(
                Fault::warning(
                    "duplicate-role",
                    span,
                    format!("the role {} is given twice", quoted(role.word())),
                )
                .help("remove one"),
            );
            continue;
        }
        let Some(platform) = entry.platform else {
            continue;
        };
        let Some(arch) = platform.fixed_arch().or(entry.arch) else {
            continue;
        };
        let Some(software) = role.software() else {
            continue;
        };
        if let Err(reason) = platform.supports(arch, software) {
            faults.push(
                Fault::error(
                    "impossible",
                    span,
                    format!("{software} cannot run on {platform}: {reason}"),
                )
                .label("this role needs it")
                .related(at.key("platform").span(), "on this machine")
                .help("give the role to another node"),
            );
        }
    }
}

fn unused(file: &EnvironmentFile, top: Cursor<'_>, stack: Stack, faults: &mut Vec<Fault>) {
    let mut told = Vec::new();
    for (node, index, role) in all(file) {
        if stack.uses(role) || told.contains(&role) {
            continue;
        }
        told.push(role);
        let span = top.key("nodes").item(node).key("roles").item(index).span();
        let fault = Fault::warning(
            "unused-role",
            span,
            format!(
                "the stack {} does nothing with the role {}",
                quoted(stack.word()),
                quoted(role.word())
            ),
        );
        let about = top.key("environment");
        let fault = match about.key("stack").node() {
            Some(_) => fault.related(about.key("stack").span(), "the stack is chosen here"),
            None => fault,
        };
        let fitting: Vec<_> = Stack::ALL
            .iter()
            .filter(|other| all(file).all(|(_, _, role)| other.uses(role)))
            .map(|other| other.word())
            .collect();
        faults.push(match fitting.as_slice() {
            [] => fault.help(
                "no stack uses all the roles of this file; remove the ones that are not meant",
            ),
            fitting => fault.help(format!(
                "stacks that use all the roles of this file: {}",
                fitting.join(", ")
            )),
        });
    }
}

fn quorum(file: &EnvironmentFile, top: Cursor<'_>, doubt: &Doubt, faults: &mut Vec<Fault>) {
    let certain = |role: &&Role| role.is_quorum() && !doubt.roles.contains(role);
    for role in Role::ALL.iter().filter(certain) {
        let voters: Vec<usize> = (0..file.nodes.len())
            .filter(|node| file.nodes[*node].roles.contains(role))
            .collect();
        let Some(last) = voters.last().filter(|_| voters.len().is_multiple_of(2)) else {
            continue;
        };
        let index = file.nodes[*last]
            .roles
            .iter()
            .position(|other| other == role);
        let at = top.key("nodes").item(*last).key("roles");
        let span = index.map_or(at.span(), |index| at.item(index).span());
        let number = voters.len();
        faults.push(
            Fault::warning(
                "even-quorum",
                span,
                format!(
                    "{number} nodes vote as {}: they survive no more failures than {} would",
                    quoted(role.word()),
                    number - 1
                ),
            )
            .label(format!("number {number}"))
            .help(format!("use {} or {}", number - 1, number + 1)),
        );
    }
}
