//! What systemd tells about units: `show`, `status`, `cat`, `list-units`, and the journal.

use jiff::Timestamp;

use super::{Options, full_name, look};
use crate::lab::shell::{Context, Said, push};
use crate::lab::world::node::NodeState;
use crate::lab::world::units::UnitState;

pub(super) async fn show(units: &[String], options: &Options, context: &Context) -> u32 {
    let mut text = String::new();
    for (number, unit) in units.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        let all = look(context, |node, _| properties(node, unit));
        let wanted = |name: &str| {
            options.properties.is_empty()
                || options.properties.iter().any(|property| property == name)
        };
        for (name, value) in all {
            if !wanted(name) {
                continue;
            }
            if options.has("--value") {
                push(&mut text, format_args!("{value}\n"));
            } else {
                push(&mut text, format_args!("{name}={value}\n"));
            }
        }
    }
    context.print(text).await
}

fn properties(node: &NodeState, name: &str) -> Vec<(&'static str, String)> {
    let fragment = node.fragment(name);
    let unit = node.units.get(name);
    let state = unit.map_or(UnitState::Inactive, |unit| unit.state);
    // Microseconds since boot.
    let monotonic = unit
        .and_then(|unit| unit.active_since)
        .map_or(0, |at| at.duration_since(node.booted_at).as_micros().max(1));
    let timestamp = unit
        .and_then(|unit| unit.active_since)
        .map_or(String::new(), |at| at.strftime("%a %F %T UTC").to_string());
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    vec![
        ("Type", "simple".into()),
        (
            "Restart",
            unit.and_then(|unit| unit.setting("Restart"))
                .unwrap_or("no".into()),
        ),
        ("MainPID", unit.map_or(0, |unit| unit.pid).to_string()),
        ("Result", unit.map_or("success", |unit| unit.result).into()),
        ("NRestarts", "0".into()),
        (
            "ExecMainStatus",
            if unit.is_some_and(|unit| unit.result == "exit-code") {
                "1"
            } else {
                "0"
            }
            .into(),
        ),
        ("Id", name.to_owned()),
        ("Names", name.to_owned()),
        (
            "Description",
            unit.and_then(|unit| unit.setting("Description"))
                .unwrap_or_else(|| name.to_owned()),
        ),
        (
            "LoadState",
            if fragment.is_some() || unit.is_some() {
                "loaded"
            } else {
                "not-found"
            }
            .into(),
        ),
        ("ActiveState", state.word().into()),
        ("SubState", state.sub().into()),
        ("FragmentPath", fragment.unwrap_or_default()),
        ("UnitFileState", node.enablement(name).into()),
        ("ActiveEnterTimestamp", timestamp),
        ("ActiveEnterTimestampMonotonic", monotonic.to_string()),
        ("NeedDaemonReload", yes(node.needs_reload(name))),
    ]
}

pub(super) async fn status(units: &[String], context: &Context) -> u32 {
    let mut said = Said::default();
    for name in units {
        let (text, status) = look(context, |node, _| {
            let Some(unit) = node.units.get(name) else {
                return (format!("Unit {name} could not be found.\n"), 4);
            };
            let mut text = format!(
                "● {}\n     Loaded: loaded ({}; {})\n     Active: {} ({}) since {}\n",
                node.describe(name),
                node.fragment(name).unwrap_or_default(),
                node.enablement(name),
                unit.state.word(),
                unit.state.sub(),
                unit.since.strftime("%a %F %T UTC"),
            );
            if unit.pid != 0 {
                push(&mut text, format_args!("   Main PID: {}\n", unit.pid));
            }
            text.push('\n');
            let skip = unit.journal.len().saturating_sub(10);
            for line in unit.journal.iter().skip(skip) {
                text.push_str(&short(node, name, line.at, line.pid, &line.text));
            }
            (
                text,
                if unit.state == UnitState::Active {
                    0
                } else {
                    3
                },
            )
        });
        said.out.extend_from_slice(text.as_bytes());
        said.status = said.status.max(status);
    }
    context.say(said).await
}

pub(super) async fn cat(units: &[String], context: &Context) -> u32 {
    let mut said = Said::default();
    for unit in units {
        let content = look(context, |node, _| {
            let path = node.fragment(unit)?;
            let content = node.files.read(&path).ok()?.to_vec();
            Some((path, content))
        });
        match content {
            Some((path, content)) => {
                said.out.extend_from_slice(format!("# {path}\n").as_bytes());
                said.out.extend_from_slice(&content);
            }
            None => said.complain(format_args!("No files found for {unit}.")),
        }
    }
    context.say(said).await
}

