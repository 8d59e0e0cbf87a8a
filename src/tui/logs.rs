//! A view into a run's log: a bounded window of lines, read from the store as one scrolls, searches or follows.
//!
//! A log of ten million lines costs as much as one of four thousand: nothing outside the window is kept.

use std::collections::VecDeque;

use super::message::{Effect, LogAsk, LogOwner, LogPage, LogQuery};
use crate::domain::run::{LogLine, RunId, Stream};
use crate::domain::structured::Level;
use crate::store::{LineFilter, Matcher, Pattern};

/// Lines read at a time.
pub(crate) const PAGE: usize = 1000;
/// Lines kept.
const WINDOW: usize = 4 * PAGE;
/// Characters kept of a line.
const LONGEST: usize = 4096;

/// See the module.
#[derive(Debug, Clone)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent switches of the operator"
)]
pub(crate) struct LogModel {
    owner: LogOwner,
    pub run: Option<RunId>,
    pub lines: VecDeque<LogLine>,
    /// Lines the run has, as far as is known.
    pub total: u64,
    /// The window answers for everything from this line …
    pub start: u64,
    /// … up to, not including, this one.
    pub end: u64,
    /// Lines that were passed over to keep up with the end; they are one scroll away.
    pub skipped: u64,
    pub filter: LineFilter,
    pub follow: bool,
    /// Index after the last line on the screen; counts only while not following.
    pub bottom: usize,
    pub wrap: bool,
    pub times: bool,
    /// Whether JSON, logfmt and hclog lines are shown as columns.
    pub columns: bool,
    /// What is looked for, as it was typed …
    pub needle: String,
    /// … and made ready; `None` when there is nothing to look for, or it is a mistake.
    pub matcher: Option<Matcher>,
    /// The line that was found last.
    pub found: Option<u64>,
    /// How far a search has come that goes on.
    pub searching: Option<u64>,
    pub trouble: Option<String>,
    ticket: u64,
    pub asking: bool,
}

impl LogModel {
    pub(crate) fn new(owner: LogOwner) -> Self {
        Self {
            owner,
            run: None,
            lines: VecDeque::new(),
            total: 0,
            start: 0,
            end: 0,
            skipped: 0,
            filter: LineFilter::default(),
            follow: true,
            bottom: 0,
            wrap: false,
            times: false,
            columns: false,
            needle: String::new(),
            matcher: None,
            found: None,
            searching: None,
            trouble: None,
            ticket: 0,
            asking: false,
        }
    }

    /// Shows the end of a run's log; nothing happens when it is shown already.
    pub(crate) fn open(&mut self, run: RunId, total: u64) -> Vec<Effect> {
        if self.run == Some(run) {
            return self.grew(total);
        }
        self.run = Some(run);
        self.total = total;
        self.filter = LineFilter::default();
        self.seek("");
        self.restart()
    }

    /// Reads anew from the end, after the filter was changed.
    pub(crate) fn restart(&mut self) -> Vec<Effect> {
        self.lines.clear();
        self.start = u64::MAX;
        self.end = 0;
        self.skipped = 0;
        self.found = None;
        self.follow = true;
        self.ask(LogAsk::Tail)
    }

    /// Lines that exist and are not shown yet, while following.
    pub(crate) fn lag(&self) -> u64 {
        self.total.saturating_sub(self.end)
    }

    /// The run has `total` lines now.
    pub(crate) fn grew(&mut self, total: u64) -> Vec<Effect> {
        self.total = self.total.max(total);
        if self.follow && !self.asking && self.lag() > 0 {
            self.catch_up()
        } else {
            Vec::new()
        }
    }

    fn catch_up(&mut self) -> Vec<Effect> {
        let ask = if self.lag() > PAGE as u64 {
            // Too much to read line by line: what was passed over is still in the store, one scroll away.
            LogAsk::Tail
        } else {
            LogAsk::After(self.end)
        };
        self.ask(ask)
    }

    fn ask(&mut self, ask: LogAsk) -> Vec<Effect> {
        let Some(run) = self.run else {
            return Vec::new();
        };
        self.ticket += 1;
        self.asking = true;
        self.searching = None;
        vec![Effect::Lines(LogQuery {
            owner: self.owner,
            ticket: self.ticket,
            run,
            total: self.total,
            filter: self.filter.clone(),
            ask,
        })]
    }

