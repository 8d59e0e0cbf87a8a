use std::sync::{Arc, Mutex};

use super::super::testing::{Answer, TempHost, differences, ensure, fails, says, take_back};
use super::*;
use crate::domain::resource::{Presence, Resource};

/// A host whose kernel mounts what it is told to, except what is broken.
fn host() -> (TempHost, Arc<Mutex<Vec<String>>>) {
    let mounts: Arc<Mutex<Vec<String>>> = Arc::default();
    let kernel = Arc::clone(&mounts);
    let host = TempHost::scripted(move |line| -> Option<Answer> {
        let mut mounts = kernel.lock().unwrap();
        if line == "cat /proc/mounts" {
            return says(&format!("/dev/sda1 / ext4 rw 0 0\n{}\n", mounts.join("\n")));
        }
        let words = shlex::split(line)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["mount", "-t", _, "-o", _, "--", "broken", _] => fails(32, "mount: wrong fs type"),
            ["mount", "-t", fstype, "-o", options, "--", source, path] => {
                mounts.push(format!("{source} {path} {fstype} rw,{options} 0 0"));
                says("")
            }
            ["mount", "-o", ..] => says(""),
            ["umount", "--", path] => {
                mounts.retain(|mount| mount.split(' ').nth(1) != Some(path));
                says("")
            }
            _ => None,
        }
    });
    host.put("/etc/fstab", "UUID=1 / ext4 defaults 0 1\n");
    (host, mounts)
}

fn declared(source: &str, options: &str, state: Presence) -> Resource {
    Resource::Mount(MountSpec {
        path: "/srv/scratch".into(),
        source: source.into(),
        fstype: "tmpfs".into(),
        options: options.into(),
        state,
    })
}

fn fstab(host: &TempHost) -> String {
    std::fs::read_to_string(host.path("/etc/fstab")).unwrap()
}

#[tokio::test]
async fn it_is_mounted_kept_mounted_again_with_other_options_and_taken_away() {
    let (host, mounts) = host();
    let present = Presence::Present;
    let changes = ensure(&declared("tmpfs", "size=8m,nofail", present), &host)
        .await
        .unwrap();
    assert_eq!(
        changes,
        ["not mounted → tmpfs (tmpfs)", "/etc/fstab: 1 line added"]
    );
    assert_eq!(
        mounts.lock().unwrap()[0],
        "tmpfs /srv/scratch tmpfs rw,size=8m 0 0"
    );
    assert!(host.path("/srv/scratch").is_dir());
    assert!(fstab(&host).ends_with("tmpfs /srv/scratch tmpfs size=8m,nofail 0 0\n"));
    ensure(&declared("tmpfs", "size=9m", present), &host)
        .await
        .unwrap();
    let again = |line: &String| line.contains("remount,size=9m");
    assert!(host.ran().iter().any(again));
    ensure(&declared("tmpfs", "size=9m", Presence::Absent), &host)
        .await
        .unwrap();
    assert!(mounts.lock().unwrap().is_empty());
    assert_eq!(fstab(&host), "UUID=1 / ext4 defaults 0 1\n");
}

#[tokio::test]
async fn what_cannot_be_mounted_is_not_written_down_for_the_next_boot() {
    let (host, _) = host();
    let error = ensure(&declared("broken", "defaults", Presence::Present), &host).await;
    assert!(error.unwrap_err().to_string().contains("wrong fs type"));
    assert_eq!(fstab(&host), "UUID=1 / ext4 defaults 0 1\n");
}

#[tokio::test]
async fn taking_it_back_unmounts_it_and_removes_the_entry() {
    let (host, mounts) = host();
    ensure(&declared("tmpfs", "size=8m", Presence::Present), &host)
        .await
        .unwrap();
    take_back(&host).await.unwrap();
    assert!(mounts.lock().unwrap().is_empty());
    assert_eq!(fstab(&host), "UUID=1 / ext4 defaults 0 1\n");
}

#[tokio::test]
async fn another_file_system_in_its_place_is_told() {
    let (host, mounts) = host();
    mounts
        .lock()
        .unwrap()
        .push("/dev/sdb1 /srv/scratch ext4 rw 0 0".into());
    let changes = differences(&declared("tmpfs", "size=8m", Presence::Present), &host)
        .await
        .unwrap();
    assert_eq!(changes[0], "/dev/sdb1 (ext4) → tmpfs (tmpfs)");
}
