//! Becoming root by sudo, su and doas, with and without a password.

use quarterdeck::domain::node::{Elevate, SshAccess};
use quarterdeck::domain::question::QuestionKind;
use quarterdeck::transport::ask::attended;
use quarterdeck::transport::{Command, FileMeta, Reach as _, ReachError, Source};

use super::questions::{Operator, guests};
use super::sshd::{Guest, Sshd, Yard, node, pool};
use super::{says, successful};

fn by(elevate: Elevate, sshd: &Sshd, yard: &Yard) -> SshAccess {
    SshAccess {
        identities: vec![yard.id()],
        elevate: Some(elevate),
        ..guests(sshd, yard)
    }
}

const SUDOERS: &[(&str, u32, &str)] = &[(
    "sudoers",
    0o440,
    "root ALL=(ALL) ALL\nqdguest ALL=(ALL) ALL\n",
)];

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn sudo_with_a_password_asks_once_for_all_commands_of_a_run_and_passes_input_on() {
    let yard = Yard::new();
    let guest = Guest {
        files: SUDOERS,
        ..Guest::default()
    };
    let Some(sshd) = yard.sshd_with_guest("a", &guest) else {
        return;
    };
    let operator = Operator::typing(&["wrong", "correct horse"]);
    let pool = pool(
        [node("a", by(Elevate::Sudo, &sshd, &yard))],
        operator.settings(&yard),
    );
    let host = pool.host("a").unwrap();
    let error = says(&host, &["id", "-u"]).await.unwrap_err();
    let ReachError::Unanswered { wants, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(wants, "a password to become root");

    let target = yard.path("written");
    attended(async {
        assert_eq!(says(&host, &["id", "-u"]).await.unwrap(), "0");
        let input = Command::new(["sh", "-c", "cat; echo done >&2"]).with_stdin("line 1\nline 2");
        let output = host.output(&input).await.unwrap();
        assert_eq!(successful(&output), "line 1\nline 2");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "done\n");
        let failing = host.output(&Command::new(["sh", "-c", "exit 7"])).await;
        assert_eq!(failing.unwrap().exit.to_string(), "exit status 7");
        let meta = FileMeta {
            mode: 0o600,
            owner: "root".into(),
            group: "root".into(),
        };
        let content = Source::Bytes("secret\n".repeat(10_000).into());
        let cancel = tokio_util::sync::CancellationToken::new();
        let path = target.to_str().unwrap();
        host.write(path, content, &meta, &|_, _| {}, &cancel)
            .await
            .unwrap();
        let read = host.read(path).await.unwrap().unwrap();
        assert_eq!(read.len(), 70_000);
    })
    .await;
    let asked = operator.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked.iter().all(|one| one.kind == QuestionKind::Elevate));
    assert!(asked[1].lines[0].contains("That was not it"));

    // Another run asks anew: nothing was kept.
    attended(says(&host, &["id", "-u"])).await.unwrap();
    assert!(operator.asked().len() > 2);
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn not_permitted_wrong_password_and_a_failing_command_are_told_apart() {
    let yard = Yard::new();
    let guest = Guest {
        files: &[("sudoers", 0o440, "root ALL=(ALL) ALL\n")],
        ..Guest::default()
    };
    let Some(sshd) = yard.sshd_with_guest("a", &guest) else {
        return;
    };
    let access = || by(Elevate::Sudo, &sshd, &yard);
    let right = Operator::typing(&["correct horse"]);
    let pool_of =
        |operator: &std::sync::Arc<Operator>| pool([node("a", access())], operator.settings(&yard));
    let stranger = pool_of(&right);
    let error = attended(says(&stranger.host("a").unwrap(), &["true"])).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("not permitted"), "{error}");

    let wrong = Operator::typing(&["hunter2"]);
    let guessing = pool_of(&wrong);
    let error = attended(says(&guessing.host("a").unwrap(), &["true"])).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("wrong password"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    assert_eq!(wrong.asked().len(), 3);
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn su_asks_for_roots_password() {
    let yard = Yard::new();
    let Some(sshd) = yard.sshd_with_guest("a", &Guest::default()) else {
        return;
    };
    let operator = Operator::typing(&["wrong", "battery staple"]);
    let pool = pool(
        [node("a", by(Elevate::Su, &sshd, &yard))],
        operator.settings(&yard),
    );
    let host = pool.host("a").unwrap();
    attended(async {
        assert_eq!(says(&host, &["id", "-u"]).await.unwrap(), "0");
        let input = Command::new(["cat"]).with_stdin("through su");
        assert_eq!(
            successful(&host.output(&input).await.unwrap()),
            "through su"
        );
        assert_eq!(
            says(&host, &["printf", "%s", "it's \"quoted\""])
                .await
                .unwrap(),
            "it's \"quoted\""
        );
    })
    .await;
    assert_eq!(operator.asked().len(), 2);
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn doas_works_where_it_wants_no_password_and_says_so_where_it_does() {
    let yard = Yard::new();
    for (rule, permitted) in [
        ("permit nopass qdguest\n", true),
        ("permit qdguest\n", false),
    ] {
        let guest = Guest {
            files: &[("doas.conf", 0o400, rule)],
            ..Guest::default()
        };
        let name = if permitted { "a" } else { "b" };
        let Some(sshd) = yard.sshd_with_guest(name, &guest) else {
            return;
        };
        let pool = pool(
            [node(name, by(Elevate::Doas, &sshd, &yard))],
            yard.settings(),
        );
        let said = says(&pool.host(name).unwrap(), &["id", "-u"]).await;
        if permitted {
            assert_eq!(said.unwrap(), "0");
        } else {
            let error = said.unwrap_err();
            assert!(matches!(error, ReachError::Elevate { .. }), "{error}");
        }
    }
}
