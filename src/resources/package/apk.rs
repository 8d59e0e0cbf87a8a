//! Alpine's package manager: apk(8).

use super::{INSTALL_LIMIT, Installed, State, last_of, manage, perform_reading};
use crate::domain::resource::PackageSpec;
use crate::resources::exec::{look, perform};
use crate::resources::{Means, ResourceError};
use crate::transport::{Command, Exit, Host};

/// What apk says of a package; `None` when there is no apk.
pub(super) async fn observe(
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<State>, ResourceError> {
    let command = Command::new(["apk", "info", "-e", "-v", name]);
    let output = look(host, &command, means.cancel).await?;
    Ok(match output.exit {
        Exit::Code(127) => None,
        _ => Some(parse(&output.text(), name)),
    })
}

/// `apk info -e -v` says `NAME-VERSION`, or nothing.
pub(super) fn parse(text: &str, name: &str) -> State {
    let version = text.lines().find_map(|line| {
        let version = line.trim().strip_prefix(name)?.strip_prefix('-')?;
        version
            .starts_with(|c: char| c.is_ascii_digit())
            .then_some(version)
    });
    version.map_or(State::Missing, |version| {
        State::Installed(Installed {
            version: version.to_owned(),
            held: None,
            channel: None,
        })
    })
}

/// `apk add`, once more after `apk update` when its lists do not have it.
pub(super) async fn install(
    spec: &PackageSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    // `~` takes a version by its beginning (apk-world(5)).
    let name = match &spec.version {
        Some(version) => format!("{}~{version}", spec.name),
        None => spec.name.clone(),
    };
    let add = command(["add", &name]);
    let Some(text) = perform_reading(&add, host, means).await? else {
        return Ok(());
    };
    if !text.contains("no such package") && !text.contains("unable to select packages") {
        return Err(ResourceError::Failed {
            command: add.shell_line(),
            exit: "failed".into(),
            complaint: last_of(&text),
        });
    }
    means
        .note("apk does not know it; updating its package lists")
        .await;
    perform(host, &command(["update"]), means).await?;
    manage(&spec.name, &add, host, means).await
}

pub(super) async fn remove(
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    manage(name, &command(["del", name]), host, means).await
}

/// Brings back exactly this version.
pub(super) async fn reinstall(
    name: &str,
    version: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    manage(
        name,
        &command(["add", &format!("{name}={version}")]),
        host,
        means,
    )
    .await
}

/// Waits ten minutes for another apk.
fn command<const N: usize>(words: [&str; N]) -> Command {
    let argv = ["apk", "--wait", "600"].into_iter().chain(words);
    Command::new(argv).within(INSTALL_LIMIT)
}
