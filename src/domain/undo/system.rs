//! What the kernel was told and what was mounted before it was changed.

use serde::{Deserialize, Serialize};

use super::FileBefore;

/// A setting that holds now, and that files keep over a boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingBefore {
    /// What it is.
    pub setting: Setting,
    /// The files that keep it, as far as the run writes them.
    pub files: Vec<FileBefore>,
    /// How it was; `None` where there was none of it.
    pub was: Option<String>,
    /// How the run leaves it; `None` when it takes it away.
    pub left: Option<String>,
}

/// A kind of setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Setting {
    /// A parameter of the kernel; its state is its value.
    Sysctl {
        /// Its name, with dots.
        key: String,
    },
    /// A module of the kernel; its state is `loaded`.
    KernelModule {
        /// Its name.
        name: String,
    },
    /// A swap file; its state is its size in bytes.
    Swap {
        /// Its path.
        path: String,
    },
    /// A mounted directory; its state is source, kind and options, separated by spaces, as in `/proc/mounts`.
    Mount {
        /// Its path.
        path: String,
    },
}

impl Setting {
    /// What log lines call it, as [`crate::domain::resource::Resource::label`] does.
    pub fn label(&self) -> String {
        match self {
            Self::Sysctl { key } => format!("sysctl {key}"),
            Self::KernelModule { name } => format!("kernel module {name}"),
            Self::Swap { path } => format!("swap {path}"),
            Self::Mount { path } => format!("mount {path}"),
        }
    }
}

impl SettingBefore {
    pub(super) fn outlook(&self) -> String {
        match (&self.setting, &self.was) {
            _ if self.was == self.left => "kept over a boot as before".into(),
            (Setting::Sysctl { .. }, Some(was)) => format!("{was} again"),
            (Setting::Sysctl { .. }, None) => "no longer kept over a boot".into(),
            (Setting::KernelModule { .. }, None) => "unloaded".into(),
            (Setting::KernelModule { .. }, Some(_)) => "loaded again".into(),
            (Setting::Swap { .. }, None) => "off, and its file removed".into(),
            (Setting::Swap { .. }, Some(was)) => format!("on again with {was} bytes"),
            (Setting::Mount { .. }, None) => "unmounted".into(),
            (Setting::Mount { .. }, Some(was)) => format!("{was} mounted again"),
        }
    }
}

/// A directory into which an archive was unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpackedBefore {
    /// Its path.
    pub folder: String,
    /// The checksum of the archive that was unpacked there; `None` when none was.
    pub was: Option<String>,
    /// The checksum of the archive that the run unpacks.
    pub left: String,
    /// The archive itself, where the run writes it.
    pub file: Option<FileBefore>,
}

impl UnpackedBefore {
    pub(super) fn outlook(&self) -> String {
        let archive = self.file.as_ref().map_or("", |file| file.outlook());
        match (&self.was, archive) {
            (None, "") => "removed".into(),
            (None, archive) => format!("removed; {}: {archive}", self.path()),
            (Some(_), "") => "stays".into(),
            (Some(_), archive) => format!("stays; {}: {archive}", self.path()),
        }
    }

    fn path(&self) -> &str {
        self.file.as_ref().map_or("", |file| &file.path)
    }

    pub(super) fn limits(&self) -> Vec<String> {
        match self.was {
            None => Vec::new(),
            Some(_) => vec![format!(
                "unpacked {0}: what was unpacked there before is gone; undo leaves {0} as the run left it",
                self.folder
            )],
        }
    }
}

/// A container before it was made, replaced or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerBefore {
    /// Its name.
    pub name: String,
    /// The program that runs it.
    pub engine: String,
    /// The image it ran; `None` when there was no such container.
    pub was: Option<String>,
    /// Whether it ran.
    pub ran: bool,
    /// The checksum of the declaration that the run leaves it with; `None` when it removes it.
    pub left: Option<String>,
    /// Whether it was started or stopped only, and is the same container.
    pub same: bool,
}

impl ContainerBefore {
    pub(super) fn outlook(&self) -> Option<String> {
        match (&self.was, self.same) {
            (None, _) => Some("removed".into()),
            (Some(_), true) if self.ran => Some("started again".into()),
            (Some(_), true) => Some("stopped again".into()),
            (Some(_), false) => None,
        }
    }

    pub(super) fn limits(&self) -> Vec<String> {
        match (&self.was, self.same) {
            (Some(image), false) => vec![format!(
                "container {0}: the one before, of {image}, is gone; undo leaves {0} as the run left it",
                self.name
            )],
            (None, _) => vec![format!(
                "container {}: what it wrote into its volumes stays, and so does its image",
                self.name
            )],
            (Some(_), true) => Vec::new(),
        }
    }
}

/// The firewall before it was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallBefore {
    /// How it was.
    pub was: FirewallState,
    /// How the run leaves it.
    pub left: FirewallState,
    /// Rules that the run adds.
    pub added: Vec<String>,
}

/// The firewall, but for its rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallState {
    /// Whether it is on.
    pub on: bool,
    /// What happens to traffic on its way in that no rule is for.
    pub incoming: String,
    /// The same on its way out.
    pub outgoing: String,
}

impl FirewallBefore {
    /// What changes when it is `now` and becomes what it was.
    pub fn outlook_of(&self, now: &FirewallState) -> String {
        let word = |state: &FirewallState| {
            let on = if state.on { "on" } else { "off" };
            format!(
                "{on}, {} incoming, {} outgoing",
                state.incoming, state.outgoing
            )
        };
        format!("{} → {}", word(now), word(&self.was))
    }

    pub(super) fn outlook(&self) -> String {
        let mut parts = Vec::new();
        if !self.was.on && self.left.on {
            parts.push("off again".to_owned());
        }
        if (&self.was.incoming, &self.was.outgoing) != (&self.left.incoming, &self.left.outgoing) {
            parts.push(format!(
                "{} incoming, {} outgoing again",
                self.was.incoming, self.was.outgoing
            ));
        }
        if !self.added.is_empty() {
            parts.push(format!("without {}", self.added.join(", ")));
        }
        if self.was.on && !self.left.on {
            parts.push("on again".to_owned());
        }
        parts.join("; ")
    }
}
