//! The actions menu: what can be done with what is under the cursor or marked.

use std::fmt::Write as _;

use ratatui::text::{Line, Span};

use super::super::keymap::Command;
use super::super::message::Place;
use super::super::paint::Paint;
use super::super::screens::{Intent, Target};
use super::super::world::World;
use super::Wish;
use super::prompt::About;
use crate::client::Request;
use crate::domain::action::Risk;
use crate::domain::finding::Subject;
use crate::domain::mark::MarkChange;
use crate::domain::plan::{Origin, PlanRequest};
use crate::domain::recipe::Offer;
use crate::domain::remedy::Remedy;
use crate::domain::run::{Run, RunId, RunState};
use crate::tui::message::Effect;

/// What an item does.
#[derive(Debug, Clone)]
enum Deed {
    Recipe {
        recipe: String,
        nodes: Vec<String>,
        service: Option<String>,
    },
    PlanThis(Box<PlanRequest>),
    Go(Place),
    Refresh(Subject, String),
    /// Something said to the engine, and what that would be.
    Tell(Request, String),
    /// Wants something to be typed first.
    Ask(About, Vec<String>),
    Cancel(RunId),
    Again(RunId),
    TakeUp(Origin),
    Decide(RunId),
    BreakLock,
    Command(Command),
}

/// A line of the menu.
#[derive(Debug, Clone)]
struct Item {
    text: String,
    detail: String,
    risk: Option<Risk>,
    deed: Deed,
}

/// The menu.
#[derive(Debug)]
pub(crate) struct Menu {
    title: String,
    environment: String,
    items: Vec<Item>,
    selected: usize,
}

impl Menu {
    /// The menu for `target`; `None` when nothing can be done with it.
    pub(crate) fn new(world: &World, target: &Target) -> Option<Self> {
        let (title, items) = match target {
            Target::Nothing => return None,
            Target::Environment(name) => (name.clone(), environment_items(world, name)),
            Target::Nodes(names) => (nodes_title(names), node_items(world, names)),
            Target::Service(name) => (name.clone(), service_items(world, name)),
            Target::Row(name, view, row) => {
                let mut items = row_items(world, name, view, row);
                let title = if items.is_empty() { name } else { row };
                items.extend(service_items(world, name));
                (title.clone(), items)
            }
            Target::Run(id) => {
                let run = world.run(*id)?;
                (format!("run #{}", run.number), run_items(world, run))
            }
            Target::Finding(index) => {
                let finding = world.findings().get(*index)?;
                return Self::of_finding(world, finding);
            }
            Target::Recipe(name) => (name.clone(), recipe_items(world, name)),
            Target::Snapshot(name, taken) => (name.clone(), snapshot_items(*taken)),
            Target::Drift(key, reconciled) => (key.clone(), drift_items(*reconciled)),
        };
        (!items.is_empty()).then(|| Self {
            title,
            environment: world.environment.clone(),
            items,
            selected: 0,
        })
    }

    /// A finding's remedy, and what can be done with its subject.
    fn of_finding(world: &World, finding: &crate::domain::finding::Finding) -> Option<Self> {
        let subject = match &finding.subject {
            Subject::Environment => Target::Environment(world.environment.clone()),
            Subject::Node(name) => Target::Nodes(vec![name.clone()]),
            Subject::Service(name) => Target::Service(name.clone()),
        };
        let mut menu = Self::new(world, &subject)?;
        let repair = finding.remedy.as_ref();
        if let Some(mut repair) = repair.and_then(|remedy| remedy_item(world, remedy)) {
            repair.text = format!("Repair: {}", repair.text);
            menu.items.insert(0, repair);
        }
        Some(menu)
    }

    pub(crate) fn update(&mut self, command: Command) -> Vec<Wish> {
        match command {
            Command::Up => self.selected = self.selected.saturating_sub(1),
            Command::Down => {
                self.selected = (self.selected + 1).min(self.items.len().saturating_sub(1));
            }
            Command::Accept => return self.accept(),
            _ => {}
        }
        Vec::new()
    }

