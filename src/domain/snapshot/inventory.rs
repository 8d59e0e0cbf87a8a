//! What a store holds, by name: taken down with each snapshot and compared with the store before a restore, so that the
//! operator sees what he would lose.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Snapshot;

/// The most names that are kept of one store.
const MOST: usize = 20_000;
/// Names that are shown of each part of a comparison.
const SHOWN: usize = 8;

/// The names of what a store holds, each with a mark that is another one after every change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Inventory {
    /// `kind name` and its mark. A kind is one word; a mark is empty where only the presence is known, and a mark with a
    /// space in it is for eyes.
    pub items: BTreeMap<String, String>,
    /// Whether the names are digests, because the snapshot is encrypted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// Whether marks are numbers of changes, to be compared with [`Snapshot::index`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub by_index: bool,
    /// How many there were beyond those that were kept.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: usize,
    /// What it does not tell, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blind: Vec<String>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for this signature"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Inventory {
    /// Takes down one thing; beyond the limit only that it was there.
    pub fn add(&mut self, kind: &str, name: &str, mark: impl Into<String>) {
        if self.items.len() >= MOST {
            self.left_out += 1;
        } else {
            self.items.insert(format!("{kind} {name}"), mark.into());
        }
    }

    /// Without what is of these kinds.
    #[must_use]
    pub fn without(mut self, kinds: &[&str]) -> Self {
        self.items
            .retain(|name, _| !kinds.contains(&name.split(' ').next().unwrap_or_default()));
        self
    }

    /// The same with digests in place of names: what lies beside an encrypted snapshot tells nobody what is in it.
    #[must_use]
    pub fn hidden(self) -> Self {
        if self.hidden {
            return self;
        }
        let items = self
            .items
            .into_iter()
            .map(|(name, mark)| (covered(&name), mark))
            .collect();
        Self {
            items,
            hidden: true,
            ..self
        }
    }
}

/// The kind, and a digest in place of the name.
fn covered(name: &str) -> String {
    let kind = name.split(' ').next().unwrap_or_default();
    let digest = crate::domain::hex(&Sha256::digest(name.as_bytes())[..16]);
    format!("{kind} {digest}")
}

/// What a restore would do to a store as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// What is there now and is not in the snapshot.
    pub lost: Vec<String>,
    /// What would be as it was.
    pub reverted: Vec<String>,
    /// What was there and would come back; names only where the snapshot is not encrypted.
    pub returned: Vec<String>,
    /// How many would come back without being named.
    pub returned_unnamed: usize,
    /// What the comparison cannot see.
    pub blind: Vec<String>,
}

impl Comparison {
    /// Compares what `snapshot` took down with what the store holds `now`.
    pub fn of(snapshot: &Snapshot, now: &Inventory) -> Self {
        let then = &snapshot.inventory;
        let mut found = Self::default();
        let mut met = BTreeSet::new();
        for (name, mark) in &now.items {
            let key = if then.hidden {
                covered(name)
            } else {
                name.clone()
            };
            let older = || {
                // Changed between the look at the store and the snapshot: it is in it.
                (then.by_index && now.by_index)
                    .then(|| mark.parse::<u64>().ok())
                    .flatten()
                    .is_some_and(|index| index > 0 && index <= snapshot.index)
            };
            match then.items.get(&key) {
                _ if older() => {}
                None => found.lost.push(name.clone()),
                Some(known) if known != mark && mark.contains(' ') => {
                    found
                        .reverted
                        .push(format!("{name} ({mark} now, {known} then)"));
                }
                Some(known) if known != mark => found.reverted.push(name.clone()),
                Some(_) => {}
            }
            met.insert(key);
        }
        for name in then.items.keys().filter(|name| !met.contains(*name)) {
            if then.hidden {
                found.returned_unnamed += 1;
            } else {
                found.returned.push(name.clone());
            }
        }
        let mut blind: BTreeSet<String> = then.blind.iter().chain(&now.blind).cloned().collect();
        if then.left_out > 0 || now.left_out > 0 {
            blind.insert(format!(
                "only the first {MOST} names are compared: {} were left out then, {} now",
                then.left_out, now.left_out
            ));
        }
        found.blind = blind.into_iter().collect();
        found
    }

