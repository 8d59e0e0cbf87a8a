//! Answers in files: the answers file, and what is kept in the state directory when somebody quits half-way.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::cli::exit::Ended;
use crate::cli::{Global, output, session};
use crate::config;
use crate::domain::bootstrap::Answers;
use crate::domain::hex;
use crate::domain::service::SecretRef;

/// The largest file of answers, bytes.
const LARGEST: u64 = 1 << 20;

/// Reads a file of answers; paths in it are relative to it.
///
/// # Errors
/// [`crate::cli::Exit::Unusable`] with every mistake, where it is and what was expected.
pub(super) fn read(file: &Path) -> color_eyre::Result<Answers> {
    let told = |error: std::io::Error| Ended::unusable(format!("{}: {error}", file.display()));
    let metadata = std::fs::metadata(file).map_err(told)?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        let message = format!(
            "{}: no file of answers: it is larger than 1 MiB, or no file",
            file.display()
        );
        return Err(Ended::unusable(message).into());
    }
    let text = std::fs::read_to_string(file).map_err(told)?;
    let (answers, diagnostics) = config::answers_from(file, &text);
    let mut answers = answers.ok_or_else(|| {
        let rendered = config::render(&diagnostics, output::colour());
        Ended::unusable(format!("the answers have mistakes\n\n{rendered}"))
    })?;
    let file = std::path::absolute(file).map_err(Ended::unusable)?;
    let base = file.parent().unwrap_or(Path::new("/"));
    let fix = |path: &mut String| {
        if !path.starts_with("~/") && !path.contains("://") {
            *path = base.join(&*path).to_string_lossy().into_owned();
        }
    };
    answers.ssh.identities.iter_mut().for_each(fix);
    answers.ssh.known_hosts.iter_mut().for_each(fix);
    let home = std::env::home_dir();
    for adopted in answers.adopt.values_mut() {
        let secret = adopted.secret.iter_mut().filter_map(|one| match one {
            SecretRef::File(path) => Some(path),
            _ => None,
        });
        for path in secret.chain(&mut adopted.ca) {
            *path = match (path.strip_prefix("~"), &home) {
                (Ok(rest), Some(home)) => home.join(rest),
                _ => base.join(&*path),
            };
        }
    }
    for by in answers.artifacts.values_mut() {
        let brought = by.amd64.iter_mut().chain(&mut by.arm64);
        brought.for_each(|one| fix(&mut one.source));
    }
    Ok(answers)
}

/// Where the answers for a workspace at `dir` are kept.
///
/// # Errors
/// [`crate::cli::Exit::Unusable`] without a home directory.
fn place(global: &Global, dir: &Path) -> color_eyre::Result<PathBuf> {
    let digest = Sha256::digest(dir.as_os_str().as_encoded_bytes());
    let name = format!("bootstrap-{}.yaml", hex(&digest[..4]));
    Ok(session::state_dir(global)?.join(name))
}

/// Keeps the answers for a workspace at `dir`, readable by their owner alone.
///
/// # Errors
/// A sentence, when they cannot be kept.
pub(super) fn keep(global: &Global, dir: &Path, answers: &Answers) -> Result<PathBuf, String> {
    let path = place(global, dir).map_err(|error| error.to_string())?;
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = serde_saphyr::to_string(answers).map_err(|error| told(&error))?;
    config::replace(&path, text.as_bytes(), 0o600).map_err(|error| told(&error))?;
    Ok(path)
}

/// The answers kept for a workspace at `dir`, if there are any.
///
/// # Errors
/// A sentence, when they cannot be used. The file then lies beside its place, where nothing is written over it.
pub(super) fn kept(global: &Global, dir: &Path) -> Result<Option<Answers>, String> {
    let path = place(global, dir).map_err(|error| error.to_string())?;
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let (answers, diagnostics) = config::answers_from(&path, &text);
    if answers.is_some() {
        return Ok(answers);
    }
    let aside = path.with_extension("unusable.yaml");
    std::fs::rename(&path, &aside).map_err(|error| format!("{}: {error}", path.display()))?;
    let first = diagnostics.first().map(|one| one.message.as_str());
    Err(format!(
        "what you answered last time cannot be used ({}); it lies in {}",
        first.unwrap_or("no answers"),
        aside.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::bootstrap::HostAnswer;

    #[test]
    fn what_is_kept_is_read_back() {
        let mut answers = Answers::default();
        answers.hosts.push(HostAnswer {
            address: "10.0.0.11".into(),
            name: Some("yes".into()),
            ..HostAnswer::default()
        });
        answers.versions.insert("consul".into(), "1.10".into());
        answers.ssh.user = Some("ops: #1".into());
        let text = serde_saphyr::to_string(&answers).unwrap();
        let (read, diagnostics) = config::answers_from(Path::new("kept"), &text);
        assert_eq!(read.as_ref(), Some(&answers), "{text}\n{diagnostics:?}");
    }
}
