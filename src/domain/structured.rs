//! Log lines that carry more than a sentence: their level, and the columns of JSON, logfmt and hclog lines.
//!
//! The level is found once, when a line is stored, so it is looked for cheaply: in the beginning of the line, without
//! parsing it. Columns are found when a line is shown.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use super::words;

words! {
    /// How much a line matters, least first.
    pub enum Level {
        /// For those who look for a mistake in the program.
        Debug = "debug",
        /// What is going on.
        Info = "info",
        /// Something is not as it should be.
        Warn = "warn",
        /// Something failed.
        Error = "error",
    }
}

/// Bytes at the beginning of a line that are searched for a level.
const HEAD: usize = 512;
/// Bytes at its beginning in which a mere word tells the level.
const PREFIX: usize = 64;
/// Longer lines are not taken apart.
const LONGEST: usize = 64 * 1024;

impl Level {
    /// The level that a program's word or number means: `WARNING`, `err`, `panic`; pino's 10 to 60.
    pub fn of_word(word: &str) -> Option<Self> {
        let mut lower = [0; 9];
        let lower = lower.get_mut(..word.len())?;
        lower.copy_from_slice(word.as_bytes());
        lower.make_ascii_lowercase();
        Some(match &*lower {
            b"trace" | b"debug" | b"dbg" | b"verbose" | b"10" | b"20" => Self::Debug,
            b"info" | b"inf" | b"notice" | b"30" => Self::Info,
            b"warn" | b"warning" | b"wrn" | b"40" => Self::Warn,
            b"error" | b"err" | b"fatal" | b"critical" | b"crit" | b"alert" | b"emerg"
            | b"panic" | b"severe" | b"50" | b"60" => Self::Error,
            _ => return None,
        })
    }

    /// The level that a line says it has; `None` when it says nothing.
    ///
    /// Known are `"level"`, `"lvl"` and `"severity"` of JSON, `level=` and `lvl=` of logfmt, klog's `E1121 13:28:19`, words in
    /// capitals or brackets near the beginning (`[WARN]`, `ERROR`), and `error:` as the first word.
    pub fn of_line(text: &str) -> Option<Self> {
        let mut head = &text.as_bytes()[..text.len().min(HEAD)];
        let plain;
        if head.contains(&0x1b) {
            plain = strip(&String::from_utf8_lossy(head)).into_owned();
            head = plain.as_bytes();
        }
        let head = head.trim_ascii_start();
        let first = *head.first()?;
        if first == b'{' {
            return of_json(head);
        }
        of_pair(head)
            .or_else(|| of_klog(head))
            .or_else(|| of_prefix(head))
    }
}

fn of_json(head: &[u8]) -> Option<Level> {
    [&b"level\""[..], b"lvl\"", b"severity\""]
        .iter()
        .find_map(|key| {
            let at = find(head, key)?;
            // `"level"` and hclog's `"@level"`, not the end of another key.
            if !matches!(head.get(at.checked_sub(1)?), Some(b'"' | b'@')) {
                return None;
            }
            let rest = head[at + key.len()..].trim_ascii_start();
            let rest = rest.strip_prefix(b":")?.trim_ascii_start();
            word(rest.strip_prefix(b"\"").unwrap_or(rest))
        })
}

fn of_pair(head: &[u8]) -> Option<Level> {
    [&b"level="[..], b"lvl="].iter().find_map(|key| {
        let at = find(head, key)?;
        if at > 0 && !head[at - 1].is_ascii_whitespace() {
            return None;
        }
        let rest = &head[at + key.len()..];
        word(rest.strip_prefix(b"\"").unwrap_or(rest))
    })
}

/// `Lmmdd hh:mm:ss` (<https://github.com/kubernetes/klog>).
fn of_klog(head: &[u8]) -> Option<Level> {
    let shape = head.get(..6)?;
    if !shape[1..5].iter().all(u8::is_ascii_digit) || shape[5] != b' ' {
        return None;
    }
    match shape[0] {
        b'I' => Some(Level::Info),
        b'W' => Some(Level::Warn),
        b'E' | b'F' => Some(Level::Error),
        _ => None,
    }
}

