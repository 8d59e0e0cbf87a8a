//! The terminal: entered once, always restored, written to only where the picture changed.
//!
//! A panic of the screens gives it back at once, before anything is said. A panic of anything else in this process, such as a
//! task of an engine within it, ends that task and not the screens: whoever is typing a share then must not find the terminal
//! echoing it. What was said of it is told when the screens are left.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use base64::Engine as _;
use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste,
    EnableFocusChange, EnableMouseCapture,
};
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::TuiError;
use crate::store;
use crate::tui::model::Model;
use crate::tui::text;

/// The longest text put on the clipboard, bytes; terminals drop longer sequences silently.
const CLIPBOARD: usize = 74_000;

/// What says something of a panic.
type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Sync + Send>;

/// Whether the terminal is in our hands; read by the panic hook.
static ENTERED: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();
/// Who draws; panics of others are told later.
static SCREENS: Mutex<Option<ThreadId>> = Mutex::new(None);
/// What is to be told when the screens are left.
static MISTAKES: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// The most of those that are kept.
const MOST: usize = 16;

/// How long the screens get to end in good order once their terminal is gone.
const GONE: Duration = Duration::from_secs(30);

/// Whether nobody is at the other end of the terminal any more.
///
/// Asked before every look at the keyboard: crossterm reads on and on from a terminal that has hung up.
pub(super) fn is_gone() -> bool {
    hung_up(Some(&Timespec::default()))
}

/// Waits at most `limit` for the terminal to hang up.
fn hung_up(limit: Option<&Timespec>) -> bool {
    let stdin = io::stdin();
    let mut watched = [PollFd::new(&stdin, PollFlags::empty())];
    // What was not asked for is all there can be: a hangup or an error.
    matches!(poll(&mut watched, limit), Ok(1..))
}

/// Ends the program when its terminal has been gone for a while. The hangup may come in the middle of a look at the
/// keyboard, which then never returns; nobody is left whom that program could serve.
fn end_without_terminal() {
    std::thread::spawn(|| {
        while !hung_up(None) {}
        std::thread::sleep(GONE);
        std::process::exit(1);
    });
}

/// The terminal in raw mode on its alternate screen. Dropping it restores everything.
pub(super) struct Terminal {
    canvas: Canvas<BufWriter<Stdout>>,
    mouse: bool,
}

impl Terminal {
    /// Takes over the terminal.
    pub(super) fn enter(mouse: bool) -> Result<Self, TuiError> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(TuiError::NotATerminal);
        }
        if std::env::var("TERM").is_ok_and(|term| term == "dumb") {
            return Err(TuiError::Dumb);
        }
        HOOK.call_once(|| {
            end_without_terminal();
            let previous = std::panic::take_hook();
            std::panic::set_hook(behind(previous));
        });
        let mut terminal = Self {
            canvas: Canvas::new(BufWriter::with_capacity(64 * 1024, io::stdout())),
            mouse,
        };
        terminal.take_over()?;
        Ok(terminal)
    }

    fn take_over(&mut self) -> io::Result<()> {
        *SCREENS.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current().id());
        enable_raw_mode()?;
        ENTERED.store(true, Ordering::SeqCst);
        execute!(
            io::stdout(),
            EnterAlternateScreen,
            EnableBracketedPaste,
            EnableFocusChange,
            cursor::Hide
        )?;
        if self.mouse {
            execute!(io::stdout(), EnableMouseCapture)?;
        }
        self.canvas.forget();
        Ok(())
    }

    /// Draws the model; writes only what differs from the picture before.
    pub(super) fn draw(&mut self, model: &Model, view: fn(&Model, &mut Buffer)) -> io::Result<()> {
        let size = size()?;
        self.canvas.draw(size, |buffer| view(model, buffer))
    }

    /// Forgets what is on the screen, so that the next picture is written whole.
    pub(super) fn forget(&mut self) {
        self.canvas.forget();
    }

    /// Switches mouse reports.
    pub(super) fn mouse(&mut self, on: bool) -> io::Result<()> {
        self.mouse = on;
        if on {
            execute!(io::stdout(), EnableMouseCapture)
        } else {
            execute!(io::stdout(), DisableMouseCapture)
        }
    }

    /// Puts text on the clipboard of the operator's own machine (OSC 52); inside tmux through its passthrough.
    pub(super) fn copy(text: &str) -> io::Result<()> {
        Self::say(&osc52(text, in_tmux()))
    }

    /// Writes a sequence that draws nothing.
    pub(super) fn say(sequence: &str) -> io::Result<()> {
        let mut out = io::stdout();
        out.write_all(sequence.as_bytes())?;
        out.flush()
    }

    /// Stops the process as `ctrl-z` does elsewhere; goes on when it is continued.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        restore();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TSTP)?;
        self.take_over()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
        tell_mistakes(&mut io::stderr());
    }
}

