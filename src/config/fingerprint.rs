//! One value for all files of a workspace: whoever was started from something older can be told by it.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Workspace;
use super::check::{ENVIRONMENTS, FILE};
use crate::domain::recipe::files_beside;

/// How many directories deep the files lie that recipes are made from.
const DEPTH: u32 = 8;

/// SHA-256 over the workspace's own files: settings, environments, recipes and what those are made from; 64 hexadecimal digits.
///
/// A file that cannot be read counts as absent: whether that is a mistake is for [`super::check`] to say.
pub fn fingerprint(workspace: &Workspace) -> String {
    let root = &workspace.root;
    let mut files = vec![root.join(FILE)];
    files.extend(listed(&root.join(ENVIRONMENTS)));
    let recipes = root.join(&workspace.settings.recipes);
    files.extend(listed(&recipes));
    below(&files_beside(&recipes), DEPTH, &mut files);
    let mut digest = Sha256::new();
    for file in files {
        let content = fs::read(&file).unwrap_or_default();
        for part in [file.as_os_str().as_encoded_bytes(), &content] {
            // Lengths keep the parts apart.
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    crate::domain::hex(&digest.finalize())
}

/// Every file below `directory`, at most `depth` directories down.
fn below(directory: &Path, depth: u32, files: &mut Vec<PathBuf>) {
    files.extend(listed(directory));
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    let mut deeper: Vec<PathBuf> = entries
        .flatten()
        // Links to directories are not followed: they may lead in circles.
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    deeper.sort();
    for directory in deeper {
        below(&directory, depth, files);
    }
}

fn listed(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn every_change_of_a_file_shows() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace {
            root: dir.path().into(),
            name: "home".into(),
            settings: Settings::default(),
            environments: Vec::new(),
            schedules: Vec::new(),
        };
        let mut seen = vec![fingerprint(&workspace)];
        assert_eq!(seen[0], fingerprint(&workspace));
        fs::create_dir(dir.path().join("environments")).unwrap();
        fs::create_dir(dir.path().join("recipes")).unwrap();
        fs::create_dir_all(dir.path().join("files/proxy")).unwrap();
        for file in [
            "quarterdeck.yaml",
            "environments/lab.yaml",
            "recipes/own.yaml",
            "files/proxy/haproxy.cfg.j2",
        ] {
            for content in ["a: 1", "a: 2"] {
                fs::write(dir.path().join(file), content).unwrap();
                let now = fingerprint(&workspace);
                assert!(!seen.contains(&now), "{file}: {content}");
                seen.push(now);
            }
        }
    }
}
