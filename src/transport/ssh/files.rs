//! Reading and replacing files on a host.
//!
//! Two ways: SFTP, when the login user may do it himself, and plain commands, when root must (through sudo) or the host has
//! no SFTP. Both write a file of another name beside the target, whole and with its owner and mode, and then rename it: in
//! one step, on one file system. That name is the same whenever this user of this machine writes that file, so what a cut
//! connection leaves behind is removed by the next attempt.

use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream, StreamExt as _};
use russh_sftp::protocol::FileAttributes;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;

use super::exec::Input;
use super::host::SshHost;
use super::sftp::{PIECE, Sftp};
use super::tame;
use crate::transport::{
    Chunk, ChunkSink, Command, Exit, FileMeta, Host as _, OUTPUT_LIMIT, Output, Progress,
    ReachError, Source,
};

/// Says what comes next is the file, so that a login shell that greets does not end up in it.
const READ: &str =
    r#"if [ -e "$1" ] || [ -L "$1" ]; then printf '%s\n' "$2"; exec cat -- "$1"; fi; exit 44"#;
/// The status by which [`READ`] says that there is no file.
const NO_FILE: u32 = 44;
/// Takes the content from standard input; readable by nobody else until it is whole. What does not fit is removed again.
const TAKE: &str = r#"umask 077; rm -f -- "$1" && cat > "$1" || { rm -f -- "$1"; exit 1; }"#;
/// Checks that all of it arrived, then owner, mode (after the owner: changing that clears set-user-ID), disk, name.
const PLACE: &str = r#"{ [ "$(($(wc -c < "$1")))" = "$3" ] || { echo "only a part of it arrived" >&2; false; }; } &&
chown -- "$4" "$1" && chmod -- "$5" "$1" && { sync -- "$1" 2>/dev/null || :; } && mv -fT -- "$1" "$2" ||
{ rm -f -- "$1"; exit 1; }"#;

/// Reads the file at `path` on `host`.
pub(super) async fn read(host: &SshHost, path: &str) -> Result<Option<Vec<u8>>, ReachError> {
    if !host.standing().await?.elevates
        && let Some(sftp) = Sftp::open(&host.link()).await?
    {
        return sftp.read(path).await;
    }
    let mark = format!("quarterdeck-{:016x}", fastrand::u64(..));
    let command = Command::new(["sh", "-c", READ, "sh", path, &mark]).within(host.file_limit());
    let mut content = Content {
        mark: format!("{mark}\n").into_bytes(),
        begun: false,
        bytes: Vec::new(),
        complaint: Vec::new(),
    };
    let exit = host
        .stream(&command, &mut content, &CancellationToken::new())
        .await?;
    match exit {
        Exit::Code(0) if content.bytes.len() > OUTPUT_LIMIT => {
            Err(host.file(path, format!("is larger than {} MiB", OUTPUT_LIMIT >> 20)))
        }
        Exit::Code(0) if content.begun => Ok(Some(content.bytes)),
        Exit::Code(NO_FILE) if !content.begun => Ok(None),
        exit => {
            let said = tame(&String::from_utf8_lossy(&content.complaint));
            let said = if said.is_empty() {
                exit.to_string()
            } else {
                said
            };
            Err(host.file(path, said))
        }
    }
}

/// Replaces the file at `path` on `host`.
pub(super) async fn write(
    host: &SshHost,
    path: &str,
    source: Source,
    meta: &FileMeta,
    progress: Progress<'_>,
    cancel: &CancellationToken,
) -> Result<(), ReachError> {
    // Two writers of one file would share the name it is prepared under.
    let turn = host.turn(path);
    let work = async {
        let _turn = turn.lock().await;
        let standing = host.standing().await?;
        if !standing.elevates
            && let Some(sftp) = Sftp::open(&host.link()).await?
        {
            let is_root = standing.is_root;
            return by_sftp(host, sftp, is_root, path, source, meta, progress).await;
        }
        by_commands(host, path, source, meta, progress).await
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(ReachError::Cancelled { hop: host.name().to_owned() }),
        done = work => done,
    }
}

