//! The command palette: every screen, object, recipe, theme and command, found by a few letters.

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;

use super::super::extra::{Argument, ExtraCommand};
use super::super::keymap::Command;
use super::super::message::Place;
use super::super::paint::{Paint, cut_top};
use super::super::screens::Intent;
use super::super::world::World;
use super::{Wish, field};
use crate::client::Request;
use crate::domain::theme::ThemeName;
use crate::tui::message::Effect;

/// Rows shown at once.
const ROWS: u16 = 14;

/// What an entry does.
#[derive(Debug, Clone)]
enum Deed {
    Go(Place),
    Environment(String),
    Recipe(String),
    Theme(ThemeName),
    Command(Command),
    /// Something said to the engine, and what that would be.
    Tell(Request, &'static str),
    Mouse,
    Extra(String, Option<String>),
    /// Wants an argument to be typed behind its name.
    Argument,
}

/// Something that can be chosen.
#[derive(Debug, Clone)]
struct Entry {
    text: String,
    detail: String,
    deed: Deed,
}

/// The palette.
#[derive(Debug)]
pub(crate) struct Palette {
    pub input: Input,
    entries: Vec<Entry>,
    extra: Vec<ExtraCommand>,
    /// Indices into the entries, best first, with the letters that matched.
    found: Vec<(usize, Vec<u32>)>,
    selected: usize,
}

impl Palette {
    pub(crate) fn new(world: &World, extra: &[ExtraCommand]) -> Self {
        let mut palette = Self {
            input: Input::default(),
            entries: entries(world, extra),
            extra: extra.to_vec(),
            found: Vec::new(),
            selected: 0,
        };
        palette.search();
        palette
    }

    /// Finds anew after the text changed.
    pub(crate) fn search(&mut self) {
        self.selected = 0;
        let text = self.input.value().trim_start();
        if text.is_empty() {
            self.found = (0..self.entries.len())
                .map(|index| (index, Vec::new()))
                .collect();
            return;
        }
        let mut matcher = Matcher::new(Config::DEFAULT);
        let pattern = Pattern::parse(text, CaseMatching::Ignore, Normalization::Smart);
        let mut scored: Vec<(u32, usize, Vec<u32>)> = Vec::new();
        let mut buffer = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let mut letters = Vec::new();
            let haystack = Utf32Str::new(&entry.text, &mut buffer);
            if let Some(score) = pattern.indices(haystack, &mut matcher, &mut letters) {
                let exact = if entry.text == text { 10_000 } else { 0 };
                letters.sort_unstable();
                letters.dedup();
                scored.push((score + exact, index, letters));
            }
        }
        scored.sort_by_key(|(score, index, _)| (std::cmp::Reverse(*score), *index));
        self.found = scored
            .into_iter()
            .map(|(_, index, letters)| (index, letters))
            .collect();
    }

    /// Whether `command` does anything with what is typed.
    pub(crate) fn offers(&self, command: Command) -> bool {
        match command {
            Command::Accept => self.leaves() || self.typed().is_some() || self.current().is_some(),
            Command::Complete => self.current().is_some(),
            _ => true,
        }
    }

    pub(crate) fn update(&mut self, command: Command) -> Vec<Wish> {
        let last = self.found.len().saturating_sub(1);
        match command {
            Command::Up => self.selected = self.selected.saturating_sub(1),
            Command::Down => self.selected = (self.selected + 1).min(last),
            Command::Complete => {
                if let Some(entry) = self.current() {
                    let text = match entry.deed {
                        Deed::Argument => {
                            format!("{} ", entry.text.split(" <").next().unwrap_or_default())
                        }
                        _ => entry.text.clone(),
                    };
                    self.input = Input::new(text);
                    self.search();
                }
            }
            Command::Accept => return self.accept(),
            _ => {}
        }
        Vec::new()
    }

    fn current(&self) -> Option<&Entry> {
        let (index, _) = self.found.get(self.selected)?;
        self.entries.get(*index)
    }

    /// Whether what is typed is how programs are left.
    fn leaves(&self) -> bool {
        matches!(self.input.value().trim(), "q" | "quit" | "q!" | "exit")
    }

