//! Programs that read their input or files and write text: `cat`, `wc`, `head`, `tail`, `grep`, `tee`, `sha256sum`, `sort`,
//! `tr -d` and `cut`.

use sha2::{Digest as _, Sha256};

use super::{Context, Said};
use crate::domain::hex;

/// Runs the program called `name`.
pub(super) async fn run(name: &str, arguments: &[String], context: &mut Context) -> u32 {
    let options = Options::read(name, arguments);
    let mut said = Said::default();
    if name == "tee" {
        let input = context.io.stdin.read_all().await;
        for path in &options.paths {
            let written =
                context.change(|node, now| node.files.write(path, input.clone(), 0o644, now));
            if let Err(error) = written {
                said.complain(format_args!("tee: {path}: {error}"));
            }
        }
        said.out = input;
        return context.say(said).await;
    }
    if name == "tr" {
        let input = context.io.stdin.read_all().await;
        return context.say(delete(&options.paths, input)).await;
    }
    let mut matched = false;
    let paths = if options.paths.is_empty() {
        vec!["-".to_owned()]
    } else {
        options.paths.clone()
    };
    for path in &paths {
        let content = if path == "-" {
            Ok(context.io.stdin.read_all().await)
        } else {
            context.look(|node, now| node.read(path, now))
        };
        match content {
            Err(error) => said.complain(format_args!("{name}: {path}: {error}")),
            Ok(content) => {
                matched |= treat(name, &options, path, &content, &mut said);
            }
        }
    }
    if name == "grep" {
        said.status = match (said.status, matched) {
            (0, true) => 0,
            (0, false) => 1,
            _ => 2,
        };
    }
    context.say(said).await
}

#[derive(Default)]
struct Options {
    letters: String,
    /// Of `-n N` or `-c N`; `head` and `tail` only.
    count: Option<usize>,
    pattern: String,
    paths: Vec<String>,
}

impl Options {
    fn read(name: &str, arguments: &[String]) -> Self {
        let mut options = Self::default();
        let mut words = arguments.iter();
        let mut only_paths = false;
        let mut needs_pattern = name == "grep";
        while let Some(word) = words.next() {
            if !only_paths && word == "--" {
                only_paths = true;
            } else if !only_paths && word.len() > 1 && word.starts_with('-') {
                let letters = &word[1..];
                options.letters.push_str(letters);
                if name == "cut" {
                    let value = words.next().cloned().unwrap_or_default();
                    match letters {
                        "f" => options.count = value.parse().ok(),
                        _ => options.pattern = value,
                    }
                }
                if matches!(name, "head" | "tail") {
                    let digits = letters.trim_start_matches(|c: char| !c.is_ascii_digit());
                    options.count = if digits.is_empty() {
                        words.next().and_then(|count| count.parse().ok())
                    } else {
                        digits.parse().ok()
                    };
                }
                if name == "grep" && letters.ends_with('e') {
                    options.pattern = words.next().cloned().unwrap_or_default();
                    needs_pattern = false;
                }
            } else if needs_pattern {
                options.pattern.clone_from(word);
                needs_pattern = false;
            } else {
                options.paths.push(word.clone());
            }
        }
        options
    }

    fn has(&self, letter: char) -> bool {
        self.letters.contains(letter)
    }
}

/// Does the program's work on one input; says whether a line matched (`grep`).
fn treat(name: &str, options: &Options, path: &str, content: &[u8], said: &mut Said) -> bool {
    let label = if path == "-" { "" } else { path };
    match name {
        "wc" => {
            let lines = content.split(|byte| *byte == b'\n').count() - 1;
            let words = String::from_utf8_lossy(content).split_whitespace().count();
            let figures = if options.has('c') {
                content.len().to_string()
            } else if options.has('l') {
                lines.to_string()
            } else if options.has('w') {
                words.to_string()
            } else {
                format!("{lines:7} {words:7} {:7}", content.len())
            };
            let line = format!("{figures} {label}");
            said.out.extend_from_slice(line.trim_end().as_bytes());
            said.out.push(b'\n');
        }
        "sha256sum" => {
            let line = format!("{}  {path}\n", hex(&Sha256::digest(content)));
            said.out.extend_from_slice(line.as_bytes());
        }
        "head" | "tail" => {
            let count = options.count.unwrap_or(10);
            said.out
                .extend_from_slice(part(content, name == "head", options.has('c'), count));
        }
        "grep" => return grep(options, path, content, said),
        "cut" => {
            let (delimiter, field) = (options.pattern.as_str(), options.count.unwrap_or(1));
            for line in String::from_utf8_lossy(content).lines() {
                // A line without the delimiter is printed whole (POSIX).
                let mut fields = line.split(delimiter);
                let found = if line.contains(delimiter) {
                    fields.nth(field.saturating_sub(1)).unwrap_or_default()
                } else {
                    line
                };
                said.out.extend_from_slice(format!("{found}\n").as_bytes());
            }
        }
        "sort" => {
            let text = String::from_utf8_lossy(content);
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            if options.has('u') {
                lines.dedup();
            }
            for line in lines {
                said.out.extend_from_slice(line.as_bytes());
                said.out.push(b'\n');
            }
        }
        _ => said.out.extend_from_slice(content),
    }
    false
}

fn part(content: &[u8], head: bool, bytes: bool, count: usize) -> &[u8] {
    if bytes {
        let count = count.min(content.len());
        return if head {
            &content[..count]
        } else {
            &content[content.len() - count..]
        };
    }
    let mut lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
    let skip = if head {
        lines.truncate(count);
        0
    } else {
        lines.len().saturating_sub(count)
    };
    let before: usize = lines[..skip].iter().map(|line| line.len()).sum();
    let length: usize = lines[skip..].iter().map(|line| line.len()).sum();
    &content[before..before + length]
}

fn grep(options: &Options, path: &str, content: &[u8], said: &mut Said) -> bool {
    // Several files: each line says which it is from.
    let label = match options.paths.len() {
        0 | 1 => String::new(),
        _ => format!("{path}:"),
    };
    let pattern = if options.has('F') {
        regex::escape(&options.pattern)
    } else {
        options.pattern.clone()
    };
    let expression = regex::RegexBuilder::new(&pattern)
        .case_insensitive(options.has('i'))
        .build();
    let Ok(expression) = expression else {
        said.complain("grep: Invalid regular expression");
        return false;
    };
    let text = String::from_utf8_lossy(content);
    let hits: Vec<&str> = text
        .lines()
        .filter(|line| expression.is_match(line) != options.has('v'))
        .collect();
    if options.has('c') {
        said.out
            .extend_from_slice(format!("{}\n", hits.len()).as_bytes());
    } else if !options.has('q') {
        for line in &hits {
            said.out
                .extend_from_slice(format!("{label}{line}\n").as_bytes());
        }
    }
    !hits.is_empty()
}

/// `tr -d`: the input without a set of characters, each plain or as an octal escape.
fn delete(arguments: &[String], input: Vec<u8>) -> Said {
    let [set] = arguments else {
        return Said::err(1, "tr: only `tr -d SET` is known here");
    };
    let mut unwanted = Vec::new();
    let mut rest = set.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'\\' && after.len() >= 3 {
            let digits = std::str::from_utf8(&after[..3]).unwrap_or_default();
            if let Ok(byte) = u8::from_str_radix(digits, 8) {
                unwanted.push(byte);
                rest = &after[3..];
                continue;
            }
        }
        unwanted.push(*first);
    }
    Said::out(
        input
            .into_iter()
            .filter(|byte| !unwanted.contains(byte))
            .collect::<Vec<u8>>(),
    )
}
