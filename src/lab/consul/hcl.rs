//! The part of HCL 1 that agent configurations are written in: `key = value`, blocks, lists, strings, heredocs, comments.

use serde_json::{Map, Value};

/// How deep blocks may nest.
const DEPTH_LIMIT: usize = 32;

/// Reads a whole file.
///
/// # Errors
/// What is wrong and where, as `At 3:14: …` with line and column from 1.
pub(super) fn parse(text: &str) -> Result<Map<String, Value>, String> {
    let mut reader = Reader {
        text: text.chars().collect(),
        at: 0,
    };
    reader.body(None, 0)
}

struct Reader {
    text: Vec<char>,
    at: usize,
}

impl Reader {
    fn body(&mut self, end: Option<char>, depth: usize) -> Result<Map<String, Value>, String> {
        if depth > DEPTH_LIMIT {
            return Err(self.error("blocks are nested too deep"));
        }
        let mut body = Map::new();
        loop {
            self.blank(true);
            match self.peek() {
                None if end.is_none() => return Ok(body),
                None => return Err(self.error("object expected closing RBRACE got: EOF")),
                found if found == end => {
                    self.at += 1;
                    return Ok(body);
                }
                Some(_) => {}
            }
            let key = self.key()?;
            self.blank(false);
            if self.peek() == Some('=') {
                self.at += 1;
                let value = self.value(depth)?;
                body.insert(key, value);
                self.blank(false);
                if self.peek() == Some(',') {
                    self.at += 1;
                }
                continue;
            }
            // Labels of a block, such as `service "web" {`.
            while self.peek() == Some('"') {
                self.string()?;
                self.blank(false);
            }
            if self.peek() != Some('{') {
                return Err(self.error(&format!(
                    "key '{key}' expected start of object ('{{') or assignment ('=')"
                )));
            }
            self.at += 1;
            let inner = self.body(Some('}'), depth + 1)?;
            body.insert(key, Value::Object(inner));
        }
    }

    fn key(&mut self) -> Result<String, String> {
        if self.peek() == Some('"') {
            return self.string();
        }
        let word = self.word();
        if word.is_empty() {
            let found = self.peek().unwrap_or(' ');
            return Err(self.error(&format!("illegal character {found:?}")));
        }
        Ok(word)
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > DEPTH_LIMIT {
            return Err(self.error("values are nested too deep"));
        }
        self.blank(true);
        match self.peek() {
            Some('"') => self.string().map(Value::String),
            Some('{') => {
                self.at += 1;
                self.body(Some('}'), depth + 1).map(Value::Object)
            }
            Some('[') => {
                self.at += 1;
                self.list(depth)
            }
            Some('<') => self.heredoc(),
            _ => {
                let word = self.word();
                match word.as_str() {
                    "true" => Ok(Value::Bool(true)),
                    "false" => Ok(Value::Bool(false)),
                    _ => word
                        .parse::<serde_json::Number>()
                        .map(Value::Number)
                        .map_err(|_| self.error(&format!("Unknown token: {word:?}"))),
                }
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        loop {
            self.blank(true);
            match self.peek() {
                Some(']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                None => return Err(self.error("list expected closing RBRACK got: EOF")),
                Some(_) => items.push(self.value(depth + 1)?),
            }
            self.blank(true);
            match self.peek() {
                Some(',') => self.at += 1,
                Some(']') => {}
                _ => return Err(self.error("error parsing list, expected comma or list end")),
            }
        }
    }

    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None | Some('\n') => return Err(self.error("literal not terminated")),
                Some('"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some('\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some('n') => text.push('\n'),
                        Some('t') => text.push('\t'),
                        Some(other) => text.push(other),
                        None => return Err(self.error("literal not terminated")),
                    }
                    self.at += 1;
                }
                Some(other) => {
                    text.push(other);
                    self.at += 1;
                }
            }
        }
    }

    fn heredoc(&mut self) -> Result<Value, String> {
        let opening = self.line();
        let marker = opening
            .trim()
            .trim_start_matches("<<")
            .trim_start_matches('-');
        if marker.is_empty() {
            return Err(self.error("heredoc without an anchor"));
        }
        let mut text = String::new();
        while self.at < self.text.len() {
            let line = self.line();
            if line.trim() == marker {
                return Ok(Value::String(text));
            }
            text.push_str(&line);
            text.push('\n');
        }
        Err(self.error("heredoc not terminated"))
    }

    fn line(&mut self) -> String {
        let line: String = self.text[self.at..]
            .iter()
            .take_while(|c| **c != '\n')
            .collect();
        self.at = (self.at + line.chars().count() + 1).min(self.text.len());
        line
    }

    fn word(&mut self) -> String {
        let word: String = self.text[self.at..]
            .iter()
            .take_while(|c| c.is_alphanumeric() || "_-.+:".contains(**c))
            .collect();
        self.at += word.chars().count();
        word
    }

    /// Skips blanks and comments; line breaks only where they do not end anything.
    fn blank(&mut self, line_breaks: bool) {
        while let Some(found) = self.peek() {
            let second = self.text.get(self.at + 1).copied();
            match (found, second) {
                ('\n', _) if !line_breaks => return,
                (' ' | '\t' | '\r' | '\n', _) => self.at += 1,
                ('#', _) | ('/', Some('/')) => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                ('/', Some('*')) => {
                    self.at += 2;
                    while self.at < self.text.len()
                        && !self.text[self.at..].starts_with(&['*', '/'])
                    {
                        self.at += 1;
                    }
                    self.at = (self.at + 2).min(self.text.len());
                }
                _ => return,
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn error(&self, what: &str) -> String {
        let before = &self.text[..self.at.min(self.text.len())];
        let line = 1 + before.iter().filter(|c| **c == '\n').count();
        let column = 1 + before.iter().rev().take_while(|c| **c != '\n').count();
        format!("At {line}:{column}: {what}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_agent_configuration_reads_as_the_same_json() {
        let text = r#"
            # the node
            node_name = "pc1"
            server = true // votes
            bootstrap_expect = 3
            retry_join = ["10.20.0.11", "10.20.0.12",]
            acl {
              enabled = true  default_policy = "deny"
            }
            service "web" { port = 80 }
        "#;
        let expected = json!({
            "node_name": "pc1", "server": true, "bootstrap_expect": 3,
            "retry_join": ["10.20.0.11", "10.20.0.12"],
            "acl": {"enabled": true, "default_policy": "deny"},
            "service": {"port": 80},
        });
        assert_eq!(Value::Object(parse(text).unwrap()), expected);
    }

    #[test]
    fn a_mistake_is_reported_with_line_and_column() {
        let error = parse("a = 1\nb = [1 2]\n").unwrap_err();
        assert!(error.starts_with("At 2:"), "{error}");
        let error = parse("server = tru\n").unwrap_err();
        assert!(error.contains("Unknown token"), "{error}");
        assert!(parse("a {").unwrap_err().contains("EOF"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,80}|[{}\\[\\]=\"\\\\/*#<\\-a-z0-9, \n]{0,120}") {
            let _ = parse(&text);
        }
    }
}
