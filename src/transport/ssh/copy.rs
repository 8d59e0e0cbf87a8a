//! Files of any size, both ways, resumed where an earlier attempt was cut off.
//!
//! What has arrived lies under a name of its own beside the target ([`part_name`]) and takes the target's name in one step
//! when it is whole: there is never half a file under that name. Before a part is gone on with, both sides' SHA-256 of it
//! must agree; where the host cannot tell, it is begun anew. Copies are made as the login user.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures::stream;
use russh_sftp::protocol::FileAttributes;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use super::host::SshHost;
use super::sftp::{PIECE, Sftp};
use crate::transport::copy::{Copied, TreeEntry, digest_of_start, identity, part_name};
use crate::transport::{Command, Host as _, Progress, ReachError};

/// Hashes the first `$2` bytes of `$1`.
const HASH: &str = r#"head -c "$2" -- "$1" | sha256sum"#;

/// A session, or why there is none.
async fn session(host: &SshHost) -> Result<Sftp, ReachError> {
    Sftp::open(&host.link())
        .await?
        .ok_or_else(|| ReachError::Refused {
            hop: host.name().to_owned(),
            reason: "it has no SFTP, by which files are copied".into(),
        })
}

/// Copies the file `from` here to `to` on `host`.
pub(super) async fn push(
    host: &SshHost,
    from: &Path,
    to: &str,
    progress: Progress<'_>,
) -> Result<Copied, ReachError> {
    let here = |error: std::io::Error| host.file(&from.display().to_string(), error.to_string());
    let meta = tokio::fs::metadata(from).await.map_err(here)?;
    let (size, changed) = (meta.len(), meta.modified().ok());
    let sftp = session(host).await?;
    let part = part_name(to, &identity(size, changed));
    let _turn = host.turn(to).lock_owned().await;
    let there = sftp.stat(&part).await?.and_then(|found| found.size);
    let mut kept = there.filter(|bytes| *bytes <= size).unwrap_or(0);
    if kept > 0 {
        let ours = digest_of_start(from, kept).await.map_err(here)?;
        if remote_digest(host, &part, kept).await? != Some(ours) {
            kept = 0;
        }
    }
    if kept < size || there.is_none() {
        let pieces = pieces(from, kept).await.map_err(here)?;
        sftp.write_from(&part, kept, pieces, |end| progress(end, size))
            .await?;
    }
    let now = tokio::fs::metadata(from).await.map_err(here)?;
    if (now.len(), now.modified().ok()) != (size, changed) {
        let _ = sftp.remove(&part).await;
        return Err(here(std::io::Error::other("changed while it was copied")));
    }
    let done = sftp.stat(&part).await?.and_then(|found| found.size);
    if done != Some(size) {
        let reason = format!("{} of {size} bytes arrived", done.unwrap_or(0));
        return Err(host.file(&part, reason));
    }
    place(host, &sftp, &part, to, mode_of(&meta)).await?;
    Ok(Copied { size, kept })
}

fn mode_of(meta: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    meta.permissions().mode() & 0o777
}

/// Gives a whole part its mode and the target's name.
async fn place(
    host: &SshHost,
    sftp: &Sftp,
    part: &str,
    to: &str,
    mode: u32,
) -> Result<(), ReachError> {
    // A target that is there keeps its mode, as with cp.
    let mode = sftp
        .stat(to)
        .await?
        .and_then(|found| found.permissions)
        .map_or(mode, |found| found & 0o7777);
    let attributes = FileAttributes {
        permissions: Some(mode),
        ..FileAttributes::empty()
    };
    sftp.set(part, attributes).await?;
    if sftp.replace(part, to).await? {
        return Ok(());
    }
    let command = Command::new(["mv", "-f", "--", part, to]).as_login_user();
    let output = host.output(&command).await?;
    if output.exit.success() {
        Ok(())
    } else {
        Err(host.file(to, output.complaint()))
    }
}

