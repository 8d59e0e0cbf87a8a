//! `terraform`: plans, applies and looks, with the real program (or OpenTofu).
//!
//! What is applied is a plan file that was shown, and nothing else. A plan is bound to the bytes of that file, to the files of
//! its configuration, and to lineage and serial of the state it was made from: when one of them has moved, an approval is
//! void and nothing is applied. Terraform itself notices only the last, and not even that before the first apply
//! (hashicorp/terraform#24078).
//!
//! Programs get no terminal, no colour and no questions (`TF_IN_AUTOMATION`, `TF_INPUT`); variables travel in files with
//! mode 0600, credentials in the environment. Terraform's own directory (`TF_DATA_DIR`) is Quarterdeck's, one for each
//! environment, so that an operator's own `.terraform` stays as he left it.
//!
//! An apply cannot be undone: what Terraform made or destroyed is not brought back by an older state file. A run's undo says
//! so and names the snapshot; the way back is the earlier configuration, planned and shown like any other.

mod apply;
mod board;
mod bound;
mod drift;
mod outputs;
mod place;
mod plan;
mod state;
mod watch;

pub(super) use board::{drifted, is_there};
pub(super) use bound::bound_to;
pub(super) use outputs::outputs;

use super::{Context, Outcome, StepError};
use crate::domain::recipe::{Step, TerraformAction, TerraformStep};

pub(super) async fn execute(
    asked: &TerraformStep,
    step: &Step,
    context: &Context,
) -> Result<Outcome, StepError> {
    match asked.action {
        TerraformAction::Check => place::check(asked, context).await,
        TerraformAction::Snapshot => state::snapshot(asked, context).await,
        TerraformAction::Plan => plan::plan(asked, step, context).await,
        TerraformAction::Apply => apply::apply(asked, context).await,
        TerraformAction::Drift => drift::drift(asked, context).await,
    }
}
