//! Lines of a text file between two markers, which tell Quarterdeck's lines from everybody else's:
//!
//! ```text
//! # BEGIN quarterdeck limits
//! vm.max_map_count = 262144
//! # END quarterdeck limits
//! ```

use super::ResourceError;
use super::edit::{Edit, Lines, public};
use crate::domain::resource::BlockSpec;
use crate::domain::undo::Owned;

impl Edit for BlockSpec {
    fn path(&self) -> &str {
        &self.path
    }

    fn edited(&self, text: &str) -> Result<Option<String>, ResourceError> {
        let (begin, end) = (marker(self, "BEGIN"), marker(self, "END"));
        let content: Vec<&str> = self.content.trim_end_matches('\n').lines().collect();
        if let Some(reason) = fault(self) {
            return Err(ResourceError::Unfit(reason));
        }
        let mut file = Lines::of(text);
        let found = find(&file.lines, &begin, &end).map_err(|reason| {
            ResourceError::Unfit(format!(
                "{}: {reason}; repair the markers of block {} by hand",
                self.path, self.name
            ))
        })?;
        let mut wanted = Vec::new();
        if self.state.is_present() {
            wanted.push(begin.as_str());
            wanted.extend(content);
            wanted.push(end.as_str());
        }
        let range = match found {
            Some((first, last)) if file.lines[first..=last] == wanted[..] => return Ok(None),
            Some((first, last)) => first..last + 1,
            None if wanted.is_empty() => return Ok(None),
            None => {
                let at = file.place(self.insert_after.as_deref(), self.insert_before.as_deref())?;
                at..at
            }
        };
        file.lines.splice(range, wanted);
        Ok(Some(file.text()))
    }

    fn create(&self) -> Option<Owned> {
        self.create.then(public)
    }
}

fn marker(spec: &BlockSpec, word: &str) -> String {
    let line = format!(
        "{} {word} quarterdeck {} {}",
        spec.comment, spec.name, spec.comment_end
    );
    line.trim_end().to_owned()
}

/// First and last line of the block.
fn find(lines: &[&str], begin: &str, end: &str) -> Result<Option<(usize, usize)>, String> {
    let at = |marker: &str| -> Vec<usize> {
        let lines = lines.iter().enumerate();
        lines
            .filter(|(_, line)| line.trim() == marker)
            .map(|(at, _)| at)
            .collect()
    };
    match (at(begin).as_slice(), at(end).as_slice()) {
        ([], []) => Ok(None),
        ([first], [last]) if first < last => Ok(Some((*first, *last))),
        ([], _) => Err(format!("has {end:?} without {begin:?}")),
        (_, []) => Err(format!("has {begin:?} without {end:?}")),
        ([_], [_]) => Err(format!("has {end:?} before {begin:?}")),
        _ => Err(format!("has {begin:?} or {end:?} more than once")),
    }
}

/// What is wrong with a declaration whatever the file holds.
pub(super) fn fault(spec: &BlockSpec) -> Option<String> {
    if spec.name.trim().is_empty() || spec.name.chars().any(char::is_control) {
        return Some("block: needs a `name` of one line, which its markers carry".into());
    }
    if spec.state.is_present() && spec.content.trim().is_empty() {
        return Some("block: needs `content`, or `state: absent`".into());
    }
    let markers = [marker(spec, "BEGIN"), marker(spec, "END")];
    let clash = spec
        .content
        .lines()
        .find(|line| markers.iter().any(|marker| marker == line.trim()));
    clash.map(|line| format!("block: `content` holds one of its own markers: {line:?}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{TempHost, ensure, take_back};
    use super::*;
    use crate::domain::resource::{Presence, Resource};

    fn block(name: &str, content: &str) -> BlockSpec {
        BlockSpec {
            path: "/etc/app.conf".into(),
            name: name.into(),
            content: content.into(),
            state: Presence::Present,
            comment: "#".into(),
            comment_end: String::new(),
            insert_after: None,
            insert_before: None,
            create: false,
        }
    }

    fn edited(spec: &BlockSpec, text: &str) -> String {
        spec.edited(text).unwrap().unwrap_or_else(|| "same".into())
    }

    const ONE: &str = "a\n# BEGIN quarterdeck one\nx\ny\n# END quarterdeck one\nb\n";

    #[test]
    fn a_block_is_put_in_replaced_and_taken_out_and_the_rest_stays() {
        let spec = BlockSpec {
            insert_after: Some("^a$".into()),
            ..block("one", "x\ny\n")
        };
        assert_eq!(edited(&spec, "a\nb"), ONE);
        assert_eq!(edited(&spec, ONE), "same");
        assert_eq!(
            edited(&block("one", "z"), ONE),
            "a\n# BEGIN quarterdeck one\nz\n# END quarterdeck one\nb\n"
        );
        let absent = BlockSpec {
            state: Presence::Absent,
            ..block("one", "")
        };
        assert_eq!(edited(&absent, ONE), "a\nb\n");
        assert_eq!(edited(&absent, "a\nb"), "same");
    }

    #[test]
    fn several_blocks_live_in_one_file() {
        let two = edited(&block("two", "2"), ONE);
        assert_eq!(edited(&block("one", "x\ny"), &two), "same");
        assert!(two.starts_with(ONE) && two.contains("\n2\n"), "{two}");
    }

    #[test]
    fn other_kinds_of_comments_can_be_had() {
        let spec = BlockSpec {
            comment: "<!--".into(),
            comment_end: "-->".into(),
            ..block("one", "<a/>")
        };
        assert_eq!(
            edited(&spec, ""),
            "<!-- BEGIN quarterdeck one -->\n<a/>\n<!-- END quarterdeck one -->\n"
        );
    }

    #[test]
    fn broken_markers_are_told_and_nothing_is_guessed() {
        for broken in [
            "# BEGIN quarterdeck one\n",
            "# END quarterdeck one\n",
            "# END quarterdeck one\n# BEGIN quarterdeck one\n",
            "# BEGIN quarterdeck one\n# BEGIN quarterdeck one\n# END quarterdeck one\n",
        ] {
            let error = block("one", "x").edited(broken).unwrap_err().to_string();
            assert!(
                error.contains("repair the markers of block one by hand"),
                "{error}"
            );
        }
        assert!(block("one", "# END quarterdeck one").edited("").is_err());
        assert!(block("one", " ").edited("").is_err());
        assert!(block("", "x").edited("").is_err());
    }

    #[tokio::test]
    async fn a_block_comes_and_goes_on_a_host() {
        let host = TempHost::new();
        host.put("/etc/app.conf", "a\n");
        let resource = Resource::Block(block("one", "x"));
        assert_eq!(ensure(&resource, &host).await.unwrap(), ["3 lines added"]);
        take_back(&host).await.unwrap();
        assert_eq!(
            std::fs::read_to_string(host.path("/etc/app.conf")).unwrap(),
            "a\n"
        );
    }

    proptest! {
        #[test]
        fn putting_in_and_taking_out_leaves_the_rest(text in "([a-z#]{0,4}\n){0,8}", content in "[a-z]{1,4}(\n[a-z]{1,4}){0,3}") {
            let with = block("one", &content).edited(&text).unwrap().unwrap();
            prop_assert_eq!(block("one", &content).edited(&with).unwrap(), None);
            let absent = BlockSpec { state: Presence::Absent, ..block("one", "") };
            prop_assert_eq!(absent.edited(&with).unwrap().unwrap(), text);
        }
    }
}
