//! `ansible`: playbooks, with the real program and nothing but ansible-core.
//!
//! What happens is told by a callback plugin of Quarterdeck's own (`assets/ansible/quarterdeck_events.py`), because those
//! that tell events line by line are not part of ansible-core. It becomes a matrix of tasks and hosts while it happens, and a
//! line for each host in the report.
//!
//! Hosts come from the environment and from Terraform's outputs; the way to them is the one that Quarterdeck itself goes,
//! written as OpenSSH configurations. Extra variables travel in a file with mode 0600, the password of Ansible Vault by
//! standard input. A dry run is `--check --diff`. A playbook cannot be undone: a run's undo says so.

mod bench;
mod inventory;
mod playbook;
mod wait;

use super::{Context, Outcome, StepError, program};
use crate::domain::recipe::{AnsibleAction, AnsibleStep, Step};
use crate::domain::run::Stream;
use crate::transport::local::Program;

pub(super) async fn execute(
    asked: &AnsibleStep,
    step: &Step,
    context: &Context,
) -> Result<Outcome, StepError> {
    match asked.action {
        AnsibleAction::Check => check(asked, context).await,
        AnsibleAction::Inventory => inventory::show(asked, context).await,
        AnsibleAction::Wait => wait::wait(asked, step, context).await,
        AnsibleAction::Playbook => playbook::play(asked, context).await,
    }
}

/// The path of `ansible-playbook`.
fn find(asked: &AnsibleStep) -> Result<String, StepError> {
    let name = asked.program.as_deref().unwrap_or("ansible-playbook");
    program::find(&[name])
        .map(|path| path.display().to_string())
        .ok_or_else(|| {
            StepError::lasting(format!(
                "{name} is not in the PATH of the engine: install ansible-core, and `quarterdeck engine restart`"
            ))
        })
}

/// The playbook as a path; `None` when it is optional and not there.
fn book(asked: &AnsibleStep, context: &Context) -> Result<Option<std::path::PathBuf>, StepError> {
    let named = asked.playbook.as_deref().unwrap_or_default();
    let path = context.workshop.path(named)?;
    if path.is_file() {
        return Ok(Some(path));
    }
    if asked.optional {
        return Ok(None);
    }
    let lab = match context.environment.marking.as_deref() {
        Some("LAB") => {
            "; the lab's nodes have no Python for it either: try this in a workspace of your own"
        }
        _ => "",
    };
    Err(StepError::lasting(format!(
        "there is no playbook {}{lab}",
        path.display()
    )))
}

/// `do: check`.
async fn check(asked: &AnsibleStep, context: &Context) -> Result<Outcome, StepError> {
    let Some(book) = book(asked, context)? else {
        return Ok(Outcome::Skipped(format!(
            "there is no {}",
            asked.playbook.as_deref().unwrap_or_default()
        )));
    };
    let ansible = find(asked)?;
    let version = program::ask(
        &Program::new([ansible.as_str(), "--version"]),
        &context.cancel,
    )
    .await?;
    let version = String::from_utf8_lossy(&version.stdout);
    let first = version.lines().next().unwrap_or_default().trim().to_owned();
    context.note(format!("{first} at {ansible}")).await;
    let bench = bench::Bench::make(asked, None, context).await?;
    let command = bench.command(
        &ansible,
        &book,
        &["--syntax-check", "-i", "localhost,"].map(String::from),
    );
    let looked = program::ask(&command, &context.cancel).await?;
    if looked.exit.success() {
        context
            .note(format!("{}: its syntax is sound", book.display()))
            .await;
        return Ok(Outcome::Ok);
    }
    for line in looked.complaint.split("; ") {
        context.log.line(Stream::Stderr, line.to_owned()).await;
    }
    Err(StepError::lasting(format!(
        "{}: {}",
        book.display(),
        looked.complaint
    )))
}
