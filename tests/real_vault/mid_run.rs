//! A Vault that is sealed, or loses its leader, in the middle of a run: the run ends with the remedy in its reason and is
//! finished once that was applied; a snapshot counts only when it came whole from one leader.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::cluster::{Cluster, eventually, keys};
use super::freeze::{Frozen, unfinished};

/// One request, as any client makes it; its status, and 0 where nobody answers.
fn ask(address: &str, method: &str, path: &str, token: &str, body: &str) -> u16 {
    let Ok(mut stream) = TcpStream::connect((address, 8200)) else {
        return 0;
    };
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).unwrap();
    let request = format!(
        "{method} /v1/{path} HTTP/1.0\r\nHost: x\r\nX-Vault-Token: {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut answer = String::new();
    let asked = stream.write_all(request.as_bytes());
    if asked.is_err() || stream.read_to_string(&mut answer).is_err() {
        return 0;
    }
    let status = answer.split(' ').nth(1).unwrap_or_default();
    status.parse().unwrap_or_default()
}

/// A recipe that waits for a sign in its middle and then needs Vault, and what it declares.
fn declare(dir: &Path) {
    let workspace = dir.join("workspace");
    let policy = "path \"kv/*\" {\n  capabilities = [\"read\"]\n}\n";
    fs::write(workspace.join("app.hcl"), policy).unwrap();
    let file = workspace.join("environments/staging.yaml");
    let mut text = fs::read_to_string(&file).unwrap();
    writeln!(
        text,
        "desired: [{{ service: vault, policies: {{ app: ../app.hcl }} }}]"
    )
    .unwrap();
    fs::write(file, text).unwrap();
    fs::create_dir_all(workspace.join("recipes")).unwrap();
    let recipe = format!(
        "name: app\ntitle: Set up the application\nrisk: change\nsteps:\n\
         - {{id: open, title: Vault is open, timeout: 30s, service: {{name: vault}}}}\n\
         - id: hold\n  title: Wait for a sign\n  needs: [open]\n  \
           local: {{argv: [sh, -c, \"echo held >> {0}/held; until [ -e {0}/go ]; do sleep 0.1; done\"]}}\n\
         - {{id: policy, title: Its policy, needs: [hold], drift: {{source: vault, reconcile: vault/policy/app}}}}\n\
         - {{id: leads, title: Vault has a leader, needs: [hold], timeout: 5s, service: {{name: vault, leader: true}}}}\n",
        dir.display()
    );
    fs::write(workspace.join("recipes/app.yaml"), recipe).unwrap();
}

