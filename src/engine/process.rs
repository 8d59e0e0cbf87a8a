//! The engine as a process: its memory, and what will become of it when its operator logs out.

use std::fs;
use std::path::Path;

use super::peer;

/// Resident memory of this process and its peak, bytes; `None` where the system does not tell.
pub(super) fn memory() -> (Option<u64>, Option<u64>) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// What an operator should know of how this engine runs, one sentence each.
pub(super) fn remarks() -> Vec<String> {
    let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let user = peer::user_name(rustix::process::geteuid().as_raw());
    let lingers = Path::new("/var/lib/systemd/linger").join(&user).exists();
    let kills = ["/etc/systemd/logind.conf"]
        .into_iter()
        .map(Into::into)
        .chain(parts("/etc/systemd/logind.conf.d"))
        .any(|file: std::path::PathBuf| {
            fs::read_to_string(file).is_ok_and(|text| kills_on_logout(&text))
        });
    logout(&group, &user, lingers, kills).into_iter().collect()
}

fn parts(directory: &str) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries.flatten().map(|entry| entry.path()).collect()
}

/// Whether logind.conf(5) has `KillUserProcesses` switched on.
fn kills_on_logout(text: &str) -> bool {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("KillUserProcesses="))
        .any(|value| matches!(value.trim(), "yes" | "true" | "1" | "on"))
}

/// The warning for an engine that logind will end together with the session it was started from.
fn logout(group: &str, user: &str, lingers: bool, kills: bool) -> Option<String> {
    let unit = group.trim().rsplit('/').next()?;
    if unit.starts_with("session-") && kills {
        return Some(format!(
            "logind ends this engine when {user} logs out (KillUserProcesses=yes): run `loginctl enable-linger {user}` and \
             start it with `quarterdeck engine start --scope`"
        ));
    }
    if group.contains("/user@") && !lingers {
        return Some(format!(
            "systemd ends this engine with the last session of {user}: run `loginctl enable-linger {user}`"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_and_its_peak_is_no_less() {
        let (now, peak) = memory();
        assert!(now.is_some_and(|now| now > 1024 * 1024) && peak >= now);
    }

    #[test]
    fn an_engine_that_logout_ends_is_warned_of_with_the_cure() {
        let session = "0::/user.slice/user-1000.slice/session-3.scope\n";
        let scope = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope\n";
        let warning = logout(session, "ada", false, true).unwrap();
        assert!(
            warning.contains("enable-linger ada") && warning.contains("--scope"),
            "{warning}"
        );
        assert_eq!(logout(session, "ada", false, false), None);
        assert!(logout(scope, "ada", false, false).is_some());
        assert_eq!(logout(scope, "ada", true, true), None);
        assert_eq!(
            logout("0::/system.slice/quarterdeck.service\n", "ada", false, true),
            None
        );
    }

    #[test]
    fn only_a_line_that_is_no_comment_counts() {
        assert!(kills_on_logout("[Login]\nKillUserProcesses=yes\n"));
        assert!(!kills_on_logout(
            "[Login]\n#KillUserProcesses=yes\nKillUserProcesses=no\n"
        ));
    }
}
