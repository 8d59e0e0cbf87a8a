//! `quarterdeck schedules`: what runs by itself, and when.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::exit::{Ended, Exit};
use super::session::Session;
use super::{Global, output};
use crate::client::{Request, Response};
use crate::domain::run::RunState;
use crate::domain::schedule::{Outcome, ScheduleStatus};
use crate::domain::table::{Cell, Table, Tone};

/// Flags of `quarterdeck schedules`.
#[derive(Debug, Args)]
pub(super) struct SchedulesArgs {
    /// The environment; default: all, or for an action the workspace's default
    #[arg(long, short, visible_alias = "env", global = true)]
    environment: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run one now, whenever it is due next
    Run {
        /// The schedule
        name: String,
    },
    /// Let one rest until it is resumed
    Pause {
        /// The schedule
        name: String,
    },
    /// Let a paused one go on; what was due meanwhile is not made up for
    Resume {
        /// The schedule
        name: String,
    },
}

/// Lists schedules, or acts on one.
///
/// # Errors
/// When the engine cannot be reached, or refuses.
pub(super) async fn schedules(global: &Global, args: SchedulesArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "schedules").await?;
    let outcome = act(&session, args).await;
    session.close().await;
    outcome
}

async fn act(session: &Session, args: SchedulesArgs) -> color_eyre::Result<Exit> {
    let client = session.client();
    let here = || -> color_eyre::Result<String> {
        Ok(session
            .environment(args.environment.as_deref())?
            .name
            .clone())
    };
    let request = match args.action {
        None => {
            let only = args.environment.as_ref().map(|_| here()).transpose()?;
            let Response::Schedules(mut all) = client
                .call(Request::Schedules)
                .await
                .map_err(Ended::unusable)?
            else {
                return Err(
                    Ended::unusable("the engine answered something else than schedules").into(),
                );
            };
            all.retain(|schedule| {
                only.as_ref()
                    .is_none_or(|only| *only == schedule.environment)
            });
            if args.json {
                output::json(&all)?;
            } else {
                output::table(&table(&all))?;
            }
            return Ok(Exit::Success);
        }
        Some(Action::Run { name }) => Request::RunSchedule {
            environment: here()?,
            name,
        },
        Some(Action::Pause { name }) => Request::PauseSchedule {
            environment: here()?,
            name,
            paused: true,
        },
        Some(Action::Resume { name }) => Request::PauseSchedule {
            environment: here()?,
            name,
            paused: false,
        },
    };
    if let Response::Started(run) = client.call(request).await.map_err(Ended::refused)? {
        if args.json {
            output::json(&run)?;
        } else {
            output::remark(&format!(
                "run {} started; `quarterdeck logs {} --follow` shows it",
                run.number, run.number
            ));
        }
    }
    Ok(Exit::Success)
}

fn table(schedules: &[ScheduleStatus]) -> Table {
    let mut table = Table::new(
        "Schedules",
        [
            "SCHEDULE",
            "ENVIRONMENT",
            "RECIPE",
            "WHEN",
            "NEXT",
            "THEN",
            "",
            "LAST",
            "WHY",
        ],
        "no schedules; an environment's file may have some under `schedules:`",
    );
    for schedule in schedules {
        let zone = TimeZone::get(&schedule.timezone).unwrap_or_else(|_| TimeZone::system());
        let mut next = schedule.next.iter().map(|due| local(*due, &zone));
        let first: Cell = match (&schedule.memory.paused_by, schedule.enabled) {
            (_, false) => Cell::new("off", Tone::Muted),
            (Some(by), _) => Cell::new(format!("paused by {}", output::plain(by)), Tone::Warn),
            _ => next.next().unwrap_or_default().into(),
        };
        let (last, tone) = last(schedule);
        table.push(
            format!("{}/{}", schedule.environment, schedule.name),
            [
                schedule.name.as_str().into(),
                schedule.environment.as_str().into(),
                schedule.recipe.as_str().into(),
                format!("{} {}", schedule.cron, schedule.timezone).into(),
                first,
                next.next().unwrap_or_default().into(),
                next.next().unwrap_or_default().into(),
                Cell::new(last, tone),
                output::plain(schedule.memory.reason.as_deref().unwrap_or_default()).into(),
            ],
        );
    }
    table
}

/// In the schedule's own zone: what is meant by its expression.
fn local(due: Timestamp, zone: &TimeZone) -> String {
    due.to_zoned(zone.clone())
        .strftime("%a %m-%d %H:%M")
        .to_string()
}

/// What became of it last.
fn last(schedule: &ScheduleStatus) -> (String, Tone) {
    let memory = &schedule.memory;
    match (memory.outcome, memory.run_state, schedule.last_run_number) {
        (Some(Outcome::Skipped), ..) => ("skipped".into(), Tone::Warn),
        (Some(Outcome::Refused), ..) => ("refused".into(), Tone::Bad),
        (Some(Outcome::Starting), ..) => ("cut off at its start".into(), Tone::Bad),
        (_, Some(state), number) => (
            number.map_or_else(
                || state.to_string(),
                |number| format!("run {number} {state}"),
            ),
            match state {
                RunState::Succeeded => Tone::Good,
                RunState::Failed | RunState::Interrupted => Tone::Bad,
                RunState::Cancelled | RunState::WaitingApproval => Tone::Warn,
                RunState::Queued | RunState::Running => Tone::Accent,
            },
        ),
        _ => ("never".into(), Tone::Muted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schedule::{Memory, Missed};

    #[test]
    fn a_listing_says_when_it_is_due_next_and_why_it_was_skipped() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let hour = jiff::SignedDuration::from_hours(1);
        let memory = Memory {
            outcome: Some(Outcome::Skipped),
            reason: Some("lab was being\x1b changed".into()),
            ..Memory::new(now)
        };
        let status = ScheduleStatus {
            environment: "lab".into(),
            name: "look".into(),
            recipe: "verify".into(),
            cron: "0 * * * *".into(),
            timezone: "Europe/Berlin".into(),
            missed: Missed::RunOnce,
            enabled: true,
            next: vec![now + hour, now + hour * 2],
            last_run_number: None,
            memory,
        };
        let table = table(&[status]);
        let row: Vec<&str> = table.rows[0]
            .cells
            .iter()
            .map(|cell| cell.text.as_str())
            .collect();
        assert_eq!(
            row,
            [
                "look",
                "lab",
                "verify",
                "0 * * * * Europe/Berlin",
                "Sat 11-21 14:00",
                "Sat 11-21 15:00",
                "",
                "skipped",
                "lab was being\u{fffd} changed"
            ]
        );
    }
}
