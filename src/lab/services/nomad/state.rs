//! What a Nomad cluster knows: servers and their leader, clients, jobs, and where these run.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::domain::node::Role;
use crate::lab::services::cluster::Host;
use crate::lab::services::ids::Ids;
use crate::lab::services::pulse::Pulse;
use crate::lab::services::quorum::Quorum;
use crate::lab::services::sim::{Machine, Outlook, Surroundings};
use crate::lab::services::units;

/// From the placement of an allocation until its task runs.
const START: SignedDuration = SignedDuration::from_secs(1);

/// A machine with a Nomad agent.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    pub host: Host,
    /// The identifier as a server or as a client.
    pub id: String,
    pub pulse: Pulse,
    /// Whether its peers have given it up.
    pub failed: bool,
    /// Whether it has ever run, and was not forgotten since.
    pub joined: bool,
    /// Whether anything new is placed on it, as a client.
    pub eligible: bool,
    /// Until when its allocations are moved away, while it drains.
    pub draining: Option<Timestamp>,
    pub modified: u64,
}

/// What a job is scheduled as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// So many instances, wherever there is room.
    Service,
    /// One instance on every client.
    System,
}

impl Kind {
    /// The word in the API.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::System => "system",
        }
    }
}

/// A registered job with one task group of one task.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub id: &'static str,
    pub kind: Kind,
    pub group: &'static str,
    pub task: &'static str,
    pub count: usize,
    pub priority: u32,
    pub version: u64,
    pub index: u64,
}

const JOBS: [Job; 3] = [
    Job {
        id: "api",
        kind: Kind::Service,
        group: "api",
        task: "server",
        count: 2,
        priority: 50,
        version: 3,
        index: 21,
    },
    Job {
        id: "node-exporter",
        kind: Kind::System,
        group: "exporter",
        task: "exporter",
        count: 1,
        priority: 80,
        version: 0,
        index: 18,
    },
    Job {
        id: "web",
        kind: Kind::Service,
        group: "web",
        task: "nginx",
        count: 3,
        priority: 50,
        version: 7,
        index: 24,
    },
];

/// How an allocation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Running,
    /// Stopped, because it was moved.
    Complete,
    Lost,
}

impl Status {
    /// The word in the API.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Lost => "lost",
        }
    }
}

/// One instance of a task group on a client.
#[derive(Debug, Clone)]
pub(crate) struct Allocation {
    pub id: String,
    pub evaluation: String,
    pub job: usize,
    /// Which instance of the group it is: the number in its name, or the client of a system job.
    pub slot: Slot,
    pub client: String,
    pub status: Status,
    pub next: Option<String>,
    pub created: Timestamp,
    pub changed: Timestamp,
    pub create_index: u64,
    pub modify_index: u64,
}

impl Allocation {
    /// When its task started, once it has.
    pub(crate) fn started(&self) -> Option<Timestamp> {
        (self.status != Status::Pending).then(|| self.created + START)
    }
}

/// A place that a job wants filled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Slot {
    Number(usize),
    Client(String),
}

/// A cluster.
pub(crate) struct Nomad {
    pub servers: BTreeMap<String, Agent>,
    pub clients: BTreeMap<String, Agent>,
    pub quorum: Quorum,
    pub jobs: Vec<Job>,
    pub allocations: Vec<Allocation>,
    pub ids: Ids,
    pub born: Timestamp,
    /// The last index of the Raft log.
    pub index: u64,
    /// Since when a place is empty.
    vacant: BTreeMap<(usize, Slot), Timestamp>,
    revision: u64,
}

