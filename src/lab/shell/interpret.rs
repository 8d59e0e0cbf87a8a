//! Carries out what [`super::syntax`] has read.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::io::{Buffer, FileSink, Pipe, Sink};
use super::syntax::{
    AndOr, Body, Command, Connector, List, Part, Pipeline, Redirect, Target, Word,
};
use super::{Context, dispatch, syntax};

/// How many commands one script may run.
const COMMAND_LIMIT: u32 = 10_000;
/// How deep scripts may call scripts.
const DEPTH_LIMIT: u32 = 16;

/// How a piece of a script ended.
enum Flow {
    /// With a status; the script goes on.
    On(u32),
    /// The script ends with a status.
    Exit(u32),
}

impl Flow {
    fn status(&self) -> u32 {
        match self {
            Self::On(status) | Self::Exit(status) => *status,
        }
    }
}

/// A running script.
struct Shell {
    context: Context,
    /// `$0`, `$1`, …
    arguments: Vec<String>,
    status: u32,
}

/// Runs a script with `$0`, `$1` … and returns its exit status.
pub(super) fn run<'a>(
    script: &'a str,
    arguments: Vec<String>,
    context: &'a Context,
) -> BoxFuture<'a, u32> {
    Box::pin(async move {
        let mut context = context.clone();
        context.depth += 1;
        if context.depth > DEPTH_LIMIT {
            context
                .complain("sh: 0: too many shells inside each other")
                .await;
            return 2;
        }
        match syntax::parse(script) {
            Err(complaint) => {
                context.complain(&format!("sh: 1: {complaint}")).await;
                2
            }
            Ok(list) => {
                let mut shell = Shell {
                    context,
                    arguments,
                    status: 0,
                };
                shell.list(&list).await.status()
            }
        }
    })
}

impl Shell {
    fn list<'a>(&'a mut self, list: &'a List) -> BoxFuture<'a, Flow> {
        Box::pin(async move {
            for entry in list {
                match self.and_or(entry).await {
                    Flow::On(status) => self.status = status,
                    exit @ Flow::Exit(_) => return exit,
                }
            }
            Flow::On(self.status)
        })
    }

    async fn and_or(&mut self, entry: &AndOr) -> Flow {
        let mut flow = self.pipeline(&entry.first).await;
        for (connector, next) in &entry.rest {
            let Flow::On(status) = flow else {
                return flow;
            };
            self.status = status;
            let goes_on = match connector {
                Connector::And => status == 0,
                Connector::Or => status != 0,
            };
            if goes_on {
                flow = self.pipeline(next).await;
            }
        }
        flow
    }

    async fn pipeline(&mut self, pipeline: &Pipeline) -> Flow {
        let mut flow = Flow::On(0);
        let outer = self.context.io.clone();
        let last = pipeline.commands.len().saturating_sub(1);
        for (number, command) in pipeline.commands.iter().enumerate() {
            let buffer = Arc::new(Buffer::default());
            if number < last {
                self.context.io.out = buffer.clone();
            } else {
                self.context.io.out = outer.out.clone();
            }
            flow = self.command(command).await;
            if number < last {
                self.context.io.stdin = Pipe::full(buffer.take());
            }
        }
        self.context.io = outer;
        match flow {
            // Each part of a longer pipeline is a process of its own, so that `exit` ends only that.
            Flow::Exit(status) if last > 0 => Flow::On(status),
            Flow::On(status) if pipeline.negated => Flow::On(u32::from(status == 0)),
            flow => flow,
        }
    }

    async fn command(&mut self, command: &Command) -> Flow {
        let outer = self.context.io.clone();
        for redirect in &command.redirects {
            if let Err(complaint) = self.redirect(redirect).await {
                self.context.io = outer;
                self.context.complain(&format!("sh: 1: {complaint}")).await;
                return Flow::On(2);
            }
        }
        let flow = match &command.body {
            Body::Simple { assignments, words } => self.simple(assignments, words).await,
            Body::Group(list) => self.list(list).await,
            Body::Subshell(list) => {
                let env = self.context.env.clone();
                let flow = self.list(list).await;
                self.context.env = env;
                Flow::On(flow.status())
            }
            Body::If {
                branches,
                otherwise,
            } => self.conditional(branches, otherwise.as_ref()).await,
            Body::While {
                condition,
                wanted,
                work,
            } => self.repeat(condition, *wanted, work).await,
            Body::For { name, words, work } => self.each(name, words, work).await,
        };
        // `exec` without a program keeps its redirections.
        let kept = matches!(&command.body, Body::Simple { words, .. }
            if matches!(words.as_slice(), [word] if matches!(word.as_slice(), [Part::Text(text)] if text == "exec")));
        if kept {
            return flow;
        }
        self.context.io = outer;
        flow
    }

