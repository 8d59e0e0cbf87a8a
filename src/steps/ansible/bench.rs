//! A private place for one run of Ansible: inventory, ways to the hosts, variables, the plugin that tells what happens. All
//! of it is gone when the run of Ansible has ended.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rust_embed::RustEmbed;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::super::workshop::{disk, private_dir, private_file};
use super::super::{Context, StepError};
use crate::domain::inventory::Inventory;
use crate::domain::recipe::AnsibleStep;
use crate::transport::local::Program;

/// The name of the plugin.
const PLUGIN: &str = "quarterdeck_events";

#[derive(RustEmbed)]
#[folder = "assets/ansible"]
#[include = "*.py"]
struct Plugins;

/// See the module.
pub(super) struct Bench {
    dir: TempDir,
    /// Sockets of shared connections; their paths must be short.
    sockets: TempDir,
    environment: BTreeMap<String, String>,
    input: Option<Bytes>,
    grace: Duration,
    has_variables: bool,
}

impl Bench {
    /// Makes it; without an inventory for looking at a playbook only.
    pub(super) async fn make(
        asked: &AnsibleStep,
        inventory: Option<&Inventory>,
        context: &Context,
    ) -> Result<Self, StepError> {
        let above = private_dir(&context.workshop.run)?;
        // `tempfile` makes directories that only their owner may enter.
        let dir = tempfile::Builder::new()
            .prefix("ansible-")
            .tempdir_in(&above)
            .map_err(|error| disk(&above, &error))?;
        let short = std::env::temp_dir();
        let sockets = tempfile::Builder::new()
            .prefix("qd")
            .tempdir_in(&short)
            .map_err(|error| disk(&short, &error))?;
        let mut bench = Self {
            environment: BTreeMap::new(),
            input: None,
            grace: asked.grace(),
            has_variables: false,
            dir,
            sockets,
        };
        bench.put_plugin()?;
        if let Some(inventory) = inventory {
            bench.put_inventory(asked, inventory, context)?;
        }
        bench.put_variables(asked, context).await?;
        bench.set_environment(asked, context).await?;
        if let Some(reference) = &asked.vault_password {
            let password = context.workshop.secret(reference).await?;
            bench.input = Some(Bytes::from(format!("{}\n", password.expose_secret())));
        }
        Ok(bench)
    }

    fn put_plugin(&self) -> Result<(), StepError> {
        let folder = private_dir(&self.dir.path().join("plugins"))?;
        for name in Plugins::iter() {
            if let Some(file) = Plugins::get(&name) {
                private_file(&folder.join(&*name), &file.data)?;
            }
        }
        Ok(())
    }

    fn put_inventory(
        &self,
        asked: &AnsibleStep,
        inventory: &Inventory,
        context: &Context,
    ) -> Result<(), StepError> {
        private_dir(&self.dir.path().join("ssh"))?;
        let home = std::env::home_dir();
        let accept_new = asked.inventory.accept_new.is_on();
        let accept_new = accept_new.map_err(StepError::lasting)?;
        for host in &inventory.hosts {
            let config = host
                .ssh_config(&context.environment, accept_new, home.as_deref())
                .map_err(StepError::lasting)?;
            private_file(&self.ssh_config(&host.name), config.as_bytes())?;
        }
        let json = inventory.to_json(|name| self.ssh_config(name).display().to_string());
        let text = serde_json::to_vec_pretty(&json)
            .map_err(|error| StepError::lasting(error.to_string()))?;
        private_file(&self.inventory(), &text)
    }

    async fn put_variables(
        &mut self,
        asked: &AnsibleStep,
        context: &Context,
    ) -> Result<(), StepError> {
        let mut all: Map<String, Value> = asked
            .variables
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        for (name, reference) in &asked.secrets {
            let secret = context.workshop.secret(reference).await?;
            all.insert(name.clone(), secret.expose_secret().into());
        }
        if all.is_empty() {
            return Ok(());
        }
        let text =
            serde_json::to_vec(&all).map_err(|error| StepError::lasting(error.to_string()))?;
        self.has_variables = true;
        private_file(&self.variables(), &Zeroizing::new(text))
    }

    async fn set_environment(
        &mut self,
        asked: &AnsibleStep,
        context: &Context,
    ) -> Result<(), StepError> {
        let plugins = self.dir.path().join("plugins").display().to_string();
        // The operator's own plugins stay in use.
        let plugins = match std::env::var("ANSIBLE_CALLBACK_PLUGINS") {
            Ok(own) if !own.is_empty() => format!("{plugins}:{own}"),
            _ => plugins,
        };
        let fixed = [
            ("ANSIBLE_CALLBACK_PLUGINS", plugins),
            ("ANSIBLE_STDOUT_CALLBACK", PLUGIN.into()),
            ("ANSIBLE_NOCOLOR", "1".into()),
            ("NO_COLOR", "1".into()),
            ("ANSIBLE_FORCE_COLOR", "0".into()),
            ("ANSIBLE_RETRY_FILES_ENABLED", "0".into()),
            ("ANSIBLE_PIPELINING", "1".into()),
            // Shared connections end soon after the last task, not a minute later.
            (
                "ANSIBLE_SSH_ARGS",
                "-C -o ControlMaster=auto -o ControlPersist=15s".into(),
            ),
            (
                "ANSIBLE_SSH_CONTROL_PATH_DIR",
                self.sockets.path().display().to_string(),
            ),
            ("PYTHONUNBUFFERED", "1".into()),
            ("PYTHONDONTWRITEBYTECODE", "1".into()),
            ("QUARTERDECK_ENVIRONMENT", context.environment.name.clone()),
        ];
        self.environment
            .extend(fixed.map(|(name, value)| (name.to_owned(), value)));
        for (name, reference) in &asked.credentials {
            let secret = context.workshop.secret(reference).await?;
            let value = secret.expose_secret().to_owned();
            self.environment.insert(name.clone(), value);
        }
        Ok(())
    }

    /// The inventory's file.
    pub(super) fn inventory(&self) -> PathBuf {
        self.dir.path().join("inventory.json")
    }

    fn variables(&self) -> PathBuf {
        self.dir.path().join("variables.json")
    }

    /// The way to a host.
    pub(super) fn ssh_config(&self, host: &str) -> PathBuf {
        self.dir.path().join("ssh").join(host)
    }

    /// `ansible-playbook` on `book`, in the directory where that is.
    pub(super) fn command(&self, ansible: &str, book: &Path, more: &[String]) -> Program {
        let mut argv = vec![ansible.to_owned()];
        argv.extend_from_slice(more);
        if self.has_variables {
            argv.push("--extra-vars".into());
            argv.push(format!("@{}", self.variables().display()));
        }
        if self.input.is_some() {
            argv.push("--vault-password-file=/dev/stdin".into());
        }
        argv.push(book.display().to_string());
        Program {
            directory: book.parent().map(Path::to_owned),
            environment: self.environment.clone(),
            stdin: self.input.clone(),
            grace: self.grace,
            ..Program::new(argv)
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Before the directory goes: so that no other file takes the place of what is wiped.
        if self.has_variables
            && let Ok(meta) = fs::metadata(self.variables())
        {
            let blank = vec![0; usize::try_from(meta.len()).unwrap_or(0)];
            // The directory is removed all the same.
            let _ = fs::write(self.variables(), blank);
        }
    }
}
