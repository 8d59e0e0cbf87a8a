//! `do: drift`: whether what is there is still what the state says. Looks only: it takes no lock and writes nothing.

use super::super::program::{look, show};
use super::super::{Context, Outcome, StepError};
use super::place::Place;
use super::plan::drifted;
use super::watch::{Told, run};
use crate::domain::recipe::TerraformStep;
use crate::domain::run::Stream;
use crate::transport::Exit;

pub(super) async fn drift(asked: &TerraformStep, context: &Context) -> Result<Outcome, StepError> {
    let place = Place::enter(&asked.root, asked.grace(), context).await?;
    let bench = context.workshop.bench("drift")?;
    place.init(context).await?;
    let arguments = place.only_looking(&bench)?;
    let told = Told::new(format!("drift of {}", place.told()));
    let exit = run(&place, &place.command(arguments), &told, context).await?;
    let (lines, outputs) = look(&told, |told| {
        let lines = drifted(told.account.drift());
        (lines, told.account.changing_outputs())
    });
    for line in &lines {
        context.log.line(Stream::Diff, line.clone()).await;
    }
    let found = match (lines.len().saturating_sub(1), outputs.is_empty()) {
        (0, true) => "nothing has drifted".to_owned(),
        (0, false) => format!("outputs would change: {}", outputs.join(", ")),
        (count, _) => format!("{count} of Terraform's resources changed outside of it"),
    };
    look(&told, |told| {
        told.summary = vec![format!("{}: {found}", place.told())];
    });
    show(&told, context).await;
    context.note(format!("{}: {found}", place.told())).await;
    if exit == Exit::Code(2) {
        return Err(StepError::lasting(format!("{}: {found}", place.told())));
    }
    Ok(Outcome::Ok)
}