    /// As an operator reads it, the worst first.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut part = |what: &str, names: &[String], unnamed: usize| {
            let count = names.len() + unnamed;
            if count == 0 {
                return;
            }
            lines.push(format!("{what}: {count}"));
            let shown = names.iter().take(SHOWN);
            lines.extend(shown.map(|name| format!("  {name}")));
            if count > SHOWN.min(names.len()) {
                lines.push(format!("  and {} more", count - SHOWN.min(names.len())));
            }
        };
        part("lost, because it is newer than the snapshot", &self.lost, 0);
        part("set back to what it was", &self.reverted, 0);
        part("brought back", &self.returned, self.returned_unnamed);
        if lines.is_empty() {
            lines.push("as far as it can be compared, nothing would change".into());
        }
        lines.extend(self.blind.iter().map(|what| format!("not known: {what}")));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::snapshot;
    use super::*;

    fn holding(items: &[(&str, &str)]) -> Inventory {
        let mut inventory = Inventory::default();
        for (name, mark) in items {
            inventory.add("key", name, *mark);
        }
        inventory
    }

    #[test]
    fn what_is_newer_changed_and_gone_is_told_apart() {
        let mut before = snapshot("consul", 10);
        before.inventory = holding(&[("a", "1"), ("b", "2"), ("gone", "3")]);
        let now = holding(&[("a", "1"), ("b", "9"), ("new", "8")]);
        let found = Comparison::of(&before, &now);
        assert_eq!(found.lost, ["key new"]);
        assert_eq!(found.reverted, ["key b"]);
        assert_eq!(found.returned, ["key gone"]);
        assert_eq!(
            found.lines(),
            [
                "lost, because it is newer than the snapshot: 1",
                "  key new",
                "set back to what it was: 1",
                "  key b",
                "brought back: 1",
                "  key gone",
            ]
        );
    }

    #[test]
    fn an_encrypted_snapshot_names_only_what_is_there_now() {
        let mut before = snapshot("consul", 10);
        before.inventory = holding(&[("a", "1"), ("gone", "3")]).hidden();
        assert!(
            !format!("{:?}", before.inventory).contains("gone"),
            "{before:?}"
        );
        let found = Comparison::of(&before, &holding(&[("a", "1"), ("new", "8")]));
        assert_eq!(
            (found.lost.as_slice(), found.returned_unnamed),
            (["key new".to_owned()].as_slice(), 1)
        );
    }

    #[test]
    fn marks_for_eyes_are_shown_and_kinds_can_be_left_out_of_encrypted_ones_too() {
        let mut before = snapshot("consul", 10);
        before.inventory.add("table", "sold", "5 rows");
        before.inventory.add("policy", "p", "1");
        let mut now = Inventory::default();
        now.add("table", "sold", "7 rows");
        now.add("policy", "p", "1");
        let found = Comparison::of(&before, &now);
        assert_eq!(found.reverted, ["table sold (7 rows now, 5 rows then)"]);
        let hidden = before.inventory.hidden().without(&["policy"]);
        assert_eq!(hidden.items.len(), 1);
        assert!(hidden.items.keys().all(|name| name.starts_with("table ")));
    }

    #[test]
    fn a_change_up_to_the_snapshots_index_is_in_it() {
        let mut before = snapshot("consul", 10);
        before.index = 50;
        before.inventory = Inventory {
            by_index: true,
            ..holding(&[("a", "40")])
        };
        let now = Inventory {
            by_index: true,
            ..holding(&[("a", "49"), ("b", "50"), ("c", "51")])
        };
        let found = Comparison::of(&before, &now);
        assert_eq!((found.lost, found.reverted), (vec!["key c".into()], vec![]));
    }

    #[test]
    fn long_lists_are_cut_and_counted_and_what_is_not_known_is_said() {
        let names: Vec<String> = (10..40).map(|number| number.to_string()).collect();
        let now = holding(
            &names
                .iter()
                .map(|name| (name.as_str(), ""))
                .collect::<Vec<_>>(),
        );
        let mut before = snapshot("vault", 10);
        before.inventory.blind = vec!["the secrets themselves".into()];
        let lines = Comparison::of(&before, &now).lines();
        assert!(lines[0].ends_with(": 30"), "{lines:?}");
        assert!(
            lines.contains(&"  and 22 more".to_owned())
                && lines.contains(&"not known: the secrets themselves".to_owned()),
            "{lines:?}"
        );
    }
}
