//! The draft of a workspace: its files as they would be, compared with what is there, checked by the loader before anything is
//! written.

use std::path::{Path, PathBuf};

use crate::cli::output;
use crate::config::{self, FILE};
use crate::domain::bootstrap::{Answers, Change, Member, NewFile, difference, files};

/// Lines around a change that are shown.
const AROUND: usize = 3;

/// Files, and what stands in their place.
pub(super) struct Draft {
    pub(super) root: PathBuf,
    pub(super) files: Vec<NewFile>,
    pub(super) old: Vec<Option<String>>,
}

impl Draft {
    /// The files of `answers` for a workspace at `root`; one environment more where there is one already.
    ///
    /// # Errors
    /// A sentence, when a file there cannot be read, or what would be written is no workspace.
    pub(super) fn new(root: &Path, answers: &Answers, members: &[Member]) -> Result<Self, String> {
        let settings = config::read_old(root, Path::new(FILE))?;
        let fresh = files(answers, members, false);
        let ours = fresh.first().map(|file| file.text.as_str());
        let added = settings.is_some() && settings.as_deref() != ours;
        let files = if added {
            files(answers, members, true)
        } else {
            fresh
        };
        let old = files
            .iter()
            .map(|file| config::read_old(root, &file.path))
            .collect::<Result<Vec<_>, _>>()?;
        for file in files
            .iter()
            .filter(|file| file.path.starts_with("environments"))
        {
            let (environment, diagnostics) =
                config::environment_from(&root.join(&file.path), &file.text);
            if environment.is_none() {
                return Err(format!(
                    "these answers make no environment\n\n{}",
                    config::render(&diagnostics, output::colour())
                ));
            }
        }
        Ok(Self {
            root: root.to_owned(),
            files,
            old,
        })
    }

    /// Whether everything is there already, letter for letter.
    pub(super) fn is_written(&self) -> bool {
        let mut pairs = self.files.iter().zip(&self.old);
        pairs.all(|(file, old)| old.as_deref() == Some(file.text.as_str()))
    }

    /// Whether something that is there would be changed.
    pub(super) fn replaces(&self) -> bool {
        let mut pairs = self.files.iter().zip(&self.old);
        pairs.any(|(file, old)| old.as_ref().is_some_and(|old| *old != file.text))
    }

    /// The files as a unified difference, without the lines that stay far from a change.
    pub(super) fn lines(&self) -> Vec<(Change, String)> {
        let mut lines = Vec::new();
        for (file, old) in self.files.iter().zip(&self.old) {
            let path = self.root.join(&file.path);
            let what = match old {
                None => "new",
                Some(old) if *old == file.text => "as it is",
                Some(_) => "changed",
            };
            lines.push((Change::Same, format!("{} ({what})", path.display())));
            let all = difference(old.as_deref().unwrap_or_default(), &file.text);
            let changed: Vec<usize> = (0..all.len())
                .filter(|at| all[*at].0 != Change::Same)
                .collect();
            for (at, line) in all.into_iter().enumerate() {
                if changed.iter().any(|near| near.abs_diff(at) <= AROUND) {
                    lines.push(line);
                }
            }
        }
        lines
    }