async fn by_sftp(
    host: &SshHost,
    sftp: Sftp,
    is_root: bool,
    path: &str,
    source: Source,
    meta: &FileMeta,
    progress: Progress<'_>,
) -> Result<(), ReachError> {
    let temporary = beside(path);
    let total = size(host, &source).await?;
    // Root's number is the same everywhere; other names mean something only to the host.
    let roots_own = is_root && meta.owner == "root" && meta.group == "root";
    let attributes = FileAttributes {
        uid: roots_own.then_some(0),
        gid: roots_own.then_some(0),
        permissions: Some(meta.mode & 0o7777),
        ..FileAttributes::empty()
    };
    let pieces = pieces(source);
    sftp.write(&temporary, pieces, attributes, |done| {
        progress(done, total.max(done));
    })
    .await?;
    if roots_own && sftp.replace(&temporary, path).await? {
        return Ok(());
    }
    // A server that allows one session at a time must see this one end before the commands begin.
    drop(sftp);
    let owner = format!("{}:{}", meta.owner, meta.group);
    if !roots_own {
        step(host, path, ["chown", "--", &owner, &temporary]).await?;
        if meta.mode & 0o6000 != 0 {
            // Changing the owner has cleared them.
            let mode = format!("{:04o}", meta.mode & 0o7777);
            step(host, path, ["chmod", "--", &mode, &temporary]).await?;
        }
    }
    step(host, path, ["mv", "-fT", "--", &temporary, path]).await
}

async fn by_commands(
    host: &SshHost,
    path: &str,
    source: Source,
    meta: &FileMeta,
    progress: Progress<'_>,
) -> Result<(), ReachError> {
    let temporary = beside(path);
    let total = size(host, &source).await?;
    let input = match source {
        Source::Bytes(bytes) => {
            progress(0, total);
            Input::Bytes(bytes)
        }
        Source::File(file) => Input::File(file, total, progress),
    };
    let take = Command::new(["sh", "-c", TAKE, "sh", &temporary]).within(host.copy_limit(total));
    let output = host.output_of(&take, input).await?;
    judge(host, path, &output)?;
    let owner = format!("{}:{}", meta.owner, meta.group);
    let mode = format!("{:04o}", meta.mode & 0o7777);
    let length = total.to_string();
    let script = [
        "sh", "-c", PLACE, "sh", &temporary, path, &length, &owner, &mode,
    ];
    step(host, path, script).await?;
    progress(total, total);
    Ok(())
}

/// Runs one command of a replacement.
async fn step<'a>(
    host: &SshHost,
    path: &str,
    argv: impl IntoIterator<Item = &'a str>,
) -> Result<(), ReachError> {
    let command = Command::new(argv).within(host.file_limit());
    let output = host.output(&command).await?;
    judge(host, path, &output)
}

fn judge(host: &SshHost, path: &str, output: &Output) -> Result<(), ReachError> {
    if output.exit.success() {
        return Ok(());
    }
    let said = tame(&output.complaint());
    let said = if said.is_empty() {
        output.exit.to_string()
    } else {
        said
    };
    Err(host.file(path, said))
}

/// The name under which the file for `path` is prepared, in the same directory.
fn beside(path: &str) -> String {
    let (folder, name) = path
        .rsplit_once('/')
        .map_or(("", path), |(folder, name)| (&path[..=folder.len()], name));
    // The longest name that file systems take is 255 bytes; a shortened one must still be this file's own.
    let name = if name.len() > 200 {
        mark(name.as_bytes())
    } else {
        name.to_owned()
    };
    format!("{folder}.{name}.{}.quarterdeck", operator())
}

/// Tells this user of this machine from others who may write the same file.
fn operator() -> String {
    let machine = rustix::system::uname().nodename().to_bytes().to_vec();
    let user = rustix::process::getuid().as_raw().to_be_bytes();
    mark(&[machine.as_slice(), user.as_slice()].concat())
}

fn mark(bytes: &[u8]) -> String {
    crate::domain::hex(&Sha256::digest(bytes)[..4])
}

async fn size(host: &SshHost, source: &Source) -> Result<u64, ReachError> {
    match source {
        Source::Bytes(bytes) => Ok(bytes.len() as u64),
        Source::File(file) => match tokio::fs::metadata(file).await {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) => Err(host.file(&file.display().to_string(), format!("{error} (here)"))),
        },
    }
}

