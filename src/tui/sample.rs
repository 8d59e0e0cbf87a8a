//! A cluster to draw: five boards, eight services, a deploy that is going on, one that failed. Fed to the model through
//! messages only, as the engine would.

mod cluster;
mod kept;
mod work;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::{SignedDuration, Timestamp};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::message::{Answer, Effect, LogAsk, LogPage, LogQuery, Message, RunRecord};
use super::model::{Model, Setup};
use super::{keymap, update, view};
use crate::client::Event;
use crate::domain::action::{Gate, Risk};
use crate::domain::run::TaskState;
use cluster::{HOSTS, history, node};
pub(crate) use cluster::{live, workspace};
use kept::{drift, snapshots};
pub(crate) use kept::{members, seals};
use work::schedules;
pub(crate) use work::{lines, plan, run, run_id, runs, tasks};

/// The time on every picture.
pub(crate) fn now() -> Timestamp {
    "2026-03-01T14:03:22Z".parse().unwrap()
}

pub(crate) fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

/// Answers effects as an engine with this cluster would, until none are left.
pub(crate) fn settle(model: &mut Model, effects: Vec<Effect>) {
    let mut open = effects;
    let mut rounds = 0;
    while let Some(effect) = open.pop() {
        rounds += 1;
        assert!(rounds < 200, "effects without end: {effect:?}");
        if let Some(answer) = reply(effect) {
            open.extend(update(model, Message::Answer(Box::new(answer))));
        }
    }
}

fn reply(effect: Effect) -> Option<Answer> {
    Some(match effect {
        Effect::Seals { environment } => Answer::Seals {
            environment,
            result: Ok(seals()),
        },
        Effect::Ceremonies => Answer::Ceremonies(Ok(Vec::new())),
        Effect::Workspace => Answer::Workspace(Ok(workspace())),
        Effect::Live => Answer::Live(Ok(live())),
        Effect::History { environment } => Answer::History {
            environment,
            result: Ok(history()),
        },
        Effect::Runs => Answer::Runs(Ok(runs())),
        Effect::Snapshots { environment } => Answer::Snapshots {
            environment,
            result: Ok(snapshots()),
        },
        Effect::Drift { environment } => Answer::Drift {
            environment,
            result: Ok(Box::new(drift())),
        },
        Effect::Schedules => Answer::Schedules(Ok(schedules())),
        Effect::Run(id) => {
            Answer::Run(Ok(runs().into_iter().find(|run| run.id == id).map(|run| {
                Box::new(RunRecord {
                    tasks: tasks(run.state),
                    run,
                    plan: Some(plan()),
                    matrices: Vec::new(),
                })
            })))
        }
        Effect::NodeRuns { environment, node } => Answer::NodeRuns {
            environment,
            node,
            result: Ok(vec![
                (run_id(13), TaskState::Running),
                (run_id(12), TaskState::Failed),
            ]),
        },
        Effect::Table { key } => Answer::Table {
            result: Ok(members()),
            key,
        },
        Effect::Lines(query) => Answer::Lines {
            result: Ok(page(&query)),
            query,
        },
        Effect::Plan { ticket, request } => {
            let crate::client::Request::Plan(request) = request else {
                panic!("a plan is asked for by a plan request")
            };
            let environment = workspace();
            let environment = environment
                .environments
                .iter()
                .find(|known| known.name == request.environment)?;
            let mut plan = plan();
            if request.dry_run {
                plan.risk = Risk::Read;
            }
            plan.request = request;
            let gate = Gate::of(plan.risk, environment.protection, false);
            Answer::Plan {
                ticket,
                result: Ok((Box::new(plan), gate)),
            }
        }
        _ => return None,
    })
}

fn page(query: &LogQuery) -> LogPage {
    let all = lines().into_iter().filter(|line| {
        let task = line.task.as_ref().unwrap();
        query
            .filter
            .step
            .as_ref()
            .is_none_or(|step| *step == task.step)
            && query.filter.host.is_none_or_eq(task.host.as_ref())
    });
    let end = query.total;
    match &query.ask {
        LogAsk::Tail | LogAsk::Start => LogPage {
            lines: all.collect(),
            reached: if query.ask == LogAsk::Start { end } else { 0 },
            done: true,
            found: None,
        },
        LogAsk::After(from) => LogPage {
            lines: all.filter(|line| line.seq >= *from).collect(),
            reached: end,
            done: true,
            found: None,
        },
        LogAsk::Before(_) | LogAsk::Find { .. } => LogPage {
            done: true,
            ..LogPage::default()
        },
    }
}