/// Whether the screens are shown, by another thread than this one.
fn is_elsewhere() -> bool {
    let screens = *SCREENS.lock().unwrap_or_else(PoisonError::into_inner);
    ENTERED.load(Ordering::SeqCst)
        && screens.is_some_and(|screens| screens != thread::current().id())
}

/// The hook while the screens are shown; `previous` is what says what is to be said at once.
fn behind(previous: Hook) -> Hook {
    Box::new(move |panic| {
        if is_elsewhere() {
            tell_later(store::mistake(panic));
        } else {
            restore();
            previous(panic);
        }
    })
}

/// Keeps what is said of a panic until the screens are left.
fn tell_later(text: String) {
    tracing::error!("{text}");
    let mut mistakes = MISTAKES.lock().unwrap_or_else(PoisonError::into_inner);
    if mistakes.len() < MOST {
        mistakes.push(text);
    }
}

/// Says on `out` what went wrong behind the screens.
fn tell_mistakes(out: &mut impl Write) {
    let mistakes = std::mem::take(&mut *MISTAKES.lock().unwrap_or_else(PoisonError::into_inner));
    for mistake in mistakes {
        for line in mistake.lines() {
            // Nobody is left to hear that it could not be said.
            let _ = writeln!(out, "{}", text::clean(line));
        }
    }
}

/// Columns and rows.
pub(super) fn size() -> io::Result<(u16, u16)> {
    crossterm::terminal::size()
}

/// Gives the terminal back, once. Errors are of no use here: there is nowhere to say them.
fn restore() {
    if ENTERED.swap(false, Ordering::SeqCst) {
        let mut out = io::stdout();
        let _ = execute!(
            out,
            DisableMouseCapture,
            DisableBracketedPaste,
            DisableFocusChange,
            LeaveAlternateScreen,
            cursor::Show
        );
        let _ = disable_raw_mode();
        let _ = out.flush();
    }
}

/// The sequence that sets the clipboard.
fn osc52(text: &str, tmux: bool) -> String {
    let mut end = text.len().min(CLIPBOARD);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let encoded = base64::engine::general_purpose::STANDARD.encode(&text[..end]);
    let osc = format!("\u{1b}]52;c;{encoded}\u{7}");
    if tmux { through_tmux(&osc) } else { osc }
}

/// A sequence for the terminal around tmux, which passes it on (`allow-passthrough`).
pub(super) fn through_tmux(sequence: &str) -> String {
    let doubled = sequence.replace('\u{1b}', "\u{1b}\u{1b}");
    format!("\u{1b}Ptmux;{doubled}\u{1b}\\")
}

/// Whether this runs inside tmux.
pub(super) fn in_tmux() -> bool {
    std::env::var_os("TMUX").is_some_and(|value| !value.is_empty())
}

/// Two pictures: the one on the screen and the one being drawn.
struct Canvas<W: Write> {
    backend: CrosstermBackend<W>,
    shown: Option<Buffer>,
    next: Buffer,
}

impl<W: Write> Canvas<W> {
    fn new(writer: W) -> Self {
        Self {
            backend: CrosstermBackend::new(writer),
            shown: None,
            next: Buffer::empty(Rect::ZERO),
        }
    }

    fn forget(&mut self) {
        self.shown = None;
    }

