//! What comes in and what goes out: messages to `update`, effects from it.

use std::collections::BTreeMap;

use crossterm::event::KeyEvent;
use jiff::Timestamp;

use super::ground::{Work, Worked};
use crate::client::conversation::{Down, Opening, Up};
use crate::client::{Event, Refusal, Request, Workspace};
use crate::domain::action::Gate;
use crate::domain::approval::Waiting;
use crate::domain::drift::board::DriftBoard;
use crate::domain::history::Point;
use crate::domain::live::EnvironmentLive;
use crate::domain::matrix::TaskMatrix;
use crate::domain::plan::Plan;
use crate::domain::question::OpenQuestion;
use crate::domain::run::{LogLine, Run, RunId, Task, TaskState};
use crate::domain::schedule::ScheduleStatus;
use crate::domain::seal::{Ceremony, NewKeys, SealBoard, Word};
use crate::domain::snapshot::Snapshot;
use crate::domain::table::Table;
use crate::store::{LineFilter, Pattern};

/// A place one can be in; what the history, the palette and the start option speak of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Everything at once.
    Bridge,
    /// The list of nodes.
    Nodes,
    /// One node.
    Node(String),
    /// The list of services.
    Services,
    /// One service.
    Service(String),
    /// The list of runs.
    Runs,
    /// One run.
    Run(RunId),
    /// What is wrong.
    Findings,
    /// What can be run.
    Recipes,
    /// Environments: declared beside actual.
    Environments,
    /// Terminals on nodes.
    Terminals,
    /// The journals of several nodes, merged.
    Journal,
    /// The seals of every Vault, and the ceremony that is held.
    Unseal,
    /// Copies of the state of stores.
    Snapshots,
    /// What differs from what is declared.
    Drift,
    /// The first start, step by step.
    Wizard,
}

/// Everything that can happen to the screens.
#[derive(Debug, Clone)]
pub enum Message {
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The wheel was turned, by so many rows (negative is up).
    Wheel(isize),
    /// The terminal has this many columns and rows.
    Resize(u16, u16),
    /// It is now so late. Ages are told against the newest tick.
    Tick(Timestamp),
    /// The engine published something.
    Event(Event),
    /// An effect was performed.
    Answer(Box<Answer>),
    /// The engine is gone: there will be no more events.
    Gone,
    /// The process was asked to end; nothing is asked back.
    Leave,
}

/// What `update` wants done. Nothing in here has happened yet.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask the engine for the workspace.
    Workspace,
    /// Ask the engine for the whole live view.
    Live,
    /// Ask the engine how the nodes of an environment fared lately.
    History {
        /// The environment's name.
        environment: String,
    },
    /// Ask for a plan; `ticket` tells its answer from those to earlier questions.
    Plan {
        /// Goes into the answer.
        ticket: u64,
        /// A [`Request::Plan`].
        request: Request,
    },
    /// Start a plan: a [`Request::Start`] without its `by`, which the runner knows.
    Start {
        /// The plan that was agreed to.
        hash: String,
        /// What was given at the gate.
        consent: crate::domain::action::Consent,
    },
    /// Ask for something that is answered by a mere yes; `what` names it in the notice when it is refused.
    Tell {
        /// A [`Request::Cancel`] or [`Request::Refresh`].
        request: Request,
        /// What was wanted, as in "to cancel run 12".
        what: String,
    },
    /// Fetch a table.
    Table {
        /// Environment, service, view.
        key: (String, String, String),
    },
    /// Ask the engine for the snapshots of an environment.
    Snapshots {
        /// The environment's name.
        environment: String,
    },
    /// Ask the engine for the drift board of an environment.
    Drift {
        /// The environment's name.
        environment: String,
    },
    /// Ask the engine for its schedules.
    Schedules,
    /// Ask what waits for an operator's decision.
    Approvals,
    /// Ask for the seals of an environment.
    Seals {
        /// The environment's name.
        environment: String,
    },
    /// Ask which ceremonies are held.
    Ceremonies,
    /// Say something to a ceremony.
    Speak {
        /// Its run.
        run: RunId,
        /// What.
        word: Word,
    },
    /// Say that questions are answered here, and ask which wait.
    Attend,
    /// Read the newest runs from the store.
    Runs,
    /// Read a run with its tasks and its plan from the store.
    Run(RunId),
    /// Read which of the newest runs touched a node.
    NodeRuns {
        /// The environment's name.
        environment: String,
        /// The node's name.
        node: String,
    },
    /// Read a window of a run's log from the store.
    Lines(LogQuery),
    /// Read what the commands of a run said, grouped by identical answers.
    Answers(RunId),
    /// Begin a conversation; what is heard of it are answers until [`Down::Ended`].
    Talk {
        /// Tells it from others.
        id: u64,
        /// With what.
        opening: Opening,
    },
    /// Say something in a conversation.
    Say {
        /// Which.
        id: u64,
        /// What.
        up: Up,
    },
    /// End a conversation.
    HangUp {
        /// Which.
        id: u64,
    },
    /// Put text on the operator's clipboard (OSC 52).
    Copy(String),
    /// Perform an extra command.
    Extra {
        /// Its name.
        name: String,
        /// What was given with it.
        argument: Option<String>,
    },
    /// Switch mouse reports on or off.
    Mouse(bool),
    /// Stop the process as `ctrl-z` does, and draw anew when it goes on.
    Suspend,
    /// Paint everything anew.
    Repaint,
    /// Something that the first start asks for.
    Bootstrap(Box<Work>),
    /// Leave.
    Quit,
}