    /// Writes what was shown.
    ///
    /// # Errors
    /// A sentence that names the file that could not be written, or was changed since it was shown.
    pub(super) fn write(&self) -> Result<(), String> {
        config::write(&self.root, &self.files, &self.old)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::bootstrap::{Brought, BroughtBy, INSTALLED, Purpose};
    use crate::domain::environment::Protection;
    use crate::domain::node::Role;
    use crate::domain::platform::{Arch, Platform};
    use crate::domain::stack::Stack;
    use crate::steps::library::Library;

    fn member(name: String, at: u8, platform: Platform, roles: &[Role]) -> Member {
        Member {
            name,
            address: format!("10.0.0.{at}"),
            port: at.is_multiple_of(2).then_some(2200),
            platform,
            arch: Some(platform.fixed_arch().unwrap_or(Arch::Arm64)),
            roles: roles.iter().copied().collect(),
            lan: at
                .is_multiple_of(3)
                .then(|| format!("192.168.0.{at}").parse().unwrap()),
            jump: false,
            why: vec!["because: of\nthis # and \"that\"".into()],
        }
    }

    proptest! {
        // Each case writes files and reads every built-in recipe.
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn what_is_written_is_read_back_to_the_same_model(
            names in proptest::collection::btree_set("[A-Za-z0-9][A-Za-z0-9._-]{0,12}", 1..6),
            environment in "[A-Za-z0-9][A-Za-z0-9._-]{0,12}",
            platforms in proptest::collection::vec(proptest::sample::select(Platform::ALL.to_vec()), 6),
            version in "[0-9]{1,2}\\.[0-9]{1,2}",
            user in "[A-Za-z_][A-Za-z0-9._$@+-]{0,8}",
            acl in proptest::bool::ANY,
            daily in proptest::bool::ANY,
        ) {
            let members: Vec<Member> = names
                .into_iter()
                .zip(1_u8..)
                .zip(&platforms)
                .map(|((name, at), platform)| member(name, at, *platform, &[Role::ConsulServer, Role::Vault]))
                .collect();
            let mut answers = Answers {
                environment: environment.clone(),
                stack: Stack::Nomad,
                protection: Protection::Typed,
                versions: BTreeMap::from([("consul".to_owned(), version.clone())]),
                ..Answers::default()
            };
            answers.ssh.user = Some(user.clone());
            answers.secrets.consul_acl = acl;
            answers.backups.daily = daily;
            let brought = Brought { source: "https://example.net/vault: 1.zip".into(), sha256: "0".repeat(64) };
            answers.artifacts.insert("vault".into(), BroughtBy { amd64: Some(brought.clone()), arm64: None });

            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().join("w");
            let draft = Draft::new(&root, &answers, &members).unwrap();
            draft.write().unwrap();
            let checked = config::check(&root, crate::cli::session::recipes);
            let workspace = checked.workspace.ok_or_else(|| {
                TestCaseError::fail(config::render(&checked.diagnostics, false))
            })?;
            let read = workspace.first_environment().unwrap();
            prop_assert_eq!(&read.name, &environment);
            prop_assert_eq!(read.stack, Stack::Nomad);
            prop_assert_eq!(read.protection, Protection::Typed);
            prop_assert_eq!(&read.versions["consul"], &version);
            prop_assert_eq!(&read.artifacts["vault"][&Arch::Amd64].source, &brought.source);
            prop_assert_eq!(workspace.schedules.len(), usize::from(daily));
            prop_assert_eq!(read.services.len(), 2);
            prop_assert_eq!(read.services[0].secret.is_some(), acl);
            prop_assert_eq!(read.nodes.len(), members.len());
            for (node, member) in read.nodes.iter().zip(&members) {
                prop_assert_eq!(&node.name, &member.name);
                prop_assert_eq!(&node.address, &member.address);
                prop_assert_eq!(node.platform, member.platform);
                prop_assert_eq!(Some(node.arch), member.arch);
                prop_assert_eq!(&node.roles, &member.roles);
                prop_assert_eq!(node.ssh.port, member.port);
                prop_assert_eq!(node.ssh.user.as_ref(), Some(&user));
                prop_assert_eq!(node.labels.get("lan").cloned(), member.lan.map(|ip| ip.to_string()));
            }
            // Written as it is, there is nothing left to write.
            prop_assert!(Draft::new(&root, &answers, &members).unwrap().is_written());
        }
    }

    #[test]
    fn where_there_is_a_workspace_only_an_environment_is_added() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "name: mine\n").unwrap();
        let answers = Answers {
            purpose: Purpose::Adopt,
            ..Answers::default()
        };
        let members = [member("a".into(), 1, Platform::Generic, &[])];
        let draft = Draft::new(dir.path(), &answers, &members).unwrap();
        let paths: Vec<&Path> = draft.files.iter().map(|file| file.path.as_path()).collect();
        assert_eq!(paths, [Path::new("environments/home.yaml")]);
        assert!(!draft.replaces());
    }

    #[test]
    fn what_is_said_to_be_installed_is_what_the_recipe_installs() {
        let library = Library::load(None);
        let deploy = library.recipe("deploy").unwrap();
        for software in INSTALLED {
            let called = deploy.steps.iter().any(|step| {
                let id = step.id.split('.').next();
                id == Some(software.word())
            });
            assert!(called, "deploy has no step {software}");
        }
    }
}
