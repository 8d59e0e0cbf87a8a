//! A directory with a declared mode and owner. What is in it is left alone.

use super::exec::look_well;
use super::stat::{self, Kind};
use super::{Difference, Means, ResourceError};
use crate::domain::recipe::DirectorySpec;
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

#[cfg(test)]
mod tests {
    use super::super::testing::{TempHost, differences, ensure};
    use super::*;
    use crate::domain::recipe::Resource;

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
