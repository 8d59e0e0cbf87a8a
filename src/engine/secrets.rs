//! Reading secrets at the moment they are used, and teaching the redactor what must never be seen.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use secrecy::SecretString;
use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

use crate::domain::service::SecretRef;
use crate::store::Redactor;

/// A longer secret is a mistake, bytes.
const LIMIT: u64 = 64 * 1024;
/// How long a command may take to tell a secret.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a secret cannot be had. Never holds any part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct SecretError(String);

/// Reads the secret and makes it unseeable in logs.
///
/// # Errors
/// [`SecretError`] when it is not there, is not kept well, is empty or too short to be hidden.
pub(super) async fn resolve(
    reference: &SecretRef,
    redactor: &Redactor,
) -> Result<SecretString, SecretError> {
    let (source, value) = match reference {
        SecretRef::Env(name) => (format!("environment variable {name}"), from_env(name)?),
        SecretRef::File(path) => {
            let path = path.clone();
            let source = path.display().to_string();
            let value = tokio::task::spawn_blocking(move || read_file(&path))
                .await
                .map_err(|error| SecretError(format!("{source}: {error}")))??;
            (source, value)
        }
        SecretRef::Generated(name) => {
            return Err(SecretError(format!(
                "the secret {name} is one that a recipe makes for an environment, and is not known here"
            )));
        }
        SecretRef::Command(argv) => {
            let source = argv.first().cloned().unwrap_or_default();
            (format!("command {source}"), from_command(argv).await?)
        }
    };
    hide(&source, &value, redactor)
}

/// What was read from `source`, unseeable from now on.
fn hide(source: &str, value: &str, redactor: &Redactor) -> Result<SecretString, SecretError> {
    let value = value.trim_end_matches(['\n', '\r']);
    if value.is_empty() {
        return Err(SecretError(format!("{source}: the secret is empty")));
    }
    let secret = SecretString::from(value.to_owned());
    redactor
        .learn(&secret)
        .map_err(|short| SecretError(format!("{source}: {short}")))?;
    Ok(secret)
}

fn from_env(name: &str) -> Result<Zeroizing<String>, SecretError> {
    std::env::var(name).map(Zeroizing::new).map_err(|error| {
        let why = match error {
            std::env::VarError::NotPresent => "is not set; set it before the engine is started",
            std::env::VarError::NotUnicode(_) => "is not text",
        };
        SecretError(format!("environment variable {name} {why}"))
    })
}

/// As [`resolve`], of a file, at once.
///
/// # Errors
/// As [`resolve`].
pub(super) fn from_file(path: &Path, redactor: &Redactor) -> Result<SecretString, SecretError> {
    hide(&path.display().to_string(), &read_file(path)?, redactor)
}

/// The text of a file that nobody else may read.
///
/// # Errors
/// As [`resolve`].
pub(super) fn read_file(path: &Path) -> Result<Zeroizing<String>, SecretError> {
    let error =
        |reason: &dyn std::fmt::Display| SecretError(format!("{}: {reason}", path.display()));
    let file = std::fs::File::open(path).map_err(|e| error(&e))?;
    let meta = file.metadata().map_err(|e| error(&e))?;
    if !meta.is_file() {
        return Err(error(&"this is not a file"));
    }
    let mode = meta.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(error(&format!(
            "others may use this file (mode {mode:04o}); run chmod 600 on it"
        )));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| error(&e))?;
    text(&bytes).map_err(|reason| error(&reason))
}

async fn from_command(argv: &[String]) -> Result<Zeroizing<String>, SecretError> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(SecretError("the command for a secret is empty".into()));
    };
    let error =
        |reason: &dyn std::fmt::Display| SecretError(format!("command {program}: {reason}"));
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| error(&e))?;
    let stdout = child.stdout.take();
    let run = async {
        let mut bytes = Zeroizing::new(Vec::new());
        if let Some(stdout) = stdout {
            stdout.take(LIMIT + 1).read_to_end(&mut bytes).await?;
        }
        Ok::<_, std::io::Error>((child.wait().await?, bytes))
    };
    let (status, bytes) = tokio::time::timeout(PATIENCE, run)
        .await
        .map_err(|_| error(&format!("no answer within {} s", PATIENCE.as_secs())))?
        .map_err(|e| error(&e))?;
    // One that says too much is cut off, and fails because of that.
    if !status.success() && bytes.len() as u64 <= LIMIT {
        return Err(error(&format!("{status}; run it by hand to see why")));
    }
    text(&bytes).map_err(|reason| error(&reason))
}

fn text(bytes: &[u8]) -> Result<Zeroizing<String>, &'static str> {
    if bytes.len() as u64 > LIMIT {
        return Err("longer than 64 KiB, which no secret is");
    }
    std::str::from_utf8(bytes)
        .map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_| "the secret is not text")
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use tempfile::TempDir;

    use super::*;

    fn file(dir: &TempDir, content: &str, mode: u32) -> SecretRef {
        let path = dir.path().join("secret");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        SecretRef::File(path)
    }

    async fn told(reference: SecretRef) -> Result<String, String> {
        resolve(&reference, &Redactor::default())
            .await
            .map(|secret| secret.expose_secret().to_owned())
            .map_err(|error| error.to_string())
    }

    fn command(argv: &[&str]) -> SecretRef {
        SecretRef::Command(argv.iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn a_file_is_read_without_its_line_break_and_hidden_from_then_on() {
        let dir = TempDir::new().unwrap();
        let redactor = Redactor::default();
        let secret = resolve(&file(&dir, "hunter22\n", 0o600), &redactor)
            .await
            .unwrap();
        assert_eq!(secret.expose_secret(), "hunter22");
        assert_eq!(redactor.clean("it is hunter22"), "it is [redacted]");
    }

    #[tokio::test]
    async fn a_file_that_others_may_read_is_refused() {
        let dir = TempDir::new().unwrap();
        let error = told(file(&dir, "hunter22", 0o640)).await.unwrap_err();
        assert!(
            error.contains("mode 0640") && error.contains("chmod 600"),
            "{error}"
        );
        assert!(!error.contains("hunter22"));
    }

    #[tokio::test]
    async fn a_command_tells_its_secret_on_standard_output() {
        assert_eq!(
            told(command(&["echo", "hunter22"])).await,
            Ok("hunter22".into())
        );
    }

    #[tokio::test]
    async fn a_command_that_fails_is_named_and_its_output_is_not() {
        let error = told(command(&["sh", "-c", "echo hunter22; exit 3"]))
            .await
            .unwrap_err();
        assert!(
            error.contains("command sh") && error.contains('3'),
            "{error}"
        );
        assert!(!error.contains("hunter22"));
        assert!(told(command(&["/no/such/program"])).await.is_err());
        assert!(told(command(&[])).await.is_err());
    }

    #[tokio::test]
    async fn what_is_missing_empty_binary_or_short_is_refused_with_its_source() {
        let dir = TempDir::new().unwrap();
        for (reference, says) in [
            (
                SecretRef::Env("QUARTERDECK_NO_SUCH_VARIABLE".into()),
                "is not set",
            ),
            (SecretRef::File(dir.path().join("none")), "No such file"),
            (SecretRef::File(dir.path().into()), "not a file"),
            (command(&["true"]), "empty"),
            (command(&["echo", "abc"]), "fewer than"),
            (command(&["head", "-c", "70000", "/dev/zero"]), "64 KiB"),
            (command(&["printf", "\\377\\376\\375\\374"]), "not text"),
        ] {
            let error = told(reference).await.unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
