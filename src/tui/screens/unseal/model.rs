//! State of the seal board.

use super::super::list::List;
use super::super::{Intent, Screen, Target};
use crate::domain::seal::{Ceremony, NodeSeal, SealBoard, SealState, Wants, Word};
use crate::domain::table::Tone;
use crate::tui::filter::Filter;
use crate::tui::keymap::{Command, Context};
use crate::tui::message::Effect;
use crate::tui::paint::Paint;
use crate::tui::world::World;

/// The seal board of the current environment.
#[derive(Debug, Default)]
pub(crate) struct Unseal {
    pub list: List,
}

/// One row: a node and the Vault it belongs to.
pub(super) struct Row<'a> {
    pub service: &'a str,
    pub node: &'a NodeSeal,
}

impl Row<'_> {
    pub(super) fn id(&self) -> String {
        format!("{}/{}", self.service, self.node.node)
    }
}

impl Unseal {
    /// Asks for the board, unless a question is under way.
    pub(crate) fn fetch(world: &mut World) -> Vec<Effect> {
        let environment = world.environment.clone();
        let fetched = world.seals.entry(environment.clone()).or_default();
        if fetched.asked || environment.is_empty() {
            return Vec::new();
        }
        fetched.asked = true;
        vec![Effect::Seals { environment }]
    }

    /// The boards as they were fetched last.
    pub(super) fn boards(world: &World) -> &[SealBoard] {
        world
            .seals
            .get(&world.environment)
            .and_then(|fetched| fetched.table.as_deref())
            .unwrap_or_default()
    }

    /// The ceremony that is held in this environment.
    pub(crate) fn ceremony(world: &World) -> Option<&Ceremony> {
        let held = world.ceremonies.iter();
        held.into_iter()
            .find(|one| one.environment == world.environment)
    }

    /// The nodes that pass the filter; those of a ceremony as it saw them last, which is sooner than the next look.
    pub(super) fn rows<'a>(&self, world: &'a World) -> Vec<Row<'a>> {
        let held = Self::ceremony(world);
        let all = Self::boards(world).iter().flat_map(|board| {
            board.nodes.iter().map(move |node| {
                let live = held
                    .filter(|one| one.service == board.service)
                    .and_then(|one| {
                        let mut nodes = one.standing.nodes.iter();
                        nodes.find(|seen| seen.node == node.node)
                    });
                Row {
                    service: &board.service,
                    node: live.unwrap_or(node),
                }
            })
        });
        all.filter(|row| {
            self.list.filter.is_empty()
                || self
                    .list
                    .filter
                    .admits(&format!("{} {}", row.id(), row.node.state))
        })
        .collect()
    }

    fn current<'a>(&self, world: &'a World) -> Option<Row<'a>> {
        let rows = self.rows(world);
        let ids: Vec<String> = rows.iter().map(Row::id).collect();
        let at = self.list.cursor.position(&ids);
        rows.into_iter().nth(at)
    }

    /// What enter does: whatever the ceremony waits for, else what the board calls for.
    fn next_step(&self, world: &World) -> Vec<Intent> {
        if let Some(ceremony) = Self::ceremony(world) {
            return match ceremony.standing.wants {
                Wants::Share => vec![Intent::GiveShare(ceremony.run)],
                Wants::Taker | Wants::Kept => vec![Intent::Speak(ceremony.run, Word::Take)],
                Wants::Nothing => Vec::new(),
            };
        }
        let rows = self.rows(world);
        let none_belongs = rows.iter().all(|row| {
            matches!(
                row.node.state,
                SealState::Uninitialized | SealState::Unreachable
            )
        });
        if rows.is_empty() {
            Vec::new()
        } else if none_belongs {
            vec![self.plan(world, "vault-init")]
        } else {
            vec![self.unseal(world)]
        }
    }

    /// The service under the cursor, if each of its nodes that answers is unsealed, and one does.
    fn open<'a>(&self, world: &'a World) -> Option<&'a str> {
        let service = self.current(world)?.service;
        let mut boards = Self::boards(world).iter();
        let board = boards.find(|board| board.service == service)?;
        let unsealed = |node: &NodeSeal| node.state.is_open();
        let silent = |node: &NodeSeal| node.state == SealState::Unreachable;
        let nodes = &board.nodes;
        (nodes.iter().any(unsealed) && nodes.iter().all(|node| unsealed(node) || silent(node)))
            .then_some(service)
    }

    /// Begins to unseal, if there is anything to be unsealed.
    fn unseal(&self, world: &World) -> Intent {
        match self.open(world) {
            Some(service) => Intent::Say(
                format!("{service} is open on every node that answers."),
                Tone::Good,
            ),
            None => self.plan(world, "unseal"),
        }
    }

    fn plan(&self, world: &World, recipe: &str) -> Intent {
        Intent::Plan {
            recipe: recipe.into(),
            nodes: Vec::new(),
            service: self.current(world).map(|row| row.service.to_owned()),
        }
    }
}

impl Screen for Unseal {
    fn context(&self) -> Context {
        Context::Unseal
    }

    fn title(&self, _world: &World) -> String {
        "Unseal".into()
    }

    fn offers(&self, world: &World, command: Command) -> bool {
        let held = Self::ceremony(world);
        match command {
            Command::ResetShares | Command::CancelRun => held.is_some(),
            Command::Open => match held {
                Some(one) => one.standing.wants != Wants::Nothing,
                None => !self.rows(world).is_empty() && self.open(world).is_none(),
            },
            _ => true,
        }
    }

    fn update(&mut self, world: &World, command: Command, rows: usize) -> Vec<Intent> {
        let held = Self::ceremony(world);
        match command {
            Command::Open => return self.next_step(world),
            Command::Unseal => return vec![self.unseal(world)],
            Command::Initialise => return vec![self.plan(world, "vault-init")],
            Command::Seal => return vec![self.plan(world, "vault-seal")],
            Command::StepDown => return vec![self.plan(world, "vault-step-down")],
            Command::Rekey => return vec![self.plan(world, "vault-rekey")],
            Command::ResetShares => {
                let reset = held.map(|one| Intent::Speak(one.run, Word::Reset));
                return reset.into_iter().collect();
            }
            Command::CancelRun => {
                return held
                    .map(|one| Intent::Cancel(one.run))
                    .into_iter()
                    .collect();
            }
            Command::Logs => {
                let place = held.map(|one| crate::tui::message::Place::Run(one.run));
                return place.map(Intent::Go).into_iter().collect();
            }
            _ => {}
        }
        let ids: Vec<String> = self.rows(world).iter().map(Row::id).collect();
        self.list.update(&ids, command, rows);
        Vec::new()
    }

    fn target(&self, world: &World) -> Target {
        self.current(world).map_or(Target::Nothing, |row| {
            Target::Service(row.service.to_owned())
        })
    }

    fn filter(&mut self) -> Option<&mut Filter> {
        Some(&mut self.list.filter)
    }

    fn draw(&self, world: &World, paint: &mut Paint<'_>, area: ratatui::layout::Rect) {
        super::view::draw(self, world, paint, area);
    }
}
