//! Where snapshots are kept: `ENVIRONMENT/STORE/TIME.snap` below one directory, each with what is known of it beside it
//! (`TIME.snap.json`). A snapshot whose account is missing is not listed: its engine was killed before it was done with it.
//! Why the newest attempt at a store failed is in `ENVIRONMENT/STORE/failure.json` until one succeeds, or where the disk does
//! not even take that, in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use serde::Serialize;
use tempfile::{TempDir, TempPath};

use super::contents::{self, Flaw};
use super::intake::UNFINISHED;
use super::sealing::Identity;
use crate::domain::snapshot::{Failure, Shelved, Snapshot, Unread, stamp};

/// What the account of a snapshot is called beside it.
const ACCOUNT: &str = "json";
/// Where the reason of a failed attempt is.
const FAILURE: &str = "failure.json";
/// How the directory of a scratch instance begins.
const SCRATCH: &str = ".scratch-";

/// What ends the name of a snapshot.
const SNAPSHOT: &str = "snap";
/// What ends the name of a file that is to replace another one.
const NEXT: &str = "next";

/// A store of an environment: both names.
type Place = (String, String);

/// The directory of all snapshots; clones are the same shelf.
#[derive(Debug, Clone)]
pub struct Shelf {
    dir: PathBuf,
    /// Failures that the disk did not take.
    unkept: Arc<Mutex<BTreeMap<Place, Failure>>>,
}

/// What an engine that was killed had left unfinished.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many things were removed.
    pub removed: usize,
    /// The stores of which a snapshot was being taken: environment and store.
    pub unfinished: BTreeSet<(String, String)>,
}

impl Shelf {
    /// The shelf in an engine's state directory.
    pub fn of(state_dir: &Path) -> Self {
        Self {
            dir: state_dir.join("snapshots"),
            unkept: Arc::default(),
        }
    }

    fn unkept(&self) -> MutexGuard<'_, BTreeMap<Place, Failure>> {
        // Entries are put in and taken out whole.
        self.unkept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a snapshot of `service` that is taken at `at`; its directory is there afterwards, for its owner alone.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn place(&self, environment: &str, service: &str, at: Timestamp) -> io::Result<PathBuf> {
        let folder = self.dir.join(environment).join(service);
        private(&folder)?;
        Ok(folder.join(format!("{}.{SNAPSHOT}", stamp(at))))
    }

    /// The directory for copies that are kept beside the snapshots of services, such as Terraform's states.
    pub fn beside(&self, environment: &str, name: &str) -> PathBuf {
        self.dir.join(environment).join(name)
    }

    /// Writes the account of a snapshot that is in its place, or writes it anew.
    ///
    /// # Errors
    /// When the disk does not take it; the snapshot counts as never taken then.
    pub fn record(&self, snapshot: &Snapshot) -> io::Result<()> {
        replace(&account_of(&snapshot.file), snapshot)
    }

    /// Takes down why the newest attempt at a store failed.
    ///
    /// # Errors
    /// When the disk does not take it; it is known all the same, as long as this engine lives.
    pub fn fail(&self, failure: &Failure) -> io::Result<()> {
        let folder = self.dir.join(&failure.environment).join(&failure.service);
        let kept = private(&folder).and_then(|()| replace(&folder.join(FAILURE), failure));
        let place = (failure.environment.clone(), failure.service.clone());
        if kept.is_ok() {
            self.unkept().remove(&place);
        } else {
            self.unkept().insert(place, failure.clone());
        }
        kept
    }

    /// Forgets a failed attempt: another one succeeded.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget_failure(&self, environment: &str, service: &str) -> io::Result<()> {
        self.unkept()
            .remove(&(environment.to_owned(), service.to_owned()));
        let path = self.dir.join(environment).join(service).join(FAILURE);
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Everything on the shelf.
    ///
    /// # Errors
    /// As [`Shelf::list`].
    pub fn all(&self) -> io::Result<Shelved> {
        let (snapshots, mut unread) = self.list()?;
        let unkept = self.unkept().clone();
        let mut failures: Vec<Failure> = Vec::new();
        for environment in inside(&self.dir)? {
            for service in inside(&environment)? {
                let path = service.join(FAILURE);
                match fs::read(&path) {
                    Err(error)
                        if matches!(
                            error.kind(),
                            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                        ) => {}
                    read => match read.map_err(|error| error.to_string()).and_then(|bytes| {
                        serde_json::from_slice(&bytes).map_err(|error| error.to_string())
                    }) {
                        Ok(failure) => failures.push(failure),
                        Err(reason) => unread.push(Unread {
                            environment: name(&environment),
                            service: name(&service),
                            path,
                            reason,
                        }),
                    },
                }
            }
        }
        // What the disk did not take is newer than what it has.
        failures.retain(|one: &Failure| {
            !unkept.contains_key(&(one.environment.clone(), one.service.clone()))
        });
        failures.extend(unkept.into_values());
        Ok(Shelved {
            snapshots,
            failures,
            unread,
        })
    }

