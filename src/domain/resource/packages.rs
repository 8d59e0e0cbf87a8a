//! Software: packages and where they come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Presence, yes};
use crate::domain::words;

words! {
    /// What installs packages on a host.
    #[derive(Default)]
    pub enum PackageManager {
        /// Debian and its descendants: dpkg and apt.
        #[default]
        Apt = "apt",
        /// Fedora and its kin: rpm and dnf.
        Dnf = "dnf",
        /// Alpine.
        Apk = "apk",
        /// snapd, on top of any of the others.
        Snap = "snap",
    }
}

/// See [`Resource::Package`](super::Resource::Package).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageSpec {
    /// The package's name.
    pub name: String,
    /// Whether it shall be installed.
    #[serde(default, skip_serializing_if = "Presence::is_present")]
    pub state: Presence,
    /// The version, or its beginning up to a `.`, `+`, `-` or `~`; without it any version will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether upgrades leave it alone; without it the node's own mark stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<bool>,
    /// A `.deb` on the node to install from; without it the node's package manager fetches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deb: Option<String>,
    /// A `.deb` that is fetched where the engine is and pushed to the node, only when it has to be installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bring: Option<BringSpec>,
    /// Installs it as a snap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snap: Option<SnapSpec>,
}

/// A file that the operator brings; see [`PackageSpec::bring`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BringSpec {
    /// An `http(s)://` URL, or a path where the engine is.
    pub source: String,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
}

/// How a snap is installed; see [`PackageSpec::snap`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapSpec {
    /// The channel it follows, such as `1.32/stable`; without it `latest/stable`, or what it follows already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Whether it runs without confinement, which it must ask for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub classic: bool,
}

/// See [`Resource::AptRepository`](super::Resource::AptRepository); sources.list(5) has the words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AptRepositorySpec {
    /// What it is called: its files are `/etc/apt/sources.list.d/NAME.sources` and `/etc/apt/keyrings/NAME.asc`.
    pub name: String,
    /// Whether packages shall come from it.
    #[serde(default, skip_serializing_if = "Presence::is_present")]
    pub state: Presence,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uris: Vec<String>,
    /// Suites, such as `bookworm`; or one that ends in `/`, for a repository without suites.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suites: Vec<String>,
    /// Components, such as `main`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    /// Architectures; without them those of the node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    /// The public key that signs it, armoured: `-----BEGIN PGP PUBLIC KEY BLOCK-----` and what follows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// A file with that key under the workspace's `files/` directory, instead of `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// The fingerprints of that key, 40 hexadecimal digits each (64 for version 6), with or without spaces: from another
    /// place than the key itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<String>,
    /// Whether the node checks signatures. Without, whoever can answer in the repository's place owns the node.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub signed: bool,
}
