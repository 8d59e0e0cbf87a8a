//! An interactive login on a simulated node: a prompt, a line editor as plain as a terminal driver's, and the simulated
//! shell for each line.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use russh::server::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};

use crate::lab::shell::Context;
use crate::lab::shell::io::{Io, Pipe, Write};
use crate::lab::world::World;
use crate::lab::world::files::FsError;

/// The longest line that is taken.
const LINE_LIMIT: usize = 4096;

/// A terminal's size: columns and rows.
pub(super) type Size = (u32, u32);

/// A login shell on a terminal.
pub(super) struct Login {
    pub(super) world: Arc<World>,
    pub(super) node: String,
    pub(super) user: String,
    pub(super) size: Size,
    pub(super) reads: ChannelReadHalf,
    pub(super) writes: Arc<ChannelWriteHalf<Msg>>,
}

/// What a key did to the line.
enum Key {
    Edited,
    Entered(String),
    /// ctrl-c.
    Dropped,
    /// ctrl-d on an empty line.
    End,
}

#[derive(Default)]
struct Line {
    text: Vec<u8>,
    /// Within an escape sequence, which is swallowed: there is no history and no cursor to move.
    escape: bool,
}

impl Line {
    /// Takes a byte; what to echo goes to `echo`.
    fn take(&mut self, byte: u8, echo: &mut Vec<u8>) -> Key {
        if self.escape {
            self.escape = !(byte.is_ascii_alphabetic() || byte == b'~');
            return Key::Edited;
        }
        match byte {
            b'\r' | b'\n' => {
                echo.extend_from_slice(b"\r\n");
                let text = std::mem::take(&mut self.text);
                return Key::Entered(String::from_utf8_lossy(&text).into_owned());
            }
            0x7f | 0x08 => {
                // The bytes that continue a character go with it.
                while self.text.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
                echo.extend_from_slice(b"\x08 \x08");
            }
            0x15 => {
                let cells = String::from_utf8_lossy(&self.text).chars().count();
                echo.extend_from_slice(b"\x08 \x08".repeat(cells).as_slice());
                self.text.clear();
            }
            0x03 => {
                echo.extend_from_slice(b"^C\r\n");
                self.text.clear();
                return Key::Dropped;
            }
            0x04 if self.text.is_empty() => return Key::End,
            0x1b => self.escape = true,
            byte if byte < 0x20 => {}
            byte if self.text.len() < LINE_LIMIT => {
                self.text.push(byte);
                echo.push(byte);
            }
            _ => {}
        }
        Key::Edited
    }
}

impl Login {
    /// Serves the operator until he leaves.
    pub(super) async fn run(mut self) {
        let status = self.session().await;
        // Failures below mean that the client is gone, which needs no answer.
        if let Some(status) = status {
            let _ = self.writes.exit_status(status).await;
        }
        let _ = self.writes.eof().await;
        let _ = self.writes.close().await;
    }

    /// `None` when the client is gone.
    async fn session(&mut self) -> Option<u32> {
        let (mut line, mut status) = (Line::default(), 0);
        self.write(format!(
            "Welcome to the simulated node {}; exit or ctrl-d leaves.\r\n",
            self.node
        ))
        .await?;
        self.prompt().await?;
        let mut waiting: Vec<u8> = Vec::new();
        loop {
            if waiting.is_empty() {
                waiting = self.next().await?;
                waiting.reverse();
            }
            let mut echo = Vec::new();
            let mut key = Key::Edited;
            while let Some(byte) = waiting.pop() {
                key = line.take(byte, &mut echo);
                if !matches!(key, Key::Edited) {
                    break;
                }
            }
            self.write(echo).await?;
            match key {
                Key::Edited => {}
                Key::Dropped => {
                    status = 130;
                    self.prompt().await?;
                }
                Key::End => {
                    self.write("exit\r\n").await?;
                    return Some(status);
                }
                Key::Entered(text) => match text.split_whitespace().collect::<Vec<_>>()[..] {
                    [] => self.prompt().await?,
                    ["exit" | "logout"] => return Some(status),
                    ["exit", number] => return Some(number.parse().unwrap_or(2)),
                    ["stty", "size"] => {
                        let (columns, rows) = self.size;
                        self.write(format!("{rows} {columns}\r\n")).await?;
                        status = 0;
                        self.prompt().await?;
                    }
                    _ => {
                        status = self.execute(&text, &mut waiting).await?;
                        self.prompt().await?;
                    }
                },
            }
        }
    }

