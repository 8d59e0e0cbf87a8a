//! `do: wait`: waits until every host of the inventory lets us in, by the same OpenSSH and the same configuration that
//! Ansible will use. What keeps a host from it is shown while it does.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::{Context, Outcome, StepError, program};
use super::bench::Bench;
use super::inventory::{Hosts, gather};
use crate::domain::inventory::InventoryHost;
use crate::domain::matrix::{Mark, Matrix, MatrixRow};
use crate::domain::recipe::{AnsibleStep, Step};
use crate::transport::local::Program;

/// From one look at a host to the next.
const PAUSE: Duration = Duration::from_secs(2);
/// Hosts that are looked at at a time.
const AT_ONCE: usize = 32;
/// What only a person can repair.
const CHANGED_KEY: &str = "REMOTE HOST IDENTIFICATION HAS CHANGED";

pub(super) async fn wait(
    asked: &AnsibleStep,
    step: &Step,
    context: &Context,
) -> Result<Outcome, StepError> {
    let inventory = match gather(&asked.inventory, context).await? {
        Hosts::There(inventory) => inventory,
        Hosts::NotYet(why) => return Ok(Outcome::Skipped(why)),
    };
    let limit = step.time_limit().map_err(StepError::lasting)?;
    // A tenth early, at most two seconds: enough to say why.
    let patience = limit.saturating_sub((limit / 10).min(Duration::from_secs(2)));
    let until = Instant::now() + patience;
    let bench = Bench::make(asked, Some(&inventory), context).await?;
    let mut rows: Vec<(Mark, String)> =
        vec![(Mark::Running, "not looked at yet".into()); inventory.hosts.len()];
    loop {
        let open: Vec<usize> = (0..rows.len())
            .filter(|at| rows[*at].0 == Mark::Running)
            .collect();
        for some in open.chunks(AT_ONCE) {
            let looks = some
                .iter()
                .map(|at| look(&inventory.hosts[*at], &bench, context));
            let looked = futures::future::join_all(looks).await;
            for (at, (mark, told)) in some.iter().zip(looked) {
                if rows[*at].1 != told {
                    let host = &inventory.hosts[*at].name;
                    context.note(format!("{host}: {told}")).await;
                }
                rows[*at] = (mark, told);
            }
            context
                .workshop
                .matrices
                .show(matrix(&inventory.hosts, &rows))
                .await;
        }
        if context.cancel.is_cancelled() {
            return Err(StepError::cancelled());
        }
        let bad = |wanted: Mark| -> Vec<String> {
            let all = inventory.hosts.iter().zip(&rows);
            all.filter(|(_, (mark, _))| *mark == wanted)
                .map(|(host, (_, told))| format!("{}: {told}", host.name))
                .collect()
        };
        let failed = bad(Mark::Failed);
        if !failed.is_empty() {
            return Err(StepError::lasting(failed.join("; ")));
        }
        let open = bad(Mark::Running);
        if open.is_empty() {
            return Ok(Outcome::Ok);
        }
        if context.dry_run || Instant::now() + PAUSE >= until {
            return Err(StepError {
                message: format!("waited {limit:?}: {}", open.join("; ")),
                passing: true,
            });
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = context.cancel.cancelled() => return Err(StepError::cancelled()),
        }
    }
}

/// Whether a host lets us in, and in which words it does not.
async fn look(host: &InventoryHost, bench: &Bench, context: &Context) -> (Mark, String) {
    let config = bench.ssh_config(&host.name).display().to_string();
    let argv = [
        "ssh",
        "-F",
        &config,
        "-o",
        "BatchMode=yes",
        "-o",
        "ConnectTimeout=8",
        "-o",
        "ControlMaster=no",
        "--",
        &host.address,
        "true",
    ];
    let program = Program {
        timeout: Some(Duration::from_secs(15)),
        grace: Duration::from_secs(1),
        ..Program::new(argv)
    };
    match program::ask(&program, &context.cancel).await {
        Ok(said) if said.exit.success() => (Mark::Ok, "lets us in".into()),
        Ok(said) if said.complaint.contains(CHANGED_KEY) => (
            Mark::Failed,
            "HOST KEY CHANGED: if the host was made anew remove its old key from known_hosts, otherwise somebody may be \
             listening"
                .into(),
        ),
        Ok(said) if said.complaint.is_empty() => (Mark::Running, said.exit.to_string()),
        Ok(said) => (Mark::Running, said.complaint),
        Err(error) => (Mark::Running, error.message),
    }
}

fn matrix(hosts: &[InventoryHost], rows: &[(Mark, String)]) -> Matrix {
    let done = rows.iter().filter(|(mark, _)| *mark == Mark::Ok).count();
    let mut matrix = Matrix {
        title: format!("{done} of {} hosts let us in", rows.len()),
        rows: hosts
            .iter()
            .zip(rows)
            .map(|(host, (mark, told))| MatrixRow {
                name: host.name.clone(),
                note: told.clone(),
                marks: vec![*mark],
                since: None,
                until: None,
            })
            .collect(),
        ..Matrix::default()
    };
    matrix.bound();
    matrix
}
