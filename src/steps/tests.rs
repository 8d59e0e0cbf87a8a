//! Steps carried out on one host in memory, with services and operators that answer as they were told to.

mod commands;
mod debts;
mod ensure;
mod operators;
mod service;
mod wait;

use std::collections::VecDeque;
use std::sync::Mutex;

use super::testing::staging;
use super::*;
use crate::domain::approval::Approver;
use crate::domain::live::{Health, Members};
use crate::domain::recipe::{
    Approve, HttpWait, ListedRow, Report, RunCommand, Selector, ServiceWait, TcpWait,
};
use crate::domain::resource::{FileSpec, Resource, UnitSpec};
use crate::domain::seal::CeremonyKind;
use crate::domain::service_action::ConsulAction;
use crate::resources::testing::{TempHost, fails, says};

/// Every node of the environment is the same host.
struct OneHost(Arc<TempHost>);

impl Reach for OneHost {
    fn host(&self, name: &str) -> Result<Arc<dyn Host>, ReachError> {
        if name == "pc9" {
            return Err(ReachError::UnknownNode(name.into()));
        }
        Ok(self.0.clone())
    }
}

/// A service that gives these answers one after the other, the last one for ever.
#[derive(Default)]
struct Answers(Mutex<VecDeque<Result<ServiceReport, String>>>);

#[async_trait]
impl AskService for Answers {
    async fn ask(&self, _: &str, _: Duration) -> Result<ServiceReport, String> {
        let mut answers = self.0.lock().unwrap();
        let next = answers.pop_front().unwrap();
        if answers.is_empty() {
            answers.push_back(next.clone());
        }
        next
    }

    async fn store(&self, _: &str) -> Result<OpenStore, String> {
        Err("no stores here".into())
    }

    async fn identity(&self) -> Result<Option<Identity>, String> {
        Ok(None)
    }

    async fn table(
        &self,
        _: &str,
        view: &str,
        without: Option<&str>,
        _: Duration,
    ) -> Result<Table, String> {
        let mut table = Table::new("Members", ["NODE", "STATE"], "nobody");
        let state = if without == Some("pc2") {
            "failed"
        } else {
            "alive"
        };
        table.push("pc1", ["pc1".into(), "alive".into()]);
        table.push("pc2", ["pc2".into(), state.into()]);
        (view == "members")
            .then_some(table)
            .ok_or("no such list".into())
    }

    async fn act(
        &self,
        service: &str,
        action: &ServiceAction,
        tell: Tell<'_>,
        _: &CancellationToken,
    ) -> Result<Acted, String> {
        tell(format!("{service} begins to {}", action.phrase()));
        Ok(Acted::Changed("it is done".into()))
    }

    async fn voters(&self, _: &str, _: Duration) -> Result<Option<Vec<Voter>>, String> {
        Ok(None)
    }
}

/// Approves of everything but the moon.
struct Ada;

#[async_trait]
impl AskOperator for Ada {
    async fn ask(&self, step: &str, question: Question) -> Result<String, String> {
        let Question { text, approver, .. } = question;
        if text.contains("moon") {
            return Err(format!("refused by ada@bastion: {step} is too far"));
        }
        Ok(format!("approved by ada@bastion, {approver}"))
    }
}

struct NoTasks;

impl SeeTasks for NoTasks {
    fn tasks(&self) -> Vec<Task> {
        Vec::new()
    }
}

struct NoCeremonies;

impl Ceremonies for NoCeremonies {
    fn open(&self, _service: &str, _kind: CeremonyKind) -> Chair {
        Chair::new(tokio::sync::mpsc::channel(1).1, |_| {}, ())
    }
}

pub(super) fn context(host: &Arc<TempHost>) -> Context {
    Context {
        environment: Arc::new(staging()),
        reach: Arc::new(OneHost(host.clone())),
        services: Arc::new(Answers::default()),
        operators: Arc::new(Ada),
        tasks: Arc::new(NoTasks),
        params: Arc::new(BTreeMap::new()),
        dry_run: false,
        offline: false,
        cache: host.cache.path().to_owned(),
        snapshots: Shelf::of(host.cache.path()),
        workshop: testing::workshop(host.cache.path()),
        keys: host.cache.path().join("keys"),
        ceremonies: Arc::new(NoCeremonies),
        secrets: Arc::new(template::Unseen),
        log: host.lines(),
        cancel: CancellationToken::new(),
        records: host.records(),
        debts: Arc::new(NoDebts),
        drift: Arc::new(NoDriftBook),
    }
}

fn asking(host: &Arc<TempHost>, answers: Vec<Result<ServiceReport, String>>) -> Context {
    Context {
        services: Arc::new(Answers(Mutex::new(answers.into()))),
        ..context(host)
    }
}

fn report(leader: Option<&str>, well: u32) -> ServiceReport {
    ServiceReport {
        health: if well == 3 { Health::Ok } else { Health::Warn },
        version: None,
        leader: leader.map(Into::into),
        members: Some(Members { well, total: 3 }),
        summary: format!("{well} of 3 alive"),
        problems: Vec::new(),
        latency_ms: 1,
    }
}

fn step(id: &str) -> Step {
    Step {
        id: id.into(),
        on: Some(Selector::default()),
        ..Step::default()
    }
}

fn run_step(argv: &[&str], changes: bool) -> Step {
    Step {
        run: Some(RunCommand {
            detached: false,
            elsewhere: Vec::new(),
            distinct: false,
            argv: argv.iter().map(|&word| word.into()).collect(),
            changes,
            expect: None,
            check: None,
            otherwise: None,
        }),
        ..step("run")
    }
}

fn wait_for(members: Option<&str>, leader: bool) -> Step {
    Step {
        on: None,
        timeout: Some("30s".into()),
        service: Some(ServiceWait {
            name: "consul".into(),
            members: members.map(Into::into),
            leader,
            ..ServiceWait::default()
        }),
        ..step("wait")
    }
}

fn file(path: &str, content: &str) -> Resource {
    Resource::File(FileSpec {
        path: path.into(),
        content: content.into(),
        mode: "0644".into(),
        owner: "root".into(),
        group: "root".into(),
    })
}

fn ensures(resources: Vec<Resource>) -> Step {
    Step {
        ensure: Some(resources.into_iter().map(Into::into).collect()),
        ..step("ensure")
    }
}