#[test]
#[ignore = "needs OpenBao: tests/run vault"]
fn a_vault_that_is_sealed_or_loses_its_leader_in_the_middle_is_told_and_the_work_is_finished_later()
{
    let Some(mut cluster) = Cluster::start(3, "") else {
        println!("skipped: needs QUARTERDECK_OPENBAO, see tests/real/openbao");
        return;
    };
    let dir = cluster.dir.path().to_owned();
    declare(&dir);
    let (shares, token) = keys(&cluster.done(&["vault", "init", "--yes", "--json"], &[]));
    let token = token.unwrap();
    let file = dir.join("workspace/token");
    fs::write(&file, &token).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&file, mode).unwrap();
    let three = [&shares[0], &shares[1], &shares[2]].map(String::as_str);
    cluster.done(&["unseal", "--yes"], &three);

    // Somebody seals it while a run is between two steps.
    let run = ["run", "app", "--yes"];
    let held = cluster.begin(&run, &[]);
    eventually("the run holds", || dir.join("held").exists());
    eventually("every node is sealed", || {
        for node in 0..3 {
            ask(&cluster.address(node), "PUT", "sys/seal", &token, "");
        }
        cluster.states() == ["sealed"; 3]
    });
    fs::write(dir.join("go"), "").unwrap();
    let output = cluster.end(&run, held);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    for step in ["policy", "leads"] {
        let mut lines = said.lines().filter(|line| line.trim().starts_with(step));
        assert!(lines.any(|line| line.contains("unseal it")), "{said}");
    }
    let runs = cluster.done(&["runs", "--json", "-n", "1"], &[]);
    let runs: Value = serde_json::from_str(&runs).unwrap();
    let reason = runs[0]["reason"].as_str().unwrap();
    assert!(reason.contains("unseal it"), "{reason}");

    // No snapshot either, at once and with the same remedy.
    let taken = cluster.quarterdeck(&["snapshots", "take", "vault"], &[]);
    assert_eq!(taken.status.code(), Some(1), "{taken:?}");
    let said = String::from_utf8_lossy(&taken.stdout).into_owned();
    assert!(said.contains("quarterdeck unseal"), "{said}");
    assert!(!said.contains("asked again"), "{said}");

    // It is unsealed, and the rest of the run is done: nothing of what was done before.
    cluster.done(&["unseal", "--yes"], &three);
    let leader = cluster.active();
    let number = runs[0]["number"].to_string();
    cluster.done(&["resume", &number, "--yes"], &[]);
    let policy = ask(
        &cluster.address(leader),
        "GET",
        "sys/policies/acl/app",
        &token,
        "",
    );
    assert_eq!(policy, 200);
    assert_eq!(fs::read_to_string(dir.join("held")).unwrap(), "held\n");

    // The leader loses its power while a snapshot is on its way. So much is written before that it cannot have handed all of
    // it to the kernel by then.
    ask(
        &cluster.address(leader),
        "POST",
        "sys/mounts/noise",
        &token,
        r#"{"type":"kv"}"#,
    );
    let mut chance = fastrand::Rng::with_seed(0x0ba0);
    for number in 0..36 {
        let value: String = (0..480_000).map(|_| chance.alphanumeric()).collect();
        let body = json!({ "value": value }).to_string();
        let path = format!("noise/{number}");
        let put = ask(&cluster.address(leader), "POST", &path, &token, &body);
        assert_eq!(put, 204);
    }
    eventually("all three vote", || cluster.voters(leader, &token) == 3);
    let engine: Value =
        serde_json::from_str(&cluster.done(&["engine", "status", "--json"], &[])).unwrap();
    let engine = u32::try_from(engine["pid"].as_u64().unwrap()).unwrap();
    let take = ["snapshots", "take", "vault"];
    let taking = cluster.begin(&take, &[]);
    let frozen = Frozen::in_the_middle(&dir, engine);
    cluster.kill(leader);
    drop(frozen);
    let output = cluster.end(&take, taking);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(
        said.contains("nothing of it is kept, it is asked again in 2 s"),
        "{said}"
    );
    let listed = |cluster: &mut Cluster| {
        let text = cluster.done(&["snapshots", "--json"], &[]);
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect::<Vec<Value>>()
    };
    let snapshots = listed(&mut cluster);
    assert_eq!(snapshots.len(), 1, "{snapshots:?}");
    let from = snapshots[0]["from"].as_str().unwrap();
    assert!(!from.starts_with(&cluster.address(leader)), "{from}");
    assert_eq!(unfinished(&dir), Vec::<PathBuf>::new());

    // Another one leads at somebody's word: whole, from whomever, or none at all.
    cluster.boot(leader);
    cluster.done(&["unseal", "--yes"], &three);
    let leader = cluster.active();
    let taking = cluster.begin(&take, &[]);
    let frozen = Frozen::in_the_middle(&dir, engine);
    let stepped = ask(&cluster.address(leader), "PUT", "sys/step-down", &token, "");
    assert_eq!(stepped, 204);
    drop(frozen);
    let output = cluster.end(&take, taking);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(listed(&mut cluster).len(), 2);
    cluster.done(&["snapshots", "verify"], &[]);
    assert_eq!(unfinished(&dir), Vec::<PathBuf>::new());
}
