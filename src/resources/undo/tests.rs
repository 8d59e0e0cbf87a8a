use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::super::testing::{TempHost, ensure, fails, look_back, says, take_back, with_means};
use super::*;
use crate::domain::resource::{
    CommandSpec, DirectorySpec, DownloadSpec, FileSpec, PackageSpec, UnitSpec,
};
use crate::domain::undo::{FileBefore, UnitMode, Was};

fn file(path: &str, content: &str, mode: &str) -> Resource {
    Resource::File(FileSpec {
        path: path.into(),
        content: content.into(),
        mode: mode.into(),
        owner: "root".into(),
        group: "root".into(),
    })
}

fn directory(path: &str, mode: &str) -> Resource {
    Resource::Directory(DirectorySpec {
        path: path.into(),
        mode: mode.into(),
        owner: "root".into(),
        group: "root".into(),
    })
}

fn mode(host: &TempHost, path: &str) -> u32 {
    host.path(path).metadata().unwrap().permissions().mode() & 0o7777
}

fn read(host: &TempHost, path: &str) -> String {
    std::fs::read_to_string(host.path(path)).unwrap()
}

/// Where the only file that was replaced is kept.
fn kept(host: &TempHost) -> String {
    match &host.records().all()[0] {
        Before::File(FileBefore {
            was: Was::File {
                kept: Some(kept), ..
            },
            ..
        }) => kept.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_replaced_file_is_kept_where_only_root_reads_and_comes_back_as_it_was() {
    let host = TempHost::new();
    host.put("/etc/app.conf", "password = hunter2\n");
    std::fs::set_permissions(
        host.path("/etc/app.conf"),
        std::fs::Permissions::from_mode(0o640),
    )
    .unwrap();
    ensure(&file("/etc/app.conf", "password = new\n", "0644"), &host)
        .await
        .unwrap();

    let kept = kept(&host);
    assert_eq!(mode(&host, &kept), 0o600);
    let folder = kept.rsplit_once('/').unwrap().0;
    assert_eq!(mode(&host, folder), 0o700);
    let stored = serde_json::to_string(&host.records().all()).unwrap();
    assert!(!stored.contains("hunter2"), "{stored}");

    let changes = take_back(&host).await.unwrap();
    assert!(
        changes[0].starts_with("content as before (SHA-256 "),
        "{changes:?}"
    );
    assert_eq!(changes[1], "mode 0644 → 0640");
    assert_eq!(read(&host, "/etc/app.conf"), "password = hunter2\n");
    assert_eq!(mode(&host, "/etc/app.conf"), 0o640);
    // Nothing of the preparation lies about.
    assert_eq!(std::fs::read_dir(host.path("/etc")).unwrap().count(), 1);
}

#[tokio::test]
async fn the_record_is_there_before_the_change() {
    let host = TempHost::scripted(|line| {
        line.starts_with("chown")
            .then(|| fails(1, "cut off").unwrap())
    });
    std::fs::create_dir_all(host.path("/srv")).unwrap();
    std::fs::set_permissions(host.path("/srv"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let resource = Resource::Directory(DirectorySpec {
        path: "/srv".into(),
        mode: "0700".into(),
        owner: "app".into(),
        group: "app".into(),
    });
    assert!(ensure(&resource, &host).await.is_err());
    assert_eq!(host.records().all().len(), 1);
    // And so the attempt that failed half-way can be taken back.
    assert_eq!(take_back(&host).await.unwrap(), [] as [&str; 0]);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_changed() {
    struct Full;
    #[async_trait]
    impl Records for Full {
        async fn name(&self, _: u32) -> Option<String> {
            Some("run/0-0".into())
        }
        async fn record(&self, _: u32, _: &Before) -> Result<(), String> {
            Err("disk full".into())
        }
    }
    let host = TempHost::new();
    let resource = file("/motd", "hello\n", "0644");
    let error = with_means(&host, &[], async |means| {
        let means = Means {
            offline: false,
            records: &Full,
            ..*means
        };
        let difference = super::super::check(&resource, &host, &means).await?;
        super::super::apply(&resource, &difference, &host, &means).await
    })
    .await
    .unwrap_err();
    assert!(error.to_string().contains("disk full"), "{error}");
    assert!(!host.path("/motd").exists());
}

#[tokio::test]
async fn a_file_that_was_not_there_goes_and_a_second_undo_finds_nothing() {
    let host = TempHost::new();
    ensure(&file("/motd", "hello\n", "0644"), &host)
        .await
        .unwrap();
    assert_eq!(take_back(&host).await.unwrap(), ["removed"]);
    assert!(!host.path("/motd").exists());
    assert_eq!(take_back(&host).await.unwrap(), [] as [&str; 0]);
}

#[tokio::test]
async fn an_undo_shows_what_it_will_put_back_as_a_diff() {
    let host = TempHost::new();
    host.put("/app.conf", "port = 80\n");
    ensure(&file("/app.conf", "port = 81\n", "0644"), &host)
        .await
        .unwrap();
    let back = look_back(&host.records().all()[0], &host).await;
    insta::assert_snapshot!(back.difference.diff.join("\n"), @r"
    --- /app.conf (now)
    +++ /app.conf (before the run)
    @@ -1 +1 @@
    -port = 81
    +port = 80
    ");
    assert_eq!(read(&host, "/app.conf"), "port = 81\n");
}

#[tokio::test]
async fn what_somebody_changed_since_is_refused_and_can_still_be_forced() {
    let host = TempHost::new();
    host.put("/app.conf", "old\n");
    ensure(&file("/app.conf", "new\n", "0644"), &host)
        .await
        .unwrap();
    host.put("/app.conf", "edited\n");
    let reason = take_back(&host).await.unwrap_err();
    assert!(
        reason.starts_with("its content was changed since (SHA-256 "),
        "{reason}"
    );
    assert_eq!(read(&host, "/app.conf"), "edited\n");

    let before = &host.records().all()[0];
    with_means(&host, &[], async |means| {
        super::take_back(before, &host, means).await
    })
    .await
    .unwrap();
    assert_eq!(read(&host, "/app.conf"), "old\n");
}

#[tokio::test]
async fn another_mode_since_is_refused_too() {
    let host = TempHost::new();
    ensure(&file("/key", "x", "0600"), &host).await.unwrap();
    std::fs::set_permissions(host.path("/key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(
        take_back(&host).await.unwrap_err(),
        "its mode is 0644 now, the run left 0600"
    );
}

#[tokio::test]
async fn a_copy_that_was_tampered_with_is_never_put_back() {
    let host = TempHost::new();
    host.put("/app.conf", "old\n");
    ensure(&file("/app.conf", "new\n", "0644"), &host)
        .await
        .unwrap();
    host.put(&kept(&host), "evil\n");
    let reason = take_back(&host).await.unwrap_err();
    assert!(reason.contains("is not what was kept"), "{reason}");
    assert_eq!(read(&host, "/app.conf"), "new\n");
}

#[tokio::test]
async fn a_link_becomes_a_link_again() {
    let host = TempHost::new();
    host.put("/target", "kept");
    std::os::unix::fs::symlink(host.path("/target"), host.path("/link")).unwrap();
    ensure(&file("/link", "own", "0644"), &host).await.unwrap();
    assert_eq!(
        take_back(&host).await.unwrap(),
        ["a symbolic link to /target again"]
    );
    assert_eq!(
        std::fs::read_link(host.path("/link")).unwrap(),
        host.path("/target")
    );
    assert_eq!(read(&host, "/target"), "kept");
}

#[tokio::test]
async fn made_directories_go_up_to_the_first_that_holds_something_else() {
    let host = TempHost::new();
    std::fs::create_dir_all(host.path("/srv")).unwrap();
    ensure(&directory("/srv/a/b", "0755"), &host).await.unwrap();
    host.put("/srv/a/theirs", "x");
    with_means(&host, &[], async |means| {
        super::take_back(&host.records().all()[0], &host, means).await
    })
    .await
    .unwrap();
    assert!(!host.path("/srv/a/b").exists());
    assert!(host.path("/srv/a/theirs").exists());
    assert!(
        host.log()
            .iter()
            .any(|line| line.contains("/srv/a stays: ")),
        "{:?}",
        host.log()
    );
}

#[tokio::test]
async fn a_directory_gets_its_mode_back() {
    let host = TempHost::new();
    std::fs::create_dir_all(host.path("/srv")).unwrap();
    std::fs::set_permissions(host.path("/srv"), std::fs::Permissions::from_mode(0o711)).unwrap();
    ensure(&directory("/srv", "0755"), &host).await.unwrap();
    assert_eq!(take_back(&host).await.unwrap(), ["mode 0755 → 0711"]);
    assert_eq!(mode(&host, "/srv"), 0o711);
}

#[tokio::test]
async fn a_download_goes_with_the_directories_that_were_made_for_it() {
    let host = TempHost::new();
    let source = host.cache.path().join("tool");
    std::fs::write(&source, "abc").unwrap();
    let resource = Resource::Download(DownloadSpec {
        source: source.display().to_string(),
        sha256: super::super::checksum::sha256_of_bytes(b"abc"),
        path: "/opt/tools/bin/tool".into(),
        mode: "0755".into(),
        unpack: None,
        strip: 0,
    });
    ensure(&resource, &host).await.unwrap();
    assert_eq!(take_back(&host).await.unwrap(), ["removed"]);
    assert!(!host.path("/opt").exists());
}

#[tokio::test]
async fn what_a_command_did_is_left_and_told() {
    let host = TempHost::new();
    let resource = Resource::Command(CommandSpec {
        detached: false,
        argv: vec!["touch".into(), "/made".into()],
        unless: Vec::new(),
        creates: Some("/made".into()),
    });
    ensure(&resource, &host).await.unwrap();
    assert_eq!(take_back(&host).await.unwrap(), [] as [&str; 0]);
    assert!(host.path("/made").exists());
    assert_eq!(
        host.records().all()[0].limits(),
        ["command touch /made: what a command did is not known"]
    );
}

/// A host on which dpkg remembers whether, and in which version, one package is installed.
fn dpkg(installed: Option<&str>) -> (TempHost, Arc<Mutex<Option<String>>>) {
    let state = Arc::new(Mutex::new(installed.map(ToOwned::to_owned)));
    let shared = Arc::clone(&state);
    let host = TempHost::scripted(move |line| {
        let mut version = shared.lock().unwrap();
        if line.starts_with("dpkg-query") {
            return match version.as_deref() {
                Some(version) => says(&format!("ii |{version}\n")),
                None => fails(1, "dpkg-query: no packages found matching consul"),
            };
        }
        if line.contains("dpkg -r consul") {
            *version = None;
            return says("Removing consul ...\n");
        }
        if line.contains("apt-get") {
            let (_, wanted) = line.split_once("consul=").unwrap_or_default();
            *version = Some(wanted.trim_end_matches(['*', '\'']).to_owned());
            return says("");
        }
        None
    });
    (host, state)
}

fn consul(version: &str) -> Resource {
    Resource::Package(PackageSpec {
        name: "consul".into(),
        state: crate::domain::resource::Presence::Present,
        version: Some(version.into()),
        deb: None,
        hold: None,
        bring: None,
        snap: None,
    })
}

#[tokio::test]
async fn a_package_that_was_not_there_is_removed_without_its_dependants() {
    let (host, state) = dpkg(None);
    ensure(&consul("1.8.7"), &host).await.unwrap();
    assert_eq!(take_back(&host).await.unwrap(), ["1.8.7 → removed"]);
    assert_eq!(*state.lock().unwrap(), None);
    assert!(
        !host
            .ran()
            .iter()
            .any(|line| line.contains("apt-get remove"))
    );
}

#[tokio::test]
async fn an_older_package_comes_back_unless_a_newer_one_was_installed_since() {
    let (host, state) = dpkg(Some("1.8.6"));
    ensure(&consul("1.8.7"), &host).await.unwrap();
    *state.lock().unwrap() = Some("1.9.0".into());
    assert_eq!(
        take_back(&host).await.unwrap_err(),
        "1.9.0 was installed since, the run left 1.8.7"
    );
    *state.lock().unwrap() = Some("1.8.7".into());
    assert_eq!(take_back(&host).await.unwrap(), ["1.8.7 → 1.8.6"]);
    assert_eq!(state.lock().unwrap().as_deref(), Some("1.8.6"));
}

/// A host with systemd and one unit that is started, stopped, enabled and disabled.
fn systemd(active: bool, enabled: bool) -> (TempHost, Arc<AtomicBool>, Arc<AtomicBool>) {
    let runs = Arc::new(AtomicBool::new(active));
    let boots = Arc::new(AtomicBool::new(enabled));
    let (runs_now, boots_now) = (Arc::clone(&runs), Arc::clone(&boots));
    let host = TempHost::scripted(move |line| {
        if line == "cat /proc/uptime" {
            return says("5000.00 1.00\n");
        }
        let rest = line.strip_prefix("systemctl ")?;
        let verb = rest.split(' ').next().unwrap_or_default();
        match verb {
            "show" => {
                let active = if runs_now.load(Ordering::SeqCst) {
                    "active"
                } else {
                    "inactive"
                };
                let file = if boots_now.load(Ordering::SeqCst) {
                    "enabled"
                } else {
                    "disabled"
                };
                return says(&format!(
                    "LoadState=loaded\nActiveState={active}\nUnitFileState={file}\nNRestarts=0\n\
                     ActiveEnterTimestampMonotonic=5000000000\n"
                ));
            }
            "start" | "restart" => runs_now.store(true, Ordering::SeqCst),
            "stop" => runs_now.store(false, Ordering::SeqCst),
            "enable" => boots_now.store(true, Ordering::SeqCst),
            "disable" => boots_now.store(false, Ordering::SeqCst),
            _ => {}
        }
        says("")
    });
    std::fs::create_dir_all(host.path("/run/systemd/system")).unwrap();
    std::fs::create_dir_all(host.path("/etc/systemd/system")).unwrap();
    (host, runs, boots)
}

fn unit(content: Option<&str>, reads: &[&str]) -> Resource {
    Resource::SystemdUnit(UnitSpec {
        name: "app.service".into(),
        content: content.map(Into::into),
        started: true,
        enabled: true,
        reads: reads.iter().map(|&path| path.into()).collect(),
    })
}

fn verbs(host: &TempHost) -> Vec<String> {
    let ran = host.ran();
    let verbs = ran.iter().filter_map(|line| {
        let rest = line.strip_prefix("systemctl ")?;
        (!rest.starts_with("show")).then(|| rest.to_owned())
    });
    verbs.collect()
}

#[tokio::test(start_paused = true)]
async fn a_new_unit_is_stopped_and_disabled_before_its_file_goes() {
    let (host, runs, boots) = systemd(false, false);
    ensure(&unit(Some("[Service]\nExecStart=/bin/app\n"), &[]), &host)
        .await
        .unwrap();
    let done = verbs(&host).len();
    let changes = take_back(&host).await.unwrap();
    assert_eq!(
        changes,
        [
            "its file: removed",
            "active → stopped",
            "started at boot → disabled"
        ]
    );
    assert_eq!(
        verbs(&host)[done..],
        ["stop app.service", "disable app.service", "daemon-reload"]
    );
    assert!(!runs.load(Ordering::SeqCst) && !boots.load(Ordering::SeqCst));
    assert!(!host.path("/etc/systemd/system/app.service").exists());
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_ran_before_is_restarted_with_the_files_it_had() {
    let (host, runs, _) = systemd(true, true);
    host.put(
        "/etc/systemd/system/app.service",
        "[Service]\nExecStart=/bin/old\n",
    );
    std::fs::set_permissions(
        host.path("/etc/systemd/system/app.service"),
        std::fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    ensure(&unit(Some("[Service]\nExecStart=/bin/new\n"), &[]), &host)
        .await
        .unwrap();
    let done = verbs(&host).len();
    take_back(&host).await.unwrap();
    assert_eq!(
        verbs(&host)[done..],
        ["daemon-reload", "restart app.service"]
    );
    assert!(runs.load(Ordering::SeqCst));
    assert_eq!(
        read(&host, "/etc/systemd/system/app.service"),
        "[Service]\nExecStart=/bin/old\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_does_not_come_up_with_the_new_file_can_be_taken_back() {
    // It ran, the run's file made it fail: that it is not running is no reason to refuse.
    let (host, runs, _) = systemd(true, true);
    host.put("/app.conf", "old\n");
    ensure(&file("/app.conf", "new\n", "0644"), &host)
        .await
        .unwrap();
    let running = UnitMode {
        enabled: Some(true),
        active: true,
    };
    let restarted = Before::Unit(UnitBefore {
        name: "app.service".into(),
        supervised: false,
        file: None,
        was: running,
        left: running,
        reads: vec!["/app.conf".into()],
    });
    host.records().record(1, &restarted).await.unwrap();
    runs.store(false, Ordering::SeqCst);
    take_back(&host).await.unwrap();
    assert!(runs.load(Ordering::SeqCst));
    assert_eq!(read(&host, "/app.conf"), "old\n");
}