    fn draw(
        &mut self,
        (width, height): (u16, u16),
        view: impl FnOnce(&mut Buffer),
    ) -> io::Result<()> {
        let area = Rect::new(0, 0, width, height);
        self.next.resize(area);
        view(&mut self.next);
        let shown = if let Some(shown) = self.shown.take().filter(|shown| shown.area == area) {
            shown
        } else {
            queue!(
                self.backend,
                crossterm::style::ResetColor,
                crossterm::terminal::Clear(crossterm::terminal::ClearType::All)
            )?;
            Buffer::empty(area)
        };
        let changes = shown.diff(&self.next);
        // An empty list would still write the closing colours: nothing changed means nothing is written.
        if !changes.is_empty() {
            self.backend.draw(changes.into_iter())?;
            Backend::flush(&mut self.backend)?;
        }
        self.shown = Some(std::mem::replace(&mut self.next, shown));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn a_panic_behind_the_screens_is_told_later_without_secrets_and_one_of_the_screens_at_once() {
        assert!(!is_elsewhere(), "no screens are shown");
        *SCREENS.lock().unwrap() = Some(thread::current().id());
        ENTERED.store(true, Ordering::SeqCst);
        assert!(!is_elsewhere());
        assert!(thread::spawn(is_elsewhere).join().unwrap());
        ENTERED.store(false, Ordering::SeqCst);
        assert!(!thread::spawn(is_elsewhere).join().unwrap());

        // Another thread panics with a secret in its mouth while the screens are shown here.
        let redactor = store::Redactor::default();
        redactor.learn(&"correct horse battery".into()).unwrap();
        store::never_tell(redactor);
        let previous = std::panic::take_hook();
        std::panic::set_hook(behind(previous));
        ENTERED.store(true, Ordering::SeqCst);
        let quoting = || panic!("no such user: correct horse battery");
        thread::spawn(quoting).join().unwrap_err();
        ENTERED.store(false, Ordering::SeqCst);
        drop(std::panic::take_hook());

        for number in 0..2 * MOST {
            tell_later(number.to_string());
        }
        assert_eq!(MISTAKES.lock().unwrap().len(), MOST);
        let mut told = Vec::new();
        tell_mistakes(&mut told);
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains("no such user: [redacted]"), "{told}");
        assert!(!told.contains("correct horse battery"), "{told}");
        assert_eq!(MISTAKES.lock().unwrap().len(), 0);
    }

    /// Counts what is written.
    #[derive(Clone, Default)]
    struct Tap(std::rc::Rc<std::cell::Cell<usize>>);

    impl Write for Tap {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.set(self.0.get() + bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn canvas() -> (Canvas<Tap>, Tap) {
        let tap = Tap::default();
        (Canvas::new(tap.clone()), tap)
    }

    fn written((canvas, tap): &mut (Canvas<Tap>, Tap), text: &str) -> usize {
        tap.0.set(0);
        canvas
            .draw((80, 24), |buffer| {
                buffer.reset();
                buffer.set_string(3, 3, text, Style::new());
            })
            .unwrap();
        tap.0.get()
    }

    #[test]
    fn nothing_is_written_when_nothing_changed() {
        let mut canvas = canvas();
        assert!(written(&mut canvas, "calm") > 0);
        assert_eq!(written(&mut canvas, "calm"), 0);
    }

    #[test]
    fn one_changed_cell_costs_less_than_a_hundred_bytes() {
        let mut canvas = canvas();
        written(&mut canvas, "12s ago");
        let bytes = written(&mut canvas, "13s ago");
        assert!((1..100).contains(&bytes), "{bytes}");
    }

    #[test]
    fn a_resize_draws_everything_anew() {
        let mut canvas = canvas();
        written(&mut canvas, "calm");
        canvas.1.0.set(0);
        canvas
            .0
            .draw((100, 30), |buffer| {
                buffer.set_string(0, 0, "x", Style::new());
            })
            .unwrap();
        assert!(canvas.1.0.get() > 0);
    }

    #[test]
    fn the_clipboard_sequence_passes_through_tmux() {
        assert_eq!(osc52("pc1", false), "\u{1b}]52;c;cGMx\u{7}");
        assert!(osc52("pc1", true).starts_with("\u{1b}Ptmux;\u{1b}\u{1b}]52"));
    }
}
