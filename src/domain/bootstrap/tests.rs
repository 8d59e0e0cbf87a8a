//! Proposals and refusals.

use proptest::prelude::*;

use super::*;
use crate::domain::facts::{ClockFacts, Interface, MoreFacts};
use crate::domain::live::{NodeFacts, NodeReport, NodeSample};
use crate::domain::node::Role;
use crate::domain::platform::{Arch, Platform, Software};
use crate::domain::service::{SecretRef, ServiceKind};
use crate::domain::stack::Stack;

/// A host with `gib` GiB of memory.
fn machine(address: &str, gib: u64) -> Machine {
    let host = HostAnswer {
        address: address.into(),
        ..HostAnswer::default()
    };
    let report = NodeReport {
        facts: NodeFacts {
            hostname: format!("h{}", address.rsplit('.').next().unwrap_or_default()),
            os: "Debian GNU/Linux 12".into(),
            machine: "x86_64".into(),
            cpus: 4,
            systemd: true,
            more: MoreFacts {
                os_id: Some("debian".into()),
                os_version: Some("12".into()),
                machine_id: Some(address.into()),
                package_manager: Some("apt".into()),
                memory_cgroup: Some(true),
                clock: ClockFacts {
                    synchronised: Some(true),
                    ahead_s: Some(0),
                    ..ClockFacts::default()
                },
                interfaces: vec![Interface {
                    name: "eth0".into(),
                    addresses: vec![format!("{address}/24")],
                }],
                ..MoreFacts::default()
            },
            ..NodeFacts::default()
        },
        sample: NodeSample {
            memory_total: gib << 30,
            disk_total: Some(40 << 30),
            disk_used: Some(10 << 30),
            ..NodeSample::default()
        },
        latency_ms: 3,
    };
    Machine::seen(&host, &report)
}

#[test]
fn what_is_adopted_is_written_with_where_its_secret_is() {
    let mut answers = Answers {
        purpose: Purpose::Adopt,
        ..Answers::default()
    };
    assert!(!conflicts(&answers, &[], &[]).is_empty());
    let consul = Adopted {
        url: "https://10.0.0.11:8501/".into(),
        secret: Some(SecretRef::Env("CONSUL_HTTP_TOKEN".into())),
        ca: Some("/etc/ssl/ours.pem".into()),
    };
    assert_eq!(
        consul.spec(ServiceKind::Consul).urls,
        ["https://10.0.0.11:8501"]
    );
    answers.adopt.insert(ServiceKind::Consul, consul);
    // Services can be watched without any host.
    assert_eq!(conflicts(&answers, &[], &[]), []);
    let written = files(&answers, &[], false);
    let environment = written.iter().find(|file| file.path.ends_with("home.yaml"));
    let text = &environment.unwrap().text;
    let entry = "  - kind: consul\n    url: \"https://10.0.0.11:8501/\"\n    secret:\n      env: CONSUL_HTTP_TOKEN\n    \
                 ca: /etc/ssl/ours.pem\n";
    assert!(text.contains(entry), "{text}");
}

fn machines(count: usize) -> Vec<Machine> {
    (0..count)
        .map(|at| machine(&format!("10.0.0.{}", 11 + at), 4))
        .collect()
}

fn answers(stack: Stack, machines: &[Machine]) -> Answers {
    let mut answers = Answers {
        stack,
        ..Answers::default()
    };
    for one in machines {
        answers.hosts.push(HostAnswer {
            address: one.address.clone(),
            ..HostAnswer::default()
        });
    }
    for software in INSTALLED {
        let word = software.word().to_owned();
        answers.versions.insert(word.clone(), "1.0".into());
        if *software != Software::Consul {
            let brought = Some(Brought {
                source: format!("/packages/{word}"),
                sha256: "0".repeat(64),
            });
            let by = BroughtBy {
                amd64: brought.clone(),
                arm64: brought,
            };
            answers.artifacts.insert(word, by);
        }
    }
    answers
}