    /// Runs a line; ctrl-c ends it, what else is typed meanwhile waits for its turn.
    async fn execute(&mut self, line: &str, waiting: &mut Vec<u8>) -> Option<u32> {
        let sink = Arc::new(Screen {
            writes: Arc::clone(&self.writes),
            after_return: Mutex::new(false),
        });
        let io = Io {
            stdin: Pipe::full(Vec::new()),
            out: sink.clone(),
            err: sink,
        };
        let context = Context::new(
            Arc::clone(&self.world),
            self.node.clone(),
            self.user.clone(),
            io,
        );
        let work = context.run_line(line);
        tokio::pin!(work);
        loop {
            let message = tokio::select! {
                status = &mut work => return Some(status),
                message = self.reads.wait() => message?,
            };
            match message {
                ChannelMsg::Data { data } if data.contains(&0x03) => {
                    let _ = self.writes.data_bytes(Bytes::from_static(b"^C\r\n")).await;
                    return Some(130);
                }
                ChannelMsg::Data { data } if waiting.len() < LINE_LIMIT => {
                    // Kept last first.
                    waiting.splice(0..0, data.iter().rev().copied());
                }
                ChannelMsg::WindowChange {
                    col_width,
                    row_height,
                    ..
                } => self.size = (col_width, row_height),
                ChannelMsg::Close => return None,
                _ => {}
            }
        }
    }

    /// What is typed next; `None` when nobody types any more.
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.reads.wait().await? {
                ChannelMsg::Data { data } => return Some(data.to_vec()),
                ChannelMsg::WindowChange {
                    col_width,
                    row_height,
                    ..
                } => self.size = (col_width, row_height),
                // A script that was piped in has been read to its end.
                ChannelMsg::Eof => return Some(vec![0x04]),
                ChannelMsg::Close => return None,
                _ => {}
            }
        }
    }

    async fn prompt(&self) -> Option<()> {
        let sign = if self.user == "root" { '#' } else { '$' };
        let prompt = format!("\x1b[1;32m{}@{}\x1b[0m:~{sign} ", self.user, self.node);
        self.write(prompt).await
    }

    async fn write(&self, bytes: impl Into<Bytes>) -> Option<()> {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Some(());
        }
        self.writes.data_bytes(bytes).await.ok()
    }
}

/// Output on a terminal, whose driver returns the carriage at the end of each line.
struct Screen {
    writes: Arc<ChannelWriteHalf<Msg>>,
    /// Whether the last byte was a carriage return already.
    after_return: Mutex<bool>,
}

#[async_trait]
impl Write for Screen {
    async fn write(&self, bytes: Bytes) -> Result<(), FsError> {
        let mut text = Vec::with_capacity(bytes.len() + 16);
        {
            let mut after = self
                .after_return
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            for byte in bytes {
                if byte == b'\n' && !*after {
                    text.push(b'\r');
                }
                *after = byte == b'\r';
                text.push(byte);
            }
        }
        self.writes
            .data_bytes(Bytes::from(text))
            .await
            .map_err(|_| FsError::BrokenPipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &str) -> (Vec<String>, String) {
        let (mut line, mut echo, mut entered) = (Line::default(), Vec::new(), Vec::new());
        for byte in keys.bytes() {
            if let Key::Entered(text) = line.take(byte, &mut echo) {
                entered.push(text);
            }
        }
        (entered, String::from_utf8(echo).unwrap())
    }

    #[test]
    fn a_line_is_edited_with_backspace_and_ctrl_u_and_arrows_do_nothing() {
        assert_eq!(typed("lx\x7fs\r").0, ["ls"]);
        assert_eq!(typed("rm -rf /\x15uptime\r").0, ["uptime"]);
        assert_eq!(typed("up\x1b[Dtime\r").0, ["uptime"]);
        assert_eq!(typed("é\x7fok\r").0, ["ok"]);
    }

    #[test]
    fn what_is_typed_is_echoed() {
        assert_eq!(typed("id\r").1, "id\r\n");
    }
}
