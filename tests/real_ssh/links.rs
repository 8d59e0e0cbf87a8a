//! Bad lines: stalled, throttled, reset at every moment. And many hosts at once.

use std::time::Duration;

use quarterdeck::transport::ssh::SshSettings;
use quarterdeck::transport::{Command, Reach as _, ReachError};

use super::proxy::Proxy;
use super::sshd::{Sshd, Yard, node, pool};
use super::{Kept, says};

/// A server behind a line, and settings that notice soon when it is dead.
async fn behind(yard: &Yard, name: &str) -> (Sshd, Proxy, quarterdeck::domain::node::Node) {
    let sshd = yard.sshd(name);
    let line = Proxy::before(sshd.port).await;
    yard.pin(line.port, &sshd);
    let node = sshd.node(|access| access.port = Some(line.port));
    (sshd, line, node)
}

fn watchful(yard: &Yard) -> SshSettings {
    SshSettings {
        keepalive: Duration::from_millis(300),
        handshake: Duration::from_secs(2),
        ..yard.settings()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_line_that_stalls_loses_the_command_and_disturbs_no_other_host() {
    let yard = Yard::new();
    let (_near, line, near) = behind(&yard, "near").await;
    let far = yard.sshd("far");
    let pool = pool([near, far.node(|_| {})], watchful(&yard));
    let (near, far) = (pool.host("near").unwrap(), pool.host("far").unwrap());
    says(&near, &["true"]).await.unwrap();

    let mut kept = Kept::default();
    let command = Command::new(["sh", "-c", "echo begun; sleep 60; echo ended"]);
    let cancel = tokio_util::sync::CancellationToken::new();
    let seen = kept.clone();
    let stalled = async {
        seen.line().await;
        line.stall();
        // The other host answers while this one hangs.
        for _ in 0..20 {
            assert_eq!(says(&far, &["echo", "well"]).await.unwrap(), "well");
        }
    };
    let (ended, ()) = tokio::join!(near.stream(&command, &mut kept, &cancel), stalled);
    let error = ended.unwrap_err();
    assert!(
        matches!(&error, ReachError::Lost { reason, .. } if reason.contains("no sign of life")),
        "{error}"
    );
    assert!(error.is_passing());
    // Still stalled: a new connection gets no greeting, in bounded time, and says so.
    let error = says(&near, &["true"]).await.unwrap_err();
    assert!(
        matches!(&error, ReachError::Handshake { reason, .. } if reason.contains("nothing useful")),
        "{error}"
    );
    line.flow();
    assert_eq!(says(&near, &["echo", "again"]).await.unwrap(), "again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_line_that_is_reset_at_any_moment_is_an_error_that_says_so_and_never_half_an_answer() {
    let yard = Yard::new();
    let (_sshd, line, node) = behind(&yard, "a").await;
    let pool = pool([node], watchful(&yard));
    let host = pool.host("a").unwrap();
    let lines = Command::new(["seq", "1", "2000"]);
    let whole = host.output(&lines).await.unwrap().stdout;
    line.reset();
    let (mut lost, mut let_through) = (0, 0);
    // From the first byte of the greeting to beyond the end of the answer: every part of a connection is hit.
    for bytes in (1..14_000).step_by(230) {
        line.reset_after(Some(bytes));
        match host.output(&lines).await {
            Ok(output) => {
                assert!(output.exit.success(), "{output:?}");
                assert_eq!(output.stdout, whole, "reset after {bytes} bytes");
                let_through += 1;
            }
            Err(error) => {
                assert!(error.is_passing(), "reset after {bytes} bytes: {error}");
                lost += 1;
            }
        }
        line.reset();
    }
    line.reset_after(None);
    assert!(
        lost > 20 && let_through > 0,
        "{lost} lost, {let_through} let through"
    );
    assert_eq!(says(&host, &["echo", "again"]).await.unwrap(), "again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_slow_line_is_slow_and_nothing_else() {
    let yard = Yard::new();
    let (_sshd, line, node) = behind(&yard, "a").await;
    // A sign of life is asked for several times while the answer is under way. A packet of OpenSSH's (32 KiB) must fit into
    // the patience: three times the interval.
    line.throttle(30_000);
    let settings = SshSettings {
        keepalive: Duration::from_secs(1),
        ..yard.settings()
    };
    let pool = pool([node], settings);
    let host = pool.host("a").unwrap();
    let (long, short) = tokio::join!(
        says(&host, &["seq", "1", "30000"]),
        says(&host, &["echo", "between"]),
    );
    assert_eq!(long.unwrap().lines().count(), 30_000);
    assert_eq!(short.unwrap(), "between");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn sixty_four_hosts_answer_at_once_each_for_itself() {
    let yard = Yard::new();
    let servers: Vec<Sshd> = (0..4).map(|number| yard.sshd_at(number)).collect();
    let nodes = servers.iter().enumerate().flat_map(|(number, sshd)| {
        (0..16).map(move |index| {
            let address = Yard::address(number, index);
            let mut one = node(&format!("pc{}", number * 16 + index), sshd.node(|_| {}).ssh);
            one.address = address;
            one
        })
    });
    let nodes: Vec<_> = nodes.collect();
    let pool = pool(nodes.clone(), yard.settings());
    for _ in 0..3 {
        let asked = nodes.iter().map(|node| {
            let host = pool.host(&node.name).unwrap();
            async move {
                let said = says(&host, &["sh", "-c", "echo $SSH_CONNECTION"])
                    .await
                    .unwrap();
                // "client-address client-port server-address server-port"
                assert_eq!(said.split(' ').nth(2), Some(node.address.as_str()));
            }
        });
        futures::future::join_all(asked).await;
    }
    let logins: usize = servers.iter().map(Sshd::logins).sum();
    assert_eq!(logins, 64, "one kept connection each");
}
