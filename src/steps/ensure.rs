//! `ensure`: brings resources into their declared state, one after the other, in the order of the recipe.
//!
//! Each is checked, told, applied and checked again: a change that did not take is a failure, not a surprise for the next
//! run. In a dry run it stays at checking and telling.

use super::{Context, Outcome, StepError, drift};
use crate::domain::recipe::Step;
use crate::domain::resource::Declared;
use crate::domain::run::Stream;
use crate::resources::{self, Difference, Means, ResourceError};
use crate::transport::Host;

pub(super) async fn execute(
    declared: &[Declared],
    step: &Step,
    name: Option<&str>,
    host: &dyn Host,
    context: &Context,
) -> Result<Outcome, StepError> {
    let mut outcome = Outcome::Ok;
    let mut changed: Vec<String> = Vec::new();
    for (Declared { resource, notify }, position) in declared.iter().zip(0..) {
        let label = resource.label();
        let failed = |error: ResourceError| StepError {
            passing: error.is_passing(),
            message: format!("{label}: {error}"),
        };
        let means = Means {
            log: &*context.log,
            cancel: &context.cancel,
            cache: &context.cache,
            offline: context.offline,
            changed: &changed,
            records: &*context.records,
            position,
        };
        let difference = resources::check(resource, host, &means)
            .await
            .map_err(failed)?;
        if difference.is_none() {
            context.note(format!("{label}: as declared")).await;
            drift::holds(&label, host, context).await;
            continue;
        }
        outcome = Outcome::Changed;
        tell(&label, &difference, context).await;
        context.owe(notify, name).await?;
        context.owe(&step.notify, name).await?;
        if !context.dry_run {
            resources::apply(resource, &difference, host, &means)
                .await
                .map_err(failed)?;
            // What was changed before does not count any more: the unit has been restarted for it.
            let fresh = Means {
                changed: &[],
                ..means
            };
            let left = resources::check(resource, host, &fresh)
                .await
                .map_err(failed)?;
            if !left.is_none() && !resources::proves_itself(resource) {
                return Err(StepError {
                    message: format!(
                        "{label}: was applied, and still: {}",
                        left.changes.join("; ")
                    ),
                    passing: false,
                });
            }
            context.note(format!("{label}: done")).await;
            drift::holds(&label, host, context).await;
        }
        if let Some(path) = resource.path() {
            changed.push(path.to_owned());
        }
    }
    Ok(outcome)
}

async fn tell(label: &str, difference: &Difference, context: &Context) {
    for change in &difference.changes {
        context.note(format!("{label}: {change}")).await;
    }
    for line in &difference.diff {
        context.log.line(Stream::Diff, line.clone()).await;
    }
}
