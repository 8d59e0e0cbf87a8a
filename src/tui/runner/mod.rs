//! The loop: keys, events, answers and the clock in; pictures and effects out.
//!
//! Keys come first: whatever floods in, a key waits for at most one bounded batch. Pictures are drawn at most sixty times
//! a second and only when something happened; what did not change is not written.

mod attention;
mod bootstrap;
mod effects;
mod talks;
mod terminal;

use std::time::Duration;

use crossterm::event::{Event as TerminalEvent, EventStream, MouseEventKind};
use futures::{FutureExt, StreamExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::message::{Answer, Effect, Message};
use super::model::{Farewell, Model, Setup};
use super::options::Options;
use super::{update, view};
use crate::client::{Client, Subscription};
use crate::clock::SharedClock;
use crate::fault;

pub use effects::answer;

/// The shortest time between two pictures.
const FRAME: Duration = Duration::from_millis(16);
/// Events and answers taken in between two looks at the keyboard.
const BATCH: usize = 256;
/// Answers that may wait.
const ANSWERS: usize = 256;
/// Rows per notch of the wheel.
const NOTCH: isize = 3;

/// Why the screens could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// Standard input or output is not a terminal.
    #[error(
        "this is not a terminal; the screens need one, the other commands do not (see quarterdeck --help)"
    )]
    NotATerminal,
    /// The terminal cannot place a cursor.
    #[error(
        "TERM=dumb cannot show screens; set TERM to what your terminal is (such as xterm-256color), or use the other commands"
    )]
    Dumb,
    /// The terminal went away or refused.
    #[error("the terminal failed: {0}")]
    Terminal(#[from] std::io::Error),
}

/// Shows the screens until the operator leaves; the terminal is then as it was.
///
/// # Errors
/// [`TuiError`] when there is no usable terminal or it goes away.
pub async fn run(
    client: Client,
    options: Options,
    clock: SharedClock,
) -> Result<Farewell, TuiError> {
    let mut terminal = terminal::Terminal::enter(options.mouse)?;
    let model = Model::new(Setup {
        theme: options.theme,
        ascii: options.ascii,
        mouse: options.mouse,
        place: options.place.clone(),
        environment: options.environment.clone(),
        extra: options
            .extras
            .as_ref()
            .map(|extras| extras.list())
            .unwrap_or_default(),
        runs_outlive_us: options.runs_outlive_us,
        beginning: options.ground.as_ref().map(|ground| ground.beginning()),
        now: clock.now(),
        size: terminal::size()?,
    });
    let (sender, answers) = mpsc::channel(ANSWERS);
    let events = client.subscribe();
    let mut session = Session {
        attention: attention::Attention::new(options.signal, terminal::in_tmux()),
        performer: effects::Performer::new(client, options, sender),
        model,
        clock,
        dirty: true,
        leaving: false,
    };
    let opening = session.model.opening();
    session.perform(opening, &mut terminal)?;
    let outcome = session.go(&mut terminal, events, answers).await;
    session.performer.stop().await;
    drop(terminal);
    outcome?;
    Ok(session.model.farewell())
}

/// A running session.
struct Session {
    attention: attention::Attention,
    performer: effects::Performer,
    model: Model,
    clock: SharedClock,
    /// Something happened since the last picture.
    dirty: bool,
    leaving: bool,
}

