//! The lock of an environment among engines: several people on one machine, each with an engine of his own, on one workspace.
//!
//! Within an engine the desk knows who changes what. Another engine, of another user or with another state directory, is kept
//! out by a lock (flock(2)) on a file of the workspace, `.quarterdeck/locks/ENVIRONMENT`. The kernel gives it back when its
//! engine ends, however that ends; what stands in the file only says who holds it. Git does not see the directory. Whoever may
//! read the workspace and not write it takes part as well, without being named.
//!
//! Engines on other machines, which have the workspace by Git, are not kept out by this.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::domain::live::Lock;

/// Where engines leave things for each other, below the workspace.
const FOLDER: &str = ".quarterdeck";
/// The most that is read of what another engine wrote, bytes.
const MOST: u64 = 4096;

/// The locks of one workspace.
#[derive(Debug)]
pub(super) struct SharedLocks {
    /// The workspace; without one nothing is shared.
    root: Option<PathBuf>,
    state_dir: PathBuf,
}

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    file: File,
    state_dir: PathBuf,
}

/// Who holds a lock, as it stands in its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Holder {
    pub(super) lock: Lock,
    /// Where the other engine keeps its history.
    pub(super) state_dir: PathBuf,
}

/// Another engine holds it.
#[derive(Debug)]
pub(super) struct Taken(
    /// Who, where that can be read.
    pub(super) Option<Holder>,
);

impl SharedLocks {
    /// Those of the workspace at `root`, for the engine whose state is in `state_dir`.
    pub(super) fn of(root: Option<PathBuf>, state_dir: PathBuf) -> Self {
        Self { root, state_dir }
    }

    /// Takes the lock of an environment; nothing where the workspace has no place for it.
    ///
    /// # Errors
    /// [`Taken`] when another engine has it.
    pub(super) fn claim(&self, environment: &str) -> Result<Option<Held>, Taken> {
        let Some(root) = &self.root else {
            return Ok(None);
        };
        let file = match open(root, environment) {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(environment, %error, "other engines cannot be told of a change");
                return Ok(None);
            }
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Held {
                file,
                state_dir: self.state_dir.clone(),
            })),
            Err(Errno::WOULDBLOCK) => Err(Taken(holder(&file))),
            Err(error) => {
                tracing::warn!(environment, %error, "this file system has no locks for other engines");
                Ok(None)
            }
        }
    }
}

impl Held {
    /// Says who holds it and why.
    pub(super) fn tell(&self, lock: &Lock) {
        let holder = Holder {
            lock: lock.clone(),
            state_dir: self.state_dir.clone(),
        };
        let told = serde_json::to_vec(&holder)
            .map_err(io::Error::from)
            .and_then(|text| {
                self.file.set_len(0)?;
                (&self.file).rewind()?;
                (&self.file).write_all(&text)
            });
        if let Err(error) = told {
            tracing::debug!(%error, "other engines are kept out without being told by whom");
        }
    }
}

impl Drop for Held {
    /// Closing the file would do, were it not for a program that is just being started: until it is, it has the file too.
    fn drop(&mut self) {
        if let Err(error) = flock(&self.file, FlockOperation::Unlock) {
            tracing::debug!(%error, "a lock is given back when its file is closed");
        }
    }
}

/// The file of an environment's lock, made where it is missing; only to be read where it may not be written.
fn open(root: &Path, environment: &str) -> io::Result<File> {
    let folder = root.join(FOLDER).join("locks");
    let plain = |c: char| {
        if c.is_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    let path = folder.join(environment.chars().map(plain).collect::<String>());
    let nofollow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let read = || {
        OpenOptions::new()
            .read(true)
            .custom_flags(nofollow)
            .open(&path)
    };
    let written = fs::create_dir_all(&folder)
        .and_then(|()| hide(&root.join(FOLDER)))
        .and_then(|()| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .custom_flags(nofollow)
                .open(&path)
        });
    written.or_else(|error| read().map_err(|_| error))
}

/// Has Git leave the directory alone.
fn hide(folder: &Path) -> io::Result<()> {
    let path = folder.join(".gitignore");
    if path.exists() {
        return Ok(());
    }
    fs::write(path, "*\n")
}

fn holder(file: &File) -> Option<Holder> {
    let mut text = Vec::new();
    file.take(MOST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::run::RunId;

    fn lock() -> Lock {
        Lock {
            run: RunId(uuid::Uuid::from_u128(1)),
            number: 7,
            title: "Deploy".into(),
            by: "ada@bastion".into(),
            since: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn another_engine_is_told_who_holds_an_environment_until_that_one_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let root = Some(dir.path().to_owned());
        let [first, second] =
            ["ada", "bert"].map(|state| SharedLocks::of(root.clone(), state.into()));
        let held = first.claim("lab").unwrap().unwrap();
        assert!(second.claim("lab").unwrap_err().0.is_none());
        held.tell(&lock());
        // Shorter than before, and nothing of the old is left.
        let shorter = Lock {
            title: "D".into(),
            ..lock()
        };
        held.tell(&shorter);
        let told = second.claim("lab").unwrap_err().0.unwrap();
        assert_eq!((told.lock, told.state_dir), (shorter, "ada".into()));
        assert!(second.claim("staging").unwrap().is_some());
        drop(held);
        assert!(second.claim("lab").unwrap().is_some());
        let ignored = fs::read_to_string(dir.path().join(".quarterdeck/.gitignore"));
        assert_eq!(ignored.unwrap(), "*\n");
    }

    #[test]
    fn nothing_is_shared_without_a_workspace_or_a_place_in_it() {
        let nowhere = SharedLocks::of(None, "state".into());
        assert!(nowhere.claim("lab").unwrap().is_none());
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FOLDER), "a file").unwrap();
        let shut = SharedLocks::of(Some(dir.path().to_owned()), "state".into());
        assert!(shut.claim("lab").unwrap().is_none());
    }

    #[test]
    fn a_name_that_is_no_file_name_stays_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let locks = SharedLocks::of(Some(dir.path().to_owned()), "state".into());
        let held = locks.claim("../../x/y").unwrap();
        assert!(held.is_some());
        assert!(dir.path().join(".quarterdeck/locks/______x_y").exists());
    }
}
