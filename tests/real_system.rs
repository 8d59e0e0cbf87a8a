//! Settings of the system, handlers, rolling steps and reboots on real machines: Debian with systemd and OpenSSH.
//!
//! The nodes share this machine's kernel, so what it refuses to them is tested without it: swap files and kernel modules
//! stand with the unit tests of their resources. `tests/run nodes` boots the nodes and calls this.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

#[allow(
    unreachable_pub,
    dead_code,
    reason = "a module of several tests has nobody outside, and no test uses all of it"
)]
mod support {
    pub mod nodes;
}

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use quarterdeck::client::conversation::{Down, SourceWord};
use quarterdeck::domain::recipe::Recipe;
use quarterdeck::domain::run::{RunState, Stream};
use quarterdeck::steps::library;

use support::nodes::{Cockpit, Nodes};

fn recipe(text: &str) -> Recipe {
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("name: "))
        .unwrap();
    let path = format!("{name}.yaml");
    library::parse(Path::new(&path), text.as_bytes(), None).unwrap()
}

const SETTINGS: &str = r#"
name: settings
title: Settings
risk: change
steps:
  - id: settings
    title: Settings
    on: "all"
    ensure:
      - sysctl: { key: net.ipv4.conf.all.log_martians, value: "1" }
        notify: [count]
      - mount: { path: /srv/scratch, source: tmpfs, fstype: tmpfs, options: "size=4m,mode=0755" }
      - directory: { path: /srv/scratch/data }
      - mount: { path: /srv/data, source: /srv/scratch/data, fstype: none, options: "bind,nofail" }
      - systemd_unit:
          name: tick.service
          enabled: false
          started: false
          content: |
            [Service]
            Type=oneshot
            ExecStart=/bin/sh -c 'echo tick >> /srv/data/ticks'
      - systemd_unit:
          name: tick.timer
          content: |
            [Timer]
            OnActiveSec=1s
            AccuracySec=100ms
            [Install]
            WantedBy=timers.target
        notify: [count]
handlers:
  - id: count
    title: Count
    run: { argv: [sh, -c, "echo counted >> /root/counted"] }
"#;

const ROLLING: &str = r#"
name: rolling
title: Rolling
risk: change
steps:
  - id: touch
    title: Touch
    on: "not n9"
    rolling: { batch: 1 }
    notify: [note]
    run: { argv: [sh, -c, 'echo touched >> /root/touched; test "$1" != n2', sh, "{{ node.name }}"] }
handlers:
  - id: note
    title: Note
    run: { argv: [sh, -c, "echo noted >> /root/noted"] }
"#;

const REBOOT: &str = r#"
name: restart-node
title: Restart a node
risk: change
steps:
  - id: write
    title: Write
    on: n3
    ensure:
      - file: { path: /etc/issue.quarterdeck, content: "hello\n" }
        notify: [reboot]
handlers:
  - id: reboot
    title: Reboot
    timeout: 3m
    ensure:
      - reboot: { when: always, deadline: 2m }
"#;

const DOWNLOAD: &str = r#"
name: fetch
title: Fetch
risk: change
params:
  - { name: source, help: what to push }
  - { name: sum, help: its checksum }
steps:
  - id: fetch
    title: Fetch
    on: n1
    timeout: 4m
    ensure:
      - download: { source: "{{ params.source }}", sha256: "{{ params.sum }}", path: /var/tmp/large.img }
