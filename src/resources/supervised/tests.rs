use std::time::Instant;

use super::super::testing::{TempHost, differences, ensure};
use super::*;
use crate::domain::resource::Resource;

/// Stops the supervisor of a test, also when the test fails.
struct Stop<'a>(&'a TempHost);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        let script = self
            .0
            .path("/var/lib/quarterdeck/units/app.service/supervise");
        let _ = std::process::Command::new(script).arg("stop").status();
    }
}

fn unit(exec: &str, reads: &[&str]) -> UnitSpec {
    UnitSpec {
        name: "app.service".into(),
        content: Some(format!(
            "[Service]\nExecStart={exec}\nRestart=always\nPrivateTmp=yes\n"
        )),
        started: true,
        enabled: true,
        reads: reads.iter().map(|&path| path.into()).collect(),
    }
}

fn pid(host: &TempHost) -> Option<String> {
    std::fs::read_to_string(host.path("/var/lib/quarterdeck/units/app.service/child")).ok()
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn a_unit_runs_is_left_alone_restarted_for_new_files_and_stopped() {
    let host = TempHost::new();
    let _stop = Stop(&host);
    host.put("/app.conf", "1");
    let resource = Resource::SystemdUnit(unit("/bin/sleep 1000", &["/app.conf"]));
    assert_eq!(
        ensure(&resource, &host).await.unwrap(),
        [
            "the unit does not exist → supervised",
            "not running → started"
        ]
    );
    let log = host.log();
    assert!(
        log.contains(
            &"note: no systemd on this host: app.service runs under Quarterdeck's supervisor"
                .to_owned()
        ),
        "{log:?}"
    );
    assert!(
        log.contains(&"note: no effect without systemd: PrivateTmp".to_owned()),
        "{log:?}"
    );
    let first = pid(&host).unwrap();

    // Nothing changed: the same process goes on.
    assert_eq!(ensure(&resource, &host).await.unwrap(), [] as [&str; 0]);
    assert_eq!(pid(&host).unwrap(), first);

    host.put("/app.conf", "2");
    assert_eq!(
        ensure(&resource, &host).await.unwrap(),
        ["restart: /app.conf is newer than its start"]
    );
    let second = pid(&host).unwrap();
    assert_ne!(second, first);

    // A new command line is a new process, too.
    let changed = Resource::SystemdUnit(unit("/bin/sleep 2000", &["/app.conf"]));
    assert_eq!(
        ensure(&changed, &host).await.unwrap(),
        ["the unit differs", "restart: the unit changes"]
    );

    let stopped = Resource::SystemdUnit(UnitSpec {
        started: false,
        ..unit("/bin/sleep 2000", &[])
    });
    assert_eq!(ensure(&stopped, &host).await.unwrap(), ["active → stopped"]);
    assert_eq!(pid(&host), None);
}

#[tokio::test]
async fn a_program_that_was_killed_is_started_again() {
    let host = TempHost::new();
    let _stop = Stop(&host);
    let resource = Resource::SystemdUnit(unit("/bin/sleep 1000", &[]));
    ensure(&resource, &host).await.unwrap();
    let first = pid(&host).unwrap();
    let killed = std::process::Command::new("kill")
        .args(["-KILL", first.trim()])
        .status()
        .unwrap();
    assert!(killed.success());
    wait_for("no new process", || {
        pid(&host).is_some_and(|pid| pid != first)
    });
    assert_eq!(
        differences(&resource, &host).await.unwrap(),
        [] as [&str; 0]
    );
}

#[tokio::test]
async fn a_program_that_ends_at_once_fails_the_task_with_its_last_words() {
    let host = TempHost::new();
    let _stop = Stop(&host);
    let resource = Resource::SystemdUnit(unit("/bin/sh -c 'echo no such port >&2; exit 3'", &[]));
    let error = ensure(&resource, &host).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "app.service was started but does not stay up; its last words: no such port"
    );
}

#[tokio::test]
async fn arguments_and_environment_never_reach_a_shell_as_code() {
    let host = TempHost::new();
    let _stop = Stop(&host);
    let canary = host.path("/canary");
    let content = format!(
        "[Service]\nEnvironment=\"EVIL=$(touch {0})\" qd_user=nobody\nExecStart=/bin/sleep 1000 \"; touch {0}\"\n",
        canary.display()
    );
    let spec = UnitSpec {
        content: Some(content),
        ..unit("", &[])
    };
    // sleep refuses its second argument: what counts is that nothing else happened.
    ensure(&Resource::SystemdUnit(spec), &host)
        .await
        .unwrap_err();
    assert!(!canary.exists());
    let settings =
        std::fs::read_to_string(host.path("/var/lib/quarterdeck/units/app.service/settings"))
            .unwrap();
    assert!(settings.contains("EVIL="), "{settings}");
}

#[tokio::test]
async fn a_packaged_unit_is_found_where_packages_put_it() {
    let host = TempHost::new();
    let _stop = Stop(&host);
    let spec = UnitSpec {
        content: None,
        ..unit("", &[])
    };
    let resource = Resource::SystemdUnit(spec);
    assert_eq!(
        differences(&resource, &host).await.unwrap(),
        ["not running → started"]
    );
    let error = ensure(&resource, &host).await.unwrap_err().to_string();
    assert!(error.contains("no such unit on this host"), "{error}");
    host.put(
        "/lib/systemd/system/app.service",
        "[Service]\nExecStart=/bin/sleep 1000\n",
    );
    ensure(&resource, &host).await.unwrap();
}

#[test]
fn settings_quote_every_value() {
    let service = unit_file::read(
        "a.service",
        "[Service]\nUser=consul\nWorkingDirectory=/var/lib/a b\nEnvironment=\"A=it's\"\nExecStart=/bin/a \"b c\" $HOME\n",
    )
    .unwrap();
    insta::assert_snapshot!(settings(&service));
}
