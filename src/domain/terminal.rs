//! Terminals: how large one is.

use serde::{Deserialize, Serialize};

/// The size of a terminal in character cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Cells in a row, at least 1.
    pub columns: u16,
    /// Rows, at least 1.
    pub rows: u16,
}

impl TerminalSize {
    /// A size; nothing is smaller than one cell.
    pub fn new(columns: u16, rows: u16) -> Self {
        Self {
            columns: columns.max(1),
            rows: rows.max(1),
        }
    }
}

impl Default for TerminalSize {
    /// 80 columns and 24 rows, as terminals have had since the VT100.
    fn default() -> Self {
        Self::new(80, 24)
    }
}
