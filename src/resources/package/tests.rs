use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::super::testing::{TempHost, differences, ensure, fails, says};
use super::*;
use crate::domain::resource::Resource;

fn declared(version: Option<&str>, deb: Option<&str>) -> Resource {
    Resource::Package(PackageSpec {
        name: "consul".into(),
        version: version.map(Into::into),
        deb: deb.map(Into::into),
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
    for bad in ["--purge", "a b", "", "A", "a;b"] {
        let resource = Resource::Package(PackageSpec {
            name: bad.into(),
            version: None,
            deb: None,
        });
        let error = differences(&resource, &host).await.unwrap_err().to_string();
        assert!(error.contains("no package name"), "{error}");
    }
    assert_eq!(host.ran(), [] as [&str; 0]);
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
        let _ = parse(&text);
        let _ = missing_dependencies(&text);
    }
}
