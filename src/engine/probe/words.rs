//! Texts from a node as values: cut to a sensible length, without what does not print.

/// The longest text that is kept, characters.
const LONGEST: usize = 200;

/// A text as it may be kept; `None` when nothing is left of it.
pub(super) fn known(text: &str) -> Option<String> {
    let clean: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(LONGEST)
        .collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}

/// As [`known`], of a value that may be quoted as in os-release(5).
pub(super) fn unquoted(value: &str) -> Option<String> {
    match shlex::split(value.trim()) {
        Some(words) => known(&words.join(" ")),
        None => known(value),
    }
}

/// Seconds as `times` of a shell tells them: `1m2.34s`.
pub(super) fn shell_seconds(text: &str) -> Option<f64> {
    let (minutes, seconds) = text.strip_suffix('s')?.split_once('m')?;
    let minutes: f64 = minutes.parse().ok()?;
    let seconds: f64 = seconds.replace(',', ".").parse().ok()?;
    let all = minutes * 60.0 + seconds;
    (all.is_finite() && all >= 0.0).then_some(all)
}

/// Microseconds of a span of time as systemd writes it: `-1.203ms`, `+2min 3s`.
pub(super) fn span_us(text: &str) -> Option<i64> {
    let text = text.trim();
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut total = 0.0;
    let mut any = false;
    for word in text.split_ascii_whitespace() {
        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match &word[digits.len()..] {
            "us" => 1.0,
            "ms" => 1e3,
            "s" => 1e6,
            "min" => 60e6,
            "h" => 3600e6,
            _ => return None,
        };
        total += digits.parse::<f64>().ok()? * factor;
        any = true;
    }
    any.then(|| whole(sign * total)).flatten()
}

/// The nearest whole number, where there is one.
pub(super) fn whole(number: f64) -> Option<i64> {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "within the range that is checked"
    )]
    (number.is_finite() && number.abs() < 9e15).then(|| number.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_read_as_shells_and_systemd_write_them() {
        assert_eq!(shell_seconds("1m2.50s"), Some(62.5));
        assert_eq!(shell_seconds("0m0,02s"), Some(0.02));
        assert_eq!(shell_seconds("nonsense"), None);
        assert_eq!(span_us("-1.203ms"), Some(-1203));
        assert_eq!(span_us("+2min 3s"), Some(123_000_000));
        assert_eq!(span_us("soon"), None);
        assert_eq!(span_us(""), None);
    }

    #[test]
    fn control_characters_do_not_pass_and_emptiness_is_unknown() {
        assert_eq!(known(" pc1\u{1b}[31m\u{7} ").as_deref(), Some("pc1[31m"));
        assert_eq!(known("\u{0}"), None);
        assert_eq!(
            unquoted("\"Ubuntu 24.04\"").as_deref(),
            Some("Ubuntu 24.04")
        );
    }
}
