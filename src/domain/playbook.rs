//! What Ansible does, as its own callback plugin of ours tells it (`assets/ansible/quarterdeck_events.py`): a JSON object a
//! line for each play, task, host and end, taken in one by one.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Deserialize;

use super::matrix::{Mark, Matrix, MatrixRow, ROWS};
use super::run::Stream;

/// The most lines of a difference that are passed on for one file.
const DIFF_LINES: usize = 200;

/// What became of one host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Recap {
    /// Tasks that ended well, those that changed something among them.
    pub ok: u32,
    /// Tasks that changed something.
    pub changed: u32,
    /// Tasks that were not needed.
    pub skipped: u32,
    /// Tasks that failed.
    pub failures: u32,
    /// Whether it did not answer: how many times.
    pub unreachable: u32,
    /// Failures that a `rescue` took care of.
    pub rescued: u32,
    /// Failures that were ignored.
    pub ignored: u32,
}

impl Recap {
    /// Whether nothing went wrong that matters.
    pub const fn is_well(&self) -> bool {
        self.failures == 0 && self.unreachable == 0
    }
}

/// What Ansible has told so far.
#[derive(Debug, Clone, Default)]
pub struct Playbook {
    hosts: Vec<String>,
    columns: HashMap<String, usize>,
    rows: Vec<Row>,
    by_task: HashMap<String, usize>,
    recaps: BTreeMap<String, Recap>,
    /// The first thing that went wrong on each host.
    troubles: Vec<(String, Mark, String)>,
    /// Whether Ansible has told its end.
    ended: bool,
    dropped: usize,
}

#[derive(Debug, Clone)]
struct Row {
    name: String,
    marks: Vec<Mark>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Event {
    quarterdeck: String,
    #[serde(default)]
    at: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    changed: bool,
    #[serde(default)]
    hidden: bool,
    #[serde(default)]
    ignored: Option<bool>,
    #[serde(default)]
    handler: bool,
    #[serde(default)]
    msg: Option<serde_json::Value>,
    #[serde(default)]
    stderr: Option<serde_json::Value>,
    #[serde(default)]
    text: String,
    #[serde(default)]
    hosts: BTreeMap<String, Recap>,
}

/// A line for the log.
pub type Said = (Stream, String);

impl Playbook {
    /// An account of these hosts; others that Ansible comes up with are added.
    pub fn of(hosts: impl IntoIterator<Item = String>) -> Self {
        let mut account = Self::default();
        for host in hosts {
            account.column(&host);
        }
        account
    }

    /// Takes a line in; what the log shall say of it.
    pub fn take(&mut self, line: &str) -> Vec<Said> {
        let Ok(event) = serde_json::from_str::<Event>(line) else {
            return vec![(Stream::Stdout, line.to_owned())];
        };
        let at: Option<Timestamp> = event.at.parse().ok();
        match event.quarterdeck.as_str() {
            "play" => vec![(Stream::Stdout, format!("PLAY {}", event.name.trim()))],
            "task" => self.begin(event),
            "start" => {
                self.set(&event.id, &event.host, Mark::Running, at);
                Vec::new()
            }
            "ok" | "failed" | "skipped" | "unreachable" => self.end(&event, at),
            "diff" => difference(&event),
            "stats" => self.finish(event.hosts),
            _ => vec![(Stream::Stdout, line.to_owned())],
        }
    }

    fn begin(&mut self, event: Event) -> Vec<Said> {
        if self.by_task.contains_key(&event.id) {
            return Vec::new();
        }
        if self.rows.len() == ROWS {
            // What is told of the oldest from now on goes nowhere; it ended long ago.
            self.rows.remove(0);
            self.by_task.retain(|_, index| *index > 0);
            self.by_task.values_mut().for_each(|index| *index -= 1);
            self.dropped += 1;
        }
        let word = if event.handler { "HANDLER" } else { "TASK" };
        let said = format!("{word} {}", event.name.trim());
        self.by_task.insert(event.id, self.rows.len());
        self.rows.push(Row {
            name: event.name,
            marks: vec![Mark::None; self.hosts.len()],
            since: None,
            until: None,
        });
        vec![(Stream::Stdout, said)]
    }

    fn column(&mut self, host: &str) -> usize {
        if let Some(&column) = self.columns.get(host) {
            return column;
        }
        let column = self.hosts.len();
        self.hosts.push(host.to_owned());
        self.columns.insert(host.to_owned(), column);
        for row in &mut self.rows {
            row.marks.push(Mark::None);
        }
        column
    }

    fn set(&mut self, task: &str, host: &str, mark: Mark, at: Option<Timestamp>) {
        let column = self.column(host);
        let Some(row) = self.by_task.get(task).map(|&index| &mut self.rows[index]) else {
            return;
        };
        row.marks[column] = mark;
        row.since = row.since.or(at);
        row.until = at.filter(|_| row.marks.iter().all(|mark| mark.is_final()));
    }