/// `None` asks for nothing; a value must be equal.
trait Wanted<T> {
    fn is_none_or_eq(&self, other: Option<&T>) -> bool;
}

impl<T: PartialEq> Wanted<T> for Option<T> {
    fn is_none_or_eq(&self, other: Option<&T>) -> bool {
        self.as_ref().is_none_or(|wanted| Some(wanted) == other)
    }
}

/// A model that knows the whole cluster, with some history.
pub(crate) fn model(size: (u16, u16)) -> Model {
    with(Setup::new(now(), size))
}

/// As [`model`], begun with `setup`.
pub(crate) fn with(setup: Setup) -> Model {
    let mut model = Model::new(setup);
    let opening = model.opening();
    settle(&mut model, opening);
    for beat in 0..40_u32 {
        for (index, (name, ..)) in HOSTS.iter().enumerate().filter(|(index, _)| *index != 1) {
            let mut observed = node(index);
            let at = ago(3) - SignedDuration::from_secs(i64::from(40 - beat) * 2);
            let mut report = observed.value.take().unwrap();
            let wave = (f64::from(beat) / 5.0 + index as f64).sin() * 0.4 + 1.0;
            #[allow(clippy::cast_possible_truncation)]
            let wave = wave as f32;
            report.sample.load[0] *= wave;
            observed.succeed(report, at);
            feed(
                &mut model,
                Event::Node {
                    environment: "lab".into(),
                    name: (*name).into(),
                    observed: Box::new(observed),
                },
            );
        }
    }
    for (index, (name, ..)) in HOSTS.iter().enumerate() {
        feed(
            &mut model,
            Event::Node {
                environment: "lab".into(),
                name: (*name).into(),
                observed: Box::new(node(index)),
            },
        );
    }
    model
}

/// Feeds an event and answers what it leads to.
pub(crate) fn feed(model: &mut Model, event: Event) {
    let effects = update(model, Message::Event(event));
    settle(model, effects);
}

/// Presses keys given by their names and answers what they lead to.
pub(crate) fn press(model: &mut Model, keys: &[&str]) -> Vec<Effect> {
    let mut all = Vec::new();
    for key in keys {
        let effects = update(model, Message::Key(key_of(key)));
        all.extend(effects.clone());
        settle(model, effects);
    }
    all
}

/// The hints of what `shown` shows whose keys change nothing.
pub(crate) fn dead_hints(shown: impl Fn() -> Model) -> Vec<&'static str> {
    let model = shown();
    let before = buffer(&model);
    let hints = keymap::hints(&model.contexts(), |command| model.offers(command));
    let dead = hints.into_iter().filter(|(key, _)| {
        let mut model = shown();
        press(&mut model, &[key]).is_empty() && buffer(&model) == before
    });
    dead.map(|(_, word)| word).collect()
}

/// Types text.
pub(crate) fn type_text(model: &mut Model, text: &str) {
    for c in text.chars() {
        let effects = update(
            model,
            Message::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)),
        );
        settle(model, effects);
    }
}

/// The key with this name in the keymap.
pub(crate) fn key_of(name: &str) -> KeyEvent {
    let (modifiers, base) = match name.strip_prefix("ctrl-") {
        Some(base) => (KeyModifiers::CONTROL, base),
        None => (KeyModifiers::NONE, name),
    };
    let code = match base {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "shift-tab" => KeyCode::BackTab,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "pageup" => KeyCode::PageUp,
        "pagedown" => KeyCode::PageDown,
        "space" => KeyCode::Char(' '),
        "backspace" => KeyCode::Backspace,
        other => KeyCode::Char(other.chars().next().unwrap()),
    };
    KeyEvent::new(code, modifiers)
}

/// The picture of a model.
pub(crate) fn buffer(model: &Model) -> Buffer {
    let (width, height) = model.world.size;
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    view(model, &mut buffer);
    buffer
}

/// The picture as text, without trailing spaces.
pub(crate) fn draw(model: &Model) -> String {
    let buffer = buffer(model);
    let width = usize::from(buffer.area.width);
    let rows: Vec<String> = buffer
        .content()
        .chunks(width)
        .map(|row| {
            let mut text = String::new();
            let mut skip = 0;
            for cell in row {
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                text.push_str(cell.symbol());
                skip = super::text::width(cell.symbol()).saturating_sub(1);
            }
            text.trim_end().to_owned()
        })
        .collect();
    rows.join("\n")
}