    fn accept(&self) -> Vec<Wish> {
        let Some(item) = self.items.get(self.selected) else {
            return Vec::new();
        };
        let wish = match item.deed.clone() {
            Deed::Recipe {
                recipe,
                nodes,
                service,
            } => Wish::Screen(Intent::Plan {
                recipe,
                nodes,
                service,
            }),
            Deed::PlanThis(request) => Wish::Screen(Intent::PlanThis(*request)),
            Deed::Go(place) => Wish::Screen(Intent::Go(place)),
            Deed::Refresh(subject, name) => Wish::Screen(Intent::Do(Effect::Tell {
                request: Request::Refresh {
                    environment: self.environment.clone(),
                    subject,
                },
                what: format!("ask {name} again"),
            })),
            Deed::Tell(request, what) => Wish::Screen(Intent::Do(Effect::Tell { request, what })),
            Deed::Ask(about, nodes) => Wish::Screen(Intent::Ask(about, nodes)),
            Deed::Cancel(run) => Wish::Screen(Intent::Cancel(run)),
            Deed::Again(run) => Wish::Screen(Intent::Again(run)),
            Deed::TakeUp(origin) => Wish::Screen(Intent::TakeUp(origin)),
            Deed::Decide(run) => Wish::Screen(Intent::Decide(run)),
            Deed::BreakLock => Wish::Screen(Intent::BreakLock),
            Deed::Command(command) => Wish::Perform(command),
        };
        vec![Wish::Close, wish]
    }

    pub(crate) fn draw(&self, world: &World, paint: &mut Paint<'_>) {
        let theme = paint.look.theme.clone();
        let widest = self
            .items
            .iter()
            .map(|item| item.text.len() + item.detail.len() + 16)
            .max()
            .unwrap_or(0);
        let width = u16::try_from(widest).unwrap_or(u16::MAX).clamp(40, 78);
        let height = u16::try_from(self.items.len())
            .unwrap_or(u16::MAX)
            .saturating_add(2);
        let mut title = format!("Actions on {}", self.title);
        if height > paint.buf.area.height.saturating_sub(2) {
            // Writing to a String cannot fail.
            let _ = write!(title, " · {} of {}", self.selected + 1, self.items.len());
        }
        let room = paint.dialog((width, height), &title, theme.guard(world.protection()));
        let visible = usize::from(room.height);
        let first =
            super::super::paint::grid::first_visible(self.selected, self.items.len(), visible);
        for ((index, item), y) in self
            .items
            .iter()
            .enumerate()
            .skip(first)
            .zip(room.top()..room.bottom())
        {
            let row = ratatui::layout::Rect {
                y,
                height: 1,
                ..room
            };
            let mut spans = vec![paint.look.outer(
                &item.text,
                ratatui::style::Style {
                    bg: None,
                    ..theme.text
                },
            )];
            spans.push(paint.look.outer(&format!("  {}", item.detail), theme.muted));
            let mut badge_width = 0;
            if let Some(risk) = item.risk {
                let badge = Line::from(vec![
                    Span::raw(" "),
                    paint.look.sign(paint.look.glyphs.risk(risk)),
                ]);
                badge_width = u16::try_from(badge.width()).unwrap_or(0);
                paint.right(row, &badge);
            }
            paint.line(
                row.x + 2,
                y,
                row.width.saturating_sub(2 + badge_width),
                &Line::from(spans),
            );
            if index == self.selected {
                paint.buf.set_style(row, theme.selection);
                paint.text_raw(row.x, y, 1, paint.look.glyphs.cursor, theme.accent);
            }
        }
    }
}

fn nodes_title(names: &[String]) -> String {
    match names {
        [one] => one.clone(),
        many => format!("{} nodes", many.len()),
    }
}

fn item(text: impl Into<String>, detail: impl Into<String>, deed: Deed) -> Item {
    Item {
        text: text.into(),
        detail: detail.into(),
        risk: None,
        deed,
    }
}

fn recipes(world: &World, offer: Offer, nodes: &[String], service: Option<&str>) -> Vec<Item> {
    let kind = service.and_then(|service| Some(world.service_spec(service)?.kind));
    let recipes = world
        .workspace()
        .map(|workspace| workspace.recipes.as_slice());
    recipes
        .unwrap_or_default()
        .iter()
        .filter(|recipe| recipe.offer_on.contains(&offer))
        .filter(|recipe| {
            recipe.kinds.is_empty() || kind.is_none_or(|kind| recipe.kinds.contains(&kind))
        })
        .map(|recipe| Item {
            text: recipe.title.clone(),
            detail: recipe.name.clone(),
            risk: Some(recipe.risk),
            deed: Deed::Recipe {
                recipe: recipe.name.clone(),
                nodes: nodes.to_vec(),
                service: service.map(ToOwned::to_owned),
            },
        })
        .collect()
}

fn environment_items(world: &World, name: &str) -> Vec<Item> {
    let mut items = recipes(world, Offer::Environment, &[], None);
    items.extend(schedule_items(world, name));
    items.push(item("Nodes", "go there", Deed::Go(Place::Nodes)));
    items.push(item("Services", "go there", Deed::Go(Place::Services)));
    items.push(item("Snapshots", "go there", Deed::Go(Place::Snapshots)));
    items.push(item("Drift", "go there", Deed::Go(Place::Drift)));
    let lock = world.live().and_then(|live| live.lock.as_ref());
    if let Some(lock) = lock.filter(|_| name == world.environment) {
        items.push(item(
            format!("Break the lock of run #{}", lock.number),
            "asks for the environment's name",
            Deed::BreakLock,
        ));
    }
    items.push(item(
        "Ask everything again",
        "now",
        Deed::Refresh(Subject::Environment, name.to_owned()),
    ));
    items.push(item("Raw", "JSON", Deed::Command(Command::Raw)));
    items
}

