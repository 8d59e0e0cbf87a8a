//! A command with a condition: run unless another one succeeds, or unless a path exists.

use super::exec::{look, perform, perform_detached, succeeds};
use super::{Difference, Means, ResourceError};
use crate::domain::resource::CommandSpec;
use crate::transport::{Command, Host, quote};

pub(super) async fn check(
    spec: &CommandSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    let mut difference = Difference::default();
    if let Some(path) = &spec.creates {
        super::stat::check_path(path)?;
        if succeeds(host, ["test", "-e", path], means.cancel).await? {
            return Ok(difference);
        }
        difference.note(format!("{path} does not exist → run"));
    } else if spec.unless.is_empty() {
        difference.note("has no condition → run");
    } else {
        let unless = Command::new(spec.unless.clone());
        let output = look(host, &unless, means.cancel).await?;
        if output.exit.success() {
            return Ok(difference);
        }
        difference.note(format!("{}: {} → run", quote(&spec.unless), output.exit));
    }
    Ok(difference)
}

pub(super) async fn apply(
    spec: &CommandSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    // The step's own limit of time ends it; a limit here would only be a second, hidden one.
    let command = Command::new(spec.argv.clone()).within(std::time::Duration::from_secs(24 * 3600));
    if spec.detached {
        perform_detached(host, &command, means).await
    } else {
        perform(host, &command, means).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{TempHost, differences, ensure};
    use super::*;
    use crate::domain::resource::Resource;

    #[tokio::test]
    async fn a_command_runs_until_what_it_creates_is_there() {
        let host = TempHost::new();
        let resource = Resource::Command(CommandSpec {
            detached: false,
            argv: vec!["touch".into(), "/made".into()],
            unless: Vec::new(),
            creates: Some("/made".into()),
        });
        assert_eq!(
            ensure(&resource, &host).await.unwrap(),
            ["/made does not exist → run"]
        );
        assert_eq!(
            differences(&resource, &host).await.unwrap(),
            [] as [&str; 0]
        );
    }

    #[tokio::test]
    async fn a_command_runs_unless_another_succeeds() {
        let host = TempHost::new();
        let resource = Resource::Command(CommandSpec {
            detached: false,
            argv: vec!["mkdir".into(), "/there".into()],
            unless: vec!["test".into(), "-d".into(), "/there".into()],
            creates: None,
        });
        assert_eq!(
            ensure(&resource, &host).await.unwrap(),
            ["test -d /there: exit status 1 → run"]
        );
        assert_eq!(
            differences(&resource, &host).await.unwrap(),
            [] as [&str; 0]
        );
    }

    #[tokio::test]
    async fn a_command_that_fails_says_what_it_said() {
        let host = TempHost::new();
        let resource = Resource::Command(CommandSpec {
            detached: false,
            argv: vec!["cat".into(), "/missing".into()],
            unless: Vec::new(),
            creates: Some("/made".into()),
        });
        let error = ensure(&resource, &host).await.unwrap_err().to_string();
        assert!(
            error.starts_with("cat /missing: exit status 1: cat: "),
            "{error}"
        );
    }
}
