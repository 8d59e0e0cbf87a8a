//! Entries of a journal in `journalctl -o json` (systemd's "Journal JSON Format"): one object per line.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::structured::Level;

/// What is wanted of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where to go on after it.
    pub(super) cursor: String,
    pub(super) at: Option<Timestamp>,
    pub(super) unit: Option<String>,
    pub(super) level: Option<Level>,
    pub(super) text: String,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "__CURSOR")]
    cursor: String,
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    realtime: Option<String>,
    #[serde(rename = "MESSAGE", default)]
    message: Value,
    #[serde(rename = "_SYSTEMD_UNIT", default)]
    unit: Value,
    #[serde(rename = "SYSLOG_IDENTIFIER", default)]
    identifier: Value,
    #[serde(rename = "PRIORITY", default)]
    priority: Value,
}

/// Reads a line; `None` for one that is no entry, such as what a login shell says by itself.
pub(super) fn read(line: &str) -> Option<Entry> {
    let raw: Raw = serde_json::from_str(line).ok()?;
    let at = raw
        .realtime
        .and_then(|micros| micros.parse().ok())
        .and_then(|micros| Timestamp::from_microsecond(micros).ok());
    let level = match text(&raw.priority).as_deref() {
        Some("0" | "1" | "2" | "3") => Some(Level::Error),
        Some("4") => Some(Level::Warn),
        Some("5" | "6") => Some(Level::Info),
        Some("7") => Some(Level::Debug),
        _ => None,
    };
    Some(Entry {
        cursor: raw.cursor,
        at,
        unit: text(&raw.identifier).or_else(|| text(&raw.unit)),
        level,
        text: text(&raw.message).unwrap_or_default(),
    })
}

/// A field: a text, bytes as numbers where it is no UTF-8, several of them, or null where it is too large.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(values) if values.iter().all(Value::is_u64) => {
            let bytes: Vec<u8> = values
                .iter()
                .filter_map(|value| u8::try_from(value.as_u64()?).ok())
                .collect();
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
        Value::Array(values) => values.first().and_then(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_entry_is_read() {
        let entry = read(
            r#"{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1700000000000001","MESSAGE":"hello","PRIORITY":"4","SYSLOG_IDENTIFIER":"consul","_SYSTEMD_UNIT":"consul.service"}"#,
        )
        .unwrap();
        assert_eq!(
            (entry.text.as_str(), entry.level),
            ("hello", Some(Level::Warn))
        );
        assert_eq!(entry.unit.as_deref(), Some("consul"));
        assert_eq!(entry.at.unwrap().as_microsecond(), 1_700_000_000_000_001);
    }

    #[test]
    fn a_message_that_is_no_text_is_bytes_and_one_that_is_too_large_is_empty() {
        let with = |message: &str| {
            let line = format!(r#"{{"__CURSOR":"c","MESSAGE":{message}}}"#);
            read(&line).unwrap().text
        };
        assert_eq!(with("[104,105,255]"), "hi\u{fffd}");
        assert_eq!(with("null"), "");
        assert_eq!(with(r#"["first","second"]"#), "first");
    }

    proptest! {
        #[test]
        fn nothing_that_a_node_says_panics(line in "\\PC{0,200}") {
            let _ = read(&line);
        }
    }
}
