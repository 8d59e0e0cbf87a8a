//! What stands on Consul in a stack, on real nodes: OpenBao as the Vault, and Traefik routing by Consul's catalog with a token
//! that may do nothing else. Each is deployed, waited for, and left alone by a second run.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use quarterdeck::domain::environment::Environment;
use quarterdeck::domain::node::Role;
use quarterdeck::domain::run::{RunState, Stream};
use quarterdeck::domain::seal::Word;
use quarterdeck::domain::service::{ServiceKind, ServiceSpec};

use crate::members::{THREE, TOKEN, forget_consul, secured};
use crate::nodes::{Cockpit, Finished, Nodes, address, brought, recipes};

/// The longest that a proxy may take to learn of a service.
const PATIENCE: Duration = Duration::from_secs(30);

/// Consul and Vault on all nodes, Traefik on the first.
fn stack(nodes: &Nodes) -> Environment {
    let mut environment = secured(nodes, &THREE);
    for node in &mut environment.nodes {
        node.roles.insert(Role::Vault);
    }
    environment.nodes[0].roles.insert(Role::Traefik);
    let service = |kind: ServiceKind, on: &[&str]| ServiceSpec {
        name: kind.word().to_owned(),
        kind,
        urls: on
            .iter()
            .map(|name| format!("http://{}:{}", address(name), kind.default_port()))
            .collect(),
        nodes: on.iter().map(|&name| name.into()).collect(),
        user: None,
        secret: None,
        ca: None,
    };
    environment.services.extend([
        service(ServiceKind::Vault, &THREE),
        service(ServiceKind::Traefik, &THREE[..1]),
    ]);
    for (software, version, program) in [
        ("vault", "2.7.2", "QUARTERDECK_OPENBAO"),
        ("traefik", "3.7.15", "QUARTERDECK_TRAEFIK"),
    ] {
        let path = std::env::var_os(program);
        let path = path.unwrap_or_else(|| panic!("{program} is not set: run tests/run nodes"));
        let file = brought(&PathBuf::from(path));
        environment.artifacts.insert(software.into(), file);
        environment.versions.insert(software.into(), version.into());
    }
    environment
}

/// What the proxy on n1 answers for that host name.
fn through_the_proxy(host: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((address("n1").as_str(), 80))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "GET /v1/sys/health HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A run that did what it should, and another one that finds nothing to do.
async fn deployed(cockpit: &Cockpit, recipe: &str) -> Finished {
    let done = cockpit.run(recipe, false).await;
    assert_eq!(done.run.state, RunState::Succeeded, "{done}");
    assert!(done.run.tally.changed > 0, "{done}");
    let again = cockpit.run(recipe, false).await;
    assert_eq!(again.run.state, RunState::Succeeded, "{again}");
    assert_eq!(again.run.tally.changed, 0, "{again}");
    done
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real nodes: run tests/run nodes"]
async fn vault_and_traefik_stand_on_consul() {
    let nodes = Nodes::from_environment();
    forget_consul(&nodes, &THREE);
    let state = tempfile::tempdir().unwrap();
    let cockpit = Cockpit::of(stack(&nodes), recipes(), state).await;
    deployed(&cockpit, "consul").await;

    // Looking first: the program, the file and the unit, and nothing is touched.
    let rehearsal = cockpit.run("vault", true).await;
    assert_eq!(rehearsal.run.state, RunState::Succeeded, "{rehearsal}");
    assert!(
        rehearsal.says(Stream::Diff, "+ExecStart=/usr/local/bin/vault server"),
        "{rehearsal}"
    );
    assert_eq!(nodes.exec("n1", &["ls", "/usr/local/bin/vault"]), None);
    deployed(&cockpit, "vault").await;

    // Its keys go to whoever takes them, and with three of five shares all nodes are open.
    let init = cockpit.begin("vault-init", &[]).await;
    let keys = cockpit.say(&init, &Word::Take).await.unwrap();
    cockpit.say(&init, &Word::Kept).await;
    let init = cockpit.end(init).await;
    assert_eq!(init.run.state, RunState::Succeeded, "{init}");
    let unseal = cockpit.begin("unseal", &[]).await;
    for share in &keys.shares[..3] {
        cockpit.say(&unseal, &Word::Share(share.clone())).await;
    }
    let unseal = cockpit.end(unseal).await;
    assert_eq!(unseal.run.state, RunState::Succeeded, "{unseal}");
    let report = cockpit
        .service_until("vault", |report| report.leader.is_some())
        .await;
    assert_eq!(report.version.as_deref(), Some("2.7.2"));

    // Traefik learns from the catalog where to send whom.
    let proxy = deployed(&cockpit, "traefik").await;
    let secret = cockpit.state().join("secrets/real/consul-traefik");
    let secret = std::fs::read_to_string(secret).unwrap();
    assert!(
        !proxy.to_string().contains(&secret),
        "its token is in a log"
    );
    let token = format!("-token={secret}");
    let put = ["consul", "kv", "put", &token, "traefik", "was here"];
    assert_eq!(nodes.exec("n1", &put), None, "it may only read");
    let register = [
        "consul",
        "services",
        "register",
        TOKEN,
        "-name=vault-api",
        "-address=10.77.0.12",
        "-port=8200",
        "-tag=traefik.enable=true",
        "-tag=traefik.http.routers.vault-api.rule=Host(`vault.example.org`)",
    ];
    nodes.exec("n2", &register).unwrap();
    let end = Instant::now() + PATIENCE;
    let answer = loop {
        match through_the_proxy("vault.example.org") {
            Ok(answer) if answer.contains("\"initialized\":true") => break answer,
            other => assert!(Instant::now() < end, "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert!(answer.contains("\"sealed\":false"), "{answer}");
    assert!(
        through_the_proxy("other.example.org")
            .unwrap()
            .contains("404")
    );

    cockpit.stop(Duration::from_secs(10)).await;
    let clear = "systemctl disable -q --now traefik vault; \
                 rm -rf /var/lib/vault /etc/vault.d /etc/traefik /usr/local/bin/vault /usr/local/bin/traefik";
    for node in THREE {
        // Traefik is on the first only.
        let _ = nodes.exec(node, &["sh", "-c", clear]);
    }
}
