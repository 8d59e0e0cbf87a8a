//! Node resources: what the `ensure` steps of a recipe declare, compared on one node. Nothing is ever applied.

use std::collections::BTreeMap;

use super::super::Context;
use crate::domain::drift::{DriftLook, DriftSource, Drifted, parted};
use crate::domain::recipe::DriftStep;
use crate::domain::remedy::Remedy;
use crate::resources::undo::NoRecords;
use crate::resources::{self, Difference, Means};
use crate::transport::Host;

/// How the board calls a resource of a node.
pub(super) fn object(node: &str, label: &str) -> String {
    format!("{node}/{label}")
}

/// What differs on `host`, or why that cannot be seen. The first resource that cannot be seen ends it: a part of a part would
/// look as if the rest were well.
pub(super) async fn look(
    asked: &DriftStep,
    host: &dyn Host,
    context: &Context,
) -> Result<Vec<Drifted>, String> {
    let mut found = Vec::new();
    for (declared, position) in asked.declared.iter().zip(0..) {
        let resource = &declared.resource;
        let means = Means {
            log: &*context.log,
            cancel: &context.cancel,
            cache: &context.cache,
            offline: context.offline,
            // That a file differs says nothing yet about the unit that reads it.
            changed: &[],
            records: &NoRecords,
            position,
        };
        let label = resource.label();
        let difference = resources::check(resource, host, &means)
            .await
            .map_err(|error| format!("{label}: {error}"))?;
        found.extend(rows(&object(host.name(), &label), difference));
    }
    if let Some(by) = &asked.by {
        let remedy = Remedy::recipe(&by.recipe).only(&by.step).on(host.name());
        for drifted in &mut found {
            drifted.reconcile = Some(remedy.clone());
        }
    }
    Ok(found)
}

/// The look at one node by one step.
pub(super) fn told(
    asked: &DriftStep,
    node: &str,
    id: &str,
    seen: Result<Vec<Drifted>, String>,
) -> DriftLook {
    let step = asked.by.as_ref().map_or(id, |by| &by.step);
    DriftLook {
        source: DriftSource::Nodes,
        scope: object(node, step),
        seen,
    }
}

/// One row per property of the resource.
fn rows(object: &str, difference: Difference) -> Vec<Drifted> {
    let mut fields: BTreeMap<String, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for change in &difference.changes {
        let (field, desired, actual) = parted(change);
        let (wanted, there) = fields.entry(field).or_default();
        wanted.push(desired);
        there.push(actual);
    }
    let mut diff = Some(difference.diff).filter(|lines| !lines.is_empty());
    let has_content = fields.contains_key("content");
    fields
        .into_iter()
        .map(|(field, (desired, actual))| {
            let diff = if field == "content" || !has_content {
                diff.take().unwrap_or_default()
            } else {
                Vec::new()
            };
            Drifted {
                diff,
                ..Drifted::new(
                    DriftSource::Nodes,
                    object,
                    field,
                    desired.join("; "),
                    actual.join("; "),
                )
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_has_a_row_for_each_property_and_the_diff_is_with_its_content() {
        let difference = Difference {
            changes: vec!["content differs".into(), "mode 0600 → 0644".into()],
            diff: vec!["-a".into(), "+b".into()],
        };
        let rows = rows("pc1/file /a", difference);
        let told: Vec<String> = rows
            .iter()
            .map(|row| {
                format!(
                    "{} {} {} {}",
                    row.key,
                    row.actual,
                    row.desired,
                    row.diff.len()
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "nodes:pc1/file /a#content differs as declared 2",
                "nodes:pc1/file /a#mode 0600 0644 0"
            ]
        );
    }
}