    /// Takes in what was read; `page` is the number of rows on the screen.
    pub(crate) fn take(
        &mut self,
        query: &LogQuery,
        result: Result<LogPage, String>,
        page: usize,
    ) -> Vec<Effect> {
        if query.ticket != self.ticket || Some(query.run) != self.run {
            return Vec::new();
        }
        self.asking = false;
        let read = match result {
            Ok(read) => read,
            Err(reason) => {
                self.trouble = Some(reason);
                return Vec::new();
            }
        };
        self.trouble = None;
        let last = read.lines.last().map(|line| line.seq + 1);
        let lines = read.lines.into_iter().map(clip);
        let more = match &query.ask {
            LogAsk::Tail => {
                if self.end > 0 {
                    self.skipped += read.reached.saturating_sub(self.end);
                }
                self.lines = lines.collect();
                self.start = read.reached;
                self.end = query.total.max(last.unwrap_or(0));
                self.before(page)
            }
            LogAsk::Start => {
                self.lines = lines.collect();
                self.start = 0;
                self.end = read.reached;
                self.bottom = page;
                self.after(page)
            }
            LogAsk::After(_) => {
                self.lines.extend(lines);
                self.end = read.reached.max(self.end);
                self.trim_front();
                self.after(page)
            }
            LogAsk::Before(_) => {
                let count = lines.len();
                for line in lines.rev() {
                    self.lines.push_front(line);
                }
                self.bottom += count;
                self.start = read.reached;
                self.trim_back();
                self.before(page)
            }
            LogAsk::Find { pattern, back, .. } => {
                if read.found.is_none() && !read.done {
                    let effects = self.ask(LogAsk::Find {
                        pattern: pattern.clone(),
                        from: read.reached,
                        back: *back,
                    });
                    self.searching = Some(read.reached);
                    return effects;
                }
                return self.arrive(read.found, read.reached, lines.collect(), page);
            }
        };
        match more {
            Some(ask) => self.ask(ask),
            None if self.follow && self.lag() > 0 => self.catch_up(),
            None => Vec::new(),
        }
    }

    /// What to read when a sparse filter left the screen without a page above.
    fn before(&self, page: usize) -> Option<LogAsk> {
        let bottom = if self.follow {
            self.lines.len()
        } else {
            self.bottom
        };
        (self.start > 0 && bottom < page).then_some(LogAsk::Before(self.start))
    }

    /// What to read when a sparse filter left the screen without a page below.
    fn after(&self, page: usize) -> Option<LogAsk> {
        (!self.follow && self.lag() > 0 && self.lines.len() < page)
            .then_some(LogAsk::After(self.end))
    }

    fn arrive(
        &mut self,
        found: Option<u64>,
        start: u64,
        lines: VecDeque<LogLine>,
        page: usize,
    ) -> Vec<Effect> {
        let Some(seq) = found else {
            self.trouble = Some(format!("no further line with {:?}", self.needle));
            return Vec::new();
        };
        if !lines.is_empty() {
            self.start = start;
            self.end = lines.back().map_or(0, |line| line.seq + 1);
            self.lines = lines;
        }
        self.show(seq, page);
        Vec::new()
    }

    fn show(&mut self, seq: u64, page: usize) {
        self.found = Some(seq);
        self.follow = false;
        let at = self.lines.partition_point(|line| line.seq < seq);
        self.bottom = (at + 1 + page / 2).clamp(page.min(self.lines.len()), self.lines.len());
    }

    fn trim_front(&mut self) {
        let excess = self.lines.len().saturating_sub(WINDOW);
        if excess > 0 {
            self.lines.drain(..excess);
            self.bottom = self.bottom.saturating_sub(excess);
            self.start = self.lines.front().map_or(self.end, |line| line.seq);
        }
    }

    fn trim_back(&mut self) {
        if self.lines.len() > WINDOW {
            self.lines.truncate(WINDOW);
            self.end = self.lines.back().map_or(0, |line| line.seq + 1);
        }
    }

    /// Scrolls by rows (negative is up); reads more when the window ends.
    pub(crate) fn scroll(&mut self, rows: isize, page: usize) -> Vec<Effect> {
        self.stop_searching();
        let length = self.lines.len();
        if self.follow {
            if rows >= 0 {
                return Vec::new();
            }
            self.bottom = length;
            self.follow = false;
        }
        self.bottom = self
            .bottom
            .saturating_add_signed(rows)
            .clamp(page.min(length), length.max(page.min(length)));
        if rows > 0 && self.bottom == length && self.lag() == 0 {
            self.follow = true;
        }
        if self.asking {
            return Vec::new();
        }
        if rows < 0 && self.start > 0 && self.bottom < page + PAGE / 4 {
            return self.ask(LogAsk::Before(self.start));
        } else if rows > 0 && self.lag() > 0 && self.bottom + PAGE / 4 > length {
            return self.ask(LogAsk::After(self.end));
        }
        Vec::new()
    }

