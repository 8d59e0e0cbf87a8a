//! A module of the kernel: loaded now, at boot (modules-load.d(5)), and with which parameters (modprobe.d(5)).
//!
//! A module that is built into the kernel counts as loaded. Parameters count at the next load: what is in use is not
//! unloaded for them, and the log says so.

use super::exec::{look, look_well, succeeds};
use super::setting;
use super::{Difference, Means, ResourceError, file};
use crate::domain::resource::{FileSpec, KernelModuleSpec};
use crate::domain::undo::{Before, Setting};
use crate::transport::{Command, Host};

/// What is wrong with a declaration wherever it is brought about.
pub(super) fn fault(spec: &KernelModuleSpec) -> Option<String> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if spec.name.is_empty() || spec.name.starts_with('-') || !spec.name.bytes().all(sound) {
        return Some(format!(
            "kernel_module: {:?} is no module: it has letters, digits, `_` and `-`",
            spec.name
        ));
    }
    let options = spec.options.as_deref().unwrap_or("x");
    (options.trim().is_empty() || options.contains(['\n', '\r'])).then(|| {
        format!(
            "kernel_module {}: options are one line and not empty",
            spec.name
        )
    })
}

fn sound(spec: &KernelModuleSpec) -> Result<(), ResourceError> {
    fault(spec).map_or(Ok(()), |reason| Err(ResourceError::Unfit(reason)))
}

/// The files that load it at boot, and with which parameters.
fn files(spec: &KernelModuleSpec) -> Vec<FileSpec> {
    let name = &spec.name;
    let of = |path: String, content: String| FileSpec {
        path,
        content,
        mode: "0644".into(),
        owner: "root".into(),
        group: "root".into(),
    };
    let mut files = vec![of(
        format!("/etc/modules-load.d/quarterdeck-{name}.conf"),
        format!("{name}\n"),
    )];
    files.extend(spec.options.as_ref().map(|options| {
        of(
            format!("/etc/modprobe.d/quarterdeck-{name}.conf"),
            format!("options {name} {}\n", options.trim()),
        )
    }));
    files
}

/// `loaded`, or `None`.
pub(super) async fn observe(
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<String>, ResourceError> {
    let folder = format!("/sys/module/{}", name.replace('-', "_"));
    let mut loaded = succeeds(host, ["test", "-d", &folder], means.cancel).await?;
    if !loaded {
        // Built in without parameters: there is no directory.
        let command = Command::new(["modprobe", "--show-depends", name]);
        let output = look(host, &command, means.cancel).await?;
        loaded = output.exit.success() && output.text().trim_start().starts_with("builtin");
    }
    Ok(loaded.then(|| "loaded".to_owned()))
}

pub(super) async fn bring(
    name: &str,
    loaded: bool,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let argv: &[&str] = if loaded {
        &["modprobe", name]
    } else {
        &["modprobe", "-r", name]
    };
    look_well(host, argv.iter().copied(), means.cancel).await?;
    Ok(())
}

pub(super) async fn check(
    spec: &KernelModuleSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    sound(spec)?;
    let mut difference = Difference::default();
    if observe(&spec.name, host, means).await?.is_none() {
        difference.note("not loaded → loaded");
    }
    for wanted in files(spec) {
        let file = file::check(&wanted, host, means).await?;
        if !file.is_none() {
            difference.note(format!("{}: {}", wanted.path, file.changes.join("; ")));
            difference.diff.extend(file.diff);
        }
    }
    Ok(difference)
}

pub(super) async fn apply(
    spec: &KernelModuleSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    sound(spec)?;
    let loaded = observe(&spec.name, host, means).await?.is_some();
    let mut files = files(spec);
    // The parameters must be there when it is loaded; that it is loaded at boot waits until it could be.
    let at_boot = files.remove(0);
    for options in files {
        let changes = !file::check(&options, host, means).await?.is_none();
        file::apply(&options, host, means).await?;
        if changes && loaded {
            means
                .note("it is loaded already: its parameters count when it is loaded the next time")
                .await;
        }
    }
    if !loaded {
        bring(&spec.name, true, host, means).await?;
    }
    file::apply(&at_boot, host, means).await
}

pub(super) async fn remember(
    spec: &KernelModuleSpec,
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Before, ResourceError> {
    let mut kept = Vec::new();
    for (wanted, number) in files(spec).iter().zip(0..) {
        let name = format!("{name}-{number}");
        if !file::check(wanted, host, means).await?.is_none() {
            kept.push(file::undo::remember(wanted, &name, host, means).await?);
        }
    }
    let setting = Setting::KernelModule {
        name: spec.name.clone(),
    };
    setting::record(setting, kept, Some("loaded".into()), host, means).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::testing::{Answer, TempHost, ensure, fails, says, take_back};
    use super::*;
    use crate::domain::resource::Resource;

    fn host() -> (TempHost, Arc<AtomicBool>) {
        let loaded = Arc::new(AtomicBool::new(false));
        let kernel = Arc::clone(&loaded);
        let host = TempHost::scripted(move |line| -> Option<Answer> {
            match line {
                "test -d /sys/module/br_netfilter" if kernel.load(Ordering::Relaxed) => says(""),
                "modprobe br-netfilter" => {
                    kernel.store(true, Ordering::Relaxed);
                    says("")
                }
                "modprobe -r br-netfilter" => {
                    kernel.store(false, Ordering::Relaxed);
                    says("")
                }
                "modprobe --show-depends loop" => says("builtin loop\n"),
                _ if line.starts_with("test -d /sys/module/") => fails(1, ""),
                _ if line.starts_with("modprobe") => fails(1, "FATAL: Module not found."),
                _ => None,
            }
        });
        host.put("/etc/modules-load.d/x", "");
        host.put("/etc/modprobe.d/x", "");
        (host, loaded)
    }

    fn declared(name: &str, options: Option<&str>) -> Resource {
        Resource::KernelModule(KernelModuleSpec {
            name: name.into(),
            options: options.map(Into::into),
        })
    }

    #[tokio::test]
    async fn a_module_is_loaded_now_and_at_boot_and_taken_back() {
        let (host, loaded) = host();
        let changes = ensure(&declared("br-netfilter", Some("a=1")), &host)
            .await
            .unwrap();
        assert_eq!(changes[0], "not loaded → loaded");
        assert!(loaded.load(Ordering::Relaxed));
        let options = host.path("/etc/modprobe.d/quarterdeck-br-netfilter.conf");
        assert_eq!(
            std::fs::read_to_string(&options).unwrap(),
            "options br-netfilter a=1\n"
        );
        take_back(&host).await.unwrap();
        assert!(!loaded.load(Ordering::Relaxed) && !options.exists());
        assert!(
            !host
                .path("/etc/modules-load.d/quarterdeck-br-netfilter.conf")
                .exists()
        );
    }

    #[tokio::test]
    async fn what_is_built_in_counts_as_loaded() {
        let (host, _) = host();
        let changes = ensure(&declared("loop", None), &host).await.unwrap();
        assert!(
            changes.iter().all(|change| !change.contains("not loaded")),
            "{changes:?}"
        );
    }

    #[tokio::test]
    async fn a_module_that_does_not_exist_is_not_asked_for_at_boot() {
        let (host, _) = host();
        let error = ensure(&declared("nothing", None), &host).await.unwrap_err();
        assert!(error.to_string().contains("Module not found"), "{error}");
        assert!(
            !host
                .path("/etc/modules-load.d/quarterdeck-nothing.conf")
                .exists()
        );
    }
}
