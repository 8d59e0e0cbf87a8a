//! Certificates of hosts and of users, and what is revoked.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use quarterdeck::domain::node::SshAccess;
use quarterdeck::transport::ssh::SshSettings;
use quarterdeck::transport::{Reach as _, ReachError};

use super::says;
use super::sshd::{Agent, Sshd, Yard, fingerprint, me, pool, public};

/// A server whose host key is certified by `authority`, with these options of ssh-keygen; no host key is pinned.
fn certified(yard: &Yard, authority: &Path, options: &[&str]) -> Sshd {
    let certificate = yard.path("a.ed25519-cert.pub");
    let lines = format!("HostCertificate {}\n", certificate.display());
    // The certificate is made once the key is there, which comes with the server.
    let mut sshd = yard.sshd_with("a", &["ed25519"], &lines);
    sshd.stop();
    let options: Vec<&str> = ["-h"].iter().chain(options).copied().collect();
    yard.certify(authority, &yard.path("a.ed25519"), &options);
    sshd.start();
    std::fs::write(yard.known_hosts(), "").unwrap();
    sshd
}

fn known(yard: &Yard, lines: &[(&str, &Path)]) {
    let mut text = String::new();
    for (marker, key) in lines {
        let key = std::fs::read_to_string(public(key)).unwrap();
        write!(text, "{marker} {key}").unwrap();
    }
    std::fs::write(yard.known_hosts(), text).unwrap();
}

