//! Services whose state is declared below `desired`: compared, or one object brought back and compared again.

use std::time::Duration;

use super::super::{Context, Outcome, StepError};
use crate::domain::drift::desired::Desired;
use crate::domain::drift::{DriftLook, DriftSource, Drifted};
use crate::domain::remedy::Remedy;
use crate::domain::service::ServiceKind;
use crate::services::desired::{Compare, Wanted};

/// The longest that one service may take over everything that is declared of it.
const LIMIT: Duration = Duration::from_secs(30);
/// The largest file that is read, bytes.
const FILE_LIMIT: u64 = 1024 * 1024;
/// The recipe that brings one object back.
const RECONCILE: &str = "reconcile";

/// What is declared of the services of this source.
fn declared(source: DriftSource, context: &Context) -> Vec<Desired> {
    let environment = &context.environment;
    let kind = match source {
        DriftSource::Consul => ServiceKind::Consul,
        DriftSource::Vault => ServiceKind::Vault,
        DriftSource::Nomad => ServiceKind::Nomad,
        DriftSource::Kubernetes => ServiceKind::Kubernetes,
        DriftSource::Nodes | DriftSource::Versions | DriftSource::Terraform => return Vec::new(),
    };
    let of_kind = |desired: &&Desired| {
        let spec = environment.service(&desired.service);
        spec.is_some_and(|spec| spec.kind == kind)
    };
    environment
        .desired
        .iter()
        .filter(of_kind)
        .cloned()
        .collect()
}

/// Looks at every service of `source` of which something is declared; `None` when of none is.
pub(super) async fn look(source: DriftSource, context: &Context) -> Option<Vec<DriftLook>> {
    let declared = declared(source, context);
    if declared.is_empty() {
        return None;
    }
    let looks = declared.into_iter().map(async |desired| DriftLook {
        source,
        scope: desired.service.clone(),
        seen: compare(source, desired, context).await,
    });
    Some(futures::future::join_all(looks).await)
}

async fn compare(
    source: DriftSource,
    desired: Desired,
    context: &Context,
) -> Result<Vec<Drifted>, String> {
    let (service, wanted) = open(desired, context).await?;
    let found = service.compare(&wanted, LIMIT).await;
    let mut found = found.map_err(|error| error.to_string())?;
    for drifted in &mut found {
        // What is in the catalog is put there by whoever runs it.
        if drifted.key.object.contains("/service/") && source == DriftSource::Consul {
            continue;
        }
        let remedy = Remedy::recipe(RECONCILE)
            .with("source", source.word())
            .with("object", &drifted.key.object);
        drifted.reconcile = Some(remedy);
    }
    Ok(found)
}

/// The service, and what is declared of it with the texts of its files.
async fn open(desired: Desired, context: &Context) -> Result<(Box<dyn Compare>, Wanted), String> {
    let paths = desired
        .policies
        .values()
        .chain(&desired.jobs)
        .chain(&desired.manifests);
    let mut texts = std::collections::BTreeMap::new();
    for path in paths {
        texts.insert(path.clone(), read(path).await?);
    }
    let service = context.services.compared(&desired.service).await?;
    Ok((service, Wanted { desired, texts }))
}

async fn read(path: &std::path::Path) -> Result<String, String> {
    let wrong = |reason: &dyn std::fmt::Display| format!("{}: {reason}", path.display());
    let size = tokio::fs::metadata(path)
        .await
        .map_err(|error| wrong(&error))?
        .len();
    if size > FILE_LIMIT {
        return Err(wrong(&format!("larger than {FILE_LIMIT} bytes")));
    }
    tokio::fs::read_to_string(path)
        .await
        .map_err(|error| wrong(&error))
}

/// Brings `object` into its desired state, and looks at its service again: done is what is seen, not what was sent.
pub(super) async fn reconcile(
    source: DriftSource,
    object: &str,
    context: &Context,
) -> Result<Outcome, StepError> {
    let name = object.split('/').next().unwrap_or_default();
    let desired = declared(source, context)
        .into_iter()
        .find(|desired| desired.service == name)
        .ok_or_else(|| {
            StepError::lasting(format!("nothing of {source} called {object:?} is declared"))
        })?;
    let service_name = desired.service.clone();
    let passing = |reason: String| StepError {
        message: format!("{service_name}: {reason}"),
        passing: true,
    };
    let before = compare(source, desired.clone(), context)
        .await
        .map_err(passing)?;
    let of_object = |drifted: &&Drifted| drifted.key.object == object;
    let differs = before.iter().any(|drifted| of_object(&drifted));
    for drifted in before.iter().filter(of_object) {
        super::tell(drifted, context).await;
    }
    if differs && !context.dry_run {
        let (service, wanted) = open(desired.clone(), context).await.map_err(passing)?;
        let said = service
            .bring(&wanted, object, LIMIT)
            .await
            .map_err(|error| passing(error.to_string()))?;
        context.note(said).await;
    }
    if context.dry_run {
        return Ok(if differs {
            Outcome::Changed
        } else {
            Outcome::Ok
        });
    }
    let after = compare(source, desired.clone(), context).await;
    let left: Vec<String> = after
        .iter()
        .flatten()
        .filter(of_object)
        .map(|drifted| drifted.key.to_string())
        .collect();
    let look = DriftLook {
        source,
        scope: desired.service,
        seen: after,
    };
    super::settle(vec![look], context).await?;
    if !left.is_empty() {
        return Err(StepError::lasting(format!(
            "{} was written, and still differs",
            left.join(", ")
        )));
    }
    context.note(format!("{object}: as declared")).await;
    Ok(if differs {
        Outcome::Changed
    } else {
        Outcome::Ok
    })
}
