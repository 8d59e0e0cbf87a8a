//! Bringing a file to the node so that a cut connection costs a piece and not the whole.
//!
//! A large file goes in pieces, each written whole under a name of its own and then appended to a part beside the target.
//! The part's name holds the checksum of the whole, so another attempt, also that of another run, finds what is there
//! already and goes on behind it. It takes the target's place only when its checksum is right.

use std::io::SeekFrom;
use std::path::Path;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::super::checksum::sha256_of;
use super::super::exec::look_well;
use super::super::{Means, ResourceError};
use super::failed;
use crate::resources::meter::{Meter, size as shown};
use crate::transport::{FileMeta, Host, Source};

/// What a cut connection may cost at most; as many bytes are in memory for each node.
#[cfg(not(test))]
pub(super) const PIECE: u64 = 4 * 1024 * 1024;
#[cfg(test)]
pub(super) const PIECE: u64 = 4;
/// From here on a file goes in pieces.
pub(super) const IN_PIECES: u64 = 4 * PIECE;

/// Says how much of `$1` is there in whole pieces of `$2` bytes, and cuts off what was appended in part.
const THERE: &str = r#"umask 077; [ -e "$1" ] || : > "$1"; have=$(wc -c < "$1"); whole=$((have / $2));
[ "$((whole * $2))" = "$((have))" ] || dd if=/dev/null of="$1" bs="$2" seek="$whole" 2>/dev/null; echo "$((whole * $2))""#;
/// Appends the piece `$2` to `$1`, which has `$3` bytes.
const APPEND: &str = r#"[ "$(($(wc -c < "$1")))" = "$3" ] && cat -- "$2" >> "$1" && rm -f -- "$2""#;
/// Gives `$1` the owner `$4`, the mode `$3` and the name `$2`, in one step.
const PLACE: &str = r#"chown -- "$4" "$1" && chmod -- "$3" "$1" && { sync -- "$1" 2>/dev/null || :; } && mv -fT -- "$1" "$2""#;

/// Where the part of a file with this checksum is put together.
pub(super) fn part(path: &str, sha256: &str) -> String {
    format!("{path}.quarterdeck-{}", &sha256.to_ascii_lowercase()[..16])
}

/// A file on its way.
pub(super) struct Pushed<'a> {
    /// Where it is here.
    pub(super) local: &'a Path,
    /// Its size in bytes.
    pub(super) total: u64,
    pub(super) sha256: &'a str,
    /// Where it goes on the node.
    pub(super) path: &'a str,
    pub(super) mode: u32,
}

/// Brings a file to the node, from where an earlier attempt came to.
pub(super) async fn in_pieces(
    file: &Pushed<'_>,
    host: &dyn Host,
    means: &Means<'_>,
    meter: &Meter,
) -> Result<(), ResourceError> {
    let Pushed {
        local,
        total,
        sha256,
        path,
        mode,
    } = *file;
    let part = part(path, sha256);
    let size = PIECE.to_string();
    let there = look_well(host, ["sh", "-c", THERE, "sh", &part, &size], means.cancel).await?;
    let mut done: u64 = there.trim().parse().unwrap_or(0);
    if done > total {
        // Not of this file, whatever its name says.
        look_well(host, ["rm", "-f", "--", &part], means.cancel).await?;
        look_well(host, ["sh", "-c", THERE, "sh", &part, &size], means.cancel).await?;
        done = 0;
    }
    if done > 0 {
        means
            .note(format!(
                "{} are there already: goes on behind them",
                shown(done)
            ))
            .await;
    }
    let here = |error: std::io::Error| failed(format!("{}: {error}", local.display()), false);
    let mut file = tokio::fs::File::open(local).await.map_err(here)?;
    file.seek(SeekFrom::Start(done)).await.map_err(here)?;
    let next = format!("{part}-next");
    let private = FileMeta {
        mode: 0o600,
        owner: "root".into(),
        group: "root".into(),
    };
    while done < total {
        let mut piece = Vec::new();
        let taken = (&mut file)
            .take(PIECE)
            .read_to_end(&mut piece)
            .await
            .map_err(here)?;
        if taken == 0 {
            return Err(failed(
                format!("{} became shorter meanwhile", local.display()),
                true,
            ));
        }
        let content = Source::Bytes(Bytes::from(piece));
        host.write(&next, content, &private, &|_, _| {}, means.cancel)
            .await?;
        let before = done.to_string();
        look_well(
            host,
            ["sh", "-c", APPEND, "sh", &part, &next, &before],
            means.cancel,
        )
        .await?;
        done += taken as u64;
        meter.update(done, total);
    }
    let found = sha256_of(&part, host, means).await?;
    if !found.eq_ignore_ascii_case(sha256) {
        look_well(host, ["rm", "-f", "--", &part], means.cancel).await?;
        return Err(failed(
            format!(
                "{path} arrived with SHA-256 {found} instead of {sha256}: the node's disk or memory may be failing; what \
                 arrived was removed"
            ),
            true,
        ));
    }
    let mode = format!("{mode:04o}");
    look_well(
        host,
        ["sh", "-c", PLACE, "sh", &part, path, &mode, "root:root"],
        means.cancel,
    )
    .await?;
    Ok(())
}
