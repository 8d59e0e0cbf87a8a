//! State of the first start, and the way from page to page.

use super::super::{Intent, Screen, Target};
use super::rows::{Field, Row};
use crate::client::SURVEY;
use crate::domain::bootstrap::{
    Answers, Candidate, Conflict, Machine, Member, Purpose, conflicts, obstacles, propose,
    refusals, view_of,
};
use crate::domain::live::{NodeReport, Observed};
use crate::domain::table::Tone;
use crate::tui::filter::Filter;
use crate::tui::ground::{Beginning, Drafted, Outcome, Work, Worked};
use crate::tui::keymap::{Command, Context};
use crate::tui::message::Effect;
use crate::tui::paint::Paint;
use crate::tui::world::{Known, World};

/// A page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Page {
    Start,
    Hosts,
    Probe,
    Stack,
    Roles,
    Software,
    Details,
    Review,
    Stages,
}

impl Page {
    pub(super) const ALL: [Self; 9] = [
        Self::Start,
        Self::Hosts,
        Self::Probe,
        Self::Stack,
        Self::Roles,
        Self::Software,
        Self::Details,
        Self::Review,
        Self::Stages,
    ];
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Wizard {
    pub(super) beginning: Option<Beginning>,
    pub(super) answers: Answers,
    pub(super) page: Page,
    /// The row under the cursor, or the first line shown of the files.
    pub(super) cursor: usize,
    pub(super) candidates: Known<Vec<Candidate>>,
    /// What was typed to look for.
    pub(super) typed: String,
    pub(super) draft: Known<Drafted>,
    /// The row whose text is being typed.
    pub(super) filling: Option<Field>,
    /// Whether files are being written.
    pub(super) writing: bool,
    /// Whether the cursor was not moved since one came to the last page: it is then on what is next.
    untouched: bool,
    /// Whether it was said what one would like to do, now or at an earlier start.
    pub(super) decided: bool,
}

impl Wizard {
    pub(crate) fn new(beginning: Option<Beginning>) -> Self {
        let answers = beginning
            .as_ref()
            .map(|beginning| beginning.answers.clone())
            .unwrap_or_default();
        let written = beginning
            .as_ref()
            .is_some_and(|beginning| beginning.written.is_some());
        let decided = beginning.as_ref().is_some_and(|one| one.resumed);
        let mut wizard = Self {
            beginning,
            answers,
            page: if written { Page::Stages } else { Page::Start },
            cursor: 0,
            candidates: Known::Asked,
            typed: String::new(),
            draft: Known::Asked,
            filling: None,
            writing: false,
            untouched: true,
            decided,
        };
        wizard.cursor = wizard.first_row();
        wizard
    }

    /// Whether this is what one would like to do, as far as it was said.
    pub(super) fn is_decided_for(&self, purpose: Purpose) -> bool {
        self.decided && self.answers.purpose == purpose
    }

    /// The row to begin with on a page: on the first what was chosen there.
    fn first_row(&self) -> usize {
        let chosen = |row: &Row| match row.field {
            Field::Build => self.is_decided_for(Purpose::Build),
            Field::Adopt => self.is_decided_for(Purpose::Adopt),
            _ => false,
        };
        match self.page {
            Page::Start => self.start_rows().iter().position(chosen).unwrap_or(0),
            _ => 0,
        }
    }

    /// What it wants to know when the screens begin with it.
    pub(crate) fn begin_with(&self) -> Vec<Effect> {
        let written = self.beginning.as_ref().and_then(|one| one.written.clone());
        let seals = written.map(|environment| Effect::Seals { environment });
        seals.into_iter().collect()
    }

    /// What it wants to know when one comes there.
    pub(crate) fn arrive(&mut self) -> Vec<Effect> {
        self.untouched = true;
        match self.page {
            Page::Hosts => vec![work(Work::Find(self.typed.clone()))],
            Page::Probe => self.survey(),
            _ => Vec::new(),
        }
    }

    /// Asks anew for what the page shows.
    pub(crate) fn look_again(&mut self) -> Vec<Effect> {
        if self.page == Page::Review {
            self.draft = Known::Asked;
        }
        self.arrive()
    }

    pub(super) fn survey(&self) -> Vec<Effect> {
        let home = self.beginning.as_ref().and_then(|one| one.home.as_deref());
        vec![work(Work::Survey(self.answers.nodes(home)))]
    }

    /// One page back; `false` on the first, from where the screen is left.
    pub(crate) fn back(&mut self) -> bool {
        let pages = self.pages();
        let at = pages
            .iter()
            .position(|page| *page == self.page)
            .unwrap_or(0);
        if at == 0 || self.page == Page::Stages {
            return false;
        }
        self.page = pages[at - 1];
        self.cursor = self.first_row();
        true
    }

    /// One page back, or why there is none.
    fn previous(&mut self) -> Vec<Intent> {
        if self.back() {
            return Vec::new();
        }
        let sentence = match self.page {
            Page::Stages => "The files are written: no page of questions is left. Esc leaves.",
            _ => "This is the first page. Esc leaves.",
        };
        vec![Intent::Say(sentence.into(), Tone::Muted)]
    }