    /// Goes to the beginning.
    pub(crate) fn top(&mut self, page: usize) -> Vec<Effect> {
        self.follow = false;
        if self.start == 0 {
            self.bottom = page.min(self.lines.len());
            Vec::new()
        } else {
            self.ask(LogAsk::Start)
        }
    }

    /// Goes to the end and stays there.
    pub(crate) fn tail(&mut self) -> Vec<Effect> {
        if self.lag() == 0 && !self.lines.is_empty() {
            self.follow = true;
            return Vec::new();
        }
        self.restart()
    }

    /// Stops or goes on following.
    pub(crate) fn toggle_follow(&mut self) -> Vec<Effect> {
        if self.follow {
            self.follow = false;
            self.bottom = self.lines.len();
            Vec::new()
        } else {
            self.tail()
        }
    }

    /// Says what to look for; a mistake in it is told.
    pub(crate) fn seek(&mut self, typed: &str) {
        typed.clone_into(&mut self.needle);
        self.found = None;
        self.trouble = None;
        self.matcher = None;
        if !typed.is_empty() {
            match Pattern::parse(typed).compile() {
                Ok(matcher) => self.matcher = Some(matcher),
                Err(bad) => self.trouble = Some(bad.to_string()),
            }
        }
    }

    /// Shows only lines that what was typed finds; a mistake in it is told, and everything shown.
    pub(crate) fn narrow(&mut self, typed: &str) -> Vec<Effect> {
        let pattern = Pattern::parse(typed);
        let mistake = pattern.compile().err();
        self.filter.text = (!pattern.is_empty() && mistake.is_none()).then_some(pattern);
        let effects = self.restart();
        self.trouble = mistake.map(|bad| bad.to_string());
        effects
    }

    /// Looks for the needle: within the window first, then in the store.
    pub(crate) fn find(&mut self, back: bool, page: usize) -> Vec<Effect> {
        let Some(matcher) = self.matcher.clone() else {
            return Vec::new();
        };
        self.trouble = None;
        let here = self.found.unwrap_or_else(|| {
            let bottom = if self.follow {
                self.lines.len()
            } else {
                self.bottom
            };
            self.lines
                .get(bottom.saturating_sub(1))
                .map_or(0, |line| line.seq + 1)
        });
        let hit = |line: &&LogLine| matcher.matches(&line.text);
        let near = if back {
            self.lines
                .iter()
                .rev()
                .filter(|line| line.seq < here)
                .find(hit)
        } else {
            self.lines.iter().filter(|line| line.seq > here).find(hit)
        };
        if let Some(seq) = near.map(|line| line.seq) {
            self.show(seq, page);
            return Vec::new();
        }
        let from = if back { self.start } else { self.end };
        self.ask(LogAsk::Find {
            pattern: Pattern::parse(&self.needle),
            from,
            back,
        })
    }

    /// Ends a search that goes on; its answer will be ignored.
    fn stop_searching(&mut self) {
        if self.searching.take().is_some() {
            self.ticket += 1;
            self.asking = false;
        }
    }

    /// Shows only lines that matter so much or more: errors, then warnings too, then information too, then all.
    pub(crate) fn next_level(&mut self) -> Vec<Effect> {
        self.filter.level = match self.filter.level {
            None => Some(Level::Error),
            Some(Level::Error) => Some(Level::Warn),
            Some(Level::Warn) => Some(Level::Info),
            Some(Level::Info | Level::Debug) => None,
        };
        self.restart()
    }

    /// Shows one stream after the other, then all.
    pub(crate) fn next_stream(&mut self) -> Vec<Effect> {
        let next = match self.filter.streams.first() {
            None => Stream::ALL.first(),
            Some(current) => {
                let at = Stream::ALL.iter().position(|stream| stream == current);
                at.and_then(|at| Stream::ALL.get(at + 1))
            }
        };
        self.filter.streams = next.copied().into_iter().collect();
        self.restart()
    }

    /// The lines for a screen of `page` rows.
    pub(crate) fn shown(&self, page: usize) -> (usize, usize) {
        let length = self.lines.len();
        let bottom = if self.follow {
            length
        } else {
            self.bottom.clamp(page.min(length), length)
        };
        (bottom.saturating_sub(page), bottom)
    }
}

fn clip(mut line: LogLine) -> LogLine {
    if let Some((at, _)) = line.text.char_indices().nth(LONGEST) {
        line.text.truncate(at);
        line.text.push('…');
    }
    line
}

#[cfg(test)]
mod tests;
