//! Writing the files of a workspace: each replaced whole or not at all.

use std::fs::Permissions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use crate::domain::bootstrap::NewFile;

/// The largest file that is compared, bytes.
const LARGEST: u64 = 1 << 20;

/// What stands in the place of a file now; `None` when there is nothing.
///
/// # Errors
/// A sentence that names the file, when it is there and is no text file that could be read.
pub fn read_old(root: &Path, file: &Path) -> Result<Option<String>, String> {
    let path = root.join(file);
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(told(error)),
        Ok(metadata) if !metadata.is_file() => {
            return Err(format!("{}: not a regular file", path.display()));
        }
        Ok(metadata) if metadata.len() > LARGEST => {
            return Err(format!("{}: larger than 1 MiB", path.display()));
        }
        Ok(_) => {}
    }
    std::fs::read_to_string(&path).map(Some).map_err(told)
}

/// Writes `files` into `root`, which is made when it is not there. `seen` is what stood in the place of each when the
/// operator looked: what has changed since is not overwritten.
///
/// # Errors
/// A sentence that names the file; the files before it are written.
pub fn write(root: &Path, files: &[NewFile], seen: &[Option<String>]) -> Result<(), String> {
    for (file, seen) in files.iter().zip(seen) {
        let path = root.join(&file.path);
        let stays = file
            .path
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !stays {
            return Err(format!(
                "{}: leads out of the workspace",
                file.path.display()
            ));
        }
        if read_old(root, &file.path)? != *seen {
            return Err(format!(
                "{}: was changed since it was shown; look at the difference again",
                path.display()
            ));
        }
        if seen.as_deref() == Some(file.text.as_str()) {
            continue;
        }
        replace(&path, file.text.as_bytes(), 0o644)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Puts `content` in the place of the file at `path`, or of the one that a link there leads to: whoever looks sees the old or
/// the new, never a part, also after the power failed. The permissions stay as they are; a new file gets `mode`. Directories
/// above are made.
///
/// # Errors
/// The system's.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    let (path, permissions) = match std::fs::canonicalize(path) {
        Ok(path) => {
            let permissions = std::fs::metadata(&path)?.permissions();
            (path, permissions)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            (path.to_owned(), Permissions::from_mode(mode))
        }
        Err(error) => return Err(error),
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), Path::to_owned);
    std::fs::create_dir_all(&folder)?;
    let mut file = tempfile::NamedTempFile::new_in(&folder)?;
    file.as_file().set_permissions(permissions)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    std::fs::File::open(&folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> NewFile {
        NewFile {
            path: path.into(),
            text: text.into(),
        }
    }

    #[test]
    fn what_was_seen_is_replaced_and_what_was_changed_since_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("new");
        let files = [file("environments/home.yaml", "one\n")];
        write(&root, &files, &[None]).unwrap();
        let path = root.join("environments/home.yaml");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\n");
        let files = [file("environments/home.yaml", "two\n")];
        let refused = write(&root, &files, &[None]).unwrap_err();
        assert!(refused.contains("changed since"), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\n");
        write(&root, &files, &[Some("one\n".into())]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    }

    #[test]
    fn nothing_is_written_outside_of_the_workspace() {
        let dir = tempfile::tempdir().unwrap();
        let refused = write(&dir.path().join("new"), &[file("../x", "")], &[None]).unwrap_err();
        assert!(refused.contains("leads out"), "{refused}");
        assert!(!dir.path().join("x").exists());
    }

    #[test]
    fn what_is_replaced_keeps_its_permissions_and_its_link() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("real"), dir.path().join("link"));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        replace(&file, b"one", 0o600).unwrap();
        assert_eq!(mode(&file), 0o600);
        std::os::unix::fs::symlink("real", &link).unwrap();
        replace(&link, b"two", 0o644).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        assert_eq!(mode(&file), 0o600);
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
