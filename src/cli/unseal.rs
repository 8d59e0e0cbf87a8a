//! `quarterdeck unseal`, and what `vault init` and `vault rekey` share with it: a session at the table of a ceremony.
//!
//! Shares are typed on the terminal, unseen, or come on standard input, one per line; never in the arguments, which every user of
//! the machine can read. Whoever starts the ceremony follows it to its end; a second operator takes part with the same command.

use std::io::{IsTerminal as _, Write as _};
use std::pin::Pin;

use clap::Args;
use serde_json::json;

use super::exit::{Ended, Exit};
use super::follow::{Follower, Planned, plan, width};
use super::session::{Endings, Session};
use super::shares::{Shares, kept};
use super::started::{Brake, Started};
use super::vault::Which;
use super::{Global, output};
use crate::client::{Client, Event, Request, Response};
use crate::domain::plan::PlanRequest;
use crate::domain::run::{Run, RunId};
use crate::domain::seal::{Ceremony, CeremonyKind, NewKeys, Wants, Word};
use crate::domain::secret::Secret;

/// Flags of `quarterdeck unseal`.
#[derive(Debug, Args)]
pub(super) struct UnsealArgs {
    #[command(flatten)]
    pub(super) which: Which,
    /// Only these nodes of it
    #[arg(long = "node", value_name = "NAME")]
    nodes: Vec<String>,
    /// Take one share from each operator, no more
    #[arg(long)]
    separate: bool,
    /// Have the shares forgotten that were given so far, and begin anew
    #[arg(long)]
    reset: bool,
    #[command(flatten)]
    give: super::follow::Give,
}

/// Starts the ceremony or takes part in the one that is held, and follows it to its end.
///
/// # Errors
/// When it cannot be begun; a run that fails is [`Exit::Failed`].
pub(super) async fn unseal(global: &Global, args: UnsealArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "unseal").await?;
    let outcome = begin(&session, args).await;
    session.close().await;
    outcome
}

async fn begin(session: &Session, args: UnsealArgs) -> color_eyre::Result<Exit> {
    let environment = session.environment(args.which.environment.as_deref())?;
    let held = held(session.client(), &environment.name, &args.which).await?;
    if let Some(ceremony) = held {
        if args.reset {
            say(session.client(), ceremony.run, Word::Reset).await?;
        }
        output::remark(&format!(
            "run {} unseals {} of {}: taking part in it",
            ceremony.number,
            output::plain(&ceremony.service),
            output::plain(&ceremony.environment)
        ));
        return take_part(session, ceremony, args.give.json).await;
    }
    if args.reset {
        return Err(Ended::unusable(
            "no ceremony is held here; the shares that nodes were given otherwise are forgotten when one is begun and cancelled",
        )
        .into());
    }
    let mut request = PlanRequest {
        environment: environment.name.clone(),
        recipe: "unseal".into(),
        ..PlanRequest::default()
    };
    args.which.fill(&mut request);
    request
        .params
        .insert("nodes".into(), json!(args.nodes.join(",")));
    request
        .params
        .insert("separate".into(), json!(args.separate));
    let planned = plan(session.client(), request).await?;
    planned.show(args.give.json)?;
    hold(session, planned, args.give).await
}

/// The ceremony that is held for the Vault that is meant.
async fn held(
    client: &Client,
    environment: &str,
    which: &Which,
) -> color_eyre::Result<Option<Ceremony>> {
    let answer = client.call(Request::Ceremonies).await;
    let Response::Ceremonies(held) = answer.map_err(Ended::unusable)? else {
        return Err(Ended::unusable("the engine answered something else than ceremonies").into());
    };
    Ok(held.into_iter().find(|one| {
        one.kind == CeremonyKind::Unseal
            && one.environment == environment
            && which
                .service
                .as_ref()
                .is_none_or(|name| *name == one.service)
    }))
}

/// Starts a plan that was shown, and sits at its table.
///
/// # Errors
/// [`Exit::Refused`] when the gate stays shut.
pub(super) async fn hold(
    session: &Session,
    planned: Planned,
    give: super::follow::Give,
) -> color_eyre::Result<Exit> {
    let client = session.client();
    let started = Started::begin(client, planned, give.yes, give.confirm).await?;
    if give.detach {
        return started.detach(give.json);
    }
    let width = width(&started.plan);
    let follower = Follower::new(client, started.run, width, give.json);
    Sitting::new(session, follower, started.endings, true)
        .until_the_end(started.events, None)
        .await
}

async fn take_part(session: &Session, ceremony: Ceremony, json: bool) -> color_eyre::Result<Exit> {
    let client = session.client();
    let endings = Endings::listen();
    let events = client.subscribe();
    let gone = || Ended::unusable("the run is not in the history");
    let run: Run = client.history.run(ceremony.run)?.ok_or_else(gone)?;
    let follower = Follower::new(client, run, 8, json);
    Sitting::new(session, follower, endings, false)
        .until_the_end(events, Some(ceremony))
        .await
}

/// Says a word to a ceremony; the keys, when that is what it is answered with.
async fn say(client: &Client, run: RunId, word: Word) -> color_eyre::Result<Option<NewKeys>> {
    match client.call(Request::Ceremony { run, word }).await {
        Ok(Response::Keys(keys)) => Ok(Some(*keys)),
        Ok(_) => Ok(None),
        Err(refusal) => Err(Ended::refused(refusal).into()),
    }
}

