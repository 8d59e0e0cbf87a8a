//! The lab: a practice cluster inside the process.
//!
//! Five simulated boards behind real SSH servers on loopback, simulated services behind HTTP on loopback. The cockpit
//! reaches them with the same clients it uses on real machines and cannot tell the difference: this is the flight
//! simulator, with faults to practise on ([`world::World::command`]).
//!
//! ```text
//!   cockpit ── ssh ──► ssh (russh server, SFTP) ──► shell (simulated programs) ──┐
//!      │                                                                         ▼
//!      ├──── http ──► artifacts (packages)                                     world: power, files, units,
//!      └──── http ──► services (simulated APIs) ────────────────────────────►  packages, load, faults
//! ```
//!
//! One [`world::World`] holds everything that is true about the cluster. The SSH side and the HTTP side both read and
//! change that one truth, so a node that loses power takes its services with it.

mod artifacts;
mod consul;
pub mod services;
mod shell;
mod ssh;
mod workspace;
pub mod world;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::DropGuard;
use tokio_util::task::TaskTracker;

use self::services::Services;
use self::services::pace::Pace;
use self::workspace::Contents;
use self::world::{World, WorldSettings};
use crate::clock::SharedClock;
use crate::domain::stack::Stack;

/// How long [`Lab::stop`] waits for connections to end.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// What a lab is started with.
#[derive(Clone)]
pub struct LabSettings {
    /// Everything random comes from it: keys, boot ids, loads, identifiers.
    pub seed: u64,
    /// Where the time comes from.
    pub clock: SharedClock,
    /// Factor on every simulated delay: 1 is lifelike, 0 means none.
    pub pace: f32,
    /// Where the workspace is written; it is created when it does not exist.
    pub dir: PathBuf,
}

/// A running lab. Dropping it ends everything; [`Lab::stop`] also waits for the end.
pub struct Lab {
    world: Arc<World>,
    services: Services,
    dir: PathBuf,
    tasks: TaskTracker,
    /// Ends the world's servers and delayed changes when the lab is dropped.
    _guard: DropGuard,
}

impl Lab {
    /// Starts the boards, their servers and services, and writes the workspace that describes them.
    ///
    /// # Errors
    /// When loopback has no free ports, or the workspace cannot be written.
    pub async fn start(settings: LabSettings) -> io::Result<Self> {
        Self::begin(settings, None).await
    }

    /// The same on boards with nothing installed, whose roles are those of `stack`: `deploy` has everything to do.
    ///
    /// # Errors
    /// As [`Lab::start`].
    pub async fn start_bare(settings: LabSettings, stack: Stack) -> io::Result<Self> {
        Self::begin(settings, Some(stack)).await
    }

    async fn begin(settings: LabSettings, bare: Option<Stack>) -> io::Result<Self> {
        let made = WorldSettings {
            seed: settings.seed,
            clock: settings.clock,
            pace: settings.pace,
        };
        let world = match bare {
            Some(stack) => World::bare(&made, stack),
            None => World::new(&made),
        };
        let stack = bare.unwrap_or(Stack::Consul);
        // An early return ends what was started.
        let guard = world.stopping().clone().drop_guard();
        let tasks = TaskTracker::new();
        let doors = ssh::open(&world, &tasks)?;
        let artifacts = artifacts::serve(&world, stack, &tasks).await?;
        let services = Services::start_in(&world, Pace::default()).await?;
        workspace::write(
            &settings.dir,
            &Contents {
                stack,
                nodes: &world.nodes(),
                doors: &doors,
                services: services.endpoints(),
                unseal_shares: services.unseal_shares(),
                artifacts: &artifacts,
                client_key: &ssh::client_key(settings.seed),
            },
        )?;
        Ok(Self {
            world,
            services,
            dir: settings.dir,
            tasks,
            _guard: guard,
        })
    }

    /// What is true about the cluster, and its faults.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// The directory of the workspace.
    pub fn workspace(&self) -> &Path {
        &self.dir
    }

    /// Ends everything and waits until it has ended, at most a few seconds.
    pub async fn stop(self) {
        self.world.stopping().cancel();
        self.tasks.close();
        let ended = async {
            self.services.shut_down().await;
            self.tasks.wait().await;
        };
        // What has not ended by then is dropped with the runtime.
        let _ = tokio::time::timeout(STOP_LIMIT, ended).await;
    }
}
