//! Consul: its snapshots over HTTP, and what drifts in it.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::program::expect;
use super::{Server, Workspace, free_port, http, until};

#[test]
#[ignore = "needs Consul"]
fn consul_is_saved_tried_and_restored_over_later_changes() {
    needs!("consul", "curl");
    let dir = tempfile::tempdir().unwrap();
    let [http_port, server, serf] = [free_port(), free_port(), free_port()];
    let token = "7d6a1d5e-2f3b-4f1c-9a54-0c1b2d3e4f50";
    let config = json!({
        "acl": { "enabled": true, "default_policy": "deny", "tokens": { "master": token } },
        "ports": { "http": http_port, "server": server, "serf_lan": serf, "serf_wan": -1, "dns": -1, "grpc": -1 },
    });
    fs::write(dir.path().join("c.json"), config.to_string()).unwrap();
    let _server = Server::start(
        Command::new("consul").args([
            "agent",
            "-server",
            "-bootstrap-expect=1",
            "-bind=127.0.0.1",
            &format!("-config-file={}", dir.path().join("c.json").display()),
            &format!("-data-dir={}", dir.path().join("data").display()),
        ]),
        &dir.path().join("log"),
    );
    let url = format!("http://127.0.0.1:{http_port}");
    let allowed = Some(("X-Consul-Token", token));
    let kv = |method: &str, key: &str, value: &str| {
        http(method, &format!("{url}/v1/kv/{key}"), allowed, value)
    };
    until("Consul's first key", || {
        (kv("PUT", "config/one", "1") == (200, "true".into())).then_some(())
    });
    kv("PUT", "config/two", "2");
    let workspace = Workspace::new(&format!(
        "services: [{{ kind: consul, url: \"{url}\", secret: {{ file: ../token }} }}]\n"
    ));
    workspace.secret("token", token);
    let answers = workspace.take_and_drill("consul");
    assert!(answers.starts_with("it leads, and has 2 keys"), "{answers}");

    kv("PUT", "config/three", "3");
    kv("DELETE", "config/two", "");
    let shown = workspace.restore("consul");
    for line in ["  key config/three", "  key config/two"] {
        assert!(shown.contains(line), "{line:?} is not in\n{shown}");
    }
    assert_eq!(kv("GET", "config/three", "").0, 404);
    assert_eq!(kv("GET", "config/two?raw", "").1, "2");

    // What is declared of it is compared, and brought back key by key.
    let service = |port: u16| json!({ "Name": "web", "Port": port }).to_string();
    let register = format!("{url}/v1/agent/service/register");
    assert_eq!(http("PUT", &register, allowed, &service(80)).0, 200);
    workspace.environment(&format!(
        "services: [{{ kind: consul, url: \"{url}\", secret: {{ file: ../token }} }}]\n\
         desired: [{{ service: consul, kv: {{ config/one: \"1\", config/two: \"2\" }}, services: {{ web: {{ port: 80 }} }} }}]\n"
    ));
    assert_eq!(workspace.drift(0), Vec::<String>::new());
    kv("PUT", "config/one", "changed by somebody");
    kv("DELETE", "config/two", "");
    http("PUT", &register, allowed, &service(81));
    let index = |key: &str| -> Value {
        let (_, body) = kv("GET", key, "");
        serde_json::from_str::<Value>(&body).unwrap()[0]["ModifyIndex"].clone()
    };
    let before = index("config/one");
    let drifted = [
        "consul:consul/kv/config/one#value",
        "consul:consul/kv/config/two#value",
        "consul:consul/service/web#port",
    ];
    assert_eq!(workspace.drift(5), drifted);
    assert_eq!(index("config/one"), before, "looking wrote something");
    for key in &drifted[..2] {
        expect(&workspace.run(&["drift", "reconcile", key, "--yes"]), 0);
    }
    assert_eq!(kv("GET", "config/one?raw", "").1, "1");
    assert_eq!(kv("GET", "config/two?raw", "").1, "2");
    let refused = workspace.run(&["--read-only", "drift", "reconcile", drifted[2], "--yes"]);
    expect(&refused, 4);
    let ignore = [
        "drift", "ignore", drifted[2], "--days", "1", "--reason", "a window",
    ];
    expect(&workspace.run(&ignore), 0);
    expect(&workspace.run(&["drift"]), 0);

    // Without a right to it there is none, and that is told; and what drifted is not known, which is not the same as none.
    workspace.secret("token", "11111111-2222-3333-4444-555555555555");
    let (_, said) = expect(&workspace.run(&["snapshots", "take", "consul"]), 1);
    assert!(said.contains("403"), "{said}");
    let (_, said) = expect(&workspace.run(&["drift", "--check"]), 1);
    assert!(said.contains("not known: consul consul"), "{said}");
}
