//! One entry of `/etc/fstab` (fstab(5)), found by where it is mounted, or for swap by its file.

use super::ResourceError;
use super::edit::{Edit, Lines, public};
use crate::domain::undo::Owned;

/// An entry that shall be there, or not.
#[derive(Debug)]
pub(super) struct Entry {
    /// Which field tells it from others, from 0, and what it says there.
    pub(super) field: usize,
    pub(super) value: String,
    /// The whole line; `None` when there shall be none.
    pub(super) line: Option<String>,
}

impl Entry {
    fn is_it(&self, line: &str) -> bool {
        let line = line.trim_start();
        !line.starts_with('#') && line.split_whitespace().nth(self.field) == Some(&self.value)
    }
}

impl Edit for Entry {
    fn path(&self) -> &'static str {
        "/etc/fstab"
    }

    fn edited(&self, text: &str) -> Result<Option<String>, ResourceError> {
        let mut file = Lines::of(text);
        let before = file.lines.len();
        let Some(line) = &self.line else {
            file.lines.retain(|line| !self.is_it(line));
            return Ok((file.lines.len() < before).then(|| file.text()));
        };
        let same = |found: &str| found.split_whitespace().eq(line.split_whitespace());
        match file.lines.iter().position(|line| self.is_it(line)) {
            Some(at) if same(file.lines[at]) => return Ok(None),
            Some(at) => file.lines[at] = line,
            None => file.lines.push(line),
        }
        Ok(Some(file.text()))
    }

    fn create(&self) -> Option<Owned> {
        Some(public())
    }
}

/// A path as a field of fstab holds it: spaces and tabs as octal numbers.
pub(super) fn escaped(text: &str) -> String {
    text.replace('\\', "\\134")
        .replace(' ', "\\040")
        .replace('\t', "\\011")
}

/// The reverse of [`escaped`], as `/proc/mounts` needs it as well.
pub(super) fn plain(text: &str) -> String {
    text.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(line: Option<&str>) -> Entry {
        Entry {
            field: 1,
            value: "/srv".into(),
            line: line.map(Into::into),
        }
    }

    #[test]
    fn an_entry_is_added_replaced_or_removed_and_others_stay() {
        let wanted = entry(Some("tmpfs /srv tmpfs size=1m 0 0"));
        let edited = |entry: &Entry, text: &str| entry.edited(text).unwrap();
        let others = "# /srv\nUUID=1 / ext4 defaults 0 1\n";
        let with = format!("{others}tmpfs /srv tmpfs size=1m 0 0\n");
        assert_eq!(edited(&wanted, others), Some(with.clone()));
        assert_eq!(edited(&wanted, &with.replace(' ', "\t")), None);
        let other = format!("{others}/dev/sdb /srv ext4 defaults 0 2\n");
        assert_eq!(edited(&wanted, &other), Some(with.clone()));
        assert_eq!(edited(&entry(None), &with), Some(others.to_owned()));
        assert_eq!(edited(&entry(None), others), None);
    }

    #[test]
    fn blanks_in_paths_are_written_as_numbers() {
        for path in ["/srv/my data", "/a\tb", "/back\\slash"] {
            assert_eq!(plain(&escaped(path)), path);
            assert!(!escaped(path).contains([' ', '\t']));
        }
    }
}
