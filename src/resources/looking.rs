//! A host that can only be looked at: what [`super::check`] gets instead of the host itself.
//!
//! That comparing changes nothing is not left to the care of each resource. Files can be read and not written, and of
//! commands only those pass that are listed here, each of which only looks whatever its arguments are. A check that needs
//! another command fails in its own tests, where this list is what has to be read and changed.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::domain::resource::Resource;
use crate::transport::{ChunkSink, Command, Exit, FileMeta, Host, Progress, ReachError, Source};

/// The beginnings of commands that only look.
const LOOKS: &[&[&str]] = &[
    &["apk", "info"],
    &["cat"],
    &["dnf", "-q", "versionlock", "list"],
    &["docker", "--version"],
    &["docker", "container", "inspect"],
    &["dpkg-query"],
    &["env", "LC_ALL=C", "snap", "list"],
    &["getent"],
    &["id"],
    &["modprobe", "--show-depends"],
    &["needs-restarting", "-r"],
    &["podman", "--version"],
    &["podman", "container", "inspect"],
    &["readlink"],
    &["sha256sum"],
    &["stat"],
    &["systemctl", "show"],
    &["test"],
    &["ufw", "show", "added"],
    &["ufw", "status"],
    &["uname", "-n"],
];

/// Whether these are whole commands that only look, and would not with other words behind them: `date` sets the clock with
/// `-s`, and `sysctl -n` an assignment.
fn is_whole_look(argv: &[&str]) -> bool {
    match argv {
        ["date", "+%s"] => true,
        ["sysctl", "-n", key] => !key.starts_with('-') && !key.contains('='),
        ["rpm", "-q", "--queryformat", _, name] => !name.starts_with('-'),
        _ => false,
    }
}

/// Scripts that only look: the whole text counts.
const SCRIPTS: &[&str] = &[super::accounts::EXPIRY, super::firewall::CONNECTION];

/// See the module.
#[derive(Debug)]
pub(super) struct Looking<'a> {
    host: &'a dyn Host,
    /// What the operator's own declaration says that it only looks.
    unless: &'a [String],
}

impl<'a> Looking<'a> {
    /// `host`, to be compared with `resource`. Of a command resource, its `unless` passes too: that it only looks is what it is
    /// declared for.
    pub(super) fn at(host: &'a dyn Host, resource: &'a Resource) -> Self {
        let unless = match resource {
            Resource::Command(command) => command.unless.as_slice(),
            _ => &[],
        };
        Self { host, unless }
    }

    fn admits(&self, command: &Command) -> bool {
        let argv: Vec<&str> = command.argv.iter().map(String::as_str).collect();
        let looks = LOOKS.iter().any(|look| argv.starts_with(look)) || is_whole_look(&argv);
        let script = match argv.as_slice() {
            ["sh", "-c", script, ..] => SCRIPTS.contains(script),
            // The supervisor's own script, on hosts without systemd.
            [script, "status"] => script.starts_with(super::supervised::ROOT),
            _ => false,
        };
        let declared = !self.unless.is_empty() && command.argv == self.unless;
        looks || script || declared
    }

    fn refused(&self, what: &str) -> ReachError {
        ReachError::Refused {
            hop: self.host.name().to_owned(),
            reason: format!("{what} while only looking"),
        }
    }
}

#[async_trait]
impl Host for Looking<'_> {
    fn name(&self) -> &str {
        self.host.name()
    }

    async fn ready(&self) -> Result<(), ReachError> {
        self.host.ready().await
    }

    async fn stream(
        &self,
        command: &Command,
        sink: &mut dyn ChunkSink,
        cancel: &CancellationToken,
    ) -> Result<Exit, ReachError> {
        if !self.admits(command) {
            let what = format!("{} is not run", command.shell_line());
            return Err(self.refused(&what));
        }
        self.host.stream(command, sink, cancel).await
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, ReachError> {
        self.host.read(path).await
    }

    async fn write(
        &self,
        path: &str,
        _: Source,
        _: &FileMeta,
        _: Progress<'_>,
        _: &CancellationToken,
    ) -> Result<(), ReachError> {
        Err(self.refused(&format!("{path} is not written")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::resource::{CommandSpec, DirectorySpec};
    use crate::resources::testing::TempHost;

    fn argv(words: &[&str]) -> Command {
        Command::new(words.iter().copied())
    }

    #[tokio::test]
    async fn nothing_is_written_and_nothing_unknown_is_run() {
        let host = TempHost::new();
        let resource: Resource =
            serde_json::from_str(r#"{"directory": {"path": "/srv/data"}}"#).unwrap();
        assert!(matches!(
            resource,
            Resource::Directory(DirectorySpec { .. })
        ));
        let looking = Looking::at(&host, &resource);
        for words in [
            &["rm", "-rf", "/"][..],
            &["systemctl", "restart", "a"],
            &["sysctl", "-w", "a=1"],
            &["sysctl", "-n", "a=1"],
            &["sysctl", "-n", "a", "-w", "a=1"],
            &["sysctl", "-n", "--system"],
            &["date", "+%s", "-s", "tomorrow"],
            &["rpm", "-q", "--queryformat", "%{NAME}", "--pipe=sh"],
            &["sh", "-c", "true"],
            &["/var/tmp/evil", "status"],
            &["mkdir", "/srv/data"],
            &["docker", "run", "a"],
            &["ufw", "allow", "22"],
        ] {
            let refused = looking.output(&argv(words)).await.unwrap_err();
            assert!(
                refused.to_string().contains("while only looking"),
                "{refused}"
            );
        }
        for words in [&["date", "+%s"][..], &["sysctl", "-n", "vm.swappiness"]] {
            assert!(looking.admits(&argv(words)), "{words:?}");
        }
        let meta = FileMeta {
            mode: 0o644,
            owner: host.user.clone(),
            group: host.group.clone(),
        };
        let bytes = Source::Bytes("x".into());
        let cancel = CancellationToken::new();
        let written = looking.write("/a", bytes, &meta, &|_, _| {}, &cancel).await;
        assert!(written.is_err());
        assert_eq!(looking.read("/a").await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_condition_that_a_command_declares_passes_and_the_command_does_not() {
        let command: CommandSpec =
            serde_json::from_str(r#"{"argv": ["touch", "/a"], "unless": ["true", "-x"]}"#).unwrap();
        let resource = Resource::Command(command);
        let host = TempHost::new();
        let looking = Looking::at(&host, &resource);
        assert!(looking.admits(&argv(&["true", "-x"])));
        assert!(!looking.admits(&argv(&["true"])));
        assert!(!looking.admits(&argv(&["touch", "/a"])));
    }
}
