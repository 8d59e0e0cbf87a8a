//! What all lists have in common: a cursor, marks, a filter, an order.

use super::super::cursor::{Cursor, Step};
use super::super::filter::Filter;
use super::super::keymap::Command;

/// The state of a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct List {
    pub cursor: Cursor,
    pub filter: Filter,
    /// Which order, and whether turned round; `None` is the natural one.
    pub sort: Option<(u8, bool)>,
}

impl List {
    /// Carries out what every list understands; `false` for anything else.
    pub(crate) fn update<T: AsRef<str>>(
        &mut self,
        ids: &[T],
        command: Command,
        rows: usize,
    ) -> bool {
        if let Some(step) = step(command, rows) {
            self.cursor.go(ids, step);
            return true;
        }
        match command {
            Command::Mark => self.cursor.mark(ids),
            Command::ClearMarks => self.cursor.marked.clear(),
            Command::Sort(by) => {
                self.sort = match self.sort {
                    Some((current, false)) if current == by => Some((by, true)),
                    Some((current, true)) if current == by => None,
                    _ => Some((by, false)),
                };
            }
            _ => return false,
        }
        true
    }

    /// Applies the chosen order: `compare` gets its number; the natural order stays among equals.
    pub(crate) fn order<T>(
        &self,
        items: &mut [T],
        compare: impl Fn(u8, &T, &T) -> std::cmp::Ordering,
    ) {
        if let Some((by, turned)) = self.sort {
            items.sort_by(|a, b| {
                let order = compare(by, a, b);
                if turned { order.reverse() } else { order }
            });
        }
    }
}

/// The movement a command asks for on a list of which `rows` are seen.
pub(crate) fn step(command: Command, rows: usize) -> Option<Step> {
    let page = isize::try_from(rows.max(2) - 1).unwrap_or(1);
    Some(match command {
        Command::Up => Step::By(-1),
        Command::Down => Step::By(1),
        Command::PageUp => Step::By(-page),
        Command::PageDown => Step::By(page),
        Command::HalfUp => Step::By(-(page / 2).max(1)),
        Command::HalfDown => Step::By((page / 2).max(1)),
        Command::Top => Step::First,
        Command::Bottom => Step::Last,
        _ => return None,
    })
}

/// Orders two values so that the larger comes first and what is unknown comes last.
pub(crate) fn descending(a: Option<f32>, b: Option<f32>) -> std::cmp::Ordering {
    match (a, b) {
        (Some(a), Some(b)) => b.total_cmp(&a),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => std::cmp::Ordering::Equal,
    }
}
