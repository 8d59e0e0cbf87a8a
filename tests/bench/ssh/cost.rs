//! What a process and its children cost.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The cost of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// From start to end, seconds.
    pub(crate) wall: f64,
    /// User and system time of the process and all children it waited for, seconds.
    pub(crate) cpu: f64,
    /// The largest sum of proportional shares that was seen, MiB.
    pub(crate) memory: f64,
}

/// Runs `command` to its end, which must be a good one.
pub(crate) fn measure(command: &mut Command) -> Cost {
    let said = tempfile::NamedTempFile::new().unwrap();
    // Bash's own clock counts the children, too.
    let mut timed = Command::new("bash");
    timed
        .args(["-c", r#"TIMEFORMAT='%R %U %S'; time "$@" >"$0" 2>&1"#])
        .arg(said.path())
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => timed.env(name, value),
            None => timed.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        timed.current_dir(directory);
    }
    let mut child = timed.spawn().unwrap();
    let mut memory = 0.0_f64;
    while child.try_wait().unwrap().is_none() {
        memory = memory.max(descendants(child.id()).into_iter().map(share).sum());
        std::thread::sleep(LOOK);
    }
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{text}",
        fs::read_to_string(said.path()).unwrap()
    );
    let times: Vec<f64> = text
        .split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect();
    let [wall, user, system] = times[..] else {
        panic!("{text}");
    };
    Cost {
        wall,
        cpu: user + system,
        memory,
    }
}

/// What a process that goes on has cost so far; its time is not known.
pub(crate) fn of_process(id: u32) -> Cost {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // "id (name) state …": from the state on, user and system time are the 12th and 13th field, in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    Cost {
        wall: 0.0,
        cpu: ticks / 100.0,
        memory: share(id),
    }
}

/// The proportional share of memory of a process, MiB; 0 when it has ended.
fn share(id: u32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = pss.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

/// All processes below `root`; the shell that is `root` itself is ours.
fn descendants(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|id: u32| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            let parent = stat.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok()?;
            Some((id, parent))
        })
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(of) = found.get(next).copied() {
        found.extend(
            parents
                .iter()
                .filter(|(_, parent)| *parent == of)
                .map(|(id, _)| *id),
        );
        next += 1;
    }
    found.split_off(1)
}
