//! One node's journal or file, attached again and again where it stopped.
//!
//! A journal has cursors: after a loss the next attachment begins behind the last entry that was seen. A file has a device,
//! an inode and a length: the next attachment begins at the byte that was read last, unless the file was rotated meanwhile,
//! which is told.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::journal;
use crate::client::conversation::{Followed, Source, SourceState, SourceWord};
use crate::domain::structured::{Columns, Level};
use crate::transport::{Chunk, ChunkSink, Command, Exit, Host};

/// The longest one attachment lasts before it is made anew.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// The longest line that is kept whole, bytes; the rest of a longer one is dropped.
const LINE: usize = 64 * 1024;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// By this line a file's attachment says where it begins: identity of the file, offset.
const MARK: &str = "quarterdeck-follows";
/// Says where it begins and follows the file by its name from there. `$1` file, `$2` lines of history, `$3` identity and `$4`
/// offset of the last attachment, empty for the first.
const FILE: &str = r#"[ -r "$1" ] || { echo "cannot be read" >&2; exit 66; }
id=$(stat -c %d:%i -- "$1") && size=$(($(wc -c < "$1"))) || exit 66
if { [ "$id" = "$3" ] || [ "$3" = "?" ]; } && [ "$4" -le "$size" ]; then at=$4
elif [ -n "$3" ]; then at=0
else at=$((size - $(tail -n "$2" -- "$1" | wc -c))); [ "$at" -ge 0 ] || at=0; fi
echo "quarterdeck-follows $id $at"
exec tail -c "+$((at + 1))" -F -- "$1""#;

/// What an attachment has to tell.
pub(super) enum Piece {
    Line(Followed),
    State(SourceState),
}

/// See the module.
pub(super) struct Attachment {
    node: String,
    host: Arc<dyn Host>,
    source: Source,
    tail: u32,
    /// Where the journal stood.
    cursor: Option<String>,
    /// Where the file stood.
    file: Option<(String, u64)>,
}

impl Attachment {
    pub(super) const fn new(node: String, host: Arc<dyn Host>, source: Source, tail: u32) -> Self {
        Self {
            node,
            host,
            source,
            tail,
            cursor: None,
            file: None,
        }
    }

