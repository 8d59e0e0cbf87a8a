//! `upload` and `fetch`: files and whole directories, to a node and from it, with their progress in the log.
//!
//! A cut connection is tried again as the step says, and goes on where it stopped.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, interval};

use super::{Context, Outcome, StepError};
use crate::domain::recipe::CopyFiles;
use crate::transport::copy::{Copied, MOST_ENTRIES, TreeEntry};
use crate::transport::{Host, ReachError};

/// How often the log is told how far it is.
const TELL: Duration = Duration::from_secs(2);

/// `upload`: from here to the node.
pub(super) async fn upload(
    copy: &CopyFiles,
    host: &dyn Host,
    context: &Context,
) -> Result<Outcome, StepError> {
    let from = Path::new(&copy.from);
    if !from.is_absolute() {
        return Err(relative(&copy.from));
    }
    let root = from.to_owned();
    let entries = tokio::task::spawn_blocking(move || local_tree(&root))
        .await
        .map_err(|error| StepError::lasting(error.to_string()))?
        .map_err(|error| StepError::lasting(format!("{}: {error}", copy.from)))?;
    let base = base_of(host, &copy.to, &copy.from, &entries).await?;
    if context.dry_run {
        return Ok(would(copy, &entries, context).await);
    }
    let meter = Meter::new(&entries);
    let work = async {
        for entry in &entries {
            let target = below(&base, &entry.path);
            if entry.directory {
                host.make_directory(&target).await?;
                continue;
            }
            let source = if entry.path.is_empty() {
                from.to_owned()
            } else {
                from.join(&entry.path)
            };
            let before = meter.done();
            let copied = host
                .push(&source, &target, &|done, _| meter.at(before + done))
                .await?;
            meter.file(before, &copied);
        }
        Ok::<(), ReachError>(())
    };
    carry(work, &meter, context).await
}

/// `fetch`: from the node to here.
pub(super) async fn fetch(
    copy: &CopyFiles,
    host: &dyn Host,
    context: &Context,
) -> Result<Outcome, StepError> {
    // Each node's file in a directory of its own, so that none overwrites another's.
    let several = context.tasks.tasks().len() > 1;
    let to = Path::new(&copy.to);
    if !to.is_absolute() {
        return Err(relative(&copy.to));
    }
    let entries = host.tree(&copy.from).await?;
    if context.dry_run {
        return Ok(would(copy, &entries, context).await);
    }
    let name = copy.from.trim_end_matches('/').rsplit('/').next();
    let mut base: PathBuf = to.to_owned();
    if several {
        base.push(host.name());
    }
    if several
        || tokio::fs::metadata(&base)
            .await
            .is_ok_and(|meta| meta.is_dir())
    {
        base.push(name.unwrap_or_default());
    }
    let here = |path: &Path, error: &std::io::Error| {
        StepError::lasting(format!("{}: {error}", path.display()))
    };
    if let Some(folder) = base.parent().filter(|_| several) {
        tokio::fs::create_dir_all(folder)
            .await
            .map_err(|error| here(folder, &error))?;
    }
    for entry in entries.iter().filter(|entry| entry.directory) {
        let folder = inside(&base, &entry.path)?;
        tokio::fs::create_dir_all(&folder)
            .await
            .map_err(|error| here(&folder, &error))?;
    }
    let mut files = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.directory) {
        files.push((below(&copy.from, &entry.path), inside(&base, &entry.path)?));
    }
    let meter = Meter::new(&entries);
    let work = async {
        for (source, target) in &files {
            let before = meter.done();
            let copied = host
                .pull(source, target, &|done, _| meter.at(before + done))
                .await?;
            meter.file(before, &copied);
        }
        Ok::<(), ReachError>(())
    };
    carry(work, &meter, context).await
}

fn relative(path: &str) -> StepError {
    StepError::lasting(format!(
        "{path:?} is not absolute; the engine has another working directory than you"
    ))
}

/// So many files, in words.
fn number(files: usize) -> String {
    if files == 1 {
        "1 file".into()
    } else {
        format!("{files} files")
    }
}

async fn would(copy: &CopyFiles, entries: &[TreeEntry], context: &Context) -> Outcome {
    let bytes: u64 = entries.iter().map(|entry| entry.size).sum();
    let files = entries.iter().filter(|entry| !entry.directory).count();
    context
        .note(format!(
            "would copy {}, {}, from {} to {}",
            number(files),
            amount(bytes),
            copy.from,
            copy.to
        ))
        .await;
    Outcome::Changed
}

/// Where the copy goes on the node: as with cp(1), into a directory that is there, else under the name that was given.
async fn base_of(
    host: &dyn Host,
    to: &str,
    from: &str,
    entries: &[TreeEntry],
) -> Result<String, ReachError> {
    let name = from
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default();
    // A directory that is copied again goes over the one that is there, as rsync has it, when its name was given.
    let same = entries.first().is_some_and(|entry| entry.directory)
        && to.trim_end_matches('/').rsplit('/').next() == Some(name);
    if to.ends_with('/') {
        return Ok(below(to, name));
    }
    if !same && host.is_directory(to).await? {
        return Ok(below(to, name));
    }
    Ok(to.to_owned())
}

