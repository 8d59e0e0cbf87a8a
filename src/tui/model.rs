//! The whole state of the screens.

use jiff::Timestamp;

use super::extra::ExtraCommand;
use super::ground::{Beginning, Outcome};
use super::keymap::{Command, Context};
use super::layers::Layer;
use super::message::Place;
use super::paint::Look;
use super::screens::Screens;
use super::world::World;
use crate::domain::run::RunId;
use crate::domain::table::Tone;
use crate::domain::theme::ThemeName;

/// What a model begins with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The look.
    pub theme: ThemeName,
    /// Whether to keep to ASCII.
    pub ascii: bool,
    /// Whether mouse reports are on.
    pub mouse: bool,
    /// Where to begin.
    pub place: Place,
    /// The environment to begin with; `None` is the first.
    pub environment: Option<String>,
    /// Commands for the palette beside the built-in ones.
    pub extra: Vec<ExtraCommand>,
    /// Whether runs go on without this program.
    pub runs_outlive_us: bool,
    /// What the first start begins with.
    pub beginning: Option<Beginning>,
    /// The time it is.
    pub now: Timestamp,
    /// Columns and rows.
    pub size: (u16, u16),
}

impl Setup {
    /// The default look on a terminal of `size`.
    pub fn new(now: Timestamp, size: (u16, u16)) -> Self {
        Self {
            theme: ThemeName::Default,
            ascii: false,
            mouse: false,
            place: Place::Bridge,
            environment: None,
            extra: Vec::new(),
            runs_outlive_us: false,
            beginning: None,
            now,
            size,
        }
    }
}

/// What is said at the end, for the scrollback.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Farewell {
    /// A line per run that was started here or was still going; empty when there were none.
    pub text: String,
    /// Where it goes on.
    pub outcome: Outcome,
}

/// A sentence that goes away by itself.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub text: String,
    pub tone: Tone,
    pub until: Timestamp,
}

/// Everything there is to know. Changed by [`super::update`] only, drawn by [`super::view`].
#[derive(Debug)]
pub struct Model {
    pub(crate) world: World,
    pub(crate) look: Look,
    pub(crate) ascii: bool,
    pub(crate) screens: Screens,
    pub(crate) place: Place,
    pub(crate) back: Vec<Place>,
    pub(crate) forward: Vec<Place>,
    pub(crate) before: Option<Place>,
    /// Bottom first.
    pub(crate) layers: Vec<Layer>,
    pub(crate) notice: Option<Notice>,
    pub(crate) extra: Vec<ExtraCommand>,
    pub(crate) mouse: bool,
    pub(crate) ticket: u64,
    /// Runs that were started from here.
    pub(crate) started: Vec<RunId>,
    pub(crate) runs_outlive_us: bool,
    pub(crate) outcome: Outcome,
}

impl Model {
    /// A model that knows nothing yet. [`Model::opening`] has the questions to ask first.
    pub fn new(setup: Setup) -> Self {
        Self {
            world: World::new(setup.now, setup.size, setup.environment),
            look: Look::new(setup.theme, setup.ascii),
            ascii: setup.ascii,
            screens: Screens::new(setup.beginning),
            place: setup.place,
            back: Vec::new(),
            forward: Vec::new(),
            before: None,
            layers: Vec::new(),
            notice: None,
            extra: setup.extra,
            mouse: setup.mouse,
            ticket: 0,
            started: Vec::new(),
            runs_outlive_us: setup.runs_outlive_us,
            outcome: Outcome::Leave,
        }
    }

    /// What to ask before anything else.
    pub fn opening(&self) -> Vec<super::Effect> {
        use super::Effect;
        let mut effects = vec![
            Effect::Workspace,
            Effect::Live,
            Effect::Approvals,
            Effect::Attend,
            Effect::Runs,
            Effect::Schedules,
            Effect::Ceremonies,
        ];
        match &self.place {
            Place::Run(id) => effects.push(Effect::Run(*id)),
            Place::Wizard => effects.extend(self.screens.wizard.begin_with()),
            _ => {}
        }
        effects
    }

    /// The runs that were started from here.
    pub(super) fn started(&self) -> &[RunId] {
        &self.started
    }

    /// Where the operator is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Whether every key but one goes to a terminal on a node.
    pub(crate) fn types(&self) -> bool {
        self.layers.is_empty() && self.place == Place::Terminals && self.screens.terminals.typing
    }

    /// Where keys are looked up, first match first.
    pub(crate) fn contexts(&self) -> Vec<Context> {
        match self.layers.last() {
            Some(layer) => vec![layer.context()],
            None if self.types() => vec![Context::Typing],
            None => vec![
                self.screens.at(&self.place).context(),
                Context::List,
                Context::Everywhere,
            ],
        }
    }

    /// Whether `command` does anything in the dialog or on the screen that has the keys, as it stands.
    pub(crate) fn offers(&self, command: Command) -> bool {
        match self.layers.last() {
            Some(layer) => layer.offers(&self.world, command),
            None => self.screens.at(&self.place).offers(&self.world, command),
        }
    }

    /// Rows that a list on this screen shows, more or less; what a page is.
    pub(crate) fn rows(&self) -> usize {
        usize::from(self.world.size.1.saturating_sub(5).max(1))
    }

    /// Says a sentence for a few seconds; bad news stays longer.
    pub(crate) fn say(&mut self, text: impl Into<String>, tone: Tone) {
        let seconds = if matches!(tone, Tone::Bad | Tone::Warn) {
            12
        } else {
            5
        };
        self.notice = Some(Notice {
            text: text.into(),
            tone,
            until: self.world.now + jiff::SignedDuration::from_secs(seconds),
        });
    }

    /// What to leave in the scrollback.
    pub fn farewell(&self) -> Farewell {
        let mut lines = Vec::new();
        for run in self.world.runs.iter().rev() {
            let alive = !run.state.is_final();
            if !alive && !self.started.contains(&run.id) {
                continue;
            }
            let begun = run.started_at.unwrap_or(run.created_at);
            let took = super::measure::length(begun, run.ended_at.unwrap_or(self.world.now));
            let mut line = format!(
                "run #{} {} in {}: {} after {took}, {} of {} tasks ended",
                run.number,
                super::text::clean(&run.title),
                run.environment,
                run.state,
                run.tally.done(),
                run.tally.total()
            );
            if alive && self.runs_outlive_us {
                let number = run.number;
                line = format!(
                    "{line}; it goes on, and `quarterdeck logs {number} --follow` shows it"
                );
            } else if let Some(reason) = &run.reason {
                line = format!("{line}: {}", super::text::clean(reason));
            }
            lines.push(line);
        }
        Farewell {
            text: lines.join("\n"),
            outcome: self.outcome.clone(),
        }
    }
}
