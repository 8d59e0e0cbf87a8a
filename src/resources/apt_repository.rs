//! A source of Debian packages: a `.sources` file (sources.list(5), deb822) that names the one key which may sign for it.
//!
//! The repository is tried before it counts: its lists are fetched with the new file still outside of
//! `/etc/apt/sources.list.d`, and only when that went well is it put in its place. So a repository that does not answer, or
//! whose signature is not the key's, never stands in the way of `apt-get update`; what is cut off in the middle is begun
//! again by the next run; and where nothing changed, nothing is fetched.

use std::fmt::Write as _;

use super::edit::write_public;
use super::exec::look_well;
use super::file;
use super::openpgp;
use super::package::apt;
use super::stat;
use super::undo::Back;
use super::{Difference, Means, ResourceError};
use crate::domain::resource::{AptRepositorySpec, FileSpec};
use crate::domain::undo::{AptRepositoryBefore, Before, FileBefore};
use crate::transport::Host;

/// Where a new source is tried.
const TRIAL: &str = "/var/lib/quarterdeck/apt";

fn sources_path(name: &str) -> String {
    format!("/etc/apt/sources.list.d/{name}.sources")
}

fn keyring_path(name: &str) -> String {
    format!("/etc/apt/keyrings/{name}.asc")
}

fn file(path: String, content: String) -> FileSpec {
    FileSpec {
        path,
        content,
        mode: "0644".into(),
        owner: "root".into(),
        group: "root".into(),
    }
}

/// The files that make the repository known: the key, if it has one, and the source.
fn files(spec: &AptRepositorySpec) -> Result<(Option<FileSpec>, FileSpec), ResourceError> {
    if let Some(reason) = fault(spec) {
        return Err(ResourceError::Unfit(reason));
    }
    let mut text = String::from(
        "# Written by Quarterdeck: what is changed here is overwritten by its recipe.\n",
    );
    let mut field = |name: &str, words: &[String]| {
        if !words.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}: {}", words.join(" "));
        }
    };
    field("Types", &["deb".into()]);
    field("URIs", &spec.uris);
    field("Suites", &spec.suites);
    field("Components", &spec.components);
    field("Architectures", &spec.architectures);
    let key = if spec.signed {
        check_key(spec)?;
        let path = keyring_path(&spec.name);
        field("Signed-By", std::slice::from_ref(&path));
        Some(file(path, format!("{}\n", spec.key.trim())))
    } else {
        field("Trusted", &["yes".into()]);
        None
    };
    Ok((key, file(sources_path(&spec.name), text)))
}

/// The key must hold exactly the declared primary keys.
fn check_key(spec: &AptRepositorySpec) -> Result<(), ResourceError> {
    let unfit = |reason: String| {
        Err(ResourceError::Unfit(format!(
            "key of {}: {reason}",
            spec.name
        )))
    };
    let found = match openpgp::fingerprints(&spec.key) {
        Ok(found) => found,
        Err(reason) => return unfit(reason),
    };
    let declared: Vec<String> = spec.fingerprints.iter().map(|text| plain(text)).collect();
    if let Some(other) = found.iter().find(|key| !declared.contains(key)) {
        return unfit(format!(
            "it holds {other}, and declared is {}: somebody may have put another key in its place; ask the repository's \
             makers which is theirs",
            declared.join(", ")
        ));
    }
    if let Some(missing) = declared.iter().find(|key| !found.contains(key)) {
        return unfit(format!(
            "it does not hold {missing}, only {}",
            found.join(", ")
        ));
    }
    Ok(())
}

fn plain(fingerprint: &str) -> String {
    let digits = fingerprint.chars().filter(|c| !c.is_whitespace());
    digits.collect::<String>().to_ascii_uppercase()
}

pub(super) async fn check(
    spec: &AptRepositorySpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    let mut difference = Difference::default();
    if !spec.state.is_present() {
        if let Some(reason) = fault(spec) {
            return Err(ResourceError::Unfit(reason));
        }
        for path in [sources_path(&spec.name), keyring_path(&spec.name)] {
            if stat::see(&path, host, means).await?.is_some() {
                difference.note(format!("{path} → removed"));
            }
        }
        return Ok(difference);
    }
    let (key, sources) = files(spec)?;
    for file in key.iter().chain([&sources]) {
        let one = file::check(file, host, means).await?;
        let changes = one.changes.into_iter();
        difference
            .changes
            .extend(changes.map(|change| format!("{}: {change}", file.path)));
        difference.diff.extend(one.diff);
    }
    Ok(difference)
}

pub(super) async fn apply(
    spec: &AptRepositorySpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    if !spec.state.is_present() {
        let paths = [sources_path(&spec.name), keyring_path(&spec.name)];
        look_well(host, ["rm", "-f", &paths[0], &paths[1]], means.cancel).await?;
        return Ok(());
    }
    let (key, sources) = files(spec)?;
    if let Some(key) = &key {
        look_well(host, ["mkdir", "-p", "/etc/apt/keyrings"], means.cancel).await?;
        file::apply(key, host, means).await?;
    }
    try_out(spec, &sources, host, means).await?;
    file::apply(&sources, host, means).await
}

