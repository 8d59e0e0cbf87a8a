//! Names for an address in `/etc/hosts` (hosts(5)).
//!
//! Present means: the address has the names, and no other address of the same family has any of them, so that a look-up
//! gives one answer. Other names of the address, comments, and all other lines stay.

use std::net::IpAddr;

use super::ResourceError;
use super::edit::{Edit, Lines, public};
use crate::domain::resource::HostsSpec;
use crate::domain::undo::Owned;

const PATH: &str = "/etc/hosts";

/// A line that means something: an address, names, and a comment with its `#`.
struct Entry<'a> {
    address: IpAddr,
    names: Vec<&'a str>,
    comment: Option<&'a str>,
}

fn parse(line: &str) -> Option<Entry<'_>> {
    let (meaning, comment) = match line.find('#') {
        Some(at) => (&line[..at], Some(&line[at..])),
        None => (line, None),
    };
    let mut words = meaning.split_whitespace();
    Some(Entry {
        address: words.next()?.parse().ok()?,
        names: words.collect(),
        comment,
    })
}

impl Edit for HostsSpec {
    fn path(&self) -> &'static str {
        PATH
    }

    fn edited(&self, text: &str) -> Result<Option<String>, ResourceError> {
        if let Some(reason) = fault(self) {
            return Err(ResourceError::Unfit(reason));
        }
        let address: IpAddr = self.address.parse().map_err(|_| {
            ResourceError::Unfit(format!("hosts: {:?} is no IP address", self.address))
        })?;
        let ours = |name: &str| self.names.iter().any(|own| own.eq_ignore_ascii_case(name));
        let present = self.state.is_present();
        let file = Lines::of(text);
        let mut made: Vec<Option<String>> = Vec::new();
        let (mut changed, mut placed) = (false, false);
        for line in &file.lines {
            let keep = Some((*line).to_owned());
            let Some(entry) = parse(line) else {
                made.push(keep);
                continue;
            };
            let same = entry.address == address;
            let others: Vec<&str> = entry
                .names
                .iter()
                .copied()
                .filter(|name| !ours(name))
                .collect();
            let next = if present && same && !placed {
                placed = true;
                let has = |own: &String| {
                    entry
                        .names
                        .iter()
                        .any(|name| own.eq_ignore_ascii_case(name))
                };
                let first = entry.names.first().zip(self.names.first());
                let complete = self.names.iter().all(has)
                    && first.is_some_and(|(is, own)| own.eq_ignore_ascii_case(is));
                if complete {
                    keep
                } else {
                    let names = self.names.iter().map(String::as_str).chain(others);
                    Some(written(line, &names.collect::<Vec<_>>(), entry.comment))
                }
            } else if !present && same && self.names.is_empty() {
                None
            } else if (if present {
                entry.address.is_ipv4() == address.is_ipv4()
            } else {
                same
            }) && others.len() < entry.names.len()
            {
                (!others.is_empty()).then(|| written(line, &others, entry.comment))
            } else {
                keep
            };
            changed |= next.as_deref() != Some(*line);
            made.push(next);
        }
        if present && !placed {
            changed = true;
            made.push(Some(format!("{} {}", self.address, self.names.join(" "))));
        }
        let lines: Vec<&str> = made.iter().flatten().map(String::as_str).collect();
        Ok(changed.then(|| Lines { lines, ..file }.text()))
    }

    fn create(&self) -> Option<Owned> {
        Some(public())
    }
}

/// The line with other names: the address as it was written, and its comment.
fn written(line: &str, names: &[&str], comment: Option<&str>) -> String {
    let address = line.split_whitespace().next().unwrap_or_default();
    let mut text = format!("{address} {}", names.join(" "));
    if let Some(comment) = comment {
        text.push(' ');
        text.push_str(comment);
    }
    text
}