/// The content in pieces that fit into one request.
fn pieces(source: Source) -> impl Stream<Item = std::io::Result<Bytes>> {
    match source {
        Source::Bytes(bytes) => stream::iter(
            (0..bytes.len())
                .step_by(PIECE)
                .map(move |at| Ok(bytes.slice(at..(at + PIECE).min(bytes.len())))),
        )
        .left_stream(),
        Source::File(path) => stream::try_unfold(None, move |file| {
            let path = path.clone();
            async move { next_piece(file, &path).await }
        })
        .right_stream(),
    }
}

type Reading = Option<Arc<tokio::sync::Mutex<tokio::fs::File>>>;

async fn next_piece(file: Reading, path: &Path) -> std::io::Result<Option<(Bytes, Reading)>> {
    let file = match file {
        Some(file) => file,
        None => Arc::new(tokio::sync::Mutex::new(tokio::fs::File::open(path).await?)),
    };
    let mut piece = BytesMut::with_capacity(PIECE);
    let mut open = file.lock().await;
    // A short read would make a short request; the last piece may be one.
    while piece.len() < PIECE {
        let room = (PIECE - piece.len()) as u64;
        if (&mut *open).take(room).read_buf(&mut piece).await? == 0 {
            break;
        }
    }
    drop(open);
    Ok((!piece.is_empty()).then(|| (piece.freeze(), Some(file))))
}

/// Takes the output of [`READ`]: what follows the mark is the file.
struct Content {
    mark: Vec<u8>,
    begun: bool,
    /// The file, and one byte more than the limit if it is larger; before it begins, what the login shell said.
    bytes: Vec<u8>,
    complaint: Vec<u8>,
}

#[async_trait::async_trait]
impl ChunkSink for Content {
    async fn chunk(&mut self, chunk: Chunk) {
        match chunk {
            Chunk::Stdout(bytes) => {
                let room = (OUTPUT_LIMIT + 1 + self.mark.len()).saturating_sub(self.bytes.len());
                self.bytes
                    .extend_from_slice(&bytes[..room.min(bytes.len())]);
                if !self.begun
                    && let Some(at) = find(&self.bytes, &self.mark)
                {
                    self.begun = true;
                    self.bytes.drain(..at + self.mark.len());
                }
            }
            Chunk::Stderr(bytes) => {
                let room = 4096_usize.saturating_sub(self.complaint.len());
                self.complaint
                    .extend_from_slice(&bytes[..room.min(bytes.len())]);
            }
        }
    }
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len())
        .position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_prepared_in_its_own_directory_under_a_name_that_fits() {
        let name = beside("/etc/consul.d/consul.hcl");
        assert!(name.starts_with("/etc/consul.d/.consul.hcl."), "{name}");
        assert_eq!(name, beside("/etc/consul.d/consul.hcl"));
        assert!(beside("/hosts").starts_with("/.hosts."));
        assert!(beside("hosts").starts_with(".hosts."));
        let long = beside(&format!("/x/{}", "n".repeat(255)));
        assert!(long.rsplit('/').next().unwrap().len() <= 255, "{long}");
    }

    #[tokio::test]
    async fn what_a_login_shell_says_is_not_part_of_a_file() {
        let mut content = Content {
            mark: b"mark\n".to_vec(),
            begun: false,
            bytes: Vec::new(),
            complaint: Vec::new(),
        };
        for piece in ["Welcome!\nma", "rk\nline 1\n", "mark\n"] {
            content.chunk(Chunk::Stdout(piece.into())).await;
        }
        assert_eq!(content.bytes, b"line 1\nmark\n");
    }

    #[tokio::test]
    async fn the_pieces_of_a_source_are_its_content() {
        let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("content");
        std::fs::write(&file, &content).unwrap();
        for source in [Source::Bytes(content.clone().into()), Source::File(file)] {
            let read: Vec<Bytes> = pieces(source).map(Result::unwrap).collect().await;
            assert!(
                read[..read.len() - 1]
                    .iter()
                    .all(|piece| piece.len() == PIECE)
            );
            assert_eq!(read.concat(), content);
        }
        assert_eq!(pieces(Source::Bytes(Bytes::new())).count().await, 0);
    }
}
