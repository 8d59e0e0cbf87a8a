//! Packages taken back: removed where there was none, or brought back to the version that was there.

use super::super::undo::Back;
use super::super::{Means, ResourceError};
use super::{State, apk, apt, dnf, hold, is_version, observe, remove, snap};
use crate::domain::resource::{PackageManager, PackageSpec, Presence, SnapSpec};
use crate::domain::undo::{Before, PackageBefore};
use crate::transport::Host;

pub(in crate::resources) async fn remember(
    spec: &PackageSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Before, ResourceError> {
    let (manager, state) = observe(spec, host, means).await?;
    let is = match state {
        State::Installed(is) => Some(is),
        // What was half installed was no working package, and is none when it is gone.
        State::Missing | State::Broken(_) => None,
    };
    Ok(Before::Package(PackageBefore {
        name: spec.name.clone(),
        manager,
        was_held: spec
            .hold
            .map(|_| is.as_ref().and_then(|is| is.held).unwrap_or_default()),
        was_on: is.as_ref().and_then(|is| is.channel.clone()),
        was: is.map(|is| is.version),
        left: spec.version.clone(),
        left_state: spec.state,
        fetched: spec.deb.is_none() && spec.bring.is_none(),
    }))
}

/// The declaration by which the package is looked at.
fn spec(package: &PackageBefore) -> PackageSpec {
    PackageSpec {
        name: package.name.clone(),
        state: Presence::Present,
        version: None,
        hold: package.was_held,
        deb: None,
        bring: None,
        snap: (package.manager == PackageManager::Snap).then(SnapSpec::default),
    }
}

pub(in crate::resources) async fn check(
    package: &PackageBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Back, ResourceError> {
    let (_, state) = observe(&spec(package), host, means).await?;
    let mut back = Back::default();
    match (&package.was, &state) {
        (None, State::Missing) => {}
        (Some(was), State::Installed(is)) => {
            match (&package.was_on, &is.channel) {
                (Some(was), Some(is)) if was != is => back.note(format!("channel {is} → {was}")),
                (None, _) if *was != is.version => back.note(format!("{} → {was}", is.version)),
                // Which version a channel holds is not for a run to say.
                _ => {}
            }
            match (package.was_held, is.held) {
                (Some(false), Some(true)) => back.note("held → not held"),
                (Some(true), Some(false)) => back.note("not held → held"),
                _ => {}
            }
        }
        (None, State::Installed(is)) => back.note(format!("{} → removed", is.version)),
        (None, State::Broken(status)) => {
            back.note(format!("half installed (dpkg says {status}) → removed"));
        }
        (Some(was), State::Broken(status)) => {
            back.note(format!("half installed (dpkg says {status}) → {was}"));
        }
        (Some(was), State::Missing) => {
            back.note(format!("not installed → {was}"));
            if package.left_state.is_present() {
                back.refused = Some("it was removed since".into());
            }
        }
    }
    if let (false, State::Installed(is)) = (back.difference.is_none(), &state) {
        match &package.left {
            Some(left) if !is_version(&is.version, left) => {
                back.refused = Some(format!(
                    "{} was installed since, the run left {left}",
                    is.version
                ));
            }
            _ if !package.left_state.is_present() => {
                back.refused = Some(format!("{} was installed since", is.version));
            }
            _ => {}
        }
    }
    Ok(back)
}

pub(in crate::resources) async fn take_back(
    package: &PackageBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let (_, state) = observe(&spec(package), host, means).await?;
    match &package.was {
        None => remove(package.manager, &package.name, host, means).await?,
        Some(was) => {
            let there = matches!(&state, State::Installed(is) if is.version == *was);
            if !there || package.was_on.is_some() {
                reinstall(package, was, &state, host, means).await?;
            }
            let held = match state {
                State::Installed(is) => is.held,
                State::Missing | State::Broken(_) => None,
            };
            if let Some(was_held) = package.was_held
                && held != Some(was_held)
            {
                hold(package.manager, &package.name, was_held, host, means).await?;
            }
        }
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

async fn reinstall(
    package: &PackageBefore,
    version: &str,
    state: &State,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let name = &package.name;
    match package.manager {
        PackageManager::Apt => apt::reinstall(name, version, host, means).await,
        PackageManager::Dnf => dnf::reinstall(name, version, host, means).await,
        PackageManager::Apk => apk::reinstall(name, version, host, means).await,
        PackageManager::Snap => {
            let channel = package.was_on.as_deref().unwrap_or("latest/stable");
            match state {
                State::Installed(_) => snap::follow(name, channel, host, means).await,
                State::Missing | State::Broken(_) => {
                    let mut spec = spec(package);
                    spec.snap = Some(SnapSpec {
                        channel: Some(channel.to_owned()),
                        classic: false,
                    });
                    snap::install(&spec, false, host, means).await
                }
            }
        }
    }
}