impl Session {
    async fn go(
        &mut self,
        terminal: &mut terminal::Terminal,
        mut events: Subscription,
        mut answers: mpsc::Receiver<Answer>,
    ) -> Result<(), TuiError> {
        let mut keys = EventStream::new();
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut hangup = signal(SignalKind::hangup())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mistake = fault::on_demand();
        tokio::pin!(mistake);
        let mut connected = true;
        let mut drawn: Option<Instant> = None;
        while !self.leaving && !terminal::is_gone() {
            let due = drawn.map_or_else(Instant::now, |drawn| drawn + FRAME);
            if self.dirty && Instant::now() >= due {
                terminal.draw(&self.model, view)?;
                self.dirty = false;
                drawn = Some(Instant::now());
            }
            let due = drawn.map_or_else(Instant::now, |drawn| drawn + FRAME);
            let message = tokio::select! {
                biased;
                key = keys.next() => match key {
                    Some(key) => self.translate(&key?),
                    // The keyboard is gone, and with it the operator.
                    None => Some(Message::Leave),
                },
                () = &mut mistake => None,
                _ = hangup.recv() => Some(Message::Leave),
                _ = terminate.recv() => Some(Message::Leave),
                _ = interrupt.recv() => Some(Message::Leave),
                () = tokio::time::sleep_until(due), if self.dirty => None,
                Some(answer) = answers.recv() => Some(Message::Answer(Box::new(answer))),
                event = events.next(), if connected => {
                    connected = event.is_some();
                    Some(event.map_or(Message::Gone, Message::Event))
                }
                _ = ticks.tick() => Some(Message::Tick(self.clock.now())),
            };
            if let Some(message) = message {
                self.take(message, terminal)?;
            }
            self.drain(
                terminal,
                &mut keys,
                &mut answers,
                connected.then_some(&mut events),
            )?;
        }
        Ok(())
    }

    /// Takes in what is there already: all keys, and a bounded number of everything else.
    fn drain(
        &mut self,
        terminal: &mut terminal::Terminal,
        keys: &mut EventStream,
        answers: &mut mpsc::Receiver<Answer>,
        events: Option<&mut Subscription>,
    ) -> Result<(), TuiError> {
        while !terminal::is_gone()
            && let Some(Some(key)) = keys.next().now_or_never()
        {
            if let Some(message) = self.translate(&key?) {
                self.take(message, terminal)?;
            }
        }
        for _ in 0..BATCH {
            let Ok(answer) = answers.try_recv() else {
                break;
            };
            self.take(Message::Answer(Box::new(answer)), terminal)?;
        }
        if let Some(events) = events {
            for _ in 0..BATCH {
                let Some(Some(event)) = events.next().now_or_never() else {
                    break;
                };
                self.take(Message::Event(event), terminal)?;
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        message: Message,
        terminal: &mut terminal::Terminal,
    ) -> Result<(), TuiError> {
        self.dirty = true;
        if let Message::Event(event) = &message
            && let Some(call) = self.attention.call(event, self.model.started())
        {
            terminal::Terminal::say(&call)?;
        }
        let effects = update(&mut self.model, message);
        self.perform(effects, terminal)
    }

    fn perform(
        &mut self,
        effects: Vec<Effect>,
        terminal: &mut terminal::Terminal,
    ) -> Result<(), TuiError> {
        for effect in effects {
            match effect {
                Effect::Quit => self.leaving = true,
                Effect::Copy(text) => terminal::Terminal::copy(&text)?,
                Effect::Mouse(on) => terminal.mouse(on)?,
                Effect::Repaint => terminal.forget(),
                Effect::Suspend => {
                    terminal.suspend()?;
                    let (width, height) = terminal::size()?;
                    update(&mut self.model, Message::Resize(width, height));
                    update(&mut self.model, Message::Tick(self.clock.now()));
                }
                other => self.performer.perform(other),
            }
        }
        Ok(())
    }

    /// What the terminal reports, as a message.
    fn translate(&mut self, event: &TerminalEvent) -> Option<Message> {
        match event {
            TerminalEvent::Key(key) => Some(Message::Key(*key)),
            TerminalEvent::Paste(text) => Some(Message::Paste(text.clone())),
            TerminalEvent::Resize(width, height) => Some(Message::Resize(*width, *height)),
            TerminalEvent::Mouse(mouse) => match mouse.kind {
                MouseEventKind::ScrollUp => Some(Message::Wheel(-NOTCH)),
                MouseEventKind::ScrollDown => Some(Message::Wheel(NOTCH)),
                _ => None,
            },
            TerminalEvent::FocusGained | TerminalEvent::FocusLost => {
                self.attention.focus(*event == TerminalEvent::FocusGained);
                None
            }
        }
    }
}
