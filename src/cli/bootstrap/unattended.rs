//! The first start by answers: nothing is asked, everything is shown.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use serde_json::json;

use super::draft::Draft;
use super::survey::survey;
use super::{BootstrapArgs, kept, stages, target};
use crate::cli::exit::{Ended, Exit};
use crate::cli::follow::Give;
use crate::cli::session::Session;
use crate::cli::{Global, Look, lab, output};
use crate::domain::bootstrap::{
    Answers, Change, Conflict, HostKeys, Machine, Member, Purpose, conflicts, propose, warnings,
};
use crate::domain::table::Table;

/// Does what the answers say.
///
/// # Errors
/// When something cannot be begun.
pub(super) async fn unattended(
    global: &Global,
    look: &Look,
    args: &BootstrapArgs,
    mut answers: Answers,
) -> color_eyre::Result<Exit> {
    if answers.purpose == Purpose::Lab {
        if args.dry_run {
            output::remark(
                "the lab is simulated and writes nothing of yours: there is nothing to show",
            );
            return Ok(Exit::Success);
        }
        return lab::lab(global, look, lab::LabArgs::bare(Some(answers.stack))?).await;
    }
    let dir = target(global, args)?;
    let global = Global {
        accept_new_host_keys: global.accept_new_host_keys
            || answers.trust_host_keys == HostKeys::FirstUse,
        workspace: Some(dir.clone()),
        ..global.clone()
    };
    let session = Session::without_workspace(&global, &dir).await?;
    let seen = survey(&session, &mut answers).await;
    session.close().await;
    let seen = seen?;
    let machines = seen.machines;
    let members = propose(&answers, &machines);
    let mut wrong = seen.silent;
    wrong.extend(conflicts(&answers, &members, &machines));
    let doubts = warnings(&answers, &members, &machines);
    let draft = if wrong.is_empty() {
        Some(Draft::new(&dir, &answers, &members).map_err(Ended::unusable)?)
    } else {
        None
    };
    if args.json {
        output::json(&report(
            &members,
            &machines,
            &wrong,
            &doubts,
            draft.as_ref(),
        ))?;
    } else {
        output::table(&table(&members, &machines))?;
        for doubt in &doubts {
            output::remark(&format!("warning: {}", output::plain(doubt)));
        }
        for conflict in &wrong {
            output::remark(&format!("error: {}", output::plain(&conflict.to_string())));
        }
    }
    let Some(draft) = draft else {
        return Ok(Exit::Failed);
    };
    if !args.json {
        show(&draft)?;
    }
    if args.dry_run {
        return Ok(Exit::Success);
    }
    if global.read_only {
        return Err(Ended::refused("this is read-only: nothing was written").into());
    }
    if !draft.is_written() {
        agree(args, &draft)?;
        draft.write().map_err(Ended::unusable)?;
        output::remark(&format!("written: {}", dir.display()));
    }
    kept::keep(&global, &dir, &answers).map_err(Ended::unusable)?;
    if args.no_deploy {
        return Ok(Exit::Success);
    }
    let give = Give {
        yes: args.yes,
        confirm: args.confirm.clone(),
        detach: false,
        json: args.json,
    };
    stages::stages(&global, &answers, &give).await
}

/// Has somebody agree to the files that were shown.
fn agree(args: &BootstrapArgs, draft: &Draft) -> Result<(), Ended> {
    if args.yes {
        return Ok(());
    }
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(Ended::refused("nobody agreed to these files; say --yes"));
    }
    let what = if draft.replaces() {
        "Write, and replace what differs?"
    } else {
        "Write them?"
    };
    output::hint(&format!("{what} [y/N] "));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Ended::refused("nothing was written"))
    }
}

fn show(draft: &Draft) -> std::io::Result<()> {
    let colour = output::colour();
    let mut text = String::new();
    for (change, line) in draft.lines() {
        let (mark, style) = match change {
            Change::Same => (' ', ""),
            Change::Added => ('+', "\x1b[32m"),
            Change::Removed => ('-', "\x1b[31m"),
        };
        let line = output::plain(&line);
        // Writing to a String cannot fail.
        let _ = if colour && !style.is_empty() {
            writeln!(text, "{style}{mark}{line}\x1b[0m")
        } else {
            writeln!(text, "{mark}{line}")
        };
    }
    output::bytes(text.as_bytes())
}

fn table(members: &[Member], machines: &[Machine]) -> Table {
    let columns = [
        "NODE", "ADDRESS", "PLATFORM", "ARCH", "MEMORY", "ROLES", "WHY",
    ];
    let mut table = Table::new("Nodes", columns, "no host answered");
    for (member, machine) in members.iter().zip(machines) {
        let roles: Vec<&str> = member.roles.iter().map(|role| role.word()).collect();
        let memory = format!("{:.1} GiB", machine.memory as f64 / f64::from(1 << 30));
        table.push(
            member.name.as_str(),
            [
                output::plain(&member.name).into(),
                output::plain(&member.address).into(),
                member.platform.word().into(),
                member.arch.map_or("?", |arch| arch.word()).into(),
                memory.into(),
                roles.join(" ").into(),
                output::plain(&member.why.join("; ")).into(),
            ],
        );
    }
    table
}

fn report(
    members: &[Member],
    machines: &[Machine],
    wrong: &[Conflict],
    doubts: &[String],
    draft: Option<&Draft>,
) -> serde_json::Value {
    let nodes = members.iter().zip(machines).map(|(member, machine)| {
        json!({
            "name": member.name,
            "address": member.address,
            "platform": member.platform,
            "arch": member.arch,
            "os": machine.os,
            "memory": machine.memory,
            "roles": member.roles,
            "why": member.why,
        })
    });
    let conflicts = wrong
        .iter()
        .map(|one| json!({ "reason": one.reason, "help": one.help }));
    let files = draft.map(|draft| {
        let pairs = draft.files.iter().zip(&draft.old);
        let file = |(file, old): (&crate::domain::bootstrap::NewFile, &Option<String>)| {
            json!({ "path": draft.root.join(&file.path), "text": file.text, "old": old })
        };
        pairs.map(file).collect::<Vec<_>>()
    });
    json!({
        "nodes": nodes.collect::<Vec<_>>(),
        "conflicts": conflicts.collect::<Vec<_>>(),
        "warnings": doubts,
        "files": files,
    })
}
