//! State of the terminals: which there are, which one is shown, and where the keys go.

use bytes::Bytes;
use crossterm::event::KeyEvent;

use super::super::{Intent, Screen, Target};
use super::glass::Glass;
use super::keys;
use crate::client::conversation::{Down, Ending, Opening, PIECE, ShellOpening, Up};
use crate::domain::action::Consent;
use crate::domain::terminal::TerminalSize;
use crate::tui::filter::Filter;
use crate::tui::keymap::{Command, Context};
use crate::tui::message::{Effect, Place};
use crate::tui::paint::Paint;
use crate::tui::world::World;

/// Terminals at a time.
pub(crate) const TABS: usize = 16;
/// What the programs on the nodes are told that this is.
const TERM: &str = "xterm-256color";

/// How a terminal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Being opened.
    Opening,
    /// Open.
    Open,
    /// Over.
    Over(Ending),
}

/// One terminal.
#[derive(Debug)]
pub(super) struct Tab {
    /// Tells its conversation from others.
    pub id: u64,
    pub environment: String,
    pub node: String,
    pub state: State,
    pub glass: Glass,
}

impl Tab {
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, State::Over(_))
    }
}

/// All terminals.
#[derive(Debug, Default)]
pub(crate) struct Terminals {
    pub(super) tabs: Vec<Tab>,
    pub(super) current: usize,
    /// Whether keys go to the terminal that is shown.
    pub(crate) typing: bool,
    /// Whether the terminal has the whole screen.
    pub(crate) full: bool,
    /// The nodes for which the gate's question is being asked.
    pub(crate) wanted: Vec<String>,
}

impl Terminals {
    /// Whether there are none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.tabs.is_empty()
    }

    /// Terminals that have not ended.
    pub(crate) fn alive(&self) -> usize {
        self.tabs.iter().filter(|tab| !tab.is_over()).count()
    }

    /// Shows the terminal on `node` that is open already, if there is one.
    pub(crate) fn show(&mut self, environment: &str, node: &str) -> bool {
        let found = self
            .tabs
            .iter()
            .position(|tab| tab.node == node && tab.environment == environment && !tab.is_over());
        if let Some(index) = found {
            self.current = index;
            self.typing = true;
        }
        found.is_some()
    }

    /// Opens a terminal and shows it; `None` when there are too many.
    pub(crate) fn open(
        &mut self,
        id: u64,
        world: &World,
        node: &str,
        consent: Consent,
    ) -> Option<Effect> {
        if self.tabs.len() >= TABS {
            return None;
        }
        let size = self.room(world.size);
        self.tabs.push(Tab {
            id,
            environment: world.environment.clone(),
            node: node.to_owned(),
            state: State::Opening,
            glass: Glass::new(size),
        });
        self.current = self.tabs.len() - 1;
        self.typing = true;
        Some(Effect::Talk {
            id,
            opening: Opening::Shell(ShellOpening {
                environment: world.environment.clone(),
                node: node.to_owned(),
                argv: Vec::new(),
                term: TERM.into(),
                size,
                consent,
            }),
        })
    }

    /// How large a terminal is on a screen of `size`.
    fn room(&self, (width, height): (u16, u16)) -> TerminalSize {
        let around = if self.full {
            0
        } else {
            // The bar on top, the tabs, the hints: as `view` has them.
            u16::from(height > 3) + 1 + u16::from(height > 5)
        };
        TerminalSize::new(width, height.saturating_sub(around))
    }

    /// Gives every terminal the size there is for it.
    pub(crate) fn fit(&mut self, size: (u16, u16)) -> Vec<Effect> {
        let room = self.room(size);
        let mut effects = Vec::new();
        for tab in &mut self.tabs {
            if tab.glass.size() != room {
                tab.glass.resize(room);
                if !tab.is_over() {
                    effects.push(Effect::Say {
                        id: tab.id,
                        up: Up::Size(room),
                    });
                }
            }
        }
        effects
    }

    /// Takes in what was heard; `None` when it is for somebody else.
    pub(crate) fn hear(&mut self, id: u64, down: &Down) -> Option<Vec<Effect>> {
        let current = self.current;
        let (index, tab) = self
            .tabs
            .iter_mut()
            .enumerate()
            .find(|(_, tab)| tab.id == id)?;
        Some(match down {
            Down::Opened => {
                tab.state = State::Open;
                Vec::new()
            }
            Down::Output(bytes) => {
                let answer = tab.glass.write(bytes);
                say(id, &answer)
            }
            Down::Ended(ending) => {
                tab.state = State::Over(ending.clone());
                if index == current {
                    self.typing = false;
                    self.full = false;
                }
                Vec::new()
            }
            Down::Lines(_) | Down::Source(_) => Vec::new(),
        })
    }

    /// A key while one types.
    pub(crate) fn key(&mut self, key: KeyEvent) -> Vec<Effect> {
        let Some(tab) = self.tabs.get_mut(self.current) else {
            self.typing = false;
            return Vec::new();
        };
        let bytes = keys::encode(key, tab.glass.screen().application_cursor());
        tab.glass.unscroll();
        say(tab.id, &Bytes::from(bytes))
    }

    /// Pasted text; marked as such where the program wants that, so that a shell does not run it line by line.
    pub(crate) fn paste(&mut self, text: &str) -> Vec<Effect> {
        let Some(tab) = self.tabs.get_mut(self.current) else {
            return Vec::new();
        };
        tab.glass.unscroll();
        // Enter is a carriage return; an escape in the text could end the mark early and type the rest.
        let text: String = text
            .replace("\r\n", "\r")
            .replace('\n', "\r")
            .chars()
            .filter(|c| *c != '\x1b')
            .collect();
        let text = if tab.glass.screen().bracketed_paste() {
            format!("\x1b[200~{text}\x1b[201~")
        } else {
            text
        };
        say(tab.id, &Bytes::from(text))
    }

    fn close(&mut self) -> Vec<Intent> {
        if self.current >= self.tabs.len() {
            return Vec::new();
        }
        let tab = self.tabs.remove(self.current);
        self.current = self.current.min(self.tabs.len().saturating_sub(1));
        self.typing = false;
        if self.tabs.is_empty() {
            self.full = false;
        }
        vec![Intent::Do(Effect::HangUp { id: tab.id })]
    }

    fn scroll(&mut self, rows: isize) {
        if let Some(tab) = self.tabs.get_mut(self.current) {
            tab.glass.scroll(rows);
        }
    }

    fn step(&mut self, by: isize) {
        let count = self.tabs.len();
        if count > 0 {
            self.current = (self.current + count).saturating_add_signed(by) % count;
        }
    }
}

