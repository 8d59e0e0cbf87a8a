//! Quarterdeck's own diagnostics, for when something about the program itself is to be found out.
//!
//! They go to a file, never to the terminal: the screens own that.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;

use super::exit::Ended;

/// The variable that asks for diagnostics: a filter such as `debug` or `quarterdeck=trace,russh=info`.
pub(super) const VARIABLE: &str = "QUARTERDECK_LOG";

/// Begins to write the diagnostics of an engine to standard error: what [`VARIABLE`] asks for, else what its operator
/// should know.
///
/// # Errors
/// [`super::Exit::Unusable`] when the filter cannot be read.
pub(super) fn begin_engine() -> Result<(), Ended> {
    let wanted = std::env::var(VARIABLE).unwrap_or_default();
    let wanted = if wanted.is_empty() {
        "warn,quarterdeck=info"
    } else {
        wanted.as_str()
    };
    let filter = EnvFilter::try_new(wanted)
        .map_err(|error| Ended::unusable(format!("{VARIABLE}: {error}")))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}

/// Begins to write diagnostics to `quarterdeck.log` in `dir`, when [`VARIABLE`] asks for them.
///
/// # Errors
/// [`super::Exit::Unusable`] when the filter cannot be read or the file cannot be written.
pub(super) fn begin(dir: &Path) -> Result<(), Ended> {
    let Some(wanted) = std::env::var(VARIABLE)
        .ok()
        .filter(|filter| !filter.is_empty())
    else {
        return Ok(());
    };
    let filter = EnvFilter::try_new(&wanted)
        .map_err(|error| Ended::unusable(format!("{VARIABLE}: {error}")))?;
    let path = dir.join("quarterdeck.log");
    let file = std::fs::create_dir_all(dir)
        .and_then(|()| {
            OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(&path)
        })
        .map_err(|error| Ended::unusable(format!("{}: {error}", path.display())))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Mutex::new(file))
        .init();
    Ok(())
}