fn of_prefix(head: &[u8]) -> Option<Level> {
    let head = &head[..head.len().min(PREFIX)];
    let mut at = 0;
    while at < head.len() {
        if !head[at].is_ascii_alphabetic() {
            at += 1;
            continue;
        }
        let rest = &head[at..];
        let length = rest
            .iter()
            .position(|byte| !byte.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let told = &rest[..length];
        let after = rest.get(length);
        let capitals = told.iter().all(u8::is_ascii_uppercase);
        let bracketed =
            at > 0 && matches!(head[at - 1], b'[' | b'<') && matches!(after, Some(b']' | b'>'));
        let opening = at == 0 && after == Some(&b':');
        if (capitals || bracketed || opening)
            && let Some(level) = word(told)
        {
            return Some(level);
        }
        at += length;
    }
    None
}

/// The level named by the word at the beginning of `text`.
fn word(text: &[u8]) -> Option<Level> {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric())
        .unwrap_or(text.len());
    Level::of_word(std::str::from_utf8(&text[..end]).ok()?)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// A line taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Columns {
    /// When, as the line says it.
    pub time: Option<String>,
    /// How much it matters.
    pub level: Option<Level>,
    /// What it says.
    pub message: Option<String>,
    /// Everything else, in the order of the line.
    pub fields: Vec<(String, String)>,
}

impl Columns {
    /// Takes a JSON, logfmt or hclog line apart; `None` for any other.
    pub fn of(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let text = strip(text);
        let text = text.trim();
        if text.starts_with('{') {
            json(text)
        } else {
            hclog(text).or_else(|| logfmt(text))
        }
    }

    fn put(&mut self, key: &str, value: String) {
        let level = || Level::of_word(&value);
        match key {
            "time" | "ts" | "timestamp" | "@timestamp" | "t" if self.time.is_none() => {
                self.time = Some(value);
            }
            "level" | "lvl" | "@level" | "severity"
                if self.level.is_none() && level().is_some() =>
            {
                self.level = level();
            }
            "msg" | "message" | "@message" if self.message.is_none() => {
                self.message = Some(value);
            }
            _ => self.fields.push((key.to_owned(), value)),
        }
    }
}

fn json(text: &str) -> Option<Columns> {
    let Ok(Value::Object(members)) = serde_json::from_str(text) else {
        return None;
    };
    let mut columns = Columns::default();
    for (key, value) in members {
        let value = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        columns.put(&key, value);
    }
    Some(columns)
}

/// `key=value key="quoted value"`, all of the line; at least two pairs, so that `a=b` in prose is none.
fn logfmt(text: &str) -> Option<Columns> {
    let pairs = pairs(text)?;
    if pairs.len() < 2 {
        return None;
    }
    let mut columns = Columns::default();
    for (key, value) in pairs {
        columns.put(key, value);
    }
    Some(columns)
}

fn pairs(text: &str) -> Option<Vec<(&str, String)>> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, value) = rest.split_once('=')?;
        let word = |c: char| c.is_alphanumeric() || "_-.@/".contains(c);
        if key.is_empty() || !key.chars().all(word) {
            return None;
        }
        let (value, after) = if let Some(quoted) = value.strip_prefix('"') {
            unquote(quoted)?
        } else {
            let end = value.find(char::is_whitespace).unwrap_or(value.len());
            (value[..end].to_owned(), &value[end..])
        };
        pairs.push((key, value));
        rest = after.trim_start();
    }
    Some(pairs)
}

/// The text up to the closing quote, and what stands behind it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

/// `2026-11-21T13:28:19.001Z [INFO]  agent: joined: members=3`, as Consul, Vault and Nomad write.
fn hclog(text: &str) -> Option<Columns> {
    let (time, rest) = text.split_once(" [")?;
    let digit = |at: usize| time.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    if time.contains(' ') || !digit(0) || !digit(3) || !time.contains('T') {
        return None;
    }
    let (level, rest) = rest.split_once(']')?;
    let level = Level::of_word(level.trim())?;
    let rest = rest.trim_start();
    let mut columns = Columns {
        time: Some(time.to_owned()),
        level: Some(level),
        message: Some(rest.to_owned()),
        fields: Vec::new(),
    };
    if let Some((message, tail)) = rest.rsplit_once(": ")
        && let Some(pairs) = pairs(tail).filter(|pairs| !pairs.is_empty())
    {
        columns.message = Some(message.to_owned());
        columns.fields = pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
    }
    Some(columns)
}