/// What `host` says the first bytes of a file hash to; `None` where it has no program for that.
async fn remote_digest(
    host: &SshHost,
    path: &str,
    bytes: u64,
) -> Result<Option<String>, ReachError> {
    let count = bytes.to_string();
    let command = Command::new(["sh", "-c", HASH, "sh", path, &count])
        .as_login_user()
        .within(host.copy_limit(bytes));
    let output = host.output(&command).await?;
    let text = output.text();
    let digest = text.lines().last().and_then(|line| line.split(' ').next());
    Ok(digest
        .filter(|digest| output.exit.success() && digest.len() == 64)
        .map(ToOwned::to_owned))
}

/// A file here from an offset, in pieces.
async fn pieces(
    path: &Path,
    offset: u64,
) -> std::io::Result<impl stream::Stream<Item = std::io::Result<Bytes>> + use<>> {
    let mut file = tokio::fs::File::open(path).await?;
    file.seek(std::io::SeekFrom::Start(offset)).await?;
    Ok(stream::try_unfold(file, |mut file| async move {
        let mut piece = BytesMut::with_capacity(PIECE);
        // Full pieces: a short one is a request of its own all the same.
        while piece.len() < PIECE {
            if file.read_buf(&mut piece).await? == 0 {
                break;
            }
        }
        Ok((!piece.is_empty()).then(|| (piece.split().freeze(), file)))
    }))
}

/// Copies the file `from` on `host` to `to` here.
pub(super) async fn pull(
    host: &SshHost,
    from: &str,
    to: &Path,
    progress: Progress<'_>,
) -> Result<Copied, ReachError> {
    let target = to.display().to_string();
    let here = |error: std::io::Error| host.file(&target, format!("here: {error}"));
    let sftp = session(host).await?;
    let Some(found) = sftp.stat(from).await? else {
        return Err(host.file(from, "no such file or directory".into()));
    };
    let size = found.size.unwrap_or(0);
    let content = format!("{}:{from}/{size}/{}", host.name(), found.mtime.unwrap_or(0));
    let part = std::path::PathBuf::from(part_name(&target, &content));
    let there = tokio::fs::metadata(&part).await.map(|meta| meta.len()).ok();
    let mut kept = there.filter(|bytes| *bytes <= size).unwrap_or(0);
    if kept > 0 {
        let ours = digest_of_start(&part, kept).await.map_err(here)?;
        if remote_digest(host, from, kept).await? != Some(ours) {
            kept = 0;
        }
    }
    let mut options = tokio::fs::OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(kept == 0)
        .mode(0o600);
    let mut file = options.open(&part).await.map_err(here)?;
    file.set_len(kept).await.map_err(here)?;
    file.seek(std::io::SeekFrom::Start(kept))
        .await
        .map_err(here)?;
    let file = tokio::sync::Mutex::new(file);
    let done = AtomicU64::new(kept);
    sftp.read_from(from, kept, size, |piece| {
        let (file, done) = (&file, &done);
        async move {
            file.lock().await.write_all(&piece).await?;
            let count = piece.len() as u64;
            progress(done.fetch_add(count, Ordering::Relaxed) + count, size);
            Ok(())
        }
    })
    .await?;
    let mut file = file.into_inner();
    file.flush().await.map_err(here)?;
    let mode = found.permissions.map_or(0o644, |mode| mode & 0o777);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    file.set_permissions(mode).await.map_err(here)?;
    file.sync_all().await.map_err(here)?;
    drop(file);
    let now = sftp.stat(from).await?;
    let same = now.is_some_and(|now| (now.size, now.mtime) == (found.size, found.mtime));
    if !same {
        let _ = tokio::fs::remove_file(&part).await;
        return Err(host.file(from, "changed while it was copied".into()));
    }
    tokio::fs::rename(&part, to).await.map_err(here)?;
    Ok(Copied { size, kept })
}

/// Everything below `path` on `host`.
pub(super) async fn tree(host: &SshHost, path: &str) -> Result<Vec<TreeEntry>, ReachError> {
    session(host).await?.tree(path).await
}

/// Makes a directory on `host`, unless there is one.
pub(super) async fn make_directory(host: &SshHost, path: &str) -> Result<(), ReachError> {
    session(host).await?.make_directory(path).await
}

/// Whether there is a directory at `path` on `host`.
pub(super) async fn is_directory(host: &SshHost, path: &str) -> Result<bool, ReachError> {
    let found = session(host).await?.stat(path).await?;
    Ok(found.is_some_and(|found| found.file_type().is_dir()))
}
