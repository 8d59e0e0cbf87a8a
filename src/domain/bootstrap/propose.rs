//! Roles: who votes, who works, and why.
//!
//! Voters are an odd number, as an even one adds cost and no tolerance ([`crate::domain::quorum`]), and stand in as many
//! places as there are. Where machines are enough, what works stays apart from what votes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::answers::{Answers, Purpose};
use super::machine::{Machine, prefixed};
use crate::domain::node::Role;
use crate::domain::platform::{Arch, Platform};
use crate::domain::stack::Stack;

/// A host that is to become a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Unique.
    pub name: String,
    /// Where it is reached from here.
    pub address: String,
    /// TCP port of its SSH server, where it is not the usual one.
    pub port: Option<u16>,
    /// The kind of machine.
    pub platform: Platform,
    /// Its architecture; `None` when nothing is built for it.
    pub arch: Option<Arch>,
    /// What it is for.
    pub roles: BTreeSet<Role>,
    /// Where the other nodes reach it, when that is not its address.
    pub lan: Option<IpAddr>,
    /// Whether the others are reached through it.
    pub jump: bool,
    /// Why it has these roles, one phrase each.
    pub why: Vec<String>,
}

/// How many of `count` machines shall vote: 1, 3 or 5.
const fn voters(count: usize) -> usize {
    match count {
        0..3 => 1,
        3..7 => 3,
        _ => 5,
    }
}

/// Gives every machine a name and roles; those that an answer names stay as they are.
pub fn propose(answers: &Answers, machines: &[Machine]) -> Vec<Member> {
    let network = answers.network.as_deref().and_then(prefixed);
    let names = names(answers, machines);
    let mut members: Vec<Member> = machines
        .iter()
        .zip(names)
        .map(|(machine, name)| {
            let host = answers.host(&machine.key);
            let own = network.and_then(|network| machine.within(network));
            Member {
                name,
                address: machine.address.clone(),
                port: host.and_then(|host| host.port),
                platform: machine.platform,
                arch: machine.arch,
                roles: BTreeSet::new(),
                lan: own.filter(|ip| ip.to_string() != machine.address),
                jump: answers.ssh.jump.as_deref() == Some(&machine.key),
                why: Vec::new(),
            }
        })
        .collect();
    if answers.purpose == Purpose::Adopt {
        // What runs on them is read from the services, not from a plan.
        for member in &mut members {
            member.why.push("watched as it is".into());
        }
    } else {
        give(answers.stack, machines, &mut members);
    }
    for (member, machine) in members.iter_mut().zip(machines) {
        let host = answers.host(&machine.key);
        if let Some(roles) = host.and_then(|host| host.roles.as_ref()) {
            member.roles = roles.iter().copied().collect();
            member.why = vec!["as you said".into()];
        }
        if member.jump {
            member.roles.insert(Role::Bastion);
            member.why.push("the others are reached through it".into());
        }
    }
    members
}

fn give(stack: Stack, machines: &[Machine], members: &mut [Member]) {
    let voting = elect(machines, members);
    let count = voting.len();
    let crowd = members.len() - count;
    let spread = voting
        .iter()
        .filter_map(|at| machines[*at].place())
        .collect::<BTreeSet<_>>()
        .len();
    let mut vote = match count {
        1 => "votes alone: nothing else can fail over, which three machines could".to_owned(),
        _ => format!("one of {count} that vote: {} may fail", (count - 1) / 2),
    };
    if spread > 1 {
        vote.push_str(", spread over ");
        vote.push_str(&spread.to_string());
        vote.push_str(" networks");
    }
    let (server, client) = parts(stack);
    for (at, member) in members.iter_mut().enumerate() {
        if voting.contains(&at) {
            member.roles.extend(server);
            member.why.push(vote.clone());
        } else {
            member.roles.extend(client);
            let why = if member.arch == Some(Arch::Arm64) {
                "works, and leaves voting to the others"
            } else {
                "works: an even number of voters would tolerate no more failures"
            };
            member.why.push(why.into());
        }
    }
    // Too few to keep work and votes apart.
    if crowd == 0 && matches!(stack, Stack::Nomad | Stack::HashicorpCanonical) {
        for member in members.iter_mut() {
            member.roles.insert(Role::NomadClient);
            member
                .why
                .push("also runs the work: no other machine".into());
        }
    }
    if matches!(
        stack,
        Stack::Nomad | Stack::Kubernetes | Stack::HashicorpCanonical
    ) {
        fronts(machines, members, &voting);
    }
}