async fn reached(sshd: &Sshd, yard: &Yard) -> Result<String, ReachError> {
    let pool = pool([sshd.node(|_| {})], yard.settings());
    says(&pool.host("a").unwrap(), &["id", "-un"]).await
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_host_with_a_certificate_of_a_known_authority_needs_no_pin() {
    let yard = Yard::new();
    for (name, kind) in [("ca", "ed25519"), ("rsa", "rsa"), ("ecdsa", "ecdsa")] {
        let authority = yard.key(name, kind, "");
        let _ = std::fs::remove_file(yard.path("a.ed25519"));
        let sshd = certified(&yard, &authority, &["-n", "127.0.0.1,a.example.com"]);
        known(
            &yard,
            &[("@cert-authority 127.0.0.*,[127.0.0.*]:*", &authority)],
        );
        assert_eq!(reached(&sshd, &yard).await.unwrap(), me(), "{kind}");
    }
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_certificate_for_another_name_or_out_of_date_or_of_a_stranger_is_refused_with_the_reason()
{
    for (options, names, reason) in [
        (
            &["-n", "other.example.com"][..],
            "*",
            "made out to other.example.com, not to 127.0.0.1",
        ),
        (
            &["-n", "127.0.0.1", "-V", "20200101:20200102"],
            "*",
            "valid until 2020-01-0",
        ),
        (
            &["-n", "127.0.0.1", "-V", "20990101:20990102"],
            "*",
            "valid only from 2",
        ),
        (&[], "*", "made out to no name"),
    ] {
        let yard = Yard::new();
        let authority = yard.key("ca", "ed25519", "");
        let sshd = certified(&yard, &authority, options);
        known(&yard, &[(&format!("@cert-authority {names}"), &authority)]);
        let error = reached(&sshd, &yard).await.unwrap_err();
        assert!(
            matches!(error, ReachError::HostCertificate { .. }),
            "{error}"
        );
        assert!(error.to_string().contains(reason), "{error}");
        assert!(!error.is_passing());

        // As with OpenSSH the bare key may still be pinned.
        let port = format!("[127.0.0.1]:{}", sshd.port);
        known(
            &yard,
            &[
                ("@cert-authority *", &authority),
                (&port, &yard.path("a.ed25519")),
            ],
        );
        assert_eq!(reached(&sshd, &yard).await.unwrap(), me());
    }
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_revoked_authority_and_a_revoked_key_spoil_a_certificate() {
    let yard = Yard::new();
    let authority = yard.key("ca", "ed25519", "");
    let sshd = certified(&yard, &authority, &["-n", "127.0.0.1"]);
    for revoked in [authority.clone(), yard.path("a.ed25519")] {
        known(
            &yard,
            &[("@cert-authority *", &authority), ("@revoked *", &revoked)],
        );
        let error = reached(&sshd, &yard).await.unwrap_err();
        assert!(error.to_string().contains("as revoked"), "{error}");
        assert!(
            matches!(error, ReachError::HostKeyRevoked { .. }),
            "{error}"
        );
        assert!(
            error.to_string().contains(&fingerprint(&revoked)),
            "{error}"
        );

        known(&yard, &[("@cert-authority *", &authority)]);
        let list = std::fs::copy(public(&revoked), yard.path("gone"));
        list.unwrap();
        let line = format!("RevokedHostKeys {}\n", yard.path("gone").display());
        yard.dot_ssh("config", &line);
        let error = reached(&sshd, &yard).await.unwrap_err();
        assert!(error.to_string().contains("as revoked"), "{error}");
        assert!(
            matches!(error, ReachError::HostKeyRevoked { .. }),
            "{error}"
        );
        std::fs::write(yard.path("gone"), "nonsense").unwrap();
        let error = reached(&sshd, &yard).await.unwrap_err();
        assert!(
            error.to_string().contains("no host key can be trusted"),
            "{error}"
        );
        yard.dot_ssh("config", "");
    }
    assert_eq!(reached(&sshd, &yard).await.unwrap(), me());
}

/// A server that lets in whoever shows a certificate of `authority` made out to `somebody`, and no bare keys.
fn wants_certificates(yard: &Yard, authority: &Path) -> Sshd {
    std::fs::write(yard.path("authorized_keys"), "").unwrap();
    let principals = yard.path("principals");
    std::fs::write(&principals, "somebody\n").unwrap();
    let lines = format!(
        "TrustedUserCAKeys {}\nAuthorizedPrincipalsFile {}\n",
        public(authority).display(),
        principals.display()
    );
    yard.sshd_with("a", &["ed25519"], &lines)
}

fn certified_user(yard: &Yard, authority: &Path, name: &str, kind: &str) -> PathBuf {
    let key = yard.key(name, kind, "");
    yard.certify(authority, &key, &["-n", "somebody"]);
    key
}

async fn let_in(sshd: &Sshd, settings: SshSettings, adjust: impl FnOnce(&mut SshAccess)) -> String {
    let pool = pool([sshd.node(adjust)], settings);
    says(&pool.host("a").unwrap(), &["id", "-un"])
        .await
        .unwrap()
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_certificate_beside_its_key_lets_in_whatever_the_kinds_of_key() {
    let yard = Yard::new();
    for (number, kind) in ["ed25519", "ecdsa", "rsa"].into_iter().enumerate() {
        let authority = yard.key(&format!("ca{number}"), kind, "");
        let sshd = wants_certificates(&yard, &authority);
        let key = certified_user(&yard, &authority, &format!("user{number}"), kind);
        let user = let_in(&sshd, yard.settings(), |access| {
            access.identities = vec![key];
        })
        .await;
        assert_eq!(user, me(), "{kind}");
        for file in ["a.ed25519", "a.ed25519.pub"] {
            std::fs::remove_file(yard.path(file)).unwrap();
        }
    }
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_certificate_named_by_the_ssh_config_lets_in_with_a_key_of_the_agent() {
    let yard = Yard::new();
    let authority = yard.key("ca", "ed25519", "");
    let sshd = wants_certificates(&yard, &authority);
    let key = certified_user(&yard, &authority, "user", "ed25519");
    let elsewhere = yard.path("elsewhere-cert");
    std::fs::rename(yard.path("user-cert.pub"), &elsewhere).unwrap();
    let agent = Agent::start(&yard);
    agent.add(&key);
    yard.dot_ssh(
        "config",
        &format!("CertificateFile {}\n", elsewhere.display()),
    );
    let settings = SshSettings {
        agent: Some(agent.socket.clone()),
        ..yard.settings()
    };
    let user = let_in(&sshd, settings, |access| access.identities.clear()).await;
    assert_eq!(user, me());
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_certificate_in_the_agent_lets_in() {
    let yard = Yard::new();
    let authority = yard.key("ca", "ed25519", "");
    let sshd = wants_certificates(&yard, &authority);
    for kind in ["ed25519", "rsa"] {
        let key = certified_user(&yard, &authority, kind, kind);
        let agent = Agent::start(&yard);
        agent.add(&key);
        let settings = SshSettings {
            agent: Some(agent.socket.clone()),
            ..yard.settings()
        };
        let user = let_in(&sshd, settings, |access| access.identities.clear()).await;
        assert_eq!(user, me(), "{kind}");
        drop(agent);
        let _ = std::fs::remove_file(yard.path("agent.sock"));
    }
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn the_agent_is_lent_only_where_that_is_allowed() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let agent = Agent::start(&yard);
    agent.add(&yard.id());
    let settings = || SshSettings {
        agent: Some(agent.socket.clone()),
        ..yard.settings()
    };
    let lent = pool(
        [sshd.node(|access| access.forward_agent = Some(true))],
        settings(),
    );
    let listed = says(&lent.host("a").unwrap(), &["ssh-add", "-l"]).await;
    assert!(listed.unwrap().contains(&fingerprint(&yard.id())));
    let kept = pool([sshd.node(|_| {})], settings());
    let variable = ["sh", "-c", "echo \"<$SSH_AUTH_SOCK>\""];
    let said = says(&kept.host("a").unwrap(), &variable).await.unwrap();
    assert_eq!(said, "<>");
}
