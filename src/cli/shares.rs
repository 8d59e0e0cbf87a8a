//! Where the shares come from that this command gives: the terminal, unseen, or standard input, a line each.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};
use zeroize::Zeroizing;

use super::answers;
use super::follow::ask;
use crate::domain::question::Prompt;
use crate::domain::secret::Secret;

/// More than a share has, in any form, bytes.
const LONGEST: usize = 4096;

/// See the module.
pub(super) struct Shares {
    lines: Option<Arc<Mutex<mpsc::Receiver<Secret>>>>,
    spent: bool,
}

impl Shares {
    /// Begins to read standard input, unless it is a terminal.
    pub(super) fn open() -> Self {
        let lines = (!io::stdin().is_terminal()).then(|| {
            let (sender, lines) = mpsc::channel(1);
            // Not one of the runtime's threads: the program would wait for it at its end.
            std::thread::spawn(move || {
                // A stream that cannot be read has no shares; that is told when they are missed.
                let _ = read(&sender);
            });
            Arc::new(Mutex::new(lines))
        });
        Self {
            lines,
            spent: false,
        }
    }

    /// Whether they are typed.
    pub(super) fn on_terminal(&self) -> bool {
        self.lines.is_none()
    }

    /// Whether there are no more.
    pub(super) fn is_spent(&self) -> bool {
        self.spent
    }

    /// There are no more.
    pub(super) fn spend(&mut self) {
        self.spent = true;
    }

    /// The next share; `None` when there is none.
    pub(super) fn next(&self, label: String) -> Pin<Box<dyn Future<Output = Option<Secret>>>> {
        match &self.lines {
            Some(lines) => {
                let lines = Arc::clone(lines);
                Box::pin(async move { lines.lock().await.recv().await })
            }
            None => Box::pin(async move {
                let prompt = Prompt { label, echo: false };
                answers::secret(prompt).await
            }),
        }
    }
}

/// Reads line by line, byte by byte: a buffer in between would keep what nobody wipes.
fn read(to: &mpsc::Sender<Secret>) -> io::Result<()> {
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut byte = [0];
    loop {
        let ended = input.read(&mut byte)? == 0;
        if !ended && byte[0] != b'\n' {
            if line.len() < LONGEST {
                line.push(byte[0]);
            }
            continue;
        }
        let text = std::str::from_utf8(&line).unwrap_or_default().trim();
        if !text.is_empty() && !text.starts_with('#') {
            let secret = Secret::new(text.to_owned());
            if to.blocking_send(secret).is_err() {
                return Ok(());
            }
        }
        if ended {
            return Ok(());
        }
        zeroize::Zeroize::zeroize(&mut *line);
    }
}

/// Asks whether the new keys are in a safe place, until they are.
///
/// # Errors
/// When the terminal cannot be read.
pub(super) fn kept() -> io::Result<bool> {
    loop {
        let answer = ask("Type kept when they are in a safe place: ")?;
        match answer.as_str() {
            "kept" => return Ok(true),
            // The end of input: nobody is there any more.
            "" => return Ok(false),
            _ => {}
        }
    }
}