impl Nomad {
    /// A cluster on the nodes that have a Nomad role, with its jobs running.
    pub(crate) fn new(around: &Surroundings, now: Timestamp) -> Self {
        let agents = |role: Role, label: &str| -> BTreeMap<String, Agent> {
            let hosts = around.cluster.nodes().into_iter();
            hosts
                .filter(|host| host.roles.contains(&role))
                .map(|host| {
                    let alive = around.cluster.runs(&host.name, units::NOMAD);
                    let starts = around.cluster.starts(&host.name, units::NOMAD);
                    let agent = Agent {
                        id: around.ids.uuid(&format!("nomad/{label}/{}", host.name)),
                        pulse: Pulse::new(alive, starts, now),
                        failed: !alive,
                        joined: alive,
                        eligible: true,
                        draining: None,
                        modified: 12,
                        host,
                    };
                    (agent.host.name.clone(), agent)
                })
                .collect()
        };
        let servers = agents(Role::NomadServer, "server");
        let clients = agents(Role::NomadClient, "client");
        let mut quorum = Quorum::new(servers.keys().cloned().collect());
        quorum.settle(|name| able(&servers, name), now);
        let mut nomad = Self {
            servers,
            clients,
            quorum,
            jobs: JOBS.to_vec(),
            allocations: Vec::new(),
            ids: around.ids,
            born: now,
            index: 30,
            vacant: BTreeMap::new(),
            revision: 0,
        };
        if nomad.quorum.leader().is_some() {
            for place in nomad.wanted() {
                nomad.place(place, now);
            }
        }
        for allocation in &mut nomad.allocations {
            allocation.status = Status::Running;
        }
        nomad
    }

    /// The leading server.
    pub(crate) fn leader(&self) -> Option<&Agent> {
        self.servers.get(self.quorum.leader()?)
    }

    /// The allocation whose identifier begins with `id`.
    pub(crate) fn allocation(&self, id: &str) -> Option<&Allocation> {
        self.allocations
            .iter()
            .find(|allocation| allocation.id == id)
    }

    /// The allocation's name: job, group and number.
    pub(crate) fn name_of(&self, allocation: &Allocation) -> String {
        let job = &self.jobs[allocation.job];
        let number = match allocation.slot {
            Slot::Number(number) => number,
            Slot::Client(_) => 0,
        };
        format!("{}.{}[{number}]", job.id, job.group)
    }

    /// How many allocations of a job are in `status`.
    pub(crate) fn count(&self, job: usize, status: Status) -> usize {
        self.allocations
            .iter()
            .filter(|allocation| allocation.job == job && allocation.status == status)
            .count()
    }

    /// How many places of a job nobody fills.
    pub(crate) fn queued(&self, job: usize) -> usize {
        self.wanted().iter().filter(|(of, _)| *of == job).count()
    }

    fn bump(&mut self) -> u64 {
        self.index += 1;
        self.revision += 1;
        self.index
    }

    fn observe(&mut self, around: &Surroundings, now: Timestamp) -> bool {
        let mut pending = false;
        let mut changed = Vec::new();
        for (name, agent) in self.servers.iter_mut().chain(self.clients.iter_mut()) {
            let alive = around.cluster.runs(name, units::NOMAD);
            let starts = around.cluster.starts(name, units::NOMAD);
            agent.pulse.observe(alive, starts, now);
            agent.joined |= alive;
            let failed = agent.pulse.gone(now, around.pace.gossip);
            pending |= !alive && !failed;
            if failed != agent.failed {
                agent.failed = failed;
                changed.push(name.clone());
            }
        }
        for name in changed {
            let index = self.bump();
            for agents in [&mut self.servers, &mut self.clients] {
                if let Some(agent) = agents.get_mut(&name) {
                    agent.modified = index;
                }
            }
        }
        pending
    }

