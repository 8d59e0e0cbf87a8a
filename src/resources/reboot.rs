//! A reboot, when the node asks for one or in any case, and the wait until it is back.
//!
//! Debian and Ubuntu say so by `/run/reboot-required`, and in `reboot-required.pkgs` which packages asked; where dnf
//! rules, `needs-restarting -r` knows (dnf-utils(1)). That it is another boot is known by the kernel's boot id
//! (random(4)): a node that answers again may still be the one that is about to go down.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::exec::{look, look_well};
use super::{Difference, Means, ResourceError};
use crate::domain::resource::{RebootCause, RebootSpec};
use crate::domain::service_action::length;
use crate::transport::{Command, Exit, Host, ReachError};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Between two questions whether it is back.
const PAUSE: Duration = Duration::from_secs(2);
/// How long one question may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Long enough for the answer to leave the node, short enough not to wait for.
const REBOOT: &str =
    r"(sleep 1; systemctl reboot || reboot || shutdown -r now) >/dev/null 2>&1 </dev/null &";

/// How long the node may take.
///
/// # Errors
/// A sentence that shows how a deadline is written.
pub(super) fn deadline(spec: &RebootSpec) -> Result<Duration, String> {
    length(&spec.deadline)
        .ok()
        .filter(|limit| !limit.is_zero())
        .ok_or_else(|| {
            format!(
                "reboot: {:?} is not a deadline: write a number with a unit, such as 5m",
                spec.deadline
            )
        })
}

/// Why the node wants to be rebooted; `None` when it does not.
async fn asked(host: &dyn Host, means: &Means<'_>) -> Result<Option<String>, ResourceError> {
    let mut flag = Vec::new();
    for path in ["/run/reboot-required", "/var/run/reboot-required"] {
        if let Some(content) = host.read(path).await? {
            flag = content;
            flag.extend_from_slice(b" ");
            break;
        }
    }
    if !flag.is_empty() {
        let packages = match host.read("/run/reboot-required.pkgs").await? {
            Some(packages) => packages,
            None => host
                .read("/var/run/reboot-required.pkgs")
                .await?
                .unwrap_or_default(),
        };
        let text = String::from_utf8_lossy(&packages);
        let mut names: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .collect();
        names.sort_unstable();
        names.dedup();
        return Ok(Some(if names.is_empty() {
            "the node asks for it".into()
        } else {
            format!("asked for by {}", names.join(", "))
        }));
    }
    let command = Command::new(["needs-restarting", "-r"]);
    let output = look(host, &command, means.cancel).await?;
    // 1: a reboot is needed. 127: no such program.
    Ok((output.exit == Exit::Code(1)).then(|| "asked for by updates since it was started".into()))
}

pub(super) async fn check(
    spec: &RebootSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    deadline(spec).map_err(ResourceError::Unfit)?;
    let mut difference = Difference::default();
    match (asked(host, means).await?, spec.cause) {
        (Some(reason), _) => difference.note(format!("reboot: {reason}")),
        (None, RebootCause::Always) => difference.note("reboot"),
        (None, RebootCause::Needed) => {}
    }
    Ok(difference)
}

async fn boot_id(host: &dyn Host, means: &Means<'_>) -> Result<String, ResourceError> {
    let id = look_well(host, ["cat", BOOT_ID], means.cancel).await?;
    Ok(id.trim().to_owned())
}

