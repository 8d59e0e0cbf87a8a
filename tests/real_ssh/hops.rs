//! Jump hosts, and hosts that are down or are no SSH servers.

use std::time::Duration;

use quarterdeck::domain::node::{Jump, SshAccess};
use quarterdeck::transport::ssh::SshSettings;
use quarterdeck::transport::{Reach as _, ReachError};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::says;
use super::sshd::{Sshd, Yard, free_port, node, pool};

fn through(jump: &str) -> impl FnOnce(&mut SshAccess) {
    let jump = jump.to_owned();
    |access| access.jump = Some(Jump::Through(jump))
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn hosts_are_reached_through_one_hop_and_through_two_over_one_connection_each() {
    let yard = Yard::new();
    let [outer, inner, a, b] = ["outer", "inner", "a", "b"].map(|name| yard.sshd(name));
    let nodes = [
        outer.node(|_| {}),
        inner.node(through("outer")),
        a.node(through("inner")),
        b.node(through("inner")),
    ];
    let pool = pool(nodes, yard.settings());
    let hosts = ["a", "b", "inner"].map(|name| pool.host(name).unwrap());
    let asked = hosts
        .iter()
        .map(|host| says(host, &["printenv", "QD_NODE"]));
    let names = futures::future::try_join_all(asked).await.unwrap();
    assert_eq!(names, ["a", "b", "inner"]);
    assert_eq!([&outer, &inner, &a, &b].map(Sshd::logins), [1, 1, 1, 1]);
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn an_error_says_at_which_hop_it_happened() {
    let yard = Yard::new();
    let mut outer = yard.sshd("outer");
    let mut inner = yard.sshd("inner");
    let pool = pool(
        [outer.node(|_| {}), inner.node(through("outer"))],
        yard.settings(),
    );
    let host = pool.host("inner").unwrap();
    says(&host, &["true"]).await.unwrap();

    inner.stop();
    let error = says(&host, &["true"]).await.unwrap_err();
    let ReachError::Connect { hop, reason, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(hop, "inner");
    assert!(
        reason.starts_with("outer says: ") && reason.contains("refused"),
        "{reason}"
    );

    outer.stop();
    let error = says(&host, &["true"]).await.unwrap_err();
    let ReachError::Connect { hop, reason, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(hop, "outer (on the way to inner)");
    assert!(reason.contains("refused"), "{reason}");

    outer.start();
    inner.start();
    assert_eq!(
        says(&host, &["printenv", "QD_NODE"]).await.unwrap(),
        "inner"
    );
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_jump_host_that_forbids_forwarding_says_so() {
    let yard = Yard::new();
    let outer = yard.sshd_with("outer", &["ed25519"], "AllowTcpForwarding no\n");
    let inner = yard.sshd("inner");
    let pool = pool(
        [outer.node(|_| {}), inner.node(through("outer"))],
        yard.settings(),
    );
    let error = says(&pool.host("inner").unwrap(), &["true"])
        .await
        .unwrap_err();
    let ReachError::Refused { hop, reason } = &error else {
        panic!("{error}");
    };
    assert_eq!(hop, "outer (on the way to inner)");
    assert!(reason.contains("AllowTcpForwarding"), "{reason}");
}

fn somewhere(port: u16) -> SshAccess {
    SshAccess {
        port: Some(port),
        ..SshAccess::default()
    }
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_host_that_is_down_or_has_no_name_says_why() {
    let yard = Yard::new();
    let mut nameless = node("nameless", somewhere(22));
    nameless.address = "quarterdeck.invalid".into();
    let pool = pool(
        [node("down", somewhere(free_port())), nameless],
        yard.settings(),
    );
    let error = says(&pool.host("down").unwrap(), &["true"])
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ReachError::Connect { reason, .. } if reason == "connection refused"),
        "{error}"
    );
    let error = says(&pool.host("nameless").unwrap(), &["true"])
        .await
        .unwrap_err();
    assert!(matches!(error, ReachError::Resolve { .. }), "{error}");
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_server_that_talks_nonsense_or_nothing_is_no_ssh_server() {
    let yard = Yard::new();
    for greeting in [
        "HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n<html>",
        "\0\x01\x02\r\n",
        "",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(greeting.as_bytes()).await.unwrap();
            // Keeps the connection: the client must not rely on its end.
            std::future::pending::<()>().await;
        });
        let settings = SshSettings {
            handshake: Duration::from_millis(500),
            ..yard.settings()
        };
        let pool = pool([node("x", somewhere(port))], settings);
        let error = says(&pool.host("x").unwrap(), &["true"]).await.unwrap_err();
        assert!(
            matches!(error, ReachError::Handshake { .. }),
            "{greeting:?}: {error}"
        );
    }
}