/// What is wrong with a declaration whatever the file holds.
pub(super) fn fault(spec: &HostsSpec) -> Option<String> {
    if spec.state.is_present() && spec.names.is_empty() {
        return Some(format!("hosts: {} needs `names`", spec.address));
    }
    let bad = |name: &&String| {
        name.is_empty()
            || !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    let bad = spec.names.iter().find(bad)?;
    Some(format!(
        "hosts: {bad:?} is no host name: it has letters, digits, dashes and dots"
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{TempHost, ensure, take_back};
    use super::*;
    use crate::domain::resource::{Presence, Resource};

    fn hosts(address: &str, names: &[&str]) -> HostsSpec {
        HostsSpec {
            address: address.into(),
            names: names.iter().map(|&name| name.into()).collect(),
            state: Presence::Present,
        }
    }

    fn edited(spec: &HostsSpec, text: &str) -> String {
        spec.edited(text).unwrap().unwrap_or_else(|| "same".into())
    }

    #[test]
    fn an_entry_is_added_once() {
        let spec = hosts("10.0.0.1", &["pc1.lan", "pc1"]);
        let text = edited(&spec, "127.0.0.1 localhost\n");
        assert_eq!(text, "127.0.0.1 localhost\n10.0.0.1 pc1.lan pc1\n");
        assert_eq!(edited(&spec, &text), "same");
        assert_eq!(
            edited(&spec, "10.0.0.1\tpc1.lan   PC1 nas # mine\n"),
            "same"
        );
    }

    #[test]
    fn a_name_leads_to_one_address_per_family_and_other_names_stay() {
        let old = "127.0.1.1 pc1\n10.0.0.9 pc1 nas # old\n::1 pc1\n# 10.0.0.7 pc1\n";
        assert_eq!(
            edited(&hosts("10.0.0.1", &["pc1"]), old),
            "10.0.0.9 nas # old\n::1 pc1\n# 10.0.0.7 pc1\n10.0.0.1 pc1\n"
        );
        assert_eq!(
            edited(&hosts("10.0.0.9", &["pc2", "nas"]), old),
            "127.0.1.1 pc1\n10.0.0.9 pc2 nas pc1 # old\n::1 pc1\n# 10.0.0.7 pc1\n"
        );
    }

    #[test]
    fn absent_names_go_and_an_address_without_names_goes_with_them() {
        let mut spec = hosts("10.0.0.9", &["pc1"]);
        spec.state = Presence::Absent;
        assert_eq!(
            edited(&spec, "10.0.0.9 pc1 nas\n10.0.0.8 pc1\n"),
            "10.0.0.9 nas\n10.0.0.8 pc1\n"
        );
        assert_eq!(edited(&spec, "10.0.0.9 pc1\na\n"), "a\n");
        spec.names.clear();
        assert_eq!(edited(&spec, "10.0.0.9 pc1 nas\na\n"), "a\n");
    }

    #[test]
    fn what_is_no_address_or_name_is_refused() {
        assert!(hosts("pc1", &["a"]).edited("").is_err());
        assert!(hosts("10.0.0.1", &[]).edited("").is_err());
        assert!(hosts("10.0.0.1", &["a b"]).edited("").is_err());
    }

    #[tokio::test]
    async fn an_entry_comes_and_goes_on_a_host() {
        let host = TempHost::new();
        host.put("/etc/hosts", "127.0.0.1 localhost\n");
        let resource = Resource::Hosts(hosts("10.0.0.1", &["pc1"]));
        assert_eq!(ensure(&resource, &host).await.unwrap(), ["1 line added"]);
        take_back(&host).await.unwrap();
        let text = std::fs::read_to_string(host.path("/etc/hosts")).unwrap();
        assert_eq!(text, "127.0.0.1 localhost\n");
    }

    proptest! {
        #[test]
        fn editing_twice_is_editing_once(text in "((10\\.0\\.0\\.[12]|::1|#) [ab]( [abc]){0,2}\n){0,6}") {
            for spec in [hosts("10.0.0.1", &["a", "b"]), HostsSpec { state: Presence::Absent, ..hosts("10.0.0.1", &["a"]) }] {
                if let Some(once) = spec.edited(&text).unwrap() {
                    prop_assert_eq!(spec.edited(&once).unwrap(), None);
                }
            }
        }
    }
}