/// The answers to effects.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To [`Effect::Workspace`].
    Workspace(Result<Workspace, Refusal>),
    /// To [`Effect::Live`].
    Live(Result<BTreeMap<String, EnvironmentLive>, Refusal>),
    /// To [`Effect::History`].
    History {
        /// From the effect.
        environment: String,
        /// By node name, oldest first.
        result: Result<BTreeMap<String, Vec<Point>>, Refusal>,
    },
    /// To [`Effect::Plan`].
    Plan {
        /// From the effect.
        ticket: u64,
        /// The plan and the gate before it.
        result: Result<(Box<Plan>, Gate), Refusal>,
    },
    /// To [`Effect::Snapshots`].
    Snapshots {
        /// From the effect.
        environment: String,
        /// Oldest first.
        result: Result<Vec<Snapshot>, Refusal>,
    },
    /// To [`Effect::Drift`].
    Drift {
        /// From the effect.
        environment: String,
        /// The board.
        result: Result<Box<DriftBoard>, Refusal>,
    },
    /// To [`Effect::Start`].
    Started(Result<Box<Run>, Refusal>),
    /// To [`Effect::Tell`].
    Told {
        /// From the effect.
        what: String,
        /// Whether it was accepted.
        result: Result<(), Refusal>,
    },
    /// To [`Effect::Table`].
    Table {
        /// From the effect.
        key: (String, String, String),
        /// The rows.
        result: Result<Table, Refusal>,
    },
    /// To [`Effect::Schedules`].
    Schedules(Result<Vec<ScheduleStatus>, Refusal>),
    /// To [`Effect::Approvals`].
    Approvals(Result<Vec<Waiting>, Refusal>),
    /// To [`Effect::Seals`].
    Seals {
        /// From the effect.
        environment: String,
        /// A board for each Vault.
        result: Result<Vec<SealBoard>, Refusal>,
    },
    /// To [`Effect::Ceremonies`].
    Ceremonies(Result<Vec<Ceremony>, Refusal>),
    /// To [`Effect::Speak`]: the new keys, where that is what was asked for.
    Spoken {
        /// From the effect.
        run: RunId,
        /// What became of it.
        result: Result<Option<NewKeys>, Refusal>,
    },
    /// To [`Effect::Attend`].
    Questions(Result<Vec<OpenQuestion>, Refusal>),
    /// To [`Effect::Runs`].
    Runs(Result<Vec<Run>, String>),
    /// To [`Effect::Run`].
    Run(Result<Option<Box<RunRecord>>, String>),
    /// To [`Effect::NodeRuns`].
    NodeRuns {
        /// The environment's name.
        environment: String,
        /// The node's name.
        node: String,
        /// The runs, newest first, with the worst state of their tasks on that node.
        result: Result<Vec<(RunId, TaskState)>, String>,
    },
    /// To [`Effect::Lines`].
    Lines {
        /// From the effect.
        query: LogQuery,
        /// What was read.
        result: Result<LogPage, String>,
    },
    /// To [`Effect::Answers`]: the lines to show.
    Answers(Result<Vec<String>, String>),
    /// Heard in a conversation.
    Heard {
        /// From [`Effect::Talk`].
        id: u64,
        /// What.
        down: Down,
    },
    /// To [`Effect::Bootstrap`].
    Bootstrap(Box<Worked>),
    /// To [`Effect::Extra`].
    Extra {
        /// From it.
        name: String,
        /// What to say.
        result: Result<String, String>,
    },
    /// Something went wrong beside all questions: a sentence.
    Trouble(String),
}

/// A run as the store has it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// The run.
    pub run: Run,
    /// Its tasks, in the order of the plan.
    pub tasks: Vec<Task>,
    /// What it was started from.
    pub plan: Option<Plan>,
    /// What programs of its tasks work on.
    pub matrices: Vec<TaskMatrix>,
}

/// Which log view asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogOwner {
    /// The dock on the Bridge.
    Dock,
    /// The run's own screen.
    Run,
}

/// Which part of a log is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogAsk {
    /// The end.
    Tail,
    /// The beginning.
    Start,
    /// From this line on.
    After(u64),
    /// What comes before this line.
    Before(u64),
    /// The surroundings of the nearest line that the pattern finds.
    Find {
        /// What to look for.
        pattern: Pattern,
        /// Where to begin: forwards with this line, backwards before it.
        from: u64,
        /// Whether to look towards the beginning.
        back: bool,
    },
}

/// A window of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// Who asks.
    pub owner: LogOwner,
    /// Tells the answer from those to earlier questions.
    pub ticket: u64,
    /// Whose log.
    pub run: RunId,
    /// How many lines the run had when this was asked: a tail answers for all of them.
    pub total: u64,
    /// Which lines count.
    pub filter: LineFilter,
    /// Which part.
    pub ask: LogAsk,
}

/// What was read of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogPage {
    /// The lines, in order.
    pub lines: Vec<LogLine>,
    /// The line that was looked for.
    pub found: Option<u64>,
    /// How far was looked: from here on when the question went towards the beginning (or for a line), else up to here.
    pub reached: u64,
    /// Whether there is nothing further that way.
    pub done: bool,
}