    /// The work of the leader: notices lost allocations, fills empty places.
    fn schedule(&mut self, around: &Surroundings, now: Timestamp) -> bool {
        let index = self.index + 1;
        let mut moved = false;
        for allocation in &mut self.allocations {
            let down = self
                .clients
                .get(&allocation.client)
                .is_none_or(|client| client.failed);
            let next = match allocation.status {
                Status::Pending | Status::Running if down => Status::Lost,
                Status::Pending if now.duration_since(allocation.created) >= START => {
                    Status::Running
                }
                status => status,
            };
            if next != allocation.status {
                allocation.status = next;
                allocation.changed = now;
                allocation.modify_index = index;
                moved = true;
            }
        }
        if moved {
            self.bump();
        }
        let draining = self.drain(now);
        let wanted = self.wanted();
        self.vacant.retain(|place, _| wanted.contains(place));
        for place in wanted {
            let since = *self.vacant.entry(place.clone()).or_insert(now);
            if now.duration_since(since) >= around.pace.reschedule {
                self.place(place, now);
            }
        }
        let starting = self
            .allocations
            .iter()
            .any(|allocation| allocation.status == Status::Pending);
        draining || starting || (!self.vacant.is_empty() && self.ready().next().is_some())
    }

    /// Moves allocations away from clients that drain, one of each job at a time until the deadline, then all that are left;
    /// those of system jobs last. Returns whether some are still to be moved.
    fn drain(&mut self, now: Timestamp) -> bool {
        let draining: Vec<(String, bool)> = self
            .clients
            .values()
            .filter_map(|client| Some((client.host.name.clone(), now >= client.draining?)))
            .collect();
        for (client, over) in &draining {
            for at in 0..self.jobs.len() {
                if self.jobs[at].kind == Kind::System {
                    continue;
                }
                while let Some(place) = self.next_to_move(at, client, *over, now) {
                    self.place(place, now);
                    if !over {
                        break;
                    }
                }
            }
            let left = self.allocations.iter().any(|allocation| {
                allocation.client == *client
                    && matches!(allocation.status, Status::Running | Status::Pending)
                    && self.jobs[allocation.job].kind == Kind::Service
            });
            if left {
                continue;
            }
            let index = self.bump();
            for allocation in &mut self.allocations {
                if allocation.client == *client && allocation.status == Status::Running {
                    allocation.status = Status::Complete;
                    allocation.changed = now;
                    allocation.modify_index = index;
                }
            }
            if let Some(client) = self.clients.get_mut(client) {
                client.draining = None;
                client.modified = index;
            }
        }
        self.clients
            .values()
            .any(|client| client.draining.is_some())
    }

    /// Stops one allocation of a job on a client, unless another of that job is starting; its place is to be filled.
    fn next_to_move(
        &mut self,
        job: usize,
        client: &str,
        over: bool,
        now: Timestamp,
    ) -> Option<(usize, Slot)> {
        let starting = self
            .allocations
            .iter()
            .any(|one| one.job == job && one.status == Status::Pending);
        if starting && !over {
            return None;
        }
        let index = self.index + 1;
        let moved = self.allocations.iter_mut().find(|one| {
            one.job == job
                && one.client == client
                && matches!(one.status, Status::Running | Status::Pending)
        })?;
        moved.status = Status::Complete;
        moved.changed = now;
        moved.modify_index = index;
        let place = (job, moved.slot.clone());
        self.bump();
        Some(place)
    }

    /// The client with this identifier.
    pub(crate) fn client_mut(&mut self, id: &str) -> Option<&mut Agent> {
        self.clients.values_mut().find(|client| client.id == id)
    }

    /// Starts a drain until `deadline`, or calls it off.
    pub(crate) fn set_drain(&mut self, id: &str, deadline: Option<Timestamp>, eligible: bool) {
        let index = self.bump();
        if let Some(client) = self.client_mut(id) {
            client.draining = deadline;
            client.eligible = deadline.is_none() && eligible;
            client.modified = index;
        }
    }

    /// Says whether anything new is placed on a client.
    pub(crate) fn set_eligible(&mut self, id: &str, eligible: bool) {
        let index = self.bump();
        if let Some(client) = self.client_mut(id) {
            client.eligible = eligible;
            client.modified = index;
        }
    }

