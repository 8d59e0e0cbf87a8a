//! Interactive terminals on hosts: what is asked for, what is typed, what comes back.
//!
//! Input and output are bounded channels. Whoever stops reading the output stops the program on the host once the buffers in
//! between are full, as a terminal does; dropping both ends the session there, as closing a terminal's window does.

use bytes::Bytes;

pub use crate::domain::terminal::TerminalSize;

/// What kind of terminal, and what runs in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminalSpec {
    /// The terminal's type as terminfo calls it, such as `xterm-256color`.
    pub term: String,
    /// How large it is to begin with.
    pub size: TerminalSize,
    /// Program and arguments; empty for the login shell.
    pub argv: Vec<String>,
}

/// From the operator's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalInput {
    /// Keys.
    Bytes(Bytes),
    /// The window has this size now.
    Size(TerminalSize),
    /// Nothing more will be typed; the program goes on.
    End,
}

/// From the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalOutput {
    /// The program has begun.
    Opened,
    /// What it writes to the terminal.
    Bytes(Bytes),
}
