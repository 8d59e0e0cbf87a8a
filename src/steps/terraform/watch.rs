//! Running Terraform with its `-json` stream taken in, and saying why it failed.

use std::sync::Mutex;

use super::super::program::{self, look};
use super::super::{Context, StepError};
use super::place::Place;
use crate::domain::matrix::Matrix;
use crate::domain::run::Stream;
use crate::domain::terraform::Account;
use crate::transport::local::Program;
use crate::transport::{Exit, quote};

/// Terraform's account under a heading.
pub(super) struct Told {
    pub(super) account: Account,
    pub(super) title: String,
    /// For the report.
    pub(super) summary: Vec<String>,
}

impl Told {
    pub(super) fn new(title: String) -> Mutex<Self> {
        Mutex::new(Self {
            account: Account::default(),
            title,
            summary: Vec::new(),
        })
    }
}

impl program::Account for Told {
    fn take(&mut self, line: &str) -> Vec<(Stream, String)> {
        let said = self.account.take(line).into_iter();
        said.map(|said| (said.stream, said.text)).collect()
    }

    fn matrix(&self) -> Matrix {
        let mut matrix = self.account.matrix(&self.title);
        matrix.summary.clone_from(&self.summary);
        matrix
    }
}

/// Runs a command whose lines are events. Exit status 2 is an answer, not a failure: see `-detailed-exitcode`.
pub(super) async fn run(
    place: &Place,
    command: &Program,
    told: &Mutex<Told>,
    context: &Context,
) -> Result<Exit, StepError> {
    place.announce(command, context).await;
    match program::watch(command, told, context).await {
        Ok((exit @ Exit::Code(0 | 2), _)) => Ok(exit),
        Ok((exit, said)) => {
            let reason = look(told, |told| why(&told.account));
            let reason = reason.unwrap_or_else(|| said.complaint());
            Err(StepError {
                message: format!("{}: {exit}: {reason}", short(place, command)),
                passing: true,
            })
        }
        Err(error) => Err(StepError::lasting(format!(
            "{error}{}",
            look(told, |told| left(&told.account))
        ))),
    }
}

/// The command without what is in its arguments.
fn short(place: &Place, command: &Program) -> String {
    let verb = command.argv.get(1).cloned().unwrap_or_default();
    quote(&[place.name(), verb])
}

/// Why it failed, as far as it told.
fn why(account: &Account) -> Option<String> {
    if let Some(lock) = account.lock() {
        return Some(format!(
            "the state is locked by {} ({} since {}, lock {}): wait until that has ended; only if it is gone for good, \
             `terraform force-unlock`",
            lock.who, lock.operation, lock.created, lock.id
        ));
    }
    let complaint = account.complaint()?;
    let detail = complaint.detail.lines().map(str::trim);
    let first = detail.into_iter().find(|line| !line.is_empty());
    let told = match first {
        Some(first) => format!("{}: {first}", complaint.told()),
        None => complaint.told(),
    };
    Some(format!("{told}{}", left(account)))
}

/// What is half done.
fn left(account: &Account) -> String {
    let (done, all) = account.progress();
    let half = account.half_done();
    match (all, half.is_empty()) {
        (0, _) => String::new(),
        (_, true) if done == all => String::new(),
        (_, true) => format!("; {done} of {all} changes are done"),
        (_, false) => format!(
            "; {done} of {all} changes are done, half done may be {}",
            half.join(", ")
        ),
    }
}
