use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::clock::{Clock as _, ManualClock};

fn noon() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn world() -> (Arc<World>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(noon()));
    let settings = WorldSettings {
        seed: 7,
        clock: clock.clone(),
        pace: 0.0,
    };
    (World::new(&settings), clock)
}

#[test]
fn the_same_seed_gives_the_same_boards_and_another_seed_gives_others() {
    let (one, _) = world();
    let (two, _) = world();
    assert_eq!(one.nodes(), two.nodes());
    let other = World::new(&WorldSettings {
        seed: 8,
        clock: Arc::new(ManualClock::new(noon())),
        pace: 0.0,
    });
    assert_ne!(one.nodes()[0].boot_id, other.nodes()[0].boot_id);
}

#[test]
fn five_boards_start_with_three_consul_servers_and_two_nodes_without_an_agent() {
    let (world, _) = world();
    let with_consul: Vec<String> = world
        .nodes()
        .into_iter()
        .filter(|node| world.unit_active(&node.name, "consul"))
        .map(|node| node.name)
        .collect();
    assert_eq!(with_consul, ["pc1", "pc2", "pc3"]);
    assert!(world.unit_active("pc1", "ceph-osd@0.service"));
    assert!(world.unit_active("pc4", "k3s.service"));
    assert!(!world.node_up("pc9"));
    for node in world.nodes() {
        let failed = world.look(&node.name, |node| {
            node.units
                .iter()
                .filter(|(_, unit)| unit.state == units::UnitState::Failed)
                .map(|(name, _)| name.clone())
                .collect::<Vec<_>>()
        });
        assert_eq!(failed, Some(vec![]), "{}", node.name);
    }
}

#[test]
fn power_cut_takes_the_units_along_and_power_brings_a_new_boot_id() {
    let (world, clock) = world();
    let before = world.nodes()[1].boot_id.clone();
    let changed = world.changed();
    world.command("kill pc2").unwrap();
    assert!(changed.has_changed().unwrap());
    assert!(!world.node_up("pc2"));
    assert!(!world.unit_active("pc2", "consul.service"));
    clock.advance(SignedDuration::from_secs(30));
    world.command("start pc2").unwrap();
    let pc2 = &world.nodes()[1];
    assert!(pc2.up);
    assert_ne!(pc2.boot_id, before);
    assert_eq!(pc2.booted_at, clock.now());
    assert!(world.unit_active("pc2", "consul.service"));
}

#[tokio::test(start_paused = true)]
async fn cutting_the_power_during_a_boot_wins_over_the_boot() {
    let world = World::new(&WorldSettings {
        seed: 7,
        clock: Arc::new(ManualClock::new(noon())),
        pace: 1.0,
    });
    world.command("reboot pc3").unwrap();
    assert!(!world.node_up("pc3"));
    world.command("kill pc3").unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!world.node_up("pc3"));
    world.command("start pc3").unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.node_up("pc3"));
}

#[test]
fn work_raises_load_and_temperature_which_then_fall_again() {
    let (world, clock) = world();
    let look = |world: &World| {
        let now = world.now();
        world
            .look("pc1", |node| (node.load(now)[0], node.temperature(now)))
            .unwrap()
    };
    let quiet = look(&world);
    world.change("pc1", |node, now| node.add_work(now, 30.0, 3.0));
    clock.advance(SignedDuration::from_secs(30));
    let busy = look(&world);
    assert!(busy.0 > quiet.0 + 0.8, "{quiet:?} {busy:?}");
    assert!(busy.1 > quiet.1 + 3.0, "{quiet:?} {busy:?}");
    clock.advance(SignedDuration::from_mins(20));
    let after = look(&world);
    assert!(after.0 < busy.0 - 0.8, "{busy:?} {after:?}");
    assert!(after.1 < busy.1 - 3.0, "{busy:?} {after:?}");
}

#[test]
fn a_wrong_command_says_what_would_be_right() {
    let (world, _) = world();
    assert!(world.command("kill pc9").unwrap_err().contains("pc1, pc2"));
    assert!(world.command("explode").unwrap_err().contains("fill-disk"));
    assert!(world.command("kill").unwrap_err().contains("kill NODE"));
    assert!(world.command("lag soon").unwrap_err().contains("800ms"));
    assert!(world.command("lag 90s").unwrap_err().contains("at most"));
    assert!(world.command("help").unwrap().contains("drift"));
    assert!(
        world
            .command("fail pc4 consul")
            .unwrap_err()
            .contains("k3s.service")
    );
}

