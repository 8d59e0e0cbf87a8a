//! From a store to the shelf in one pass: what arrives is verified, encrypted where that is asked for, and written, piece by
//! piece. Where it is encrypted, nothing of it reaches the disk in plain text.
//!
//! ```text
//! store ── put ──► [channel] ──► Tee ──┬─► contents::verify
//!                                      └─► age ──► temporary file ── fsync ──► Filed::keep renames it
//! ```
//!
//! The temporary file is gone on every way out but the last: a flaw, a full disk, a store that stops in the middle, a run
//! that is cancelled. What a killed engine leaves is removed when the next one starts ([`super::shelf::Shelf::sweep`]).

use std::io::{self, Read, Write};
use std::path::Path;

use bytes::{Buf as _, Bytes};
use sha2::{Digest as _, Sha256};
use tempfile::{NamedTempFile, TempPath};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::contents::{self, Contents, Flaw};
use super::sealing::Recipients;
use crate::domain::backup::StoreKind;

/// How the name of a file begins that is not a snapshot yet.
pub(super) const UNFINISHED: &str = ".taking-";
/// Pieces that may wait for the disk; then the store waits.
const AHEAD: usize = 16;

/// What a disk said at `place`, and what to do about it.
pub(crate) fn trouble(place: &Path, error: &io::Error) -> String {
    let hint = if error.kind() == io::ErrorKind::StorageFull {
        "; make room there, or keep fewer (`keep` of the step)"
    } else {
        ""
    };
    format!("{}: {error}{hint}", place.display())
}

/// Why there is no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// What came is no good.
    #[error("what it sent is no good snapshot and was thrown away: {0}")]
    Flaw(#[from] Flaw),
    /// The disk did not take it.
    #[error("{0}")]
    Disk(String),
}

enum Piece {
    Bytes(Bytes),
    /// The store says that this was all.
    End,
}

/// Takes in one snapshot.
pub struct Intake {
    pieces: mpsc::Sender<Piece>,
    worker: JoinHandle<Result<Filed, IntakeError>>,
    received: u64,
    report: Box<dyn Fn(u64) + Send + Sync>,
}

/// A snapshot that is whole, verified and on disk, and not kept yet.
#[derive(Debug)]
pub struct Filed {
    /// What it says of itself.
    pub contents: Contents,
    /// The file's size, bytes.
    pub size: u64,
    /// The file's SHA-256, 64 hexadecimal digits.
    pub sha256: String,
    /// SHA-256 of what the store sent, before any encryption.
    pub plain_sha256: [u8; 32],
    path: TempPath,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Intake({} bytes)", self.received)
    }
}

impl Intake {
    /// Begins, in the directory `folder`. `report` hears how many bytes have come.
    ///
    /// # Errors
    /// [`IntakeError::Disk`] when no file can be made there.
    pub fn begin(
        kind: StoreKind,
        folder: &Path,
        recipients: Recipients,
        report: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<Self, IntakeError> {
        let place = folder.to_owned();
        let file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempfile_in(folder)
            .map_err(|error| IntakeError::Disk(trouble(&place, &error)))?;
        let (pieces, arriving) = mpsc::channel(AHEAD);
        let worker = tokio::task::spawn_blocking(move || {
            file_away(kind, file, &recipients, arriving, &place)
        });
        Ok(Self {
            pieces,
            worker,
            received: 0,
            report: Box::new(report),
        })
    }

    /// Takes one piece; `false` when no more is wanted, because it is known to be no good or the disk is full:
    /// [`Intake::finish`] tells.
    pub async fn put(&mut self, bytes: Bytes) -> bool {
        self.received += bytes.len() as u64;
        (self.report)(self.received);
        self.pieces.send(Piece::Bytes(bytes)).await.is_ok()
    }

    /// The store says that this was all of it.
    ///
    /// # Errors
    /// [`IntakeError`] when it is no good or could not be written; nothing of it is left then.
    pub async fn finish(self) -> Result<Filed, IntakeError> {
        // Nobody hears it where it is known already that it is no good.
        let _ = self.pieces.send(Piece::End).await;
        drop(self.pieces);
        self.worker
            .await
            .map_err(|error| IntakeError::Disk(format!("writing it stopped: {error}")))?
    }
}

impl Filed {
    /// Puts it in its place.
    ///
    /// # Errors
    /// When the directory does not take it; it is gone then.
    pub fn keep(self, into: &Path) -> io::Result<()> {
        self.path.persist(into).map_err(|error| error.error)
    }
}

fn file_away(
    kind: StoreKind,
    file: NamedTempFile,
    recipients: &Recipients,
    arriving: mpsc::Receiver<Piece>,
    place: &Path,
) -> Result<Filed, IntakeError> {
    let disk = |error: io::Error| IntakeError::Disk(trouble(place, &error));
    let (file, path) = file.into_parts();
    let counted = Counted {
        file,
        digest: Sha256::new(),
        size: 0,
    };
    let sink = if recipients.is_empty() {
        Sink::Plain(counted)
    } else {
        Sink::Sealed(Box::new(recipients.seal(counted).map_err(disk)?))
    };
    let mut tee = Tee {
        arriving,
        rest: Bytes::new(),
        ended: false,
        digest: Sha256::new(),
        sink,
        trouble: None,
    };
    let verified = contents::verify(kind, &mut tee);
    if let Some(trouble) = tee.trouble.take() {
        return Err(disk(trouble));
    }
    let contents = verified?;
    // A verifier that was content before the end has not seen what may be wrong behind it.
    let behind = io::copy(&mut tee, &mut io::sink());
    if let Some(trouble) = tee.trouble.take() {
        return Err(disk(trouble));
    }
    if behind.map_err(Flaw::from)? > 0 {
        return Err(Flaw::new("there is something behind its end").into());
    }
    let counted = match tee.sink {
        Sink::Plain(counted) => counted,
        Sink::Sealed(writer) => writer.finish().map_err(disk)?,
    };
    counted.file.sync_all().map_err(disk)?;
    Ok(Filed {
        contents,
        size: counted.size,
        sha256: crate::domain::hex(&counted.digest.finalize()),
        plain_sha256: tee.digest.finalize().into(),
        path,
    })
}

/// Hands on what arrives, and writes it down on the way.
struct Tee {
    arriving: mpsc::Receiver<Piece>,
    rest: Bytes,
    ended: bool,
    digest: Sha256,
    sink: Sink,
    /// Why the disk did not take something: that is no flaw of the snapshot.
    trouble: Option<io::Error>,
}

impl Read for Tee {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            if self.ended {
                return Ok(0);
            }
            match self.arriving.blocking_recv() {
                Some(Piece::Bytes(bytes)) => {
                    self.digest.update(&bytes);
                    if let Err(error) = self.sink.write_all(&bytes) {
                        let told = io::Error::new(error.kind(), "the disk does not take it");
                        self.trouble = Some(error);
                        return Err(told);
                    }
                    self.rest = bytes;
                }
                Some(Piece::End) => self.ended = true,
                // The store broke off.
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let count = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

enum Sink {
    Plain(Counted),
    Sealed(Box<age::stream::StreamWriter<Counted>>),
}

impl Sink {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(into) => into.write_all(bytes),
            Self::Sealed(into) => into.write_all(bytes),
        }
    }
}

/// A file, and what was written to it.
struct Counted {
    file: std::fs::File,
    digest: Sha256,
    size: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.digest.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::contents::tests::etcd_snapshot;
    use super::super::sealing::{Identity, tests::pair};
    use super::*;

