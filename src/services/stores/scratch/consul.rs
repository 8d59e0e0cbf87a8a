//! A Consul server alone, without ACLs: a state that has them is read all the same.

use std::time::Duration;

use super::server::{Server, free_port};
use super::{Trial, all_there, program, programs, store};
use crate::services::api::Until;
use crate::services::stores::LOOK;
use crate::transport::local::Program;

pub(super) async fn drill(trial: &Trial<'_>) -> Result<String, String> {
    let consul = program(programs(trial.spec.kind))?;
    let [http, server, serf] = [free_port()?, free_port()?, free_port()?];
    let data = trial.folder.join("consul");
    let ports = format!(
        "ports {{ http = {http} server = {server} serf_lan = {serf} serf_wan = -1 dns = -1 grpc = -1 }}"
    );
    let argv = [
        consul,
        "agent".into(),
        "-server".into(),
        "-bootstrap-expect=1".into(),
        "-node=scratch".into(),
        "-bind=127.0.0.1".into(),
        "-client=127.0.0.1".into(),
        format!("-data-dir={}", data.display()),
        format!("-hcl={ports}"),
    ];
    let server = Server::start(Program::new(argv), trial.cancel);
    let endpoint = super::endpoint(http, &crate::services::api::Auth::None)?;
    let leads = || async {
        let until = Until::after(Duration::from_secs(2));
        let leader: String = endpoint.get("/v1/status/leader", until).await.ok()?;
        (!leader.is_empty()).then_some(())
    };
    server.until("it led itself", &leads).await?;
    let scratch = store(trial, http, None)?;
    scratch
        .restore(trial.snapshot, trial.file, trial.cancel)
        .await
        .map_err(|error| format!("it did not take the snapshot: {error}"))?;
    server.until("it led itself again", &leads).await?;
    let held = scratch
        .inventory(LOOK)
        .await
        .map_err(|error| format!("it cannot be asked: {error}"))?;
    let keys = held
        .items
        .keys()
        .filter(|name| name.starts_with("key "))
        .count();
    let answer = all_there(trial.snapshot, &held);
    server.stop().await;
    Ok(format!("it leads, and has {keys} keys; {}", answer?))
}
