//! One line of a text file, present or absent.

use std::borrow::Cow;

use super::ResourceError;
use super::edit::{Edit, Lines, public, regexp};
use crate::domain::resource::LineSpec;
use crate::domain::undo::Owned;

impl Edit for LineSpec {
    fn path(&self) -> &str {
        &self.path
    }

    fn edited(&self, text: &str) -> Result<Option<String>, ResourceError> {
        if let Some(reason) = fault(self) {
            return Err(ResourceError::Unfit(reason.into_owned()));
        }
        let pattern = self.regexp.as_deref().map(regexp).transpose()?;
        let mut file = Lines::of(text);
        if !self.state.is_present() {
            let before = file.lines.len();
            file.lines.retain(|line| match &pattern {
                Some(pattern) => !pattern.is_match(line),
                None => Some(*line) != self.line.as_deref(),
            });
            return Ok((file.lines.len() < before).then(|| file.text()));
        }
        let line = self.line.as_deref().unwrap_or_default();
        if let Some(at) = pattern.and_then(|pattern| file.last(&pattern)) {
            if file.lines[at] == line {
                return Ok(None);
            }
            file.lines[at] = line;
            return Ok(Some(file.text()));
        }
        if file.lines.contains(&line) {
            return Ok(None);
        }
        let at = file.place(self.insert_after.as_deref(), self.insert_before.as_deref())?;
        file.lines.insert(at, line);
        Ok(Some(file.text()))
    }

    fn create(&self) -> Option<Owned> {
        self.create.then(public)
    }
}

/// What is wrong with a declaration whatever the file holds.
pub(super) fn fault(spec: &LineSpec) -> Option<Cow<'static, str>> {
    match (&spec.line, &spec.regexp) {
        (None, None) => Some("line: needs `line`, or `regexp` with `state: absent`".into()),
        (None, Some(_)) if spec.state.is_present() => {
            Some("line: needs `line`, the text that takes the place of what matches".into())
        }
        (Some(line), _) if line.contains(['\n', '\r']) => {
            Some("line: `line` holds a line break; several lines are a `block`".into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{TempHost, difference, differences, ensure, take_back};
    use super::*;
    use crate::domain::resource::{Presence, Resource};

    fn line(line: &str) -> LineSpec {
        LineSpec {
            path: "/etc/app.conf".into(),
            line: Some(line.into()),
            regexp: None,
            state: Presence::Present,
            insert_after: None,
            insert_before: None,
            create: false,
        }
    }

    fn edited(spec: &LineSpec, text: &str) -> String {
        spec.edited(text).unwrap().unwrap_or_else(|| "same".into())
    }

    #[test]
    fn a_line_is_added_once_and_where_it_was_asked_for() {
        assert_eq!(edited(&line("b"), "a"), "a\nb\n");
        assert_eq!(edited(&line("b"), "a\nb\n"), "same");
        let after = LineSpec {
            insert_after: Some("^a".into()),
            ..line("b")
        };
        assert_eq!(edited(&after, "a1\na2\nc\n"), "a1\na2\nb\nc\n");
        assert_eq!(edited(&after, "c\n"), "c\nb\n");
        let before = LineSpec {
            insert_before: Some("^c".into()),
            ..line("b")
        };
        assert_eq!(edited(&before, "a\nc\n"), "a\nb\nc\n");
        let first = LineSpec {
            insert_before: Some("BOF".into()),
            ..line("b")
        };
        assert_eq!(edited(&first, "a\n"), "b\na\n");
    }

    #[test]
    fn the_last_match_is_replaced_and_the_others_stay() {
        let spec = LineSpec {
            regexp: Some("^#?Port ".into()),
            ..line("Port 2222")
        };
        assert_eq!(
            edited(&spec, "#Port 22\nPort 23\nx\n"),
            "#Port 22\nPort 2222\nx\n"
        );
        assert_eq!(edited(&spec, "#Port 22\nPort 2222\n"), "same");
        assert_eq!(edited(&spec, "x\n"), "x\nPort 2222\n");
    }

    #[test]
    fn what_is_absent_is_every_line_that_matches() {
        let mut spec = line("b");
        spec.state = Presence::Absent;
        assert_eq!(edited(&spec, "a\nb\nc\nb\n"), "a\nc\n");
        assert_eq!(edited(&spec, "a\nbb"), "same");
        spec.line = None;
        spec.regexp = Some("b".into());
        assert_eq!(edited(&spec, "a\nb\nabc\n"), "a\n");
    }

    #[test]
    fn declarations_that_mean_nothing_are_refused() {
        let none = LineSpec {
            line: None,
            ..line("")
        };
        assert!(
            none.edited("")
                .unwrap_err()
                .to_string()
                .contains("needs `line`")
        );
        assert!(line("a\nb").edited("").is_err());
        let both = LineSpec {
            insert_after: Some("a".into()),
            insert_before: Some("b".into()),
            ..line("c")
        };
        assert!(both.edited("").is_err());
    }

    #[tokio::test]
    async fn a_file_keeps_its_mode_and_comes_back_as_it_was() {
        use std::os::unix::fs::PermissionsExt as _;
        let host = TempHost::new();
        host.put("/etc/app.conf", "a\nb");
        let real = host.path("/etc/app.conf");
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o600)).unwrap();
        let resource = Resource::Line(line("c"));
        let shown = difference(&resource, &host).await.unwrap();
        assert_eq!(shown.changes, ["2 lines added, 1 line removed"]);
        assert!(shown.diff.contains(&"+c".to_owned()), "{:?}", shown.diff);
        ensure(&resource, &host).await.unwrap();
        assert_eq!(std::fs::read_to_string(&real).unwrap(), "a\nb\nc\n");
        assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(
            host.log()
                .iter()
                .any(|line| line.contains("note: the old /etc/app.conf is kept as /var/lib/")),
            "{:?}",
            host.log()
        );
        take_back(&host).await.unwrap();
        assert_eq!(std::fs::read_to_string(&real).unwrap(), "a\nb");
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_made_only_when_that_was_asked_for() {
        let host = TempHost::new();
        std::fs::create_dir(host.path("/etc")).unwrap();
        let error = ensure(&Resource::Line(line("a")), &host).await.unwrap_err();
        assert!(
            error.to_string().contains("/etc/app.conf does not exist"),
            "{error}"
        );
        let create = Resource::Line(LineSpec {
            create: true,
            ..line("a")
        });
        assert_eq!(
            ensure(&create, &host).await.unwrap(),
            ["does not exist → 2 bytes, 0644 root:root"]
        );
        take_back(&host).await.unwrap();
        assert!(!host.path("/etc/app.conf").exists());
    }

    #[tokio::test]
    async fn a_link_is_not_replaced_by_a_file() {
        let host = TempHost::new();
        host.put("/etc/real.conf", "a\n");
        std::os::unix::fs::symlink("real.conf", host.path("/etc/app.conf")).unwrap();
        let error = differences(&Resource::Line(line("b")), &host)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("is a symbolic link"), "{error}");
    }

    proptest! {
        #[test]
        fn editing_twice_is_editing_once(text in "[ab\n]{0,40}", wanted in "[ab]{1,3}", regexp in proptest::option::of("[ab]{1,2}")) {
            // An expression that does not know its own line would replace one line after the other.
            let regexp = regexp.filter(|regexp| wanted.contains(regexp.as_str()));
            let spec = LineSpec { regexp, ..line(&wanted) };
            if let Some(once) = spec.edited(&text).unwrap() {
                prop_assert_eq!(spec.edited(&once).unwrap(), None);
            }
        }
    }
}