    async fn fed(
        folder: &Path,
        recipients: Recipients,
        pieces: &[&[u8]],
        ends: bool,
    ) -> Result<Filed, IntakeError> {
        let mut intake = Intake::begin(StoreKind::Etcd, folder, recipients, |_| {})?;
        for piece in pieces {
            intake.put(Bytes::copy_from_slice(piece)).await;
        }
        if ends {
            intake.finish().await
        } else {
            let Intake { pieces, worker, .. } = intake;
            drop(pieces);
            worker.await.unwrap()
        }
    }

    fn left(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[tokio::test]
    async fn what_is_whole_is_kept_as_it_came() {
        let folder = tempfile::tempdir().unwrap();
        let whole = etcd_snapshot();
        let (one, two) = whole.split_at(5000);
        let filed = fed(folder.path(), Recipients::default(), &[one, two], true)
            .await
            .unwrap();
        assert_eq!((filed.size, filed.contents.state), (8224, 8192));
        assert_eq!(filed.sha256, crate::domain::hex(&filed.plain_sha256));
        let into = folder.path().join("kept");
        filed.keep(&into).unwrap();
        assert_eq!(std::fs::read(&into).unwrap(), whole);
        assert_eq!(left(folder.path()), 1);
    }

    #[tokio::test]
    async fn what_breaks_off_is_cut_or_is_followed_by_more_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let whole = etcd_snapshot();
        for (pieces, ends, says) in [
            (vec![&whole[..]], false, "it ends in the middle"),
            (vec![&whole[..5000]], true, "it ends in the middle"),
            (vec![], true, "it is empty"),
            (vec![&whole[..], &[0][..]], true, "it ends in the middle"),
        ] {
            let error = fed(folder.path(), Recipients::default(), &pieces, ends)
                .await
                .unwrap_err();
            assert!(error.to_string().ends_with(says), "{error}");
            assert_eq!(left(folder.path()), 0);
        }
    }

    #[tokio::test]
    async fn what_is_for_recipients_is_never_in_plain_text_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let (recipient, secret) = pair();
        let recipients = Recipients::read(&[recipient]).unwrap();
        let whole = etcd_snapshot();
        let filed = fed(folder.path(), recipients, &[&whole], true)
            .await
            .unwrap();
        let into = folder.path().join("kept");
        filed.keep(&into).unwrap();
        let bytes = std::fs::read(&into).unwrap();
        assert!(bytes.starts_with(b"age-encryption.org/v1"));
        assert!(!bytes.windows(64).any(|window| window == &whole[100..164]));
        let reader = Identity::read(&secret).unwrap().unseal(&into).unwrap();
        assert_eq!(
            contents::verify(StoreKind::Etcd, reader).unwrap().state,
            8192
        );
    }
}
