//! A swap file of a size: in use now and, by `/etc/fstab`, after a boot.
//!
//! The file is prepared under another name and moved into place when it is whole: a connection that is cut leaves no half
//! swap file, only one more to be overwritten. Source: mkswap(8), swapon(8).

use std::time::Duration;

use super::edit;
use super::exec::{look_well, perform};
use super::fstab::{Entry, escaped, plain};
use super::stat::{self, Kind};
use super::{Difference, Means, ResourceError, setting};
use crate::domain::resource::{Presence, SwapSpec};
use crate::domain::undo::{Before, Setting};
use crate::transport::{Command, Host};

/// Writing the file takes time where the file system cannot reserve room.
const MAKE_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Taking it out of use reads back what is in it.
const OFF_LIMIT: Duration = Duration::from_secs(10 * 60);
/// Makes a swap file of `$2` MiB at `$1`, prepared as `$3`.
const MAKE: &str = r#"umask 077; rm -f -- "$3" && { fallocate -l "$2"M -- "$3" 2>/dev/null ||
dd if=/dev/zero of="$3" bs=1048576 count="$2" 2>/dev/null; } && chmod 0600 -- "$3" && mkswap "$3" >/dev/null &&
mv -fT -- "$3" "$1""#;

/// What is wrong with a declaration wherever it is brought about.
pub(super) fn fault(spec: &SwapSpec) -> Option<String> {
    if spec.state.is_present() {
        spec.bytes().err().map(|reason| format!("swap: {reason}"))
    } else {
        None
    }
}

fn entry(path: &str, present: bool) -> Entry {
    let value = escaped(path);
    Entry {
        line: present.then(|| format!("{value} none swap sw 0 0")),
        field: 0,
        value,
    }
}

/// Whether it is in use, as `/proc/swaps` says.
async fn is_on(path: &str, host: &dyn Host, means: &Means<'_>) -> Result<bool, ResourceError> {
    let swaps = look_well(host, ["cat", "/proc/swaps"], means.cancel).await?;
    let mut names = swaps
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    Ok(names.any(|name| plain(name) == path))
}

