//! A group of the node. Who is in it is declared with its users.

use super::accounts::{check_name, entry, run};
use super::undo::Back;
use super::{Difference, Means, ResourceError};
use crate::domain::resource::{GroupSpec, Presence};
use crate::domain::undo::{Before, GroupBefore, GroupWas};
use crate::transport::Host;

async fn observe(
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<GroupWas>, ResourceError> {
    check_name(name)?;
    let Some(fields) = entry("group", name, host, means).await? else {
        return Ok(None);
    };
    let gid = fields.get(2).and_then(|gid| gid.parse().ok());
    let Some(gid) = gid else {
        return Err(ResourceError::Unfit(format!(
            "the node's entry of group {name} cannot be read: {:?}",
            fields.join(":")
        )));
    };
    let members = fields.get(3).map_or("", String::as_str);
    Ok(Some(GroupWas {
        gid,
        members: members
            .split(',')
            .filter(|member| !member.is_empty())
            .map(ToOwned::to_owned)
            .collect(),
    }))
}

pub(super) async fn check(
    spec: &GroupSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    let mut difference = Difference::default();
    match (
        observe(&spec.name, host, means).await?,
        spec.state,
        spec.gid,
    ) {
        (None, Presence::Present, _) => difference.note("does not exist → added"),
        (Some(is), Presence::Absent, _) => difference.note(format!("gid {} → removed", is.gid)),
        (Some(is), Presence::Present, Some(gid)) if gid != is.gid => {
            difference.note(format!("gid {} → {gid}", is.gid));
        }
        _ => {}
    }
    Ok(difference)
}

pub(super) async fn apply(
    spec: &GroupSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let is = observe(&spec.name, host, means).await?;
    let gid = spec.gid.map(|gid| gid.to_string());
    let mut argv: Vec<String> = match (is, spec.state) {
        (None, Presence::Present) => vec!["groupadd".into()],
        (Some(_), Presence::Absent) => vec!["groupdel".into()],
        (Some(is), Presence::Present) if spec.gid.is_some_and(|gid| gid != is.gid) => {
            vec!["groupmod".into()]
        }
        _ => return Ok(()),
    };
    if spec.state.is_present() {
        argv.extend(gid.into_iter().flat_map(|gid| ["--gid".into(), gid]));
        argv.extend((spec.system && argv[0] == "groupadd").then(|| "--system".into()));
    }
    argv.push(spec.name.clone());
    run(argv, host, means).await
}

pub(super) async fn remember(
    spec: &GroupSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Before, ResourceError> {
    Ok(Before::Group(GroupBefore {
        was: observe(&spec.name, host, means).await?,
        left: spec.clone(),
    }))
}

pub(super) async fn check_undo(
    before: &GroupBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Back, ResourceError> {
    let mut back = Back::default();
    let is = observe(&before.left.name, host, means).await?;
    match (&before.was, is) {
        (None, Some(_)) => back.note("removed"),
        (Some(_), None) => {
            back.note("added again");
            if before.left.state.is_present() {
                back.refused = Some("the group was removed since".into());
            }
        }
        (Some(was), Some(is)) if was.gid != is.gid => {
            back.note(format!("gid {} → {}", is.gid, was.gid));
            if before.left.gid != Some(is.gid) {
                back.refused = Some(format!(
                    "its gid is {} now, which the run did not set",
                    is.gid
                ));
            }
        }
        (None, None) | (Some(_), Some(_)) => {}
    }
    Ok(back)
}

pub(super) async fn take_back(
    before: &GroupBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let name = &before.left.name;
    let (program, was) = match (&before.was, observe(name, host, means).await?) {
        (None, Some(_)) => return run(vec!["groupdel".into(), name.clone()], host, means).await,
        (Some(was), None) => ("groupadd", was),
        (Some(was), Some(is)) if was.gid != is.gid => ("groupmod", was),
        (None, None) | (Some(_), Some(_)) => return Ok(()),
    };
    let gid = was.gid.to_string();
    let argv = [program, "--gid", &gid, name].map(ToOwned::to_owned);
    run(argv.into(), host, means).await?;
    if program == "groupadd" {
        for member in &was.members {
            let argv = ["usermod", "--append", "--groups", name, member].map(ToOwned::to_owned);
            run(argv.into(), host, means).await?;
        }
    }
    Ok(())
}
