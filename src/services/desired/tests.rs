//! That comparing changes nothing, seen from the other side: a server takes down every request of a whole comparison.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::domain::drift::desired::{Mounted, Registered};

const DEADLINE: Duration = Duration::from_secs(10);

/// A server that answers by path, and the requests it got.
struct Recorder {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    async fn start(answer: fn(&str, &str) -> (u16, &'static str)) -> Self {
        // The clients are built with a TLS stack; another test of the process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let noted = Arc::clone(&noted);
                tokio::spawn(async move {
                    let mut text = String::new();
                    let mut buffer = [0; 4096];
                    loop {
                        let Ok(read @ 1..) = stream.read(&mut buffer).await else {
                            return;
                        };
                        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
                        let Some((head, body)) = text.split_once("\r\n\r\n") else {
                            continue;
                        };
                        let length = head.lines().find_map(|line| {
                            let (name, value) = line.split_once(':')?;
                            let is_length = name.eq_ignore_ascii_case("content-length");
                            is_length.then(|| value.trim().parse::<usize>().ok())?
                        });
                        if body.len() < length.unwrap_or(0) {
                            continue;
                        }
                        let line = head.lines().next().unwrap_or_default();
                        let mut words = line.split(' ');
                        let (method, path) = (words.next().unwrap(), words.next().unwrap());
                        noted.lock().unwrap().push(format!("{method} {path}"));
                        let (status, said) = answer(method, path);
                        let reply = format!(
                            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{said}",
                            said.len()
                        );
                        if stream.write_all(reply.as_bytes()).await.is_err() {
                            return;
                        }
                        text.clear();
                    }
                });
            }
        });
        Self { url, seen }
    }

    fn service(&self, kind: ServiceKind) -> Box<dyn Compare> {
        service_at(kind, vec![self.url.clone()])
    }

    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

fn service_at(kind: ServiceKind, urls: Vec<String>) -> Box<dyn Compare> {
    let spec = ServiceSpec {
        name: kind.word().into(),
        kind,
        urls,
        nodes: Vec::new(),
        user: None,
        secret: None,
        ca: None,
    };
    open(&spec, None).unwrap()
}

fn told(found: &[Drifted]) -> Vec<String> {
    found
        .iter()
        .map(|row| format!("{} {} / {}", row.key, row.desired, row.actual))
        .collect()
}

fn wanted(kind: ServiceKind, fill: impl FnOnce(&mut Desired)) -> Wanted {
    let mut desired = Desired {
        service: kind.word().into(),
        ..Desired::default()
    };
    fill(&mut desired);
    Wanted {
        desired,
        texts: BTreeMap::new(),
    }
}