/// Fetches the repository's lists with the new file where no other apt looks.
async fn try_out(
    spec: &AptRepositorySpec,
    sources: &FileSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let trial = format!("{TRIAL}/{}.sources", spec.name);
    look_well(host, ["mkdir", "-p", TRIAL], means.cancel).await?;
    write_public(&trial, sources.content.clone(), host, means).await?;
    let list = format!("Dir::Etc::SourceList={trial}");
    let update = apt::command([
        "apt-get",
        "update",
        "-o",
        &list,
        "-o",
        "Dir::Etc::SourceParts=-",
        "-o",
        // The lists of the other sources stay.
        "APT::Get::List-Cleanup=0",
        "-o",
        // Otherwise a repository that does not answer is a warning and not an error.
        "APT::Update::Error-Mode=any",
        "-o",
        apt::APT_PATIENCE,
    ]);
    let failure = super::package::perform_reading(&update, host, means).await?;
    look_well(host, ["rm", "-f", &trial], means.cancel).await?;
    match failure {
        None => Ok(()),
        Some(text) => Err(ResourceError::Failed {
            command: update.shell_line(),
            exit: format!("repository {} is not added", spec.name),
            complaint: super::package::last_of(&text),
        }),
    }
}

/// What is wrong with a declaration on any host; what is still to be rendered is not looked at.
pub(super) fn fault(spec: &AptRepositorySpec) -> Option<String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let unrendered = |text: &str| text.contains("{{") || text.contains("{%");
    // apt ignores files with other characters in their names.
    if !unrendered(&spec.name) && (spec.name.is_empty() || !spec.name.bytes().all(is_name)) {
        return Some(format!(
            "apt_repository: {:?} is no name: it has letters, digits, `-`, `_` and `.`",
            spec.name
        ));
    }
    if !spec.state.is_present() {
        return None;
    }
    let words = [
        &spec.uris,
        &spec.suites,
        &spec.components,
        &spec.architectures,
    ];
    let all = words.into_iter().flatten();
    if let Some(bad) = all.into_iter().find(|word| {
        !unrendered(word)
            && (word.is_empty() || word.contains(|c: char| c.is_whitespace() || c.is_control()))
    }) {
        return Some(format!(
            "apt_repository: {bad:?} holds a space or nothing at all"
        ));
    }
    if spec.uris.is_empty() || spec.suites.is_empty() {
        return Some("apt_repository: needs `uris` and `suites`".into());
    }
    let flat = spec.suites.iter().all(|suite| suite.ends_with('/'));
    if flat != spec.components.is_empty() {
        return Some(
            "apt_repository: needs `components`, unless every suite ends in `/`; then it has none"
                .into(),
        );
    }
    match (
        spec.signed,
        spec.key.trim().is_empty(),
        spec.fingerprints.is_empty(),
    ) {
        (true, true, _) => {
            Some("apt_repository: needs the key that signs it, as `key` or `key_file`".into())
        }
        (true, false, true) => Some(
            "apt_repository: needs `fingerprints`, so that another key in its place is noticed"
                .into(),
        ),
        (false, false, _) => Some("apt_repository: `signed: false` takes no key".into()),
        _ => None,
    }
}

pub(super) async fn remember(
    spec: &AptRepositorySpec,
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Before, ResourceError> {
    let (key, sources) = if spec.state.is_present() {
        let (key, sources) = files(spec)?;
        (key, Some(sources))
    } else {
        (None, None)
    };
    let path = keyring_path(&spec.name);
    let keyring = one(key, path, &format!("{name}-key"), spec, host, means).await?;
    let sources = one(sources, sources_path(&spec.name), name, spec, host, means).await?;
    Ok(Before::AptRepository(AptRepositoryBefore {
        name: spec.name.clone(),
        sources,
        keyring,
    }))
}

/// One of the two files before it is written, or removed where the repository shall be absent.
async fn one(
    file: Option<FileSpec>,
    path: String,
    name: &str,
    spec: &AptRepositorySpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<FileBefore>, ResourceError> {
    if let Some(file) = file {
        let before = file::undo::remember(&file, name, host, means).await?;
        return Ok(before.and_then(|before| match before {
            Before::File(before) => Some(before),
            _ => None,
        }));
    }
    if spec.state.is_present() || stat::see(&path, host, means).await?.is_none() {
        return Ok(None);
    }
    let owned = super::edit::public();
    file::undo::observe(&path, String::new(), owned, name, host, means).await
}

pub(super) async fn check_undo(
    before: &AptRepositoryBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Back, ResourceError> {
    let mut back = Back::default();
    let mut refused = Vec::new();
    for file in before.sources.iter().chain(&before.keyring) {
        let one = file::undo::check(file, host, means).await?;
        for change in one.difference.changes {
            back.note(format!("{}: {change}", file.path));
        }
        back.difference.diff.extend(one.difference.diff);
        refused.extend(one.refused.map(|reason| format!("{}: {reason}", file.path)));
    }
    back.refused = (!refused.is_empty()).then(|| refused.join("; "));
    Ok(back)
}

/// The source before the key: apt complains of a source whose key is gone.
pub(super) async fn take_back(
    before: &AptRepositoryBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    for file in before.sources.iter().chain(&before.keyring) {
        file::undo::take_back(file, host, means).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