    /// Follows until it is cancelled, nobody listens, or the node says that there is nothing to follow.
    pub(super) async fn keep(mut self, to: mpsc::Sender<Piece>, cancel: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        loop {
            if !self.tell(&to, SourceWord::Attaching, None).await {
                return;
            }
            let command = self.command();
            let mut reader = Reader {
                attachment: &mut self,
                to: &to,
                line: Vec::new(),
                length: 0,
                skipping: false,
                begun: false,
                complaint: String::new(),
            };
            let host = Arc::clone(&reader.attachment.host);
            let ended = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                () = to.closed() => return,
                ended = host.stream(&command, &mut reader, &cancel) => ended,
            };
            let (begun, complaint) = (reader.begun, std::mem::take(&mut reader.complaint));
            if begun {
                pause = FIRST_PAUSE;
            }
            let (reason, again) = match ended {
                Err(error) => (error.to_string(), error.is_passing()),
                // Ended from outside: the node shuts down, or somebody stopped it there.
                Ok(Exit::Signal(name)) => (format!("ended by signal {name}"), true),
                Ok(exit) => {
                    let said = complaint.trim();
                    let reason = if said.is_empty() {
                        exit.to_string()
                    } else {
                        format!("{exit}: {said}")
                    };
                    (reason, begun)
                }
            };
            let word = if again {
                SourceWord::Lost
            } else {
                SourceWord::Over
            };
            if !self.tell(&to, word, Some(reason)).await || !again {
                return;
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = to.closed() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn command(&self) -> Command {
        let argv: Vec<String> = match &self.source {
            Source::Journal { units } => {
                let mut argv: Vec<String> = ["journalctl", "-o", "json", "--no-pager", "-f"]
                    .map(String::from)
                    .into();
                argv.extend(units.iter().flat_map(|unit| ["-u".into(), unit.clone()]));
                match &self.cursor {
                    // All that came since: `-f` alone would show the last ten.
                    Some(cursor) => {
                        argv.extend(["-n".into(), "all".into()]);
                        argv.push(format!("--after-cursor={cursor}"));
                    }
                    None => argv.extend(["-n".into(), self.tail.to_string()]),
                }
                argv
            }
            Source::File { path } => {
                let (id, offset) = match &self.file {
                    Some((id, offset)) => (id.clone(), offset.to_string()),
                    None => (String::new(), String::new()),
                };
                let tail = self.tail.to_string();
                ["sh", "-c", FILE, "sh", path, &tail, &id, &offset]
                    .map(String::from)
                    .into()
            }
        };
        Command::new(argv).within(LONGEST)
    }

    async fn tell(
        &self,
        to: &mpsc::Sender<Piece>,
        word: SourceWord,
        reason: Option<String>,
    ) -> bool {
        let state = SourceState {
            node: self.node.clone(),
            word,
            reason,
        };
        to.send(Piece::State(state)).await.is_ok()
    }
}

/// Takes what one attachment says apart.
struct Reader<'a> {
    attachment: &'a mut Attachment,
    to: &'a mpsc::Sender<Piece>,
    line: Vec<u8>,
    /// Bytes of the line on the node, whatever of them was kept.
    length: u64,
    /// Within the rest of a line that was too long.
    skipping: bool,
    /// Whether something to follow has been seen.
    begun: bool,
    complaint: String,
}

impl Reader<'_> {
    async fn take(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.keep(&rest[..end]);
            rest = &rest[end + 1..];
            self.skipping = false;
            let line = std::mem::take(&mut self.line);
            let length = std::mem::take(&mut self.length) + 1;
            // Line by line: of one that was cut in two, the next attachment reads both halves.
            if self.begun
                && let Some((_, offset)) = &mut self.attachment.file
            {
                *offset += length;
            }
            self.entry(&String::from_utf8_lossy(&line)).await;
        }
        self.keep(rest);
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if self.skipping {
            return;
        }
        let room = LINE.saturating_sub(self.line.len()).min(bytes.len());
        self.line.extend_from_slice(&bytes[..room]);
        self.skipping = room < bytes.len();
    }

    async fn entry(&mut self, line: &str) {
        let arrived = Timestamp::now();
        let node = self.attachment.node.clone();
        let followed = match &self.attachment.source {
            Source::Journal { .. } => {
                let Some(entry) = journal::read(line) else {
                    return;
                };
                self.attachment.cursor = Some(entry.cursor);
                Followed {
                    node,
                    at: entry.at,
                    arrived,
                    unit: entry.unit,
                    level: entry.level,
                    text: entry.text,
                }
            }
            Source::File { .. } => {
                if !self.begun {
                    let Some(mark) = line.strip_prefix(MARK) else {
                        return;
                    };
                    self.begin(mark).await;
                    return;
                }
                Followed {
                    node,
                    at: time_of(line),
                    arrived,
                    unit: None,
                    level: Level::of_line(line),
                    text: line.to_owned(),
                }
            }
        };
        if !self.begun {
            self.following().await;
        }
        // When nobody listens any more the stream is dropped by `keep`.
        let _ = self.to.send(Piece::Line(followed)).await;
    }

    /// The line by which a file's attachment says where it begins.
    async fn begin(&mut self, mark: &str) {
        let mut words = mark.split_whitespace();
        let (Some(id), Some(at)) = (words.next(), words.next().and_then(|at| at.parse().ok()))
        else {
            return;
        };
        let rotated = self
            .attachment
            .file
            .as_ref()
            .is_some_and(|(known, _)| known != id && known != "?");
        self.attachment.file = Some((id.to_owned(), at));
        if rotated {
            let reason = "the file was replaced meanwhile; its end may not have been seen";
            let reason = Some(reason.to_owned());
            self.attachment
                .tell(self.to, SourceWord::Following, reason)
                .await;
            self.begun = true;
        } else {
            self.following().await;
        }
    }

    async fn following(&mut self) {
        self.begun = true;
        self.attachment
            .tell(self.to, SourceWord::Following, None)
            .await;
    }
}

#[async_trait]
impl ChunkSink for Reader<'_> {
    async fn chunk(&mut self, chunk: Chunk) {
        match chunk {
            Chunk::Stdout(bytes) => {
                self.take(&bytes).await;
            }
            Chunk::Stderr(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                // `tail -F` tells when it goes on with another file of the name, from its beginning.
                let moved = ["has been replaced", "has appeared", "file truncated"]
                    .iter()
                    .any(|words| text.contains(words));
                if moved && matches!(self.attachment.source, Source::File { .. }) {
                    // Which file that is, is not told; where in it we are, is counted from here.
                    self.attachment.file = self.attachment.file.take().map(|_| ("?".into(), 0));
                }
                let room = 1024_usize.saturating_sub(self.complaint.len());
                self.complaint.extend(text.chars().take(room));
            }
        }
    }
}

/// The time at the beginning of a line, where it has one that can be told without guessing a year or a zone (RFC 3339).
fn time_of(line: &str) -> Option<Timestamp> {
    let told = Columns::of(line).and_then(|columns| columns.time);
    if let Some(at) = told.and_then(|time| time.parse().ok()) {
        return Some(at);
    }
    let first = line.split_whitespace().next()?;
    first.trim_matches(['[', ']']).parse().ok()
}
