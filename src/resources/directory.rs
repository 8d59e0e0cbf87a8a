//! A directory with a declared mode and owner. What is in it is left alone.

use super::exec::look_well;
use super::stat::{self, Kind};
use super::undo::{Back, missing_directories, remove_empty};
use super::{Difference, Means, ResourceError};
use crate::domain::resource::DirectorySpec;
use crate::domain::undo::{Before, DirectoryBefore, Owned};
use crate::transport::Host;

pub(super) async fn check(
    spec: &DirectorySpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    let mode = stat::parse_mode(&spec.mode)?;
    let mut difference = Difference::default();
    match stat::see(&spec.path, host, means).await? {
        None => difference.note(format!(
            "does not exist → {mode:04o} {}:{}",
            spec.owner, spec.group
        )),
        Some(seen) if seen.kind != Kind::Directory => {
            difference.note(format!("{} → directory", seen.kind.word()));
        }
        Some(seen) => {
            stat::compare_meta(&seen, mode, &spec.owner, &spec.group, &mut difference);
        }
    }
    Ok(difference)
}

pub(super) async fn apply(
    spec: &DirectorySpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let mode = stat::parse_mode(&spec.mode)?;
    let seen = stat::see(&spec.path, host, means).await?;
    match &seen {
        None => {
            look_well(host, ["mkdir", "-p", &spec.path], means.cancel).await?;
        }
        Some(seen) if seen.kind != Kind::Directory => {
            return Err(ResourceError::Unfit(format!(
                "{} is a {} on the node, not a directory: move it away first",
                spec.path,
                seen.kind.word()
            )));
        }
        Some(_) => {}
    }
    stat::set_meta(
        &spec.path,
        seen.as_ref(),
        mode,
        &spec.owner,
        &spec.group,
        host,
        means,
    )
    .await
}

fn owned(seen: &stat::Seen) -> Owned {
    Owned {
        mode: seen.mode,
        user: seen.owner.clone(),
        group: seen.group.clone(),
    }
}

/// What is there before it is made or changes hands; `None` for what [`apply`] will refuse.
pub(super) async fn remember(
    spec: &DirectorySpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<Before>, ResourceError> {
    let left = Owned {
        mode: stat::parse_mode(&spec.mode)?,
        user: spec.owner.clone(),
        group: spec.group.clone(),
    };
    let (was, made) = match stat::see(&spec.path, host, means).await? {
        Some(seen) if seen.kind != Kind::Directory => return Ok(None),
        Some(seen) => (Some(owned(&seen)), Vec::new()),
        None => (None, missing_directories(&spec.path, host, means).await?),
    };
    Ok(Some(Before::Directory(DirectoryBefore {
        path: spec.path.clone(),
        was,
        made,
        left,
    })))
}

pub(super) async fn check_undo(
    before: &DirectoryBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Back, ResourceError> {
    let mut back = Back::default();
    let seen = stat::see(&before.path, host, means).await?;
    match (&before.was, seen) {
        (None, None) => {}
        (_, Some(seen)) if seen.kind != Kind::Directory => {
            back.difference.note("a directory again");
            back.refused = Some(format!("it is a {} now", seen.kind.word()));
        }
        (None, Some(_)) => back.difference.note("removed, where it is empty by then"),
        (Some(_), None) => {
            back.difference.note("a directory again");
            back.refused = Some("it was removed since".into());
        }
        (Some(was), Some(seen)) => {
            stat::compare_meta(&seen, was.mode, &was.user, &was.group, &mut back.difference);
            let (left, now) = (&before.left, owned(&seen));
            let sound = [left.mode, was.mode].contains(&now.mode)
                && [&left.user, &was.user].contains(&&now.user)
                && [&left.group, &was.group].contains(&&now.group);
            if !sound {
                back.refused = Some(format!(
                    "it is {:04o} {}:{} now, the run left {:04o} {}:{}",
                    now.mode, now.user, now.group, left.mode, left.user, left.group
                ));
            }
        }
    }
    Ok(back)
}

/// Removes what was made, where it is empty: what came into it since belongs to somebody else.
pub(super) async fn take_back(
    before: &DirectoryBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let Some(was) = &before.was else {
        return remove_empty(&before.made, host, means).await;
    };
    let seen = stat::see(&before.path, host, means).await?;
    match &seen {
        None => {
            look_well(host, ["mkdir", "-p", &before.path], means.cancel).await?;
        }
        Some(seen) if seen.kind != Kind::Directory => {
            return Err(ResourceError::Unfit(format!(
                "{} is a {} on the node: move it away first",
                before.path,
                seen.kind.word()
            )));
        }
        Some(_) => {}
    }
    stat::set_meta(
        &before.path,
        seen.as_ref(),
        was.mode,
        &was.user,
        &was.group,
        host,
        means,
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::super::testing::{TempHost, differences, ensure};
    use super::*;
    use crate::domain::resource::Resource;

    fn declared(host: &TempHost, path: &str, mode: &str) -> Resource {
        Resource::Directory(DirectorySpec {
            path: path.into(),
            mode: mode.into(),
            owner: host.user.clone(),
            group: host.group.clone(),
        })
    }

    #[tokio::test]
    async fn a_missing_directory_is_made_with_its_parents_and_then_needs_nothing() {
        let host = TempHost::new();
        let resource = declared(&host, "/srv/a/b", "0750");
        let changes = ensure(&resource, &host).await.unwrap();
        assert_eq!(
            changes,
            [format!(
                "does not exist → 0750 {}:{}",
                host.user, host.group
            )]
        );
        assert!(host.path("/srv/a/b").is_dir());
        assert_eq!(
            differences(&resource, &host).await.unwrap(),
            [] as [&str; 0]
        );
    }

    #[tokio::test]
    async fn another_mode_is_set_without_touching_the_content() {
        let host = TempHost::new();
        std::fs::create_dir_all(host.path("/srv")).unwrap();
        std::fs::write(host.path("/srv/kept"), "x").unwrap();
        ensure(&declared(&host, "/srv", "0700"), &host)
            .await
            .unwrap();
        let changes = ensure(&declared(&host, "/srv", "0755"), &host)
            .await
            .unwrap();
        assert_eq!(changes, ["mode 0700 → 0755"]);
        assert!(host.path("/srv/kept").is_file());
    }

    #[tokio::test]
    async fn a_file_in_the_way_is_left_there_and_told() {
        let host = TempHost::new();
        std::fs::write(host.path("/srv"), "precious").unwrap();
        let resource = declared(&host, "/srv", "0755");
        assert_eq!(
            differences(&resource, &host).await.unwrap(),
            ["file → directory"]
        );
        let error = ensure(&resource, &host).await.unwrap_err().to_string();
        assert!(
            error.contains("/srv is a file on the node, not a directory"),
            "{error}"
        );
        assert!(host.path("/srv").is_file());
    }
}
