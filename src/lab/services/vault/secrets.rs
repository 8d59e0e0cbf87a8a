//! The KV version 2 engine at `secret/`: every write makes a version.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// One version of a secret.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Version {
    pub data: Map<String, Value>,
    pub created: Timestamp,
}

/// All secrets, by path; the first version is number 1.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets(BTreeMap<String, Vec<Version>>);

impl Secrets {
    /// What a small shop keeps in it.
    pub(crate) fn seeded(now: Timestamp) -> Self {
        let mut secrets = Self::default();
        for (path, key, value) in [
            ("apps/web/database", "password", "practice-only"),
            ("apps/web/session", "key", "practice-only"),
            ("harbor/robot", "secret", "practice-only"),
            ("terraform/proxmox", "token", "practice-only"),
        ] {
            let data = Map::from_iter([(key.to_owned(), Value::from(value))]);
            secrets.write(path, data, now);
        }
        secrets
    }

    /// Every path with its versions.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &[Version])> {
        let all = self.0.iter();
        all.map(|(path, versions)| (path.as_str(), versions.as_slice()))
    }

    /// These secrets and no others.
    pub(crate) fn from_all(all: BTreeMap<String, Vec<Version>>) -> Self {
        Self(all)
    }

    /// The versions at `path`.
    pub(crate) fn versions(&self, path: &str) -> Option<&[Version]> {
        self.0.get(path).map(Vec::as_slice)
    }

    /// Adds a version and returns its number.
    pub(crate) fn write(
        &mut self,
        path: &str,
        data: Map<String, Value>,
        created: Timestamp,
    ) -> usize {
        let versions = self.0.entry(path.to_owned()).or_default();
        versions.push(Version { data, created });
        versions.len()
    }

    /// The names directly below `prefix`; folders end with a slash.
    pub(crate) fn list(&self, prefix: &str) -> Vec<String> {
        let prefix = match prefix.trim_matches('/') {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let names: BTreeSet<String> = self
            .0
            .keys()
            .filter_map(|path| path.strip_prefix(&prefix))
            .map(|rest| match rest.split_once('/') {
                Some((folder, _)) => format!("{folder}/"),
                None => rest.to_owned(),
            })
            .collect();
        names.into_iter().collect()
    }
}

/// The metadata of one version, as reads and writes show it.
pub(crate) fn version_metadata(number: usize, version: &Version) -> Value {
    json!({
        "created_time": version.created.to_string(),
        "custom_metadata": null,
        "deletion_time": "",
        "destroyed": false,
        "version": number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_listed_once_and_with_a_slash() {
        let secrets = Secrets::seeded(Timestamp::UNIX_EPOCH);
        assert_eq!(secrets.list(""), ["apps/", "harbor/", "terraform/"]);
        assert_eq!(secrets.list("apps/web"), ["database", "session"]);
        assert_eq!(secrets.list("nowhere"), Vec::<String>::new());
    }
}
