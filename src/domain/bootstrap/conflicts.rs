//! What cannot be, why, and what to do about it; and what is merely doubtful.

use std::collections::{BTreeMap, BTreeSet};

use super::answers::{Answers, Purpose};
use super::machine::{Machine, prefixed};
use super::propose::Member;
use crate::domain::node::Role;
use crate::domain::platform::{Arch, Software};
use crate::domain::stack::Stack;

/// The software that the recipe `deploy` installs; a test holds it against the recipe.
pub const INSTALLED: &[Software] = &[
    Software::Consul,
    Software::Vault,
    Software::Nomad,
    Software::K3s,
    Software::Traefik,
    Software::Grafana,
];
/// What a stack can do without for the time being.
const LATER: &[Software] = &[
    Software::Ceph,
    Software::Harbor,
    Software::Traefik,
    Software::Grafana,
];
/// What `deploy` asks for on the root file system, bytes; its parameter `min_free_mib`.
const DISK: u64 = 512 << 20;
/// How far clocks may be apart, seconds; what `deploy` asks for.
const CLOCK: i64 = 30;
/// Memory of a K3s server, bytes (<https://docs.k3s.io/installation/requirements>).
const K3S_SERVER: u64 = 2 << 30;
/// Memory of a K3s agent, bytes; same source.
const K3S_AGENT: u64 = 512 << 20;
/// What a kernel and firmware keep of a board's memory for themselves does not count against it.
const KEPT_BACK: u64 = 160 << 20;

/// Something that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// What, and why.
    pub reason: String,
    /// What to do.
    pub help: String,
}

impl Conflict {
    fn new(reason: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            help: help.into(),
        }
    }
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.reason, self.help)
    }
}

/// Why `stack` cannot be built on these machines at all; empty when it can.
pub fn refusals(stack: Stack, machines: &[Machine]) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    for software in stack.order() {
        // One that cannot run is said of every machine that cannot have it, rather than that it is not installed.
        let impossible: Vec<&Machine> = machines
            .iter()
            .filter(|one| {
                one.arch
                    .is_some_and(|arch| one.platform.supports(arch, *software).is_err())
            })
            .collect();
        if let Some(first) = impossible.first()
            && let Some(Err(reason)) = first
                .arch
                .map(|arch| first.platform.supports(arch, *software))
        {
            let names: Vec<&str> = impossible.iter().map(|one| one.hostname.as_str()).collect();
            conflicts.push(Conflict::new(
                format!("{software} cannot run on {}: {reason}", names.join(", ")),
                "leave these hosts out, or choose another stack",
            ));
        } else if !INSTALLED.contains(software) && !LATER.contains(software) {
            conflicts.push(Conflict::new(
                format!("no recipe here installs {software} yet"),
                "choose consul, nomad or kubernetes",
            ));
        }
    }
    if stack.order().contains(&Software::K3s) {
        let least = machines.iter().map(|one| one.memory).max().unwrap_or(0);
        if !machines.is_empty() && least + KEPT_BACK < K3S_SERVER {
            conflicts.push(Conflict::new(
                format!(
                    "a K3s server wants 2 GiB of memory, and the largest host has {}",
                    mib(least)
                ),
                "add a larger host, or choose another stack",
            ));
        }
    }
    conflicts
}

/// Everything that stands in the way of building what the answers say with these members: [`obstacles`], and software of
/// which it is not said yet what is to be installed.
pub fn conflicts(answers: &Answers, members: &[Member], machines: &[Machine]) -> Vec<Conflict> {
    let mut conflicts = obstacles(answers, members, machines);
    if answers.purpose == Purpose::Build && !machines.is_empty() {
        conflicts.extend(software(answers, members));
    }
    conflicts
}

