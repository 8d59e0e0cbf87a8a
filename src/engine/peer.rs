//! Who is at the other end of a socket, as the kernel tells it.
//!
//! The process at the other end is known by the kernel (`SO_PEERCRED`, unix(7)). Of that process are read:
//! - its *login* user (`/proc/PID/loginuid`, proc(5)), which sudo and su do not change: two people who share an account by
//!   `sudo -u ops` are still two people;
//! - the SSH key that opened the session, which sshd names in a file (`SSH_USER_AUTH`, with `ExposeAuthInfo yes` in
//!   `sshd_config(5)`): two people who share an account by two keys are told apart.
//!
//! The second is a guard among colleagues and no wall: who can run programs as a user can also forge that user's
//! environment.

use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};
use tokio::net::unix::UCred;

use crate::domain::operator::Operator;

/// What the kernel writes for a process that did not come from a login.
const NO_LOGIN: u32 = u32::MAX;
/// More than this of a process's environment is not read, bytes.
const ENVIRONMENT: u64 = 1024 * 1024;

/// Whether a process of `uid` may talk to an engine of `own`: the same user, and root, who may do everything anyway.
pub(super) const fn may_talk(uid: u32, own: u32) -> bool {
    uid == own || uid == 0
}

/// Who the process at the other end belongs to.
pub(super) fn operator(peer: UCred) -> Operator {
    let process = peer
        .pid()
        .map(|pid| Path::new("/proc").join(pid.to_string()));
    let login = process
        .as_deref()
        .and_then(|process| login_user(&process.join("loginuid")));
    let uid = login.unwrap_or_else(|| peer.uid());
    Operator {
        key: process.as_deref().and_then(session_key),
        ..Operator::new(user_name(uid), host_name(), uid)
    }
}

/// The login name of a user id; the number where the system knows no name.
pub(super) fn user_name(uid: u32) -> String {
    uzers::get_user_by_uid(uid).map_or_else(
        || format!("uid{uid}"),
        |user| user.name().to_string_lossy().into_owned(),
    )
}

/// The name of this machine.
pub(super) fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// The operator whose process this is.
pub(super) fn this_process() -> Operator {
    let own = rustix::process::getuid().as_raw();
    let uid = login_user(Path::new("/proc/self/loginuid")).unwrap_or(own);
    Operator {
        key: session_key(Path::new("/proc/self")),
        ..Operator::new(user_name(uid), host_name(), uid)
    }
}

fn login_user(file: &Path) -> Option<u32> {
    let uid = std::fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (uid != NO_LOGIN).then_some(uid)
}

fn session_key(process: &Path) -> Option<String> {
    let mut environment = Vec::new();
    std::fs::File::open(process.join("environ"))
        .ok()?
        .take(ENVIRONMENT)
        .read_to_end(&mut environment)
        .ok()?;
    let file = environment
        .split(|byte| *byte == 0)
        .find_map(|variable| variable.strip_prefix(b"SSH_USER_AUTH="))?;
    let mut told = String::new();
    std::fs::File::open(std::str::from_utf8(file).ok()?)
        .ok()?
        .take(ENVIRONMENT)
        .read_to_string(&mut told)
        .ok()?;
    fingerprint(&told)
}

/// The fingerprint of the first key in the words of sshd: lines of `publickey TYPE BASE64`.
fn fingerprint(told: &str) -> Option<String> {
    let key = told.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "publickey").then(|| words.nth(1))?
    })?;
    let digest = Sha256::digest(STANDARD.decode(key).ok()?);
    Some(format!("SHA256:{}", STANDARD_NO_PAD.encode(digest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_user_and_root_may_talk() {
        assert!(may_talk(1000, 1000) && may_talk(0, 1000));
        assert!(!may_talk(1001, 1000) && !may_talk(1000, 0));
    }

    #[test]
    fn the_key_of_a_session_is_told_as_ssh_keygen_shows_it() {
        // `ssh-keygen -lf` of this public key gives the fingerprint below.
        let key = "AAAAC3NzaC1lZDI1NTE5AAAAIB0w9TwzwRHx+4c1jPle3Im7rhtebiCRjMCI48/+EM4K";
        let told = format!("password\npublickey ssh-ed25519 {key}\n");
        let expected = "SHA256:7o4l2qhd3RYqYd8Yb3zz1uAVyev9mnqf2k0N4afXW6U";
        assert_eq!(fingerprint(&told).as_deref(), Some(expected));
        assert_eq!(fingerprint("password\n"), None);
        assert_eq!(fingerprint("publickey ssh-ed25519\n"), None);
        assert_eq!(fingerprint("publickey ssh-ed25519 ???\n"), None);
    }

    #[test]
    fn a_user_without_a_name_is_a_number() {
        assert_eq!(user_name(0), "root");
        assert_eq!(user_name(3_999_999_999), "uid3999999999");
    }

    #[test]
    fn a_process_that_did_not_come_from_a_login_has_no_login_user() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("loginuid");
        std::fs::write(&file, "4294967295").unwrap();
        assert_eq!(login_user(&file), None);
        std::fs::write(&file, "1001").unwrap();
        assert_eq!(login_user(&file), Some(1001));
    }
}
