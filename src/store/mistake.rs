//! What is said of a panic in this process. A message may quote what it was about, so everything that an engine of this
//! process knows to be secret is taken out of it, whoever says it: the command, the engine's log, or the screens.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::sync::{Mutex, PoisonError};

use super::Redactor;

/// Of every engine that this process has had: what was secret stays secret when its engine has ended.
static KNOWN: Mutex<Vec<Redactor>> = Mutex::new(Vec::new());

/// Lets nothing be said of a panic that `redactor` knows now or learns later.
pub fn never_tell(redactor: Redactor) {
    KNOWN
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(redactor);
}

/// What is said of `panic`, for its hook: message and place, and the way there where `RUST_BACKTRACE` asks for it.
pub fn mistake(panic: &PanicHookInfo<'_>) -> String {
    let trace = Backtrace::capture();
    let trace = match trace.status() {
        BacktraceStatus::Captured => format!("\n{trace}"),
        _ => String::new(),
    };
    clean(format!("a mistake in Quarterdeck itself: {panic}{trace}"))
}

fn clean(text: String) -> String {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known
        .iter()
        .fold(text, |text, redactor| redactor.cleaned(text))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    #[test]
    fn what_any_engine_of_this_process_knows_is_not_said_whenever_it_was_learned() {
        let engines = [Redactor::default(), Redactor::default()];
        for engine in &engines {
            never_tell(engine.clone());
        }
        for (engine, secret) in engines
            .iter()
            .zip(["staple-of-the-first", "battery-of-the-2nd"])
        {
            engine.learn(&SecretString::from(secret)).unwrap();
        }
        let text = "no lease for staple-of-the-first, nor for battery-of-the-2nd";
        assert_eq!(
            clean(text.into()),
            "no lease for [redacted], nor for [redacted]"
        );
    }
}
