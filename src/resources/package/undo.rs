//! Packages taken back: removed where there was none, or brought back to the version that was there.

use super::super::undo::Back;
use super::super::{Means, ResourceError};
use super::{
    State, command, is_version, last_of, missing_dependencies, observe, patiently, perform_reading,
};
use crate::domain::resource::PackageSpec;
use crate::domain::undo::{Before, PackageBefore};
use crate::transport::Host;

pub(in crate::resources) async fn remember(
    spec: &PackageSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Before, ResourceError> {
    let was = match observe(spec, host, means).await? {
        State::Installed(version) => Some(version),
        // What was half installed was no working package, and is none when it is gone.
        State::Missing | State::Broken(_) => None,
    };
    Ok(Before::Package(PackageBefore {
        name: spec.name.clone(),
        was,
        left: spec.version.clone(),
        fetched: spec.deb.is_none(),
    }))
}

fn spec(package: &PackageBefore) -> PackageSpec {
    PackageSpec {
        name: package.name.clone(),
        version: package.was.clone(),
        deb: None,
    }
}

pub(in crate::resources) async fn check(
    package: &PackageBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Back, ResourceError> {
    let state = observe(&spec(package), host, means).await?;
    let mut back = Back::default();
    match (&package.was, &state) {
        (None, State::Missing) => {}
        (Some(was), State::Installed(is)) if was == is => {}
        (None, State::Installed(is)) => back.difference.note(format!("{is} → removed")),
        (Some(was), State::Installed(is)) => back.difference.note(format!("{is} → {was}")),
        (None, State::Broken(status)) => {
            back.difference
                .note(format!("half installed (dpkg says {status}) → removed"));
        }
        (Some(was), State::Broken(status)) => {
            back.difference
                .note(format!("half installed (dpkg says {status}) → {was}"));
        }
        (Some(was), State::Missing) => {
            back.difference.note(format!("not installed → {was}"));
            back.refused = Some("it was removed since".into());
        }
    }
    if let (false, State::Installed(is), Some(left)) =
        (back.difference.is_none(), &state, &package.left)
        && !is_version(is, left)
    {
        back.refused = Some(format!("{is} was installed since, the run left {left}"));
    }
    Ok(back)
}

pub(in crate::resources) async fn take_back(
    package: &PackageBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    match &package.was {
        None => remove(package, host, means).await?,
        Some(version) => reinstall(package, version, host, means).await?,
    }
    let back = check(package, host, means).await?;
    if back.difference.is_none() {
        return Ok(());
    }
    Err(ResourceError::Unfit(format!(
        "package {} was taken back, and still: {}",
        package.name,
        back.difference.changes.join("; ")
    )))
}

/// `dpkg -r` and not apt: it refuses when another package needs this one, instead of removing that as well.
async fn remove(
    package: &PackageBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let command = command(["dpkg", "-r", &package.name]);
    let Some(failure) = patiently(&command, host, means).await? else {
        return Ok(());
    };
    let needed = missing_dependencies(&failure);
    Err(ResourceError::Unfit(if needed.is_empty() {
        format!("package {}: {}", package.name, last_of(&failure))
    } else {
        format!(
            "package {} cannot be removed: another package depends on it; take that one back first",
            package.name
        )
    }))
}

async fn reinstall(
    package: &PackageBefore,
    version: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let name = format!("{}={version}", package.name);
    let install = command([
        "apt-get",
        "install",
        "-y",
        "--no-install-recommends",
        "--allow-downgrades",
        "-o",
        "DPkg::Lock::Timeout=60",
        "-o",
        "Dpkg::Options::=--force-confdef",
        "-o",
        "Dpkg::Options::=--force-confold",
        &name,
    ]);
    match perform_reading(&install, host, means).await? {
        None => Ok(()),
        Some(text) => Err(ResourceError::Unfit(format!(
            "package {}: {version} cannot be had any more: {}; bring that package to the node and install it with dpkg -i",
            package.name,
            last_of(&text)
        ))),
    }
}
