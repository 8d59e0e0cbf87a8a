//! The part of the POSIX shell's grammar that scripts sent over SSH are written in, read into a tree.
//!
//! Lists (`;`, `&&`, `||`, line breaks), pipes, groups, `if`, `while`, `until`, `for`, redirections, quoting, `$name`, `$1`,
//! `$(command)` and `$((sum))`. Not here: functions, globs, here-documents; a script that uses them gets a syntax error, as
//! `sh` would give for a script it cannot read.

/// The longest script, bytes.
const LENGTH_LIMIT: usize = 256 * 1024;
/// How deep groups and substitutions may nest.
const DEPTH_LIMIT: usize = 24;

/// Commands one after the other.
pub(super) type List = Vec<AndOr>;

/// Pipelines that depend on each other's status.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AndOr {
    pub(super) first: Pipeline,
    pub(super) rest: Vec<(Connector, Pipeline)>,
}

/// `&&` or `||`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connector {
    And,
    Or,
}

/// Commands whose output is the next one's input.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pipeline {
    pub(super) negated: bool,
    pub(super) commands: Vec<Command>,
}

/// One command with its redirections.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Command {
    pub(super) body: Body,
    pub(super) redirects: Vec<Redirect>,
}

/// What a command is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    Simple {
        assignments: Vec<(String, Word)>,
        words: Vec<Word>,
    },
    Group(List),
    Subshell(List),
    If {
        branches: Vec<(List, List)>,
        otherwise: Option<List>,
    },
    /// `while`, and `until` where `wanted` is false.
    While {
        condition: List,
        wanted: bool,
        work: List,
    },
    For {
        name: String,
        words: Vec<Word>,
        work: List,
    },
}

/// Where a stream goes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Redirect {
    pub(super) fd: u8,
    pub(super) to: Target,
}

/// The other end of a redirection.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Target {
    Read(Word),
    Write(Word),
    Append(Word),
    Same(u8),
}

/// A word before expansion.
pub(super) type Word = Vec<Part>;

/// A piece of a word; `quoted` pieces are not split at blanks.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Text(String),
    Quoted(String),
    Variable { name: String, quoted: bool },
    Substitution { list: List, quoted: bool },
    Sum(Word),
}

/// Reads a script.
///
/// # Errors
/// What `sh` would complain about, without its prefix.
pub(super) fn parse(script: &str) -> Result<List, String> {
    if script.len() > LENGTH_LIMIT {
        return Err("Argument list too long".into());
    }
    let mut reader = Reader {
        text: script.chars().collect(),
        at: 0,
        depth: 0,
    };
    let list = reader.list(&[])?;
    match reader.peek() {
        None => Ok(list),
        Some(found) => Err(unexpected(&found.to_string())),
    }
}

fn unexpected(what: &str) -> String {
    format!("Syntax error: {what:?} unexpected")
}

struct Reader {
    text: Vec<char>,
    at: usize,
    depth: usize,
}

