//! Finding the workspace: by name, upwards from here, or at home.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::check::FILE;

/// Where a workspace is and how it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceRoot {
    /// The directory that holds `quarterdeck.yaml`, absolute.
    pub dir: PathBuf,
    /// How it was found.
    pub found: Found,
}

/// How a workspace was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The operator named it.
    Named,
    /// In the current directory or one above it.
    Upwards,
    /// In the user's configuration directory.
    Home,
}

/// Why there is no workspace to work in.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// None was found.
    #[error(
        "no workspace: there is no {FILE} in {} or any directory above it{}\n\
         begin with `quarterdeck bootstrap`, try a practice cluster with `quarterdeck lab`, or name a workspace with `--workspace DIR`",
        cwd.display(),
        home.as_ref().map(|home| format!(", nor in {}", home.display())).unwrap_or_default()
    )]
    Missing {
        /// Where the search began.
        cwd: PathBuf,
        /// The user's configuration directory, if he has one.
        home: Option<PathBuf>,
    },
    /// The operator named something that is no workspace.
    #[error("{}: no workspace: there is no {FILE} in it", path.display())]
    NamedMissing {
        /// What was named.
        path: PathBuf,
    },
    /// There is one, but it cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Found by walking up, it belongs to somebody else, who could make this user run his commands.
    #[error(
        "{}: belongs to another user (uid {owner}, you are {me}), so it is not used by itself\n\
         if you trust it, name it: `--workspace {}`",
        path.display(),
        path.parent().unwrap_or(path).display()
    )]
    ForeignOwner {
        /// What belongs to somebody else: the file or its directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who is asking.
        me: u32,
    },
}

/// Finds the workspace: `explicit` (a directory, or the file itself), else upwards from `cwd`, else the user's
/// configuration directory.
///
/// # Errors
/// [`FindError`]; only a workspace that the operator names may belong to another user.
pub fn find(explicit: Option<&Path>, cwd: &Path) -> Result<WorkspaceRoot, FindError> {
    let home = directories::ProjectDirs::from("", "", "quarterdeck")
        .map(|dirs| dirs.config_dir().to_owned());
    search(explicit, cwd, home, &Trust::of_this_process())
}

/// Whose files are trusted without being asked for.
#[derive(Debug, Clone, Copy)]
struct Trust {
    me: u32,
    /// Who became root by sudo, when that is so.
    behind_sudo: Option<u32>,
}

impl Trust {
    fn of_this_process() -> Self {
        let me = rustix::process::geteuid().as_raw();
        let uid = |text: &OsStr| text.to_str()?.parse().ok();
        Self {
            me,
            behind_sudo: std::env::var_os("SUDO_UID")
                .and_then(|text| uid(&text))
                .filter(|_| me == 0),
        }
    }

    /// Mine, root's (who could do anything anyway), or of the one who said sudo.
    fn covers(self, owner: u32) -> bool {
        owner == self.me || owner == 0 || self.behind_sudo == Some(owner)
    }
}

fn search(
    explicit: Option<&Path>,
    cwd: &Path,
    home: Option<PathBuf>,
    trust: &Trust,
) -> Result<WorkspaceRoot, FindError> {
    if let Some(path) = explicit {
        return named(&cwd.join(path));
    }
    for dir in cwd.ancestors() {
        let file = dir.join(FILE);
        match std::fs::metadata(&file) {
            Ok(metadata) => {
                let of_dir = std::fs::metadata(dir).map(|metadata| metadata.uid());
                let of_dir = of_dir.map_err(|source| unreadable(dir, source))?;
                for (path, owner) in [(&file, metadata.uid()), (&dir.to_owned(), of_dir)] {
                    if !trust.covers(owner) {
                        return Err(FindError::ForeignOwner {
                            path: path.clone(),
                            owner,
                            me: trust.me,
                        });
                    }
                }
                return readable(dir, &file, Found::Upwards);
            }
            // A directory above that we may not look into holds nothing of ours.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied
                ) => {}
            Err(source) => return Err(unreadable(&file, source)),
        }
    }
    if let Some(dir) = &home {
        let file = dir.join(FILE);
        if file.exists() {
            return readable(dir, &file, Found::Home);
        }
    }
    Err(FindError::Missing {
        cwd: cwd.to_owned(),
        home,
    })
}

