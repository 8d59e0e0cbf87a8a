//! systemd as far as a deploy can see it: units with states, what is enabled, and what makes a start fail.
//!
//! The unit files in the file system are what counts: a unit exists when a fragment does, it is enabled when the link in
//! `multi-user.target.wants` exists, it starts when its `ExecStart` program exists, and a Consul agent starts only on a
//! configuration it can read. A broken deploy therefore fails here for the reason it would fail in life.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::files::FsError;
use super::node::NodeState;
use crate::lab::consul;

/// Lines kept per unit.
const JOURNAL_LIMIT: usize = 1000;

/// Where systemd looks for fragments, first match wins.
const FRAGMENT_DIRS: [&str; 3] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/lib/systemd/system",
];
/// Where enabling puts its links.
pub(crate) const WANTS_DIR: &str = "/etc/systemd/system/multi-user.target.wants";

/// The part of `ActiveState` that is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnitState {
    Inactive,
    Activating,
    Active,
    Failed,
}

impl UnitState {
    /// As `ActiveState` and `systemctl is-active` print it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Activating => "activating",
            Self::Active => "active",
            Self::Failed => "failed",
        }
    }

    /// As `SubState` prints it.
    pub(crate) fn sub(self) -> &'static str {
        match self {
            Self::Inactive => "dead",
            Self::Activating => "start",
            Self::Active => "running",
            Self::Failed => "failed",
        }
    }
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JournalLine {
    pub(crate) at: Timestamp,
    pub(crate) pid: u32,
    pub(crate) text: String,
}

/// A unit that systemd has loaded.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    /// The fragment as it was when it was last loaded.
    pub(crate) loaded: Vec<u8>,
    pub(crate) state: UnitState,
    /// `success`, `exit-code` or `signal`.
    pub(crate) result: &'static str,
    pub(crate) pid: u32,
    /// How often it was started.
    pub(crate) starts: u64,
    /// When it last became active.
    pub(crate) active_since: Option<Timestamp>,
    /// When it last changed its state.
    pub(crate) since: Timestamp,
    pub(crate) journal: VecDeque<JournalLine>,
}

impl Unit {
    pub(crate) fn log(&mut self, at: Timestamp, text: &str) {
        if self.journal.len() >= JOURNAL_LIMIT {
            self.journal.pop_front();
        }
        self.journal.push_back(JournalLine {
            at,
            pid: self.pid,
            text: text.to_owned(),
        });
    }

    /// `Description=` of the loaded fragment.
    pub(crate) fn setting(&self, key: &str) -> Option<String> {
        setting(&self.loaded, key)
    }

    pub(crate) fn power_lost(&mut self) {
        self.state = UnitState::Inactive;
        self.result = "success";
        self.pid = 0;
        self.active_since = None;
    }
}

/// How a start will end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StartOutcome {
    /// Lines the process writes before it is ready or dead.
    pub(crate) lines: Vec<String>,
    /// The exit status when it fails; 203 means that the program could not be executed.
    pub(crate) failed: Option<u32>,
}

/// Value of the last `key=` line of a unit file.
pub(crate) fn setting(fragment: &[u8], key: &str) -> Option<String> {
    String::from_utf8_lossy(fragment)
        .lines()
        .filter_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))
        .next_back()
        .map(|value| value.trim().to_owned())
}

impl NodeState {
    /// Path of the file that defines a unit; an instance falls back to its template.
    pub(crate) fn fragment(&self, unit: &str) -> Option<String> {
        let template = unit.split_once('@').map(|(prefix, rest)| {
            let suffix = rest
                .rsplit_once('.')
                .map_or("service", |(_, suffix)| suffix);
            format!("{prefix}@.{suffix}")
        });
        std::iter::once(unit.to_owned())
            .chain(template)
            .find_map(|name| {
                FRAGMENT_DIRS
                    .iter()
                    .map(|dir| format!("{dir}/{name}"))
                    .find(|path| self.files.read(path).is_ok())
            })
    }

    /// Loads the unit's fragment when it is not loaded yet; `false` when there is none.
    pub(crate) fn load_unit(&mut self, unit: &str) -> bool {
        if self.units.contains_key(unit) {
            return true;
        }
        let Some(content) = self.fragment_content(unit) else {
            return false;
        };
        self.units.insert(
            unit.to_owned(),
            Unit {
                loaded: content,
                state: UnitState::Inactive,
                result: "success",
                pid: 0,
                starts: 0,
                active_since: None,
                since: self.booted_at,
                journal: VecDeque::new(),
            },
        );
        true
    }

    /// Reads every fragment again; units without one stay only while they run.
    pub(crate) fn daemon_reload(&mut self) {
        let names: Vec<String> = self.units.keys().cloned().collect();
        for name in names {
            match self.fragment_content(&name) {
                Some(content) => {
                    if let Some(unit) = self.units.get_mut(&name) {
                        unit.loaded = content;
                    }
                }
                None => {
                    self.units.retain(|key, unit| {
                        *key != name || matches!(unit.state, UnitState::Active | UnitState::Failed)
                    });
                }
            }
        }
    }

    /// Whether the fragment on disk is no longer the one that was loaded.
    pub(crate) fn needs_reload(&self, unit: &str) -> bool {
        self.units
            .get(unit)
            .is_some_and(|loaded| self.fragment_content(unit).as_ref() != Some(&loaded.loaded))
    }

