//! Terraform reads the state by itself: no provider and no backend is needed to list what is in it.

use super::{Trial, all_there, program, programs};
use crate::services::stores::LOOK;
use crate::services::stores::terraform::resources;
use crate::services::stores::tools::last;
use crate::transport::local::LocalHost;
use crate::transport::{Command, Host as _};

pub(super) async fn drill(trial: &Trial<'_>) -> Result<String, String> {
    let terraform = program(programs(trial.spec.kind))?;
    let argv = [
        terraform,
        format!("-chdir={}", trial.folder.display()),
        "state".into(),
        "list".into(),
        format!("-state={}", trial.file.display()),
    ];
    let command = Command::new(argv).within(LOOK * 3);
    let output = LocalHost::new("here").output(&command).await;
    let output = output.map_err(|error| error.to_string())?;
    if !output.exit.success() {
        return Err(format!(
            "Terraform cannot read the state: {}",
            last(&output.complaint())
        ));
    }
    let listed = output.text().lines().count();
    let bytes = std::fs::read(trial.file).map_err(|error| error.to_string())?;
    let held = resources(&bytes)?;
    if listed != held.items.len() {
        return Err(format!(
            "Terraform lists {listed} resources, but there are {} in the file",
            held.items.len()
        ));
    }
    let answer = all_there(trial.snapshot, &held)?;
    Ok(format!("Terraform lists {listed} resources; {answer}"))
}