    /// An extra command with a free argument, typed in full.
    fn typed(&self) -> Option<Wish> {
        let text = self.input.value().trim();
        self.extra.iter().find_map(|extra| {
            let rest = text
                .strip_prefix(extra.name.as_str())?
                .strip_prefix(' ')?
                .trim();
            let free = matches!(extra.argument, Argument::Text(_));
            (free && !rest.is_empty()).then(|| Wish::Extra {
                name: extra.name.clone(),
                argument: Some(rest.to_owned()),
            })
        })
    }

    fn accept(&mut self) -> Vec<Wish> {
        if let Some(wish) = self.typed() {
            return vec![Wish::Close, wish];
        }
        if self.leaves() {
            return vec![Wish::Close, Wish::Perform(Command::Quit)];
        }
        let Some(entry) = self.current() else {
            return Vec::new();
        };
        let wish = match entry.deed.clone() {
            Deed::Go(place) => Wish::Screen(Intent::Go(place)),
            Deed::Environment(name) => Wish::Screen(Intent::Switch(name)),
            Deed::Recipe(recipe) => Wish::Screen(Intent::Plan {
                recipe,
                nodes: Vec::new(),
                service: None,
            }),
            Deed::Theme(theme) => Wish::Theme(theme),
            Deed::Command(command) => Wish::Perform(command),
            Deed::Tell(request, what) => Wish::Screen(Intent::Do(Effect::Tell {
                request,
                what: what.to_owned(),
            })),
            Deed::Mouse => Wish::Mouse,
            Deed::Extra(name, argument) => Wish::Extra { name, argument },
            Deed::Argument => return self.update(Command::Complete),
        };
        vec![Wish::Close, wish]
    }

    pub(crate) fn draw(&self, paint: &mut Paint<'_>) {
        let screen = paint.buf.area;
        let width = screen
            .width
            .saturating_sub(4)
            .clamp(screen.width.min(20), 84);
        let rows = ROWS.min(screen.height.saturating_sub(5).max(1));
        let height = (rows + 4).min(screen.height);
        let top = if screen.height > height + 6 {
            3
        } else {
            u16::from(screen.height > height)
        };
        let area = Rect::new((screen.width - width) / 2, top, width, height);
        let theme = paint.look.theme.clone();
        let inner = paint.sheet(area, "Palette", theme.accent);
        let (line, list) = cut_top(inner, 1);
        paint.text(line.x, line.y, 2, ":", theme.accent);
        field(
            paint,
            line.x + 2,
            line.y,
            line.width.saturating_sub(2),
            &self.input,
            true,
        );
        let (rule, list) = cut_top(list, 1);
        paint.rule(rule, theme.faint);
        if self.found.is_empty() {
            paint.hint(list, "Nothing is called that. Esc closes.", theme.muted);
            return;
        }
        let visible = usize::from(list.height);
        let first =
            super::super::paint::grid::first_visible(self.selected, self.found.len(), visible);
        for ((at, (index, letters)), y) in self
            .found
            .iter()
            .enumerate()
            .skip(first)
            .zip(list.top()..list.bottom())
        {
            let Some(entry) = self.entries.get(*index) else {
                continue;
            };
            let spans: Vec<Span<'static>> = entry
                .text
                .chars()
                .enumerate()
                .map(|(position, c)| {
                    let hit = u32::try_from(position)
                        .is_ok_and(|position| letters.binary_search(&position).is_ok());
                    let style = if hit {
                        theme.accent
                    } else {
                        ratatui::style::Style {
                            bg: None,
                            ..theme.text
                        }
                    };
                    paint.look.outer(c.encode_utf8(&mut [0; 4]), style)
                })
                .collect();
            let row = Rect {
                y,
                height: 1,
                ..list
            };
            let end = paint.line(
                row.x + 2,
                y,
                row.width.saturating_sub(2),
                &Line::from(spans),
            );
            let rest = Rect {
                x: end,
                width: row.right().saturating_sub(end),
                ..row
            };
            let detail = paint
                .look
                .outer(&format!("  {}", entry.detail), theme.muted);
            paint.right(rest, &Line::from(detail));
            if at == self.selected {
                paint.buf.set_style(row, theme.selection);
                paint.text_raw(row.x, y, 1, paint.look.glyphs.cursor, theme.accent);
            }
        }
    }
}