/// The roles of those that vote, and of those that work.
pub fn parts(stack: Stack) -> (&'static [Role], &'static [Role]) {
    match stack {
        Stack::Nomad | Stack::HashicorpCanonical => (
            &[Role::ConsulServer, Role::Vault, Role::NomadServer][..],
            &[Role::ConsulClient, Role::NomadClient][..],
        ),
        Stack::Kubernetes => (
            &[Role::ConsulServer, Role::KubernetesServer][..],
            &[Role::ConsulClient, Role::KubernetesAgent][..],
        ),
        Stack::Consul | Stack::Edgex => (&[Role::ConsulServer][..], &[Role::ConsulClient][..]),
        Stack::SwarmLxd => (&[Role::Swarm, Role::Lxd][..], &[Role::Swarm, Role::Lxd][..]),
        Stack::Microk8s => (&[Role::Microk8s][..], &[Role::Microk8s][..]),
    }
}

/// Which machines vote: of each network in turn the one with the most memory, by name where they are equal.
fn elect(machines: &[Machine], members: &[Member]) -> BTreeSet<usize> {
    let mut places: BTreeMap<Option<IpAddr>, Vec<usize>> = BTreeMap::new();
    for (at, machine) in machines.iter().enumerate() {
        places.entry(machine.place()).or_default().push(at);
    }
    let mut queues: Vec<Vec<usize>> = places.into_values().collect();
    for queue in &mut queues {
        // The last is taken first.
        queue.sort_by(|a, b| {
            let rank = |at: usize| {
                (
                    machines[at].systemd,
                    machines[at].arch.is_some(),
                    gib(machines[at].memory),
                )
            };
            rank(*a)
                .cmp(&rank(*b))
                .then_with(|| members[*b].name.cmp(&members[*a].name))
        });
    }
    let wanted = voters(machines.len());
    let mut voting = BTreeSet::new();
    while voting.len() < wanted {
        let mut any = false;
        for queue in &mut queues {
            if voting.len() < wanted
                && let Some(at) = queue.pop()
            {
                voting.insert(at);
                any = true;
            }
        }
        if !any {
            break;
        }
    }
    voting
}

/// The way in, and the dashboards: one machine each, not one that votes where there is another.
fn fronts(machines: &[Machine], members: &mut [Member], voting: &BTreeSet<usize>) {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|at| {
        let memory = std::cmp::Reverse(gib(machines[*at].memory));
        (voting.contains(at), memory, members[*at].name.clone())
    });
    let mut order = order.into_iter();
    let first = order.next();
    let second = order.next().filter(|at| !voting.contains(at)).or(first);
    if let Some(at) = first {
        members[at].roles.insert(Role::Traefik);
        members[at].why.push("the way in for requests".into());
    }
    if let Some(at) = second {
        members[at].roles.insert(Role::Grafana);
        members[at].why.push("has room for dashboards".into());
    }
}

/// Whole GiB, so that two boards of one kind count as equal.
const fn gib(bytes: u64) -> u64 {
    (bytes + (1 << 29)) >> 30
}

/// A name for every machine: the answered one, else its own, made unique and fit for a file.
fn names(answers: &Answers, machines: &[Machine]) -> Vec<String> {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut names = Vec::with_capacity(machines.len());
    for machine in machines {
        let host = answers.host(&machine.key);
        let said = host.and_then(|host| host.name.clone());
        let short = machine.hostname.split('.').next().unwrap_or_default();
        let base = fit(&said.unwrap_or_else(|| short.to_owned()));
        let base = if base.is_empty() { "node".into() } else { base };
        let mut name = base.clone();
        let mut number = 1;
        while !taken.insert(name.clone()) {
            number += 1;
            name = format!("{base}-{number}");
        }
        names.push(name);
    }
    names
}

/// The letters of a text that a name may have, 1 to 50 of them.
fn fit(text: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.chars()
        .filter(allowed)
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(50)
        .collect()
}