    /// Forgets a client; one that runs comes back by itself.
    pub(crate) fn purge(&mut self, id: &str) {
        let index = self.bump();
        if let Some(client) = self.client_mut(id) {
            client.joined = client.pulse.alive();
            client.eligible = true;
            client.draining = None;
            client.modified = index;
        }
    }

    /// Forgets a server that does not run; `false` when there is none of that name.
    pub(crate) fn forget_server(&mut self, name: &str) -> bool {
        self.bump();
        match self.servers.get_mut(name) {
            Some(server) if !server.pulse.alive() => {
                server.joined = false;
                true
            }
            found => found.is_some(),
        }
    }

    /// The places that nothing fills.
    fn wanted(&self) -> Vec<(usize, Slot)> {
        let mut wanted = Vec::new();
        for (at, job) in self.jobs.iter().enumerate() {
            let slots: Vec<Slot> = match job.kind {
                Kind::Service => (0..job.count).map(Slot::Number).collect(),
                Kind::System => self.ready().map(Slot::Client).collect(),
            };
            wanted.extend(slots.into_iter().map(|slot| (at, slot)).filter(|place| {
                !self.allocations.iter().any(|allocation| {
                    (allocation.job, &allocation.slot) == (place.0, &place.1)
                        && matches!(allocation.status, Status::Pending | Status::Running)
                })
            }));
        }
        wanted
    }

    fn ready(&self) -> impl Iterator<Item = String> + '_ {
        self.clients
            .values()
            .filter(|client| !client.failed && client.pulse.alive() && client.eligible)
            .map(|client| client.host.name.clone())
    }

    /// Puts an allocation on the client with the fewest.
    fn place(&mut self, (job, slot): (usize, Slot), now: Timestamp) {
        let client = match &slot {
            Slot::Client(client) => Some(client.clone()),
            Slot::Number(_) => self.ready().min_by_key(|client| {
                self.allocations
                    .iter()
                    .filter(|allocation| {
                        allocation.client == *client
                            && matches!(allocation.status, Status::Pending | Status::Running)
                    })
                    .count()
            }),
        };
        let Some(client) = client else { return };
        let index = self.bump();
        let id = self.ids.uuid(&format!("nomad/allocation/{index}"));
        let previous = self.allocations.iter_mut().rev().find(|allocation| {
            allocation.job == job && allocation.slot == slot && allocation.next.is_none()
        });
        if let Some(previous) = previous {
            previous.next = Some(id.clone());
        }
        self.vacant.remove(&(job, slot.clone()));
        self.allocations.push(Allocation {
            evaluation: self.ids.uuid(&format!("nomad/evaluation/{index}")),
            id,
            job,
            slot,
            client,
            status: Status::Pending,
            next: None,
            created: now,
            changed: now,
            create_index: index,
            modify_index: index,
        });
        self.forget();
    }

    /// Garbage collection: old lost allocations go, so that a long practice does not fill the memory.
    fn forget(&mut self) {
        const KEPT: usize = 200;
        while self.allocations.len() > KEPT {
            let oldest = self
                .allocations
                .iter()
                .position(|one| matches!(one.status, Status::Lost | Status::Complete));
            let Some(oldest) = oldest else { return };
            self.allocations.remove(oldest);
        }
    }
}

fn able(servers: &BTreeMap<String, Agent>, name: &str) -> bool {
    servers.get(name).is_some_and(|server| server.pulse.alive())
}

impl Machine for Nomad {
    fn advance(&mut self, around: &Surroundings, now: Timestamp) -> Outlook {
        let mut pending = self.observe(around, now);
        let servers = &self.servers;
        let elected = self
            .quorum
            .advance(|name| able(servers, name), now, around.pace.election);
        if elected {
            self.bump();
        }
        if self.quorum.leader().is_some() {
            pending |= self.schedule(around, now);
        }
        let servers = &self.servers;
        Outlook::pending_if(pending || self.quorum.electing(|name| able(servers, name)))
    }

    fn revision(&self) -> u64 {
        self.revision
    }
}
