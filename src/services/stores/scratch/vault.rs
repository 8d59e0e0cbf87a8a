//! A Vault or OpenBao alone. It is initialised with a key of its own, takes the snapshot, and is then sealed by the keys of the
//! cluster that the snapshot came from: without their shares nobody can look further, and no share is asked for here.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};

use super::server::{Server, free_port};
use super::{Trial, program, programs};
use crate::services::api::{Auth, Until};
use crate::services::stores::RESTORE;
use crate::transport::local::Program;

pub(super) async fn drill(trial: &Trial<'_>) -> Result<String, String> {
    let vault = program(programs(trial.spec.kind))?;
    let [api, cluster] = [free_port()?, free_port()?];
    let data = trial.folder.join("vault");
    let made = |error: std::io::Error| format!("{}: {error}", trial.folder.display());
    std::fs::create_dir(&data).map_err(made)?;
    let config = trial.folder.join("vault.hcl");
    let text = format!(
        "api_addr = \"http://127.0.0.1:{api}\"\ncluster_addr = \"https://127.0.0.1:{cluster}\"\ndisable_mlock = true\n\
         listener \"tcp\" {{\n  address = \"127.0.0.1:{api}\"\n  cluster_address = \"127.0.0.1:{cluster}\"\n  \
         tls_disable = true\n}}\nstorage \"raft\" {{\n  path = {:?}\n  node_id = \"scratch\"\n  \
         performance_multiplier = 1\n}}\n",
        data.display().to_string()
    );
    std::fs::write(&config, text).map_err(made)?;
    let argv = [
        vault,
        "server".into(),
        format!("-config={}", config.display()),
    ];
    let server = Server::start(Program::new(argv.clone()), trial.cancel);
    let nobody = super::endpoint(api, &Auth::None)?;
    let until = || Until::after(Duration::from_secs(30));
    let status = || async {
        let until = Until::after(Duration::from_secs(2));
        nobody.get::<Value>("/v1/sys/seal-status", until).await.ok()
    };
    server.until("it answered", &status).await?;
    let said = |error: crate::services::ServiceError| error.to_string();
    let shares: Value = nobody
        .post(
            "/v1/sys/init",
            &json!({ "secret_shares": 1, "secret_threshold": 1 }),
            until(),
        )
        .await
        .and_then(|answer| answer.success()?.json())
        .map_err(said)?;
    let word = |value: &Value| {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or("it did not say its keys")
    };
    let root = SecretString::from(word(&shares["root_token"])?);
    let unseal = json!({ "key": word(&shares["keys"][0])? });
    nobody
        .post("/v1/sys/unseal", &unseal, until())
        .await
        .and_then(crate::services::api::Answer::success)
        .map_err(said)?;
    let active = || async {
        let until = Until::after(Duration::from_secs(2));
        let health = nobody.ask("/v1/sys/health", until).await.ok()?;
        (health.status() == 200).then_some(())
    };
    server.until("it was active", active).await?;
    let root = super::endpoint(api, &Auth::Header("x-vault-token", root))?;
    root.upload(
        "POST",
        "/v1/sys/storage/raft/snapshot-force",
        trial.file,
        RESTORE,
    )
    .await
    .map_err(|error| format!("it did not take the snapshot: {error}"))?;
    let sealed = || async {
        let seal = status().await?;
        (seal["sealed"] == true).then_some(seal)
    };
    server
        .until("it was sealed by the keys of the snapshot", &sealed)
        .await?;
    // Only a new start reads how the state that it has now is sealed.
    server.stop().await;
    let server = Server::start(Program::new(argv), trial.cancel);
    let seal = server.until("it answered again", &sealed).await?;
    server.stop().await;
    Ok(format!(
        "it took the state and asks for {} of the {} shares of the cluster it came from; only they open it further",
        seal["t"], seal["n"]
    ))
}
