//! The first start on a terminal: which screens are shown on which engine, one after the other, and the disk under them.
//!
//! Before there are files the screens run on an engine of this process that has no workspace; once they are written, on the
//! workspace's own. In between the terminal is given back for a moment.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

use super::draft::Draft;
use super::kept;
use crate::cli::background;
use crate::cli::exit::Exit;
use crate::cli::screens::{self, Shown};
use crate::cli::session::Session;
use crate::cli::{Global, Look, lab};
use crate::config::FILE;
use crate::domain::bootstrap::{ADOPTED, Answers, Member, usual_variable};
use crate::domain::hex;
use crate::tui::{Beginning, Drafted, Ground, Outcome, Place};

/// Guides through the first start of a workspace at `dir`; where there is one, through what is left to do.
///
/// # Errors
/// When there is no terminal, or the workspace there cannot be used.
pub(in crate::cli) async fn guide(
    global: &Global,
    look: &Look,
    dir: &Path,
) -> color_eyre::Result<Exit> {
    screens::require_terminal()?;
    let exists = dir.join(FILE).exists();
    if exists {
        return on_workspace(global, look, Some(dir), Place::Wizard).await;
    }
    let session = Session::without_workspace(global, dir).await?;
    let site = Site::new(global, dir);
    let (exit, outcome) = screens::show(session, look, Shown::at(Place::Wizard, site)).await?;
    go_on(global, look, dir, exit, outcome).await
}

/// Opens the screens on a workspace, the one at `dir` or the one found from here, and goes on where they send one.
///
/// # Errors
/// As [`guide`].
pub(in crate::cli) async fn on_workspace(
    global: &Global,
    look: &Look,
    dir: Option<&Path>,
    place: Place,
) -> color_eyre::Result<Exit> {
    let global = Global {
        workspace: dir.map(Path::to_owned).or_else(|| global.workspace.clone()),
        ..global.clone()
    };
    let session = Session::open(&global, background::SCREENS).await?;
    let root = session.workspace.root.clone();
    let site = Site::new(&global, &root);
    let written = here(&site, &session);
    let site = site.on(written);
    let (exit, outcome) = screens::show(session, look, Shown::at(place, site)).await?;
    go_on(&global, look, &root, exit, outcome).await
}

/// Where the screens sent one.
async fn go_on(
    global: &Global,
    look: &Look,
    dir: &Path,
    exit: Exit,
    outcome: Outcome,
) -> color_eyre::Result<Exit> {
    match outcome {
        Outcome::Leave => Ok(exit),
        Outcome::Lab(stack) => {
            let args = lab::LabArgs::bare(stack)?.guided(stack.is_some());
            Box::pin(lab::lab(global, look, args)).await
        }
        Outcome::Written(_) => Box::pin(on_workspace(global, look, Some(dir), Place::Wizard)).await,
    }
}

/// The environment that the first start is about: the one it was left at, else the one that is shown first.
fn here(site: &Site, session: &Session) -> Option<String> {
    let workspace = &session.workspace;
    let left = site
        .kept
        .as_ref()
        .map(|answers| answers.environment.clone());
    left.filter(|name| workspace.environment(name).is_some())
        .or_else(|| Some(workspace.first_environment()?.name.clone()))
}

/// The disk, as far as the first start needs it.
pub(in crate::cli) struct Site {
    global: Global,
    dir: PathBuf,
    written: Option<String>,
    /// What an earlier start was left with.
    kept: Option<Answers>,
    /// Why that cannot be had.
    trouble: Option<String>,
}

impl Site {
    /// For a workspace at `dir`, which may not be there yet.
    pub(in crate::cli) fn new(global: &Global, dir: &Path) -> Self {
        let (kept, trouble) = match kept::kept(global, dir) {
            Ok(kept) => (kept, None),
            Err(reason) => (None, Some(reason)),
        };
        Self {
            global: global.clone(),
            dir: dir.to_owned(),
            written: None,
            kept,
            trouble,
        }
    }

    /// The same, of which the files of the environment `written` are there already.
    pub(in crate::cli) fn on(self, written: Option<String>) -> Self {
        Self { written, ..self }
    }

    /// The environment that it is about.
    pub(in crate::cli) fn environment(&self) -> Option<String> {
        self.written.clone()
    }
}

/// Does work with the disk where it may wait.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(format!("this was broken off: {error}")))
}

#[async_trait]
impl Ground for Site {
    fn beginning(&self) -> Beginning {
        Beginning {
            resumed: self.kept.is_some(),
            trouble: self.trouble.clone(),
            answers: self.kept.clone().unwrap_or_default(),
            dir: self.dir.clone(),
            exists: self.dir.join(FILE).exists(),
            written: self.written.clone(),
            home: std::env::home_dir(),
            variables: ADOPTED
                .into_iter()
                .filter_map(usual_variable)
                .filter(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
                .map(ToOwned::to_owned)
                .collect(),
        }
    }

    async fn remember(&self, answers: &Answers) -> Result<(), String> {
        let (global, dir, answers) = (self.global.clone(), self.dir.clone(), answers.clone());
        aside(move || kept::keep(&global, &dir, &answers).map(drop)).await
    }

    async fn draft(&self, answers: &Answers, members: &[Member]) -> Result<Drafted, String> {
        let (dir, answers, members) = (self.dir.clone(), answers.clone(), members.to_vec());
        aside(move || {
            let draft = Draft::new(&dir, &answers, &members)?;
            Ok(Drafted {
                lines: draft.lines(),
                replaces: draft.replaces(),
                is_written: draft.is_written(),
                seen: draft.old,
            })
        })
        .await
    }

    async fn write(
        &self,
        answers: &Answers,
        members: &[Member],
        seen: Vec<Option<String>>,
    ) -> Result<(), String> {
        if self.global.read_only {
            return Err("this is read-only: nothing was written".into());
        }
        let (dir, answers, members) = (self.dir.clone(), answers.clone(), members.to_vec());
        aside(move || {
            let mut draft = Draft::new(&dir, &answers, &members)?;
            // What was shown is what may be replaced.
            draft.old = seen;
            draft.write()
        })
        .await
    }

    async fn checksum(&self, path: &str) -> Result<String, String> {
        let path = PathBuf::from(path);
        aside(move || {
            let told = |error: std::io::Error| format!("{}: {error}", path.display());
            if !std::fs::metadata(&path).map_err(told)?.is_file() {
                return Err(format!("{}: not a regular file", path.display()));
            }
            let mut file = std::fs::File::open(&path).map_err(told)?;
            let mut hasher = Sha256::new();
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let read = std::io::Read::read(&mut file, &mut buffer).map_err(told)?;
                if read == 0 {
                    return Ok(hex(&hasher.finalize()));
                }
                hasher.update(&buffer[..read]);
            }
        })
        .await
    }
}
