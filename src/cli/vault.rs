//! `quarterdeck vault`: the seal of a Vault or `OpenBao`, and what is done to it.

use std::path::PathBuf;

use base64::Engine as _;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use super::exit::{Ended, Exit};
use super::follow::{Give, carry_out, plan};
use super::session::Session;
use super::unseal::{UnsealArgs, hold, unseal};
use super::{Global, output};
use crate::client::{Request, Response};
use crate::domain::plan::PlanRequest;
use crate::domain::seal::SealBoard;
use crate::tui::measure;

/// The commands of `quarterdeck vault`.
#[derive(Debug, Subcommand)]
pub(super) enum VaultCommand {
    /// Show every node: sealed or not, shares given, attempt, leader; ends with 1 when one is not open
    Status(StatusArgs),
    /// Make a new Vault: its shares and root token are shown once, or encrypted for their keepers
    Init(NewKeysArgs),
    /// Give shares until every node is unsealed; the same as `quarterdeck unseal`
    Unseal(UnsealArgs),
    /// Seal all nodes, or one
    Seal(NodesArgs),
    /// Have the active node give way to another
    StepDown(OnlyArgs),
    /// Replace the shares by others, with enough of the present ones
    Rekey(NewKeysArgs),
}

/// Which Vault.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// The environment; default: the workspace's default, or its only one
    #[arg(long, short, visible_alias = "env")]
    pub(super) environment: Option<String>,
    /// The Vault's name in the environment; default: its only one
    #[arg(long, value_name = "NAME")]
    pub(super) service: Option<String>,
}

impl Which {
    /// Says in a request which service is meant.
    pub(super) fn fill(&self, request: &mut PlanRequest) {
        if let Some(service) = &self.service {
            request.params.insert("service".into(), json!(service));
        }
    }
}

/// Flags of `quarterdeck vault status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    which: Which,
    /// Print one JSON object per Vault
    #[arg(long)]
    json: bool,
}

/// Flags of `quarterdeck vault step-down`.
#[derive(Debug, Args)]
pub(super) struct OnlyArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    give: Give,
}

/// Flags of `quarterdeck vault seal`.
#[derive(Debug, Args)]
pub(super) struct NodesArgs {
    #[command(flatten)]
    which: Which,
    /// Only these nodes of it
    #[arg(long = "node", value_name = "NAME")]
    nodes: Vec<String>,
    #[command(flatten)]
    give: Give,
}

/// Flags of `quarterdeck vault init` and `quarterdeck vault rekey`.
#[derive(Debug, Args)]
pub(super) struct NewKeysArgs {
    #[command(flatten)]
    which: Which,
    /// How many shares there shall be
    #[arg(long, default_value_t = 5, value_name = "N")]
    shares: u32,
    /// How many of them shall unseal
    #[arg(long, default_value_t = 3, value_name = "T")]
    threshold: u32,
    /// Encrypt for this age recipient (age1…): one for each share, or one for all
    #[arg(
        long = "age-recipient",
        value_name = "RECIPIENT",
        conflicts_with = "pgp_keys"
    )]
    recipients: Vec<String>,
    /// Have Vault encrypt for the PGP public key in this file (binary, or armoured); one for each share
    #[arg(long = "pgp-key", value_name = "FILE")]
    pgp_keys: Vec<PathBuf>,
    #[command(flatten)]
    give: Give,
}

/// Carries out one of them.
///
/// # Errors
/// When it cannot be begun; a run that fails is [`Exit::Failed`].
pub(super) async fn vault(global: &Global, command: VaultCommand) -> color_eyre::Result<Exit> {
    match command {
        VaultCommand::Status(args) => status(global, &args).await,
        VaultCommand::Unseal(args) => unseal(global, args).await,
        VaultCommand::Init(args) => new_keys(global, "vault-init", args).await,
        VaultCommand::Rekey(args) => new_keys(global, "vault-rekey", args).await,
        VaultCommand::Seal(args) => seal(global, args).await,
        VaultCommand::StepDown(args) => step_down(global, args).await,
    }
}

async fn status(global: &Global, args: &StatusArgs) -> color_eyre::Result<Exit> {
    let session = Session::observe(global, "vault").await?;
    let boards = boards(&session, args).await;
    session.close().await;
    let boards = boards?;
    if boards.is_empty() {
        return Err(Ended::unusable("the environment has no such Vault").into());
    }
    let now = Timestamp::now();
    for board in &boards {
        if args.json {
            output::json(board)?;
            continue;
        }
        if boards.len() > 1 {
            output::line(&output::plain(&board.service))?;
        }
        let mut table = board.table(|at| measure::age(now, at));
        for cell in table.rows.iter_mut().flat_map(|row| &mut row.cells) {
            cell.text = output::plain(&cell.text);
        }
        output::table(&table)?;
        for node in &board.nodes {
            if let Some(trouble) = &node.trouble {
                output::remark(&output::plain(&format!("{}: {trouble}", node.node)));
            }
        }
    }
    let open = boards.iter().all(SealBoard::all_open);
    Ok(if open { Exit::Success } else { Exit::Failed })
}

