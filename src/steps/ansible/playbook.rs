//! `do: playbook`.

use std::sync::Mutex;

use super::super::program::{self, look};
use super::super::{Context, Outcome, StepError};
use super::bench::Bench;
use super::inventory::{Hosts, gather};
use super::{book, find};
use crate::domain::matrix::Matrix;
use crate::domain::playbook::Playbook;
use crate::domain::recipe::AnsibleStep;
use crate::domain::run::Stream;
use crate::transport::{Exit, quote};

/// Ansible's account under a heading.
struct Told {
    playbook: Playbook,
    title: String,
    /// The first error that is about no host.
    error: Option<String>,
}

impl program::Account for Told {
    fn take(&mut self, line: &str) -> Vec<(Stream, String)> {
        self.playbook.take(line)
    }

    fn complain(&mut self, line: &str) {
        let error = line
            .strip_prefix("[ERROR]: ")
            .or(line.strip_prefix("ERROR! "));
        if let (None, Some(error)) = (&self.error, error) {
            self.error = Some(error.trim().to_owned());
        }
    }

    fn matrix(&self) -> Matrix {
        self.playbook.matrix(&self.title)
    }
}

pub(super) async fn play(asked: &AnsibleStep, context: &Context) -> Result<Outcome, StepError> {
    let named = asked.playbook.as_deref().unwrap_or_default();
    let Some(book) = book(asked, context)? else {
        return Ok(Outcome::Skipped(format!("there is no {named}")));
    };
    let ansible = find(asked)?;
    let inventory = match gather(&asked.inventory, context).await? {
        Hosts::There(inventory) => inventory,
        Hosts::NotYet(why) => return Ok(Outcome::Skipped(why)),
    };
    let bench = Bench::make(asked, Some(&inventory), context).await?;
    let mut arguments = vec!["-i".to_owned(), bench.inventory().display().to_string()];
    if context.dry_run {
        arguments.push("--check".into());
    }
    arguments.push("--diff".into());
    if !asked.tags.is_empty() {
        arguments.push(format!("--tags={}", asked.tags.join(",")));
    }
    if let Some(forks) = asked.forks {
        arguments.push(format!("--forks={forks}"));
    }
    let command = bench.command(&ansible, &book, &arguments);
    let mut argv = command.argv.clone();
    if let Some(first) = argv.first_mut() {
        *first = "ansible-playbook".into();
    }
    context.note(format!("$ {}", quote(&argv))).await;
    let hosts = inventory.hosts.iter().map(|host| host.name.clone());
    let told = Mutex::new(Told {
        playbook: Playbook::of(hosts),
        title: named.to_owned(),
        error: None,
    });
    let ended = program::watch(&command, &told, context).await;
    match ended {
        Ok((Exit::Code(0), _)) => {
            let changed = look(&told, |told| told.playbook.has_changed());
            Ok(if changed {
                Outcome::Changed
            } else {
                Outcome::Ok
            })
        }
        Ok((exit, said)) => {
            let trouble = look(&told, |told| told.playbook.trouble());
            let error = look(&told, |told| told.error.take());
            let message = if trouble.is_empty() {
                let error = error.unwrap_or_else(|| said.complaint());
                format!("{named}: {exit}: {error}")
            } else {
                format!("{named}: {trouble}")
            };
            Err(StepError {
                message,
                // Whether another attempt may help, the recipe knows best: it says so with `retries`.
                passing: true,
            })
        }
        Err(error) => {
            let half = look(&told, |told| told.playbook.half_done());
            let half = if half.is_empty() {
                String::new()
            } else {
                format!("; half done may be {}", half.join(", "))
            };
            Err(StepError::lasting(format!("{error}{half}")))
        }
    }
}