/// Sends bytes, in pieces.
fn say(id: u64, bytes: &Bytes) -> Vec<Effect> {
    bytes
        .chunks(PIECE)
        .map(|piece| Effect::Say {
            id,
            up: Up::Input(Bytes::copy_from_slice(piece)),
        })
        .collect()
}

impl Screen for Terminals {
    fn context(&self) -> Context {
        if self.typing {
            Context::Typing
        } else {
            Context::Terminals
        }
    }

    fn title(&self, _world: &World) -> String {
        match self.tabs.get(self.current) {
            Some(tab) => tab.node.clone(),
            None => "Terminals".into(),
        }
    }

    fn update(&mut self, _world: &World, command: Command, rows: usize) -> Vec<Intent> {
        let page = isize::try_from(rows.max(1)).unwrap_or(1);
        match command {
            Command::Release => {
                self.typing = false;
                self.full = false;
            }
            Command::Open => {
                if let Some(tab) = self.tabs.get_mut(self.current) {
                    tab.glass.unscroll();
                    self.typing = !tab.is_over();
                }
            }
            Command::NextPane => self.step(1),
            Command::PreviousPane => self.step(-1),
            Command::Zoom => {
                self.full = self
                    .tabs
                    .get(self.current)
                    .is_some_and(|tab| !tab.is_over());
                self.typing = self.full;
            }
            Command::Up => self.scroll(-1),
            Command::Down => self.scroll(1),
            Command::PageUp => self.scroll(-page),
            Command::PageDown => self.scroll(page),
            Command::HalfUp => self.scroll(-(page / 2).max(1)),
            Command::HalfDown => self.scroll((page / 2).max(1)),
            Command::Top => {
                if let Some(tab) = self.tabs.get_mut(self.current) {
                    tab.glass.top();
                }
            }
            Command::Bottom => {
                if let Some(tab) = self.tabs.get_mut(self.current) {
                    tab.glass.unscroll();
                }
            }
            Command::Close => return self.close(),
            Command::Describe => {
                let node = self.tabs.get(self.current).map(|tab| tab.node.clone());
                return node
                    .map(|node| Intent::Go(Place::Node(node)))
                    .into_iter()
                    .collect();
            }
            _ => {}
        }
        Vec::new()
    }

    fn target(&self, world: &World) -> Target {
        match self.tabs.get(self.current) {
            Some(tab) if tab.environment == world.environment => {
                Target::Nodes(vec![tab.node.clone()])
            }
            _ => Target::Nothing,
        }
    }

    fn filter(&mut self) -> Option<&mut Filter> {
        None
    }

    fn draw(&self, world: &World, paint: &mut Paint<'_>, area: ratatui::layout::Rect) {
        super::view::draw(self, world, paint, area);
    }
}
