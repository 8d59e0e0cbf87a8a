//! What a host asks whoever logs in, and what is asked about a host.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use quarterdeck::domain::node::{Elevate, SshAccess};
use quarterdeck::domain::question::{Question, QuestionAnswer, QuestionKind};
use quarterdeck::domain::secret::Secret;
use quarterdeck::transport::ask::{Operators, Unanswered, attended};
use quarterdeck::transport::ssh::SshSettings;
use quarterdeck::transport::{Reach as _, ReachError};

use super::says;
use super::sshd::{GUEST_NAME, Guest, Sshd, Yard, fingerprint, me, node, pool};

/// Somebody who types these words one after the other, the last one for ever; yes to everything else.
pub(super) struct Operator {
    words: Vec<&'static str>,
    no: bool,
    asked: Mutex<Vec<Question>>,
}

impl Operator {
    pub(super) fn typing(words: &[&'static str]) -> Arc<Self> {
        Arc::new(Self {
            words: words.to_vec(),
            no: words.is_empty(),
            asked: Mutex::default(),
        })
    }

    pub(super) fn settings(self: &Arc<Self>, yard: &Yard) -> SshSettings {
        SshSettings {
            operators: Some(Arc::clone(self) as Arc<dyn Operators>),
            ..yard.settings()
        }
    }

    pub(super) fn asked(&self) -> Vec<Question> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Operators for Operator {
    async fn ask(&self, question: Question) -> Result<QuestionAnswer, Unanswered> {
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(question.clone());
            asked.len() - 1
        };
        if self.no {
            return Err(Unanswered::Dismissed);
        }
        if question.prompts.is_empty() {
            return Ok(QuestionAnswer::Yes);
        }
        let word = self.words.get(number).or(self.words.last()).unwrap();
        let secret = Secret::new((*word).to_owned());
        Ok(QuestionAnswer::Filled(vec![secret; question.prompts.len()]))
    }
}

/// The guest's access to `sshd`, without keys.
pub(super) fn guests(sshd: &Sshd, yard: &Yard) -> SshAccess {
    SshAccess {
        port: Some(sshd.port),
        user: Some(GUEST_NAME.into()),
        known_hosts: Some(yard.known_hosts()),
        elevate: Some(Elevate::No),
        ..SshAccess::default()
    }
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_password_is_asked_for_until_it_is_right_and_only_on_somebodys_behalf() {
    let yard = Yard::new();
    let guest = Guest {
        config: "PasswordAuthentication yes\nLogLevel VERBOSE\nBanner /etc/motd-for-tests\n",
        files: &[("motd-for-tests", 0o644, "Authorised users\x1b[31m only\n")],
        ..Guest::default()
    };
    let Some(sshd) = yard.sshd_with_guest("a", &guest) else {
        return;
    };
    let operator = Operator::typing(&["wrong", "correct horse"]);
    let pool = pool([node("a", guests(&sshd, &yard))], operator.settings(&yard));
    let host = pool.host("a").unwrap();
    let mut logs = Vec::new();
    for _ in 0..3 {
        let error = says(&host, &["true"]).await.unwrap_err();
        let ReachError::Unanswered { wants, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(wants, "a password");
        logs.push(sshd.log().matches("Connection from").count());
    }
    assert_eq!(operator.asked(), []);
    // A host that waits is not knocked at again and again.
    assert_eq!(logs[0], logs[2]);

    assert_eq!(
        attended(says(&host, &["id", "-un"])).await.unwrap(),
        GUEST_NAME
    );
    let asked = operator.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].kind, QuestionKind::Password);
    assert!(!asked[0].prompts[0].echo);
    assert_eq!(asked[0].lines, ["Authorised users [31m only"]);
    assert!(asked[1].lines.iter().any(|line| line.contains("Once more")));
    // The connection is there now, for polls too.
    assert_eq!(says(&host, &["id", "-un"]).await.unwrap(), GUEST_NAME);
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn keyboard_interactive_questions_are_put_as_the_host_puts_them() {
    let yard = Yard::new();
    let pam = "auth required pam_unix.so\naccount required pam_permit.so\nsession required pam_permit.so\n";
    let guest = Guest {
        config: "UsePAM yes\nKbdInteractiveAuthentication yes\n",
        files: &[("pam.d/sshd", 0o644, pam)],
        ..Guest::default()
    };
    let Some(sshd) = yard.sshd_with_guest("a", &guest) else {
        return;
    };
    let operator = Operator::typing(&["correct horse"]);
    let pool = pool([node("a", guests(&sshd, &yard))], operator.settings(&yard));
    let host = pool.host("a").unwrap();
    assert_eq!(
        attended(says(&host, &["id", "-un"])).await.unwrap(),
        GUEST_NAME
    );
    let asked = operator.asked();
    assert_eq!((asked.len(), asked[0].kind), (1, QuestionKind::Login));
    assert_eq!(asked[0].prompts[0].label, "Password");
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_key_and_a_password_are_given_where_both_are_wanted() {
    let yard = Yard::new();
    let guest = Guest {
        config: "PasswordAuthentication yes\nAuthenticationMethods publickey,password\n",
        ..Guest::default()
    };
    let Some(sshd) = yard.sshd_with_guest("a", &guest) else {
        return;
    };
    let operator = Operator::typing(&["correct horse"]);
    let access = SshAccess {
        identities: vec![yard.id()],
        ..guests(&sshd, &yard)
    };
    let pool = pool([node("a", access)], operator.settings(&yard));
    let host = pool.host("a").unwrap();
    assert_eq!(
        attended(says(&host, &["id", "-un"])).await.unwrap(),
        GUEST_NAME
    );
    assert_eq!(operator.asked().len(), 1);
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn an_unknown_host_key_is_pinned_only_after_a_yes_and_a_changed_one_is_never_asked_about() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pinned = std::fs::read_to_string(yard.known_hosts()).unwrap();
    std::fs::write(yard.known_hosts(), "").unwrap();

    let nobody = Operator::typing(&[]);
    let refusing = pool([sshd.node(|_| {})], nobody.settings(&yard));
    let error = attended(says(&refusing.host("a").unwrap(), &["true"])).await;
    assert!(
        matches!(error, Err(ReachError::HostKeyUnknown { .. })),
        "{error:?}"
    );
    assert_eq!(std::fs::read_to_string(yard.known_hosts()).unwrap(), "");

    let operator = Operator::typing(&["unused"]);
    let asking = pool([sshd.node(|_| {})], operator.settings(&yard));
    let host = asking.host("a").unwrap();
    let error = says(&host, &["true"]).await.unwrap_err();
    assert!(matches!(error, ReachError::Unanswered { .. }), "{error}");
    assert_eq!(attended(says(&host, &["id", "-un"])).await.unwrap(), me());
    let question = &operator.asked()[0];
    let shown = fingerprint(&yard.path("a.ed25519"));
    assert!(question.lines.contains(&shown), "{question:?}");
    let now = std::fs::read_to_string(yard.known_hosts()).unwrap();
    assert_eq!(now.split(' ').nth(1), pinned.split(' ').nth(1));

    let other = yard.key("other", "ed25519", "");
    let other = std::fs::read_to_string(super::sshd::public(&other)).unwrap();
    let line = format!("[127.0.0.1]:{} {other}", sshd.port);
    std::fs::write(yard.known_hosts(), line).unwrap();
    let changed = pool([sshd.node(|_| {})], operator.settings(&yard));
    let error = attended(says(&changed.host("a").unwrap(), &["true"])).await;
    assert!(
        matches!(error, Err(ReachError::HostKeyChanged { .. })),
        "{error:?}"
    );
    assert_eq!(operator.asked().len(), 1);
}
