//! `drift`: compares what is declared with what is there, and puts what differs on the drift board.
//!
//! A look changes nothing, and not by its own restraint: resources are compared through a host that cannot be written to
//! (`resources::check`), services through a port that sends nothing but reading requests. What a look cannot see is kept
//! as not known, with the reason, and the task fails: a check that saw half of it was not a success.

mod desired;
mod nodes;
mod versions;

use async_trait::async_trait;
use tokio::time::timeout;

use super::{Context, Outcome, StepError, terraform};
use crate::domain::drift::{DriftLook, DriftSource, Drifted};
use crate::domain::recipe::{DriftStep, Step};
use crate::domain::run::Stream;
use crate::transport::Host;

/// Where it is kept what differs.
#[async_trait]
pub trait DriftBook: Send + Sync {
    /// Keeps what a look found, in place of what the one before at the same part found.
    ///
    /// # Errors
    /// A sentence that says why it could not be stored.
    async fn keep(&self, look: DriftLook) -> Result<(), String>;

    /// An object was seen to be as declared by something that is no look, such as a deploy that has just put it right.
    ///
    /// # Errors
    /// A sentence that says why it could not be stored.
    async fn holds(&self, source: DriftSource, object: &str) -> Result<(), String>;
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoDriftBook;

#[async_trait]
impl DriftBook for NoDriftBook {
    async fn keep(&self, _: DriftLook) -> Result<(), String> {
        Ok(())
    }

    async fn holds(&self, _: DriftSource, _: &str) -> Result<(), String> {
        Ok(())
    }
}

pub(super) async fn execute(
    asked: &DriftStep,
    step: &Step,
    host: Option<&str>,
    context: &Context,
) -> Result<Outcome, StepError> {
    // A tenth early: what took too long is not known, and has to be kept as that.
    let limit = step.time_limit().map_err(StepError::lasting)?;
    let patience = limit.saturating_sub(limit / 10);
    match asked.source {
        DriftSource::Nodes => {
            let node = super::node(step, host, context)?;
            let looking = timeout(patience, nodes::look(asked, &*node, context));
            let seen = match looking.await {
                Ok(seen) => seen,
                Err(_) => Err(format!("no answer within {patience:?}")),
            };
            settle(
                vec![nodes::told(asked, node.name(), &step.id, seen)],
                context,
            )
            .await
        }
        DriftSource::Versions => settle(versions::look(context).await, context).await,
        DriftSource::Terraform => {
            let root = asked.root.as_ref().ok_or_else(|| {
                StepError::lasting(
                    "`drift` of `terraform` needs `root`: where its configuration is",
                )
            })?;
            if !terraform::is_there(root, context) {
                return Ok(Outcome::Skipped(format!(
                    "there is no configuration in {}",
                    root.directory
                )));
            }
            let looking = timeout(patience, terraform::drifted(root, &step.id, context));
            let seen = match looking.await {
                Ok(seen) => seen.map_err(|error| error.message),
                Err(_) => Err(format!("no answer within {patience:?}")),
            };
            let found = seen.as_deref().unwrap_or_default();
            // A rehearsal has brought nothing back.
            let is_left = !context.dry_run
                && (found.iter()).any(|one| is_part(&one.key.object, &asked.mended));
            let look = DriftLook {
                source: asked.source,
                scope: root.directory.clone(),
                seen,
            };
            let outcome = settle(vec![look], context).await?;
            if is_left {
                return Err(StepError::lasting(format!(
                    "{} still differs from the state, so its configuration does not say otherwise: `terraform-accept` takes \
                     what is there into the state",
                    asked.mended
                )));
            }
            Ok(outcome)
        }
        source => {
            if let Some(object) = &asked.reconcile {
                return desired::reconcile(source, object, context).await;
            }
            match desired::look(source, context).await {
                Some(looks) => settle(looks, context).await,
                None => Ok(Outcome::Skipped(format!(
                    "nothing is declared of {source}; it would be below `desired` of the environment"
                ))),
            }
        }
    }
}

/// Whether the resource at `address` is one of those that Terraform means by `target`: itself, an instance of it
/// (`aws_instance.web[0]`), or something in that module (`module.shop.aws_instance.web`).
fn is_part(address: &str, target: &str) -> bool {
    let rest = address.strip_prefix(target).filter(|_| !target.is_empty());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']))
}

/// Says and keeps what was found. A part that could not be seen fails the task.
async fn settle(looks: Vec<DriftLook>, context: &Context) -> Result<Outcome, StepError> {
    if context.cancel.is_cancelled() {
        return Err(StepError::cancelled());
    }
    let mut blind = Vec::new();
    for look in looks {
        match &look.seen {
            Ok(found) if found.is_empty() => {
                context.note(format!("{}: as declared", look.scope)).await;
            }
            Ok(found) => {
                for drifted in found {
                    tell(drifted, context).await;
                }
            }
            Err(reason) => {
                context
                    .note(format!("{}: not known: {reason}", look.scope))
                    .await;
                blind.push(format!("{}: {reason}", look.scope));
            }
        }
        context.drift.keep(look).await.map_err(|reason| StepError {
            message: format!("what was found could not be kept: {reason}"),
            passing: true,
        })?;
    }
    if blind.is_empty() {
        Ok(Outcome::Ok)
    } else {
        Err(StepError {
            message: format!("not known: {}", blind.join("; ")),
            passing: true,
        })
    }
}

async fn tell(drifted: &Drifted, context: &Context) {
    context
        .note(format!(
            "{}: {} instead of {}",
            drifted.key, drifted.actual, drifted.desired
        ))
        .await;
    for line in &drifted.diff {
        context.log.line(Stream::Diff, line.clone()).await;
    }
}

/// A resource is as declared: what the board says of it is over.
pub(super) async fn holds(label: &str, host: &dyn Host, context: &Context) {
    if context.dry_run {
        return;
    }
    let object = nodes::object(host.name(), label);
    if let Err(reason) = context.drift.holds(DriftSource::Nodes, &object).await {
        // The next check finds it out.
        context
            .note(format!("{label}: the drift board still has it: {reason}"))
            .await;
    }
}

#[cfg(test)]
mod tests {
    use super::is_part;

    #[test]
    fn a_target_means_its_instances_and_what_is_in_its_module_and_nothing_of_a_longer_name() {
        for (address, target, part) in [
            ("aws_instance.web[0]", "aws_instance.web[0]", true),
            ("aws_instance.web[0]", "aws_instance.web", true),
            ("aws_instance.webs", "aws_instance.web", false),
            ("module.shop[\"eu\"].aws_instance.web", "module.shop", true),
            ("module.shop.aws_instance.web", "module.shop", true),
            ("module.shop2.aws_instance.web", "module.shop", false),
            ("aws_instance.web[1]", "aws_instance.web[0]", false),
            ("aws_instance.web", "", false),
        ] {
            assert_eq!(is_part(address, target), part, "{address} of {target:?}");
        }
    }
}