    /// The pages of this way, in order.
    pub(super) fn pages(&self) -> Vec<Page> {
        let adopts = self.answers.purpose == Purpose::Adopt;
        let has =
            |page: &Page| !(adopts && matches!(page, Page::Stack | Page::Roles | Page::Software));
        Page::ALL.into_iter().filter(has).collect()
    }

    /// The hosts that answered.
    pub(super) fn machines(&self, world: &World) -> Vec<Machine> {
        let hosts = self.answers.hosts.iter();
        hosts
            .filter_map(|host| {
                let seen = observed(world, &host.key())?;
                Some(Machine::seen(host, seen.value.as_ref()?))
            })
            .collect()
    }

    pub(super) fn members(&self, world: &World) -> Vec<Member> {
        propose(&self.answers, &self.machines(world))
    }

    /// Why one cannot go on from this page; empty when one can.
    pub(super) fn hindrances(&self, world: &World) -> Vec<Conflict> {
        let one = |reason: &str, help: &str| {
            vec![Conflict {
                reason: reason.into(),
                help: help.into(),
            }]
        };
        match self.page {
            Page::Hosts if self.answers.hosts.is_empty() && !self.answers.adopts_services() => one(
                "no host is chosen",
                "type an address or a range, or take some in with space",
            ),
            Page::Probe => self.unanswered(world),
            Page::Stack => refusals(self.answers.stack, &self.machines(world)),
            Page::Roles => {
                let machines = self.machines(world);
                let mut all = obstacles(&self.answers, &self.members(world), &machines);
                // The network is asked for later.
                all.retain(|one| !one.reason.contains("the network you chose"));
                all
            }
            Page::Software | Page::Details | Page::Review => {
                conflicts(&self.answers, &self.members(world), &self.machines(world))
            }
            Page::Start | Page::Hosts | Page::Stages => Vec::new(),
        }
    }

    fn unanswered(&self, world: &World) -> Vec<Conflict> {
        let mut silent = Vec::new();
        for host in &self.answers.hosts {
            let key = host.key();
            let seen = observed(world, &key);
            let (reason, help) = match seen {
                Some(one) if one.value.is_some() => continue,
                Some(one) if one.trouble.is_some() => (
                    format!("{key} cannot be used"),
                    "x leaves it out, r looks again",
                ),
                _ => (format!("{key} has not answered yet"), "wait a moment"),
            };
            silent.push(Conflict {
                reason,
                help: help.into(),
            });
        }
        silent
    }

    /// On to the next page, if nothing stands in the way.
    pub(super) fn next(&mut self, world: &World) -> Vec<Intent> {
        if let Some(first) = self.hindrances(world).first() {
            return vec![Intent::Say(
                format!("{}: {}.", first.reason, first.help),
                Tone::Warn,
            )];
        }
        let pages = self.pages();
        let at = pages
            .iter()
            .position(|page| *page == self.page)
            .unwrap_or(0);
        let next = match self.page {
            Page::Review => return self.write(world),
            Page::Stages => return Vec::new(),
            _ => pages[at + 1],
        };
        self.go(world, next)
    }

    /// To a page, with all answers kept.
    pub(super) fn go(&mut self, world: &World, page: Page) -> Vec<Intent> {
        self.page = page;
        self.cursor = 0;
        if page == Page::Software {
            self.suggest(world);
        }
        let mut effects = vec![self.remember()];
        effects.extend(self.arrive());
        if page == Page::Review {
            self.draft = Known::Asked;
            let members = self.members(world);
            effects.push(work(Work::Draft(Box::new(self.answers.clone()), members)));
        }
        effects.into_iter().map(Intent::Do).collect()
    }

    pub(super) fn remember(&self) -> Effect {
        work(Work::Remember(Box::new(self.answers.clone())))
    }

    fn write(&mut self, world: &World) -> Vec<Intent> {
        let Known::Ready(draft) = &self.draft else {
            return Vec::new();
        };
        if self.writing {
            return Vec::new();
        }
        self.writing = true;
        let write = Work::Write(
            Box::new(self.answers.clone()),
            self.members(world),
            draft.seen.clone(),
        );
        vec![Intent::Do(work(write))]
    }

