//! The last page: what is left to do after the files are written.

use super::super::Intent;
use super::model::Wizard;
use super::rows::{Field, Row};
use crate::domain::bootstrap::Purpose;
use crate::domain::bootstrap::stage::{Known, Stage, Standing, snapshot_of};
use crate::domain::plan::PlanRequest;
use crate::domain::table::Tone;
use crate::tui::message::Place;
use crate::tui::world::World;

impl Wizard {
    fn known<'w>(&self, world: &'w World) -> Option<Known<'w>> {
        let seals = world.seals.get(&world.environment);
        Some(Known::of_environment(
            world.here()?,
            self.answers.purpose == Purpose::Adopt && self.answers.environment == world.environment,
            &world.runs,
            seals.and_then(|fetched| fetched.table.as_deref()),
            0,
        ))
    }

    pub(super) fn stage_rows(&self, world: &World) -> Vec<Row> {
        let Some(known) = self.known(world) else {
            return Vec::new();
        };
        let next = known.next();
        let mut rows: Vec<Row> = Stage::ALL
            .iter()
            .filter(|stage| **stage != Stage::Done)
            .map(|stage| {
                let title = match stage {
                    Stage::Preflight => "Rehearse the deployment",
                    Stage::Deploy => "Deploy",
                    Stage::Handover => "Hand over Vault's keys",
                    Stage::Snapshot | Stage::Done => "Take the first snapshot",
                };
                let row = Row::new(Field::Stage(*stage), title, "");
                match known.standing(*stage) {
                    Standing::Done => Row {
                        value: "done".into(),
                        ..row
                    }
                    .toned(Tone::Good),
                    Standing::Skipped(reason) => Row {
                        value: "left out".into(),
                        ..row
                    }
                    .note(reason)
                    .toned(Tone::Muted),
                    Standing::Going(run) => Row {
                        value: format!("run #{run}"),
                        ..row
                    }
                    .note("under way; enter shows it")
                    .toned(Tone::Accent),
                    Standing::Open if *stage == next => Row {
                        value: "next".into(),
                        ..row
                    }
                    .note(about(*stage))
                    .toned(Tone::Accent),
                    Standing::Open => Row {
                        value: "later".into(),
                        ..row
                    }
                    .note(about(*stage)),
                }
            })
            .collect();
        let done = next == Stage::Done;
        rows.push(
            Row::new(
                Field::Bridge,
                "Go to the Bridge",
                if done { "next" } else { "" },
            )
            .note(if done {
                "all is done: this is where you work from now on"
            } else {
                "what is left can be done from there as well; `:bootstrap` comes back"
            })
            .toned(if done { Tone::Accent } else { Tone::Plain }),
        );
        rows.push(
            Row::new(Field::Another, "Begin another environment", "").note("in the same workspace"),
        );
        rows
    }

    /// The row to put the cursor on: what is next.
    pub(super) fn suggested_row(&self, world: &World) -> usize {
        let rows = self.stage_rows(world);
        rows.iter()
            .position(|row| row.value == "next" || row.value.starts_with("run #"))
            .unwrap_or(0)
    }

    pub(super) fn do_stage(&self, world: &World, stage: Stage) -> Vec<Intent> {
        let Some(known) = self.known(world) else {
            return Vec::new();
        };
        match known.standing(stage) {
            Standing::Skipped(reason) => {
                return vec![Intent::Say(format!("Left out: {reason}."), Tone::Muted)];
            }
            Standing::Going(number) if stage != Stage::Handover => {
                let run = world.runs.iter().find(|run| run.number == number);
                return run
                    .map(|run| Intent::Go(Place::Run(run.id)))
                    .into_iter()
                    .collect();
            }
            _ => {}
        }
        // In their order: what comes later stands on what comes before.
        let before = Stage::ALL.iter().take_while(|one| **one != stage);
        if let Some(missing) = before.copied().find(|one| !known.standing(*one).is_over()) {
            let sentence = format!("First: {missing}. What comes later stands on it.");
            return vec![Intent::Say(sentence, Tone::Warn)];
        }
        let mut request = PlanRequest {
            environment: world.environment.clone(),
            ..PlanRequest::default()
        };
        match stage {
            Stage::Preflight | Stage::Deploy => {
                request.recipe = "deploy".into();
                request.dry_run = stage == Stage::Preflight;
            }
            // The board has all that this takes: making the Vault, taking the keys, giving shares.
            Stage::Handover | Stage::Done => return vec![Intent::Go(Place::Unseal)],
            Stage::Snapshot => {
                request.recipe = "snapshot".into();
                let service = world.here().and_then(snapshot_of);
                request.params.insert(
                    "service".into(),
                    service.unwrap_or_else(|| "*".into()).into(),
                );
            }
        }
        vec![Intent::PlanThis(request)]
    }
}

const fn about(stage: Stage) -> &'static str {
    match stage {
        Stage::Preflight => "looks at every host and lists every change; changes nothing",
        Stage::Deploy => "installs the software, one after the other, each waited for",
        Stage::Handover => "enter on the board makes the Vault, shows its keys once, takes shares",
        Stage::Snapshot | Stage::Done => "saves the state and verifies what was saved",
    }
}
