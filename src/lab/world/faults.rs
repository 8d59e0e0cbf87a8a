//! Faults to practise on, as text commands: `kill pc2`, `lag 800ms`, `drift pc3`.
//!
//! The world knows faults of nodes; simulators of services add their own through [`FaultTarget`].

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::World;
use super::node::{NodeState, Power};
use super::units::UnitState;
use crate::lab::consul::is_json;

/// How long a board takes from power to systemd.
const BOOT: Duration = Duration::from_secs(4);
/// The most lag that can be asked for.
const LAG_LIMIT: Duration = Duration::from_secs(60);

/// One line of help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultHelp {
    /// The first word of the command.
    pub verb: &'static str,
    /// The words after it, such as `NODE`.
    pub arguments: &'static str,
    /// What it does.
    pub what: &'static str,
}

/// A simulator with faults of its own.
pub trait FaultTarget: Send + Sync {
    /// The commands it understands.
    fn faults(&self) -> &'static [FaultHelp];

    /// Carries one out; `verb` is one of [`FaultTarget::faults`].
    ///
    /// # Errors
    /// A sentence that says why not.
    fn fault(&self, verb: &str, arguments: &[&str]) -> Result<String, String>;
}

const fn help(verb: &'static str, arguments: &'static str, what: &'static str) -> FaultHelp {
    FaultHelp {
        verb,
        arguments,
        what,
    }
}

const FAULTS: [FaultHelp; 11] = [
    help("kill", "NODE", "cut the node's power"),
    help("start", "NODE", "give it power again; it boots in seconds"),
    help("reboot", "NODE", "cut and give power"),
    help(
        "lag",
        "DURATION|off",
        "hold every answer back, such as 800ms",
    ),
    help("fill-disk", "NODE", "leave no byte on the root file system"),
    help("free-disk", "NODE", "undo fill-disk"),
    help("heat", "NODE", "make it 35 degrees hotter"),
    help("cool", "NODE", "undo heat"),
    help("fail", "NODE UNIT", "kill the unit's process"),
    help(
        "drift",
        "NODE [FILE]",
        "edit a configuration file behind everyone's back",
    ),
    help("nodes", "", "list the nodes"),
];