    /// Takes in what came of some work.
    pub(crate) fn take(&mut self, world: &World, worked: Worked) -> Vec<Intent> {
        match worked {
            Worked::Found(Ok(found)) => {
                // Who types one name or a few means them.
                let typed = crate::domain::bootstrap::expand(&self.typed).unwrap_or_default();
                for one in &found {
                    let meant = typed.contains(&one.address)
                        && (one.listens == Some(true) || typed.len() == 1);
                    if meant && self.answers.host(&one.address).is_none() {
                        self.take_in(&one.address);
                    }
                }
                self.candidates = Known::Ready(found);
            }
            Worked::Found(Err(refusal)) => {
                self.candidates = Known::Ready(Vec::new());
                return vec![Intent::Say(refusal.message, Tone::Bad)];
            }
            Worked::Members(kind, Ok(members)) => {
                let new = crate::domain::bootstrap::taken_in(&mut self.answers, kind, &members);
                let sentence = match view_of(kind) {
                    Some(_) => format!(
                        "{} tells of {} members, {new} of them new.",
                        kind.title(),
                        members.rows.len()
                    ),
                    None => format!("{} answers.", kind.title()),
                };
                return vec![
                    Intent::Say(sentence, Tone::Good),
                    Intent::Do(self.remember()),
                ];
            }
            Worked::Members(_, Err(refusal)) | Worked::NotSurveyed(refusal) => {
                return vec![Intent::Say(refusal.message, Tone::Bad)];
            }
            Worked::Forgotten(reason) => {
                let sentence = format!("Your answers are not kept: {reason}");
                return vec![Intent::Say(sentence, Tone::Warn)];
            }
            Worked::Drafted(draft) => {
                self.draft = match draft {
                    Ok(draft) => Known::Ready(draft),
                    Err(reason) => Known::Failed(reason),
                };
            }
            Worked::Written(Ok(())) => {
                self.writing = false;
                let environment = self.answers.environment.clone();
                return vec![Intent::Leave(Outcome::Written(environment))];
            }
            Worked::Written(Err(reason)) => {
                self.writing = false;
                let mut intents = self.go(world, Page::Review);
                intents.push(Intent::Say(reason, Tone::Bad));
                return intents;
            }
            Worked::Checksum(software, arch, Ok(sum)) => self.summed(software, arch, sum),
            Worked::Checksum(_, _, Err(reason)) => {
                return vec![Intent::Say(reason, Tone::Bad)];
            }
        }
        Vec::new()
    }
}

/// What is known of a host.
pub(super) fn observed<'w>(world: &'w World, key: &str) -> Option<&'w Observed<NodeReport>> {
    world.live.get(SURVEY)?.nodes.get(key)
}

/// Work as an effect.
pub(super) fn work(work: Work) -> Effect {
    Effect::Bootstrap(Box::new(work))
}

impl Screen for Wizard {
    fn context(&self) -> Context {
        Context::Wizard
    }

    fn title(&self, _world: &World) -> String {
        "First start".into()
    }

    fn offers(&self, _world: &World, command: Command) -> bool {
        match command {
            Command::NextPage => self.page != Page::Stages,
            Command::PreviousPane => !matches!(self.page, Page::Start | Page::Stages),
            Command::Mark => !matches!(self.page, Page::Probe | Page::Review | Page::Stages),
            Command::Logs => self.page == Page::Stages,
            // What is under the cursor is a question, and its rows are few.
            Command::Actions | Command::FilterList => false,
            _ => true,
        }
    }

    fn update(&mut self, world: &World, command: Command, rows: usize) -> Vec<Intent> {
        if self.beginning.is_none() {
            return Vec::new();
        }
        let last = if self.page == Page::Review {
            match &self.draft {
                Known::Ready(draft) => draft.lines.len().saturating_sub(1),
                _ => 0,
            }
        } else {
            self.rows(world).len().saturating_sub(1)
        };
        let page = rows.saturating_sub(8).max(1);
        if crate::tui::screens::list::step(command, rows).is_some() {
            self.cursor = self.at(world).min(last);
            self.untouched = false;
        }
        match command {
            Command::Up => self.cursor = self.cursor.min(last).saturating_sub(1),
            Command::Down => self.cursor = (self.cursor + 1).min(last),
            Command::PageUp | Command::HalfUp => self.cursor = self.cursor.saturating_sub(page),
            Command::PageDown | Command::HalfDown => self.cursor = (self.cursor + page).min(last),
            Command::Top => self.cursor = 0,
            Command::Bottom => self.cursor = last,
            Command::NextPage => return self.next(world),
            Command::PreviousPane => return self.previous(),
            Command::Open => return self.enter(world),
            Command::Mark | Command::Right => return self.cycle(world, true),
            Command::Left => return self.cycle(world, false),
            Command::Close => return self.leave_out(world),
            _ => {}
        }
        Vec::new()
    }

    fn target(&self, _world: &World) -> Target {
        Target::Nothing
    }

    fn filter(&mut self) -> Option<&mut Filter> {
        None
    }

    fn draw(&self, world: &World, paint: &mut Paint<'_>, area: ratatui::layout::Rect) {
        super::view::draw(self, world, paint, area);
    }
}

impl Wizard {
    /// The number of the row under the cursor.
    pub(super) fn at(&self, world: &World) -> usize {
        if self.page == Page::Stages && self.untouched {
            self.suggested_row(world)
        } else {
            self.cursor
        }
    }

    /// The row under the cursor.
    pub(super) fn current(&self, world: &World) -> Option<Row> {
        let mut rows = self.rows(world);
        let at = self.at(world).min(rows.len().saturating_sub(1));
        (at < rows.len()).then(|| rows.swap_remove(at))
    }
}
