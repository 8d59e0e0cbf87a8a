//! Blocking queries, as Consul and Nomad answer them: `?index=` says what the client has seen, the answer comes when there is
//! something newer or when `?wait=` is over.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::http::Params;
use super::sim::{Machine, Sim};

/// Blocking queries wait this long unless told otherwise.
const WAIT_DEFAULT: Duration = Duration::from_secs(300);
/// … and never longer than this.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blocking {
    index: u64,
    deadline: Instant,
}

impl Blocking {
    /// What `params` ask for.
    ///
    /// # Errors
    /// The sentence with which both systems refuse a bad parameter (400).
    pub(crate) fn parse(params: &Params) -> Result<Self, &'static str> {
        let index = params.number("index", 0).map_err(|_| "Invalid index")?;
        let wait = match params.get("wait") {
            None | Some("") => WAIT_DEFAULT,
            Some(text) => go_duration(text).ok_or("Invalid wait time")?,
        };
        let wait = if wait.is_zero() { WAIT_DEFAULT } else { wait };
        Ok(Self {
            index,
            deadline: Instant::now() + wait.min(WAIT_MAX),
        })
    }

    /// Reads until the index that comes with the answer is newer than what the client has seen, or until the wait is over.
    ///
    /// # Errors
    /// Those of `read`, at once.
    pub(crate) async fn read<M: Machine, T, E>(
        self,
        sim: &Sim<M>,
        read: impl Fn(&mut M, Timestamp) -> Result<(u64, T), E>,
    ) -> Result<(u64, T), E> {
        let mut changes = sim.changes();
        loop {
            changes.mark_unchanged();
            let (index, answer) = sim.with(&read)?;
            if self.index == 0 || index > self.index || Instant::now() >= self.deadline {
                return Ok((index, answer));
            }
            tokio::select! {
                // The sender lives in `sim`, which outlives this loop.
                _ = changes.changed() => {}
                () = tokio::time::sleep_until(self.deadline) => {}
            }
        }
    }
}

/// A duration as Go writes it: numbers with units, such as `1m30s` or `1.5h`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let amount: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        rest = &rest[end..];
        total = total.checked_add(Duration::try_from_secs_f64(amount * unit).ok()?)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read_and_nonsense_is_refused() {
        assert_eq!(go_duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(go_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(go_duration("1.5h"), Some(Duration::from_secs(5400)));
        for bad in ["", "5", "m", "5 s", "1d", "-5s", "1e400h"] {
            assert_eq!(go_duration(bad), None, "{bad:?}");
        }
    }
}