/// Running, pausing and resuming each of the environment's schedules.
fn schedule_items(world: &World, environment: &str) -> Vec<Item> {
    let here = world
        .schedules
        .iter()
        .filter(|schedule| schedule.environment == environment);
    here.flat_map(|schedule| {
        let (environment, name) = (schedule.environment.clone(), schedule.name.clone());
        let paused = schedule.memory.paused_by.is_none();
        let (verb, what) = if paused {
            ("Pause", "until it is resumed")
        } else {
            ("Resume", "missed times are not made up for")
        };
        let run = Request::RunSchedule {
            environment: environment.clone(),
            name: name.clone(),
        };
        let pause = Request::PauseSchedule {
            environment,
            name: name.clone(),
            paused,
        };
        [
            item(
                format!("Run {name} now"),
                format!("schedule of {}", schedule.recipe),
                Deed::Tell(run, format!("run {name} now")),
            ),
            item(
                format!("{verb} {name}"),
                what,
                Deed::Tell(pause, format!("{} {name}", verb.to_lowercase())),
            ),
        ]
    })
    .collect()
}

fn node_items(world: &World, names: &[String]) -> Vec<Item> {
    let mut items = recipes(world, Offer::Node, names, None);
    items.extend(cordon_items(world, names));
    items.extend(word_items(names));
    if let [name] = names {
        items.push(item(
            "Describe",
            "facts, gauges, findings, runs",
            Deed::Go(Place::Node(name.clone())),
        ));
        items.push(item(
            "Probe again",
            "now",
            Deed::Refresh(Subject::Node(name.clone()), name.clone()),
        ));
        items.push(item("Raw", "JSON", Deed::Command(Command::Raw)));
    } else {
        items.push(item(
            "Clear the marks",
            "",
            Deed::Command(Command::ClearMarks),
        ));
    }
    items.push(item("Copy", "the name", Deed::Command(Command::Copy)));
    items
}

/// Cordoning those of the nodes that are not, and letting each of the others go.
fn cordon_items(world: &World, names: &[String]) -> Vec<Item> {
    let of = |name: &String| world.live()?.marks.get(name)?.cordon.as_ref();
    let (cordoned, free): (Vec<&String>, Vec<&String>) =
        names.iter().partition(|name| of(name).is_some());
    let mut items = Vec::new();
    if !free.is_empty() {
        let free: Vec<String> = free.into_iter().cloned().collect();
        let text = format!("Cordon {}", nodes_title(&free));
        let deed = Deed::Ask(About::Cordon, free);
        items.push(item(text, "recipes leave it alone; asks why", deed));
    }
    items.extend(cordoned.into_iter().filter_map(|name| {
        let change = MarkChange::Uncordon;
        let what = format!("{name}: {change}");
        let request = Request::Mark {
            environment: world.environment.clone(),
            node: name.clone(),
            change,
        };
        let detail = of(name)?.to_string();
        let text = format!("Uncordon {name}");
        Some(item(text, detail, Deed::Tell(request, what)))
    }));
    items
}

/// Labels, and what of the nodes can be followed.
fn word_items(names: &[String]) -> Vec<Item> {
    let ask = |about| Deed::Ask(about, names.to_vec());
    vec![
        item("Label", "beside the file's labels", ask(About::Label)),
        item("Follow units", "their journals, merged", ask(About::Units)),
        item("Follow a file", "merged by time", ask(About::File)),
    ]
}

/// What can be done with a row of the drift board.
fn drift_items(reconciled: bool) -> Vec<Item> {
    let mut items = Vec::new();
    if reconciled {
        items.push(Item {
            risk: Some(Risk::Change),
            ..item("Reconcile", "just this", Deed::Command(Command::Repair))
        });
    }
    items.push(item(
        "Ignore",
        "with a reason and an end",
        Deed::Command(Command::IgnoreDrift),
    ));
    items.push(Item {
        risk: Some(Risk::Read),
        ..item(
            "Look anew",
            "at everything",
            Deed::Command(Command::CheckDrift),
        )
    });
    items.push(item("Raw", "JSON", Deed::Command(Command::Raw)));
    items
}

