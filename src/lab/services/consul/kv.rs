//! The key-value store: <https://developer.hashicorp.com/consul/api-docs/kv>.

use std::collections::BTreeMap;

use super::shapes::Pair;
use crate::lab::services::http::base64;

/// The largest value that Consul accepts, in bytes (`kv_max_value_size`).
pub(crate) const VALUE_MAX: usize = 512 * 1024;

/// A stored value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub value: Vec<u8>,
    pub flags: u64,
    pub created: u64,
    pub modified: u64,
}

/// All keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    entries: BTreeMap<String, Entry>,
    /// The index of the last change below any prefix, deletions included.
    changed: u64,
    /// Where keys were deleted, and when, as Consul's tombstones.
    graves: BTreeMap<String, u64>,
}

impl Store {
    /// What a small shop keeps in its store.
    pub(crate) fn seeded(index: u64) -> Self {
        let mut store = Self::default();
        for (key, value) in [
            ("config/traefik/log-level", "INFO"),
            ("config/web/max-connections", "256"),
            ("config/web/motd", "Welcome aboard"),
            ("deploy/web/version", "1.4.2"),
        ] {
            store.put(key, value.as_bytes().to_vec(), 0, index);
        }
        store
    }

    /// The value of `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// All keys that begin with `prefix`.
    pub(crate) fn below<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a String, &'a Entry)> {
        self.entries
            .range(prefix.to_owned()..)
            .take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// The index that a blocking query on `key` compares with.
    pub(crate) fn index_of(&self, key: &str) -> u64 {
        self.entries
            .get(key)
            .map(|entry| entry.modified)
            .or_else(|| self.graves.get(key).copied())
            .unwrap_or(self.changed)
            .max(1)
    }

    /// The index that a blocking query on `prefix` compares with.
    pub(crate) fn index_below(&self, prefix: &str) -> u64 {
        let living = self.below(prefix).map(|(_, entry)| entry.modified).max();
        let dead = self
            .graves
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(_, index)| *index)
            .max();
        living.max(dead).unwrap_or(self.changed).max(1)
    }

    /// Sets `key`.
    pub(crate) fn put(&mut self, key: &str, value: Vec<u8>, flags: u64, index: u64) {
        self.changed = index;
        self.graves.remove(key);
        self.entries
            .entry(key.to_owned())
            .and_modify(|entry| {
                entry.value.clone_from(&value);
                entry.flags = flags;
                entry.modified = index;
            })
            .or_insert(Entry {
                value,
                flags,
                created: index,
                modified: index,
            });
    }

    /// Replaces everything by what was saved, each with the index of its own last change; `index` is that of the restore.
    pub(crate) fn restore(&mut self, entries: Vec<(String, Vec<u8>, u64)>, index: u64) {
        self.delete("", true, index);
        self.changed = index;
        for (key, value, modified) in entries {
            self.graves.remove(&key);
            let entry = Entry {
                value,
                flags: 0,
                created: modified,
                modified,
            };
            self.entries.insert(key, entry);
        }
    }

    /// Removes `key`, or everything that begins with it.
    pub(crate) fn delete(&mut self, key: &str, recurse: bool, index: u64) {
        let doomed: Vec<String> = if recurse {
            self.below(key).map(|(key, _)| key.clone()).collect()
        } else {
            self.entries
                .contains_key(key)
                .then(|| key.to_owned())
                .into_iter()
                .collect()
        };
        for key in doomed {
            self.entries.remove(&key);
            self.graves.insert(key, index);
            self.changed = index;
        }
    }
}

/// An entry as the API shows it.
pub(crate) fn pair(key: &str, entry: &Entry) -> Pair {
    Pair {
        lock_index: 0,
        key: key.to_owned(),
        flags: entry.flags,
        value: (!entry.value.is_empty()).then(|| base64(&entry.value)),
        create_index: entry.created,
        modify_index: entry.modified,
    }
}

/// The keys below `prefix` up to the next `separator`, as `?keys&separator=` lists them.
pub(crate) fn keys(store: &Store, prefix: &str, separator: &str) -> Vec<String> {
    let mut keys: Vec<String> = store
        .below(prefix)
        .map(|(key, _)| {
            if separator.is_empty() {
                return key.clone();
            }
            key[prefix.len()..].find(separator).map_or_else(
                || key.clone(),
                |at| key[..prefix.len() + at + separator.len()].to_owned(),
            )
        })
        .collect();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_folded_at_the_separator() {
        let store = Store::seeded(5);
        assert_eq!(keys(&store, "", "/"), ["config/", "deploy/"]);
        assert_eq!(
            keys(&store, "config/", "/"),
            ["config/traefik/", "config/web/"]
        );
        assert_eq!(keys(&store, "config/web/", "").len(), 2);
    }

    #[test]
    fn a_deletion_moves_the_index_of_its_prefix() {
        let mut store = Store::seeded(5);
        store.delete("config/web/motd", false, 9);
        assert_eq!(store.index_below("config/"), 9);
        assert_eq!(store.index_of("config/web/motd"), 9);
        assert_eq!(store.index_below("deploy/"), 5);
    }
}