    async fn conditional(&mut self, branches: &[(List, List)], otherwise: Option<&List>) -> Flow {
        for (condition, then) in branches {
            match self.list(condition).await {
                Flow::On(0) => {
                    self.status = 0;
                    return self.list(then).await;
                }
                Flow::On(_) => {}
                exit @ Flow::Exit(_) => return exit,
            }
        }
        self.status = 0;
        match otherwise {
            Some(list) => self.list(list).await,
            None => Flow::On(0),
        }
    }

    async fn repeat(&mut self, condition: &List, wanted: bool, work: &List) -> Flow {
        let mut last = 0;
        loop {
            match self.list(condition).await {
                Flow::On(status) if (status == 0) == wanted => {}
                Flow::On(_) => return Flow::On(last),
                exit @ Flow::Exit(_) => return exit,
            }
            match self.list(work).await {
                Flow::On(status) => last = status,
                exit @ Flow::Exit(_) => return exit,
            }
            // A loop of nothing but built-ins shall not keep others from running.
            tokio::task::yield_now().await;
        }
    }

    async fn each(&mut self, name: &str, words: &[Word], work: &List) -> Flow {
        let mut values = Vec::new();
        for word in words {
            values.extend(self.fields(word).await);
        }
        let mut last = 0;
        for value in values {
            self.context.env.insert(name.to_owned(), value);
            match self.list(work).await {
                Flow::On(status) => last = status,
                exit @ Flow::Exit(_) => return exit,
            }
        }
        Flow::On(last)
    }

    async fn redirect(&mut self, redirect: &Redirect) -> Result<(), String> {
        let io = &mut self.context.io;
        if let Target::Same(from) = redirect.to {
            match (redirect.fd, from) {
                (1, 2) => io.out = io.err.clone(),
                (2, 1) => io.err = io.out.clone(),
                (fd, same) if fd == same => {}
                (fd, _) => return Err(format!("{fd}: Bad file descriptor")),
            }
            return Ok(());
        }
        let (Target::Read(word) | Target::Write(word) | Target::Append(word)) = &redirect.to else {
            return Ok(());
        };
        let path = self.text(word).await;
        let context = &mut self.context;
        if matches!(redirect.to, Target::Read(_)) {
            let content = context
                .look(|node, now| node.read(&path, now))
                .map_err(|error| format!("cannot open {path}: {error}"))?;
            context.io.stdin = Pipe::full(content);
            return Ok(());
        }
        let append = matches!(redirect.to, Target::Append(_));
        let sink: Sink = Arc::new(
            FileSink::open(context, &path, append)
                .map_err(|error| format!("cannot create {path}: {error}"))?,
        );
        match redirect.fd {
            1 => context.io.out = sink,
            2 => context.io.err = sink,
            fd => return Err(format!("{fd}: Bad file descriptor")),
        }
        Ok(())
    }

    async fn simple(&mut self, assignments: &[(String, Word)], words: &[Word]) -> Flow {
        let mut argv = Vec::new();
        for word in words {
            argv.extend(self.fields(word).await);
        }
        let mut values = Vec::new();
        for (name, word) in assignments {
            values.push((name.clone(), self.text(word).await));
        }
        let Some(program) = argv.first().cloned() else {
            self.context.env.extend(values);
            return Flow::On(0);
        };
        if program == "sleep" {
            // A script that waits does not run away.
            self.context.begin_count();
        }
        if self.context.count_command() > COMMAND_LIMIT {
            self.context.complain("sh: too many commands").await;
            return Flow::Exit(2);
        }
        match program.as_str() {
            "exit" => {
                let status = argv.get(1).and_then(|status| status.parse().ok());
                Flow::Exit(status.unwrap_or(self.status) & 0xff)
            }
            "exec" if argv.len() > 1 => {
                argv.remove(0);
                Flow::Exit(self.external(&argv, values).await)
            }
            "umask" => {
                if let Some(mask) = argv
                    .get(1)
                    .and_then(|mask| u32::from_str_radix(mask, 8).ok())
                {
                    self.context.umask = mask & 0o777;
                }
                Flow::On(0)
            }
            ":" | "exec" | "set" | "cd" | "unset" => Flow::On(0),
            "export" => {
                for word in &argv[1..] {
                    if let Some((name, value)) = word.split_once('=') {
                        self.context.env.insert(name.into(), value.into());
                    }
                }
                Flow::On(0)
            }
            _ => Flow::On(self.external(&argv, values).await),
        }
    }