/// What stands in the way of building what the answers say with these members, whatever software they get.
pub fn obstacles(answers: &Answers, members: &[Member], machines: &[Machine]) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    if machines.is_empty() && !answers.adopts_services() {
        conflicts.push(Conflict::new(
            "there is no host that answers",
            "name at least one that can be reached by SSH",
        ));
        return conflicts;
    }
    twice(machines, &mut conflicts);
    if answers
        .network
        .as_deref()
        .is_some_and(|text| prefixed(text).is_none())
    {
        conflicts.push(Conflict::new(
            "the network is no network",
            "write it as 10.0.0.0/24",
        ));
    }
    if let Some(jump) = &answers.ssh.jump
        && !members.iter().any(|member| member.jump)
    {
        conflicts.push(Conflict::new(
            format!("the way leads through {jump}, which is none of the hosts"),
            "add it to the hosts; it may have no other role",
        ));
    }
    if let Some(network) = answers.network.as_deref().and_then(prefixed) {
        for machine in machines.iter().filter(|one| one.within(network).is_none()) {
            conflicts.push(Conflict::new(
                format!(
                    "{} has no address in the network you chose",
                    machine.hostname
                ),
                "choose another network, or leave the host out",
            ));
        }
    }
    if answers.purpose == Purpose::Adopt {
        return conflicts;
    }
    conflicts.extend(refusals(answers.stack, machines));
    for (member, machine) in members.iter().zip(machines) {
        unfit(answers, member, machine, &mut conflicts);
    }
    let secrets = &answers.secrets;
    if answers.stack.order().contains(&Software::Vault)
        && (secrets.vault_threshold > secrets.vault_shares
            || secrets.vault_threshold == 0
            || (secrets.vault_threshold == 1 && secrets.vault_shares > 1))
    {
        conflicts.push(Conflict::new(
            format!(
                "{} of {} shares cannot open a Vault",
                secrets.vault_threshold, secrets.vault_shares
            ),
            "use 3 of 5, or 1 of 1 where nothing is at stake",
        ));
    }
    conflicts
}

fn twice(machines: &[Machine], conflicts: &mut Vec<Conflict>) {
    let mut seen: BTreeMap<&str, &Machine> = BTreeMap::new();
    for machine in machines {
        let Some(id) = machine.machine_id.as_deref() else {
            continue;
        };
        if let Some(first) = seen.get(id) {
            conflicts.push(Conflict::new(
                format!(
                    "{} and {} are one machine, or clones with one /etc/machine-id",
                    first.key, machine.key
                ),
                "leave one out; for clones, remove the file on one and run systemd-machine-id-setup",
            ));
        } else {
            seen.insert(id, machine);
        }
    }
}

/// Whether the machine can do what its roles ask.
fn unfit(answers: &Answers, member: &Member, machine: &Machine, conflicts: &mut Vec<Conflict>) {
    let name = &member.name;
    let software: BTreeSet<Software> = member
        .roles
        .iter()
        .filter_map(|role| role.software())
        .collect();
    if software.is_empty() {
        return;
    }
    let Some(arch) = member.arch else {
        conflicts.push(Conflict::new(
            format!(
                "{name} is {}, and nothing is built for that",
                machine.hardware
            ),
            "leave it out; 64-bit x86 and 64-bit Arm can be used",
        ));
        return;
    };
    for one in &software {
        if let Err(reason) = member.platform.supports(arch, *one) {
            let reason = format!("{one} cannot run on {name}: {reason}");
            if !conflicts.iter().any(|known| known.reason == reason) {
                conflicts.push(Conflict::new(reason, "give the role to another node"));
            }
        }
    }
    if !machine.systemd {
        conflicts.push(Conflict::new(
            format!("{name} is not run by systemd, which the recipes need for services"),
            "leave it out",
        ));
    }
    if machine.disk_free.is_some_and(|free| free < DISK) {
        conflicts.push(Conflict::new(
            format!(
                "{name} has {} left on its root file system, and 512 MiB are wanted",
                mib(machine.disk_free.unwrap_or(0))
            ),
            "make room there, then probe again",
        ));
    }
    if machine
        .clock
        .ahead_s
        .is_some_and(|ahead| ahead.abs() > CLOCK)
    {
        conflicts.push(Conflict::new(
            format!(
                "the clock of {name} is {} s off",
                machine.clock.ahead_s.unwrap_or(0)
            ),
            "set it (timedatectl set-ntp true), then probe again",
        ));
    }
    if software.contains(&Software::K3s) {
        if machine.memory_cgroup == Some(false) {
            conflicts.push(Conflict::new(
                format!("the kernel of {name} cannot limit memory, which K3s needs"),
                "add cgroup_memory=1 cgroup_enable=memory to its kernel command line and reboot it",
            ));
        }
        let (what, wanted) = if member.roles.contains(&Role::KubernetesServer) {
            ("server", K3S_SERVER)
        } else {
            ("agent", K3S_AGENT)
        };
        if machine.memory + KEPT_BACK < wanted {
            conflicts.push(Conflict::new(
                format!(
                    "{name} has {} of memory, and a K3s {what} wants {}",
                    mib(machine.memory),
                    mib(wanted)
                ),
                "give the role to another node",
            ));
        }
    }
    let by_package =
        software.contains(&Software::Consul) && !answers.artifacts.contains_key("consul");
    if by_package
        && !matches!(
            machine.packages.as_deref(),
            Some("apt" | "apt-get" | "dnf" | "apk")
        )
    {
        conflicts.push(Conflict::new(
            format!("{name} has no package manager that could install Consul"),
            "bring the package: `artifacts: consul:`",
        ));
    }
}

