//! `report`: a summary of the run so far in its own log.

use super::{Context, Outcome};
use crate::domain::recipe::Report;
use crate::domain::run::{Tally, Task, TaskState};

pub(super) async fn execute(report: &Report, context: &Context) -> Outcome {
    for line in report.text.trim().lines() {
        context.note(line).await;
    }
    for line in table(&context.tasks.tasks()) {
        context.note(line).await;
    }
    for shown in context.workshop.matrices.shown() {
        for (number, line) in shown.matrix.summary.iter().enumerate() {
            let id = if number == 0 {
                shown.task.step.as_str()
            } else {
                ""
            };
            context.note(format!("{id:<12}  {line}")).await;
        }
    }
    Outcome::Ok
}

/// One line per step: its id, how its tasks ended, and why where that is not plain.
fn table(tasks: &[Task]) -> Vec<String> {
    let mut steps: Vec<(&str, Tally, Vec<&Task>)> = Vec::new();
    for task in tasks {
        // The report's own task is at work while it is written.
        if task.state == TaskState::Running {
            continue;
        }
        let id = task.key.step.as_str();
        if steps.last().is_none_or(|(last, ..)| *last != id) {
            steps.push((id, Tally::default(), Vec::new()));
        }
        if let Some((_, tally, told)) = steps.last_mut() {
            tally.add(task.state);
            if task.reason.is_some() {
                told.push(task);
            }
        }
    }
    let width = steps.iter().map(|(id, ..)| id.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for (id, tally, told) in steps {
        lines.push(format!("{id:<width$}  {}", counts(&tally)));
        for (state, reason, hosts) in by_reason(&told) {
            let hosts = hosts.join(", ");
            lines.push(format!("{:width$}  {hosts}: {state} ({reason})", ""));
        }
    }
    lines
}

/// The hosts that ended in the same way for the same reason, together.
fn by_reason<'a>(tasks: &[&'a Task]) -> Vec<(TaskState, &'a str, Vec<&'a str>)> {
    let mut groups: Vec<(TaskState, &str, Vec<&str>)> = Vec::new();
    for task in tasks {
        let host = task.key.host.as_deref().unwrap_or("here");
        let reason = task.reason.as_deref().unwrap_or_default();
        let same =
            |group: &&mut (TaskState, &str, Vec<&str>)| (group.0, group.1) == (task.state, reason);
        match groups.iter_mut().find(same) {
            Some((.., hosts)) => hosts.push(host),
            None => groups.push((task.state, reason, vec![host])),
        }
    }
    groups
}

fn counts(tally: &Tally) -> String {
    let parts = [
        (tally.ok, "ok"),
        (tally.changed, "changed"),
        (tally.skipped, "skipped"),
        (tally.failed, "failed"),
        (tally.cancelled, "cancelled"),
        (tally.pending, "pending"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::TaskKey;

    fn task(step: &str, host: Option<&str>, state: TaskState, reason: Option<&str>) -> Task {
        Task {
            key: TaskKey {
                step: step.into(),
                host: host.map(Into::into),
            },
            state,
            attempts: 1,
            started_at: None,
            ended_at: None,
            reason: reason.map(Into::into),
        }
    }

    #[test]
    fn the_table_counts_per_step_and_names_what_is_not_plain() {
        let tasks = [
            task("reachable", Some("pc1"), TaskState::Ok, None),
            task("reachable", Some("pc2"), TaskState::Ok, None),
            task("servers", Some("pc1"), TaskState::Changed, None),
            task("servers", Some("pc2"), TaskState::Failed, Some("disk full")),
            task("servers", Some("pc3"), TaskState::Failed, Some("disk full")),
            task(
                "servers",
                Some("pc4"),
                TaskState::Failed,
                Some("no package"),
            ),
            task("leader", None, TaskState::Skipped, Some("servers failed")),
            task("report", None, TaskState::Running, None),
        ];
        insta::assert_snapshot!(table(&tasks).join("\n"), @r"
        reachable  2 ok
        servers    1 changed, 3 failed
                   pc2, pc3: failed (disk full)
                   pc4: failed (no package)
        leader     1 skipped
                   here: skipped (servers failed)
        ");
    }
}