pub(super) async fn list_units(failed: bool, options: &Options, context: &Context) -> u32 {
    let rows: Vec<String> = look(context, |node, _| {
        node.units
            .iter()
            .filter(|(_, unit)| !failed || unit.state == UnitState::Failed)
            .map(|(name, unit)| {
                let mark = match (unit.state == UnitState::Failed, options.has("--plain")) {
                    (_, true) => "",
                    (true, false) => "● ",
                    (false, false) => "  ",
                };
                format!(
                    "{mark}{name} loaded {} {} {}\n",
                    unit.state.word(),
                    unit.state.sub(),
                    unit.setting("Description").unwrap_or_default()
                )
            })
            .collect()
    });
    let legend = !options.has("--no-legend") && !options.has("--legend=no");
    let mut text = rows.concat();
    if legend {
        text = format!(
            "UNIT LOAD ACTIVE SUB DESCRIPTION\n{text}\n{} loaded units listed.\n",
            rows.len()
        );
    }
    context.print(text).await
}

/// How often a followed journal is looked at.
const LOOK: std::time::Duration = std::time::Duration::from_millis(100);

/// `journalctl`.
pub(in crate::lab::shell) async fn journalctl(arguments: &[String], context: &Context) -> u32 {
    let options = Options::read(arguments);
    let follow = options.has("-f") || options.has("--follow");
    let mut after = options.after.as_deref().and_then(Cursor::read);
    let mut lines = match (after.is_some(), options.lines) {
        // What -f shows of the past unless it is told otherwise.
        (false, None) if follow => Some(10),
        (_, lines) => lines,
    };
    let plain = matches!(options.output.as_deref(), Some("cat" | "json"));
    loop {
        let (text, last) = entries(&options, after.as_ref(), lines, context);
        if text.is_empty() && !plain && !follow {
            return context.print("-- No entries --\n").await;
        }
        if !text.is_empty() {
            let status = context.print(text).await;
            if status != 0 {
                return status;
            }
        }
        if !follow {
            return 0;
        }
        after = last.or(after).or(Some(Cursor::default()));
        lines = None;
        tokio::time::sleep(LOOK).await;
    }
}

/// Where in a node's journal: a moment, and how many entries of that moment have been seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Cursor {
    micros: i64,
    seen: usize,
}

impl Cursor {
    fn read(text: &str) -> Option<Self> {
        let (micros, seen) = text.strip_prefix("t=")?.split_once(";n=")?;
        Some(Self {
            micros: micros.parse().ok()?,
            seen: seen.parse().ok()?,
        })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "t={};n={}", self.micros, self.seen)
    }
}

/// The entries after `after`, at most the last `lines` of them, and where they end.
fn entries(
    options: &Options,
    after: Option<&Cursor>,
    lines: Option<usize>,
    context: &Context,
) -> (String, Option<Cursor>) {
    let unit = options.unit.as_deref().map(full_name);
    look(context, |node, _| {
        let mut all: Vec<_> = node
            .units
            .iter()
            .filter(|(name, _)| unit.as_ref().is_none_or(|unit| unit == *name))
            .flat_map(|(name, unit)| unit.journal.iter().map(move |line| (name, line)))
            .collect();
        // Stable, so that lines of one moment stay in their order.
        all.sort_by_key(|(_, line)| line.at);
        let mut at = Cursor::default();
        let mut found = Vec::new();
        for (name, line) in all {
            let micros = line.at.as_microsecond();
            at = Cursor {
                micros,
                seen: if micros == at.micros { at.seen + 1 } else { 1 },
            };
            let is_new =
                after.is_none_or(|after| (at.micros, at.seen) > (after.micros, after.seen));
            if is_new {
                found.push((name, line, at.clone()));
            }
        }
        let skip = lines.map_or(0, |wanted| found.len().saturating_sub(wanted));
        let last = found.last().map(|(_, _, cursor)| cursor.clone());
        let text = found[skip..]
            .iter()
            .map(|(name, line, cursor)| match options.output.as_deref() {
                Some("cat") => format!("{}\n", line.text),
                Some("json") => {
                    let entry = serde_json::json!({
                        "__CURSOR": cursor.to_string(),
                        "__REALTIME_TIMESTAMP": line.at.as_microsecond().to_string(),
                        "MESSAGE": line.text,
                        "PRIORITY": "6",
                        "SYSLOG_IDENTIFIER": name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem),
                        "_SYSTEMD_UNIT": name,
                        "_PID": line.pid.to_string(),
                    });
                    format!("{entry}\n")
                }
                _ => short(node, name, line.at, line.pid, &line.text),
            })
            .collect();
        (text, last)
    })
}

/// A journal line in the format of syslog.
fn short(node: &NodeState, unit: &str, at: Timestamp, pid: u32, text: &str) -> String {
    let stem = unit.rsplit_once('.').map_or(unit, |(stem, _)| stem);
    // systemd speaks for units that are not running.
    let (who, pid) = if pid == 0 || text.contains(unit) {
        ("systemd", 1)
    } else {
        (stem, pid)
    };
    format!(
        "{} {} {who}[{pid}]: {text}\n",
        at.strftime("%b %d %H:%M:%S"),
        node.board.name
    )
}
