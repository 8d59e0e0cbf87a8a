//! Progress of a transfer as lines of a log: few enough to read, often enough to see that it moves.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Log;
use crate::domain::run::Stream;

/// The shortest time between two lines.
const EVERY: Duration = Duration::from_secs(1);

/// Turns a stream of byte counts into a few lines: at most one per second, and none for less than a tenth more.
pub(crate) struct Meter {
    last: Mutex<Option<(Instant, u64)>>,
    lines: watch::Sender<String>,
    verb: &'static str,
}

/// The lines of a [`Meter`].
pub(crate) struct Reports(watch::Receiver<String>);

impl Meter {
    /// A meter whose lines begin with `verb`.
    pub(crate) fn new(verb: &'static str) -> (Self, Reports) {
        let (lines, reports) = watch::channel(String::new());
        let meter = Self {
            last: Mutex::new(None),
            lines,
            verb,
        };
        (meter, Reports(reports))
    }

    /// So much is done of so much in all, bytes.
    pub(crate) fn update(&self, done: u64, total: u64) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let tenth = (total / 10).max(1);
        let worth_a_line = match *last {
            None => false,
            Some((at, before)) => {
                done < total && at.elapsed() >= EVERY && done - before.min(done) >= tenth
            }
        };
        if last.is_none() || worth_a_line {
            *last = Some((Instant::now(), done));
        }
        if worth_a_line || done == total {
            let percent = (done * 100).checked_div(total).unwrap_or(100);
            self.tell(format!(
                "{} {} of {} ({percent} %)",
                self.verb,
                size(done),
                size(total)
            ));
        }
    }

    /// So much is done, bytes, of nobody knows how much.
    pub(crate) fn count(&self, done: u64) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = last.get_or_insert_with(|| (Instant::now(), 0));
        if begun.0.elapsed() >= EVERY {
            *last = Some((Instant::now(), done));
            self.tell(format!("{} {} so far", self.verb, size(done)));
        }
    }

    fn tell(&self, line: String) {
        // The last line wins: a reader who is slower than the network needs no others.
        self.lines.send_replace(line);
    }
}

impl Reports {
    /// Waits for `work` and logs the meter's lines meanwhile.
    pub(crate) async fn tell_while<T>(mut self, work: impl Future<Output = T>, log: &dyn Log) -> T {
        tokio::pin!(work);
        let mut told = String::new();
        let result = loop {
            tokio::select! {
                result = &mut work => break result,
                Ok(()) = self.0.changed() => {
                    told.clone_from(&self.0.borrow_and_update());
                    log.line(Stream::Note, told.clone()).await;
                }
            }
        };
        let last = self.0.borrow_and_update().clone();
        if last != told {
            log.line(Stream::Note, last).await;
        }
        result
    }

    /// The newest line.
    #[cfg(test)]
    pub(crate) fn newest(&mut self) -> String {
        self.0.borrow_and_update().clone()
    }
}

/// A size for eyes, such as `13.8 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / MIB),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_tells_the_end_and_not_every_piece() {
        let (meter, mut reports) = Meter::new("pushed");
        for done in 0..=100 {
            meter.update(done * 1024 * 1024, 100 * 1024 * 1024);
        }
        assert_eq!(reports.newest(), "pushed 100.0 MiB of 100.0 MiB (100 %)");
        let (meter, mut reports) = Meter::new("pushed");
        meter.update(0, 0);
        assert_eq!(reports.newest(), "pushed 0 B of 0 B (100 %)");
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_no_known_end_is_counted_once_a_second() {
        let (meter, mut reports) = Meter::new("received");
        meter.count(10);
        assert_eq!(reports.newest(), "");
        tokio::time::advance(EVERY).await;
        meter.count(2048);
        assert_eq!(reports.newest(), "received 2.0 KiB so far");
        meter.count(4096);
        assert_eq!(reports.newest(), "received 2.0 KiB so far");
    }
}
