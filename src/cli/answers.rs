//! Questions that the engine asks while a command runs, answered on the terminal.
//!
//! Only a command that has a terminal says that it answers; without one the engine refuses what would have been asked and
//! says what that was. What is typed is not shown unless the asker wants it shown.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::output;
use crate::client::{Client, Event, Request, Response, Subscription};
use crate::domain::question::{OpenQuestion, Prompt, QuestionAnswer};
use crate::domain::secret::Secret;

/// More than anybody types, bytes.
const LONGEST: usize = 4096;

/// Answers questions until it is dropped.
pub(super) struct Answering(JoinHandle<()>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins to answer, where there is somebody before a terminal.
pub(super) async fn on_terminal(client: &Client) -> Option<Answering> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    let events = client.subscribe();
    let waiting = attend(client).await?;
    Some(Answering(tokio::spawn(answer_all(
        client.clone(),
        events,
        waiting,
    ))))
}

/// Says that this client answers; what waits already.
async fn attend(client: &Client) -> Option<VecDeque<OpenQuestion>> {
    match client.call(Request::Attend).await {
        Ok(Response::Questions(waiting)) => Some(waiting.into()),
        _ => None,
    }
}

async fn answer_all(client: Client, mut events: Subscription, mut waiting: VecDeque<OpenQuestion>) {
    loop {
        while let Some(question) = waiting.pop_front() {
            let id = question.id;
            match put(question, &mut events, &mut waiting).await {
                Put::Answered(answer) => {
                    if let Err(refusal) = client.call(Request::Answer { id, answer }).await {
                        output::remark(&output::plain(&refusal.message));
                    }
                }
                Put::Settled => {}
                Put::Anew => waiting = attend(&client).await.unwrap_or_default(),
                Put::Over => return,
            }
        }
        match events.next().await {
            Some(Event::Question(question)) => waiting.push_back(*question),
            // The engine may be another one now, which does not know us yet.
            Some(Event::Missed(_)) => waiting = attend(&client).await.unwrap_or_default(),
            Some(_) => {}
            None => return,
        }
    }
}

/// What became of a question that was put.
enum Put {
    Answered(QuestionAnswer),
    /// By others, or it is not asked any more.
    Settled,
    /// It is not known what is asked now.
    Anew,
    /// Nobody will ask any more.
    Over,
}

/// Puts a question to whoever sits there.
async fn put(
    open: OpenQuestion,
    events: &mut Subscription,
    waiting: &mut VecDeque<OpenQuestion>,
) -> Put {
    let id = open.id;
    output::remark(&output::plain(&open.question.title));
    for line in &open.question.lines {
        output::remark(&format!("  {}", output::plain(line)));
    }
    let Ok(quiet) = Quiet::begin() else {
        return Put::Settled;
    };
    let typed = quiet.ask(open.question.prompts.clone());
    tokio::pin!(typed);
    loop {
        tokio::select! {
            answer = &mut typed => return Put::Answered(answer),
            event = events.next() => match event {
                Some(Event::Settled { question }) if question == id => {
                    output::remark("\n(answered elsewhere, or not asked any more)");
                    return Put::Settled;
                }
                Some(Event::Question(question)) => waiting.push_back(*question),
                // Whoever asked is gone, and what else was asked with it.
                Some(Event::Connection(_)) => {
                    output::remark("\n(not asked any more: the engine is gone)");
                    waiting.clear();
                    return Put::Settled;
                }
                Some(Event::Missed(_)) => {
                    output::remark("\n(asked again, if it still is)");
                    return Put::Anew;
                }
                Some(_) => {}
                None => return Put::Over,
            },
        }
    }
}

/// Asks for one secret on the terminal; `None` when it was refused, or nothing was typed. Dropped, it gives the terminal back.
pub(super) async fn secret(prompt: Prompt) -> Option<Secret> {
    let quiet = Quiet::begin().ok()?;
    match quiet.ask(vec![prompt]).await {
        QuestionAnswer::Filled(mut filled) => {
            filled.pop().filter(|secret| !secret.expose().is_empty())
        }
        QuestionAnswer::Yes | QuestionAnswer::No => None,
    }
}

/// A terminal that does not show what is typed; as it was when dropped.
struct Quiet {
    terminal: File,
    before: Termios,
    over: Arc<AtomicBool>,
}

impl Quiet {
    fn begin() -> std::io::Result<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut quiet = before.clone();
        // Also no signals: ctrl-c is "no" here, and would otherwise end us with the terminal dumb.
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        // A read returns after a while, so that nobody waits for a key that does not come.
        quiet.special_codes[SpecialCodeIndex::VMIN] = 0;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 2;
        tcsetattr(&terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self {
            terminal,
            before,
            over: Arc::default(),
        })
    }

    /// Asks each prompt in turn; without prompts for a yes.
    async fn ask(&self, prompts: Vec<Prompt>) -> QuestionAnswer {
        let Ok(terminal) = self.terminal.try_clone() else {
            return QuestionAnswer::No;
        };
        let over = Arc::clone(&self.over);
        let (sender, typed) = oneshot::channel();
        // Not one of the runtime's threads: the program would wait for it at its end.
        std::thread::spawn(move || {
            let _ = sender.send(converse(terminal, &prompts, &over));
        });
        typed.await.unwrap_or(QuestionAnswer::No)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

fn converse(mut terminal: File, prompts: &[Prompt], over: &AtomicBool) -> QuestionAnswer {
    if prompts.is_empty() {
        let yes = Prompt {
            label: "Type yes to accept".into(),
            echo: true,
        };
        return match line(&mut terminal, &yes, over) {
            Some(typed) if typed.trim() == "yes" => QuestionAnswer::Yes,
            _ => QuestionAnswer::No,
        };
    }
    let mut filled = Vec::new();
    for prompt in prompts {
        match line(&mut terminal, prompt, over) {
            Some(mut typed) => filled.push(Secret::new(std::mem::take(&mut *typed))),
            None => return QuestionAnswer::No,
        }
    }
    QuestionAnswer::Filled(filled)
}

/// One line from the terminal; `None` when it was refused with ctrl-c or ctrl-d, or is not wanted any more.
fn line(terminal: &mut File, prompt: &Prompt, over: &AtomicBool) -> Option<Zeroizing<String>> {
    let label = output::plain(&prompt.label);
    write!(terminal, "{label} (ctrl-c: no): ").ok()?;
    let mut typed = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut byte = [0];
    let ended = loop {
        if over.load(Ordering::Relaxed) {
            break false;
        }
        match terminal.read(&mut byte) {
            Ok(0) => {}
            Ok(_) => match byte[0] {
                b'\r' | b'\n' => break true,
                // ctrl-c, ctrl-d, escape
                3 | 4 | 27 => break false,
                8 | 127 => {
                    typed.pop();
                }
                // ctrl-u
                21 => typed.clear(),
                byte if typed.len() < LONGEST => typed.push(byte),
                _ => {}
            },
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break false,
        }
        if prompt.echo {
            let shown = output::plain(&String::from_utf8_lossy(&typed));
            let _ = write!(terminal, "\r\x1b[K{label} (ctrl-c: no): {shown}");
        }
    };
    let _ = writeln!(terminal);
    let text = String::from_utf8(std::mem::take(&mut *typed)).ok()?;
    ended.then(|| Zeroizing::new(text))
}
