//! What the first start stands on outside of the screens: the disk, which only the program around them touches.

use std::path::PathBuf;

use async_trait::async_trait;

use crate::client::Refusal;
use crate::domain::bootstrap::{Adopted, Answers, Candidate, Change, Member};
use crate::domain::node::Node;
use crate::domain::platform::{Arch, Software};
use crate::domain::service::ServiceKind;
use crate::domain::stack::Stack;
use crate::domain::table::Table;

/// What the first start begins with.
#[derive(Debug, Clone, PartialEq)]
pub struct Beginning {
    /// The answers so far: the defaults, or what an earlier start was left with.
    pub answers: Answers,
    /// Whether an earlier start was left.
    pub resumed: bool,
    /// Why what it was left with cannot be had.
    pub trouble: Option<String>,
    /// Where the workspace is, or shall be.
    pub dir: PathBuf,
    /// Whether there is one.
    pub exists: bool,
    /// The environment whose files are written; `None` before.
    pub written: Option<String>,
    /// What `~` means.
    pub home: Option<PathBuf>,
    /// Of the environment variables in which the programs of services look for a token, those that are set.
    pub variables: Vec<String>,
}

/// The files as they would be, beside what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drafted {
    /// Headings and lines.
    pub lines: Vec<(Change, String)>,
    /// Whether something that is there would be changed.
    pub replaces: bool,
    /// Whether all is there already.
    pub is_written: bool,
    /// What was there when it was looked at.
    pub seen: Vec<Option<String>>,
}

/// The disk, as far as the first start needs it.
#[async_trait]
pub trait Ground: Send + Sync {
    /// What it begins with.
    fn beginning(&self) -> Beginning;

    /// Keeps the answers for the next start.
    ///
    /// # Errors
    /// A sentence.
    async fn remember(&self, answers: &Answers) -> Result<(), String>;

    /// Compares the files as they would be with what is there.
    ///
    /// # Errors
    /// A sentence.
    async fn draft(&self, answers: &Answers, members: &[Member]) -> Result<Drafted, String>;

    /// Writes the files; `seen` is what stood in their place when they were shown.
    ///
    /// # Errors
    /// A sentence.
    async fn write(
        &self,
        answers: &Answers,
        members: &[Member],
        seen: Vec<Option<String>>,
    ) -> Result<(), String>;

    /// The SHA-256 of a file.
    ///
    /// # Errors
    /// A sentence.
    async fn checksum(&self, path: &str) -> Result<String, String>;
}

/// Where things go on after the screens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Outcome {
    /// Nowhere: the operator leaves.
    #[default]
    Leave,
    /// In the lab; with a stack on bare boards.
    Lab(Option<Stack>),
    /// In the workspace that was just written, at this environment.
    Written(String),
}

/// Something that the first start asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Look for hosts.
    Find(String),
    /// Look at hosts.
    Survey(Vec<Node>),
    /// Read the members of a service that runs.
    Members(ServiceKind, Box<Adopted>),
    /// Keep the answers.
    Remember(Box<Answers>),
    /// Compare the files with what is there.
    Draft(Box<Answers>, Vec<Member>),
    /// Write them.
    Write(Box<Answers>, Vec<Member>, Vec<Option<String>>),
    /// Sum a file up.
    Checksum(Software, Arch, String),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Worked {
    /// Of [`Work::Find`].
    Found(Result<Vec<Candidate>, Refusal>),
    /// Of [`Work::Survey`], when it did not even begin.
    NotSurveyed(Refusal),
    /// Of [`Work::Members`].
    Members(ServiceKind, Result<Table, Refusal>),
    /// Of [`Work::Remember`], when it failed.
    Forgotten(String),
    /// Of [`Work::Draft`].
    Drafted(Result<Drafted, String>),
    /// Of [`Work::Write`].
    Written(Result<(), String>),
    /// Of [`Work::Checksum`].
    Checksum(Software, Arch, Result<String, String>),
}
