//! One simulated board: power, files, packages, units, and the figures its kernel shows.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;

use super::files::Files;
use super::physics::{self, Work};
use super::units::{Unit, UnitState};
use super::{NodeInfo, proc};
use crate::domain::node::Role;
use crate::domain::platform::{Arch, Platform};

/// What the board is; fixed from the factory.
#[derive(Debug, Clone)]
pub(crate) struct Board {
    pub(crate) name: &'static str,
    pub(crate) platform: Platform,
    pub(crate) arch: Arch,
    pub(crate) roles: &'static [Role],
    pub(crate) address: Ipv4Addr,
    /// Model as the device tree or DMI names it.
    pub(crate) model: &'static str,
    pub(crate) os: &'static str,
    pub(crate) kernel: &'static str,
    pub(crate) cpus: u32,
    /// Physical memory, bytes.
    pub(crate) memory: u64,
    /// Idle load.
    pub(crate) idle: f32,
    /// Degrees Celsius when idle.
    pub(crate) cool: f32,
}

impl Board {
    /// The machine's hardware name as `uname -m` prints it.
    pub(crate) fn machine(&self) -> &'static str {
        match self.arch {
            Arch::Amd64 => "x86_64",
            Arch::Arm64 => "aarch64",
        }
    }
}

/// Whether the board runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Power {
    On,
    Booting,
    Off,
}

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) version: String,
    pub(crate) arch: String,
    /// Paths it brought.
    pub(crate) files: Vec<String>,
    /// Whether upgrades leave it alone.
    pub(crate) held: bool,
}

/// Everything that is true about one board now.
#[derive(Debug, Clone)]
pub(crate) struct NodeState {
    pub(crate) board: Board,
    pub(crate) seed: u64,
    pub(crate) power: Power,
    /// Grows with every change of power, so that a delayed boot can see that it is out of date.
    pub(crate) power_epoch: u64,
    pub(crate) boots: u64,
    pub(crate) boot_id: String,
    pub(crate) booted_at: Timestamp,
    pub(crate) files: Files,
    pub(crate) packages: BTreeMap<String, Package>,
    pub(crate) units: BTreeMap<String, Unit>,
    pub(crate) work: Vec<Work>,
    /// Degrees that a fault adds.
    pub(crate) extra_heat: f32,
    pub(crate) next_pid: u32,
    /// The kernel's name for itself, where another was given since the boot.
    pub(crate) hostname: Option<String>,
}

impl NodeState {
    pub(crate) fn new(board: Board, seed: u64, files: Files, booted_at: Timestamp) -> Self {
        let mut node = Self {
            board,
            seed,
            power: Power::On,
            power_epoch: 0,
            boots: 0,
            boot_id: String::new(),
            booted_at,
            files,
            packages: BTreeMap::new(),
            units: BTreeMap::new(),
            work: Vec::new(),
            extra_heat: 0.0,
            next_pid: 600,
            hostname: None,
        };
        node.boot_id = node.draw_boot_id();
        node
    }

    pub(crate) fn info(&self) -> NodeInfo {
        NodeInfo {
            name: self.board.name.to_owned(),
            platform: self.board.platform,
            arch: self.board.arch,
            roles: self.board.roles,
            address: self.board.address,
            up: self.is_up(),
            boot_id: self.boot_id.clone(),
            booted_at: self.booted_at,
        }
    }

    /// What the kernel calls itself.
    pub(crate) fn hostname(&self) -> &str {
        self.hostname.as_deref().unwrap_or(self.board.name)
    }

    pub(crate) fn is_up(&self) -> bool {
        self.power == Power::On
    }

    /// Cuts the power: nothing gets to say goodbye.
    pub(crate) fn power_off(&mut self) {
        self.power = Power::Off;
        self.power_epoch += 1;
        self.work.clear();
        for unit in self.units.values_mut() {
            unit.power_lost();
        }
    }

    /// Begins to boot; [`NodeState::finish_boot`] ends it.
    pub(crate) fn begin_boot(&mut self) -> u64 {
        self.power_off();
        self.power = Power::Booting;
        self.power_epoch
    }

    /// The kernel and systemd are up: a new boot id, empty `/tmp` and `/run`, enabled units started.
    pub(crate) fn finish_boot(&mut self, now: Timestamp) {
        self.boots += 1;
        self.power = Power::On;
        self.booted_at = now;
        self.boot_id = self.draw_boot_id();
        let name = self.files.read("/etc/hostname").unwrap_or_default();
        let name = String::from_utf8_lossy(name).trim().to_owned();
        self.hostname = (!name.is_empty()).then_some(name);
        for volatile in ["/tmp", "/run"] {
            for path in self.files.below(volatile).into_iter().rev() {
                // Whatever was there is gone; what systemd makes anew follows.
                let _ = self.files.remove_all(&path);
            }
        }
        // Both exist from the factory, so that this cannot fail.
        let _ = self.files.mkdir_all("/run/systemd/system", 0o755, now);
        self.add_work(now, 20.0, 2.0);
        for name in self.enabled_units() {
            self.load_unit(&name);
            let outcome = self.try_start(&name);
            self.settle_start(&name, &outcome, now);
        }
    }

    /// Adds load for a while, and with it heat.
    pub(crate) fn add_work(&mut self, now: Timestamp, seconds: f32, amount: f32) {
        self.work.retain(|work| !physics::is_forgotten(work, now));
        if self.work.len() < 1000 {
            self.work.push(Work {
                from: now,
                seconds,
                amount,
            });
        }
    }

    /// Load averages over 1, 5 and 15 minutes.
    pub(crate) fn load(&self, now: Timestamp) -> [f32; 3] {
        physics::load(self.seed, self.board.idle, &self.work, now)
    }

    /// Degrees Celsius of the processor.
    pub(crate) fn temperature(&self, now: Timestamp) -> f32 {
        let [load, _, _] = self.load(now);
        physics::temperature(self.seed, self.board.cool, load, now) + self.extra_heat
    }

    /// Seconds since boot.
    pub(crate) fn uptime(&self, now: Timestamp) -> f64 {
        now.duration_since(self.booted_at).as_secs_f64().max(0.0)
    }

    /// Content of a file, including those the kernel makes up when they are read.
    pub(crate) fn read(
        &self,
        path: &str,
        now: Timestamp,
    ) -> Result<Vec<u8>, super::files::FsError> {
        if let Some(answer) = proc::read(self, path, now) {
            return Ok(answer.into_bytes());
        }
        self.files.read(path).map(<[u8]>::to_vec)
    }

    pub(crate) fn pid(&mut self) -> u32 {
        let pid = self.next_pid;
        self.next_pid = if pid > 4_000_000 { 600 } else { pid + 7 };
        pid
    }

    pub(crate) fn unit_is_active(&self, name: &str) -> bool {
        let found = self.units.get(name);
        let found = found.or_else(|| self.units.get(&format!("{name}.service")));
        found.is_some_and(|unit| unit.state == UnitState::Active)
    }

    pub(crate) fn journal(&mut self, unit: &str, now: Timestamp, text: &str) {
        let name = if self.units.contains_key(unit) {
            unit.to_owned()
        } else {
            format!("{unit}.service")
        };
        if let Some(unit) = self.units.get_mut(&name) {
            unit.log(now, text);
        }
    }

    fn draw_boot_id(&self) -> String {
        let mut random = fastrand::Rng::with_seed(self.seed ^ (0xb007 + self.boots));
        uuid::Builder::from_random_bytes(random.u128(..).to_be_bytes())
            .into_uuid()
            .to_string()
    }
}