/// The text without escape sequences (ECMA-48): what a person would read.
pub fn strip(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('[') => {
                // Parameters, up to the final byte.
                chars.by_ref().find(|c| ('\u{40}'..='\u{7e}').contains(c));
            }
            // OSC, DCS, SOS, PM and APC run to BEL or ST.
            Some(']' | 'P' | 'X' | '^' | '_') => {
                while let Some(c) = chars.next() {
                    if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#"{"ts":1,"level":"error","msg":"x"}"#, Some(Level::Error))]
    #[case(r#"{"@level":"warn","@message":"x"}"#, Some(Level::Warn))]
    #[case(r#"{"level": 30, "msg":"pino"}"#, Some(Level::Info))]
    #[case(r#"{"toplevel":"error"}"#, None)]
    #[case("time=now level=warning msg=x", Some(Level::Warn))]
    #[case("sublevel=error", None)]
    #[case("2026-11-21T13:28:19.001Z [INFO]  agent: ERROR", Some(Level::Info))]
    #[case("2026-11-21 13:28:19 ERROR something", Some(Level::Error))]
    #[case("E1121 13:28:19.000001       1 main.go:7] failed", Some(Level::Error))]
    #[case("error: no such file", Some(Level::Error))]
    #[case("Warning: deprecated", Some(Level::Warn))]
    #[case("\u{1b}[33mWARN\u{1b}[0m disk is filling", Some(Level::Warn))]
    #[case("[debug] x", Some(Level::Debug))]
    #[case("no error here", None)]
    #[case("Errors are documented in INFORMATION.md", None)]
    #[case("", None)]
    fn a_line_tells_its_level(#[case] line: &str, #[case] level: Option<Level>) {
        assert_eq!(Level::of_line(line), level, "{line}");
    }

    fn fields(columns: &Columns) -> Vec<(&str, &str)> {
        columns
            .fields
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect()
    }

    #[test]
    fn a_json_line_becomes_columns_in_its_own_order() {
        let line = r#"{"time":"13:28","level":"warn","z":1,"msg":"slow","a":{"b":[2]}}"#;
        let columns = Columns::of(line).unwrap();
        assert_eq!(columns.time.as_deref(), Some("13:28"));
        assert_eq!(columns.level, Some(Level::Warn));
        assert_eq!(columns.message.as_deref(), Some("slow"));
        assert_eq!(fields(&columns), [("z", "1"), ("a", r#"{"b":[2]}"#)]);
    }

    #[test]
    fn a_logfmt_line_becomes_columns_and_its_quotes_are_taken_off() {
        let line = r#"ts=13:28 level=info msg="said \"hello\" twice" host=pc1 empty="#;
        let columns = Columns::of(line).unwrap();
        assert_eq!(columns.message.as_deref(), Some(r#"said "hello" twice"#));
        assert_eq!(fields(&columns), [("host", "pc1"), ("empty", "")]);
    }

    #[test]
    fn a_line_of_consul_becomes_columns() {
        let line = "2026-11-21T13:28:19.001Z [WARN]  agent.client: RPC failed: server=10.0.0.1:8300 error=\"no leader\"";
        let columns = Columns::of(line).unwrap();
        assert_eq!(columns.level, Some(Level::Warn));
        assert_eq!(columns.message.as_deref(), Some("agent.client: RPC failed"));
        assert_eq!(
            fields(&columns),
            [("server", "10.0.0.1:8300"), ("error", "no leader")]
        );
    }

    #[rstest]
    #[case("just a sentence")]
    #[case("let a=b in prose")]
    #[case("PATH=/usr/bin")]
    #[case("{not json")]
    #[case("a=\"unclosed b=c")]
    #[case("")]
    fn any_other_line_is_left_as_it_is(#[case] line: &str) {
        assert_eq!(Columns::of(line), None);
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in any::<String>()) {
            let _ = (Level::of_line(&line), Columns::of(&line));
            let plain = strip(&line);
            prop_assert!(!plain.contains(char::from(0x1b)));
        }

        #[test]
        fn the_level_is_the_same_however_the_line_is_coloured(level in "(ERROR|WARN|INFO|DEBUG)", rest in "[a-z ]{0,40}") {
            let plain = format!("{level} {rest}");
            let coloured = format!("\u{1b}[1;31m{level}\u{1b}[0m {rest}");
            prop_assert_eq!(Level::of_line(&plain), Level::of_line(&coloured));
        }
    }
}
