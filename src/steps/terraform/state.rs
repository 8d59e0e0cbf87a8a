//! The state: which one it is, and a verified copy of it where snapshots are kept.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::super::workshop::{disk, private_dir, private_file};
use super::super::{Context, Outcome, StepError, program};
use super::place::Place;
use crate::clock::{Clock as _, SystemClock};
use crate::domain::hex;
use crate::domain::recipe::TerraformStep;
use crate::domain::terraform::{StateFile, StateId, state};

/// What snapshots of states are called at their end.
const END: &str = "tfstate";

/// The state as the backend has it; `None` when there is none yet.
pub(super) async fn pull(
    place: &Place,
    context: &Context,
) -> Result<Option<(StateFile, Zeroizing<Vec<u8>>)>, StepError> {
    let command = place.command(["state", "pull"]);
    let pulled = program::ask(&command, &context.cancel).await?;
    if !pulled.exit.success() {
        return Err(StepError {
            message: format!(
                "{} state pull: {}: {}",
                place.name(),
                pulled.exit,
                pulled.complaint
            ),
            passing: true,
        });
    }
    let file = state(&pulled.stdout).map_err(|flaw| StepError {
        message: format!("what {} state pull gave is no good: {flaw}", place.name()),
        passing: true,
    })?;
    Ok(file.map(|file| (file, pulled.stdout)))
}

/// Which state it is now.
pub(super) async fn id(place: &Place, context: &Context) -> Result<StateId, StepError> {
    let pulled = pull(place, context).await?;
    Ok(pulled.map(|(file, _)| file.id).unwrap_or_default())
}

/// `do: snapshot`.
pub(super) async fn snapshot(
    asked: &TerraformStep,
    context: &Context,
) -> Result<Outcome, StepError> {
    let keep: usize = asked
        .keep
        .trim()
        .parse()
        .ok()
        .filter(|keep| *keep > 0)
        .ok_or_else(|| {
            StepError::lasting(format!(
                "{:?} is no number of snapshots to keep",
                asked.keep
            ))
        })?;
    let place = Place::enter(&asked.root, asked.grace(), context).await?;
    place.init(context).await?;
    let Some((file, bytes)) = pull(&place, context).await? else {
        return Ok(Outcome::Skipped("there is no state yet".into()));
    };
    let told = format!("{}, {} resources", file.id, file.resources);
    if context.dry_run {
        context.note(format!("would keep {told}")).await;
        return Ok(Outcome::Ok);
    }
    let folder = context.snapshots.beside(
        &context.environment.name,
        &format!("terraform-{}", place.workspace),
    );
    let name = format!(
        "{}-serial{}.{END}",
        SystemClock.now().strftime("%Y%m%dT%H%M%S%3fZ"),
        file.id.serial
    );
    let (path, sum) = tokio::task::spawn_blocking(move || keep_copy(&folder, &name, &bytes))
        .await
        .map_err(|error| StepError::lasting(format!("keeping the state stopped: {error}")))??;
    context
        .note(format!(
            "kept {told}, read back and verified: {} (sha256 {sum:.12})",
            path.display()
        ))
        .await;
    for old in prune(path.parent().unwrap_or(&path), keep)? {
        context
            .note(format!(
                "removed {}, beyond the {keep} that are kept",
                old.display()
            ))
            .await;
    }
    Ok(Outcome::Ok)
}

/// Writes the copy under its name at once or not at all, and reads it back: the same bytes, and a whole state.
fn keep_copy(folder: &Path, name: &str, bytes: &[u8]) -> Result<(PathBuf, String), StepError> {
    let folder = private_dir(folder)?;
    let (path, next) = (folder.join(name), folder.join(format!(".{name}.next")));
    private_file(&next, bytes)?;
    let back = Zeroizing::new(fs::read(&next).map_err(|error| disk(&next, &error))?);
    if back.as_slice() != bytes || !matches!(state(&back), Ok(Some(_))) {
        let _ = fs::remove_file(&next);
        return Err(StepError::lasting(format!(
            "{}: the disk gave back something else than was written",
            next.display()
        )));
    }
    let sum = hex(&Sha256::digest(bytes));
    // As `sha256sum -c` reads it.
    private_file(
        &folder.join(format!("{name}.sha256")),
        format!("{sum}  {name}\n").as_bytes(),
    )?;
    fs::rename(&next, &path).map_err(|error| disk(&path, &error))?;
    fs::File::open(&folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| disk(&folder, &error))?;
    Ok((path, sum))
}

/// Removes all but the newest `keep`; those that are gone.
fn prune(folder: &Path, keep: usize) -> Result<Vec<PathBuf>, StepError> {
    let broken = |error| disk(folder, &error);
    let mut all: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(broken)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(broken)?;
    all.retain(|path| path.extension().is_some_and(|end| end == END));
    // Their names begin with the time.
    all.sort();
    all.truncate(all.len().saturating_sub(keep));
    for old in &all {
        fs::remove_file(old).map_err(|error| disk(old, &error))?;
        let mut sum = old.as_os_str().to_owned();
        sum.push(".sha256");
        // One that is missing is as good as one that was removed.
        let _ = fs::remove_file(sum);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_kept_with_its_checksum_and_only_the_newest_stay() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("lab/terraform-default");
        let state = include_bytes!("../../domain/terraform/fixtures/state.json");
        for name in [
            "1-serial1.tfstate",
            "2-serial2.tfstate",
            "3-serial3.tfstate",
        ] {
            keep_copy(&folder, name, state).unwrap();
        }
        let gone = prune(&folder, 2).unwrap();
        assert_eq!(gone, [folder.join("1-serial1.tfstate")]);
        let checked = std::process::Command::new("sha256sum")
            .args(["-c", "3-serial3.tfstate.sha256"])
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(checked.status.success(), "{checked:?}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 4);
        let error = keep_copy(&folder, "4.tfstate", b"{\"half\":").unwrap_err();
        assert!(error.message.contains("something else"), "{error}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 4);
    }
}