    fn end(&mut self, event: &Event, at: Option<Timestamp>) -> Vec<Said> {
        let ignored = event.ignored == Some(true);
        let mark = match (event.quarterdeck.as_str(), event.changed) {
            ("ok", true) => Mark::Changed,
            ("ok", false) => Mark::Ok,
            ("skipped", _) => Mark::Skipped,
            ("unreachable", _) => Mark::Unreachable,
            // A failure that the playbook takes for none.
            _ if ignored => Mark::Skipped,
            _ => Mark::Failed,
        };
        self.set(&event.id, &event.host, mark, at);
        let why = if event.hidden {
            "what it says is hidden (no_log)".to_owned()
        } else {
            one_line(event)
        };
        let mut text = format!("{}: {mark}", event.host);
        if ignored {
            text.push_str(" (it failed, which is ignored)");
        }
        let bad = matches!(mark, Mark::Failed | Mark::Unreachable);
        if (bad || ignored) && !why.is_empty() {
            text = format!("{text}: {why}");
        }
        if bad {
            let task = self.by_task.get(&event.id);
            let task = task.map_or("", |&index| self.rows[index].name.as_str());
            let told = match (task, why.as_str()) {
                ("", why) => why.to_owned(),
                (task, "") => task.to_owned(),
                (task, why) => format!("{task}: {why}"),
            };
            self.troubles.push((event.host.clone(), mark, told));
        }
        let stream = if bad { Stream::Stderr } else { Stream::Stdout };
        vec![(stream, text)]
    }

    fn finish(&mut self, hosts: BTreeMap<String, Recap>) -> Vec<Said> {
        self.ended = true;
        self.recaps = hosts;
        self.recap()
            .into_iter()
            .map(|line| (Stream::Note, line))
            .collect()
    }

    /// Whether Ansible came to its own end.
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    /// What became of each host, by name.
    pub const fn recaps(&self) -> &BTreeMap<String, Recap> {
        &self.recaps
    }

    /// Whether anything was changed, or would have been.
    pub fn has_changed(&self) -> bool {
        let told = self.recaps.values().any(|recap| recap.changed > 0);
        let seen = self.rows.iter().flat_map(|row| &row.marks);
        told || seen.into_iter().any(|mark| *mark == Mark::Changed)
    }

    /// What went wrong, in one sentence; empty when nothing did.
    pub fn trouble(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        let well = |host: &str| self.recaps.get(host).is_some_and(Recap::is_well);
        for (host, mark, why) in &self.troubles {
            // One that was rescued is none.
            if !well(host) {
                lines.push(format!("{host} {mark}: {why}"));
            }
        }
        let more = lines.len().saturating_sub(3);
        lines.truncate(3);
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        lines.join("; ")
    }

    /// The hosts on which something was begun and did not end.
    pub fn half_done(&self) -> Vec<String> {
        let mut half = Vec::new();
        for row in &self.rows {
            for (host, mark) in self.hosts.iter().zip(&row.marks) {
                if *mark == Mark::Running {
                    half.push(format!("{} on {host}", row.name));
                }
            }
        }
        half
    }

    /// What became of each host, a line each.
    pub fn recap(&self) -> Vec<String> {
        let width = self.recaps.keys().map(|host| host.chars().count()).max();
        let width = width.unwrap_or(0);
        self.recaps
            .iter()
            .map(|(host, recap)| {
                let words = [
                    (recap.ok, "ok", true),
                    (recap.changed, "changed", true),
                    (recap.failures, "failed", true),
                    (recap.unreachable, "unreachable", true),
                    (recap.skipped, "skipped", false),
                    (recap.rescued, "rescued", false),
                    (recap.ignored, "ignored", false),
                ];
                let words: Vec<String> = words
                    .iter()
                    .filter(|(count, _, always)| *always || *count > 0)
                    .map(|(count, word, _)| format!("{count} {word}"))
                    .collect();
                format!("{host:<width$}  {}", words.join(", "))
            })
            .collect()
    }

