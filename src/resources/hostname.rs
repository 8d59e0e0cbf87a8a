//! The node's own name: in `/etc/hostname` (hostname(5)) for the next boot, and in the running kernel.
//!
//! Whether the name leads to an address is another matter: see [`hosts`](super::hosts).

use super::edit::write_public;
use super::exec::{look, look_well};
use super::undo::Back;
use super::{Difference, Means, ResourceError};
use crate::domain::resource::HostnameSpec;
use crate::domain::undo::{Before, HostnameBefore};
use crate::transport::{Command, Exit, Host};

const PATH: &str = "/etc/hostname";

/// What the node calls itself.
#[derive(Debug, PartialEq, Eq)]
struct Names {
    /// In `/etc/hostname`; `None` when there is no such file or no name in it.
    kept: Option<String>,
    /// In the kernel.
    running: String,
}

async fn observe(host: &dyn Host, means: &Means<'_>) -> Result<Names, ResourceError> {
    let file = host.read(PATH).await?.unwrap_or_default();
    let file = String::from_utf8_lossy(&file);
    let kept = file
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .map(ToOwned::to_owned);
    let running = look_well(host, ["uname", "-n"], means.cancel).await?;
    Ok(Names {
        kept,
        running: running.trim().to_owned(),
    })
}

/// What leads from `names` to `wanted`.
fn compare(names: &Names, wanted: &str, difference: &mut Difference) {
    if names.kept.as_deref() != Some(wanted) {
        let was = names.kept.as_deref().unwrap_or("none");
        difference.note(format!("name {was} → {wanted}"));
    }
    if names.running != wanted {
        difference.note(format!("running name {} → {wanted}", names.running));
    }
}

pub(super) async fn check(
    spec: &HostnameSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    check_name(&spec.name)?;
    let mut difference = Difference::default();
    compare(&observe(host, means).await?, &spec.name, &mut difference);
    Ok(difference)
}

pub(super) async fn apply(
    spec: &HostnameSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    check_name(&spec.name)?;
    set(&spec.name, host, means).await
}

async fn set(name: &str, host: &dyn Host, means: &Means<'_>) -> Result<(), ResourceError> {
    let names = observe(host, means).await?;
    if names.kept.as_deref() != Some(name) {
        write_public(PATH, format!("{name}\n"), host, means).await?;
    }
    if names.running != name {
        // In the package hostname or in BusyBox; without either, the kernel takes it as a parameter.
        let command = Command::new(["hostname", name]);
        let output = look(host, &command, means.cancel).await?;
        if output.exit == Exit::Code(127) {
            let parameter = format!("kernel.hostname={name}");
            look_well(host, ["sysctl", "-w", &parameter], means.cancel).await?;
        } else if !output.exit.success() {
            return Err(ResourceError::Failed {
                command: command.shell_line(),
                exit: output.exit.to_string(),
                complaint: output.complaint(),
            });
        }
    }
    Ok(())
}

/// hostname(7): labels of letters, digits and dashes, at most 64 characters in all.
fn check_name(name: &str) -> Result<(), ResourceError> {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if name.len() <= 64 && name.split('.').all(label) {
        return Ok(());
    }
    Err(ResourceError::Unfit(format!(
        "{name:?} is no host name: it has letters, digits and dashes, begins and ends with none of those, and at most 64 \
         characters"
    )))
}

pub(super) async fn remember(
    spec: &HostnameSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Before, ResourceError> {
    let names = observe(host, means).await?;
    Ok(Before::Hostname(HostnameBefore {
        was: names.kept.unwrap_or(names.running),
        left: spec.name.clone(),
    }))
}

pub(super) async fn check_undo(
    before: &HostnameBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Back, ResourceError> {
    let names = observe(host, means).await?;
    let mut back = Back::default();
    compare(&names, &before.was, &mut back.difference);
    let known = [Some(&before.was), Some(&before.left)];
    if !known.contains(&names.kept.as_ref()) {
        let now = names.kept.as_deref().unwrap_or("none");
        back.refused = Some(format!(
            "the name is {now} now, the run left {}",
            before.left
        ));
    }
    Ok(back)
}

pub(super) async fn take_back(
    before: &HostnameBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    set(&before.was, host, means).await
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::testing::{TempHost, ensure, look_back, says, take_back};
    use super::*;
    use crate::domain::resource::Resource;

    /// A host whose kernel takes a name.
    fn named(running: &str) -> TempHost {
        let name = Arc::new(Mutex::new(running.to_owned()));
        let host = TempHost::scripted(move |command| match command {
            "uname -n" => says(&format!("{}\n", name.lock().unwrap())),
            set => {
                *name.lock().unwrap() = set.strip_prefix("hostname ")?.to_owned();
                says("")
            }
        });
        host.put("/etc/hostname", "localhost\n");
        host
    }

    fn declared(name: &str) -> Resource {
        Resource::Hostname(HostnameSpec { name: name.into() })
    }

    #[tokio::test]
    async fn a_name_is_given_to_the_kernel_and_kept_and_taken_back() {
        let host = named("localhost");
        assert_eq!(
            ensure(&declared("pc1"), &host).await.unwrap(),
            ["name localhost → pc1", "running name localhost → pc1"]
        );
        let file = host.path("/etc/hostname");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "pc1\n");
        take_back(&host).await.unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "localhost\n");
    }

    #[tokio::test]
    async fn a_name_that_somebody_gave_since_is_not_taken_back() {
        let host = named("localhost");
        ensure(&declared("pc1"), &host).await.unwrap();
        host.put("/etc/hostname", "other\n");
        let back = look_back(&host.records().all()[0], &host).await;
        assert_eq!(
            back.refused.unwrap(),
            "the name is other now, the run left pc1"
        );
    }

    #[test]
    fn names_that_no_host_may_have_are_refused() {
        for bad in ["", "a b", "-a", "a-", "a..b", "a_b", &"x".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        assert!(check_name("pc-1.lan").is_ok());
    }
}
