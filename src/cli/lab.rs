//! `quarterdeck lab`: the practice cluster, and the screens on it.

use std::fs::{self, File, TryLockError};
use std::sync::Arc;

use clap::Args;

use super::bootstrap::Site;
use super::exit::{Ended, Exit};
use super::screens::{self, Practice, Shown};
use super::session::{Endings, Session, state_dir};
use super::{Global, Look, output};
use crate::clock::SystemClock;
use crate::domain::stack::Stack;
use crate::lab::{Lab, LabSettings};
use crate::tui::Place;

/// Says how fast simulated work goes, where no flag does.
const PACE: &str = "QUARTERDECK_LAB_PACE";

/// Flags of `quarterdeck lab`.
#[derive(Debug, Args)]
pub(super) struct LabArgs {
    /// Decides everything that is left to chance in the practice cluster
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How fast simulated work goes: 1 as in life, 0 without waiting
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR", env = PACE)]
    pace: f32,
    /// Begin with bare boards, to deploy this stack on them: consul, nomad or kubernetes
    #[arg(long, value_name = "STACK", value_parser = stack)]
    bare: Option<Stack>,
    /// Open no screens: print the workspace's directory, and run until interrupted
    #[arg(long)]
    headless: bool,
    /// Whether to begin with what there is to do.
    #[arg(skip)]
    guided: bool,
}

impl LabArgs {
    /// As `quarterdeck lab`, or with a stack as `quarterdeck lab --bare STACK`.
    ///
    /// # Errors
    /// [`Exit::Unusable`] when the lab has no such stack.
    pub(super) fn bare(stack: Option<Stack>) -> Result<Self, Ended> {
        let bare = stack
            .map(|stack| self::stack(stack.word()))
            .transpose()
            .map_err(Ended::unusable)?;
        Ok(Self {
            seed: 1,
            pace: std::env::var(PACE)
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or(1.0),
            bare,
            headless: false,
            guided: false,
        })
    }

    /// Beginning with what there is to do.
    pub(super) fn guided(self, guided: bool) -> Self {
        Self { guided, ..self }
    }
}

/// Reads a stack that can be deployed in the lab.
fn stack(text: &str) -> Result<Stack, String> {
    match text.parse() {
        Ok(stack @ (Stack::Consul | Stack::Nomad | Stack::Kubernetes)) => Ok(stack),
        Ok(other) => Err(format!(
            "{other} cannot be deployed in the lab yet; consul, nomad and kubernetes can"
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// Starts the practice cluster.
///
/// # Errors
/// When it cannot be started, or another one of this user is running.
pub(super) async fn lab(global: &Global, look: &Look, args: LabArgs) -> color_eyre::Result<Exit> {
    if !args.headless {
        // Before anything is started: nobody could see it.
        screens::require_terminal()?;
    }
    // What is printed must hold from any directory, whatever --state-dir said.
    let home = std::path::absolute(state_dir(global)?.join("lab")).map_err(Ended::unusable)?;
    let _lock = claim(&home)?;
    let dir = home.join("workspace");
    // Every lab begins anew, but what somebody wrote to practise with is his own.
    let (recipes, kept) = (dir.join("recipes"), home.join("recipes"));
    if recipes.exists() {
        fs::rename(&recipes, &kept).map_err(|error| unusable(&kept, &error))?;
    }
    if dir.exists() {
        fs::remove_dir_all(&dir).map_err(|error| unusable(&dir, &error))?;
    }
    let settings = LabSettings {
        seed: args.seed,
        clock: Arc::new(SystemClock),
        pace: args.pace,
        dir: dir.clone(),
    };
    let lab = match args.bare {
        Some(stack) => Lab::start_bare(settings, stack).await,
        None => Lab::start(settings).await,
    };
    let lab = lab.map_err(Ended::unusable)?;
    if kept.exists() {
        fs::rename(&kept, &recipes).map_err(|error| unusable(&recipes, &error))?;
    }
    let exit = if args.headless {
        headless(&dir).await
    } else {
        let site = Site::new(global, &dir).on(Some("lab".into()));
        let place = if args.guided {
            Place::Wizard
        } else {
            Place::Bridge
        };
        let global = Global {
            workspace: Some(dir),
            ..global.clone()
        };
        let session = Session::own(&global).await?;
        let practice = Practice::new(Arc::clone(lab.world()));
        let shown = Shown::at(place, site).practising(practice);
        screens::show(session, look, shown)
            .await
            .map(|(exit, _)| exit)
    };
    lab.stop().await;
    exit
}

async fn headless(dir: &std::path::Path) -> color_eyre::Result<Exit> {
    let mut endings = Endings::listen();
    output::line(&dir.display().to_string())?;
    output::remark(
        "the lab is running; use it with `quarterdeck --workspace` and the directory above, end it with ctrl-c",
    );
    endings.next().await;
    Ok(Exit::Success)
}

/// Holds the directory for this process: two labs would write over each other's workspace.
fn claim(home: &std::path::Path) -> color_eyre::Result<File> {
    fs::create_dir_all(home).map_err(|error| unusable(home, &error))?;
    let path = home.join("lock");
    let lock = File::create(&path).map_err(|error| unusable(&path, &error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Ended::unusable(format!(
            "another lab is running in {}; end it, or say --state-dir for a second one",
            home.display()
        ))
        .into()),
        Err(TryLockError::Error(error)) => Err(unusable(&path, &error).into()),
    }
}

fn unusable(path: &std::path::Path, error: &std::io::Error) -> Ended {
    Ended::unusable(format!(
        "{}: {error}; say --state-dir for another place",
        path.display()
    ))
}
