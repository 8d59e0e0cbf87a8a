//! Questions that somebody must answer before work can go on: passwords, passphrases, host keys that are not known.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::words;

words! {
    /// What a question is about.
    pub enum QuestionKind {
        /// The passphrase of a private key.
        Passphrase = "passphrase",
        /// The login user's password.
        Password = "password",
        /// What else a host asks whoever logs in, such as a code.
        Login = "login",
        /// Whether a host key that is not known is the right one.
        HostKey = "host-key",
        /// The password for becoming root.
        Elevate = "elevate",
    }
}

/// One thing to be filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// What is wanted, in the asker's words.
    pub label: String,
    /// Whether it may be seen while it is typed.
    pub echo: bool,
}

/// A question to whoever is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// What it is about.
    pub kind: QuestionKind,
    /// The host that it is asked for.
    pub host: String,
    /// What is asked, in one sentence.
    pub title: String,
    /// What should be known before answering, line by line; never anything secret.
    pub lines: Vec<String>,
    /// What is to be filled in; with nothing the question is answered by yes or no.
    pub prompts: Vec<Prompt>,
}

impl Question {
    /// A question for one secret.
    pub fn secret(
        kind: QuestionKind,
        host: impl Into<String>,
        title: impl Into<String>,
        label: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            host: host.into(),
            title: title.into(),
            lines: Vec::new(),
            prompts: vec![Prompt {
                label: label.into(),
                echo: false,
            }],
        }
    }

    /// What it wants, for a row that waits for it, such as `a passphrase`.
    pub const fn wants(&self) -> &'static str {
        self.kind.wants()
    }
}

impl QuestionKind {
    /// What a host wants that asks this, such as `a passphrase`.
    pub const fn wants(self) -> &'static str {
        match self {
            Self::Passphrase => "a passphrase",
            Self::Password => "a password",
            Self::Login => "an answer to log in",
            Self::HostKey => "a look at its host key",
            Self::Elevate => "a password to become root",
        }
    }
}

/// A question that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenQuestion {
    /// Its number, unique while the engine runs.
    pub id: u64,
    /// What is asked.
    pub question: Question,
    /// When it is given up.
    pub until: Timestamp,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuestionAnswer {
    /// Yes: to a question without prompts.
    Yes,
    /// What was filled in, one for each prompt.
    Filled(Vec<Secret>),
    /// No, or nothing to say.
    No,
}

impl QuestionAnswer {
    /// Whether it fits `question`.
    pub fn fits(&self, question: &Question) -> bool {
        match self {
            Self::Yes => question.prompts.is_empty(),
            Self::Filled(filled) => !filled.is_empty() && filled.len() == question.prompts.len(),
            Self::No => true,
        }
    }
}
