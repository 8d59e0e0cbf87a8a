//! The cursor of a list: it stays on its object when rows come, go or are sorted anew.

use std::collections::BTreeSet;

/// Where the cursor is and what is marked, by the rows' ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    id: Option<String>,
    index: usize,
    pub marked: BTreeSet<String>,
}

/// How a cursor can move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// By rows; negative is up.
    By(isize),
    First,
    Last,
}

impl Cursor {
    /// Index of the row under the cursor; of the row that took its place when it is gone.
    pub(crate) fn position<T: AsRef<str>>(&self, ids: &[T]) -> usize {
        self.id
            .as_ref()
            .and_then(|id| ids.iter().position(|other| other.as_ref() == id))
            .unwrap_or_else(|| self.index.min(ids.len().saturating_sub(1)))
    }

    /// Whether it was never moved.
    pub(crate) fn is_fresh(&self) -> bool {
        self.id.is_none()
    }

    /// The id under the cursor.
    pub(crate) fn current<'a, T: AsRef<str>>(&self, ids: &'a [T]) -> Option<&'a str> {
        ids.get(self.position(ids)).map(AsRef::as_ref)
    }

    /// Moves the cursor.
    pub(crate) fn go<T: AsRef<str>>(&mut self, ids: &[T], step: Step) {
        let last = ids.len().saturating_sub(1);
        let index = match step {
            Step::By(rows) => self.position(ids).saturating_add_signed(rows).min(last),
            Step::First => 0,
            Step::Last => last,
        };
        self.index = index;
        self.id = ids.get(index).map(|id| id.as_ref().to_owned());
    }

    /// Puts the cursor on `id`.
    pub(crate) fn select(&mut self, id: &str) {
        self.id = Some(id.to_owned());
    }

    /// Marks or unmarks the row under the cursor and goes on to the next.
    pub(crate) fn mark<T: AsRef<str>>(&mut self, ids: &[T]) {
        if let Some(id) = self.current(ids).map(ToOwned::to_owned)
            && !self.marked.remove(&id)
        {
            self.marked.insert(id);
        }
        self.go(ids, Step::By(1));
    }

    /// The marked rows that still exist, else the one under the cursor.
    pub(crate) fn chosen<T: AsRef<str>>(&self, ids: &[T]) -> Vec<String> {
        let marked: Vec<String> = ids
            .iter()
            .map(AsRef::as_ref)
            .filter(|id| self.marked.contains(*id))
            .map(ToOwned::to_owned)
            .collect();
        if marked.is_empty() {
            self.current(ids)
                .map(ToOwned::to_owned)
                .into_iter()
                .collect()
        } else {
            marked
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_follows_its_object_through_a_sort() {
        let mut cursor = Cursor::default();
        cursor.go(&["a", "b", "c"], Step::By(1));
        assert_eq!(cursor.current(&["c", "a", "b"]), Some("b"));
    }

    #[test]
    fn a_vanished_row_leaves_the_cursor_in_its_place() {
        let mut cursor = Cursor::default();
        cursor.go(&["a", "b", "c"], Step::Last);
        assert_eq!(cursor.current(&["a", "b"]), Some("b"));
        assert_eq!(cursor.current::<&str>(&[]), None);
    }

    #[test]
    fn marked_rows_win_over_the_one_under_the_cursor() {
        let mut cursor = Cursor::default();
        let ids = ["a", "b", "c"];
        cursor.mark(&ids);
        cursor.go(&ids, Step::Last);
        assert_eq!(cursor.chosen(&ids), ["a"]);
        cursor.marked.clear();
        assert_eq!(cursor.chosen(&ids), ["c"]);
    }
}