"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real nodes: run tests/run nodes"]
async fn settings_hold_now_and_after_a_boot_are_told_once_and_taken_back() {
    let nodes = Nodes::from_environment();
    let cockpit = Cockpit::with_recipes(&nodes, vec![recipe(SETTINGS)]).await;
    let on_n1 = |script: &str| nodes.exec("n1", &["sh", "-c", script]);
    let before = on_n1("sysctl -n net.ipv4.conf.all.log_martians").unwrap();

    let applied = cockpit.run("settings", false).await;
    assert_eq!(applied.run.state, RunState::Succeeded, "{applied}");
    assert_eq!(applied.changed("settings"), 3, "{applied}");
    assert_eq!(applied.changed("end:count"), 3, "{applied}");
    assert_eq!(
        on_n1("sysctl -n net.ipv4.conf.all.log_martians").unwrap(),
        "1\n"
    );
    assert_eq!(on_n1("cat /root/counted").unwrap(), "counted\n");
    assert_eq!(
        on_n1("findmnt -n -o FSTYPE /srv/scratch").unwrap(),
        "tmpfs\n"
    );
    assert_eq!(
        on_n1("systemctl is-enabled tick.timer").unwrap(),
        "enabled\n"
    );
    on_n1("for i in 1 2 3 4 5 6 7 8 9 10; do [ -s /srv/scratch/data/ticks ] && exit; sleep 1; done; exit 1")
        .expect("the timer has started its service, which wrote through the bind mount");

    let again = cockpit.run("settings", false).await;
    assert_eq!(
        (again.run.state, again.run.tally.changed),
        (RunState::Succeeded, 0),
        "{again}"
    );
    assert_eq!(on_n1("cat /root/counted").unwrap(), "counted\n");

    nodes.power("stop", "n1");
    nodes.power("start", "n1");
    assert_eq!(
        on_n1("findmnt -n -o FSTYPE /srv/scratch").unwrap(),
        "tmpfs\n"
    );

    let undone = cockpit.undo(&applied.run, true).await;
    assert_eq!(undone.run.state, RunState::Succeeded, "{undone}");
    assert_eq!(
        on_n1("sysctl -n net.ipv4.conf.all.log_martians").unwrap(),
        before
    );
    assert_eq!(on_n1("findmnt /srv/scratch"), None);
    assert_eq!(on_n1("grep scratch /etc/fstab"), None);
    assert_eq!(on_n1("ls /etc/systemd/system/tick.timer"), None);
    assert_eq!(on_n1("cat /root/counted").unwrap(), "counted\ncounted\n");
    cockpit.stop(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real nodes: run tests/run nodes"]
async fn a_rolling_step_stops_at_the_host_that_fails_and_handlers_run_where_it_worked() {
    let nodes = Nodes::from_environment();
    let cockpit = Cockpit::with_recipes(&nodes, vec![recipe(ROLLING)]).await;
    let ended = cockpit.run("rolling", false).await;
    assert_eq!(ended.run.state, RunState::Failed, "{ended}");
    let reason = ended.run.reason.clone().unwrap_or_default();
    assert!(reason.ends_with("hosts not begun: n3"), "{ended}");
    assert!(
        nodes.exec("n1", &["cat", "/root/noted"]).is_some(),
        "{ended}"
    );
    assert!(
        nodes.exec("n2", &["cat", "/root/touched"]).is_some(),
        "{ended}"
    );
    assert_eq!(nodes.exec("n2", &["cat", "/root/noted"]), None);
    assert_eq!(nodes.exec("n3", &["cat", "/root/touched"]), None);
    cockpit.stop(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real nodes: run tests/run nodes"]
async fn a_reboot_as_a_handler_waits_for_another_boot() {
    let nodes = Nodes::from_environment();
    let cockpit = Cockpit::with_recipes(&nodes, vec![recipe(REBOOT)]).await;
    let boot = || nodes.exec("n3", &["cat", "/proc/sys/kernel/random/boot_id"]);
    let before = boot().unwrap();
    let ended = cockpit.run("restart-node", false).await;
    assert_eq!(ended.run.state, RunState::Succeeded, "{ended}");
    assert!(ended.says(Stream::Note, "back after"), "{ended}");
    assert_ne!(boot().unwrap(), before, "{ended}");
    let again = cockpit.run("restart-node", false).await;
    assert_eq!(
        (again.run.state, again.run.tally.changed),
        (RunState::Succeeded, 0),
        "{again}"
    );
    cockpit.stop(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real nodes: run tests/run nodes"]
async fn a_large_file_whose_way_is_cut_goes_on_where_it_was() {
    const MIB: usize = 1024 * 1024;
    let nodes = Nodes::from_environment();
    let cockpit = Cockpit::with_recipes(&nodes, vec![recipe(DOWNLOAD)]).await;
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("large.img");
    let content: Vec<u8> = (0..200 * MIB / 4096)
        .flat_map(|page| [u8::try_from(page % 251).unwrap(); 4096])
        .collect();
    std::fs::write(&file, &content).unwrap();
    let sum = {
        use sha2::Digest as _;
        quarterdeck::domain::hex(&sha2::Sha256::digest(&content))
    };
    let params = [("source", file.display().to_string()), ("sum", sum.clone())];
    let running = cockpit.begin("fetch", &params).await;
    // A power cut in the middle, once a good part of it is there.
    let size = "stat -c %s /var/tmp/large.img.quarterdeck-* 2>/dev/null | sort -n | tail -1";
    loop {
        let there = nodes.exec("n1", &["sh", "-c", size]).unwrap_or_default();
        if there.trim().parse().unwrap_or(0) > 24 * MIB {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    nodes.power("kill", "n1");
    let cut = cockpit.end(running).await;
    assert_eq!(cut.run.state, RunState::Failed, "{cut}");
    nodes.power("start", "n1");
    assert_eq!(
        nodes.exec("n1", &["ls", "/var/tmp/large.img"]),
        None,
        "{cut}"
    );

    let running = cockpit.begin("fetch", &params).await;
    let ended = cockpit.end(running).await;
    assert_eq!(ended.run.state, RunState::Succeeded, "{ended}");
    assert!(
        ended.says(Stream::Note, "are there already: goes on behind them"),
        "{ended}"
    );
    let found = nodes
        .exec("n1", &["sha256sum", "/var/tmp/large.img"])
        .unwrap();
    assert!(found.starts_with(&sum), "{found}");
    let left = nodes.exec("n1", &["sh", "-c", "ls /var/tmp | grep quarterdeck-"]);
    assert_eq!(left, None, "{ended}");
    cockpit.stop(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real nodes: run tests/run nodes"]
async fn journals_are_followed_through_a_pulled_cable_without_a_gap_or_a_repeat() {
    const LINES: usize = 12;
    let nodes = Nodes::from_environment();
    let cockpit = Cockpit::with_recipes(&nodes, Vec::new()).await;
    let mut conversation = cockpit.follow(&["n1", "n2"]).await;
    let mut following = BTreeSet::new();
    let mut lost = false;
    let mut heard: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let log = |number: usize| {
        for node in ["n1", "n2"] {
            let line = format!("tick {number}");
            nodes
                .exec(node, &["logger", "-t", "ticker", &line])
                .unwrap();
        }
    };
    let whole = tokio::time::timeout(Duration::from_secs(180), async {
        let mut said = 0;
        while let Some(down) = conversation.down.recv().await {
            match down {
                Down::Lines(lines) => {
                    for line in lines
                        .into_iter()
                        .filter(|line| line.text.starts_with("tick "))
                    {
                        heard.entry(line.node).or_default().push(line.text);
                    }
                }
                Down::Source(state) if state.word == SourceWord::Following => {
                    following.insert(state.node);
                }
                Down::Source(state) if state.word == SourceWord::Lost && state.node == "n1" => {
                    lost = true;
                    // What is said while nobody hears it.
                    while said < LINES - 2 {
                        said += 1;
                        log(said);
                    }
                    nodes.power("heal", "n1");
                }
                Down::Ended(ending) => panic!("{ending}"),
                _ => {}
            }
            if said == 0 && following.len() == 2 {
                said = 3;
                (1..=said).for_each(log);
                nodes.power("cut", "n1");
            }
            let all_of = |node: &str| heard.get(node).map_or(0, Vec::len);
            if lost && said < LINES && all_of("n1") == said {
                said = LINES;
                (LINES - 1..=LINES).for_each(log);
            }
            if all_of("n1") >= LINES && all_of("n2") >= LINES {
                return;
            }
        }
    });
    let whole = whole.await;
    nodes.power("heal", "n1");
    whole.unwrap_or_else(|_| panic!("not everything was heard: {heard:?}"));
    let every: Vec<String> = (1..=LINES).map(|number| format!("tick {number}")).collect();
    assert_eq!(heard["n1"], every);
    assert_eq!(heard["n2"], every);
    cockpit.stop(Duration::from_secs(10)).await;
}
