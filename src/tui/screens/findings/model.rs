//! State of the findings screen.

use super::super::list::List;
use super::super::{Intent, Screen, Target};
use crate::domain::drift::board::FINDING;
use crate::domain::finding::{Finding, Subject};
use crate::tui::filter::Filter;
use crate::tui::keymap::{Command, Context};
use crate::tui::message::Place;
use crate::tui::paint::Paint;
use crate::tui::world::World;

/// The findings of the current environment.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub list: List,
}

impl Findings {
    /// The findings that pass the filter, with their places in the whole list.
    pub(crate) fn shown<'a>(&self, world: &'a World) -> Vec<(usize, &'a Finding)> {
        world
            .findings()
            .iter()
            .enumerate()
            .filter(|(_, finding)| {
                self.list.filter.is_empty()
                    || self.list.filter.admits(&format!(
                        "{} {} {} {}",
                        finding.severity, finding.subject, finding.text, finding.evidence
                    ))
            })
            .collect()
    }

    pub(crate) fn ids(shown: &[(usize, &Finding)]) -> Vec<String> {
        shown
            .iter()
            .map(|(_, finding)| format!("{:?} {}", finding.subject, finding.key))
            .collect()
    }
}

/// Whether a finding of a service is one of Vault's about its seal.
fn is_about_seal(key: &str) -> bool {
    let (kind, detail) = key.split_once(':').unwrap_or((key, ""));
    matches!(
        (kind, detail),
        ("sealed" | "uninitialized", _) | ("no-active", "sealed")
    )
}

impl Screen for Findings {
    fn context(&self) -> Context {
        Context::Findings
    }

    fn title(&self, _world: &World) -> String {
        "Findings".into()
    }

    fn update(&mut self, world: &World, command: Command, rows: usize) -> Vec<Intent> {
        let shown = self.shown(world);
        let ids = Self::ids(&shown);
        let current = shown
            .get(self.list.cursor.position(&ids))
            .map(|(_, finding)| *finding);
        if command == Command::Open {
            return current
                .map(|finding| {
                    Intent::Go(match &finding.subject {
                        // All drift is one finding; the board has the rows.
                        Subject::Environment if finding.key == FINDING => Place::Drift,
                        Subject::Environment => Place::Environments,
                        Subject::Node(name) => Place::Node(name.clone()),
                        // What is wrong with a seal is put right where shares are given.
                        Subject::Service(_) if is_about_seal(&finding.key) => Place::Unseal,
                        Subject::Service(name) => Place::Service(name.clone()),
                    })
                })
                .into_iter()
                .collect();
        }
        if command == Command::Repair {
            let repair = |finding: &Finding| match &finding.remedy {
                Some(remedy) => Intent::PlanThis(remedy.request(&world.environment)),
                // Many rows, each with its own way back.
                None if finding.subject == Subject::Environment && finding.key == FINDING => {
                    Intent::Go(Place::Drift)
                }
                None => Intent::Actions,
            };
            return current.map(repair).into_iter().collect();
        }
        self.list.update(&ids, command, rows);
        Vec::new()
    }

    fn target(&self, world: &World) -> Target {
        let shown = self.shown(world);
        let ids = Self::ids(&shown);
        shown
            .get(self.list.cursor.position(&ids))
            .map_or(Target::Nothing, |(index, _)| Target::Finding(*index))
    }

    fn filter(&mut self) -> Option<&mut Filter> {
        Some(&mut self.list.filter)
    }

    fn draw(&self, world: &World, paint: &mut Paint<'_>, area: ratatui::layout::Rect) {
        super::view::draw(self, world, paint, area);
    }
}