/// How the seals of every Vault of `environment` stand.
///
/// # Errors
/// When a Vault cannot be asked as it is configured; that a node keeps silent stands on its board instead.
pub(super) async fn seals(
    session: &Session,
    environment: &str,
) -> color_eyre::Result<Vec<SealBoard>> {
    let request = Request::Seals {
        environment: environment.to_owned(),
    };
    let answer = session.client().call(request).await;
    let Response::Seals(boards) = answer.map_err(Ended::unusable)? else {
        return Err(Ended::unusable("the engine answered something else than seals").into());
    };
    Ok(boards)
}

async fn boards(session: &Session, args: &StatusArgs) -> color_eyre::Result<Vec<SealBoard>> {
    let environment = session.environment(args.which.environment.as_deref())?;
    let mut boards = seals(session, &environment.name).await?;
    let service = args.which.service.as_ref();
    boards.retain(|board| service.is_none_or(|name| *name == board.service));
    Ok(boards)
}

async fn seal(global: &Global, args: NodesArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "vault").await?;
    let outcome = async {
        let mut request = request(&session, "vault-seal", &args.which)?;
        let nodes = args.nodes.join(",");
        request.params.insert("nodes".into(), json!(nodes));
        let planned = plan(session.client(), request).await?;
        planned.show(args.give.json)?;
        carry_out(&session, planned, args.give).await
    };
    let outcome = outcome.await;
    session.close().await;
    outcome
}

async fn step_down(global: &Global, args: OnlyArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "vault").await?;
    let outcome = async {
        let request = request(&session, "vault-step-down", &args.which)?;
        let planned = plan(session.client(), request).await?;
        planned.show(args.give.json)?;
        carry_out(&session, planned, args.give).await
    };
    let outcome = outcome.await;
    session.close().await;
    outcome
}

async fn new_keys(global: &Global, recipe: &str, args: NewKeysArgs) -> color_eyre::Result<Exit> {
    let mut pgp_keys = Vec::new();
    for path in &args.pgp_keys {
        let bytes = std::fs::read(path)
            .map_err(|error| Ended::unusable(format!("{}: {error}", path.display())))?;
        let key = binary(&bytes)
            .ok_or_else(|| Ended::unusable(format!("{}: no PGP public key", path.display())))?;
        pgp_keys.push(base64::engine::general_purpose::STANDARD.encode(key));
    }
    let session = Session::open(global, "vault").await?;
    let outcome = async {
        let mut request = request(&session, recipe, &args.which)?;
        let params = &mut request.params;
        params.insert("shares".into(), json!(args.shares));
        params.insert("threshold".into(), json!(args.threshold));
        params.insert("recipients".into(), json!(args.recipients.join(",")));
        params.insert("pgp_keys".into(), json!(pgp_keys.join(",")));
        let planned = plan(session.client(), request).await?;
        planned.show(args.give.json)?;
        hold(&session, planned, args.give).await
    };
    let outcome = outcome.await;
    session.close().await;
    outcome
}

fn request(session: &Session, recipe: &str, which: &Which) -> color_eyre::Result<PlanRequest> {
    let environment = session.environment(which.environment.as_deref())?;
    let mut request = PlanRequest {
        environment: environment.name.clone(),
        recipe: recipe.into(),
        ..PlanRequest::default()
    };
    which.fill(&mut request);
    Ok(request)
}

/// A PGP key as bytes: what is armoured is taken out of its armour.
fn binary(bytes: &[u8]) -> Option<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
    let armoured = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| Some(&text[text.find(BEGIN)? + BEGIN.len()..]));
    let Some(rest) = armoured else {
        // The first bit of every OpenPGP packet is set (RFC 9580, section 4.2).
        return bytes
            .first()
            .is_some_and(|byte| byte & 0x80 != 0)
            .then(|| bytes.to_vec());
    };
    // Headers, an empty line, base64, a checksum that begins with "=" (RFC 9580, section 6).
    let body = rest.replace("\r\n", "\n");
    let (_, body) = body.split_once("\n\n")?;
    let lines = body
        .lines()
        .take_while(|line| !line.starts_with('=') && !line.starts_with('-'));
    let text: String = lines.map(str::trim).collect();
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pgp_key_is_taken_out_of_its_armour() {
        let armoured = "-----BEGIN PGP PUBLIC KEY BLOCK-----\nComment: x\n\nmQEN\nBFxK\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n";
        let key = binary(armoured.as_bytes()).unwrap();
        assert_eq!(key, [0x99, 0x01, 0x0d, 0x04, 0x5c, 0x4a]);
        assert_eq!(binary(&key).unwrap(), key);
        assert_eq!(binary(b"ssh-ed25519 AAAA"), None);
    }
}