pub(super) async fn apply(
    spec: &RebootSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let limit = deadline(spec).map_err(ResourceError::Unfit)?;
    let before = boot_id(host, means).await?;
    match look(host, &Command::new(["sh", "-c", REBOOT]), means.cancel).await {
        Ok(_) => {}
        // It may be gone before it could answer; whether it comes back as another boot is what counts.
        Err(error) if error.is_passing() => {}
        Err(error) => return Err(error.into()),
    }
    means
        .note(format!(
            "rebooting; it has {} s to answer again",
            limit.as_secs()
        ))
        .await;
    let begun = Instant::now();
    let mut gone = false;
    let mut last = String::from("it still is in the old boot");
    while begun.elapsed() < limit {
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = means.cancel.cancelled() => {
                return Err(ReachError::Cancelled { hop: host.name().into() }.into());
            }
        }
        let question = Command::new(["cat", BOOT_ID]).within(ANSWER_LIMIT);
        match look(host, &question, means.cancel).await {
            Ok(output) if output.exit.success() && output.text().trim() != before => {
                let seconds = begun.elapsed().as_secs();
                means
                    .note(format!(
                        "back after {seconds} s, boot {}",
                        output.text().trim()
                    ))
                    .await;
                return Ok(());
            }
            Ok(_) => {}
            Err(ReachError::Cancelled { hop }) => return Err(ReachError::Cancelled { hop }.into()),
            // Also what would last for ever elsewhere: while it goes down, a node refuses in many ways.
            Err(error) => {
                last = error.to_string();
                if !std::mem::replace(&mut gone, true) {
                    means.note(format!("gone: {last}")).await;
                }
            }
        }
    }
    Err(ResourceError::Unfit(format!(
        "it did not come back within {} s: {last}; look at its console or its power",
        limit.as_secs()
    )))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::testing::{Answer, TempHost, differences, fails, says, with_means};
    use super::*;
    use crate::domain::resource::Resource;

    /// A host that is another boot at the `wakes`th question.
    fn host(wakes: u32) -> TempHost {
        let asked = Arc::new(AtomicU32::new(0));
        TempHost::scripted(move |line| -> Option<Answer> {
            if line.starts_with("needs-restarting") {
                return fails(127, "not found");
            }
            if line.starts_with("sh -c") {
                return says("");
            }
            (line == "cat /proc/sys/kernel/random/boot_id").then(|| {
                let number = asked.fetch_add(1, Ordering::Relaxed);
                says(if number < wakes { "old\n" } else { "new\n" }).unwrap()
            })
        })
    }

    fn spec(cause: RebootCause) -> RebootSpec {
        RebootSpec {
            cause,
            deadline: "20s".into(),
        }
    }

    #[tokio::test]
    async fn it_tells_which_packages_asked_and_does_nothing_where_none_did() {
        let host = host(0);
        let resource = Resource::Reboot(spec(RebootCause::Needed));
        assert_eq!(
            differences(&resource, &host).await.unwrap(),
            [] as [&str; 0]
        );
        host.put("/run/reboot-required", "*** System restart required ***\n");
        host.put(
            "/run/reboot-required.pkgs",
            "linux-image\nlibc6\nlinux-image\n",
        );
        let changes = differences(&resource, &host).await.unwrap();
        assert_eq!(changes, ["reboot: asked for by libc6, linux-image"]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_for_another_boot_and_not_for_an_answer() {
        let host = host(4);
        let spec = spec(RebootCause::Always);
        with_means(&host, &[], async |means| apply(&spec, &host, means).await)
            .await
            .unwrap();
        let questions = host
            .ran()
            .iter()
            .filter(|line| line.starts_with("cat"))
            .count();
        assert_eq!(questions, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_does_not_come_back_is_given_up_with_what_it_said_last() {
        let host = host(1000);
        let spec = spec(RebootCause::Always);
        let ended = with_means(&host, &[], async |means| apply(&spec, &host, means).await).await;
        let error = ended.unwrap_err().to_string();
        assert_eq!(
            error,
            "it did not come back within 20 s: it still is in the old boot; look at its console or its power"
        );
    }

    #[test]
    fn a_deadline_that_is_none_is_refused() {
        for bad in ["soon", "0s", "5"] {
            let spec = RebootSpec {
                deadline: bad.into(),
                ..spec(RebootCause::Needed)
            };
            assert!(deadline(&spec).is_err(), "{bad}");
        }
    }
}