    /// The snapshot of an environment that is called `id` (`STORE/TIME`), or with `latest` as the time the newest whole one
    /// of that store.
    ///
    /// # Errors
    /// A sentence that says what there is instead.
    pub fn find(&self, environment: &str, id: &str) -> Result<Snapshot, String> {
        let (all, _) = self.list().map_err(|error| error.to_string())?;
        let mut own: Vec<Snapshot> = all
            .into_iter()
            .filter(|one| one.environment == environment)
            .collect();
        if let Some(at) = own.iter().position(|one| one.id() == id) {
            return Ok(own.swap_remove(at));
        }
        let store = id.split('/').next().unwrap_or_default();
        own.retain(|one| one.service == store);
        if own.is_empty() {
            return Err(format!(
                "there is no snapshot of {store:?} in {environment}; `quarterdeck snapshots` lists those there are"
            ));
        }
        if id.ends_with("/latest") || !id.contains('/') {
            return own
                .into_iter()
                .rev()
                .find(Snapshot::is_whole)
                .ok_or_else(|| format!("every snapshot of {store} is damaged"));
        }
        let newest: Vec<String> = own.iter().rev().take(3).map(Snapshot::id).collect();
        Err(format!(
            "there is no snapshot called {id:?}; the newest of {store} are {}",
            newest.join(", ")
        ))
    }

