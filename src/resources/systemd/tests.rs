use std::sync::{Arc, Mutex};

use super::super::testing::{Answer, TempHost, differences, ensure, fails, says, with_means};
use super::*;
use crate::domain::resource::Resource;
use crate::resources::{apply as apply_resource, check as check_resource};

const UNIT: &str = "[Service]\nExecStart=/usr/bin/consul agent\n";

/// A systemd that knows one unit.
#[derive(Debug, Clone)]
struct Fake {
    known: bool,
    active: &'static str,
    file_state: &'static str,
    needs_reload: bool,
    /// The unit's state a moment after each start.
    after_start: &'static str,
    /// Seconds since boot of the last start.
    entered: u64,
}

const DEAD: Fake = Fake {
    known: true,
    active: "inactive",
    file_state: "disabled",
    needs_reload: false,
    after_start: "active",
    entered: 0,
};

/// The host's clock stands at 1,000,000 with an uptime of 5,000 s.
fn host(state: Fake) -> (TempHost, Arc<Mutex<Fake>>) {
    let state = Arc::new(Mutex::new(state));
    let shared = Arc::clone(&state);
    let host = TempHost::scripted(move |line| answer(&mut shared.lock().unwrap(), line));
    std::fs::create_dir_all(host.path("/run/systemd/system")).unwrap();
    std::fs::create_dir_all(host.path("/etc/systemd/system")).unwrap();
    (host, state)
}

fn answer(fake: &mut Fake, line: &str) -> Option<Answer> {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["systemctl", "show", ..] => {
            let load = match (fake.known, fake.file_state) {
                (false, _) => "not-found",
                (true, "masked") => "masked",
                (true, _) => "loaded",
            };
            says(&format!(
                "LoadState={load}\nActiveState={}\nSubState=dead\nResult={}\nUnitFileState={}\nNeedDaemonReload={}\n\
                 ActiveEnterTimestampMonotonic={}\nNRestarts=0\n",
                fake.active,
                if fake.active == "failed" {
                    "exit-code"
                } else {
                    "success"
                },
                fake.file_state,
                if fake.needs_reload { "yes" } else { "no" },
                fake.entered * 1_000_000,
            ))
        }
        ["systemctl", "daemon-reload"] => {
            fake.known = true;
            fake.needs_reload = false;
            says("")
        }
        ["systemctl", "enable", _] => {
            fake.file_state = "enabled";
            says("")
        }
        ["systemctl", "disable", _] => {
            fake.file_state = "disabled";
            says("")
        }
        ["systemctl", "start" | "restart", _] => {
            fake.active = fake.after_start;
            fake.entered = 5000;
            says("")
        }
        ["systemctl", "stop", _] => {
            fake.active = "inactive";
            says("")
        }
        ["journalctl", ..] => says("==> Starting Consul agent...\n==> bind: address in use\n"),
        ["cat", "/proc/uptime"] => says("5000.00 9000.00\n"),
        ["date", "'+%s'"] => says("1000000\n"),
        _ => None,
    }
}

fn declared(content: Option<&str>, reads: &[&str]) -> UnitSpec {
    UnitSpec {
        name: "consul.service".into(),
        content: content.map(Into::into),
        started: true,
        enabled: true,
        reads: reads.iter().map(|&path| path.into()).collect(),
    }
}

fn unit(content: Option<&str>, reads: &[&str]) -> Resource {
    Resource::SystemdUnit(declared(content, reads))
}