    /// Tasks by hosts as they stand now.
    pub fn matrix(&self, title: &str) -> Matrix {
        Matrix {
            title: title.to_owned(),
            columns: self.hosts.clone(),
            rows: self
                .rows
                .iter()
                .map(|row| MatrixRow {
                    name: row.name.clone(),
                    note: String::new(),
                    marks: row.marks.clone(),
                    since: row.since,
                    until: row.until,
                })
                .collect(),
            dropped: self.dropped,
            summary: self.recap(),
        }
    }
}

/// What a host said, short enough for a line.
fn one_line(event: &Event) -> String {
    let text = |value: &Option<serde_json::Value>| match value {
        Some(serde_json::Value::String(text)) => text.trim().to_owned(),
        Some(serde_json::Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let (msg, stderr) = (text(&event.msg), text(&event.stderr));
    let last = stderr.lines().next_back().unwrap_or_default();
    let told = match (msg.is_empty(), last.is_empty()) {
        (true, _) => last.to_owned(),
        (_, true) => msg,
        _ => format!("{msg}: {last}"),
    };
    let told = told.replace('\n', " ");
    let mut short: String = told.chars().take(400).collect();
    if short.len() < told.len() {
        short.push('…');
    }
    short
}

fn difference(event: &Event) -> Vec<Said> {
    let lines: Vec<&str> = event.text.trim_end().lines().collect();
    let more = lines.len().saturating_sub(DIFF_LINES);
    let shown = lines.iter().take(DIFF_LINES);
    let mut said: Vec<Said> = shown
        .map(|line| (Stream::Diff, (*line).to_owned()))
        .collect();
    if said.is_empty() {
        return said;
    }
    said.insert(
        0,
        (Stream::Note, format!("{}: what it changes", event.host)),
    );
    if more > 0 {
        said.push((Stream::Note, format!("… and {more} more lines")));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(text: &str) -> (Playbook, Vec<Said>) {
        let mut account = Playbook::of(["a".into(), "b".into(), "dead".into()]);
        let said = text.lines().flat_map(|line| account.take(line)).collect();
        (account, said)
    }

    #[test]
    fn a_play_becomes_a_matrix_of_tasks_and_hosts() {
        let (account, _) = account(include_str!("playbook/events.jsonl"));
        let matrix = account.matrix("site.yml");
        let rows: Vec<String> = matrix
            .rows
            .iter()
            .map(|row| {
                let marks: Vec<&str> = row.marks.iter().map(|mark| mark.word()).collect();
                format!("{}: {}", row.name, marks.join(" "))
            })
            .collect();
        assert_eq!(matrix.columns, ["a", "b", "dead"]);
        insta::assert_snapshot!(rows.join("\n"), @r"
        say: changed changed unreachable
        secret: changed changed none
        file: changed changed none
        skipme: changed skipped none
        loop: ok ok none
        fail: skipped skipped none
        template error: skipped failed none
        h: changed none none
        ");
        insta::assert_snapshot!(account.recap().join("\n"), @r"
        a     6 ok, 5 changed, 0 failed, 0 unreachable, 2 skipped
        b     5 ok, 4 changed, 1 failed, 0 unreachable, 1 skipped, 1 ignored
        dead  0 ok, 0 changed, 0 failed, 1 unreachable
        ");
        assert!(account.is_ended() && account.has_changed());
        assert!(account.half_done().is_empty());
    }

    #[test]
    fn what_went_wrong_is_told_by_host_with_the_task_and_the_reason() {
        let (account, said) = account(include_str!("playbook/events.jsonl"));
        let trouble = account.trouble();
        assert!(
            trouble.starts_with("dead unreachable: say: Task failed: Failed to connect"),
            "{trouble}"
        );
        assert!(trouble.contains("b failed: template error:"), "{trouble}");
        assert!(
            !trouble.contains("fail: non-zero"),
            "an ignored failure: {trouble}"
        );
        let text = format!("{said:?}");
        assert!(
            text.contains("b: skipped (it failed, which is ignored)"),
            "{text}"
        );
        assert!(said.contains(&(Stream::Diff, "+hello a".into())), "{text}");
    }

    #[test]
    fn a_play_that_was_cut_off_tells_what_was_begun() {
        let text = include_str!("playbook/events.jsonl");
        let lines: Vec<&str> = text.lines().take(5).collect();
        let (account, _) = account(&lines.join("\n"));
        assert!(!account.is_ended());
        assert_eq!(account.half_done(), ["say on a", "say on b", "say on dead"]);
    }

    #[test]
    fn lines_that_are_no_events_are_passed_on() {
        let mut account = Playbook::default();
        assert_eq!(
            account.take("Vault password:"),
            [(Stream::Stdout, "Vault password:".into())]
        );
        assert_eq!(account.take("{\"a\": 1}")[0].1, "{\"a\": 1}");
        assert!(account.take("{\"quarterdeck\": \"ok\"}").len() == 1);
    }

    #[test]
    fn a_play_of_ten_thousand_tasks_stays_small() {
        let mut account = Playbook::of(["a".into()]);
        for number in 0..10_000 {
            account.take(&format!(
                r#"{{"quarterdeck":"task","id":"{number}","name":"t{number}"}}"#
            ));
            account.take(&format!(
                r#"{{"quarterdeck":"ok","id":"{number}","host":"a"}}"#
            ));
        }
        let matrix = account.matrix("x");
        assert_eq!((matrix.rows.len(), matrix.dropped), (ROWS, 10_000 - ROWS));
        assert_eq!(matrix.rows[ROWS - 1].marks, [Mark::Ok]);
    }
}