/// Software and architectures that must be brought and are not: no package manager has them.
pub fn lacking(answers: &Answers, members: &[Member]) -> Vec<(Software, Arch)> {
    let mut lacking = BTreeSet::new();
    for member in members {
        let Some(arch) = member.arch else { continue };
        for one in member.roles.iter().filter_map(|role| role.software()) {
            let brought = answers.artifacts.get(one.word());
            // Consul is brought for every architecture or for none.
            let must = one != Software::Consul || brought.is_some();
            let has = brought
                .and_then(|brought| brought.of(arch))
                .is_some_and(|one| !one.source.is_empty() && one.sha256.len() == 64);
            if must && !has && INSTALLED.contains(&one) && answers.stack.order().contains(&one) {
                lacking.insert((one, arch));
            }
        }
    }
    lacking.into_iter().collect()
}

/// What is to be installed on these members, in the order of the stack.
pub fn used(stack: Stack, members: &[Member]) -> Vec<Software> {
    let has = |one: &Software| {
        let mut roles = members.iter().flat_map(|member| &member.roles);
        INSTALLED.contains(one) && roles.any(|role| role.software() == Some(*one))
    };
    stack.order().iter().copied().filter(has).collect()
}

fn software(answers: &Answers, members: &[Member]) -> Vec<Conflict> {
    let mut conflicts: Vec<Conflict> = lacking(answers, members)
        .into_iter()
        .map(|(software, arch)| {
            Conflict::new(
                format!("it is not said where {software} for {arch} comes from"),
                "give an URL or a file, and its SHA-256",
            )
        })
        .collect();
    for one in used(answers.stack, members) {
        if !answers.versions.contains_key(one.word()) {
            conflicts.push(Conflict::new(
                format!("it is not said which version of {one} shall be installed"),
                "pin it, so that every node and every later one gets the same",
            ));
        }
    }
    conflicts
}

/// What works and may not be what is wanted.
pub fn warnings(answers: &Answers, members: &[Member], machines: &[Machine]) -> Vec<String> {
    let mut warnings = Vec::new();
    if answers.purpose == Purpose::Adopt {
        return warnings;
    }
    for role in Role::ALL.iter().filter(|role| role.is_quorum()) {
        let count = members
            .iter()
            .filter(|one| one.roles.contains(role))
            .count();
        if count > 0 && count.is_multiple_of(2) {
            warnings.push(format!(
                "{count} nodes vote as {role}: they survive no more failures than {} would",
                count - 1
            ));
        }
        if count == 1 && members.len() > 1 {
            warnings.push(format!(
                "one node votes as {role}: when it fails, nothing takes over"
            ));
        }
    }
    for (member, machine) in members.iter().zip(machines) {
        if machine.clock.synchronised == Some(false) {
            warnings.push(format!(
                "the clock of {} follows no other: it will drift",
                member.name
            ));
        }
        if machine.memory > 0 && machine.memory < (1 << 30) - KEPT_BACK {
            warnings.push(format!(
                "{} has {} of memory: little for this",
                member.name,
                mib(machine.memory)
            ));
        }
    }
    let left: Vec<&str> = answers
        .stack
        .order()
        .iter()
        .filter(|one| !INSTALLED.contains(one) && LATER.contains(one))
        .map(|one| one.word())
        .collect();
    if !left.is_empty() {
        warnings.push(format!(
            "{} of this stack is not installed yet",
            left.join(" and ")
        ));
    }
    warnings
}

fn mib(bytes: u64) -> String {
    if bytes >= 1 << 30 {
        format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
    } else {
        format!("{} MiB", bytes >> 20)
    }
}