fn with(members: &[Member], role: Role) -> Vec<&str> {
    let has = members.iter().filter(|one| one.roles.contains(&role));
    has.map(|one| one.name.as_str()).collect()
}

#[test]
fn of_five_machines_three_vote_and_each_is_told_why() {
    let machines = machines(5);
    let members = propose(&answers(Stack::Consul, &machines), &machines);
    assert_eq!(with(&members, Role::ConsulServer), ["h11", "h12", "h13"]);
    assert_eq!(with(&members, Role::ConsulClient), ["h14", "h15"]);
    assert!(
        members[0].why[0].contains("1 may fail"),
        "{:?}",
        members[0].why
    );
    assert!(members.iter().all(|one| !one.why.is_empty()));
}

#[test]
fn voters_stand_in_as_many_networks_as_there_are_the_largest_of_each_first() {
    let mut machines = machines(3);
    machines.push(machine("10.0.1.21", 2));
    machines.push(machine("10.0.2.31", 2));
    machines.push(machine("10.0.2.32", 8));
    let members = propose(&answers(Stack::Consul, &machines), &machines);
    assert_eq!(with(&members, Role::ConsulServer), ["h11", "h21", "h32"]);
    assert!(members[0].why[0].contains("spread over 3 networks"));
}

#[test]
fn three_machines_of_a_nomad_stack_do_the_work_as_well() {
    let machines = machines(3);
    let answers = answers(Stack::Nomad, &machines);
    let members = propose(&answers, &machines);
    for role in [Role::Vault, Role::NomadServer, Role::NomadClient] {
        assert_eq!(with(&members, role).len(), 3, "{role}");
    }
    assert_eq!(with(&members, Role::Traefik).len(), 1);
    assert_eq!(conflicts(&answers, &members, &machines), []);
}

#[test]
fn roles_that_were_answered_are_kept() {
    let machines = machines(3);
    let mut answers = answers(Stack::Consul, &machines);
    answers.hosts[2].roles = Some(vec![Role::ConsulClient]);
    let members = propose(&answers, &machines);
    assert_eq!(with(&members, Role::ConsulServer).len(), 2);
    let doubts = warnings(&answers, &members, &machines);
    assert!(doubts[0].contains("survive no more failures"), "{doubts:?}");
}

#[test]
fn a_board_that_cannot_run_it_refuses_the_stack_with_the_reason() {
    let mut machines = machines(3);
    machines[1].platform = Platform::Rpi5Ubuntu;
    machines[1].arch = Some(Arch::Arm64);
    let refused = refusals(Stack::HashicorpCanonical, &machines);
    assert!(
        refused.iter().any(|one| one
            .reason
            .contains("microk8s cannot run on h12: snap support")),
        "{refused:?}"
    );
    assert_eq!(refusals(Stack::Nomad, &machines), []);
    let refused = refusals(Stack::SwarmLxd, &machines);
    assert!(
        refused[0].reason.contains("no recipe here installs swarm"),
        "{refused:?}"
    );
}

#[test]
fn k3s_is_refused_where_memory_or_the_kernel_do_not_allow_it() {
    let mut machines = machines(3);
    let answers = answers(Stack::Kubernetes, &machines);
    machines[0].memory_cgroup = Some(false);
    machines[1].memory = 1 << 30;
    let members = propose(&answers, &machines);
    let told: Vec<String> = conflicts(&answers, &members, &machines)
        .into_iter()
        .map(|one| one.reason)
        .collect();
    assert!(
        told.iter()
            .any(|one| one.contains("h11 cannot limit memory")),
        "{told:?}"
    );
    assert!(
        told.iter()
            .any(|one| one.contains("h12 has 1.0 GiB of memory, and a K3s server")),
        "{told:?}"
    );
    for one in &mut machines {
        one.memory = 1 << 30;
    }
    assert!(
        refusals(Stack::Kubernetes, &machines)[0]
            .reason
            .contains("2 GiB")
    );
}

