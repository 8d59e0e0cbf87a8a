//! What one command said on many nodes, grouped by identical answers.

use serde::Serialize;
use similar::TextDiff;

use super::nodeset;
use super::run::{LogLine, Stream, Task, TaskState};

/// The most of one node's answer that is kept, bytes; the run's log has all of it.
pub const KEPT: usize = 64 * 1024;

/// How a command ended on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "end", content = "with")]
pub enum End {
    /// With status 0.
    Well,
    /// With another status, or by a signal: in words.
    Badly(String),
    /// It did not run, or not to its end: why.
    Not(String),
}

/// A node's answer as it is gathered.
#[derive(Debug, Clone, Default)]
struct Heard {
    lines: Vec<(Stream, String)>,
    bytes: usize,
    /// Lines that were not kept.
    more: u64,
    exit: Option<String>,
}

/// The same answer of one or more nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The nodes, in the order of the plan.
    pub nodes: Vec<String>,
    /// How it ended there.
    pub end: End,
    /// What was said, line by line.
    pub lines: Vec<(Stream, String)>,
    /// Lines beyond [`KEPT`], counted only.
    pub more: u64,
}

impl Group {
    /// The nodes, folded, and how many they are: `pc[1,3-5] (4)`.
    pub fn heading(&self) -> String {
        let folded = nodeset::fold(self.nodes.iter().map(String::as_str));
        format!("{folded} ({})", self.nodes.len())
    }

    /// What was said, as one text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (_, line) in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

/// Gathers the log of a run, whose tasks each run one command.
#[derive(Debug, Default)]
pub struct Answers {
    heard: std::collections::BTreeMap<String, Heard>,
}

impl Answers {
    /// Takes in a line of the log.
    pub fn take(&mut self, line: &LogLine) {
        let Some(host) = line.task.as_ref().and_then(|task| task.host.as_ref()) else {
            return;
        };
        let heard = self.heard.entry(host.clone()).or_default();
        match line.stream {
            Stream::Stdout | Stream::Stderr => {
                heard.bytes += line.text.len() + 1;
                if heard.bytes > KEPT {
                    heard.more += 1;
                } else {
                    heard.lines.push((line.stream, line.text.clone()));
                }
            }
            // How a command ended is the last thing that is noted of it.
            Stream::Note => {
                let told = ["exit status ", "signal "]
                    .iter()
                    .any(|start| line.text.starts_with(start));
                if told {
                    heard.exit = Some(line.text.clone());
                }
            }
            Stream::Diff => {}
        }
    }

    /// The answers, those of most nodes first; what did not run comes last.
    pub fn grouped(self, tasks: &[Task]) -> Vec<Group> {
        let mut heard = self.heard;
        let mut groups: Vec<Group> = Vec::new();
        for task in tasks {
            let Some(host) = &task.key.host else {
                continue;
            };
            // Of several steps for one node all but one are skipped.
            if task.state == TaskState::Skipped {
                continue;
            }
            let said = heard.remove(host).unwrap_or_default();
            let reason = || {
                task.reason
                    .clone()
                    .unwrap_or_else(|| task.state.to_string())
            };
            let end = match (task.state, said.exit) {
                (TaskState::Ok | TaskState::Changed, _) => End::Well,
                (TaskState::Failed, Some(exit)) => End::Badly(exit),
                _ => End::Not(without_name(&reason(), host)),
            };
            let same = groups.iter_mut().find(|group| {
                group.end == end && group.more == said.more && group.lines == said.lines
            });
            match same {
                Some(group) => group.nodes.push(host.clone()),
                None => groups.push(Group {
                    nodes: vec![host.clone()],
                    end,
                    lines: said.lines,
                    more: said.more,
                }),
            }
        }
        let last = |group: &Group| matches!(group.end, End::Not(_));
        groups.sort_by_key(|group| (last(group), std::cmp::Reverse(group.nodes.len())));
        groups
    }
}

/// The groups as lines of text: each heading, how it ended where that was not well, and what was said, or with `diff` how
/// it differs from what the first group said.
pub fn told(groups: &[Group], diff: bool) -> Vec<(Told, String)> {
    let first = groups.first().map(Group::text);
    let mut lines = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let how = match &group.end {
            End::Well => String::new(),
            End::Badly(exit) => format!(" {exit}"),
            End::Not(reason) => format!(" did not run: {reason}"),
        };
        lines.push((Told::Heading, format!("{}:{how}", group.heading())));
        match &first {
            Some(first) if diff && index > 0 && !group.lines.is_empty() => {
                let own = group.text();
                let differences = TextDiff::from_lines(first.as_str(), own.as_str());
                let unified = differences.unified_diff().context_radius(1).to_string();
                lines.extend(unified.lines().map(|line| (Told::Said, line.to_owned())));
            }
            _ => lines.extend(
                group
                    .lines
                    .iter()
                    .map(|(_, line)| (Told::Said, line.clone())),
            ),
        }
        if group.more > 0 {
            let more = format!("… {} more lines, which the run's log has", group.more);
            lines.push((Told::Said, more));
        }
    }
    lines
}

