//! Host keys and identities.

use std::process::Command as Process;
use std::sync::Arc;

use quarterdeck::transport::ask::attended;
use quarterdeck::transport::ssh::SshSettings;
use quarterdeck::transport::{Reach as _, ReachError};

use super::questions::Operator;
use super::says;
use super::sshd::{Agent, Yard, fingerprint, me, pool, public, text};

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_key_lets_in_and_one_connection_serves_all() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    for _ in 0..3 {
        assert_eq!(says(&host, &["id", "-un"]).await.unwrap(), me());
    }
    assert_eq!(sshd.logins(), 1);
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn an_rsa_key_lets_in_with_a_hash_that_is_still_trusted() {
    let yard = Yard::new();
    let key = yard.key("rsa", "rsa", "");
    yard.authorize(&key);
    let sshd = yard.sshd("a");
    let node = sshd.node(|access| access.identities = vec![key]);
    let pool = pool([node], yard.settings());
    assert_eq!(
        says(&pool.host("a").unwrap(), &["id", "-un"])
            .await
            .unwrap(),
        me()
    );
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_locked_key_says_what_it_needs_and_is_unlocked_once_for_all_hosts() {
    let yard = Yard::new();
    let key = yard.key("locked", "ed25519", "correct horse");
    yard.authorize(&key);
    let (a, b) = (yard.sshd("a"), yard.sshd("b"));
    let nodes = || [&a, &b].map(|sshd| sshd.node(|access| access.identities = vec![key.clone()]));
    let nobody = pool(nodes(), yard.settings());
    let error = says(&nobody.host("a").unwrap(), &["true"])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("needs a passphrase"), "{error}");
    assert!(!error.is_passing());

    let wrong = Operator::typing(&["battery staple"]);
    let pool_of = |operator: &Arc<Operator>| pool(nodes(), operator.settings(&yard));
    let refused = pool_of(&wrong);
    let host = refused.host("a").unwrap();
    let work = says(&host, &["true"]);
    let error = attended(work).await.unwrap_err();
    assert!(error.to_string().contains("wrong passphrase"), "{error}");
    assert!(!error.to_string().contains("battery"), "{error}");
    assert_eq!(wrong.asked().len(), 3);

    let right = Operator::typing(&["oops", "correct horse"]);
    let pool = pool_of(&right);
    let (a, b) = (pool.host("a").unwrap(), pool.host("b").unwrap());
    let error = says(&a, &["true"]).await.unwrap_err();
    assert!(matches!(error, ReachError::Unanswered { .. }), "{error}");
    assert_eq!(
        right.asked().len(),
        0,
        "what goes on by itself does not ask"
    );
    let both = async { tokio::join!(says(&a, &["id", "-un"]), says(&b, &["id", "-un"])) };
    let (first, second) = attended(both).await;
    assert_eq!([first.unwrap(), second.unwrap()], [me(), me()]);
    assert_eq!(right.asked().len(), 2);
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn the_agent_signs_when_no_identity_is_configured_and_for_a_locked_one_that_it_holds() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let agent = Agent::start(&yard);
    agent.add(&yard.key("stranger", "ed25519", ""));
    agent.add(&yard.id());
    let settings = || SshSettings {
        agent: Some(agent.socket.clone()),
        ..yard.settings()
    };
    let open = pool([sshd.node(|access| access.identities.clear())], settings());
    assert_eq!(
        says(&open.host("a").unwrap(), &["id", "-un"])
            .await
            .unwrap(),
        me()
    );

    // The same key, locked on disk: the agent has it, so nobody needs to be asked.
    let locked = yard.path("locked");
    std::fs::copy(yard.id(), &locked).unwrap();
    let mut lock = Process::new("ssh-keygen");
    text(
        lock.args(["-q", "-p", "-P", "", "-N", "secret", "-f"])
            .arg(&locked),
    );
    let locked = pool(
        [sshd.node(|access| access.identities = vec![locked])],
        settings(),
    );
    assert_eq!(
        says(&locked.host("a").unwrap(), &["id", "-un"])
            .await
            .unwrap(),
        me()
    );
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn the_usual_files_of_the_home_directory_are_tried() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    std::fs::create_dir(yard.path(".ssh")).unwrap();
    std::fs::copy(yard.id(), yard.path(".ssh/id_ed25519")).unwrap();
    let pool = pool(
        [sshd.node(|access| access.identities.clear())],
        yard.settings(),
    );
    assert_eq!(
        says(&pool.host("a").unwrap(), &["id", "-un"])
            .await
            .unwrap(),
        me()
    );
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn who_is_denied_learns_what_became_of_every_identity() {
    use std::os::unix::fs::PermissionsExt;
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let stranger = yard.key("stranger", "ed25519", "");
    let open = yard.key("open-to-all", "ed25519", "");
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o644)).unwrap();
    let identities = vec![stranger, yard.path("missing"), open];
    let pool = pool(
        [sshd.node(|access| access.identities = identities)],
        yard.settings(),
    );
    let error = says(&pool.host("a").unwrap(), &["true"]).await.unwrap_err();
    assert!(matches!(error, ReachError::Denied { .. }), "{error}");
    let said = error.to_string();
    for part in [
        "stranger: refused",
        "missing: there is no such file",
        "open-to-all: mode 0644",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn an_unknown_host_key_is_refused_with_the_line_that_would_make_it_known() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    std::fs::write(yard.known_hosts(), "").unwrap();
    let strict = pool([sshd.node(|_| {})], yard.settings());
    let error = says(&strict.host("a").unwrap(), &["true"])
        .await
        .unwrap_err();
    let ReachError::HostKeyUnknown { offered, entry, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*offered, fingerprint(&yard.path("a.ed25519")));
    std::fs::write(yard.known_hosts(), format!("{entry}\n")).unwrap();
    says(&strict.host("a").unwrap(), &["true"]).await.unwrap();
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_new_host_key_is_pinned_when_that_is_wanted_and_a_changed_one_never() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    std::fs::write(yard.known_hosts(), "").unwrap();
    let settings = || SshSettings {
        accept_new: true,
        ..yard.settings()
    };
    let first = pool([sshd.node(|_| {})], settings());
    says(&first.host("a").unwrap(), &["true"]).await.unwrap();
    let strict = pool([sshd.node(|_| {})], yard.settings());
    says(&strict.host("a").unwrap(), &["true"]).await.unwrap();

    let other = yard.key("other", "ed25519", "");
    let key = std::fs::read_to_string(public(&other)).unwrap();
    let pinned = format!("# kept by hand\n[127.0.0.1]:{} {key}", sshd.port);
    std::fs::write(yard.known_hosts(), &pinned).unwrap();
    let changed = pool([sshd.node(|_| {})], settings());
    let error = says(&changed.host("a").unwrap(), &["true"])
        .await
        .unwrap_err();
    let ReachError::HostKeyChanged {
        known,
        offered,
        file,
        line,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(*known, fingerprint(&other));
    assert_eq!(*offered, fingerprint(&yard.path("a.ed25519")));
    assert_eq!((file, *line), (&yard.known_hosts(), 2));
    assert_eq!(std::fs::read_to_string(yard.known_hosts()).unwrap(), pinned);
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_host_with_several_keys_shows_the_one_that_is_known() {
    let yard = Yard::new();
    let kinds = ["ed25519", "ecdsa", "rsa"];
    let sshd = yard.sshd_with("a", &kinds, "");
    let all = std::fs::read_to_string(yard.known_hosts()).unwrap();
    for kind in ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"] {
        let one = all.lines().find(|line| line.contains(kind)).unwrap();
        std::fs::write(yard.known_hosts(), format!("{one}\n")).unwrap();
        let pool = pool([sshd.node(|_| {})], yard.settings());
        says(&pool.host("a").unwrap(), &["true"]).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn names_that_openssh_has_hashed_are_found_and_revoked_keys_refused() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let plain = std::fs::read_to_string(yard.known_hosts()).unwrap();
    text(
        Process::new("ssh-keygen")
            .args(["-q", "-H", "-f"])
            .arg(yard.known_hosts()),
    );
    let hashed = std::fs::read_to_string(yard.known_hosts()).unwrap();
    assert!(hashed.starts_with("|1|"), "{hashed}");
    let known = pool([sshd.node(|_| {})], yard.settings());
    says(&known.host("a").unwrap(), &["true"]).await.unwrap();

    std::fs::write(yard.known_hosts(), format!("{hashed}@revoked {plain}")).unwrap();
    let revoked = pool([sshd.node(|_| {})], yard.settings());
    let error = says(&revoked.host("a").unwrap(), &["true"])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("as revoked"), "{error}");
    assert!(
        !error.to_string().contains("remove that line"),
        "nobody is told to trust it again: {error}"
    );
}