#[test]
fn what_the_preflight_would_refuse_is_told_before_anything_is_written() {
    let mut machines = machines(3);
    let answers = answers(Stack::Consul, &machines);
    machines[0].clock.ahead_s = Some(-90);
    machines[1].disk_free = Some(100 << 20);
    machines[2].arch = None;
    machines[2].hardware = "armv7l".into();
    let members = propose(&answers, &machines);
    let told = conflicts(&answers, &members, &machines);
    let all: Vec<String> = told.iter().map(ToString::to_string).collect();
    for part in [
        "is -90 s off",
        "100 MiB left",
        "armv7l, and nothing is built",
    ] {
        assert!(all.iter().any(|one| one.contains(part)), "{part}: {all:?}");
    }
}

#[test]
fn one_machine_by_two_names_and_clones_are_noticed() {
    let mut machines = machines(2);
    machines[1].machine_id = machines[0].machine_id.clone();
    let answers = answers(Stack::Consul, &machines);
    let members = propose(&answers, &machines);
    let told = conflicts(&answers, &members, &machines);
    assert!(
        told[0].reason.contains("one machine, or clones"),
        "{told:?}"
    );
}

#[test]
fn what_is_not_pinned_or_not_brought_is_asked_for() {
    let machines = machines(3);
    let mut answers = answers(Stack::Nomad, &machines);
    answers.versions.remove("consul");
    answers.artifacts.remove("vault");
    let members = propose(&answers, &machines);
    assert_eq!(
        lacking(&answers, &members),
        [(Software::Vault, Arch::Amd64)]
    );
    let told = conflicts(&answers, &members, &machines);
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn the_kind_of_a_machine_is_read_and_never_guessed() {
    let mut facts = NodeFacts {
        machine: "aarch64".into(),
        model: Some("Raspberry Pi 5 Model B Rev 1.0".into()),
        ..NodeFacts::default()
    };
    assert_eq!(platform_of(&facts), Platform::Rpi5Raspbian);
    facts.more.os_id = Some("ubuntu".into());
    assert_eq!(platform_of(&facts), Platform::Rpi5Ubuntu);
    facts.model = Some("Hardkernel ODROID-C5".into());
    assert_eq!(platform_of(&facts), Platform::OdroidC5);
    facts.model = Some("Raspberry Pi 4 Model B".into());
    assert_eq!(platform_of(&facts), Platform::Generic);
}

#[test]
fn the_network_is_one_that_every_machine_is_in() {
    let mut machines = machines(2);
    machines[0]
        .addresses
        .push(("192.168.9.1".parse().unwrap(), 24));
    assert_eq!(networks(&machines), ["10.0.0.0/24"]);
    let mut answers = answers(Stack::Consul, &machines);
    answers.network = Some("192.168.9.0/24".into());
    let members = propose(&answers, &machines);
    let told = conflicts(&answers, &members, &machines);
    assert!(
        told[0].reason.contains("h12 has no address in the network"),
        "{told:?}"
    );
}

proptest! {
    #[test]
    fn voters_are_always_odd_and_every_machine_has_a_name_of_its_own(
        sizes in proptest::collection::vec((1_u64..16, 0_u8..4, "[a-zA-Z0-9._-]{0,12}"), 1..14),
        stack in proptest::sample::select(vec![Stack::Consul, Stack::Nomad, Stack::Kubernetes]),
    ) {
        let machines: Vec<Machine> = sizes
            .into_iter()
            .enumerate()
            .map(|(at, (gib, net, name))| {
                let mut one = machine(&format!("10.0.{net}.{}", at + 1), gib);
                one.hostname = name;
                one
            })
            .collect();
        let members = propose(&answers(stack, &machines), &machines);
        for role in Role::ALL.iter().filter(|role| role.is_quorum()) {
            let count = with(&members, *role).len();
            prop_assert!(count == 0 || count % 2 == 1, "{role}: {count}");
        }
        let mut names: Vec<&str> = members.iter().map(|one| one.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        prop_assert_eq!(names.len(), members.len());
        prop_assert!(members.iter().all(|one| !one.roles.is_empty()));
    }
}