fn entries(world: &World, extra: &[ExtraCommand]) -> Vec<Entry> {
    let entry = |text: &str, detail: &str, deed: Deed| Entry {
        text: text.to_owned(),
        detail: detail.to_owned(),
        deed,
    };
    let mut entries = Vec::new();
    for (text, place) in [
        ("bridge", Place::Bridge),
        ("nodes", Place::Nodes),
        ("services", Place::Services),
        ("runs", Place::Runs),
        ("findings", Place::Findings),
        ("recipes", Place::Recipes),
        ("environments", Place::Environments),
        ("terminals", Place::Terminals),
        ("journal", Place::Journal),
        ("unseal", Place::Unseal),
        ("snapshots", Place::Snapshots),
        ("drift", Place::Drift),
        ("bootstrap", Place::Wizard),
    ] {
        entries.push(entry(text, "screen", Deed::Go(place)));
    }
    entries.push(entry("help", "screen", Deed::Command(Command::Help)));
    if let Some(workspace) = world.workspace() {
        for recipe in &workspace.recipes {
            let detail = format!("recipe {} {}", recipe.risk, recipe.title);
            entries.push(entry(
                &format!("run {}", recipe.name),
                &detail,
                Deed::Recipe(recipe.name.clone()),
            ));
        }
        for environment in &workspace.environments {
            let detail = format!("environment, {}", environment.protection);
            entries.push(entry(
                &format!("environment {}", environment.name),
                &detail,
                Deed::Environment(environment.name.clone()),
            ));
        }
    }
    extra_entries(world, extra, &mut entries);
    if let Some(here) = world.here() {
        for node in &here.nodes {
            entries.push(entry(
                &format!("node {}", node.name),
                &node.address,
                Deed::Go(Place::Node(node.name.clone())),
            ));
        }
        for service in &here.services {
            let deed = Deed::Go(Place::Service(service.name.clone()));
            entries.push(entry(
                &format!("service {}", service.name),
                service.kind.title(),
                deed,
            ));
        }
    }
    for run in world.runs.iter().take(100) {
        let detail = format!("{} {}", run.state, run.environment);
        entries.push(entry(
            &format!("run #{} {}", run.number, run.title),
            &detail,
            Deed::Go(Place::Run(run.id)),
        ));
    }
    for theme in ThemeName::ALL.iter().copied() {
        entries.push(entry(
            &format!("theme {}", theme.word()),
            "look",
            Deed::Theme(theme),
        ));
    }
    for (text, command) in [
        ("refresh", Command::Refresh),
        ("actions", Command::Actions),
        ("describe", Command::Describe),
        ("raw", Command::Raw),
        ("copy", Command::Copy),
        ("wide", Command::Wide),
        ("quit", Command::Quit),
    ] {
        entries.push(entry(text, "command", Deed::Command(command)));
    }
    entries.push(entry(
        "restart engine",
        "reads the workspace's files anew",
        Deed::Tell(Request::Renew, "restart the engine"),
    ));
    entries.push(entry("mouse", "mouse reports on or off", Deed::Mouse));
    entries
}

fn extra_entries(world: &World, extra: &[ExtraCommand], entries: &mut Vec<Entry>) {
    for command in extra {
        let here = world.here();
        let choices: Vec<String> = match &command.argument {
            Argument::None => {
                entries.push(Entry {
                    text: command.name.clone(),
                    detail: command.help.clone(),
                    deed: Deed::Extra(command.name.clone(), None),
                });
                continue;
            }
            Argument::Text(hint) => {
                entries.push(Entry {
                    text: format!("{} <{hint}>", command.name),
                    detail: command.help.clone(),
                    deed: Deed::Argument,
                });
                continue;
            }
            Argument::Node => here.map_or_else(Vec::new, |here| {
                here.nodes.iter().map(|node| node.name.clone()).collect()
            }),
            Argument::Service => here.map_or_else(Vec::new, |here| {
                here.services
                    .iter()
                    .map(|service| service.name.clone())
                    .collect()
            }),
            Argument::OneOf(choices) => choices.clone(),
        };
        for choice in choices {
            entries.push(Entry {
                text: format!("{} {choice}", command.name),
                detail: command.help.clone(),
                deed: Deed::Extra(command.name.clone(), Some(choice)),
            });
        }
    }
}