impl World {
    /// Carries out a fault command and says what happened. `help` lists them.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the command.
    pub fn command(self: &Arc<Self>, text: &str) -> Result<String, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            [] | ["help"] => Ok(self.fault_help()),
            ["nodes"] => Ok(self.describe_nodes()),
            ["kill", node] => self.kill(node),
            ["start", node] => self.start(node),
            ["reboot", node] => self.reboot(node),
            ["lag", "off"] => self.lag(Duration::ZERO),
            ["lag", duration] => self.lag(parse_duration(duration)?),
            ["fill-disk", node] => self.fault(node, |node| {
                node.files.full = true;
                format!("{}: the disk is full", node.board.name)
            }),
            ["free-disk", node] => self.fault(node, |node| {
                node.files.full = false;
                format!("{}: the disk has room again", node.board.name)
            }),
            ["heat", node] => self.fault(node, |node| {
                node.extra_heat = 35.0;
                format!("{}: the fan stopped", node.board.name)
            }),
            ["cool", node] => self.fault(node, |node| {
                node.extra_heat = 0.0;
                format!("{}: the fan turns again", node.board.name)
            }),
            ["fail", node, unit] => self.fail_unit(node, unit),
            ["drift", node] => self.drift(node, None),
            ["drift", node, file] => self.drift(node, Some(file)),
            [verb, arguments @ ..] => self.delegate(verb, arguments),
        }
    }

    /// Every fault there is, the simulators' own included.
    pub fn faults(&self) -> Vec<FaultHelp> {
        let targets = self.lock().targets.clone();
        FAULTS
            .into_iter()
            .chain(
                targets
                    .iter()
                    .flat_map(|target| target.faults().iter().copied()),
            )
            .collect()
    }

    fn fault_help(&self) -> String {
        let mut text = String::new();
        for fault in self.faults() {
            let usage = format!("{} {}", fault.verb, fault.arguments);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{usage:24} {}", fault.what);
        }
        text.truncate(text.trim_end().len());
        text
    }

    fn describe_nodes(&self) -> String {
        let state = self.lock();
        let lines: Vec<String> = state
            .nodes
            .values()
            .map(|node| {
                let power = match node.power {
                    Power::On => "up",
                    Power::Booting => "booting",
                    Power::Off => "off",
                };
                format!(
                    "{} {} {} {power}",
                    node.board.name, node.board.platform, node.board.arch
                )
            })
            .collect();
        lines.join("\n")
    }

    fn kill(&self, node: &str) -> Result<String, String> {
        self.fault(node, |node| {
            node.power_off();
            format!("{}: power is off", node.board.name)
        })
    }

    fn start(self: &Arc<Self>, node: &str) -> Result<String, String> {
        if self.look(node, |node| node.power == Power::On) == Some(true) {
            return Ok(format!("{node}: is up already"));
        }
        self.boot(node)?;
        Ok(format!("{node}: booting"))
    }

    fn reboot(self: &Arc<Self>, node: &str) -> Result<String, String> {
        self.boot(node)?;
        Ok(format!("{node}: rebooting"))
    }

    /// Takes the node down and brings it back with a new boot id. What was cut or started in between wins.
    pub(crate) fn boot(self: &Arc<Self>, name: &str) -> Result<(), String> {
        let epoch = self
            .change(name, |node, _| node.begin_boot())
            .ok_or_else(|| self.unknown(name))?;
        let name = name.to_owned();
        self.after(BOOT, move |world| {
            world.change(&name, |node, now| {
                if node.power_epoch == epoch {
                    node.finish_boot(now);
                }
            });
        });
        Ok(())
    }

    fn lag(&self, lag: Duration) -> Result<String, String> {
        if lag > LAG_LIMIT {
            return Err(format!("{lag:?} is too long; at most {LAG_LIMIT:?}"));
        }
        self.lock().lag = lag;
        self.bump();
        Ok(if lag.is_zero() {
            "answers come at once".into()
        } else {
            format!("every answer takes {lag:?} longer")
        })
    }

    fn fail_unit(&self, node: &str, unit: &str) -> Result<String, String> {
        let full = if unit.contains('.') {
            unit.to_owned()
        } else {
            format!("{unit}.service")
        };
        let outcome = self.change(node, |node, now| {
            let running: Vec<String> = node
                .units
                .iter()
                .filter(|(_, unit)| unit.state == UnitState::Active)
                .map(|(name, _)| name.clone())
                .collect();
            if node.is_up() && running.contains(&full) {
                node.crash(&full, now);
                Ok(format!("{}: {full} was killed", node.board.name))
            } else {
                Err(format!(
                    "{}: {full} does not run there; these do: {}",
                    node.board.name,
                    running.join(", ")
                ))
            }
        });
        outcome.ok_or_else(|| self.unknown(node))?
    }

    fn drift(&self, name: &str, file: Option<&str>) -> Result<String, String> {
        let outcome = self.change(name, |node, now| {
            let file = match file {
                Some(file) => file.to_owned(),
                None => favourite_file(node),
            };
            let mut content = node
                .files
                .read(&file)
                .map_err(|error| format!("{name}: {file}: {error}"))?
                .to_vec();
            if is_json(&file) {
                // Blank space keeps it valid: drift is to be found by comparison, not by a crash.
                content.extend_from_slice(b"\n\n");
            } else {
                content.extend_from_slice(b"# edited by hand at three in the morning\n");
            }
            node.files
                .write(&file, content, 0o644, now)
                .map_err(|error| format!("{name}: {file}: {error}"))?;
            Ok(format!("{name}: {file} was edited"))
        });
        outcome.ok_or_else(|| self.unknown(name))?
    }

    fn fault(
        &self,
        name: &str,
        fault: impl FnOnce(&mut NodeState) -> String,
    ) -> Result<String, String> {
        self.change(name, |node, _| fault(node))
            .ok_or_else(|| self.unknown(name))
    }

    fn delegate(&self, verb: &str, arguments: &[&str]) -> Result<String, String> {
        let target = self
            .lock()
            .targets
            .iter()
            .find(|target| target.faults().iter().any(|fault| fault.verb == verb))
            .cloned();
        if let Some(target) = target {
            let answer = target.fault(verb, arguments);
            self.bump();
            return answer;
        }
        if let Some(fault) = FAULTS.iter().find(|fault| fault.verb == verb) {
            return Err(format!("usage: {} {}", fault.verb, fault.arguments));
        }
        let verbs: Vec<&str> = self.faults().iter().map(|fault| fault.verb).collect();
        Err(format!(
            "{verb:?} is not a fault; known: {}",
            verbs.join(", ")
        ))
    }

    fn unknown(&self, node: &str) -> String {
        let names: Vec<String> = self.nodes().into_iter().map(|node| node.name).collect();
        format!("there is no node {node:?}; nodes are {}", names.join(", "))
    }
}

/// The file whose change hurts most: Consul's configuration where there is one.
fn favourite_file(node: &NodeState) -> String {
    // What a deploy has written, where there was one: only that is compared.
    std::iter::once("/etc/consul.d/quarterdeck.json".to_owned())
        .chain(node.files.below("/etc/consul.d"))
        .chain(node.files.below("/etc/consul"))
        .find(|path| node.files.read(path).is_ok())
        .unwrap_or_else(|| "/etc/hosts".into())
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("{text:?} is not a duration such as 800ms or 2s"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" | "" => Ok(Duration::from_secs(number)),
        _ => Err(format!("{unit:?} is not ms or s")),
    }
}
