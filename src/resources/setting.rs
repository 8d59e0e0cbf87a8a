//! Settings that hold now and are kept over a boot by files: what `sysctl`, `kernel_module`, `swap` and `mount` have in
//! common, and how they are taken back.
//!
//! The running state is changed before the files: what the kernel refuses must not be what the next boot stumbles over.

use super::file;
use super::undo::Back;
use super::{Means, ResourceError, kernel_module, mount, swap, sysctl};
use crate::domain::undo::{Before, FileBefore, Setting, SettingBefore};
use crate::transport::Host;

/// How it is now; `None` where there is none of it.
async fn observe(
    setting: &Setting,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<String>, ResourceError> {
    match setting {
        Setting::Sysctl { key } => sysctl::observe(key, host, means).await,
        Setting::KernelModule { name } => kernel_module::observe(name, host, means).await,
        Setting::Swap { path } => swap::observe(path, host, means).await,
        Setting::Mount { path } => Ok(mount::observe(path, host, means)
            .await?
            .map(|mounted| mounted.text())),
    }
}

/// Brings about how it was.
async fn bring(
    before: &SettingBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let was = before.was.as_deref();
    match &before.setting {
        Setting::Sysctl { key } => match was {
            Some(value) => sysctl::set(key, value, host, means).await,
            None => Ok(()),
        },
        Setting::KernelModule { name } => {
            kernel_module::bring(name, was.is_some(), host, means).await
        }
        Setting::Swap { path } => swap::bring(path, was, host, means).await,
        Setting::Mount { path } => mount::bring(path, was, host, means).await,
    }
}

/// The record of a setting and of the files that keep it.
pub(super) async fn record(
    setting: Setting,
    files: impl IntoIterator<Item = Option<Before>>,
    left: Option<String>,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Before, ResourceError> {
    let was = observe(&setting, host, means).await?;
    let files: Vec<FileBefore> = files
        .into_iter()
        .filter_map(|before| match before {
            Some(Before::File(file)) => Some(file),
            _ => None,
        })
        .collect();
    Ok(Before::Setting(SettingBefore {
        setting,
        files,
        was,
        left,
    }))
}

pub(super) async fn check_undo(
    before: &SettingBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Back, ResourceError> {
    let mut back = Back::default();
    let now = observe(&before.setting, host, means).await?;
    let word = |state: &Option<String>| state.clone().unwrap_or_else(|| "none".into());
    // A parameter that the kernel did not know before goes with its module.
    let stays = matches!(before.setting, Setting::Sysctl { .. }) && before.was.is_none();
    if now != before.was && !stays {
        back.note(format!("{} → {}", word(&now), word(&before.was)));
        let as_left = match before.setting {
            Setting::Mount { .. } => mount::is_left(before.left.as_deref(), now.as_deref()),
            _ => now == before.left,
        };
        if !as_left {
            back.refused = Some(format!(
                "it is {} now, the run left {}",
                word(&now),
                word(&before.left)
            ));
        }
    }
    for kept in &before.files {
        let file = file::undo::check(kept, host, means).await?;
        let changes = file.difference.changes.iter();
        for change in changes {
            back.note(format!("{}: {change}", kept.path));
        }
        back.difference.diff.extend(file.difference.diff);
        if let Some(reason) = file.refused {
            back.refused
                .get_or_insert(format!("{}: {reason}", kept.path));
        }
    }
    Ok(back)
}

pub(super) async fn take_back(
    before: &SettingBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let now = observe(&before.setting, host, means).await?;
    if now != before.was {
        bring(before, host, means).await?;
    }
    for kept in before.files.iter().rev() {
        file::undo::take_back(kept, host, means).await?;
    }
    if matches!(before.setting, Setting::Mount { .. }) {
        mount::tell_systemd(host, means).await?;
    }
    Ok(())
}