    /// As `UnitFileState` prints it; empty for a unit that has no file.
    pub(crate) fn enablement(&self, unit: &str) -> &'static str {
        let Some(content) = self.fragment_content(unit) else {
            return "";
        };
        if self.files.lstat(&format!("{WANTS_DIR}/{unit}")).is_ok() {
            "enabled"
        } else if setting(&content, "WantedBy").is_some() {
            "disabled"
        } else {
            "static"
        }
    }

    /// Makes the link; `false` when it existed already.
    pub(crate) fn enable(&mut self, unit: &str, now: Timestamp) -> Result<bool, FsError> {
        let fragment = self.fragment(unit).ok_or(FsError::NotFound)?;
        let link = format!("{WANTS_DIR}/{unit}");
        self.files.mkdir_all(WANTS_DIR, 0o755, now)?;
        match self.files.symlink(&fragment, &link, now) {
            Ok(()) => Ok(true),
            Err(FsError::Exists) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the link; `false` when there was none.
    pub(crate) fn disable(&mut self, unit: &str) -> bool {
        self.files.unlink(&format!("{WANTS_DIR}/{unit}")).is_ok()
    }

    pub(crate) fn enabled_units(&self) -> Vec<String> {
        self.files.list(WANTS_DIR).unwrap_or_default()
    }

    /// How a start would end with the files as they are now.
    pub(crate) fn try_start(&self, unit: &str) -> StartOutcome {
        let fail = |status: u32, lines: Vec<String>| StartOutcome {
            lines,
            failed: Some(status),
        };
        let Some(exec) = self
            .units
            .get(unit)
            .and_then(|unit| unit.setting("ExecStart"))
        else {
            return fail(
                203,
                vec![format!("{unit}: Service has no ExecStart=. Refusing.")],
            );
        };
        // Prefix characters change how systemd runs the line, not what it runs.
        let exec = exec.trim_start_matches(['-', '@', ':', '+', '!']);
        let argv = shlex::split(exec).unwrap_or_default();
        let program = argv.first().map_or("", String::as_str);
        if !self.files.exists(program) {
            return fail(
                203,
                vec![format!(
                    "{unit}: Failed to locate executable {program}: No such file or directory"
                )],
            );
        }
        if program.ends_with("/consul") && argv.get(1).map(String::as_str) == Some("agent") {
            return match consul::agent_config(&self.files, &argv) {
                Ok(config) => StartOutcome {
                    lines: config.greeting(self.board.name),
                    failed: None,
                },
                Err(reason) => fail(1, vec![format!("==> {reason}")]),
            };
        }
        StartOutcome {
            lines: Vec::new(),
            failed: None,
        }
    }

    /// Marks the unit as starting.
    pub(crate) fn begin_start(&mut self, unit: &str, now: Timestamp) {
        let description = self.describe(unit);
        if let Some(unit) = self.units.get_mut(unit) {
            unit.state = UnitState::Activating;
            unit.since = now;
            unit.log(now, &format!("Starting {description}..."));
        }
    }

    /// Ends a start.
    pub(crate) fn settle_start(&mut self, unit: &str, outcome: &StartOutcome, now: Timestamp) {
        let description = self.describe(unit);
        let pid = self.pid();
        let Some(loaded) = self.units.get_mut(unit) else {
            return;
        };
        loaded.since = now;
        loaded.pid = pid;
        for line in &outcome.lines {
            loaded.log(now, line);
        }
        if let Some(status) = outcome.failed {
            let name = if status == 203 { "EXEC" } else { "FAILURE" };
            loaded.log(
                now,
                &format!("{unit}: Main process exited, code=exited, status={status}/{name}"),
            );
            loaded.log(now, &format!("{unit}: Failed with result 'exit-code'."));
            loaded.log(now, &format!("Failed to start {description}."));
            loaded.state = UnitState::Failed;
            loaded.result = "exit-code";
            loaded.pid = 0;
            loaded.active_since = None;
        } else {
            loaded.log(now, &format!("Started {description}."));
            loaded.state = UnitState::Active;
            loaded.result = "success";
            loaded.starts += 1;
            loaded.active_since = Some(now);
        }
    }

    /// Stops a unit in good order.
    pub(crate) fn stop(&mut self, unit: &str, now: Timestamp) {
        let description = self.describe(unit);
        if let Some(loaded) = self.units.get_mut(unit) {
            if loaded.state != UnitState::Inactive {
                loaded.log(now, &format!("Stopping {description}..."));
                loaded.log(now, &format!("{unit}: Deactivated successfully."));
                loaded.log(now, &format!("Stopped {description}."));
            }
            loaded.state = UnitState::Inactive;
            loaded.result = "success";
            loaded.pid = 0;
            loaded.since = now;
            loaded.active_since = None;
        }
    }

    /// The process dies under the unit.
    pub(crate) fn crash(&mut self, unit: &str, now: Timestamp) {
        if let Some(loaded) = self.units.get_mut(unit) {
            loaded.log(
                now,
                &format!("{unit}: Main process exited, code=killed, status=9/KILL"),
            );
            loaded.log(now, &format!("{unit}: Failed with result 'signal'."));
            loaded.state = UnitState::Failed;
            loaded.result = "signal";
            loaded.pid = 0;
            loaded.since = now;
            loaded.active_since = None;
        }
    }

    /// `name - description`, as systemd 250 and later put it into the journal.
    pub(crate) fn describe(&self, unit: &str) -> String {
        match self
            .units
            .get(unit)
            .and_then(|unit| unit.setting("Description"))
        {
            Some(description) => format!("{unit} - {description}"),
            None => unit.to_owned(),
        }
    }

    fn fragment_content(&self, unit: &str) -> Option<Vec<u8>> {
        let path = self.fragment(unit)?;
        self.files.read(&path).ok().map(<[u8]>::to_vec)
    }
}
