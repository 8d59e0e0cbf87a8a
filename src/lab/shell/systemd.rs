//! `systemctl` and `journalctl`.

mod view;

use std::time::Duration;

use jiff::Timestamp;

use super::{Context, Said, push};
use crate::lab::world::node::NodeState;
use crate::lab::world::units::{UnitState, WANTS_DIR};

pub(super) use self::view::journalctl;
use self::view::{cat, list_units, show, status};

/// How long a unit takes to start, and to stop.
const START: Duration = Duration::from_millis(700);
const STOP: Duration = Duration::from_millis(250);

/// `systemctl`.
pub(super) async fn systemctl(arguments: &[String], context: &Context) -> u32 {
    let options = Options::read(arguments);
    let Some((verb, units)) = options.words.split_first() else {
        let failed = options.has("--failed");
        return list_units(failed, &options, context).await;
    };
    let units: Vec<String> = units.iter().map(|unit| full_name(unit)).collect();
    match verb.as_str() {
        "start" | "restart" | "try-restart" | "reload-or-restart" => {
            start(verb, &units, context).await
        }
        "stop" | "kill" => {
            for unit in &units {
                let status = stop(unit, context).await;
                if status != 0 {
                    return status;
                }
            }
            0
        }
        "reload" => reload(&units, context).await,
        "enable" | "disable" => enable(verb, &units, &options, context).await,
        "daemon-reload" | "daemon-reexec" => {
            context.pause(300).await;
            context
                .world
                .change(&context.node, |node, _| node.daemon_reload());
            0
        }
        "reset-failed" => {
            context.world.change(&context.node, |node, _| {
                for (name, unit) in &mut node.units {
                    if unit.state == UnitState::Failed && (units.is_empty() || units.contains(name))
                    {
                        unit.state = UnitState::Inactive;
                        unit.result = "success";
                    }
                }
            });
            0
        }
        "is-active" | "is-failed" | "is-enabled" => question(verb, &units, &options, context).await,
        "show" => show(&units, &options, context).await,
        "status" => status(&units, context).await,
        "cat" => cat(&units, context).await,
        "list-units" => list_units(options.has("--failed"), &options, context).await,
        "is-system-running" => {
            let failed = look(context, |node, _| {
                node.units
                    .values()
                    .any(|unit| unit.state == UnitState::Failed)
            });
            let word = if failed { "degraded" } else { "running" };
            context.print(format!("{word}\n")).await;
            u32::from(failed)
        }
        "reboot" => super::system::reboot(context).await,
        "poweroff" => {
            context
                .world
                .change(&context.node, |node, _| node.power_off());
            0
        }
        other => {
            context
                .complain(&format!("Unknown command verb {other}."))
                .await;
            1
        }
    }
}

struct Options {
    words: Vec<String>,
    flags: Vec<String>,
    /// Of `-p` and `--property`.
    properties: Vec<String>,
    /// Of `-n`, `-u` and `-o` for `journalctl`.
    lines: Option<usize>,
    unit: Option<String>,
    output: Option<String>,
    /// `--after-cursor` of `journalctl`.
    after: Option<String>,
}

impl Options {
    fn read(arguments: &[String]) -> Self {
        let mut options = Self {
            words: Vec::new(),
            flags: Vec::new(),
            properties: Vec::new(),
            lines: None,
            unit: None,
            output: None,
            after: None,
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let (flag, inline) = match word.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
                _ => match word.get(..2) {
                    Some(flag @ ("-p" | "-n" | "-u" | "-o")) if word.len() > 2 => {
                        (flag, Some(word[2..].to_owned()))
                    }
                    _ => (word.as_str(), None),
                },
            };
            let mut value = || {
                inline
                    .clone()
                    .or_else(|| words.next().cloned())
                    .unwrap_or_default()
            };
            match flag {
                "-p" | "--property" => options
                    .properties
                    .extend(value().split(',').map(str::to_owned)),
                "-n" | "--lines" => options.lines = value().parse().ok(),
                "-u" | "--unit" => options.unit = Some(value()),
                "-o" | "--output" => options.output = Some(value()),
                "--after-cursor" => options.after = Some(value()),
                "--state" if value() == "failed" => options.flags.push("--failed".into()),
                "--" => options.words.extend(words.by_ref().cloned()),
                _ if word.starts_with('-') => options.flags.push(word.clone()),
                _ => options.words.push(word.clone()),
            }
        }
        options
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }
}

/// A unit's name with its suffix.
fn full_name(unit: &str) -> String {
    let has_suffix = unit.rsplit_once('.').is_some_and(|(_, suffix)| {
        matches!(
            suffix,
            "service" | "socket" | "timer" | "target" | "mount" | "path" | "slice"
        )
    });
    if has_suffix {
        unit.to_owned()
    } else {
        format!("{unit}.service")
    }
}

/// Looks at the node; what cannot be seen because it is gone reads as nothing.
fn look<T: Default>(context: &Context, look: impl FnOnce(&NodeState, Timestamp) -> T) -> T {
    let now = context.world.now();
    context
        .world
        .look(&context.node, |node| look(node, now))
        .unwrap_or_default()
}