#[tokio::test]
async fn consul_is_only_read_and_written_where_the_key_is_as_it_was_seen() {
    let server = Recorder::start(|method, path| match (method, path) {
        ("GET", "/v1/status/leader") => (200, "\"127.0.0.1:8300\""),
        ("GET", "/v1/kv/a/colour") => (200, r#"[{"Value": "Ymx1ZQ==", "ModifyIndex": 7}]"#),
        ("GET", "/v1/catalog/service/web") => {
            (200, r#"[{"ServicePort": 80, "ServiceTags": ["x"]}]"#)
        }
        ("PUT", "/v1/kv/a/colour?cas=7") => (200, "true"),
        _ => (404, ""),
    })
    .await;
    let consul = server.service(ServiceKind::Consul);
    let wanted = wanted(ServiceKind::Consul, |desired| {
        desired.kv.insert("a/colour".into(), "green".into());
        desired.kv.insert("new key".into(), "1".into());
        let web = Registered {
            instances: Some(2),
            port: Some(80),
            tags: vec!["x".into(), "y".into()],
        };
        desired.services.insert("web".into(), web);
    });
    let found = consul.compare(&wanted, DEADLINE).await.unwrap();
    assert_eq!(
        told(&found),
        [
            "consul:consul/kv/a/colour#value green / blue",
            "consul:consul/kv/new key#value 1 / (no such key)",
            "consul:consul/service/web#instances 2 / 1",
            "consul:consul/service/web#tags x, y / x",
        ]
    );
    let seen = server.seen();
    assert!(
        seen.iter().all(|request| request.starts_with("GET ")),
        "{seen:?}"
    );
    assert!(
        seen.contains(&"GET /v1/kv/new%20key".to_owned()),
        "{seen:?}"
    );
    consul
        .bring(&wanted, "consul/kv/a/colour", DEADLINE)
        .await
        .unwrap();
    assert_eq!(server.seen().last().unwrap(), "PUT /v1/kv/a/colour?cas=7");
    let other = consul.bring(&wanted, "consul/kv/other", DEADLINE).await;
    assert!(other.is_err());
    assert_eq!(server.seen(), Vec::<String>::new());
}

#[tokio::test]
async fn an_endpoint_that_keeps_silent_takes_no_time_from_the_others() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Recorder::start(|_, path| match path {
        "/v1/status/leader" => (200, "\"127.0.0.1:8300\""),
        _ => (404, ""),
    })
    .await;
    let first = format!("http://{}", silent.local_addr().unwrap());
    let consul = service_at(ServiceKind::Consul, vec![first, server.url.clone()]);
    let wanted = wanted(ServiceKind::Consul, |desired| {
        desired.kv.insert("a".into(), "b".into());
    });
    let found = consul.compare(&wanted, DEADLINE).await.unwrap();
    assert_eq!(told(&found), ["consul:consul/kv/a#value b / (no such key)"]);
}

#[tokio::test]
async fn a_sealed_vault_is_called_sealed() {
    let server = Recorder::start(|_, path| match path {
        "/v1/sys/health" => (503, r#"{"initialized":true,"sealed":true}"#),
        _ => (404, ""),
    })
    .await;
    let vault = server.service(ServiceKind::Vault);
    let refused = vault.compare(&Wanted::default(), DEADLINE).await;
    let told = refused.unwrap_err().to_string();
    assert!(told.ends_with("503: sealed; unseal it first"), "{told}");
}

#[tokio::test]
async fn vault_is_only_read_and_another_engine_is_never_put_in_the_place_of_one() {
    let server = Recorder::start(|method, path| match (method, path) {
        ("GET", "/v1/sys/health") => (200, "{}"),
        ("GET", "/v1/sys/policies/acl/app") => (200, r#"{"data": {"policy": "one\ntwo\n"}}"#),
        ("GET", "/v1/sys/mounts") => (
            200,
            r#"{"data": {"kv/": {"type": "kv", "description": "", "options": {"version": "1"}},
                "old/": {"type": "pki", "options": null}}}"#,
        ),
        ("POST", _) => (204, ""),
        _ => (404, "{}"),
    })
    .await;
    let vault = server.service(ServiceKind::Vault);
    let mut wanted = wanted(ServiceKind::Vault, |desired| {
        desired.policies.insert("app".into(), "app.hcl".into());
        let mounted = |version: &str| Mounted {
            kind: "kv".into(),
            options: BTreeMap::from([("version".into(), version.into())]),
            ..Mounted::default()
        };
        for path in ["kv", "new", "old"] {
            desired.mounts.insert(path.into(), mounted("2"));
        }
    });
    wanted.texts.insert("app.hcl".into(), "one\nthree".into());
    let found = vault.compare(&wanted, DEADLINE).await.unwrap();
    assert_eq!(
        told(&found),
        [
            "vault:vault/policy/app#policy as in the file / differs",
            "vault:vault/mount/kv#options.version 2 / 1",
            "vault:vault/mount/new#type kv / (nothing is mounted there)",
            "vault:vault/mount/old#type kv / pki",
            "vault:vault/mount/old#options.version 2 / (not set)",
        ]
    );
    assert!(
        found[0].diff.contains(&"+three".to_owned()),
        "{:?}",
        found[0].diff
    );
    let seen = server.seen();
    assert!(
        seen.iter().all(|request| request.starts_with("GET ")),
        "{seen:?}"
    );
    for (object, sent) in [
        ("vault/policy/app", "POST /v1/sys/policies/acl/app"),
        ("vault/mount/new", "POST /v1/sys/mounts/new"),
        ("vault/mount/kv", "POST /v1/sys/mounts/kv/tune"),
    ] {
        vault.bring(&wanted, object, DEADLINE).await.unwrap();
        assert_eq!(server.seen().last().unwrap(), sent);
    }
    let refused = vault.bring(&wanted, "vault/mount/old", DEADLINE).await;
    assert!(refused.unwrap_err().to_string().contains("would be lost"));
    assert!(
        server
            .seen()
            .iter()
            .all(|request| request.starts_with("GET "))
    );
}

#[tokio::test]
async fn a_job_is_compared_by_nomads_own_plan_and_nothing_else_is_posted() {
    let server = Recorder::start(|method, path| match (method, path) {
        ("GET", "/v1/status/leader") => (200, "\"127.0.0.1:4647\""),
        ("POST", "/v1/job/web/plan") => (
            200,
            r#"{"Diff": {"Type": "Edited", "ID": "web",
                "Fields": [{"Type": "Edited", "Name": "Priority", "Old": "70", "New": "50"},
                           {"Type": "None", "Name": "Region", "Old": "global", "New": "global"}],
                "TaskGroups": [{"Type": "Edited", "Name": "web",
                    "Fields": [{"Type": "Edited", "Name": "Count", "Old": "1", "New": "3"}],
                    "Tasks": [{"Type": "None", "Name": "server"},
                              {"Type": "Edited", "Name": "side", "Objects": [{"Type": "Edited", "Name": "Config",
                                "Fields": [{"Type": "Added", "Name": "image", "Old": "", "New": "a:2"}]}]}]}]}}"#,
        ),
        ("POST", "/v1/job/new/plan") => (200, r#"{"Diff": {"Type": "Added", "ID": "new"}}"#),
        ("POST", "/v1/jobs") => (200, "{}"),
        _ => (404, ""),
    })
    .await;
    let nomad = server.service(ServiceKind::Nomad);
    let mut wanted = wanted(ServiceKind::Nomad, |desired| {
        desired.jobs = vec!["web.json".into(), "new.json".into()];
    });
    wanted
        .texts
        .insert("web.json".into(), r#"{"Job": {"ID": "web"}}"#.into());
    wanted
        .texts
        .insert("new.json".into(), r#"{"ID": "new"}"#.into());
    let found = nomad.compare(&wanted, DEADLINE).await.unwrap();
    assert_eq!(
        told(&found),
        [
            "nomad:nomad/job/web#Priority 50 / 70",
            "nomad:nomad/job/web#web.Count 3 / 1",
            "nomad:nomad/job/web#web.side.Config.image a:2 / (none)",
            "nomad:nomad/job/new#job registered / (no such job)",
        ]
    );
    let seen = server.seen();
    let looks = |request: &String| request.starts_with("GET ") || request.ends_with("/plan");
    assert!(seen.iter().all(looks), "{seen:?}");
    nomad
        .bring(&wanted, "nomad/job/web", DEADLINE)
        .await
        .unwrap();
    assert_eq!(server.seen().last().unwrap(), "POST /v1/jobs");
    wanted
        .texts
        .insert("web.json".into(), "job \"web\" {}".into());
    let told = nomad
        .compare(&wanted, DEADLINE)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        told.contains("web.json") && told.contains("-output"),
        "{told}"
    );
}

#[tokio::test]
async fn an_object_is_compared_by_a_dry_run_of_the_api_server_and_only_then_applied() {
    let server = Recorder::start(|method, path| match (method, path) {
        ("GET", "/api/v1") => (
            200,
            r#"{"kind": "APIResourceList", "groupVersion": "v1", "resources": [{"name": "configmaps",
                "singularName": "configmap", "namespaced": true, "kind": "ConfigMap", "verbs": ["get", "patch", "list"]}]}"#,
        ),
        ("GET", "/api/v1/namespaces/shop/configmaps/app") => (
            200,
            r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app", "namespace": "shop",
                "uid": "1", "resourceVersion": "7"}, "data": {"colour": "blue", "size": "2"}}"#,
        ),
        ("PATCH", _) => (
            200,
            r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app", "namespace": "shop",
                "uid": "1", "resourceVersion": "8", "managedFields": []}, "data": {"colour": "green", "size": "2"}}"#,
        ),
        _ => (404, r#"{"kind": "Status", "status": "Failure", "code": 404}"#),
    })
    .await;
    let kubernetes = server.service(ServiceKind::Kubernetes);
    let mut wanted = wanted(ServiceKind::Kubernetes, |desired| {
        desired.manifests = vec!["app.yaml".into()];
    });
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: app, namespace: shop }\ndata: { colour: green }\n";
    wanted.texts.insert("app.yaml".into(), manifest.into());
    let found = kubernetes.compare(&wanted, DEADLINE).await.unwrap();
    assert_eq!(
        told(&found),
        ["kubernetes:kubernetes/ConfigMap/shop/app#data.colour green / blue"]
    );
    let seen = server.seen();
    let looks = |request: &String| request.starts_with("GET ") || request.contains("dryRun=All");
    assert!(seen.iter().all(looks), "{seen:?}");
    assert!(
        seen.iter().any(|request| request.starts_with("PATCH ")),
        "{seen:?}"
    );
    kubernetes
        .bring(&wanted, "kubernetes/ConfigMap/shop/app", DEADLINE)
        .await
        .unwrap();
    let last = server.seen().pop().unwrap();
    assert!(
        last.starts_with("PATCH ") && !last.contains("dryRun"),
        "{last}"
    );
}