/// One command at the table.
struct Sitting<'a> {
    session: &'a Session,
    follower: Follower<'a>,
    endings: Endings,
    /// Whether the run was begun here: then it is followed to its end, whoever gives the shares.
    ours: bool,
    shares: Shares,
    taken: bool,
}

type Typing = Pin<Box<dyn Future<Output = Option<Secret>>>>;

impl<'a> Sitting<'a> {
    fn new(session: &'a Session, follower: Follower<'a>, endings: Endings, ours: bool) -> Self {
        Self {
            session,
            follower,
            endings,
            ours,
            shares: Shares::open(),
            taken: false,
        }
    }

    async fn until_the_end(
        mut self,
        mut events: crate::client::Subscription,
        mut ceremony: Option<Ceremony>,
    ) -> color_eyre::Result<Exit> {
        let client = self.session.client().clone();
        let run = self.follower.run.id;
        let mut typing: Option<Typing> = None;
        let mut brake = Brake::new(self.ours);
        if ceremony.is_none() {
            ceremony = now(&client, run).await;
        }
        while !self.follower.run.state.is_final() {
            let wants = ceremony
                .as_ref()
                .map_or(Wants::Nothing, |one| one.standing.wants);
            if wants == Wants::Taker && !self.taken && self.ours {
                self.take(&client, run).await?;
                ceremony = now(&client, run).await;
                continue;
            }
            if wants != Wants::Share && self.shares.on_terminal() {
                typing = None; // the terminal is given back
            } else if wants == Wants::Share && typing.is_none() && !brake.is_pressed() {
                if self.shares.is_spent() {
                    if !self.ours {
                        return Ok(Exit::Success);
                    }
                } else {
                    let label = ceremony.as_ref().map(label).unwrap_or_default();
                    typing = Some(self.shares.next(label));
                }
            }
            let typed = async {
                match &mut typing {
                    Some(typing) => typing.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::Ceremony(news)) if news.run == run => {
                        // What was asked for in between may be newer.
                        let known = ceremony.as_ref().map_or(0, |one| one.standing.revision);
                        if news.standing.revision >= known {
                            ceremony = Some(*news);
                        }
                    }
                    Some(Event::CeremonyOver { run: over }) if over == run => ceremony = None,
                    Some(Event::Missed(_)) => {
                        self.follower.take(&Event::Missed(0)).await?;
                        ceremony = now(&client, run).await;
                    }
                    Some(event) => self.follower.take(&event).await?,
                    None => return Err(Ended::new(Exit::Failed, "the engine ended").into()),
                },
                share = typed => {
                    typing = None;
                    match share {
                        Some(share) => {
                            if let Err(refusal) = say(&client, run, Word::Share(share)).await {
                                output::remark(&output::plain(&refusal.to_string()));
                            }
                            ceremony = now(&client, run).await;
                        }
                        None => self.no_more(),
                    }
                }
                asked = self.endings.next() => {
                    typing = None;
                    let again = "`quarterdeck unseal` takes part in it again";
                    let left = brake.press(self.session, &self.follower.run, asked, again);
                    if left.await? {
                        return Ok(Exit::Cancelled);
                    }
                }
            }
        }
        drop(typing);
        self.follower.finish().await
    }

    fn no_more(&mut self) {
        self.shares.spend();
        if self.ours {
            output::remark(
                "no more shares from here; the run waits for other operators, ctrl-c cancels it",
            );
        }
    }

    /// Takes the new keys, prints them, and says so when they are kept.
    async fn take(&mut self, client: &Client, run: RunId) -> color_eyre::Result<()> {
        let Some(keys) = say(client, run, Word::Take).await? else {
            return Err(Ended::unusable("the engine answered something else than keys").into());
        };
        self.taken = true;
        print(&keys, self.follower.is_json())?;
        drop(keys);
        if !std::io::stdin().is_terminal() || kept()? {
            say(client, run, Word::Kept).await?;
        }
        Ok(())
    }
}

/// How the ceremony of a run stands now; `None` when there is none (yet, or any more).
async fn now(client: &Client, run: RunId) -> Option<Ceremony> {
    match client.call(Request::Ceremonies).await {
        Ok(Response::Ceremonies(held)) => held.into_iter().find(|one| one.run == run),
        _ => None,
    }
}

fn label(ceremony: &Ceremony) -> String {
    let standing = &ceremony.standing;
    format!(
        "Share {} of {} for {} in {}",
        standing.given() + 1,
        standing.needed.max(standing.given() + 1),
        ceremony.service,
        ceremony.environment
    )
}

/// The keys on standard output; not a word of them goes anywhere else.
fn print(keys: &NewKeys, json: bool) -> color_eyre::Result<()> {
    let mut text = zeroize::Zeroizing::new(Vec::with_capacity(64 * 1024));
    if json {
        serde_json::to_writer(&mut *text, keys)?;
        writeln!(text)?;
    } else {
        for (at, share) in keys.shares.iter().enumerate() {
            let (name, share) = (keys.called(), output::plain(share.expose()));
            writeln!(text, "{name} {}: {share}", at + 1)?;
        }
        if let Some(token) = &keys.root_token {
            writeln!(text, "root token: {}", output::plain(token.expose()))?;
        }
    }
    output::bytes(&text)?;
    if !json {
        output::remark(&format!(
            "these are shown once. {} Give each to another person",
            keys.purpose()
        ));
    }
    Ok(())
}
