//! What is known right now, and what is wrong: the pollers write it, everybody reads it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::bus::Bus;
use crate::client::Event;
use crate::clock::SharedClock;
use crate::domain::environment::Environment;
use crate::domain::finding::{self, Finding, Subject};
use crate::domain::history::{History, Point};
use crate::domain::live::{EnvironmentLive, NodeReport, Observed, ServiceReport};

/// The live view of every environment.
pub(super) struct Live {
    environments: Mutex<BTreeMap<String, EnvironmentLive>>,
    /// What the engine itself found, by environment and key; nothing that is polled.
    own: Mutex<BTreeMap<(String, String), Finding>>,
    /// How nodes fared lately, by environment and name.
    histories: Mutex<BTreeMap<(String, String), History>>,
    bus: Bus,
    clock: SharedClock,
}

impl Live {
    /// Nothing known yet of anything in `environments`.
    pub(super) fn new<'a>(
        environments: impl Iterator<Item = &'a Environment>,
        bus: Bus,
        clock: SharedClock,
    ) -> Self {
        let blank = |environment: &Environment| EnvironmentLive {
            nodes: environment
                .nodes
                .iter()
                .map(|node| (node.name.clone(), Observed::default()))
                .collect(),
            services: environment
                .services
                .iter()
                .map(|service| (service.name.clone(), Observed::default()))
                .collect(),
            findings: Vec::new(),
            lock: None,
            marks: BTreeMap::new(),
        };
        Self {
            environments: Mutex::new(
                environments
                    .map(|environment| (environment.name.clone(), blank(environment)))
                    .collect(),
            ),
            own: Mutex::default(),
            histories: Mutex::default(),
            bus,
            clock,
        }
    }

    /// Everything that is known, by environment.
    pub(super) fn snapshot(&self) -> BTreeMap<String, EnvironmentLive> {
        self.lock().clone()
    }

    /// The newest `most` points of the history of one node, or of all of an environment.
    pub(super) fn history(
        &self,
        environment: &str,
        node: Option<&str>,
        most: usize,
    ) -> BTreeMap<String, Vec<Point>> {
        self.histories()
            .iter()
            .filter(|((place, name), _)| {
                place == environment && node.is_none_or(|node| node == name)
            })
            .map(|((_, name), history)| (name.clone(), history.newest(most)))
            .collect()
    }

    /// Since when a service has had a problem with one of its nodes, by the findings that are open.
    pub(super) fn problem_since(
        &self,
        environment: &str,
        service: &str,
        node: &str,
    ) -> Option<jiff::Timestamp> {
        let live = self.lock();
        let findings = &live.get(environment)?.findings;
        let about = findings.iter().filter(|finding| {
            finding.subject == Subject::Service(service.to_owned())
                && finding.key.ends_with(&format!(":{node}"))
        });
        about.map(|finding| finding.since).min()
    }

    /// Takes in a probe of a node: what it brought, or why it failed.
    pub(super) fn node(
        &self,
        environment: &Environment,
        name: &str,
        result: Result<NodeReport, String>,
    ) {
        if let Ok(report) = &result {
            let point = Point::of(&report.sample, self.clock.now());
            self.histories()
                .entry((environment.name.clone(), name.to_owned()))
                .or_default()
                .push(point);
        }
        self.take_in(environment, |live| {
            let observed = settle(
                live.nodes.entry(name.to_owned()).or_default(),
                result,
                &self.clock,
            );
            Event::Node {
                environment: environment.name.clone(),
                name: name.to_owned(),
                observed: Box::new(observed),
            }
        });
    }

    /// Takes in a poll of a service: what it brought, or why it failed.
    pub(super) fn service(
        &self,
        environment: &Environment,
        name: &str,
        result: Result<ServiceReport, String>,
    ) {
        self.take_in(environment, |live| {
            let observed = settle(
                live.services.entry(name.to_owned()).or_default(),
                result,
                &self.clock,
            );
            Event::Service {
                environment: environment.name.clone(),
                name: name.to_owned(),
                observed: Box::new(observed),
            }
        });
    }

    /// Changes the view, assesses it anew, and publishes; under the lock, so that events come in the order of the changes.
    fn take_in(
        &self,
        environment: &Environment,
        change: impl FnOnce(&mut EnvironmentLive) -> Event,
    ) {
        let mut live = self.lock();
        let live = live.entry(environment.name.clone()).or_default();
        self.bus.publish(change(live));
        self.assess(environment, live);
    }

    /// Adds a finding of the engine's own to an environment, or (with `None`) takes the one of that key back. Its age is
    /// kept while it is there.
    pub(super) fn own(&self, environment: &Environment, key: &str, finding: Option<Finding>) {
        {
            let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            let place = (environment.name.clone(), key.to_owned());
            match finding {
                Some(finding) => {
                    let since = own.get(&place).map_or(finding.since, |known| known.since);
                    own.insert(place, Finding { since, ..finding });
                }
                None if own.remove(&place).is_none() => return,
                None => {}
            }
        }
        let mut live = self.lock();
        let live = live.entry(environment.name.clone()).or_default();
        self.assess(environment, live);
    }

    fn assess(&self, environment: &Environment, live: &mut EnvironmentLive) {
        let mut findings = finding::assess(environment, live, self.clock.now());
        {
            let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            let here = own
                .iter()
                .filter(|((name, _), _)| *name == environment.name);
            findings.extend(here.map(|(_, finding)| finding.clone()));
        }
        finding::rank(&mut findings);
        if findings != live.findings {
            live.findings.clone_from(&findings);
            self.bus.publish(Event::Findings {
                environment: environment.name.clone(),
                findings,
            });
        }
    }

    fn histories(&self) -> MutexGuard<'_, BTreeMap<(String, String), History>> {
        self.histories
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, EnvironmentLive>> {
        self.environments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn settle<T: Clone>(
    observed: &mut Observed<T>,
    result: Result<T, String>,
    clock: &SharedClock,
) -> Observed<T> {
    match result {
        Ok(value) => observed.succeed(value, clock.now()),
        Err(reason) => observed.fail(reason, clock.now()),
    }
    observed.clone()
}
