//! A file that is fetched where the engine is, verified, and pushed to the node: the node needs no internet.
//!
//! Fetched files stay in the cache under their checksum, so that ten nodes cost one download, and so does the next run.
//! What is large goes to the node in pieces ([`push`]), and an archive may be unpacked there ([`unpack`]).
//! A lock file per checksum lets one task fetch while the others wait, also those of another engine on this machine.

mod push;
mod unpack;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::checksum::{is_sha256, sha256_of, sha256_of_file};
use super::exec::look_well;
use super::meter::Meter;
use super::stat::{self, Kind, Seen};
use super::undo::{Back, Records};
use super::{Difference, Log, Means, ResourceError, file};
use crate::domain::resource::DownloadSpec;
use crate::domain::undo::{Before, UnpackedBefore};
use crate::transport::http::{self, HttpClient, HttpError, public};
use crate::transport::{FileMeta, Host, ReachError, Source};

/// How often a waiting task looks whether the fetching one is done.
const LOCK_POLL: Duration = Duration::from_millis(200);

pub(super) async fn check(
    spec: &DownloadSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    let mode = stat::parse_mode(&spec.mode)?;
    check_sum(&spec.sha256)?;
    let mut difference = Difference::default();
    let Some(seen) = stat::see(&spec.path, host, means).await? else {
        difference.note(format!("does not exist → {}", origin(spec)));
        return Ok(difference);
    };
    if seen.kind != Kind::File {
        difference.note(format!("{} → file", seen.kind.word()));
        return Ok(difference);
    }
    let found = sha256_of(&spec.path, host, means).await?;
    if !found.eq_ignore_ascii_case(&spec.sha256) {
        difference.note(format!(
            "SHA-256 {}… → {}…",
            &found[..12],
            &spec.sha256[..12]
        ));
    }
    stat::compare_meta(&seen, mode, "root", "root", &mut difference);
    if let Some(folder) = &spec.unpack {
        unpack::check(spec, folder, host, &mut difference).await?;
    }
    Ok(difference)
}

pub(super) async fn apply(
    spec: &DownloadSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let mode = stat::parse_mode(&spec.mode)?;
    check_sum(&spec.sha256)?;
    let seen = stat::see(&spec.path, host, means).await?;
    if let Some(seen) = &seen {
        if matches!(seen.kind, Kind::Directory | Kind::Other) {
            return Err(ResourceError::Unfit(format!(
                "{} is a {} on the node: move it away first",
                spec.path,
                seen.kind.word()
            )));
        }
        if content_is_there(spec, seen, host, means).await? {
            stat::set_meta(&spec.path, Some(seen), mode, "root", "root", host, means).await?;
            return unpacked(spec, host, means).await;
        }
    }
    let local = obtain(&spec.source, &spec.sha256, means).await?;
    push(spec, mode, &local, host, means).await?;
    let found = sha256_of(&spec.path, host, means).await?;
    if found.eq_ignore_ascii_case(&spec.sha256) {
        unpacked(spec, host, means).await
    } else {
        Err(ResourceError::Fetch {
            reason: format!(
                "{} arrived with SHA-256 {found} instead of {}: the node's disk or memory may be failing",
                spec.path, spec.sha256
            ),
            passing: true,
        })
    }
}

async fn unpacked(
    spec: &DownloadSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    match &spec.unpack {
        Some(folder) => unpack::apply(spec, folder, host, means).await,
        None => Ok(()),
    }
}