fn below(base: &str, path: &str) -> String {
    if path.is_empty() {
        base.to_owned()
    } else {
        format!("{}/{path}", base.trim_end_matches('/'))
    }
}

/// A path below `base` here; a node must not lead out of it.
fn inside(base: &Path, path: &str) -> Result<PathBuf, StepError> {
    use std::path::Component;
    let plain = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if plain {
        Ok(if path.is_empty() {
            base.to_owned()
        } else {
            base.join(path)
        })
    } else {
        Err(StepError::lasting(format!(
            "{path:?} would lead out of the directory"
        )))
    }
}

/// Everything below a path here, directories before what is in them; links are left out.
fn local_tree(root: &Path) -> std::io::Result<Vec<TreeEntry>> {
    let meta = std::fs::metadata(root)?;
    let mut entries = vec![TreeEntry {
        path: String::new(),
        directory: meta.is_dir(),
        size: if meta.is_dir() { 0 } else { meta.len() },
    }];
    let mut waiting = if meta.is_dir() {
        vec![String::new()]
    } else {
        Vec::new()
    };
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if !meta.is_dir() && !meta.is_file() {
                continue;
            }
            let name = entry
                .file_name()
                .into_string()
                .map_err(|name| std::io::Error::other(format!("{} is no UTF-8", name.display())))?;
            let path = if folder.is_empty() {
                name
            } else {
                format!("{folder}/{name}")
            };
            if meta.is_dir() {
                waiting.push(path.clone());
            }
            entries.push(TreeEntry {
                path,
                directory: meta.is_dir(),
                size: if meta.is_dir() { 0 } else { meta.len() },
            });
            if entries.len() > MOST_ENTRIES {
                return Err(std::io::Error::other(format!(
                    "has more than {MOST_ENTRIES} files; copy its parts"
                )));
            }
        }
    }
    Ok(entries)
}

/// How far a copy is.
struct Meter {
    total: u64,
    files: usize,
    done: AtomicU64,
    kept: AtomicU64,
    begun: Instant,
}

impl Meter {
    fn new(entries: &[TreeEntry]) -> Arc<Self> {
        Arc::new(Self {
            total: entries.iter().map(|entry| entry.size).sum(),
            files: entries.iter().filter(|entry| !entry.directory).count(),
            done: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            begun: Instant::now(),
        })
    }

    fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    fn at(&self, bytes: u64) {
        self.done.store(bytes, Ordering::Relaxed);
    }

    fn file(&self, before: u64, copied: &Copied) {
        self.kept.fetch_add(copied.kept, Ordering::Relaxed);
        self.at(before + copied.size);
    }

    /// Bytes per second of what went over the line.
    fn speed(&self) -> u64 {
        let moved = self
            .done()
            .saturating_sub(self.kept.load(Ordering::Relaxed));
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        moved.saturating_mul(1000) / millis.max(1)
    }

    fn progress(&self) -> String {
        let percent = self.done().saturating_mul(100) / self.total.max(1);
        format!(
            "{percent} % of {}, {}/s",
            amount(self.total),
            amount(self.speed())
        )
    }

    fn summary(&self) -> String {
        let kept = self.kept.load(Ordering::Relaxed);
        let resumed = if kept > 0 {
            format!(", {} of them there already", amount(kept))
        } else {
            String::new()
        };
        format!(
            "{}, {}{resumed}, {}/s",
            number(self.files),
            amount(self.total),
            amount(self.speed())
        )
    }
}

async fn carry(
    work: impl Future<Output = Result<(), ReachError>>,
    meter: &Meter,
    context: &Context,
) -> Result<Outcome, StepError> {
    let mut tell = interval(TELL);
    tell.tick().await;
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            () = context.cancel.cancelled() => return Err(StepError::cancelled()),
            done = &mut work => {
                done?;
                context.note(meter.summary()).await;
                return Ok(Outcome::Changed);
            }
            _ = tell.tick() => context.note(meter.progress()).await,
        }
    }
}

/// Bytes for people.
fn amount(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units() {
        assert_eq!(amount(512), "512 B");
        assert_eq!(amount(200 * 1024 * 1024), "200.0 MiB");
    }

    #[test]
    fn a_node_cannot_lead_out_of_the_directory() {
        let base = Path::new("/srv/in");
        assert_eq!(inside(base, "a/b").unwrap(), Path::new("/srv/in/a/b"));
        for bad in ["../x", "/etc/passwd", "a/../../x"] {
            assert!(inside(base, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_tree_here_has_directories_before_what_is_in_them_and_no_links() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::write(dir.path().join("a/b/c"), "123").unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("link")).unwrap();
        let tree = local_tree(dir.path()).unwrap();
        let paths: Vec<(&str, u64)> = tree
            .iter()
            .map(|entry| (entry.path.as_str(), entry.size))
            .collect();
        assert_eq!(paths, [("", 0), ("a", 0), ("a/b", 0), ("a/b/c", 3)]);
    }
}