fn named(path: &Path) -> Result<WorkspaceRoot, FindError> {
    let (dir, file) = if path.is_file() {
        (
            path.parent().unwrap_or(Path::new("/")).to_owned(),
            path.to_owned(),
        )
    } else {
        (path.to_owned(), path.join(FILE))
    };
    if file.file_name() != Some(OsStr::new(FILE)) {
        return Err(FindError::NamedMissing {
            path: path.to_owned(),
        });
    }
    match std::fs::metadata(&file) {
        Ok(_) => readable(&dir, &file, Found::Named),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(FindError::NamedMissing {
                path: path.to_owned(),
            })
        }
        Err(source) => Err(unreadable(&file, source)),
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> FindError {
    FindError::Unreadable {
        path: path.to_owned(),
        source,
    }
}

fn readable(dir: &Path, file: &Path, found: Found) -> Result<WorkspaceRoot, FindError> {
    let refused = |source| unreadable(file, source);
    // Only a regular file is opened: a pipe would wait for its writer.
    if !std::fs::metadata(file).map_err(refused)?.is_file() {
        return Err(refused(std::io::Error::new(
            ErrorKind::InvalidInput,
            "not a regular file",
        )));
    }
    std::fs::File::open(file).map_err(refused)?;
    let dir = std::path::absolute(dir).map_err(refused)?;
    Ok(WorkspaceRoot { dir, found })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mine() -> Trust {
        Trust {
            me: rustix::process::geteuid().as_raw(),
            behind_sudo: None,
        }
    }

    fn workspace() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "name: x\n").unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        dir
    }

    #[test]
    fn a_workspace_is_found_from_any_directory_below_it() {
        let dir = workspace();
        let root = search(None, &dir.path().join("a/b"), None, &mine()).unwrap();
        assert_eq!(
            (root.dir.as_path(), root.found),
            (dir.path(), Found::Upwards)
        );
    }

    #[test]
    fn a_named_workspace_may_be_a_directory_or_the_file_and_wins() {
        let (dir, other) = (workspace(), workspace());
        for name in [other.path().to_owned(), other.path().join(FILE)] {
            let root = search(Some(&name), dir.path(), None, &mine()).unwrap();
            assert_eq!(
                (root.dir.as_path(), root.found),
                (other.path(), Found::Named)
            );
        }
        let relative = search(Some(Path::new("..")), &dir.path().join("a"), None, &mine());
        assert!(relative.is_ok());
    }

    #[test]
    fn the_configuration_directory_comes_last() {
        let (home, empty) = (workspace(), tempfile::tempdir().unwrap());
        let root = search(None, empty.path(), Some(home.path().to_owned()), &mine()).unwrap();
        assert_eq!((root.dir.as_path(), root.found), (home.path(), Found::Home));
    }

    #[test]
    fn a_missing_workspace_says_where_it_looked_and_how_to_begin() {
        let empty = tempfile::tempdir().unwrap();
        let home = empty.path().join("config");
        let text = search(None, empty.path(), Some(home.clone()), &mine())
            .unwrap_err()
            .to_string();
        for part in [
            &*empty.path().to_string_lossy(),
            &*home.to_string_lossy(),
            "quarterdeck lab",
            "--workspace",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let named = search(Some(Path::new("nowhere")), empty.path(), None, &mine()).unwrap_err();
        assert!(matches!(named, FindError::NamedMissing { .. }), "{named}");
    }

    #[test]
    fn a_foreign_workspace_is_refused_unless_it_is_named() {
        let dir = workspace();
        // Root's own files are trusted by everybody, so as root the workspace is given away first.
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(dir.path().join(FILE), Some(4711), None).unwrap();
        }
        let owner = std::fs::metadata(dir.path().join(FILE)).unwrap().uid();
        let stranger = Trust {
            me: owner + 1,
            behind_sudo: None,
        };
        let error = search(None, dir.path(), None, &stranger).unwrap_err();
        assert!(matches!(error, FindError::ForeignOwner { owner: whose, .. } if whose == owner));
        assert!(search(Some(dir.path()), dir.path(), None, &stranger).is_ok());
    }

    #[test]
    fn trust_covers_me_root_and_the_one_behind_sudo() {
        let plain = Trust {
            me: 1000,
            behind_sudo: None,
        };
        assert!(plain.covers(1000) && plain.covers(0) && !plain.covers(1001));
        let sudo = Trust {
            me: 0,
            behind_sudo: Some(1000),
        };
        assert!(sudo.covers(0) && sudo.covers(1000) && !sudo.covers(1001));
        let root = Trust {
            me: 0,
            behind_sudo: None,
        };
        assert!(!root.covers(1000));
    }

    #[test]
    fn a_directory_in_the_place_of_the_file_is_unreadable() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(FILE)).unwrap();
        let found = search(None, dir.path(), None, &mine());
        assert!(matches!(found, Err(FindError::Unreadable { .. })));
    }
}
