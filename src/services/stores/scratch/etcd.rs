//! An etcd of one member, made from a snapshot by etcd's own tool.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::server::{Server, free_port};
use super::{Trial, all_there, program, programs, store};
use crate::domain::backup::StoreKind;
use crate::services::api::{Auth, Endpoint, Until};
use crate::services::stores::LOOK;
use crate::transport::local::{LocalHost, Program};
use crate::transport::{Command, Host as _};

/// A member that runs.
pub(in super::super) struct Scratch {
    pub(in super::super) server: Server,
    pub(in super::super) endpoint: Endpoint,
    port: u16,
    /// Removed with it.
    _data: tempfile::TempDir,
}

/// Starts a member from the snapshot at `file`, in a new directory in `folder`.
///
/// # Errors
/// Why it does not run.
pub(in super::super) async fn start(
    file: &Path,
    folder: &Path,
    cancel: &CancellationToken,
) -> Result<Scratch, String> {
    let etcd = program(programs(StoreKind::Etcd))?;
    // Since 3.6 the tool for files is one of its own.
    let tool = program(&["etcdutl", "etcdctl"])?;
    let data = tempfile::Builder::new()
        .prefix("etcd-")
        .tempdir_in(folder)
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    let [client, peer] = [free_port()?, free_port()?];
    let member = format!("http://127.0.0.1:{peer}");
    let same = [
        "--name=scratch".to_owned(),
        format!("--data-dir={}", data.path().join("data").display()),
        format!("--initial-cluster=scratch={member}"),
        format!("--initial-advertise-peer-urls={member}"),
    ];
    let mut restore = vec![
        "env".to_owned(),
        "ETCDCTL_API=3".into(),
        tool,
        "snapshot".into(),
        "restore".into(),
        file.display().to_string(),
    ];
    restore.extend(same.clone());
    let here = LocalHost::new("here");
    let command = Command::new(restore).within(Duration::from_secs(600));
    let restored = here
        .output(&command)
        .await
        .map_err(|error| error.to_string())?;
    if !restored.exit.success() {
        return Err(format!(
            "etcd cannot restore the snapshot: {}",
            crate::services::stores::tools::last(&restored.complaint())
        ));
    }
    let mut argv = vec![etcd];
    argv.extend(same);
    argv.extend([
        format!("--listen-peer-urls={member}"),
        format!("--listen-client-urls=http://127.0.0.1:{client}"),
        format!("--advertise-client-urls=http://127.0.0.1:{client}"),
    ]);
    let server = Server::start(Program::new(argv), cancel);
    let endpoint = super::endpoint(client, &Auth::None)?;
    let leads = || async {
        let until = Until::after(Duration::from_secs(2));
        let status = endpoint
            .post("/v3/maintenance/status", &json!({}), until)
            .await;
        let status: Value = status.ok()?.success().ok()?.json().ok()?;
        (status["leader"].is_string() && status["leader"] != "0").then_some(())
    };
    server.until("it led itself", &leads).await?;
    Ok(Scratch {
        server,
        endpoint,
        port: client,
        _data: data,
    })
}

pub(super) async fn drill(trial: &Trial<'_>) -> Result<String, String> {
    let scratch = start(trial.file, trial.folder, trial.cancel).await?;
    let held = store(trial, scratch.port, trial.secret.clone())?
        .inventory(LOOK)
        .await
        .map_err(|error| format!("it cannot be asked: {error}"))?;
    let keys = held
        .items
        .keys()
        .filter(|name| name.starts_with("key "))
        .count()
        + held.left_out;
    let answer = all_there(trial.snapshot, &held);
    scratch.server.stop().await;
    Ok(format!("it leads, and has {keys} keys; {}", answer?))
}
