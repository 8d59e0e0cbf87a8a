//! What comes after the files are written: the first stage that is not done, by what is on record and what services say.
//!
//! Nobody remembers how far he was: the store knows which runs ended well, a Vault says itself whether it is open. So a wizard
//! that was quit, or whose machine was switched off, goes on where things really stand.

use crate::domain::environment::Environment;
use crate::domain::platform::Software;
use crate::domain::run::{Run, RunState};
use crate::domain::seal::{SealBoard, SealState};
use crate::domain::service::{ServiceKind, ServiceSpec};
use crate::domain::stack::Stack;
use crate::domain::words;

words! {
    /// A stage of the way from files to a cluster that runs.
    pub enum Stage {
        /// The deployment rehearsed: every host looked at, every change listed, nothing changed.
        Preflight = "preflight",
        /// The deployment.
        Deploy = "deploy",
        /// Vault's keys made and handed over, and every node unsealed.
        Handover = "handover",
        /// The first snapshot.
        Snapshot = "snapshot",
        /// Nothing is left to do.
        Done = "done",
    }
}

/// How a stage stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Not begun, or its newest run did not end well.
    Open,
    /// A run of it is under way: its number.
    Going(i64),
    /// Done.
    Done,
    /// It has no place here: why.
    Skipped(String),
}

impl Standing {
    /// Whether the next stage may begin.
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Done | Self::Skipped(_))
    }
}

/// What is known.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The environment's name.
    pub environment: &'a str,
    /// Its stack; `None` where something was adopted that is not installed from here.
    pub stack: Option<Stack>,
    /// Whether it has a Vault.
    pub vault: bool,
    /// Whether it has a store that a snapshot can be taken of.
    pub store: bool,
    /// Runs, in any order.
    pub runs: &'a [Run],
    /// The seals, when they were asked for.
    pub seals: Option<&'a [SealBoard]>,
    /// The number of snapshots there are.
    pub snapshots: usize,
}

impl<'a> Known<'a> {
    /// What is known of `environment`.
    pub fn of_environment(
        environment: &'a Environment,
        adopted: bool,
        runs: &'a [Run],
        seals: Option<&'a [SealBoard]>,
        snapshots: usize,
    ) -> Self {
        let built = !adopted && installs(environment);
        Self {
            environment: &environment.name,
            stack: built.then_some(environment.stack),
            vault: environment
                .services
                .iter()
                .any(|service| service.kind == ServiceKind::Vault),
            store: snapshot_of(environment).is_some(),
            runs,
            seals,
            snapshots,
        }
    }

    /// How `stage` stands.
    pub fn standing(&self, stage: Stage) -> Standing {
        match stage {
            Stage::Preflight | Stage::Deploy if self.stack.is_none() => {
                Standing::Skipped("nothing is installed on what was adopted".into())
            }
            // What is deployed has passed the preflight, which is its first steps.
            Stage::Preflight => match self.newest("deploy", Some(true)) {
                Standing::Open if self.succeeded("deploy") => Standing::Done,
                standing => standing,
            },
            Stage::Deploy => self.newest("deploy", Some(false)),
            Stage::Handover if !self.vault => {
                let reason = match self.stack {
                    Some(stack) if !stack.order().contains(&Software::Vault) => {
                        format!("the stack {stack} has no Vault")
                    }
                    _ => "there is no Vault".to_owned(),
                };
                Standing::Skipped(reason)
            }
            Stage::Handover => self.handover(),
            Stage::Snapshot if !self.store => {
                Standing::Skipped("there is nothing here that a snapshot could be taken of".into())
            }
            Stage::Snapshot => match self.newest("snapshot", Some(false)) {
                Standing::Open if self.snapshots > 0 => Standing::Done,
                standing => standing,
            },
            Stage::Done => Standing::Open,
        }
    }

    /// The first stage that is not over.
    pub fn next(&self) -> Stage {
        Stage::ALL
            .iter()
            .copied()
            .find(|stage| !self.standing(*stage).is_over())
            .unwrap_or(Stage::Done)
    }

    fn of<'r>(&'r self, recipe: &'r str, dry: Option<bool>) -> impl Iterator<Item = &'r Run> {
        self.runs.iter().filter(move |run| {
            run.environment == self.environment
                && run.recipe == recipe
                && dry.is_none_or(|dry| run.dry_run == dry)
        })
    }

    fn succeeded(&self, recipe: &str) -> bool {
        self.of(recipe, Some(false))
            .any(|run| run.state == RunState::Succeeded)
    }

    /// By the newest run; one that ended well once stays well.
    fn newest(&self, recipe: &str, dry: Option<bool>) -> Standing {
        if let Some(run) = self.of(recipe, dry).find(|run| !run.state.is_final()) {
            return Standing::Going(run.number);
        }
        if self
            .of(recipe, dry)
            .any(|run| run.state == RunState::Succeeded)
        {
            Standing::Done
        } else {
            Standing::Open
        }
    }

