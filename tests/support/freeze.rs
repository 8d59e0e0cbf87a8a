//! Stopping a program while a snapshot is on its way, so that something can happen in its middle.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long something of a snapshot may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that stands still until this is dropped.
pub(crate) struct Frozen(Pid);

impl Frozen {
    /// Waits until something of a snapshot has come to the shelves below `dir`, and stops the process `pid` that takes it.
    ///
    /// # Panics
    /// When nothing comes.
    pub(crate) fn in_the_middle(dir: &Path, pid: u32) -> Self {
        let begun = Instant::now();
        let has_come = |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.len() > 0);
        while !unfinished(dir).iter().any(has_come) {
            assert!(begun.elapsed() < PATIENCE, "no snapshot is being taken");
            std::thread::sleep(Duration::from_millis(1));
        }
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        Self(pid)
    }

    /// Ends it where it stands, as `kill -9` does.
    pub(crate) fn kill(self) {
        kill_process(self.0, Signal::KILL).unwrap();
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// What is on its way to the shelves below `dir`, and not a snapshot yet.
pub(crate) fn unfinished(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    // What is gone between two looks is no longer unfinished.
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with(".taking-") {
            found.push(path);
        } else if path.is_dir() {
            found.extend(unfinished(&path));
        }
    }
    found
}
