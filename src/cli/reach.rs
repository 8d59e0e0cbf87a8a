//! `quarterdeck reach`: the way to nodes, hop by hop, and how far one gets.

use std::fmt::Write as _;

use clap::Args;
use futures::StreamExt as _;

use super::exit::{Ended, Exit};
use super::session::Session;
use super::{Global, answers, output};
use crate::client::{Client, Request, Response};
use crate::domain::reach::{Hop, StageOutcome, Way};

/// Ways that are tried at the same time: fewer than a server's `MaxStartups`, which one jump host may have to bear.
const AT_ONCE: usize = 8;

/// Flags of `quarterdeck reach`.
#[derive(Debug, Args)]
pub(super) struct ReachArgs {
    /// The nodes; default: all of the environment
    nodes: Vec<String>,
    /// The environment; default: the workspace's default, or its only one
    #[arg(long, short, visible_alias = "env")]
    environment: Option<String>,
    /// Connect nowhere: only say what the way is made of
    #[arg(long)]
    dry_run: bool,
    /// Print JSON: a list of ways
    #[arg(long)]
    json: bool,
}

/// Explains the way to nodes and tries it.
///
/// # Errors
/// When the workspace cannot be used, or the engine not asked; a node that is not reached is [`Exit::Failed`].
pub(super) async fn reach(global: &Global, args: &ReachArgs) -> color_eyre::Result<Exit> {
    let session = Session::observe(global, "reach").await?;
    let answering = answers::on_terminal(session.client()).await;
    let outcome = tell(&session, args).await;
    drop(answering);
    session.close().await;
    outcome
}

async fn tell(session: &Session, args: &ReachArgs) -> color_eyre::Result<Exit> {
    let environment = session.environment(args.environment.as_deref())?;
    let nodes: Vec<String> = if args.nodes.is_empty() {
        let all = environment.nodes.iter();
        all.map(|node| node.name.clone()).collect()
    } else {
        args.nodes.clone()
    };
    let asked = nodes.into_iter().map(|node| {
        let request = Request::Way {
            environment: environment.name.clone(),
            node,
            test: !args.dry_run,
        };
        ask(session.client(), request)
    });
    // In the order of the nodes, each as soon as it and those before it are known.
    let mut answers = futures::stream::iter(asked).buffered(AT_ONCE);
    let mut ways = Vec::new();
    while let Some(way) = answers.next().await {
        let way = way?;
        if !args.json {
            output::bytes(text(&way).as_bytes())?;
        }
        ways.push(way);
    }
    if args.json {
        output::json(&ways)?;
    }
    let all_well = ways.iter().all(|way| way.trouble.is_none());
    Ok(if all_well {
        Exit::Success
    } else {
        Exit::Failed
    })
}

async fn ask(client: &Client, request: Request) -> color_eyre::Result<Way> {
    let answer = client.call(request).await;
    match answer.map_err(|refusal| Ended::new(Exit::Failed, refusal.message))? {
        Response::Way(way) => Ok(*way),
        _ => Err(Ended::unusable("the engine answered something else than a way").into()),
    }
}

/// A way for people.
fn text(way: &Way) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail, here and below.
    let state = match (
        &way.trouble,
        way.hops.iter().any(|hop| !hop.stages.is_empty()),
    ) {
        (Some(_), _) => "not reached",
        (None, true) => "reached",
        (None, false) => "not tried",
    };
    let _ = writeln!(text, "{}: {state}", output::plain(&way.node));
    for (number, hop) in way.hops.iter().enumerate() {
        describe(&mut text, number + 1, hop);
    }
    if way.hops.is_empty()
        && let Some(trouble) = &way.trouble
    {
        let _ = writeln!(text, "  {}", output::plain(trouble));
    }
    for remark in &way.remarks {
        let _ = writeln!(text, "  note: {}", output::plain(remark));
    }
    text
}

fn describe(text: &mut String, number: usize, hop: &Hop) {
    let _ = writeln!(
        text,
        "  hop {number}: {} ({}@{})",
        output::plain(&hop.name),
        output::plain(&hop.user),
        output::plain(&hop.address)
    );
    for setting in &hop.settings {
        let _ = writeln!(
            text,
            "    {:<15} {}  [{}]",
            output::plain(&setting.name),
            output::plain(&setting.value),
            output::plain(&setting.from)
        );
    }
    for stage in &hop.stages {
        let glyph = match stage.outcome {
            StageOutcome::Ok => "ok    ",
            StageOutcome::Warn => "note  ",
            StageOutcome::Failed => "FAILED",
        };
        let _ = writeln!(
            text,
            "    {glyph} {:<13} {:>5} ms  {}",
            stage.name,
            stage.ms,
            output::plain(&stage.detail)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reach::{Setting, Stage, StageName};

    #[test]
    fn a_way_tells_each_hop_where_its_settings_came_from_and_where_it_ended() {
        let stage = |name, outcome, detail: &str, ms| Stage {
            name,
            outcome,
            detail: detail.into(),
            ms,
        };
        let way = Way {
            node: "pc1".into(),
            hops: vec![Hop {
                name: "bastion".into(),
                address: "10.0.0.1:22".into(),
                user: "ops".into(),
                settings: vec![Setting {
                    name: "user".into(),
                    value: "ops".into(),
                    from: "/home/me/.ssh/config:3".into(),
                }],
                stages: vec![
                    stage(StageName::Resolve, StageOutcome::Ok, "10.0.0.1", 1),
                    stage(
                        StageName::Connect,
                        StageOutcome::Failed,
                        "connection\x1b refused",
                        12,
                    ),
                ],
            }],
            trouble: Some("bastion: connection refused".into()),
            remarks: vec!["~/.ssh/config:9: Match block passed over".into()],
        };
        insta::assert_snapshot!(text(&way), @r"
        pc1: not reached
          hop 1: bastion (ops@10.0.0.1:22)
            user            ops  [/home/me/.ssh/config:3]
            ok     resolve           1 ms  10.0.0.1
            FAILED connect          12 ms  connection� refused
          note: ~/.ssh/config:9: Match block passed over
        ");
    }
}