async fn not_found(verb: &str, unit: &str, context: &Context) -> u32 {
    context
        .complain(&format!("Failed to {verb} {unit}: Unit {unit} not found."))
        .await;
    5
}

async fn start(verb: &str, units: &[String], context: &Context) -> u32 {
    let mut status = 0;
    for unit in units {
        let found = context
            .world
            .act(&context.node, false, |node, _| node.load_unit(unit))
            .unwrap_or(false);
        if !found {
            status = not_found(verb, unit, context).await;
            continue;
        }
        let needs_reload = look(context, |node, _| node.needs_reload(unit));
        if needs_reload {
            context
                .complain(&format!(
                    "Warning: The unit file, source configuration file or drop-ins of {unit} changed on disk. \
                     Run 'systemctl daemon-reload' to reload units."
                ))
                .await;
        }
        let active = look(context, |node, _| node.unit_is_active(unit));
        if active && verb == "start" {
            continue;
        }
        if !active && verb == "try-restart" {
            continue;
        }
        if active {
            stop(unit, context).await;
        }
        let epoch = context.world.change(&context.node, |node, now| {
            node.begin_start(unit, now);
            node.add_work(now, 3.0, 1.0);
            node.power_epoch
        });
        // systemd finishes the job even when the client goes away in between.
        let (done, wait) = tokio::sync::oneshot::channel();
        let (node, name) = (context.node.clone(), unit.clone());
        context.world.after(START, move |world| {
            world.change(&node, |node, now| {
                if Some(node.power_epoch) == epoch {
                    let outcome = node.try_start(&name);
                    node.settle_start(&name, &outcome, now);
                }
            });
            // The client may have gone.
            let _ = done.send(());
        });
        // An error means that the lab is being stopped.
        let _ = wait.await;
        let failed = look(context, |node, _| !node.unit_is_active(unit));
        if failed {
            context
                .complain(&format!(
                    "Job for {unit} failed because the control process exited with error code.\n\
                     See \"systemctl status {unit}\" and \"journalctl -xeu {unit}\" for details."
                ))
                .await;
            status = 1;
        }
    }
    status
}

async fn stop(unit: &str, context: &Context) -> u32 {
    let found = context
        .world
        .act(&context.node, false, |node, _| node.load_unit(unit))
        .unwrap_or(false);
    if !found {
        return not_found("stop", unit, context).await;
    }
    context
        .pause(u64::try_from(STOP.as_millis()).unwrap_or(0))
        .await;
    context
        .world
        .change(&context.node, |node, now| node.stop(unit, now));
    0
}

async fn reload(units: &[String], context: &Context) -> u32 {
    for unit in units {
        if !look(context, |node, _| node.unit_is_active(unit)) {
            context
                .complain(&format!(
                    "Failed to reload {unit}: Unit {unit} is not active, cannot reload."
                ))
                .await;
            return 1;
        }
        context.pause(200).await;
        let text = format!("Reloaded {unit}.");
        context
            .world
            .change(&context.node, |node, now| node.journal(unit, now, &text));
    }
    0
}

async fn enable(verb: &str, units: &[String], options: &Options, context: &Context) -> u32 {
    let mut said = Said::default();
    for unit in units {
        let done = context.change(|node, now| {
            let fragment = node.fragment(unit);
            let link = format!("{WANTS_DIR}/{unit}");
            if verb == "disable" {
                return Ok(node.disable(unit).then(|| format!("Removed \"{link}\".")));
            }
            let made = node.enable(unit, now)?;
            Ok(made.then(|| format!("Created symlink {link} → {}.", fragment.unwrap_or_default())))
        });
        match done {
            // systemctl tells this on standard error.
            Ok(Some(line)) => {
                said.err.push_str(&line);
                said.err.push('\n');
            }
            Ok(None) => {}
            Err(error) => said.complain(format_args!(
                "Failed to {verb} unit: Unit file {unit} does not exist ({error})."
            )),
        }
    }
    context.pause(250).await;
    let status = context.say(said).await;
    if status != 0 || !options.has("--now") {
        return status;
    }
    if verb == "enable" {
        return start("start", units, context).await;
    }
    for unit in units {
        stop(unit, context).await;
    }
    0
}

async fn question(verb: &str, units: &[String], options: &Options, context: &Context) -> u32 {
    let quiet = options.has("-q") || options.has("--quiet");
    let mut status = if verb == "is-enabled" { 1 } else { 3 };
    let mut said = Said::default();
    for unit in units {
        let (word, good) = look(context, |node, _| {
            if verb == "is-enabled" {
                let word = node.enablement(unit);
                return (word.to_owned(), matches!(word, "enabled" | "static"));
            }
            let state = node
                .units
                .get(unit)
                .map_or(UnitState::Inactive, |unit| unit.state);
            let wanted = if verb == "is-failed" {
                UnitState::Failed
            } else {
                UnitState::Active
            };
            (state.word().to_owned(), state == wanted)
        });
        if good {
            status = 0;
        }
        if word.is_empty() {
            push(
                &mut said.err,
                format_args!(
                    "Failed to get unit file state for {unit}: No such file or directory\n"
                ),
            );
        } else if !quiet {
            said.out.extend_from_slice(format!("{word}\n").as_bytes());
        }
    }
    context.say(said).await;
    status
}
