//! `do: plan`: plans, shows the plan with destruction on top, and keeps it for those who approve and apply.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::super::program::{self, look, show};
use super::super::workshop::{disk, private_file};
use super::super::{Context, Outcome, StepError};
use super::place::Place;
use super::state;
use super::watch::{Told, run};
use crate::domain::hex;
use crate::domain::recipe::{Root, Step, TerraformStep};
use crate::domain::run::Stream;
use crate::domain::terraform::{Account, Action, Change, StateId, differences};
use crate::transport::Exit;

/// The plan file within the bench of its step.
const PLAN: &str = "plan.tfplan";
/// What is known of it.
const SHOWN: &str = "plan.json";

/// A plan as it was shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Shown {
    /// What it was made with.
    pub(super) root: Root,
    /// SHA-256 of the plan file.
    pub(super) file: String,
    /// SHA-256 of the configuration's files.
    pub(super) files: BTreeMap<String, String>,
    /// The state it was made from.
    pub(super) state: StateId,
    /// Whether it changes anything.
    pub(super) changes: bool,
    /// In one sentence.
    pub(super) sentence: String,
    /// Whole, destruction first.
    pub(super) lines: Vec<String>,
}

impl Shown {
    /// The plan of the step `id` of this run.
    pub(super) fn read(id: &str, context: &Context) -> Result<(Self, PathBuf), StepError> {
        let bench = context.workshop.run.join(id);
        let path = bench.join(SHOWN);
        let text = fs::read(&path).map_err(|_| {
            StepError::lasting(format!(
                "this run has no plan of the step {id}: it is planned anew when the run is resumed or started again"
            ))
        })?;
        let shown = serde_json::from_slice(&text)
            .map_err(|error| StepError::lasting(format!("{}: {error}", path.display())))?;
        Ok((shown, bench.join(PLAN)))
    }

    /// One value for all that an approval is for: the plan file, the configuration, the state.
    pub(super) fn hash(&self) -> String {
        let parts = serde_json::json!([self.file, self.files, self.state]);
        hex(&Sha256::digest(parts.to_string().as_bytes()))
    }
}

/// SHA-256 of a file.
pub(super) fn checksum(path: &Path) -> Result<String, StepError> {
    let bytes = zeroize::Zeroizing::new(fs::read(path).map_err(|error| disk(path, &error))?);
    Ok(hex(&Sha256::digest(&*bytes)))
}

pub(super) async fn plan(
    asked: &TerraformStep,
    step: &Step,
    context: &Context,
) -> Result<Outcome, StepError> {
    let place = Place::enter(&asked.root, asked.grace(), context).await?;
    let bench = context.workshop.bench(&step.id)?;
    let plan_file = bench.join(PLAN);
    place.init(context).await?;
    // Before the plan: what moves while it is made is noticed then, too.
    let state = state::id(&place, context).await?;
    let files = place.files().await?;
    let mut arguments: Vec<String> = ["plan", "-json", "-input=false", "-detailed-exitcode"]
        .map(String::from)
        .into();
    arguments.push(format!("-lock-timeout={}", asked.lock_timeout));
    arguments.push(format!("-out={}", plan_file.display()));
    if asked.destroy {
        arguments.push("-destroy".into());
    }
    if asked.refresh_only {
        arguments.push("-refresh-only".into());
    }
    let mut what = place.told();
    if !asked.target.is_empty() {
        // Terraform reads the address, and says what it should look like when it cannot.
        arguments.push(format!("-target={}", asked.target));
        what = format!("{what}, only {}", asked.target);
    }
    arguments.extend(place.var_files(&bench)?);
    let told = Told::new(format!("plan of {what}"));
    let exit = run(&place, &place.command(arguments), &told, context).await?;
    let shown = Shown {
        root: asked.root.clone(),
        file: checksum(&plan_file)?,
        files,
        state,
        changes: exit == Exit::Code(2),
        sentence: look(&told, |told| sentence(&told.account)),
        lines: lines(&place, &plan_file, &told, context).await?,
    };
    let text = serde_json::to_vec(&shown).map_err(|error| StepError::lasting(error.to_string()))?;
    private_file(&bench.join(SHOWN), &text)?;
    tell(&shown, &what, context).await;
    look(&told, |told| {
        told.summary = vec![format!("{what}: {}", shown.sentence)];
    });
    show(&told, context).await;
    Ok(if shown.changes && context.dry_run {
        Outcome::Changed
    } else {
        Outcome::Ok
    })
}

async fn tell(shown: &Shown, what: &str, context: &Context) {
    context
        .note(format!("plan of {what}: {}", shown.sentence))
        .await;
    for line in &shown.lines {
        context.log.line(Stream::Diff, line.clone()).await;
    }
    context
        .note(format!(
            "plan file sha256 {}, made from {}",
            shown.file, shown.state
        ))
        .await;
}

/// How many of what, destruction first.
pub(super) fn sentence(account: &Account) -> String {
    let mut counts: BTreeMap<Action, usize> = BTreeMap::new();
    for change in account.planned() {
        *counts.entry(change.action).or_default() += 1;
    }
    let mut parts: Vec<String> = counts
        .iter()
        .map(|(action, count)| format!("{count} to {action}"))
        .collect();
    let outputs = account.changing_outputs();
    if !outputs.is_empty() {
        parts.push(format!("outputs {}", outputs.join(", ")));
    }
    if !account.drift().is_empty() {
        parts.push(format!("{} changed outside of it", account.drift().len()));
    }
    if parts.is_empty() {
        "nothing to change".into()
    } else {
        parts.join(", ")
    }
}

/// What `terraform show -json` says of a plan.
pub(super) async fn shown_as_json(
    place: &Place,
    plan_file: &Path,
    context: &Context,
) -> Result<zeroize::Zeroizing<Vec<u8>>, StepError> {
    let command = place.command(["show", "-json", &plan_file.display().to_string()]);
    let shown = program::ask(&command, &context.cancel).await?;
    if shown.exit.success() {
        return Ok(shown.stdout);
    }
    Err(StepError::lasting(format!(
        "{} show: {}: {}",
        place.name(),
        shown.exit,
        shown.complaint
    )))
}

/// The plan in lines: what changes, then what somebody else has changed.
async fn lines(
    place: &Place,
    plan_file: &Path,
    told: &std::sync::Mutex<Told>,
    context: &Context,
) -> Result<Vec<String>, StepError> {
    let shown = shown_as_json(place, plan_file, context).await?;
    let mut lines = differences(&shown).map_err(StepError::lasting)?;
    look(told, |told| {
        for change in told.account.planned() {
            let head = format!("{} {}", change.action.sign(), change.address);
            let why = Some(&change.why).filter(|why| !why.is_empty());
            if let (Some(line), Some(why)) = (lines.iter_mut().find(|line| **line == head), why) {
                *line = format!("{head}  # {why}");
            }
        }
        lines.extend(drifted(told.account.drift()));
    });
    let clean = |line| context.workshop.secrets.clean(line);
    Ok(lines.into_iter().map(clean).collect())
}

/// What somebody else has changed, a line each under a heading.
pub(super) fn drifted(drift: &[Change]) -> Vec<String> {
    let heading = (!drift.is_empty()).then(|| "changed outside of Terraform:".to_owned());
    let each = drift
        .iter()
        .map(|change| format!("! {} ({})", change.address, change.action));
    heading.into_iter().chain(each).collect()
}
