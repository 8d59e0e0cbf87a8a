//! The one shape in which every list reaches a screen or `--json`.

use serde::{Deserialize, Serialize};

/// How a value is meant; screens choose colour *and* glyph from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// Nothing to say about it.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Wants attention.
    Warn,
    /// Wrong.
    Bad,
    /// In the background: absent, unknown, not applicable.
    Muted,
    /// Worth finding quickly: a leader, the current one.
    Accent,
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cell {
    /// Plain text on one line, without control characters.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
}

impl Cell {
    /// A cell with a tone.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        let text: String = text.into();
        let text = if text.chars().any(char::is_control) {
            text.chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect()
        } else {
            text
        };
        Self { text, tone }
    }

    /// A cell without emphasis.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::plain(text)
    }
}

/// One line of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Identifies the object within its table, so that a selection survives a refresh.
    pub id: String,
    /// One cell per column.
    pub cells: Vec<Cell>,
}

impl Row {
    /// A row of `cells` that stands for the object `id`.
    pub fn new(id: impl Into<String>, cells: impl IntoIterator<Item = Cell>) -> Self {
        Self {
            id: id.into(),
            cells: cells.into_iter().collect(),
        }
    }
}

/// A titled list of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// What the rows are.
    pub title: String,
    /// Column headings.
    pub columns: Vec<String>,
    /// The rows, in the order they should be shown.
    pub rows: Vec<Row>,
    /// Said instead of rows when there are none: why, and what would make some.
    pub empty: String,
}

impl Table {
    /// An empty table.
    pub fn new<const N: usize>(
        title: impl Into<String>,
        columns: [&str; N],
        empty: impl Into<String>,
    ) -> Self {
        Self {
            title: title.into(),
            columns: columns.iter().map(ToString::to_string).collect(),
            rows: Vec::new(),
            empty: empty.into(),
        }
    }

    /// Adds a row; `cells` must have one entry per column.
    pub fn push<const N: usize>(&mut self, id: impl Into<String>, cells: [Cell; N]) {
        debug_assert_eq!(N, self.columns.len(), "{}: one cell per column", self.title);
        self.rows.push(Row::new(id, cells));
    }
}
