//! The way to a node told hop by hop, and tried.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::atlas::{Atlas, Step, Stop};
use super::connection::Connection;
use super::elevate::Rise;
use super::exec::{self, Ended, Input, Job};
use super::trail::Trail;
use super::way::{Set, Source, Target};
use super::{elevate, proxy, tame};
use crate::domain::node::Elevate;
use crate::domain::reach::{Hop, Setting, StageName, Way};
use crate::transport::{Collect, Exit, Output, ReachError};

/// How long a command that only looks may take.
const LOOK: Duration = Duration::from_secs(10);

/// The way to the node `name`; with `test` each hop is connected to anew, beside the connections that are kept.
pub(super) async fn explain(atlas: &Arc<Atlas>, name: &str, test: bool) -> Way {
    let mut way = Way {
        node: name.to_owned(),
        ..Way::default()
    };
    let steps = match atlas.way(&Stop::Node(name.to_owned())).await {
        Ok(steps) => steps,
        Err(error) => {
            way.trouble = Some(error.to_string());
            return way;
        }
    };
    way.hops = steps.iter().map(hop).collect();
    let remarks = steps.iter().flat_map(|step| step.target.remarks.clone());
    way.remarks = remarks.map(|remark| tame(&remark)).collect();
    way.remarks.dedup();
    if test {
        way.trouble = attempt(atlas, steps, &mut way.hops).await.err();
    }
    way
}

/// Connects hop by hop and notes how far that went; why it went no farther.
async fn attempt(atlas: &Atlas, steps: Vec<Step>, hops: &mut [Hop]) -> Result<(), String> {
    let (settings, keys) = (&atlas.settings, &atlas.keys);
    let mut through = None;
    for (step, hop) in steps.into_iter().zip(&mut *hops) {
        let trail = Trail::begin();
        let made = Connection::make(step.target, through, settings, keys, &trail).await;
        hop.stages = trail.stages();
        match made {
            Ok(connection) => through = Some(Arc::new(connection)),
            Err(error) => return Err(error.to_string()),
        }
    }
    let (Some(connection), Some(last)) = (through, hops.last_mut()) else {
        return Ok(());
    };
    let trail = Trail::begin();
    let looked = look_around(&connection, &trail).await;
    last.stages.extend(trail.stages());
    looked.map_err(|error| error.to_string())
}

/// Whether the node does what it will be asked for: run commands, as root where that is wanted.
async fn look_around(connection: &Arc<Connection>, trail: &Trail) -> Result<(), ReachError> {
    let said = ask(connection, &["uname", "-srm"], &Rise::No).await;
    let said = said.inspect_err(|error| trail.failed(StageName::Command, error))?;
    let line = tame(&said.text());
    if said.exit.success() {
        trail.done(StageName::Command, line);
    } else {
        trail.warn(StageName::Command, format!("uname: {}", said.exit));
    }
    // Its status is not 0 while it works, when it failed, and when there is none.
    if let Ok(said) = ask(connection, &["cloud-init", "status"], &Rise::No).await {
        let text = said.text();
        let status = text.lines().find_map(|line| line.strip_prefix("status: "));
        match status.map(str::trim) {
            Some("done" | "disabled") | None => {}
            Some(status @ ("running" | "not started" | "not run")) => trail.warn(
                StageName::CloudInit,
                format!("{}: the machine is still being set up", tame(status)),
            ),
            Some(status) => trail.warn(StageName::CloudInit, tame(status)),
        }
    }
    let rise = match elevate::how(connection.target()) {
        Elevate::No => return Ok(()),
        Elevate::Sudo => Rise::Sudo,
        Elevate::Doas => Rise::Doas,
        Elevate::Su => {
            trail.warn(
                StageName::Elevate,
                "su asks for root's password, in each run",
            );
            return Ok(());
        }
    };
    let tried = ask(connection, &["true"], &rise).await;
    match tried {
        Ok(said) if said.exit == Exit::Code(0) => {
            trail.done(StageName::Elevate, connection.target().elevate.word());
            Ok(())
        }
        Ok(said) if elevate::wants_password(&tame(&said.complaint())) => {
            let words = format!(
                "{} asks for a password, in each run",
                connection.target().elevate.word()
            );
            trail.warn(StageName::Elevate, words);
            Ok(())
        }
        Ok(said) => {
            let error = ReachError::Elevate {
                hop: connection.target().name.clone(),
                reason: tame(&said.complaint()),
            };
            trail.failed(StageName::Elevate, &error);
            Err(error)
        }
        Err(error) => {
            trail.failed(StageName::Elevate, &error);
            Err(error)
        }
    }
}

