//! The outputs of a state, for inventories. Sensitive ones are not among them, and are kept out of every log from then on.

use std::time::Duration;

use serde_json::{Map, Value};

use super::super::{Context, StepError, program};
use super::place::Place;
use crate::domain::recipe::Root;
use crate::domain::terraform;

/// How long looking may take to end when it is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// The outputs that are not sensitive, by name.
pub(in crate::steps) async fn outputs(
    root: &Root,
    context: &Context,
) -> Result<Map<String, Value>, StepError> {
    let place = Place::enter(root, GRACE, context).await?;
    place.init(context).await?;
    let said = program::ask(&place.command(["output", "-json"]), &context.cancel).await?;
    if !said.exit.success() {
        return Err(StepError {
            message: format!("{} output: {}: {}", place.name(), said.exit, said.complaint),
            passing: true,
        });
    }
    let (plain, secret) = terraform::outputs(&said.stdout).map_err(StepError::lasting)?;
    for value in secret {
        context.workshop.secrets.hide(&value);
    }
    Ok(plain)
}
