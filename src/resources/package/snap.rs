//! Snaps: snap(8). Their version is the channel's business; what is declared is the channel.

use super::{INSTALL_LIMIT, Installed, State, manage};
use crate::domain::resource::PackageSpec;
use crate::resources::exec::look;
use crate::resources::{Means, ResourceError};
use crate::transport::{Command, Exit, Host};

/// What snapd says of a snap; `None` when there is no snapd.
pub(super) async fn observe(
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<State>, ResourceError> {
    let command = Command::new(["env", "LC_ALL=C", "snap", "list", name]);
    let output = look(host, &command, means.cancel).await?;
    match &output.exit {
        Exit::Code(0) => Ok(Some(parse(&output.text(), name))),
        Exit::Code(127) => Ok(None),
        // "error: no matching snaps installed"
        _ if output.complaint().contains("no matching snaps") => Ok(Some(State::Missing)),
        exit => Err(ResourceError::Failed {
            command: command.shell_line(),
            exit: exit.to_string(),
            complaint: output.complaint(),
        }),
    }
}

/// Columns: name, version, revision, tracking, publisher, notes.
pub(super) fn parse(text: &str, name: &str) -> State {
    let row = text.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        (columns.first() == Some(&name) && columns.len() >= 4).then_some(columns)
    });
    let Some(columns) = row else {
        return State::Missing;
    };
    let notes = columns.get(5).copied().unwrap_or_default();
    State::Installed(Installed {
        version: columns[1].to_owned(),
        held: Some(notes.split(',').any(|note| note == "held")),
        channel: (columns[3] != "-").then(|| columns[3].to_owned()),
    })
}

/// Whether a snap that tracks `is` follows the declared channel: a track without risk means `stable`, a risk without track
/// means `latest`.
pub(super) fn is_channel(is: &str, declared: &str) -> bool {
    whole(is) == whole(declared)
}

fn whole(channel: &str) -> String {
    let risk = |word: &str| ["stable", "candidate", "beta", "edge"].contains(&word);
    match channel.split_once('/') {
        None if risk(channel) => format!("latest/{channel}"),
        None => format!("{channel}/stable"),
        Some((first, _)) if risk(first) => format!("latest/{channel}"),
        Some(_) => channel.to_owned(),
    }
}

pub(super) async fn install(
    spec: &PackageSpec,
    is_there: bool,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let word = if is_there { "refresh" } else { "install" };
    let mut words = vec![word.to_owned(), spec.name.clone()];
    if let Some(snap) = &spec.snap {
        words.extend(
            snap.channel
                .iter()
                .map(|channel| format!("--channel={channel}")),
        );
        words.extend(snap.classic.then(|| "--classic".to_owned()));
    }
    change(&spec.name, words, host, means).await
}

pub(super) async fn follow(
    name: &str,
    channel: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let words = [
        "refresh".to_owned(),
        name.to_owned(),
        format!("--channel={channel}"),
    ];
    change(name, words, host, means).await
}

pub(super) async fn remove(
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    change(name, ["remove".to_owned(), name.to_owned()], host, means).await
}

pub(super) async fn hold(
    name: &str,
    held: bool,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let word = if held { "--hold" } else { "--unhold" };
    change(
        name,
        ["refresh".to_owned(), word.to_owned(), name.to_owned()],
        host,
        means,
    )
    .await
}

async fn change(
    name: &str,
    words: impl IntoIterator<Item = String>,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let argv = ["env", "LC_ALL=C", "snap"].map(ToOwned::to_owned);
    let command = Command::new(argv.into_iter().chain(words)).within(INSTALL_LIMIT);
    manage(name, &command, host, means).await
}