#[test]
fn lag_is_what_was_asked_for() {
    let (world, _) = world();
    world.command("lag 800ms").unwrap();
    assert_eq!(world.latency(), Duration::from_millis(800));
    world.command("lag off").unwrap();
    assert_eq!(world.latency(), Duration::ZERO);
}

#[test]
fn drift_edits_the_configuration_without_breaking_it() {
    let (world, _) = world();
    let path = "/etc/consul.d/consul.hcl";
    let before = world.file("pc2", path).unwrap();
    world.command("drift pc2").unwrap();
    assert_ne!(world.file("pc2", path).unwrap(), before);
    world.command("reboot pc2").unwrap();
    assert!(world.unit_active("pc2", "consul"));
}

#[test]
fn a_unit_whose_configuration_is_broken_fails_with_the_reason_in_its_journal() {
    let (world, _) = world();
    world.change("pc1", |node, now| {
        node.files
            .write("/etc/consul.d/consul.hcl", "server = {", 0o644, now)
            .unwrap();
    });
    world.command("reboot pc1").unwrap();
    assert!(!world.unit_active("pc1", "consul"));
    let journal = world
        .look("pc1", |node| node.units["consul.service"].journal.clone())
        .unwrap();
    assert!(
        journal.iter().any(|line| line
            .text
            .contains("failed to parse /etc/consul.d/consul.hcl")),
        "{journal:?}"
    );
}

struct Seal;

impl FaultTarget for Seal {
    fn faults(&self) -> &'static [FaultHelp] {
        &[FaultHelp {
            verb: "seal",
            arguments: "NODE",
            what: "seal Vault there",
        }]
    }

    fn fault(&self, verb: &str, arguments: &[&str]) -> Result<String, String> {
        Ok(format!("{verb} {arguments:?}"))
    }
}

#[test]
fn faults_of_the_simulators_are_found_by_their_verb() {
    let (world, _) = world();
    assert!(world.command("seal pc1").is_err());
    world.add_fault_target(Arc::new(Seal));
    assert_eq!(world.command("seal pc1").unwrap(), "seal [\"pc1\"]");
    assert!(world.command("help").unwrap().contains("seal Vault there"));
}

#[test]
fn a_full_disk_refuses_to_grow_and_keeps_what_is_there() {
    let (world, _) = world();
    world.command("fill-disk pc5").unwrap();
    let result = world.change("pc5", |node, now| {
        node.files.write("/etc/hosts", "x".repeat(9000), 0o644, now)
    });
    assert_eq!(result, Some(Err(files::FsError::NoSpace)));
    assert!(
        world
            .file("pc5", "/etc/hosts")
            .unwrap()
            .starts_with(b"127.0.0.1")
    );
    world.command("free-disk pc5").unwrap();
    let result = world.change("pc5", |node, now| {
        node.files.write("/etc/hosts", "x".repeat(9000), 0o644, now)
    });
    assert_eq!(result, Some(Ok(())));
}

#[test]
fn links_are_followed_and_circles_are_found() {
    let (world, _) = world();
    world.change("pc1", |node, now| {
        let files = &mut node.files;
        files.symlink("b", "/tmp/a", now).unwrap();
        files.symlink("/tmp/a", "/tmp/b", now).unwrap();
        assert_eq!(files.stat("/tmp/a"), Err(files::FsError::Loop));
        assert!(files.read("/lib/systemd/system/consul.service").is_ok());
        assert_eq!(
            files.real_path("/bin/../../etc/./hosts").unwrap(),
            "/etc/hosts"
        );
    });
}

#[test]
fn renaming_replaces_a_file_whole_and_moves_a_directory_with_its_content() {
    let (world, _) = world();
    world.change("pc1", |node, now| {
        let files = &mut node.files;
        files.write("/tmp/new", "new", 0o600, now).unwrap();
        files.write("/tmp/old", "old", 0o644, now).unwrap();
        files.rename("/tmp/new", "/tmp/old").unwrap();
        assert_eq!(files.read("/tmp/old").unwrap(), b"new");
        assert_eq!(files.stat("/tmp/old").unwrap().mode, 0o600);
        assert!(!files.exists("/tmp/new"));
        files.mkdir_all("/tmp/d/e", 0o755, now).unwrap();
        files.write("/tmp/d/e/f", "x", 0o644, now).unwrap();
        files.rename("/tmp/d", "/tmp/g").unwrap();
        assert_eq!(files.read("/tmp/g/e/f").unwrap(), b"x");
        assert_eq!(
            files.rename("/tmp/g", "/tmp/g/e/h"),
            Err(files::FsError::Invalid)
        );
    });
}
