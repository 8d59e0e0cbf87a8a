//! What a task works on in its turn, while a program of its own does the work: Terraform's resources, or Ansible's tasks by
//! host. A row each, a column per host where there are hosts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::run::TaskKey;
use super::words;

/// The most rows of a matrix that are kept; rows that ended well make room first.
pub const ROWS: usize = 400;

words! {
    /// How a cell stands.
    pub enum Mark {
        /// There is nothing to do here.
        None = "none",
        /// Waits for its turn.
        Waiting = "waiting",
        /// Being worked on.
        Running = "running",
        /// Ended well; nothing had to change.
        Ok = "ok",
        /// Ended well; something was changed, or would be.
        Changed = "changed",
        /// Not needed.
        Skipped = "skipped",
        /// Ended badly.
        Failed = "failed",
        /// The host did not answer.
        Unreachable = "unreachable",
    }
}

impl Mark {
    const fn code(self) -> char {
        match self {
            Self::None => ' ',
            Self::Waiting => '.',
            Self::Running => '>',
            Self::Ok => 'o',
            Self::Changed => 'c',
            Self::Skipped => 's',
            Self::Failed => 'f',
            Self::Unreachable => 'u',
        }
    }

    fn of_code(code: char) -> Option<Self> {
        Self::ALL.iter().copied().find(|mark| mark.code() == code)
    }

    /// Whether nothing more happens here.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }

    /// How bad it is: of several marks the worst stands for all.
    pub const fn weight(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Skipped => 1,
            Self::Waiting => 2,
            Self::Ok => 3,
            Self::Changed => 4,
            Self::Running => 5,
            Self::Unreachable => 6,
            Self::Failed => 7,
        }
    }
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatrixRow {
    /// What is worked on: a resource's address, a task's name.
    pub name: String,
    /// More about it, such as `replace: triggers_replace changed`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// How it stands: a mark for each column, or a single one where there are none.
    #[serde(with = "codes")]
    pub marks: Vec<Mark>,
    /// When it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl MatrixRow {
    /// The worst of its marks.
    pub fn worst(&self) -> Mark {
        let marks = self.marks.iter().copied();
        marks.max_by_key(|mark| mark.weight()).unwrap_or(Mark::None)
    }
}

/// Rows, columns and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matrix {
    /// What it shows, as a heading.
    pub title: String,
    /// The hosts; none where rows are not by host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// In the order of the work.
    pub rows: Vec<MatrixRow>,
    /// Rows that ended well and made room.
    #[serde(default, skip_serializing_if = "is_none")]
    pub dropped: usize,
    /// What came of it, a line each: for the report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub summary: Vec<String>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for this signature"
)]
const fn is_none(count: &usize) -> bool {
    *count == 0
}

impl Matrix {
    /// Keeps the number of rows within [`ROWS`]: the first that ended well go.
    pub fn bound(&mut self) {
        while self.rows.len() > ROWS {
            let well = |row: &MatrixRow| row.worst().is_final() && row.worst().weight() < 6;
            let at = self.rows.iter().position(well).unwrap_or(0);
            self.rows.remove(at);
            self.dropped += 1;
        }
    }
}

/// The matrix of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskMatrix {
    /// The task.
    pub task: TaskKey,
    /// What it shows.
    pub matrix: Matrix,
}

/// Marks as one character each: a matrix of 200 hosts and 400 tasks stays under 100 KB.
mod codes {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Mark;

    pub(super) fn serialize<S: Serializer>(marks: &[Mark], out: S) -> Result<S::Ok, S::Error> {
        let text: String = marks.iter().map(|mark| mark.code()).collect();
        out.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Mark>, D::Error> {
        let text = String::deserialize(from)?;
        let read = |code: char| {
            Mark::of_code(code).ok_or_else(|| D::Error::custom(format!("{code:?} is no mark")))
        };
        text.chars().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, mark: Mark) -> MatrixRow {
        MatrixRow {
            name: name.into(),
            note: String::new(),
            marks: vec![mark],
            since: None,
            until: None,
        }
    }

    #[test]
    fn marks_are_kept_as_one_character_each() {
        let row = MatrixRow {
            marks: Mark::ALL.to_vec(),
            ..row("install", Mark::Ok)
        };
        let text = serde_json::to_string(&row).unwrap();
        assert!(text.contains(r#""marks":" .>ocsfu""#), "{text}");
        assert_eq!(serde_json::from_str::<MatrixRow>(&text).unwrap(), row);
    }

    #[test]
    fn rows_that_ended_well_make_room_and_those_that_did_not_stay() {
        let mut matrix = Matrix::default();
        matrix.rows.push(row("broken", Mark::Failed));
        matrix
            .rows
            .extend((0..ROWS + 9).map(|at| row(&at.to_string(), Mark::Ok)));
        matrix.bound();
        assert_eq!((matrix.rows.len(), matrix.dropped), (ROWS, 10));
        assert_eq!(matrix.rows[0].name, "broken");
        assert_eq!(matrix.rows[1].name, "10");
    }
}
