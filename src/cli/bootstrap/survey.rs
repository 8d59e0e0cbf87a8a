//! Looking at the hosts of the answers, on the command line: each once, all at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::cli::exit::{Ended, Exit};
use crate::cli::session::{Endings, Session};
use crate::cli::{answers as questions, output};
use crate::client::{Event, Request, Response, SURVEY};
use crate::domain::bootstrap::{Answers, Conflict, Machine, taken_in, view_of};

/// How long all hosts together may take. Each has deadlines of its own; a person who is asked has all of this time.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// What the hosts said, in the order of the answers, and those that said nothing.
pub(super) struct Seen {
    pub(super) machines: Vec<Machine>,
    pub(super) silent: Vec<Conflict>,
}

/// Reads the members of what is adopted, then looks at every host.
///
/// # Errors
/// [`Exit::Cancelled`] when the operator stops it; [`Exit::Failed`] when a service that is adopted does not answer.
pub(super) async fn survey(session: &Session, answers: &mut Answers) -> color_eyre::Result<Seen> {
    let client = session.client();
    for (kind, service) in answers.adopt.clone() {
        let url = output::plain(&service.url);
        let request = Request::Members { kind, service };
        match client.call(request).await {
            Ok(Response::Table(members)) => {
                let new = taken_in(answers, kind, &members);
                output::remark(&match view_of(kind) {
                    Some(_) => format!("{kind} at {url} has {new} members that were not named"),
                    None => format!("{kind} at {url} answers"),
                });
            }
            Ok(_) => {
                return Err(
                    Ended::unusable("the engine answered something else than members").into(),
                );
            }
            Err(refusal) => {
                let message = format!("{kind}: {}", output::plain(&refusal.message));
                return Err(Ended::new(Exit::Failed, message).into());
            }
        }
    }
    let _answering = questions::on_terminal(client).await;
    let mut events = client.subscribe();
    let mut endings = Endings::listen();
    let nodes = answers.nodes(std::env::home_dir().as_deref());
    client
        .call(Request::Survey { nodes })
        .await
        .map_err(Ended::unusable)?;
    let mut known = BTreeMap::new();
    let until = Instant::now() + PATIENCE;
    while known.len() < answers.hosts.len() {
        tokio::select! {
            event = timeout_at(until, events.next()) => match event {
                Ok(Some(Event::Node { environment, name, observed })) if environment == SURVEY => {
                    if observed.value.is_some() || observed.trouble.is_some() {
                        known.insert(name, *observed);
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            },
            _ = endings.next() => return Err(Ended::new(Exit::Cancelled, "stopped").into()),
        }
    }
    let mut seen = Seen {
        machines: Vec::new(),
        silent: Vec::new(),
    };
    for host in &answers.hosts {
        let key = host.key();
        let observed = known.get(&key);
        if let Some(report) = observed.and_then(|observed| observed.value.as_ref()) {
            seen.machines.push(Machine::seen(host, report));
            continue;
        }
        let trouble = observed.and_then(|observed| observed.trouble.as_ref());
        let reason = trouble.map_or("no answer", |trouble| trouble.reason.as_str());
        let reason = if reason.starts_with(&key) {
            reason.to_owned()
        } else {
            format!("{key}: {reason}")
        };
        seen.silent.push(Conflict {
            reason: output::plain(&reason),
            help: format!("`ssh {}` shows more; or leave the host out", host.address),
        });
    }
    Ok(seen)
}