async fn ask(
    connection: &Arc<Connection>,
    argv: &[&str],
    rise: &Rise,
) -> Result<Output, ReachError> {
    let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
    let opened = connection.open_session().await?;
    let job = Job {
        hop: &connection.target().name,
        argv: &argv,
        rise,
        input: Input::Empty,
        limit: LOOK,
        gives_way: false,
    };
    let mut collected = Collect::default();
    let cancel = CancellationToken::new();
    match exec::run(connection, opened, job, &mut collected, &cancel).await? {
        Ended::Exit(exit) => Ok(collected.into_output(exit)),
        Ended::NotBegun(reason) => Err(ReachError::Elevate {
            hop: connection.target().name.clone(),
            reason: tame(&reason),
        }),
    }
}

/// A hop with its settings, untried.
fn hop(step: &Step) -> Hop {
    let target = &step.target;
    let mut settings = Vec::new();
    let mut say = |name: &str, value: String, from: &Source| {
        settings.push(Setting {
            name: name.to_owned(),
            value: tame(&value),
            from: tame(&from.to_string()),
        });
    };
    say(
        "address",
        target.address.value.clone(),
        &target.address.from,
    );
    say("port", target.port.to_string(), &target.port.from);
    say("user", target.user.value.clone(), &target.user.from);
    if let Some(from) = &step.through {
        say("through", "the hop before".into(), from);
    }
    if let Some(line) = target.proxy.as_ref().filter(|_| step.through.is_none()) {
        let program = format!("the program {}", proxy::name(line));
        say("through", program, &line.from);
    }
    for file in &target.identities {
        say("identity", file.value.display().to_string(), &file.from);
    }
    if target.identities.is_empty() {
        say(
            "identity",
            "the agent's keys, ~/.ssh/id_ed25519, id_ecdsa, id_rsa".into(),
            &Source::Default,
        );
    }
    for file in &target.certificates {
        say("certificate", file.value.display().to_string(), &file.from);
    }
    say("agent", socket(&target.agent), &target.agent.from);
    if target.forward_agent.is_some() {
        let forwarded = socket(&target.forward_agent);
        say("forwards agent", forwarded, &target.forward_agent.from);
    }
    for file in &target.known_hosts {
        // The system's own files are told only where they are there.
        if file.from != Source::Default || file.value.exists() {
            say("known hosts", file.value.display().to_string(), &file.from);
        }
    }
    for file in &target.revoked {
        say("revoked keys", file.value.display().to_string(), &file.from);
    }
    if let Some(alias) = &target.key_alias {
        say("host key alias", alias.value.clone(), &alias.from);
    }
    say(
        "unknown keys",
        target.strict.word().into(),
        &target.strict.from,
    );
    refusals(target, &mut say);
    say(
        "connect within",
        format!("{} s", target.connect.as_secs_f32()),
        &target.connect.from,
    );
    say(
        "sign of life",
        format!(
            "every {} s, lost after {}",
            target.keepalive.as_secs_f32(),
            *target.keepalive_most
        ),
        &target.keepalive.from,
    );
    say(
        "becomes root by",
        target.elevate.word().into(),
        &target.elevate.from,
    );
    Hop {
        name: target.name.clone(),
        address: target.place(),
        user: target.user.value.clone(),
        settings,
        stages: Vec::new(),
    }
}

/// The ways to log in that are closed.
fn refusals(target: &Target, say: &mut impl FnMut(&str, String, &Source)) {
    for (name, open) in [
        ("by key", &target.by_key),
        ("by password", &target.by_password),
        ("by questions", &target.by_questions),
    ] {
        if !open.value {
            say(name, "no".into(), &open.from);
        }
    }
}

fn socket(agent: &Set<Option<PathBuf>>) -> String {
    match &agent.value {
        Some(path) => path.display().to_string(),
        None => "none".into(),
    }
}