/// What a line of [`told`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Which nodes, and how it ended there.
    Heading,
    /// What they said.
    Said,
}

/// A reason without the node's own name in front, so that nodes with the same trouble are together.
fn without_name(reason: &str, host: &str) -> String {
    reason
        .strip_prefix(host)
        .and_then(|rest| rest.strip_prefix(": "))
        .unwrap_or(reason)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::TaskKey;

    fn line(host: &str, stream: Stream, text: &str) -> LogLine {
        LogLine {
            seq: 0,
            at: jiff::Timestamp::UNIX_EPOCH,
            task: Some(TaskKey {
                step: "exec".into(),
                host: Some(host.into()),
            }),
            stream,
            level: None,
            text: text.into(),
        }
    }

    fn task(host: &str, state: TaskState, reason: Option<&str>) -> Task {
        Task {
            state,
            reason: reason.map(Into::into),
            ..Task::pending(TaskKey {
                step: "exec".into(),
                host: Some(host.into()),
            })
        }
    }

    #[test]
    fn the_same_answers_are_one_group_and_the_largest_comes_first() {
        let mut answers = Answers::default();
        for (host, text) in [
            ("pc1", "6.1"),
            ("pc2", "6.8"),
            ("pc3", "6.1"),
            ("pc4", "6.1"),
        ] {
            answers.take(&line(host, Stream::Stdout, text));
        }
        let tasks = ["pc1", "pc2", "pc3", "pc4"].map(|host| task(host, TaskState::Changed, None));
        let groups = answers.grouped(&tasks);
        let told: Vec<(String, String)> = groups
            .iter()
            .map(|group| (group.heading(), group.text()))
            .collect();
        assert_eq!(
            told,
            [
                ("pc[1,3-4] (3)".into(), "6.1\n".into()),
                ("pc2 (1)".into(), "6.8\n".into())
            ]
        );
    }

    #[test]
    fn a_status_tells_answers_apart_and_nodes_that_cannot_be_reached_come_last() {
        let mut answers = Answers::default();
        answers.take(&line("a", Stream::Note, "exit status 3"));
        let refused = "cannot connect to 10.0.0.9:22: connection refused";
        let groups = answers.grouped(&[
            task("b", TaskState::Failed, Some(&format!("b: {refused}"))),
            task("c", TaskState::Failed, Some(&format!("c: {refused}"))),
            task("a", TaskState::Failed, Some("sh -c x: exit status 3")),
        ]);
        let ends: Vec<(&End, usize)> = groups
            .iter()
            .map(|group| (&group.end, group.nodes.len()))
            .collect();
        assert_eq!(
            ends,
            [
                (&End::Badly("exit status 3".into()), 1),
                (&End::Not(refused.into()), 2)
            ]
        );
    }

    #[test]
    fn a_long_answer_is_kept_in_part_and_the_rest_counted() {
        let mut answers = Answers::default();
        let long = "x".repeat(1024);
        for _ in 0..100 {
            answers.take(&line("a", Stream::Stdout, &long));
        }
        let groups = answers.grouped(&[task("a", TaskState::Ok, None)]);
        assert_eq!(groups[0].lines.len() as u64 + groups[0].more, 100);
        assert!(groups[0].more > 0);
    }
}