    /// A directory for a scratch instance, for its owner alone; removed when it is dropped.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self) -> io::Result<TempDir> {
        private(&self.dir)?;
        // For its owner alone, as all temporary directories are.
        tempfile::Builder::new()
            .prefix(SCRATCH)
            .tempdir_in(&self.dir)
    }

    /// Removes what an engine that was killed left unfinished, and takes down of which stores it is, at `now`, that there is no
    /// snapshot of that time. Nothing may be under way.
    ///
    /// # Errors
    /// When a directory cannot be read or something in it not removed.
    pub fn sweep(&self, now: Timestamp) -> io::Result<Swept> {
        let mut swept = Swept::default();
        let begins = |path: &Path, with: &str| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(with))
        };
        for environment in inside(&self.dir)? {
            if begins(&environment, SCRATCH) {
                fs::remove_dir_all(&environment)?;
                swept.removed += 1;
                continue;
            }
            for service in inside(&environment)? {
                let files = inside(&service)?;
                // By their times: an older one without an account was about to be removed when the engine ended.
                let newest = files.iter().filter(|path| is_snapshot(path));
                let newest = newest.filter(|path| account_of(path).exists()).max();
                for path in &files {
                    let orphan = is_snapshot(path) && !account_of(path).exists();
                    let unfinished = begins(path, UNFINISHED) || (orphan && newest < Some(path));
                    if !unfinished && !orphan && !ends(path, NEXT) {
                        continue;
                    }
                    if unfinished {
                        let place = (name(&environment), name(&service));
                        // Before it is removed: an engine may be killed here as well. Where the disk does not take it, it is
                        // known all the same, and what is removed makes room.
                        let _ = self.fail(&Failure {
                            environment: place.0.clone(),
                            service: place.1.clone(),
                            at: now,
                            reason:
                                "the engine ended in the middle of it; what had come was removed"
                                    .into(),
                        });
                        swept.unfinished.insert(place);
                    }
                    fs::remove_file(path)?;
                    swept.removed += 1;
                }
            }
        }
        Ok(swept)
    }

    /// Every snapshot there is, the oldest first, and what looks like one and cannot be read.
    ///
    /// # Errors
    /// When a directory cannot be read; one that is not there holds nothing.
    pub fn list(&self) -> io::Result<(Vec<Snapshot>, Vec<Unread>)> {
        let (mut found, mut odd) = (Vec::new(), Vec::new());
        for environment in inside(&self.dir)? {
            for service in inside(&environment)? {
                for path in inside(&service)? {
                    if path.extension().is_none_or(|end| end != ACCOUNT)
                        || path.file_name().is_some_and(|name| name == FAILURE)
                    {
                        continue;
                    }
                    let read = fs::read(&path).map_err(|error| error.to_string());
                    let account = read.and_then(|bytes| {
                        serde_json::from_slice::<Snapshot>(&bytes)
                            .map_err(|error| error.to_string())
                    });
                    match account {
                        Ok(snapshot) => found.push(Snapshot {
                            // The directory may have moved since.
                            file: path.with_extension(""),
                            ..snapshot
                        }),
                        Err(reason) => odd.push(Unread {
                            environment: name(&environment),
                            service: name(&service),
                            path,
                            reason,
                        }),
                    }
                }
            }
        }
        found.sort_by_key(|one| one.taken_at);
        odd.sort();
        Ok((found, odd))
    }

    /// Removes what is older than the newest `keep` whole snapshots of a store; those that are gone. A damaged one takes no
    /// whole one's place.
    ///
    /// # Errors
    /// When one cannot be removed; those before it are gone.
    pub fn prune(
        &self,
        environment: &str,
        service: &str,
        keep: usize,
    ) -> io::Result<Vec<Snapshot>> {
        let (all, _) = self.list()?;
        let mut old: Vec<Snapshot> = all
            .into_iter()
            .filter(|one| one.environment == environment && one.service == service)
            .collect();
        let whole = old
            .iter()
            .rev()
            .enumerate()
            .filter(|(_, one)| one.is_whole());
        let kept = whole
            .take(keep)
            .last()
            .map_or(old.len(), |(back, _)| back + 1);
        old.truncate(old.len() - kept);
        for snapshot in &old {
            // The account first: what has none is no snapshot any more.
            fs::remove_file(account_of(&snapshot.file))?;
            match fs::remove_file(&snapshot.file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(old)
    }
}

/// Whether a snapshot is still what it was when it was taken: the file's checksum and, where it can be read, everything in it.
/// Reads all of it. An encrypted one without its key is compared by its checksum alone.
///
/// # Errors
/// [`Flaw`] that says what is wrong.
pub fn inspect(snapshot: &Snapshot, identity: Option<&Identity>) -> Result<(), Flaw> {
    let found = contents::checksum(&mut File::open(&snapshot.file)?)?;
    if !found.eq_ignore_ascii_case(&snapshot.sha256) {
        return Err(Flaw::new(format!(
            "its checksum is {found}, but it was {} when it was taken",
            snapshot.sha256
        )));
    }
    let read = match (snapshot.recipients.is_empty(), identity) {
        (true, _) => contents::verify(snapshot.kind, File::open(&snapshot.file)?),
        (false, Some(identity)) => {
            let plain = identity
                .unseal(&snapshot.file)
                .map_err(|error| Flaw::new(error.to_string()))?;
            contents::verify(snapshot.kind, plain)
        }
        (false, None) => return Ok(()),
    };
    read.map(|_| ())
}

/// A snapshot in plain text; removed again where it was not so before.
#[derive(Debug)]
pub enum Plain {
    /// The snapshot's own file.
    Own(PathBuf),
    /// A decrypted copy, for its owner alone.
    Copy(TempPath),
}

impl Plain {
    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Own(path) => path,
            Self::Copy(path) => path,
        }
    }

    /// Makes a snapshot readable, in `folder` if need be.
    ///
    /// # Errors
    /// [`Flaw`] when it is encrypted and the key is missing or another one, or the disk does not take it.
    pub fn of(
        snapshot: &Snapshot,
        identity: Option<&Identity>,
        folder: &Path,
    ) -> Result<Self, Flaw> {
        if snapshot.recipients.is_empty() {
            return Ok(Self::Own(snapshot.file.clone()));
        }
        let identity = identity.ok_or_else(|| {
            Flaw::new(
                "it is encrypted, and the environment does not say where a secret key is: set `backups.identity` to a file, \
                 command or variable with the AGE-SECRET-KEY-… of one of its recipients",
            )
        })?;
        let mut plain = identity
            .unseal(&snapshot.file)
            .map_err(|error| Flaw::new(error.to_string()))?;
        let mut copy = tempfile::NamedTempFile::new_in(folder)?;
        io::copy(&mut plain, &mut copy)?;
        Ok(Self::Copy(copy.into_temp_path()))
    }
}

/// Makes a directory for its owner alone, unless it is there.
fn private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Replaces the file at `path` by this value as JSON, in one step.
fn replace(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let next = path.with_extension(NEXT);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&next)?;
    let written = serde_json::to_writer_pretty(&mut file, value)
        .map_err(io::Error::from)
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&next, path));
    if let Err(error) = written {
        // The disk may be full: half an account must not stay either way.
        let _ = fs::remove_file(&next);
        return Err(error);
    }
    File::open(path.parent().unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn ends(path: &Path, with: &str) -> bool {
    path.extension().is_some_and(|end| end == with)
}

fn is_snapshot(path: &Path) -> bool {
    ends(path, SNAPSHOT)
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn account_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ACCOUNT);
    name.into()
}

/// What is in a directory.
fn inside(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
