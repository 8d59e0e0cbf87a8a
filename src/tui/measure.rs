//! Numbers as people read them: ages, durations, sizes, percentages.

use jiff::Timestamp;

/// `12s`, `3m`, `2h`, `5d`: the coarsest unit that says enough.
pub(crate) fn span(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..=59 => format!("{s}s"),
        s @ 60..=3599 => format!("{}m", s / 60),
        s @ 3600..=86_399 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    }
}

/// How long ago `at` was, as [`span`].
pub(crate) fn age(now: Timestamp, at: Timestamp) -> String {
    span(now.duration_since(at).as_secs())
}

/// `0.4s`, `12s`, `1m12s`, `1h02m`: how long something took or has been going.
pub(crate) fn length(from: Timestamp, to: Timestamp) -> String {
    let millis = to.duration_since(from).as_millis().max(0);
    let seconds = millis / 1000;
    match seconds {
        0..=9 => format!("{}.{}s", seconds, millis % 1000 / 100),
        10..=59 => format!("{seconds}s"),
        60..=3599 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `3d 4h`, `4h 12m`, `12m`: time since boot; `-` for 0, which a node without `/proc` gives.
pub(crate) fn uptime(seconds: u64) -> String {
    if seconds == 0 {
        return "-".into();
    }
    let (days, hours, minutes) = (
        seconds / 86_400,
        seconds % 86_400 / 3600,
        seconds % 3600 / 60,
    );
    match (days, hours) {
        (0, 0) => format!("{minutes}m"),
        (0, _) => format!("{hours}h {minutes:02}m"),
        _ => format!("{days}d {hours:02}h"),
    }
}

/// `7.8G`, `512M`: bytes in powers of 1024.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if value < 10.0 && unit != "B" {
        format!("{value:.1}{unit}")
    } else {
        format!("{value:.0}{unit}")
    }
}

/// `43%`.
pub(crate) fn percent(value: f32) -> String {
    format!("{value:.0}%")
}

/// `12ms`, `1.4s`.
pub(crate) fn latency(millis: u32) -> String {
    if millis < 1000 {
        format!("{millis}ms")
    } else {
        format!("{:.1}s", f64::from(millis) / 1000.0)
    }
}

/// The time of day in UTC, `14:03:22`.
pub(crate) fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

/// Date and time in UTC, `2026-03-01 14:03:22 UTC`.
pub(crate) fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `1 node`, `3 nodes`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_two_figures_where_they_matter() {
        let start = Timestamp::UNIX_EPOCH;
        let after = |millis| length(start, start + jiff::SignedDuration::from_millis(millis));
        assert_eq!(
            [
                after(420),
                after(12_300),
                after(72_000),
                after(3_720_000),
                after(-5)
            ],
            ["0.4s", "12s", "1m12s", "1h02m", "0.0s"]
        );
    }

    #[test]
    fn sizes_are_in_powers_of_1024() {
        assert_eq!(
            [bytes(512), bytes(1536), bytes(8 << 30), bytes(64 << 30)],
            ["512B", "1.5K", "8.0G", "64G"]
        );
    }

    #[test]
    fn an_age_in_the_future_is_zero() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(age(now, now + jiff::SignedDuration::from_secs(9)), "0s");
    }
}