    async fn external(&mut self, argv: &[String], values: Vec<(String, String)>) -> u32 {
        let mut context = self.context.clone();
        context.env.extend(values);
        dispatch(argv, &mut context).await
    }

    /// Expands a word into none, one or several fields.
    async fn fields(&mut self, word: &Word) -> Vec<String> {
        let mut fields = Vec::new();
        let mut field: Option<String> = None;
        for part in word {
            match part {
                Part::Text(text) | Part::Quoted(text) => {
                    field.get_or_insert_default().push_str(text);
                }
                Part::Variable { name, quoted: true } if name == "@" => {
                    let arguments = self.arguments.get(1..).unwrap_or_default();
                    for (number, argument) in arguments.iter().enumerate() {
                        if number > 0 {
                            fields.extend(field.take());
                        }
                        field.get_or_insert_default().push_str(argument);
                    }
                }
                Part::Variable { quoted: false, .. } | Part::Substitution { quoted: false, .. } => {
                    let value = self.part(part).await;
                    for (number, piece) in value.split(char::is_whitespace).enumerate() {
                        if number > 0 {
                            fields.extend(field.take());
                        }
                        if !piece.is_empty() {
                            field.get_or_insert_default().push_str(piece);
                        }
                    }
                }
                _ => {
                    let value = self.part(part).await;
                    field.get_or_insert_default().push_str(&value);
                }
            }
        }
        fields.extend(field);
        fields
    }

    /// Expands a word into one text, without splitting.
    async fn text(&mut self, word: &Word) -> String {
        let mut text = String::new();
        for part in word {
            text.push_str(&self.part(part).await);
        }
        text
    }

    async fn part(&mut self, part: &Part) -> String {
        match part {
            Part::Text(text) | Part::Quoted(text) => text.clone(),
            Part::Variable { name, .. } => self.variable(name),
            Part::Substitution { list, .. } => {
                let buffer = Arc::new(Buffer::default());
                let outer = self.context.io.clone();
                self.context.io.out = buffer.clone();
                self.status = self.list(list).await.status();
                self.context.io = outer;
                let text = String::from_utf8_lossy(&buffer.take()).replace('\0', "");
                text.trim_end_matches('\n').to_owned()
            }
            Part::Sum(word) => {
                let text = Box::pin(self.text(word)).await;
                sum(&text).map_or_else(|| "0".into(), |number| number.to_string())
            }
        }
    }

    fn variable(&self, name: &str) -> String {
        match name {
            "?" => self.status.to_string(),
            "#" => self.arguments.len().saturating_sub(1).to_string(),
            "$" => "4242".into(),
            "@" | "*" => self.arguments.get(1..).unwrap_or_default().join(" "),
            _ => match name.parse::<usize>() {
                Ok(number) => self.arguments.get(number).cloned().unwrap_or_default(),
                Err(_) => self.context.env.get(name).cloned().unwrap_or_default(),
            },
        }
    }
}

/// Sums and differences of whole numbers, left to right; what scripts over SSH need of `$((…))`.
fn sum(text: &str) -> Option<i64> {
    let mut total: i64 = 0;
    let mut sign = 1;
    let spaced = text.replace('+', " + ").replace('-', " - ");
    for token in spaced.split_whitespace() {
        match token {
            "+" => sign = 1,
            "-" => sign = -1,
            number => {
                total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(sign)?)?;
                sign = 1;
            }
        }
    }
    Some(total)
}
