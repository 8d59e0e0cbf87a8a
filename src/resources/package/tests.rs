use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::super::testing::{TempHost, differences, ensure, fails, says, take_back};
use super::*;
use crate::domain::resource::Resource;

fn declared(version: Option<&str>, deb: Option<&str>) -> Resource {
    Resource::Package(PackageSpec {
        name: "consul".into(),
        state: crate::domain::resource::Presence::Present,
        version: version.map(Into::into),
        deb: deb.map(Into::into),
        hold: None,
        bring: None,
        snap: None,
    })
}

/// A host on which dpkg knows `consul` in this line, or not at all.
fn with_status(line: &'static str) -> TempHost {
    TempHost::scripted(move |command| match command {
        query if query.starts_with("dpkg-query") && line.is_empty() => {
            fails(1, "dpkg-query: no packages found matching consul")
        }
        query if query.starts_with("dpkg-query") => says(line),
        _ => None,
    })
}

async fn changes(line: &'static str, version: Option<&str>) -> Vec<String> {
    differences(&declared(version, None), &with_status(line))
        .await
        .unwrap()
}

#[tokio::test]
async fn an_installed_package_in_the_declared_version_needs_nothing() {
    let none: [&str; 0] = [];
    assert_eq!(changes("ii |1.8.7+dfsg1-2+b3\n", Some("1.8.7")).await, none);
    assert_eq!(changes("hi |1.8.7+dfsg1-2+b3\n", None).await, none);
}

#[tokio::test]
async fn what_must_change_is_told_with_both_versions() {
    assert_eq!(changes("", Some("1.8.7")).await, ["not installed → 1.8.7"]);
    assert_eq!(changes("", None).await, ["not installed → installed"]);
    assert_eq!(
        changes("ii |1.8.70-1\n", Some("1.8.7")).await,
        ["1.8.70-1 → 1.8.7"]
    );
    assert_eq!(
        changes("rc |1.8.7-1\n", Some("1.8.7")).await,
        ["not installed → 1.8.7"]
    );
}

#[tokio::test]
async fn a_half_installed_package_is_not_installed() {
    for line in [
        "iU |1.8.7-1\n",
        "iF |1.8.7-1\n",
        "iHR|1.8.7-1\n",
        "iiR|1.8.7-1\n",
    ] {
        let changes = changes(line, Some("1.8.7")).await;
        assert!(
            changes[0].starts_with("half installed (dpkg says i"),
            "{changes:?}"
        );
    }
}

