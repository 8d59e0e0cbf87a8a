//! State of the merged journal: a bounded number of lines, how each node stands, and where one reads.

use std::collections::{BTreeMap, VecDeque};

use jiff::SignedDuration;

use super::super::{Intent, Screen, Target};
use crate::client::conversation::{
    Down, FollowOpening, Followed, Opening, Source, SourceState, SourceWord,
};
use crate::domain::nodeset;
use crate::tui::filter::Filter;
use crate::tui::keymap::{Command, Context};
use crate::tui::message::Effect;
use crate::tui::paint::Paint;
use crate::tui::world::World;

/// Lines kept; older ones are dropped, and counted.
const KEPT: usize = 5_000;
/// Lines of history of each node to begin with.
const TAIL: u32 = 50;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// Its conversation, while there is one.
    pub(super) id: Option<u64>,
    pub(super) nodes: Vec<String>,
    /// What of them is followed.
    pub(super) source: Option<Source>,
    pub(super) lines: VecDeque<Followed>,
    /// Lines that were dropped to make room.
    pub(super) dropped: u64,
    pub(super) states: BTreeMap<String, SourceState>,
    /// How far the newest line of each node was behind when it arrived.
    pub(super) lags: BTreeMap<String, SignedDuration>,
    pub(super) filter: Filter,
    /// Lines between the last one shown and the newest; 0 follows the end.
    pub(super) back: usize,
    /// Why nothing more comes.
    pub(super) over: Option<String>,
}

impl Journal {
    /// Begins anew with these nodes; what was followed before ends.
    pub(crate) fn open(
        &mut self,
        id: u64,
        world: &World,
        nodes: Vec<String>,
        source: Source,
    ) -> Vec<Effect> {
        let mut effects: Vec<Effect> = self.hang_up();
        *self = Self {
            id: Some(id),
            nodes: nodes.clone(),
            source: Some(source.clone()),
            ..Self::default()
        };
        effects.push(Effect::Talk {
            id,
            opening: Opening::Follow(FollowOpening {
                environment: world.environment.clone(),
                nodes,
                source,
                tail: TAIL,
            }),
        });
        effects
    }

    fn hang_up(&mut self) -> Vec<Effect> {
        self.id
            .take()
            .map(|id| Effect::HangUp { id })
            .into_iter()
            .collect()
    }

    /// Takes in what was heard; `false` when it is for somebody else.
    pub(crate) fn hear(&mut self, id: u64, down: Down) -> bool {
        if self.id != Some(id) {
            return false;
        }
        match down {
            Down::Lines(lines) => {
                for line in lines {
                    self.take(line);
                }
            }
            Down::Source(state) => {
                self.states.insert(state.node.clone(), state);
            }
            Down::Ended(ending) => {
                self.over = Some(ending.to_string());
                self.id = None;
            }
            Down::Opened | Down::Output(_) => {}
        }
        true
    }

    fn take(&mut self, line: Followed) {
        if let Some(at) = line.at {
            let lag = line.arrived.duration_since(at);
            self.lags.insert(line.node.clone(), lag);
        }
        // Who reads further up stays there.
        if self.back > 0 && self.admits(&line) {
            self.back += 1;
        }
        self.lines.push_back(line);
        if self.lines.len() > KEPT {
            self.lines.pop_front();
            self.dropped += 1;
        }
    }

    pub(super) fn admits(&self, line: &Followed) -> bool {
        self.filter.is_empty()
            || self.filter.admits(&format!(
                "{} {} {}",
                line.node,
                line.unit.as_deref().unwrap_or_default(),
                line.text
            ))
    }

    /// The last lines to show on `rows`, in order.
    pub(super) fn shown(&self, rows: usize) -> Vec<&Followed> {
        let mut lines: Vec<&Followed> = self
            .lines
            .iter()
            .rev()
            .filter(|line| self.admits(line))
            .skip(self.back)
            .take(rows)
            .collect();
        lines.reverse();
        lines
    }

    fn scroll(&mut self, rows: isize) {
        let most = self.lines.iter().filter(|line| self.admits(line)).count();
        self.back = self
            .back
            .saturating_add_signed(-rows)
            .min(most.saturating_sub(1));
    }

    /// Nodes that are not followed at the moment.
    pub(super) fn troubles(&self) -> impl Iterator<Item = &SourceState> {
        self.states
            .values()
            .filter(|state| state.word != SourceWord::Following)
    }
}

impl Screen for Journal {
    fn context(&self) -> Context {
        Context::Journal
    }

    fn title(&self, _world: &World) -> String {
        let folded = nodeset::fold(self.nodes.iter().map(String::as_str));
        match &self.source {
            None => "Journal".into(),
            Some(Source::File { path }) => format!("{path} on {folded}"),
            Some(Source::Journal { units }) if units.is_empty() => format!("Journal of {folded}"),
            Some(Source::Journal { units }) => {
                format!("Journal of {} on {folded}", units.join(" "))
            }
        }
    }

    fn update(&mut self, _world: &World, command: Command, rows: usize) -> Vec<Intent> {
        let page = isize::try_from(rows.max(1)).unwrap_or(1);
        match command {
            Command::Up => self.scroll(-1),
            Command::Down => self.scroll(1),
            Command::PageUp => self.scroll(-page),
            Command::PageDown => self.scroll(page),
            Command::HalfUp => self.scroll(-(page / 2).max(1)),
            Command::HalfDown => self.scroll((page / 2).max(1)),
            Command::Top => self.scroll(isize::MIN + 1),
            Command::Bottom | Command::Follow => self.back = 0,
            Command::Close => {
                self.over = Some("stopped".into());
                return self.hang_up().into_iter().map(Intent::Do).collect();
            }
            _ => {}
        }
        Vec::new()
    }

    fn target(&self, _world: &World) -> Target {
        if self.nodes.is_empty() {
            Target::Nothing
        } else {
            Target::Nodes(self.nodes.clone())
        }
    }

    fn filter(&mut self) -> Option<&mut Filter> {
        Some(&mut self.filter)
    }

    fn draw(&self, world: &World, paint: &mut Paint<'_>, area: ratatui::layout::Rect) {
        super::view::draw(self, world, paint, area);
    }
}