/// The size in bytes of the file that is in use; `None` when there is none or it is not in use.
pub(super) async fn observe(
    path: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<String>, ResourceError> {
    let seen = stat::see(path, host, means).await?;
    let file = seen.filter(|seen| seen.kind == Kind::File);
    match file {
        Some(file) if is_on(path, host, means).await? => Ok(Some(file.size.to_string())),
        _ => Ok(None),
    }
}

fn wanted(spec: &SwapSpec) -> Result<Option<u64>, ResourceError> {
    if spec.state == Presence::Absent {
        return Ok(None);
    }
    spec.bytes().map(Some).map_err(ResourceError::Unfit)
}

pub(super) async fn check(
    spec: &SwapSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    let wanted = wanted(spec)?.map(|bytes| bytes.to_string());
    let now = observe(&spec.path, host, means).await?;
    let mut difference = Difference::default();
    let there = stat::see(&spec.path, host, means).await?;
    match (&now, &wanted) {
        (now, wanted) if now == wanted => {
            if wanted.is_none() && there.is_some() {
                difference.note("not in use, but there → removed");
            }
        }
        (Some(now), None) => difference.note(format!("{} MiB in use → off, removed", mib(now))),
        (None, Some(wanted)) => difference.note(format!("not in use → {} MiB", mib(wanted))),
        (Some(now), Some(wanted)) => {
            difference.note(format!("{} MiB → {} MiB", mib(now), mib(wanted)));
        }
        (None, None) => {}
    }
    let kept = edit::check(&entry(&spec.path, wanted.is_some()), host, means).await?;
    if !kept.is_none() {
        difference.note(format!("/etc/fstab: {}", kept.changes.join("; ")));
        difference.diff = kept.diff;
    }
    Ok(difference)
}

fn mib(bytes: &str) -> u64 {
    bytes.parse::<u64>().unwrap_or(0) >> 20
}

pub(super) async fn apply(
    spec: &SwapSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let wanted = wanted(spec)?.map(|bytes| bytes.to_string());
    if observe(&spec.path, host, means).await? != wanted || wanted.is_none() {
        bring(&spec.path, wanted.as_deref(), host, means).await?;
    }
    edit::apply(&entry(&spec.path, wanted.is_some()), host, means).await
}

/// Brings about a swap file of so many bytes that is in use, or none.
pub(super) async fn bring(
    path: &str,
    bytes: Option<&str>,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    stat::check_path(path)?;
    let seen = stat::see(path, host, means).await?;
    if let Some(seen) = &seen
        && seen.kind != Kind::File
    {
        return Err(ResourceError::Unfit(format!(
            "{path} is a {} on the node, not a swap file: name another path",
            seen.kind.word()
        )));
    }
    let on = is_on(path, host, means).await?;
    let size = seen.as_ref().map(|seen| seen.size.to_string());
    if on && (bytes.is_none() || size.as_deref() != bytes) {
        let off = Command::new(["swapoff", path]).within(OFF_LIMIT);
        perform(host, &off, means).await?;
    }
    let Some(bytes) = bytes else {
        look_well(host, ["rm", "-f", "--", path], means.cancel).await?;
        return Ok(());
    };
    if on && size.as_deref() == Some(bytes) {
        return Ok(());
    }
    let (mib, next) = (mib(bytes).to_string(), format!("{path}.quarterdeck-part"));
    let make = Command::new(["sh", "-c", MAKE, "sh", path, &mib, &next]).within(MAKE_LIMIT);
    perform(host, &make, means).await?;
    perform(host, &Command::new(["swapon", path]), means).await
}

pub(super) async fn remember(
    spec: &SwapSpec,
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Before, ResourceError> {
    let left = wanted(spec)?.map(|bytes| bytes.to_string());
    let entry = entry(&spec.path, left.is_some());
    let fstab = edit::remember(&entry, name, host, means).await?;
    let path = spec.path.clone();
    setting::record(
        Setting::Swap { path },
        [fstab.map(Before::File)],
        left,
        host,
        means,
    )
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::testing::{Answer, TempHost, ensure, says, take_back};
    use super::*;
    use crate::domain::resource::Resource;

    /// A host whose kernel believes what it is told; `mkswap` is not asked.
    fn host() -> (TempHost, Arc<Mutex<Vec<String>>>) {
        let on: Arc<Mutex<Vec<String>>> = Arc::default();
        let kernel = Arc::clone(&on);
        let host = TempHost::scripted(move |line| -> Option<Answer> {
            let mut on = kernel.lock().unwrap();
            if line == "cat /proc/swaps" {
                let rows: Vec<String> = on
                    .iter()
                    .map(|path| format!("{path} file 1 0 -2"))
                    .collect();
                return says(&format!(
                    "Filename Type Size Used Priority\n{}\n",
                    rows.join("\n")
                ));
            }
            if let Some(path) = line.strip_prefix("swapon ") {
                on.push(path.to_owned());
                return says("");
            }
            if let Some(path) = line.strip_prefix("swapoff ") {
                on.retain(|known| known != path);
                return says("");
            }
            None
        });
        host.put("/etc/fstab", "UUID=1 / ext4 defaults 0 1\n");
        (host, on)
    }

    fn declared(size: Option<&str>) -> Resource {
        Resource::Swap(SwapSpec {
            path: "/swapfile".into(),
            size: size.map(Into::into),
            state: if size.is_some() {
                Presence::Present
            } else {
                Presence::Absent
            },
        })
    }

    fn fstab(host: &TempHost) -> String {
        std::fs::read_to_string(host.path("/etc/fstab")).unwrap()
    }

    #[tokio::test]
    async fn a_swap_file_is_made_grows_and_goes() {
        let (host, on) = host();
        let changes = ensure(&declared(Some("1M")), &host).await.unwrap();
        assert_eq!(changes, ["not in use → 1 MiB", "/etc/fstab: 1 line added"]);
        assert!(fstab(&host).ends_with("/swapfile none swap sw 0 0\n"));
        let changes = ensure(&declared(Some("2M")), &host).await.unwrap();
        assert_eq!(changes, ["1 MiB → 2 MiB"]);
        assert_eq!(
            std::fs::metadata(host.path("/swapfile")).unwrap().len(),
            2 << 20
        );
        assert!(!host.path("/swapfile.quarterdeck-part").exists());
        ensure(&declared(None), &host).await.unwrap();
        assert!(on.lock().unwrap().is_empty() && !host.path("/swapfile").exists());
        assert_eq!(fstab(&host), "UUID=1 / ext4 defaults 0 1\n");
    }

    #[tokio::test]
    async fn taking_it_back_leaves_no_file_and_no_entry() {
        let (host, on) = host();
        ensure(&declared(Some("1M")), &host).await.unwrap();
        take_back(&host).await.unwrap();
        assert!(on.lock().unwrap().is_empty() && !host.path("/swapfile").exists());
        assert_eq!(fstab(&host), "UUID=1 / ext4 defaults 0 1\n");
    }
}