impl Reader {
    /// Commands up to the end, a closing bracket, or one of the reserved words in `until`.
    fn list(&mut self, until: &[&str]) -> Result<List, String> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err("Syntax error: nested too deep".into());
        }
        let mut list = List::new();
        loop {
            self.blank();
            match self.peek() {
                Some('\n' | ';') if !list.is_empty() || self.peek() == Some('\n') => {
                    self.at += 1;
                    continue;
                }
                None | Some(')') => break,
                Some('}') if until.contains(&"}") => break,
                _ => {}
            }
            if until.contains(&self.reserved().as_str()) {
                break;
            }
            list.push(self.and_or()?);
            self.blank();
            match self.peek() {
                Some(';' | '\n') => self.at += 1,
                None | Some(')') => break,
                Some(found) => return Err(unexpected(&found.to_string())),
            }
        }
        self.depth -= 1;
        Ok(list)
    }

    fn and_or(&mut self) -> Result<AndOr, String> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.blank();
            let connector = if self.take("&&") {
                Connector::And
            } else if self.take("||") {
                Connector::Or
            } else {
                return Ok(AndOr { first, rest });
            };
            self.line_breaks();
            rest.push((connector, self.pipeline()?));
        }
    }

    fn pipeline(&mut self) -> Result<Pipeline, String> {
        self.blank();
        let negated = self.reserved() == "!";
        if negated {
            self.at += 1;
        }
        let mut commands = vec![self.command()?];
        loop {
            self.blank();
            if self.peek() != Some('|') || self.second() == Some('|') {
                return Ok(Pipeline { negated, commands });
            }
            self.at += 1;
            self.line_breaks();
            commands.push(self.command()?);
        }
    }

    fn command(&mut self) -> Result<Command, String> {
        self.blank();
        let body = match self.reserved().as_str() {
            "{" => {
                self.at += 1;
                let list = self.list(&["}"])?;
                self.expect("}")?;
                Body::Group(list)
            }
            "if" => self.conditional()?,
            word @ ("while" | "until") => {
                self.expect(word)?;
                let condition = self.list(&["do"])?;
                Body::While {
                    condition,
                    wanted: word == "while",
                    work: self.work()?,
                }
            }
            "for" => self.each()?,
            "case" | "function" => {
                return Err(unexpected(&self.reserved()));
            }
            _ if self.peek() == Some('(') => {
                self.at += 1;
                let list = self.list(&[])?;
                self.expect(")")?;
                Body::Subshell(list)
            }
            _ => return self.simple(),
        };
        let mut redirects = Vec::new();
        loop {
            self.blank();
            match self.redirect()? {
                Some(redirect) => redirects.push(redirect),
                None => return Ok(Command { body, redirects }),
            }
        }
    }

    fn conditional(&mut self) -> Result<Body, String> {
        let mut branches = Vec::new();
        self.expect("if")?;
        loop {
            let condition = self.list(&["then"])?;
            self.expect("then")?;
            let then = self.list(&["elif", "else", "fi"])?;
            branches.push((condition, then));
            if self.reserved() != "elif" {
                break;
            }
            self.expect("elif")?;
        }
        let otherwise = if self.reserved() == "else" {
            self.expect("else")?;
            Some(self.list(&["fi"])?)
        } else {
            None
        };
        self.expect("fi")?;
        Ok(Body::If {
            branches,
            otherwise,
        })
    }

    /// `do … done`.
    fn work(&mut self) -> Result<List, String> {
        self.expect("do")?;
        let work = self.list(&["done"])?;
        self.expect("done")?;
        Ok(work)
    }

    fn each(&mut self) -> Result<Body, String> {
        self.expect("for")?;
        self.blank();
        let name = self.name();
        self.expect("in")?;
        let mut words = Vec::new();
        loop {
            self.blank();
            match self.peek() {
                None | Some('\n' | ';') => break,
                Some(_) => words.push(self.word()?),
            }
        }
        self.at += usize::from(self.peek() == Some(';'));
        self.line_breaks();
        let work = self.work()?;
        Ok(Body::For { name, words, work })
    }

    fn simple(&mut self) -> Result<Command, String> {
        let (mut assignments, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.blank();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            match self.peek() {
                None | Some('\n' | ';' | '|' | '&' | ')') => break,
                Some('(') => return Err(unexpected("(")),
                Some(_) => {}
            }
            if words.is_empty()
                && let Some(name) = self.assignment()
            {
                let value = match self.peek() {
                    Some(c) if !is_break(c) => self.word()?,
                    _ => Word::new(),
                };
                assignments.push((name, value));
                continue;
            }
            words.push(self.word()?);
        }
        if assignments.is_empty() && words.is_empty() && redirects.is_empty() {
            let found = self.peek().map_or("end of file".into(), |c| c.to_string());
            return Err(unexpected(&found));
        }
        Ok(Command {
            body: Body::Simple { assignments, words },
            redirects,
        })
    }

    /// The name of a variable at the reader, taken; empty where there is none.
    fn name(&mut self) -> String {
        let name: String = self.text[self.at.min(self.text.len())..]
            .iter()
            .take_while(|c| c.is_ascii_alphanumeric() || **c == '_')
            .collect();
        self.at += name.len();
        name
    }

    fn assignment(&mut self) -> Option<String> {
        let start = self.at;
        let name = self.name();
        let sound = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if sound && self.take("=") {
            return Some(name);
        }
        self.at = start;
        None
    }

    fn redirect(&mut self) -> Result<Option<Redirect>, String> {
        let start = self.at;
        let mut fd = None;
        if let Some(digit) = self.peek().and_then(|c| c.to_digit(10))
            && matches!(self.second(), Some('<' | '>'))
        {
            fd = u8::try_from(digit).ok();
            self.at += 1;
        }
        let (default, append, read) = match (self.peek(), self.second()) {
            (Some('>'), Some('>')) => (1, true, false),
            (Some('>'), _) => (1, false, false),
            (Some('<'), Some('<')) => {
                return Err("Syntax error: here-documents are not here".into());
            }
            (Some('<'), _) => (0, false, true),
            _ => {
                self.at = start;
                return Ok(None);
            }
        };
        self.at += if append { 2 } else { 1 };
        let fd = fd.unwrap_or(default);
        let to = if self.peek() == Some('&') {
            self.at += 1;
            let digit = self.peek().and_then(|c| c.to_digit(10));
            self.at += 1;
            let same = digit.and_then(|digit| u8::try_from(digit).ok());
            Target::Same(same.ok_or_else(|| "Syntax error: Bad fd number".to_owned())?)
        } else {
            self.blank();
            let word = self.word()?;
            match (read, append) {
                (true, _) => Target::Read(word),
                (_, true) => Target::Append(word),
                _ => Target::Write(word),
            }
        };
        Ok(Some(Redirect { fd, to }))
    }

    fn word(&mut self) -> Result<Word, String> {
        let mut word = Word::new();
        let mut plain = String::new();
        while let Some(c) = self.peek() {
            if is_break(c) {
                break;
            }
            self.at += 1;
            match c {
                '\\' => {
                    if let Some(next) = self.next()
                        && next != '\n'
                    {
                        flush(&mut word, &mut plain);
                        word.push(Part::Quoted(next.to_string()));
                    }
                }
                '\'' => {
                    flush(&mut word, &mut plain);
                    let mut text = String::new();
                    loop {
                        match self.next() {
                            None => return Err("Syntax error: Unterminated quoted string".into()),
                            Some('\'') => break,
                            Some(other) => text.push(other),
                        }
                    }
                    word.push(Part::Quoted(text));
                }
                '"' => {
                    flush(&mut word, &mut plain);
                    self.double_quoted(&mut word)?;
                }
                '$' => {
                    flush(&mut word, &mut plain);
                    word.push(self.dollar(false)?);
                }
                '`' => return Err("Syntax error: write $(command) for `command`".into()),
                other => plain.push(other),
            }
        }
        flush(&mut word, &mut plain);
        if word.is_empty() {
            let found = self.peek().map_or("end of file".into(), |c| c.to_string());
            return Err(unexpected(&found));
        }
        Ok(word)
    }

    fn double_quoted(&mut self, word: &mut Word) -> Result<(), String> {
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err("Syntax error: Unterminated quoted string".into()),
                Some('"') => break,
                Some('\\') => match self.next() {
                    Some(c @ ('"' | '\\' | '$' | '`')) => text.push(c),
                    Some('\n') => {}
                    Some(other) => {
                        text.push('\\');
                        text.push(other);
                    }
                    None => return Err("Syntax error: Unterminated quoted string".into()),
                },
                Some('$') => {
                    word.push(Part::Quoted(std::mem::take(&mut text)));
                    word.push(self.dollar(true)?);
                }
                Some(other) => text.push(other),
            }
        }
        word.push(Part::Quoted(text));
        Ok(())
    }

    /// What follows a dollar sign.
    fn dollar(&mut self, quoted: bool) -> Result<Part, String> {
        if self.take("((") {
            return self.sum();
        }
        if self.take("(") {
            let list = self.list(&[])?;
            self.expect(")")?;
            return Ok(Part::Substitution { list, quoted });
        }
        let braces = self.take("{");
        let name = if let Some(special @ ('?' | '#' | '@' | '*' | '$' | '0'..='9')) = self.peek() {
            self.at += 1;
            special.to_string()
        } else {
            self.name()
        };
        if braces && !self.take("}") {
            return Err("Bad substitution".into());
        }
        if name.is_empty() {
            return Ok(Part::Quoted("$".into()));
        }
        Ok(Part::Variable { name, quoted })
    }

    fn sum(&mut self) -> Result<Part, String> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err("Syntax error: nested too deep".into());
        }
        let mut word = Word::new();
        let mut text = String::new();
        loop {
            if self.take("))") {
                break;
            }
            match self.next() {
                None => return Err("Syntax error: Missing '))'".into()),
                Some('$') => {
                    word.push(Part::Quoted(std::mem::take(&mut text)));
                    word.push(self.dollar(true)?);
                }
                Some(other) => text.push(other),
            }
        }
        word.push(Part::Quoted(text));
        self.depth -= 1;
        Ok(Part::Sum(word))
    }

    /// The plain word at the reader, without taking it.
    fn reserved(&self) -> String {
        self.text[self.at.min(self.text.len())..]
            .iter()
            .take_while(|c| !is_break(**c) && !matches!(c, '$' | '"' | '\'' | '\\'))
            .collect()
    }

    fn expect(&mut self, what: &str) -> Result<(), String> {
        self.blank();
        if self.take(what) {
            return Ok(());
        }
        Err(match self.peek() {
            None => format!("Syntax error: end of file unexpected (expecting {what:?})"),
            Some(found) => format!("Syntax error: {found:?} unexpected (expecting {what:?})"),
        })
    }

    fn take(&mut self, what: &str) -> bool {
        let length = what.chars().count();
        let found = self.text[self.at.min(self.text.len())..]
            .iter()
            .take(length)
            .copied()
            .eq(what.chars());
        if found {
            self.at += length;
        }
        found
    }

    /// Skips blanks, continued lines and comments.
    fn blank(&mut self) {
        loop {
            match (self.peek(), self.second()) {
                (Some(' ' | '\t' | '\r'), _) => self.at += 1,
                (Some('\\'), Some('\n')) => self.at += 2,
                (Some('#'), _) => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn line_breaks(&mut self) {
        loop {
            self.blank();
            if self.peek() != Some('\n') {
                return;
            }
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn second(&self) -> Option<char> {
        self.text.get(self.at + 1).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += usize::from(next.is_some());
        next
    }
}

fn is_break(c: char) -> bool {
    matches!(
        c,
        ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')'
    )
}

fn flush(word: &mut Word, plain: &mut String) {
    if !plain.is_empty() {
        word.push(Part::Text(std::mem::take(plain)));
    }
}