    fn handover(&self) -> Standing {
        for recipe in ["vault-init", "unseal"] {
            if let Some(run) = self.of(recipe, None).find(|run| !run.state.is_final()) {
                return Standing::Going(run.number);
            }
        }
        let boards = self.seals.unwrap_or_default();
        let open = !boards.is_empty() && boards.iter().all(SealBoard::all_open);
        if open { Standing::Done } else { Standing::Open }
    }

    /// Whether a Vault has to be made first, before it can be unsealed; `None` while no node says so or otherwise.
    pub fn is_new_vault(&self) -> Option<bool> {
        let nodes = self.seals?.iter().flat_map(|board| &board.nodes);
        let said: Vec<SealState> = nodes
            .map(|node| node.state)
            .filter(|state| *state != SealState::Unreachable)
            .collect();
        let is_new = |state: &SealState| *state == SealState::Uninitialized;
        (!said.is_empty()).then(|| said.iter().all(is_new))
    }
}

/// What the first snapshot is taken of: the parameter `service` of the recipe `snapshot`. `*` where every store of the
/// environment lets the cockpit in by now, else one that does; `None` where there is none. A new Vault wants a token that
/// only the person has who was given its keys.
pub fn snapshot_of(environment: &Environment) -> Option<String> {
    let stores = || {
        environment.services.iter().filter(|service| {
            matches!(
                service.kind,
                ServiceKind::Consul | ServiceKind::Vault | ServiceKind::Nomad
            )
        })
    };
    let ready =
        |service: &&ServiceSpec| service.kind != ServiceKind::Vault || service.secret.is_some();
    let first = stores().find(ready)?;
    if stores().all(|service| ready(&service)) && environment.backups.stores.is_empty() {
        Some("*".into())
    } else {
        Some(first.name.clone())
    }
}

/// Whether `environment` has software that `deploy` installs.
pub fn installs(environment: &Environment) -> bool {
    environment.nodes.iter().any(|node| {
        node.roles.iter().any(|role| {
            let software = role.software();
            software.is_some_and(|software| {
                super::INSTALLED.contains(&software)
                    && environment.stack.order().contains(&software)
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::seal::NodeSeal;

    fn run(recipe: &str, dry_run: bool, state: RunState) -> Run {
        Run {
            recipe: recipe.into(),
            environment: "home".into(),
            dry_run,
            ..Run::sample(7, state)
        }
    }

    fn board(states: &[SealState]) -> [SealBoard; 1] {
        let nodes = states.iter().map(|state| NodeSeal {
            state: *state,
            ..NodeSeal::unreachable("pc1", "silent")
        });
        [SealBoard {
            environment: "home".into(),
            service: "vault".into(),
            nodes: nodes.collect(),
            as_of: Timestamp::UNIX_EPOCH,
        }]
    }

    fn known<'a>(runs: &'a [Run], seals: Option<&'a [SealBoard]>) -> Known<'a> {
        Known {
            environment: "home",
            stack: Some(Stack::Nomad),
            vault: true,
            store: true,
            runs,
            seals,
            snapshots: 0,
        }
    }

    #[test]
    fn a_rehearsal_is_no_deployment_and_no_snapshot() {
        let ended = RunState::Succeeded;
        let runs = [run("deploy", true, ended), run("snapshot", true, ended)];
        let known = known(&runs, None);
        assert_eq!(known.standing(Stage::Preflight), Standing::Done);
        assert_eq!(known.standing(Stage::Deploy), Standing::Open);
        assert_eq!(known.standing(Stage::Snapshot), Standing::Open);
        assert_eq!(known.next(), Stage::Deploy);
    }

    #[test]
    fn what_is_under_way_is_named_and_what_failed_is_open_again() {
        let runs = [
            run("deploy", false, RunState::Running),
            run("snapshot", false, RunState::Failed),
        ];
        let known = known(&runs, None);
        assert_eq!(known.standing(Stage::Deploy), Standing::Going(7));
        assert_eq!(known.standing(Stage::Snapshot), Standing::Open);
    }

    #[test]
    fn a_vault_is_new_by_what_its_nodes_say_and_not_by_their_silence() {
        use SealState::{Active, Sealed, Uninitialized, Unreachable};
        let new = |states: &[SealState]| known(&[], Some(&board(states))).is_new_vault();
        assert_eq!(known(&[], None).is_new_vault(), None);
        assert_eq!(new(&[Unreachable, Unreachable]), None);
        assert_eq!(new(&[Uninitialized, Unreachable]), Some(true));
        assert_eq!(new(&[Uninitialized, Sealed]), Some(false));
        let open = board(&[Active, Sealed]);
        assert_eq!(
            known(&[], Some(&open)).standing(Stage::Handover),
            Standing::Open
        );
    }
}
