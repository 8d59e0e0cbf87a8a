//! Resources of a step: changed once and well ever after, only told in a dry run, left alone where the condition is false.

use super::*;

#[tokio::test]
async fn ensuring_changes_once_and_is_ok_ever_after() {
    let host = Arc::new(TempHost::new());
    let context = context(&host);
    let step = ensures(vec![file("/motd", "{{ node.name }} of {{ env.name }}\n")]);
    assert_eq!(
        execute(&step, Some("pc2"), &context).await.unwrap(),
        Outcome::Changed
    );
    assert_eq!(
        std::fs::read_to_string(host.path("/motd")).unwrap(),
        "pc2 of staging\n"
    );
    assert_eq!(
        execute(&step, Some("pc2"), &context).await.unwrap(),
        Outcome::Ok
    );
    assert_eq!(
        host.log(),
        [
            "note: file /motd: does not exist → 15 bytes, 0644 root:root",
            "diff: --- /motd (on the node)",
            "diff: +++ /motd (declared)",
            "diff: @@ -0,0 +1 @@",
            "diff: +pc2 of staging",
            "note: file /motd: done",
            "note: file /motd: as declared",
        ]
    );
}

#[tokio::test]
async fn a_dry_run_tells_and_changes_nothing() {
    let host = Arc::new(TempHost::new());
    let context = Context {
        dry_run: true,
        ..context(&host)
    };
    let step = ensures(vec![file("/motd", "hello\n")]);
    assert_eq!(
        execute(&step, Some("pc1"), &context).await.unwrap(),
        Outcome::Changed
    );
    assert!(!host.path("/motd").exists());
    let step = run_step(&["touch", "/made"], true);
    assert_eq!(
        execute(&step, Some("pc1"), &context).await.unwrap(),
        Outcome::Changed
    );
    assert!(!host.path("/made").exists());
    assert!(
        host.log()
            .contains(&"note: would run: touch /made".to_owned())
    );
}

#[tokio::test]
async fn a_dry_run_foresees_the_restart_that_a_changed_file_brings() {
    let host = Arc::new(TempHost::scripted(|line| {
        line.starts_with("systemctl show")
            .then(|| says("LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n").unwrap())
    }));
    std::fs::create_dir_all(host.path("/run/systemd/system")).unwrap();
    let context = Context {
        dry_run: true,
        ..context(&host)
    };
    let unit = Resource::SystemdUnit(UnitSpec {
        name: "consul.service".into(),
        content: None,
        started: true,
        enabled: true,
        reads: vec!["/consul.json".into()],
    });
    let step = ensures(vec![file("/consul.json", "{}"), unit]);
    execute(&step, Some("pc1"), &context).await.unwrap();
    let log = host.log();
    assert!(
        log.contains(&"note: unit consul.service: restart: /consul.json changes".to_owned()),
        "{log:?}"
    );
}

#[tokio::test]
async fn a_change_that_does_not_take_fails_the_task() {
    let host = Arc::new(TempHost::scripted(|line| {
        line.starts_with("chmod").then(|| says("").unwrap())
    }));
    host.put("/motd", "x");
    let mut resource = file("/motd", "x");
    if let Resource::File(spec) = &mut resource {
        spec.mode = "0600".into();
    }
    let error = execute(&ensures(vec![resource]), Some("pc1"), &context(&host))
        .await
        .unwrap_err();
    assert_eq!(
        error.message,
        "file /motd: was applied, and still: mode 0644 → 0600"
    );
}

#[tokio::test]
async fn a_step_is_skipped_where_its_condition_is_false() {
    let host = Arc::new(TempHost::new());
    let step = Step {
        when: Some("node.arch == 'arm64'".into()),
        ..run_step(&["touch", "/made"], true)
    };
    let context = context(&host);
    assert_eq!(
        execute(&step, Some("pc3"), &context).await.unwrap(),
        Outcome::Skipped("not the case that node.arch == 'arm64'".into())
    );
    assert!(!host.path("/made").exists());
    assert_eq!(
        execute(&step, Some("pc1"), &context).await.unwrap(),
        Outcome::Changed
    );
}
