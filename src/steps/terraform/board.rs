//! What has drifted of Terraform's resources, attribute by attribute, for the drift board: a refresh-only plan, read by
//! `terraform show -json`. It takes no lock and writes nothing but the plan, into the run's private directory.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use super::super::workshop::disk;
use super::super::{Context, StepError};
use super::place::Place;
use super::watch::{Told, run};
use crate::domain::drift::{DriftSource, Drifted};
use crate::domain::recipe::Root;
use crate::domain::remedy::Remedy;
use crate::domain::terraform::{self, DriftedKind as Kind, DriftedResource};
use crate::transport::Exit;

/// The plan's name in the run's directory.
const PLAN: &str = "refresh.tfplan";
/// How long Terraform may take to end in good order.
const GRACE: Duration = Duration::from_secs(60);

/// Whether there is a configuration to look at.
pub(in crate::steps) fn is_there(root: &Root, context: &Context) -> bool {
    let directory = context.workshop.path(&root.directory);
    let has_files = |entries: fs::ReadDir| {
        let mut names = entries.flatten().map(|entry| entry.file_name());
        names.any(|name| {
            let name = name.to_string_lossy();
            name.ends_with(".tf") || name.ends_with(".tf.json")
        })
    };
    directory.is_ok_and(|directory| fs::read_dir(directory).is_ok_and(has_files))
}

/// What differs from the state of the configuration in `root`.
pub(in crate::steps) async fn drifted(
    root: &Root,
    id: &str,
    context: &Context,
) -> Result<Vec<Drifted>, StepError> {
    let place = Place::enter(root, GRACE, context).await?;
    let bench = context.workshop.bench(id)?;
    place.init(context).await?;
    let plan = bench.join(PLAN);
    let mut arguments = place.only_looking(&bench)?;
    arguments.push(format!("-out={}", plan.display()));
    let told = Told::new(format!("drift of {}", place.told()));
    let shown = async {
        let exit = run(&place, &place.command(arguments), &told, context).await?;
        match exit {
            Exit::Code(2) => super::plan::shown_as_json(&place, &plan, context)
                .await
                .map(Some),
            _ => Ok(None),
        }
    };
    let shown = shown.await;
    // Plans hold secrets, and one is written even where nothing differs: it has served its turn.
    match fs::remove_file(&plan) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(disk(&plan, &error)),
        _ => {}
    }
    let Some(shown) = shown? else {
        return Ok(Vec::new());
    };
    let resources = terraform::drifted(&shown).map_err(StepError::lasting)?;
    let rows = resources.into_iter().flat_map(|resource| {
        let reconcile = reconcile(root, &resource);
        resource
            .attributes
            .into_iter()
            .map(move |attribute| Drifted {
                reconcile: Some(reconcile.clone()),
                ..Drifted::new(
                    DriftSource::Terraform,
                    &resource.address,
                    attribute.name,
                    attribute.was,
                    attribute.is,
                )
            })
    });
    Ok(rows.collect())
}

/// What brings just this resource back. An output follows from resources, and is in no plan alone: that takes a whole one.
fn reconcile(root: &Root, resource: &DriftedResource) -> Remedy {
    let remedy = Remedy::recipe("terraform-reconcile")
        .with("directory", &root.directory)
        .with("workspace", root.workspace());
    match resource.kind {
        Kind::Resource => remedy.with("target", &resource.address),
        Kind::Output => remedy,
    }
}