#[tokio::test]
async fn another_package_manager_is_named_as_the_reason() {
    let host = TempHost::scripted(|command| {
        command
            .starts_with("dpkg-query")
            .then(|| fails(127, "sh: dpkg-query: not found").unwrap())
    });
    let error = differences(&declared(None, None), &host)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("package consul: this host has no dpkg"),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_dependency_is_named_and_not_hidden_in_a_log() {
    let host = TempHost::scripted(|command| match command {
        query if query.starts_with("dpkg-query") => fails(1, "no packages found"),
        install if install.contains("dpkg -i") => fails(
            1,
            "dpkg: dependency problems prevent configuration of consul:\n consul depends on pipexec; however:\n  \
             Package pipexec is not installed.\n consul depends on libc6 (>= 2.40); however:\n  Version of libc6:amd64 \
             on system is 2.36.\n\ndpkg: error processing package consul (--install):\n dependency problems - leaving \
             unconfigured\n",
        ),
        _ => None,
    });
    let error = ensure(&declared(Some("1.8.7"), Some("/consul.deb")), &host)
        .await
        .unwrap_err();
    assert!(
        error.to_string().starts_with(
            "package consul needs pipexec and libc6 (>= 2.40): dpkg unpacked it but left it unconfigured"
        ),
        "{error}"
    );
    assert!(
        host.log()
            .iter()
            .any(|line| line.contains("stderr:  consul depends on pipexec"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_busy_package_manager_is_waited_for() {
    let tries = AtomicU32::new(0);
    let host = TempHost::scripted(move |command| match command {
        query if query.starts_with("dpkg-query") && tries.load(Ordering::Relaxed) < 3 => {
            fails(1, "none")
        }
        query if query.starts_with("dpkg-query") => says("ii |1.8.7-1\n"),
        install if install.contains("dpkg -i") && tries.fetch_add(1, Ordering::Relaxed) < 2 => {
            fails(
                2,
                "dpkg: error: dpkg frontend lock was locked by another process with pid 42",
            )
        }
        install if install.contains("dpkg -i") => says("Setting up consul (1.8.7-1) ...\n"),
        _ => None,
    });
    ensure(&declared(Some("1.8.7"), Some("/consul.deb")), &host)
        .await
        .unwrap();
    assert!(
        host.log()
            .iter()
            .any(|line| line.contains("waiting for it"))
    );
}

#[tokio::test]
async fn apt_updates_its_lists_once_when_it_does_not_know_a_package() {
    let updated = AtomicU32::new(0);
    let installed = AtomicU32::new(0);
    let host = TempHost::scripted(move |command| match command {
        query if query.starts_with("dpkg-query") && installed.load(Ordering::Relaxed) == 0 => {
            fails(1, "none")
        }
        query if query.starts_with("dpkg-query") => says("ii |1.8.7-1\n"),
        update if update.contains("apt-get update") => {
            updated.fetch_add(1, Ordering::Relaxed);
            says("Get:1\n")
        }
        install if install.contains("apt-get install") && updated.load(Ordering::Relaxed) == 0 => {
            fails(100, "E: Unable to locate package consul")
        }
        install if install.contains("apt-get install") => {
            installed.fetch_add(1, Ordering::Relaxed);
            says("Setting up consul\n")
        }
        _ => None,
    });
    ensure(&declared(Some("1.8.7"), None), &host).await.unwrap();
    let installs: Vec<String> = host
        .ran()
        .into_iter()
        .filter(|line| line.contains("apt-get install"))
        .collect();
    assert_eq!(installs.len(), 2);
    assert!(installs[0].ends_with("'consul=1.8.7*'"), "{installs:?}");
    assert!(
        installs[0].contains("DPkg::Lock::Timeout=60"),
        "{installs:?}"
    );
}

#[tokio::test]
async fn a_name_that_could_be_an_option_is_refused() {
    let host = TempHost::new();
    for bad in ["--purge", "a b", "", "a/b", "a;b"] {
        let resource = Resource::Package(PackageSpec {
            name: bad.into(),
            state: crate::domain::resource::Presence::Present,
            version: None,
            deb: None,
            hold: None,
            bring: None,
            snap: None,
        });
        let error = differences(&resource, &host).await.unwrap_err().to_string();
        assert!(error.contains("no package name"), "{error}");
    }
    assert_eq!(host.ran(), [] as [&str; 0]);
}

fn bare(name: &str) -> PackageSpec {
    PackageSpec {
        name: name.into(),
        state: Presence::Present,
        version: None,
        hold: None,
        deb: None,
        bring: None,
        snap: None,
    }
}

#[tokio::test]
async fn a_hold_is_seen_set_and_taken_back() {
    let held = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let host = TempHost::scripted(move |command| match command {
        query if query.starts_with("dpkg-query") && held.load(Ordering::Relaxed) => {
            says("hi |1.8.7-1\n")
        }
        query if query.starts_with("dpkg-query") => says("ii |1.8.7-1\n"),
        mark if mark.contains("apt-mark ") => {
            held.store(mark.contains("apt-mark hold consul"), Ordering::Relaxed);
            says("")
        }
        _ => None,
    });
    let spec = PackageSpec {
        hold: Some(true),
        ..bare("consul")
    };
    assert_eq!(
        ensure(&Resource::Package(spec), &host).await.unwrap(),
        ["not held → held"]
    );
    assert_eq!(take_back(&host).await.unwrap(), ["held → not held"]);
}

#[tokio::test]
async fn an_absent_package_is_removed_and_comes_back_in_its_version() {
    let there = AtomicU32::new(1);
    let host = TempHost::scripted(move |command| match command {
        query if query.starts_with("dpkg-query") && there.load(Ordering::Relaxed) == 1 => {
            says("ii |2.6-1\n")
        }
        query if query.starts_with("dpkg-query") => fails(1, "none"),
        remove if remove.contains("dpkg -r consul") => {
            there.store(0, Ordering::Relaxed);
            says("")
        }
        install if install.contains("apt-get install") && install.contains("consul=2.6-1") => {
            there.store(1, Ordering::Relaxed);
            says("")
        }
        _ => None,
    });
    let absent = PackageSpec {
        state: Presence::Absent,
        ..bare("consul")
    };
    assert_eq!(
        ensure(&Resource::Package(absent), &host).await.unwrap(),
        ["2.6-1 → removed"]
    );
    assert_eq!(take_back(&host).await.unwrap(), ["not installed → 2.6-1"]);
}

/// A host without dpkg on which `look` says what is installed, and any `change` installs it in `version`.
fn other(look: &'static str, change: &'static str, version: &'static str) -> TempHost {
    let there = AtomicU32::new(0);
    TempHost::scripted(move |command| {
        let installed = there.load(Ordering::Relaxed) == 1;
        match command {
            query if query.starts_with(look) && installed => says(version),
            query if query.starts_with(look) => fails(1, "not installed"),
            changing if changing.contains(change) => {
                there.store(1, Ordering::Relaxed);
                says("done\n")
            }
            removing if removing.contains("rpm -e") || removing.contains("del htop") => {
                there.store(0, Ordering::Relaxed);
                says("")
            }
            _ => fails(127, "not found"),
        }
    })
}

#[tokio::test]
async fn the_manager_is_chosen_by_what_the_host_has() {
    let spec = PackageSpec {
        version: Some("3.2".into()),
        ..bare("htop")
    };
    let resource = Resource::Package(spec);
    for (host, line, back) in [
        (
            other("rpm -q", "dnf install", "(none):3.2.2-2.el9\n"),
            "'htop-3.2*'",
            "3.2.2-2.el9 → removed",
        ),
        (
            other("apk info", " add ", "htop-3.2.2-r1\n"),
            "add 'htop~3.2'",
            "3.2.2-r1 → removed",
        ),
    ] {
        assert_eq!(
            ensure(&resource, &host).await.unwrap(),
            ["not installed → 3.2"]
        );
        let ran = host.ran();
        assert!(ran.iter().any(|ran| ran.ends_with(line)), "{ran:?}");
        assert_eq!(take_back(&host).await.unwrap(), [back]);
    }
}

#[tokio::test]
async fn a_snap_follows_its_channel_and_is_told_apart_from_other_packages() {
    let channel = std::sync::Mutex::new("");
    let host = TempHost::scripted(move |command| {
        let mut channel = channel.lock().unwrap();
        match command {
            list if list.contains("snap list") && channel.is_empty() => {
                fails(1, "error: no matching snaps installed")
            }
            list if list.contains("snap list") => says(&format!(
                "Name  Version Rev Tracking Publisher Notes\nmicrok8s v1.32.1 7394 {channel} canonical classic\n"
            )),
            change if change.contains("--channel=1.32") => {
                *channel = "1.32/stable";
                says("")
            }
            change if change.contains("--channel=1.33/edge") => {
                *channel = "1.33/edge";
                says("")
            }
            _ => None,
        }
    });
    let follow = |channel: &str| {
        Resource::Package(PackageSpec {
            snap: Some(crate::domain::resource::SnapSpec {
                channel: Some(channel.into()),
                classic: true,
            }),
            ..bare("microk8s")
        })
    };
    assert_eq!(
        ensure(&follow("1.32"), &host).await.unwrap(),
        ["not installed → installed"]
    );
    let ran = host.ran();
    let installs =
        |ran: &String| ran.contains("snap install microk8s") && ran.contains("--classic");
    assert!(ran.iter().any(installs), "{ran:?}");
    assert_eq!(
        ensure(&follow("1.33/edge"), &host).await.unwrap(),
        ["channel 1.32/stable → 1.33/edge"]
    );
    let last = host.records().all().pop().unwrap();
    assert_eq!(
        last.outlook().unwrap(),
        "package microk8s: from channel 1.32/stable again"
    );
}

#[tokio::test]
async fn a_host_without_any_manager_says_what_it_lacks() {
    let host = TempHost::scripted(|_| fails(127, "not found"));
    let error = differences(&Resource::Package(bare("htop")), &host)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("no dpkg, no rpm and no apk"), "{error}");
    let snap = PackageSpec {
        snap: Some(crate::domain::resource::SnapSpec::default()),
        ..bare("htop")
    };
    let error = differences(&Resource::Package(snap), &host)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("no snapd"), "{error}");
}

#[tokio::test]
async fn a_package_that_is_brought_is_pushed_only_when_it_has_to_be_installed() {
    let there = AtomicU32::new(0);
    let host = TempHost::scripted(move |command| match command {
        query if query.starts_with("dpkg-query") && there.load(Ordering::Relaxed) == 1 => {
            says("ii |1.8.7-1\n")
        }
        query if query.starts_with("dpkg-query") => fails(1, "none"),
        install if install.contains("dpkg -i") => {
            there.store(1, Ordering::Relaxed);
            says("")
        }
        _ => None,
    });
    let here = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(here.path(), "deb").unwrap();
    let resource = Resource::Package(PackageSpec {
        version: Some("1.8.7".into()),
        bring: Some(crate::domain::resource::BringSpec {
            source: here.path().display().to_string(),
            sha256: crate::resources::checksum::sha256_of_bytes(b"deb"),
        }),
        ..bare("consul")
    });
    ensure(&resource, &host).await.unwrap();
    let pushes = |host: &TempHost| {
        let ran = host.ran();
        ran.iter().filter(|ran| ran.starts_with("write ")).count()
    };
    assert_eq!(pushes(&host), 1);
    assert!(!host.path("/var/cache/quarterdeck/consul.deb").exists());
    ensure(&resource, &host).await.unwrap();
    assert_eq!(pushes(&host), 1);
}

#[test]
fn channels_are_the_same_however_short_they_are_written() {
    for (is, declared, same) in [
        ("latest/stable", "stable", true),
        ("1.32/stable", "1.32", true),
        ("latest/edge", "edge", true),
        ("1.32/stable", "1.32/edge", false),
        ("latest/stable", "1.32", false),
    ] {
        assert_eq!(snap::is_channel(is, declared), same, "{is} {declared}");
    }
}

#[test]
fn a_lock_of_dnf_is_known_by_the_whole_name() {
    assert!(dnf::is_lock("htop-0:3.2.2-2.el9.*", "htop"));
    assert!(dnf::is_lock("Package name: htop", "htop"));
    assert!(!dnf::is_lock("htop-extra-0:1-1.*", "htop"));
    assert!(!dnf::is_lock("Package name: htop-extra", "htop"));
}

#[test]
fn a_version_matches_whole_or_up_to_a_separator() {
    for (installed, declared, same) in [
        ("1.8.7+dfsg1-2+b3", "1.8.7", true),
        ("1.8.7+dfsg1-2+b3", "1.8.7+dfsg1-2+b3", true),
        ("1.8.7~rc1", "1.8.7", true),
        ("1:9.2p1-2", "9.2p1", true),
        ("1:9.2p1-2", "1:9.2p1", true),
        ("1.8.70-1", "1.8.7", false),
        ("1.8.6", "1.8.7", false),
        ("2:9.2p1", "1:9.2p1", false),
        ("1.8", "1.8.7", false),
    ] {
        assert_eq!(
            is_version(installed, declared),
            same,
            "{installed} {declared}"
        );
    }
}

proptest! {
    #[test]
    fn a_version_matches_itself_and_every_revision_of_it(version in "[0-9]{1,2}(\\.[0-9]{1,2}){0,3}", more in "[.+~-][a-z0-9.+~-]{0,8}") {
        let revision = format!("{version}{more}");
        let with_epoch = format!("3:{revision}");
        prop_assert!(is_version(&version, &version));
        prop_assert!(is_version(&revision, &version));
        prop_assert!(is_version(&with_epoch, &version));
    }

    #[test]
    fn more_digits_are_another_version(version in "[0-9]{1,2}(\\.[0-9]{1,2}){0,3}", digit in "[0-9]") {
        let other = format!("{version}{digit}");
        prop_assert!(!is_version(&other, &version));
    }

    #[test]
    fn no_output_of_dpkg_makes_the_reader_panic(text in "[a-zA-Z |:0-9\n]{0,80}|.{0,40}") {
        let _ = apt::parse(&text);
        let _ = dnf::parse(&text);
        let _ = dnf::is_lock(&text, "a");
        let _ = apk::parse(&text, "a");
        let _ = snap::parse(&text, "a");
        let _ = apt::missing_dependencies(&text);
    }
}