/// What is there before it is replaced; `None` for what [`apply`] will refuse.
pub(super) async fn remember(
    spec: &DownloadSpec,
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<Before>, ResourceError> {
    let file = file::undo::remember_download(spec, name, host, means).await?;
    let Some(folder) = &spec.unpack else {
        return Ok(file);
    };
    let mut unpacked = unpack::remember(spec, folder, host).await?;
    if let Some(Before::File(file)) = file {
        unpacked.file = Some(file);
    }
    Ok(Some(Before::Unpacked(unpacked)))
}

pub(super) async fn check_undo(
    before: &UnpackedBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Back, ResourceError> {
    let mut back = match &before.file {
        Some(kept) => file::undo::check(kept, host, means).await?,
        None => Back::default(),
    };
    unpack::check_undo(before, host, &mut back).await?;
    Ok(back)
}

pub(super) async fn take_back(
    before: &UnpackedBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    unpack::take_back(before, host, means).await?;
    match &before.file {
        Some(kept) => file::undo::take_back(kept, host, means).await,
        None => Ok(()),
    }
}

async fn content_is_there(
    spec: &DownloadSpec,
    seen: &Seen,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<bool, ResourceError> {
    Ok(seen.kind == Kind::File
        && sha256_of(&spec.path, host, means)
            .await?
            .eq_ignore_ascii_case(&spec.sha256))
}

fn check_sum(text: &str) -> Result<(), ResourceError> {
    if is_sha256(text) {
        Ok(())
    } else {
        Err(ResourceError::Unfit(format!(
            "{text:?} is no SHA-256: it has 64 hexadecimal digits"
        )))
    }
}

/// Whether a source has to be fetched.
pub fn is_url(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

/// Where it comes from, without user information.
fn origin(spec: &DownloadSpec) -> String {
    if is_url(&spec.source) {
        public(&spec.source)
    } else {
        spec.source.clone()
    }
}

fn failed(reason: String, passing: bool) -> ResourceError {
    ResourceError::Fetch { reason, passing }
}

/// The verified file here: the declared path itself, or the one in the cache.
async fn obtain(source: &str, sha256: &str, means: &Means<'_>) -> Result<PathBuf, ResourceError> {
    if !is_url(source) {
        let path = PathBuf::from(source);
        let found = sha256_of_file(&path)
            .await
            .map_err(|error| failed(format!("{source}: {error}"), false))?;
        if !found.eq_ignore_ascii_case(sha256) {
            return Err(failed(
                format!(
                    "{source}: the checksum is {found}, but {sha256} was declared; the file changed or the declaration \
                     is wrong"
                ),
                false,
            ));
        }
        return Ok(path);
    }
    let cached = kept(means.cache, sha256);
    tokio::fs::create_dir_all(means.cache)
        .await
        .map_err(|error| failed(format!("{}: {error}", means.cache.display()), false))?;
    let _lock = lock(&cached.with_extension("lock"), means).await?;
    if tokio::fs::try_exists(&cached).await.unwrap_or(false) {
        means.note("in the cache already").await;
        return Ok(cached);
    }
    if means.offline {
        return Err(failed(
            format!(
                "{} is not in the cache, and this run fetches nothing",
                public(source)
            ),
            false,
        ));
    }
    means.note(format!("fetching {}", public(source))).await;
    let client = HttpClient::new(None).map_err(|error| failed(error.to_string(), false))?;
    let (progress, reports) = Meter::new("fetched");
    let report = |done, total| progress.update(done, total);
    let work = client.download(source, sha256, &cached, &report, means.cancel);
    reports
        .tell_while(work, means.log)
        .await
        .map_err(|error| match error {
            HttpError::Cancelled => {
                ResourceError::Reach(ReachError::Cancelled { hop: "here".into() })
            }
            HttpError::Unreachable(_) | HttpError::Timeout(_) => {
                failed(format!("{}: {error}", public(source)), true)
            }
            error => failed(error.to_string(), false),
        })?;
    Ok(cached)
}

/// Brings what is at `source` to hand, verified, without any node: the path here, or in `cache`. What lies in the cache with
/// another checksum is fetched anew.
///
/// # Errors
/// [`ResourceError`] when it cannot be had: no answer, another checksum, a full disk, cancelled.
pub async fn bring(
    source: &str,
    sha256: &str,
    cache: &Path,
    log: &dyn Log,
    cancel: &CancellationToken,
) -> Result<PathBuf, ResourceError> {
    check_sum(sha256)?;
    let means = Means {
        log,
        cancel,
        cache,
        offline: false,
        changed: &[],
        records: &Unrecorded,
        position: 0,
    };
    if is_url(source) && !is_at_hand(source, sha256, cache).await {
        let kept = kept(cache, sha256);
        match tokio::fs::remove_file(&kept).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(format!("{}: {error}", kept.display()), false));
            }
            _ => {}
        }
    }
    obtain(source, sha256, &means).await
}

/// Nothing on any node is changed, so there is nothing to take back.
struct Unrecorded;

#[async_trait]
impl Records for Unrecorded {
    async fn name(&self, _: u32) -> Option<String> {
        None
    }

    async fn record(&self, _: u32, _: &Before) -> Result<(), String> {
        Ok(())
    }
}

/// Where the part of a file is that was fetched so far, until it is whole.
pub fn begun(cache: &Path, sha256: &str) -> PathBuf {
    http::part_of(&kept(cache, sha256))
}

/// Where what was fetched is kept.
pub fn kept(cache: &Path, sha256: &str) -> PathBuf {
    cache.join(sha256.to_ascii_lowercase())
}

/// Whether it need not be fetched: a path here, or a file in the cache, that has the checksum. What lies in the cache is read
/// as well, because it may have been put there by hand.
pub async fn is_at_hand(source: &str, sha256: &str, cache: &Path) -> bool {
    let path = if is_url(source) {
        kept(cache, sha256)
    } else {
        PathBuf::from(source)
    };
    let found = sha256_of_file(&path).await;
    found.is_ok_and(|found| found.eq_ignore_ascii_case(sha256))
}

/// Holds the lock file at `path` until it is dropped.
async fn lock(path: &Path, means: &Means<'_>) -> Result<File, ResourceError> {
    let failed = |error: std::io::Error| ResourceError::Fetch {
        reason: format!("{}: {error}", path.display()),
        passing: false,
    };
    let file = File::create(path).map_err(failed)?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => {}
            Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        if !told {
            told = true;
            means.note("waiting for another task that fetches it").await;
        }
        tokio::select! {
            () = sleep(LOCK_POLL) => {}
            () = means.cancel.cancelled() => {
                return Err(ResourceError::Reach(ReachError::Cancelled { hop: "here".into() }));
            }
        }
    }
}

async fn push(
    spec: &DownloadSpec,
    mode: u32,
    local: &Path,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    if let Some((parent, _)) = spec.path.rsplit_once('/')
        && !parent.is_empty()
    {
        look_well(host, ["mkdir", "-p", parent], means.cancel).await?;
    }
    let meta = FileMeta {
        mode,
        owner: "root".into(),
        group: "root".into(),
    };
    let (progress, reports) = Meter::new("pushed");
    let total = tokio::fs::metadata(local)
        .await
        .map_err(|error| failed(format!("{}: {error}", local.display()), false))?
        .len();
    if total >= push::IN_PIECES {
        let file = push::Pushed {
            local,
            total,
            sha256: &spec.sha256,
            path: &spec.path,
            mode,
        };
        let work = push::in_pieces(&file, host, means, &progress);
        return reports.tell_while(work, means.log).await;
    }
    let report = |done, total| progress.update(done, total);
    let source = Source::File(local.to_owned());
    let work = host.write(&spec.path, source, &meta, &report, means.cancel);
    Ok(reports.tell_while(work, means.log).await?)
}

#[cfg(test)]
mod tests;
