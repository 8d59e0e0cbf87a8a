//! Login shells that are not bash, talk unasked, or are no shells at all; servers that let in few at a time.

use quarterdeck::domain::node::{Elevate, SshAccess};
use quarterdeck::transport::{Command, Reach as _};

use super::questions::guests;
use super::sshd::{GUEST_NAME, Guest, Yard, node, pool};
use super::{says, successful};

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn commands_mean_the_same_under_fish_and_busybox() {
    let yard = Yard::new();
    std::os::unix::fs::symlink("/bin/busybox", yard.path("ash")).unwrap();
    let ash = yard.path("ash").display().to_string();
    for (number, shell) in ["/usr/bin/fish", &ash].into_iter().enumerate() {
        let guest = Guest {
            shell,
            home: &[(".profile", "echo Welcome to the noisy host\n")],
            ..Guest::default()
        };
        let name = format!("a{number}");
        let Some(sshd) = yard.sshd_with_guest(&name, &guest) else {
            return;
        };
        let access = SshAccess {
            identities: vec![yard.id()],
            elevate: Some(Elevate::No),
            ..guests(&sshd, &yard)
        };
        let pool = pool([node(&name, access)], yard.settings());
        let host = pool.host(&name).unwrap();
        assert_eq!(says(&host, &["id", "-un"]).await.unwrap(), GUEST_NAME);
        let odd = "it's \"$HOME\" `id` (a) *? ~ \\ \u{e9}";
        assert_eq!(
            says(&host, &["printf", "%s", odd]).await.unwrap(),
            odd,
            "{shell}"
        );
        let input = Command::new(["sh", "-c", "read -r a; echo \"<$a>\""]).with_stdin("x y\n");
        assert_eq!(successful(&host.output(&input).await.unwrap()), "<x y>");
        let absent = host
            .output(&Command::new(["no-such-program"]))
            .await
            .unwrap();
        assert_eq!(absent.exit.to_string(), "exit status 127", "{shell}");
    }
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_forced_command_is_not_taken_for_the_one_that_was_asked_for() {
    let yard = Yard::new();
    let sshd = yard.sshd_with("a", &["ed25519"], "ForceCommand echo forced; exit 3\n");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let output = host.output(&Command::new(["id", "-un"])).await.unwrap();
    assert_eq!(
        (output.text().as_str(), output.exit.success()),
        ("forced\n", false)
    );
    let error = host.read("/etc/hostname").await.unwrap_err();
    assert!(error.to_string().contains("/etc/hostname"), "{error}");
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn nodes_behind_a_jump_host_that_lets_in_two_at_a_time_share_its_one_connection() {
    let yard = Yard::new();
    let bastion = yard.sshd_with("bastion", &["ed25519"], "MaxStartups 2\n");
    let sshd = yard.sshd("inner");
    let nodes = (0..12).map(|number| {
        let inner = sshd.node(|access| {
            access.jump = Some(quarterdeck::domain::node::Jump::Through("bastion".into()));
        });
        quarterdeck::domain::node::Node {
            name: format!("n{number}"),
            ..inner
        }
    });
    let pool = pool(nodes.chain([bastion.node(|_| {})]), yard.settings());
    let hosts: Vec<_> = (0..12)
        .map(|number| pool.host(&format!("n{number}")).unwrap())
        .collect();
    let asked = hosts.iter().map(|host| says(host, &["true"]));
    futures::future::try_join_all(asked).await.unwrap();
    assert_eq!(bastion.logins(), 1);
}
