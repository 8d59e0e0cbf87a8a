//! What a terminal shows: the escape sequences of the node's programs, turned into cells.
//!
//! Nothing of what a node writes reaches the operator's own terminal as it is: it ends here, in a grid of characters and
//! colours. What programs ask their terminal (where is the cursor? who are you?) is answered from here too.

use std::num::NonZeroU16;

use bytes::Bytes;

use crate::domain::terminal::TerminalSize;

/// Rows that can be scrolled back to.
const SCROLLBACK: usize = 2_000;
/// Answers that may wait; a program that asks without end gets no more than this at once.
const ANSWERS: usize = 4 * 1024;

/// A screen with its scrollback.
pub(super) struct Glass {
    parser: vt100::Parser<Answers>,
    size: TerminalSize,
}

impl std::fmt::Debug for Glass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Glass")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// What programs asked, answered.
#[derive(Default)]
struct Answers(Vec<u8>);

impl Answers {
    fn say(&mut self, answer: &str) {
        if self.0.len() + answer.len() <= ANSWERS {
            self.0.extend_from_slice(answer.as_bytes());
        }
    }
}

impl vt100::Callbacks for Answers {
    fn unhandled_csi(
        &mut self,
        screen: &mut vt100::Screen,
        first: Option<u8>,
        _second: Option<u8>,
        parameters: &[&[u16]],
        letter: char,
    ) {
        let parameter = parameters.first().and_then(|group| group.first()).copied();
        match (first, letter, parameter) {
            // Device status (DSR): well; the cursor's place (CPR), from 1.
            (None, 'n', Some(5)) => self.say("\x1b[0n"),
            (None, 'n', Some(6)) => {
                let (row, column) = screen.cursor_position();
                self.say(&format!("\x1b[{};{}R", row + 1, column + 1));
            }
            // Device attributes (DA): a VT100 with advanced video, and nothing more that one would have to do.
            (None, 'c', None | Some(0)) => self.say("\x1b[?1;2c"),
            _ => {}
        }
    }
}

fn cells(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap_or(NonZeroU16::MIN)
}

impl Glass {
    pub(super) fn new(size: TerminalSize) -> Self {
        Self {
            parser: vt100::Parser::new_with_callbacks(
                cells(size.rows),
                cells(size.columns),
                SCROLLBACK,
                Answers::default(),
            ),
            size,
        }
    }

    pub(super) const fn size(&self) -> TerminalSize {
        self.size
    }

    pub(super) fn resize(&mut self, size: TerminalSize) {
        self.size = size;
        self.parser.set_size(cells(size.rows), cells(size.columns));
    }

    /// Takes in what a program wrote; returns what to answer it.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Bytes {
        // What arrives while one reads further up must not move under the eyes: vt100 keeps the offset.
        self.parser.process(bytes);
        Bytes::from(std::mem::take(&mut self.parser.callbacks_mut().0))
    }

    pub(super) fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    /// Rows scrolled back.
    pub(super) fn scrolled(&self) -> usize {
        self.parser.screen().scrollback()
    }

    /// Scrolls by `rows`; negative is back.
    pub(super) fn scroll(&mut self, rows: isize) {
        let at = self.scrolled().saturating_add_signed(-rows);
        self.parser.screen_mut().set_scrollback(at);
    }

    /// To the end, where the cursor is.
    pub(super) fn unscroll(&mut self) {
        self.parser.screen_mut().set_scrollback(0);
    }

    /// As far back as there is.
    pub(super) fn top(&mut self) {
        self.parser.screen_mut().set_scrollback(SCROLLBACK);
    }
}
