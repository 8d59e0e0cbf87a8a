//! Where snapshots are kept: `ENVIRONMENT/SERVICE/TIME.snap` below one directory, each with what is known of it beside it
//! (`TIME.snap.json`). A snapshot whose account is missing was never verified, and is not listed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::archive::{self, Flaw, Origin};
use crate::domain::service::ServiceKind;
use crate::domain::snapshot::Snapshot;

/// What the account of a snapshot is called beside it.
const ACCOUNT: &str = "json";

/// The directory of all snapshots.
#[derive(Debug, Clone)]
pub struct Shelf(PathBuf);

impl Shelf {
    /// The shelf in an engine's state directory.
    pub fn of(state_dir: &Path) -> Self {
        Self(state_dir.join("snapshots"))
    }

    /// A place for a snapshot of `service` that is taken at `at`; its directory is there afterwards, for its owner alone.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn place(&self, environment: &str, service: &str, at: Timestamp) -> io::Result<PathBuf> {
        let folder = self.0.join(environment).join(service);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        Ok(folder.join(format!("{}.snap", at.strftime("%Y%m%dT%H%M%S%3fZ"))))
    }

    /// The directory for copies that are kept beside the snapshots of services, such as Terraform's states.
    pub fn beside(&self, environment: &str, name: &str) -> PathBuf {
        self.0.join(environment).join(name)
    }

    /// Writes the account of a snapshot that is in its place.
    ///
    /// # Errors
    /// When the disk does not take it; the snapshot counts as never taken then.
    pub fn record(&self, snapshot: &Snapshot) -> io::Result<()> {
        let path = account_of(&snapshot.file);
        let next = path.with_extension("next");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&next)?;
        serde_json::to_writer_pretty(&mut file, snapshot)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&next, &path)?;
        File::open(path.parent().unwrap_or(&self.0))?.sync_all()
    }

    /// Every snapshot there is, the oldest first, and what looks like one and cannot be read.
    ///
    /// # Errors
    /// When a directory cannot be read; one that is not there holds nothing.
    pub fn list(&self) -> io::Result<(Vec<Snapshot>, Vec<String>)> {
        let (mut found, mut odd) = (Vec::new(), Vec::new());
        for environment in inside(&self.0)? {
            for service in inside(&environment)? {
                for path in inside(&service)? {
                    if path.extension().is_none_or(|end| end != ACCOUNT) {
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
                        Err(reason) => odd.push(format!("{}: {reason}", path.display())),
                    }
                }
            }
        }
        found.sort_by_key(|one| one.taken_at);
        odd.sort();
        Ok((found, odd))
    }

    /// Removes all but the newest `keep` snapshots of a service; those that are gone.
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
        old.truncate(old.len().saturating_sub(keep));
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

/// Whether a snapshot is still what it was when it was taken: the file's checksum, and everything in it. Reads all of it.
///
/// # Errors
/// [`Flaw`] that says what is wrong.
pub fn inspect(snapshot: &Snapshot) -> Result<(), Flaw> {
    let (_, found) = archive::checksum(&mut File::open(&snapshot.file)?)?;
    if !found.eq_ignore_ascii_case(&snapshot.sha256) {
        return Err(Flaw::new(format!(
            "its checksum is {found}, but it was {} when it was taken",
            snapshot.sha256
        )));
    }
    let origin = origin(snapshot.kind)
        .ok_or_else(|| Flaw::new(format!("{} has no snapshots", snapshot.kind)))?;
    archive::verify(origin, &snapshot.file).map(|_| ())
}

/// Whose archive a kind of service writes; `None` for those without snapshots.
pub const fn origin(kind: ServiceKind) -> Option<Origin> {
    match kind {
        ServiceKind::Consul => Some(Origin::Consul),
        ServiceKind::Vault => Some(Origin::Vault),
        _ => None,
    }
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
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn put(shelf: &Shelf, service: &str, second: i64) -> Snapshot {
        let file = shelf.place("lab", service, at(second)).unwrap();
        fs::write(&file, b"content").unwrap();
        let snapshot = Snapshot {
            environment: "lab".into(),
            service: service.into(),
            kind: ServiceKind::Consul,
            taken_at: at(second),
            from: "pc1".into(),
            file,
            size: 7,
            sha256: crate::domain::hex(&Sha256::digest(b"content")),
            state: 1,
            index: 2,
            term: 3,
        };
        shelf.record(&snapshot).unwrap();
        snapshot
    }

    #[test]
    fn what_was_recorded_is_listed_oldest_first_and_only_the_newest_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::of(dir.path());
        assert_eq!(shelf.list().unwrap(), (vec![], vec![]));
        let all: Vec<Snapshot> = [30, 10, 20]
            .map(|second| put(&shelf, "consul", second))
            .into();
        let other = put(&shelf, "vault", 5);
        let (listed, odd) = shelf.list().unwrap();
        let wanted = [&other, &all[1], &all[2], &all[0]].map(Clone::clone);
        assert_eq!((listed.as_slice(), odd.len()), (wanted.as_slice(), 0));

        let gone = shelf.prune("lab", "consul", 1).unwrap();
        assert_eq!(gone, [all[1].clone(), all[2].clone()]);
        assert!(!gone[0].file.exists());
        assert_eq!(shelf.list().unwrap().0, [other, all[0].clone()]);
    }

    #[test]
    fn a_snapshot_without_its_account_is_none_and_a_torn_account_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::of(dir.path());
        let whole = put(&shelf, "consul", 10);
        fs::write(shelf.place("lab", "consul", at(20)).unwrap(), b"half").unwrap();
        let torn = put(&shelf, "consul", 30);
        fs::write(account_of(&torn.file), b"{\"environment\":").unwrap();
        let (listed, odd) = shelf.list().unwrap();
        assert_eq!(listed, [whole]);
        assert_eq!(odd.len(), 1);
        assert!(odd[0].contains("EOF"), "{odd:?}");
    }

    #[test]
    fn a_file_that_changed_since_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let snapshot = put(&Shelf::of(dir.path()), "consul", 10);
        fs::write(&snapshot.file, b"contents").unwrap();
        let flaw = inspect(&snapshot).unwrap_err().to_string();
        assert!(flaw.starts_with("its checksum is"), "{flaw}");
        fs::remove_file(&snapshot.file).unwrap();
        assert!(inspect(&snapshot).is_err());
    }
}