fn age(host: &TempHost, path: &str, seconds: u64) {
    let time = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
    let file = std::fs::File::options()
        .write(true)
        .open(host.path(path))
        .unwrap();
    file.set_modified(time).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_new_unit_is_written_read_enabled_and_started() {
    let (host, _) = host(Fake {
        known: false,
        ..DEAD
    });
    // The unit file that is written now is newer than a start in 1970: the clocks of this host are made up.
    let resource = unit(Some(UNIT), &[]);
    with_means(&host, &[], async |means| {
        let difference = check_resource(&resource, &host, means).await.unwrap();
        assert_eq!(
            difference.changes,
            [
                "the unit file does not exist → written",
                "not started at boot → enabled",
                "inactive → started"
            ]
        );
        apply_resource(&resource, &difference, &host, means)
            .await
            .unwrap();
    })
    .await;
    age(&host, "/etc/systemd/system/consul.service", 900_000);
    assert_eq!(
        differences(&resource, &host).await.unwrap(),
        [] as [&str; 0]
    );
    let verbs: Vec<String> = host
        .ran()
        .into_iter()
        .filter(|line| line.starts_with("systemctl") && !line.contains("show"))
        .collect();
    assert_eq!(
        verbs,
        [
            "systemctl daemon-reload",
            "systemctl enable consul.service",
            "systemctl start consul.service"
        ]
    );
}

#[tokio::test]
async fn a_running_enabled_unit_needs_nothing() {
    let (host, _) = host(Fake {
        active: "active",
        file_state: "enabled",
        ..DEAD
    });
    assert_eq!(
        differences(&unit(None, &[]), &host).await.unwrap(),
        [] as [&str; 0]
    );
}

#[tokio::test(start_paused = true)]
async fn a_unit_is_restarted_when_a_file_it_reads_is_newer_than_its_start() {
    // Started 1,000 s after boot, and so at 996,000.
    let running = Fake {
        active: "active",
        file_state: "enabled",
        entered: 1000,
        ..DEAD
    };
    let (host, _) = host(running);
    host.put("/etc/consul.json", "{}");
    let resource = unit(None, &["/etc/consul.json"]);
    age(&host, "/etc/consul.json", 995_999);
    assert_eq!(
        differences(&resource, &host).await.unwrap(),
        [] as [&str; 0]
    );
    age(&host, "/etc/consul.json", 996_100);
    assert_eq!(
        ensure(&resource, &host).await.unwrap(),
        ["restart: /etc/consul.json is newer than its start"]
    );
    assert!(
        host.ran()
            .contains(&"systemctl restart consul.service".to_owned())
    );
}

#[tokio::test]
async fn what_the_same_task_has_changed_restarts_a_unit_whatever_the_clocks_say() {
    let (host, _) = host(Fake {
        active: "active",
        file_state: "enabled",
        entered: 5000,
        ..DEAD
    });
    let resource = unit(None, &["/etc/consul.json"]);
    let changed = ["/etc/consul.json".to_owned()];
    let difference = with_means(&host, &changed, async |means| {
        check_resource(&resource, &host, means).await
    })
    .await;
    assert_eq!(
        difference.unwrap().changes,
        ["restart: /etc/consul.json changes"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_changed_unit_file_is_shown_and_leads_to_a_restart() {
    let (host, _) = host(Fake {
        active: "active",
        file_state: "enabled",
        entered: 1000,
        ..DEAD
    });
    host.put(
        "/etc/systemd/system/consul.service",
        "[Service]\nExecStart=/old\n",
    );
    let resource = unit(Some(UNIT), &[]);
    with_means(&host, &[], async |means| {
        let difference = check_resource(&resource, &host, means).await.unwrap();
        assert_eq!(
            difference.changes,
            ["the unit file differs", "restart: its unit file changes"]
        );
        assert!(difference.diff.contains(&"-ExecStart=/old".to_owned()));
        apply_resource(&resource, &difference, &host, means)
            .await
            .unwrap();
    })
    .await;
    let ran = host.ran();
    assert!(ran.contains(&"systemctl daemon-reload".to_owned()));
    assert!(ran.contains(&"systemctl restart consul.service".to_owned()));
}

#[tokio::test]
async fn a_file_that_systemd_has_not_read_yet_asks_for_a_reload_only() {
    let (host, _) = host(Fake {
        active: "active",
        file_state: "enabled",
        needs_reload: true,
        ..DEAD
    });
    assert_eq!(
        ensure(&unit(None, &[]), &host).await.unwrap(),
        ["systemd has not read the unit file's newest version → daemon-reload"]
    );
    assert!(!host.ran().iter().any(|line| line.contains("restart")));
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_fails_after_its_start_is_told_with_its_last_words() {
    let (host, _) = host(Fake {
        file_state: "enabled",
        after_start: "failed",
        ..DEAD
    });
    let error = ensure(&unit(None, &[]), &host)
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "consul.service was started but does not stay up: failed (exit-code); its last words: ==> bind: address in use"
    );
    assert!(
        host.log()
            .contains(&"stderr: ==> Starting Consul agent...".to_owned())
    );
}

#[tokio::test]
async fn a_masked_unit_is_left_masked_and_explained() {
    let (host, _) = host(Fake {
        file_state: "masked",
        ..DEAD
    });
    let resource = unit(None, &[]);
    let changes = differences(&resource, &host).await.unwrap();
    assert!(
        changes[0].starts_with("is masked: somebody decided"),
        "{changes:?}"
    );
    let error = ensure(&resource, &host).await.unwrap_err().to_string();
    assert!(error.contains("systemctl unmask consul.service"), "{error}");
}

#[tokio::test]
async fn an_unknown_unit_is_a_difference_to_see_and_an_error_to_apply() {
    let (host, _) = host(Fake {
        known: false,
        file_state: "",
        ..DEAD
    });
    let resource = unit(None, &[]);
    assert_eq!(
        differences(&resource, &host).await.unwrap(),
        ["not started at boot → enabled", "inactive → started"]
    );
    let error = ensure(&resource, &host).await.unwrap_err().to_string();
    assert!(error.contains("no such unit on this host"), "{error}");
}

#[tokio::test]
async fn a_unit_can_be_declared_stopped() {
    let (host, _) = host(Fake {
        active: "active",
        file_state: "enabled",
        ..DEAD
    });
    let resource = Resource::SystemdUnit(UnitSpec {
        started: false,
        enabled: false,
        ..declared(None, &[])
    });
    assert_eq!(
        ensure(&resource, &host).await.unwrap(),
        ["started at boot → disabled", "active → stopped"]
    );
}

#[tokio::test]
async fn a_unit_between_two_failures_does_not_run() {
    let state = State::read("ActiveState=activating\nSubState=auto-restart\nResult=exit-code\n");
    assert!(!state.runs());
    assert!(State::read("ActiveState=activating\nSubState=start\n").runs());
}

#[tokio::test]
async fn names_that_are_no_units_never_reach_the_host() {
    let (host, _) = host(DEAD);
    for bad in [
        "consul",
        "--now.service",
        "a/b.service",
        "a b.service",
        ".service",
    ] {
        let resource = Resource::SystemdUnit(UnitSpec {
            name: bad.into(),
            ..declared(None, &[])
        });
        let error = differences(&resource, &host).await.unwrap_err().to_string();
        assert!(error.contains("is no unit name"), "{error}");
    }
    assert!(!host.ran().iter().any(|line| line.starts_with("systemctl")));
}

#[tokio::test]
async fn a_systemctl_that_fails_is_an_error_and_not_a_state() {
    let host = TempHost::scripted(|line| {
        line.starts_with("systemctl")
            .then(|| fails(1, "Failed to connect to bus: No such file or directory").unwrap())
    });
    std::fs::create_dir_all(host.path("/run/systemd/system")).unwrap();
    let error = differences(&unit(None, &[]), &host)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("Failed to connect to bus: No such file or directory"),
        "{error}"
    );
}

#[test]
fn a_start_is_placed_late_and_never_early() {
    // Read within the same second: up 5000.00, started at 1000.25 after boot, the wall clock somewhere in 1,000,000.
    let placed = place_on_wall_clock(1_000_250_000, 5000.0, 1_000_000).unwrap();
    assert!((placed - 996_001.25).abs() < 1e-6);
    // A container whose uptime is younger than systemd's clock.
    assert_eq!(place_on_wall_clock(9_000_000_000, 5000.0, 1_000_000), None);
}
