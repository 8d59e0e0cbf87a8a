//! OpenBao, as Vault: raft snapshots, and what drifts in it.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::program::expect;
use super::{Server, Workspace, free_port, http, until};

#[test]
#[ignore = "needs OpenBao"]
fn openbao_is_saved_tried_and_restored_over_later_changes() {
    needs!("bao", "curl");
    let dir = tempfile::tempdir().unwrap();
    let (api, cluster) = (free_port(), free_port());
    fs::create_dir(dir.path().join("data")).unwrap();
    let config = format!(
        "api_addr = \"http://127.0.0.1:{api}\"\ncluster_addr = \"https://127.0.0.1:{cluster}\"\n\
         listener \"tcp\" {{\n address = \"127.0.0.1:{api}\"\n cluster_address = \"127.0.0.1:{cluster}\"\n tls_disable = true\n}}\n\
         storage \"raft\" {{\n path = \"{}\"\n node_id = \"n1\"\n performance_multiplier = 1\n}}\n",
        dir.path().join("data").display()
    );
    fs::write(dir.path().join("c.hcl"), config).unwrap();
    let _server = Server::start(
        Command::new("bao").args([
            "server",
            &format!("-config={}", dir.path().join("c.hcl").display()),
        ]),
        &dir.path().join("log"),
    );
    let url = format!("http://127.0.0.1:{api}");
    let ask = |method: &str, path: &str, token: &str, body: &str| {
        let token = (!token.is_empty()).then_some(("X-Vault-Token", token));
        http(method, &format!("{url}/v1/{path}"), token, body)
    };
    let shares = until("OpenBao's shares", || {
        let (status, body) = ask(
            "PUT",
            "sys/init",
            "",
            r#"{"secret_shares":3,"secret_threshold":2}"#,
        );
        (status == 200).then(|| serde_json::from_str::<Value>(&body).unwrap())
    });
    for share in [0, 1] {
        let body = json!({ "key": shares["keys"][share] }).to_string();
        assert_eq!(ask("PUT", "sys/unseal", "", &body).0, 200);
    }
    let root = shares["root_token"].as_str().unwrap().to_owned();
    until("OpenBao's activity", || {
        (ask("GET", "sys/health", "", "").0 == 200).then_some(())
    });
    ask("POST", "sys/mounts/kv", &root, r#"{"type":"kv"}"#);
    ask("POST", "kv/one", &root, r#"{"word":"first"}"#);
    let workspace = Workspace::new(&format!(
        "services: [{{ kind: vault, url: \"{url}\", secret: {{ file: ../token }} }}]\n"
    ));
    workspace.secret("token", &root);
    let answers = workspace.take_and_drill("vault");
    assert!(answers.contains("asks for 2 of the 3 shares"), "{answers}");

    ask("POST", "sys/mounts/later", &root, r#"{"type":"kv"}"#);
    ask("POST", "kv/one", &root, r#"{"word":"second"}"#);
    let shown = workspace.restore("vault");
    assert!(shown.contains("  mount later/"), "{shown}");
    let (_, body) = ask("GET", "kv/one", &root, "");
    assert!(body.contains("first"), "{body}");

    // What is declared of it is compared, and brought back one by one.
    let policy = "path \"kv/*\" {\n  capabilities = [\"read\"]\n}\n";
    fs::write(workspace.root().join("app.hcl"), policy).unwrap();
    workspace.environment(&format!(
        "services: [{{ kind: vault, url: \"{url}\", secret: {{ file: ../token }} }}]\n\
         desired: [{{ service: vault, policies: {{ app: ../app.hcl }}, mounts: [{{ path: kv, type: kv }}, \
         {{ path: notes, type: kv, description: ours, options: {{ version: \"2\" }} }}] }}]\n"
    ));
    let missing = [
        "vault:vault/mount/notes#type",
        "vault:vault/policy/app#policy",
    ];
    assert_eq!(workspace.drift(5), missing);
    assert_eq!(ask("GET", "sys/policies/acl/app", &root, "").0, 404);
    for key in missing {
        expect(&workspace.run(&["drift", "reconcile", key, "--yes"]), 0);
    }
    assert_eq!(workspace.drift(0), Vec::<String>::new());
    let meddled = json!({ "policy": "path \"*\" { capabilities = [\"sudo\"] }" }).to_string();
    ask("POST", "sys/policies/acl/app", &root, &meddled);
    ask(
        "POST",
        "sys/mounts/notes/tune",
        &root,
        r#"{"description":"theirs"}"#,
    );
    let drifted = [
        "vault:vault/mount/notes#description",
        "vault:vault/policy/app#policy",
    ];
    assert_eq!(workspace.drift(5), drifted);
    for key in drifted {
        expect(&workspace.run(&["drift", "reconcile", key, "--yes"]), 0);
    }
    assert_eq!(workspace.drift(0), Vec::<String>::new());
}