/// What can be done with a snapshot, or with a store that has none.
fn snapshot_items(taken: bool) -> Vec<Item> {
    let act = |text: &str, detail: &str, risk, command| Item {
        risk: Some(risk),
        ..item(text, detail, Deed::Command(command))
    };
    let mut items = vec![act(
        "Take a new one",
        "of this store",
        Risk::Read,
        Command::TakeSnapshot,
    )];
    if taken {
        items.extend([
            act(
                "Verify",
                "read it again",
                Risk::Read,
                Command::VerifySnapshot,
            ),
            act(
                "Try it",
                "in a scratch instance here",
                Risk::Read,
                Command::DrillSnapshot,
            ),
            act(
                "Restore",
                "the plan shows what is lost",
                Risk::Destroy,
                Command::RestoreSnapshot,
            ),
        ]);
        items.push(item("Raw", "JSON", Deed::Command(Command::Raw)));
    }
    items
}

/// Planning a remedy; `None` where the workspace has no such recipe.
fn remedy_item(world: &World, remedy: &Remedy) -> Option<Item> {
    let recipe = world.recipe(&remedy.recipe)?;
    Some(Item {
        text: recipe.title.clone(),
        detail: remedy.to_string(),
        risk: Some(recipe.risk),
        deed: Deed::PlanThis(Box::new(remedy.request(&world.environment))),
    })
}

/// What can be done with one row of a service's table: what would repair it, if something were wrong with it.
fn row_items(world: &World, service: &str, view: &str, row: &str) -> Vec<Item> {
    let key = match (view, row.split_once('/')) {
        ("pods", Some(_)) => format!("pod:{row}"),
        ("workloads", Some(("Deployment", name))) => format!("deployment:{name}"),
        _ => return Vec::new(),
    };
    let subject = Subject::Service(service.to_owned());
    let remedy = world
        .here()
        .and_then(|environment| Remedy::of(environment, &subject, &key));
    let item = remedy.and_then(|remedy| remedy_item(world, &remedy));
    item.into_iter().collect()
}

fn service_items(world: &World, name: &str) -> Vec<Item> {
    let mut items = recipes(world, Offer::Service, &[], Some(name));
    items.push(item(
        "Tables",
        "members, leaders and the rest",
        Deed::Go(Place::Service(name.to_owned())),
    ));
    items.push(item(
        "Ask again",
        "now",
        Deed::Refresh(Subject::Service(name.to_owned()), name.to_owned()),
    ));
    items.push(item("Raw", "JSON", Deed::Command(Command::Raw)));
    items
}

fn run_items(world: &World, run: &Run) -> Vec<Item> {
    let id = run.id;
    let mut items = vec![item("Steps and log", "", Deed::Go(Place::Run(id)))];
    if world.waiting.iter().any(|waiting| waiting.run == id) {
        items.push(item("Approve or refuse", "it waits", Deed::Decide(id)));
    }
    if run.state.is_final() {
        items.extend(take_up_items(run));
        items.push(item(
            "Plan the same again",
            "R, from the beginning",
            Deed::Again(id),
        ));
    } else {
        items.push(item("Cancel", "asks first", Deed::Cancel(id)));
    }
    items.push(item("Raw", "JSON", Deed::Command(Command::Raw)));
    items
}

/// What can be done about a run that has ended and was no rehearsal: the engine knows best, and says why not.
fn take_up_items(run: &Run) -> Vec<Item> {
    if !run.can_be_taken_up() {
        return Vec::new();
    }
    let id = run.id;
    let resume = |failed_hosts| {
        Deed::TakeUp(Origin::Resume {
            run: id,
            failed_hosts,
            current_recipe: false,
        })
    };
    let undo = |force| Deed::TakeUp(Origin::Undo { run: id, force });
    let mut items = Vec::new();
    if run.state != RunState::Succeeded {
        items.push(item("Carry on where it stopped", "C", resume(false)));
        items.push(item("Carry on where hosts failed", "H", resume(true)));
    }
    let tally = run.tally;
    if tally.changed + tally.failed + tally.cancelled > 0 {
        items.push(item("Undo", "U, take back what it changed", undo(false)));
        items.push(item(
            "Undo by force",
            "overwrite what was changed since",
            undo(true),
        ));
    }
    items
}

fn recipe_items(world: &World, name: &str) -> Vec<Item> {
    let recipes = world
        .workspace()
        .map(|workspace| workspace.recipes.as_slice());
    recipes
        .unwrap_or_default()
        .iter()
        .filter(|recipe| recipe.name == name)
        .map(|recipe| Item {
            text: recipe.title.clone(),
            detail: format!("in {}", world.environment),
            risk: Some(recipe.risk),
            deed: Deed::Recipe {
                recipe: recipe.name.clone(),
                nodes: Vec::new(),
                service: None,
            },
        })
        .collect()
}
