//! A parameter of the kernel: its value now, and the line of a file in `/etc/sysctl.d` that sets it at boot.
//!
//! Values are compared word by word: the kernel separates the words of one value by tabs. Source: sysctl(8), sysctl.d(5).

use super::edit;
use super::exec::{look, look_well};
use super::setting;
use super::{Difference, Means, ResourceError};
use crate::domain::resource::{LineSpec, Presence, SysctlSpec};
use crate::domain::undo::{Before, Setting};
use crate::transport::{Command, Host};

/// What is wrong with a declaration wherever it is brought about.
pub(super) fn fault(spec: &SysctlSpec) -> Option<String> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    if spec.key.is_empty() || spec.key.starts_with('-') || !spec.key.bytes().all(sound) {
        return Some(format!(
            "sysctl: {:?} is no parameter: write it with dots, such as net.ipv4.ip_forward",
            spec.key
        ));
    }
    if spec.value.trim().is_empty() || spec.value.contains(['\n', '\r']) {
        return Some(format!(
            "sysctl {}: the value is one line and not empty",
            spec.key
        ));
    }
    None
}

fn sound(spec: &SysctlSpec) -> Result<(), ResourceError> {
    fault(spec).map_or(Ok(()), |reason| Err(ResourceError::Unfit(reason)))
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The line of the file.
fn line(spec: &SysctlSpec) -> LineSpec {
    LineSpec {
        path: spec.file.clone(),
        line: Some(format!("{} = {}", spec.key, words(&spec.value))),
        regexp: Some(format!(r"^\s*-?{}\s*=", regex::escape(&spec.key))),
        state: Presence::Present,
        insert_after: None,
        insert_before: None,
        create: true,
    }
}

/// The value now; `None` when the kernel does not know the parameter.
pub(super) async fn observe(
    key: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<String>, ResourceError> {
    let output = look(host, &Command::new(["sysctl", "-n", key]), means.cancel).await?;
    Ok(output.exit.success().then(|| words(&output.text())))
}

pub(super) async fn set(
    key: &str,
    value: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let setting = format!("{key}={value}");
    look_well(host, ["sysctl", "-w", &setting], means.cancel).await?;
    Ok(())
}

pub(super) async fn check(
    spec: &SysctlSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    sound(spec)?;
    let wanted = words(&spec.value);
    let mut difference = Difference::default();
    match observe(&spec.key, host, means).await? {
        Some(now) if now == wanted => {}
        Some(now) => difference.note(format!("{now} → {wanted}")),
        None => difference.note(format!("not known to the kernel yet → {wanted}")),
    }
    let kept = edit::check(&line(spec), host, means).await?;
    if !kept.is_none() {
        difference.note(format!("{}: {}", spec.file, kept.changes.join("; ")));
        difference.diff = kept.diff;
    }
    Ok(difference)
}

pub(super) async fn apply(
    spec: &SysctlSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    sound(spec)?;
    let wanted = words(&spec.value);
    if observe(&spec.key, host, means).await?.as_deref() != Some(wanted.as_str()) {
        set(&spec.key, &wanted, host, means).await?;
    }
    edit::apply(&line(spec), host, means).await
}

pub(super) async fn remember(
    spec: &SysctlSpec,
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Before, ResourceError> {
    let file = edit::remember(&line(spec), name, host, means).await?;
    let key = spec.key.clone();
    let left = Some(words(&spec.value));
    setting::record(
        Setting::Sysctl { key },
        [file.map(Before::File)],
        left,
        host,
        means,
    )
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::testing::{Answer, TempHost, ensure, fails, says, take_back};
    use super::*;
    use crate::domain::resource::Resource;

    /// A host whose kernel has one parameter.
    fn host(value: &str) -> (TempHost, Arc<Mutex<String>>) {
        let value = Arc::new(Mutex::new(value.to_owned()));
        let kernel = Arc::clone(&value);
        let host = TempHost::scripted(move |line| -> Option<Answer> {
            if line == "sysctl -n net.ipv4.tcp_rmem" {
                return says(&format!("{}\n", kernel.lock().unwrap()));
            }
            if line.starts_with("sysctl -n") {
                return fails(255, "sysctl: cannot stat");
            }
            let set = line.strip_prefix("sysctl -w ")?.trim_matches('\'');
            let (key, value) = set.split_once('=')?;
            if key != "net.ipv4.tcp_rmem" || value.contains("bad") {
                return fails(255, "sysctl: setting key: Invalid argument");
            }
            *kernel.lock().unwrap() = value.replace(' ', "\t");
            says("")
        });
        host.put("/etc/sysctl.d/README.sysctl", "");
        (host, value)
    }

    fn declared(key: &str, value: &str) -> Resource {
        Resource::Sysctl(SysctlSpec {
            key: key.into(),
            value: value.into(),
            file: "/etc/sysctl.d/90-quarterdeck.conf".into(),
        })
    }

    #[tokio::test]
    async fn a_parameter_is_set_now_and_kept_and_taken_back() {
        let (host, kernel) = host("4096\t87380\t6291456");
        let resource = declared("net.ipv4.tcp_rmem", "4096 87380 16777216");
        let changes = ensure(&resource, &host).await.unwrap();
        assert_eq!(changes[0], "4096 87380 6291456 → 4096 87380 16777216");
        let file = host.path("/etc/sysctl.d/90-quarterdeck.conf");
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            "net.ipv4.tcp_rmem = 4096 87380 16777216\n"
        );
        take_back(&host).await.unwrap();
        assert_eq!(*kernel.lock().unwrap(), "4096\t87380\t6291456");
        assert!(!file.exists());
    }

    #[tokio::test]
    async fn what_the_kernel_refuses_is_not_kept_for_the_next_boot() {
        let (host, _) = host("1");
        let error = ensure(&declared("net.ipv4.tcp_rmem", "bad"), &host).await;
        assert!(error.unwrap_err().to_string().contains("Invalid argument"));
        assert!(!host.path("/etc/sysctl.d/90-quarterdeck.conf").exists());
    }

    #[tokio::test]
    async fn a_value_that_somebody_changed_since_is_not_overwritten() {
        let (host, kernel) = host("1");
        ensure(&declared("net.ipv4.tcp_rmem", "2"), &host)
            .await
            .unwrap();
        *kernel.lock().unwrap() = "3".into();
        let refused = take_back(&host).await.unwrap_err();
        assert_eq!(refused, "it is 3 now, the run left 2");
    }

    #[test]
    fn names_and_values_that_are_none_are_refused() {
        for (key, value) in [
            ("", "1"),
            ("-w", "1"),
            ("a b", "1"),
            ("a", ""),
            ("a", "1\nb = 2"),
        ] {
            let Resource::Sysctl(spec) = declared(key, value) else {
                unreachable!()
            };
            assert!(fault(&spec).is_some(), "{key:?} {value:?}");
        }
    }
}
