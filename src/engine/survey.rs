//! Hosts that belong to no environment yet: finding them, looking at each once, and reading who is in a cluster that runs.
//!
//! A survey goes the way of every probe ([`super::watch`]), with two differences: somebody has asked for it and can be asked
//! back about keys and passwords, and each host is looked at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::bus::Bus;
use super::core::Core;
use super::live::Live;
use super::secrets;
use super::watch::{NodeWatch, look_once};
use super::world::World;
use crate::client::{Refusal, Response, SURVEY};
use crate::clock::SharedClock;
use crate::domain::backup::Backups;
use crate::domain::bootstrap::{Adopted, Candidate, KnownFrom, expand, view_of};
use crate::domain::environment::{Environment, Protection};
use crate::domain::node::Node;
use crate::domain::service::ServiceKind;
use crate::domain::stack::Stack;
use crate::domain::table::Table;
use crate::transport::ask::attended;
use crate::transport::ssh::{SshSettings, known_hosts};

/// How long a port may take to answer. A host of one's own network answers within milliseconds.
const KNOCK: Duration = Duration::from_millis(800);
/// Ports that are tried at a time.
const KNOCKS: usize = 64;
/// Hosts that are looked at at a time.
const LOOKS: usize = 32;
/// How long a service may take to tell its members.
const MEMBERS: Duration = Duration::from_secs(10);

/// Looks at hosts that belong to no environment.
pub(super) struct Surveyor {
    world: Arc<dyn World>,
    bus: Bus,
    clock: SharedClock,
    /// Ends the survey under way when it is dropped.
    going: Mutex<Option<DropGuard>>,
}

impl Surveyor {
    pub(super) fn new(world: Arc<dyn World>, bus: Bus, clock: SharedClock) -> Self {
        Self {
            world,
            bus,
            clock,
            going: Mutex::default(),
        }
    }
}

impl Core {
    /// The hosts that the operator's SSH client knows, and those of `typed` at whose SSH port something listens.
    pub(super) async fn find_hosts(&self, typed: &str) -> Result<Response, Refusal> {
        let addresses = expand(typed).map_err(|error| Refusal::new(error.to_string()))?;
        let several = addresses.len() > 1;
        let knocked = stream::iter(addresses)
            .map(|address| async move {
                let listens = knock(&address).await;
                Candidate {
                    address,
                    from: KnownFrom::Typed,
                    listens: Some(listens),
                }
            })
            .buffered(KNOCKS)
            .collect::<Vec<Candidate>>();
        let Some(knocked) = self.stopped.run_until_cancelled(knocked).await else {
            return Err(Refusal::new("the engine ends"));
        };
        let known = tokio::task::spawn_blocking(|| known_hosts(&SshSettings::default())).await;
        let known = known.map_err(|error| Refusal::new(format!("looking stopped: {error}")))?;
        // Of a range only those that are there; one that was named may be reached another way, and is kept.
        let mut hosts: Vec<Candidate> = knocked
            .into_iter()
            .filter(|one| {
                !several
                    || one.listens == Some(true)
                    || one.address.parse::<std::net::IpAddr>().is_err()
            })
            .collect();
        for one in known {
            if !hosts.iter().any(|host| host.address == one.address) {
                hosts.push(one);
            }
        }
        Ok(Response::Hosts(hosts))
    }

    /// Looks at each host once; whatever was looked at before is dropped.
    pub(super) fn survey(self: &Arc<Self>, nodes: Vec<Node>) -> Response {
        let surveyor = &self.surveyor;
        let cancel = CancellationToken::new();
        let environment = Arc::new(of_no_environment(nodes));
        let reach = surveyor.world.hosts(&environment);
        let live = Arc::new(Live::new(
            std::iter::once(&*environment),
            surveyor.bus.clone(),
            Arc::clone(&surveyor.clock),
        ));
        let places = Arc::new(Semaphore::new(LOOKS));
        for node in &environment.nodes {
            let watch = NodeWatch {
                environment: Arc::clone(&environment),
                name: node.name.clone(),
                reach: Arc::clone(&reach),
                live: Arc::clone(&live),
                redactor: self.redactor.clone(),
                clock: Arc::clone(&surveyor.clock),
            };
            let (places, cancel, stopped) =
                (Arc::clone(&places), cancel.clone(), self.stopped.clone());
            let rhythm = self.node_rhythm;
            self.spawn(attended(async move {
                let wake = Notify::new();
                let look = look_once(&watch, rhythm, &wake, &places);
                tokio::select! {
                    () = look => {}
                    () = cancel.cancelled() => {}
                    () = stopped.cancelled() => {}
                }
            }));
        }
        let mut going = surveyor
            .going
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *going = Some(cancel.drop_guard());
        Response::Done
    }

    /// The members of a service that belongs to no environment; an empty table where it lists none and answers.
    pub(super) async fn members_of(
        &self,
        kind: ServiceKind,
        adopted: &Adopted,
    ) -> Result<Response, Refusal> {
        let spec = adopted.spec(kind);
        let refused = |told: String| Refusal::new(self.redactor.cleaned(told));
        let secret = match &spec.secret {
            Some(reference) => secrets::resolve(reference, &self.redactor)
                .await
                .map(Some)
                .map_err(|error| refused(error.to_string()))?,
            None => None,
        };
        let is_let_in = secret.is_some();
        let service = self.surveyor.world.service(&spec, secret);
        let service = service.map_err(|error| refused(error.to_string()))?;
        let Some(view) = view_of(kind) else {
            let answered = service.report(MEMBERS).await;
            answered.map_err(|error| refused(error.to_string()))?;
            let nothing = "it lists no members";
            return Ok(Response::Table(Table::new(kind.title(), [""; 0], nothing)));
        };
        let table = service.table(view, MEMBERS).await;
        let table = table.map_err(|error| refused(error.to_string()))?;
        if table.rows.is_empty() && !is_let_in {
            // With access control, Consul and Nomad answer strangers with an empty list.
            return Err(refused(format!(
                "{} at {} tells of no members to who has no token: say where one is",
                kind.title(),
                adopted.url
            )));
        }
        Ok(Response::Table(table))
    }
}

/// Whether something listens at the SSH port.
async fn knock(address: &str) -> bool {
    let target = format!(
        "{}:22",
        if address.contains(':') {
            format!("[{address}]")
        } else {
            address.to_owned()
        }
    );
    let tried = async {
        let all: Vec<SocketAddr> = tokio::net::lookup_host(target).await?.collect();
        TcpStream::connect(&*all).await
    };
    matches!(timeout(KNOCK, tried).await, Ok(Ok(_)))
}

fn of_no_environment(nodes: Vec<Node>) -> Environment {
    Environment {
        name: SURVEY.into(),
        protection: Protection::Open,
        marking: None,
        stack: Stack::Consul,
        versions: BTreeMap::new(),
        nodes,
        services: Vec::new(),
        artifacts: BTreeMap::new(),
        variables: BTreeMap::new(),
        backups: Backups::default(),
        desired: Vec::new(),
    }
}
