//! Exit statuses: documented, so that scripts can tell one end from another.

use std::fmt;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Success,
    /// It ran, and the answer is bad: a run failed, a check found mistakes, a node cannot be reached.
    Failed,
    /// The workspace, the state directory or the terminal cannot be used; nothing was begun.
    Unusable,
    /// Refused at the gate: read-only, not confirmed, or another run holds the environment.
    Refused,
    /// What is there differs from what is declared.
    Drifted,
    /// Stopped by the operator.
    Cancelled,
    /// The status of a program on a node, handed on.
    Passed(u8),
}

impl Exit {
    /// The process's exit status.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            // 2 is the command line parser's: wrong usage.
            Self::Unusable => 3,
            Self::Refused => 4,
            Self::Drifted => 5,
            Self::Cancelled => 130,
            Self::Passed(status) => status,
        }
    }
}

/// For `--help`.
pub(super) const HELP: &str = "\
Exit status:
  0    done
  1    it ran, and the answer is bad: a run failed, a check found mistakes, something is down
  2    wrong usage
  3    the workspace, the state directory or the terminal cannot be used; nothing was begun
  4    refused: read-only, not confirmed, or another run holds the environment
  5    `drift` only: something differs from what is declared
  130  stopped by the operator
`shell` hands on the status of the program on the node.

QUARTERDECK_LOG=debug writes diagnostics of Quarterdeck itself to quarterdeck.log in the state directory.

Begin with `quarterdeck lab`: a practice cluster in one command.";

/// An error that knows its exit status.
#[derive(Debug)]
pub(super) struct Ended {
    /// The exit status.
    pub(super) exit: Exit,
    message: String,
    /// The same in colours of our own, for a terminal.
    pub(super) coloured: Option<String>,
}

impl Ended {
    /// An end with a message for the operator.
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            coloured: None,
        }
    }

    /// The same, as a terminal may show it: `text` has no control characters but those of its colours.
    pub(super) fn in_colours(self, text: String) -> Self {
        Self {
            coloured: Some(text),
            ..self
        }
    }

    /// Nothing could be begun.
    pub(super) fn unusable(reason: impl fmt::Display) -> Self {
        Self::new(Exit::Unusable, reason.to_string())
    }

    /// The gate stayed shut.
    pub(super) fn refused(reason: impl fmt::Display) -> Self {
        Self::new(Exit::Refused, reason.to_string())
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Ended {}
