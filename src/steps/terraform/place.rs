//! Where Terraform works: its program, its directory, its environment; and making that ready.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::super::workshop::private_dir;
use super::super::{Context, Outcome, StepError, program};
use crate::domain::hex;
use crate::domain::recipe::{Root, TerraformStep};
use crate::domain::run::Stream;
use crate::transport::local::Program;
use crate::transport::quote;

/// The most files of a configuration that are read.
const FILES: usize = 5_000;
/// The most bytes of them.
const BYTES: u64 = 128 * 1024 * 1024;

/// Terraform on one root module, in one workspace.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) program: PathBuf,
    pub(super) directory: PathBuf,
    pub(super) workspace: String,
    pub(super) grace: Duration,
    root: Root,
    environment: BTreeMap<String, String>,
    /// The name of Quarterdeck's environment.
    name: String,
}

impl Place {
    /// Finds the program and the directory, and reads the credentials.
    pub(super) async fn enter(
        root: &Root,
        grace: Duration,
        context: &Context,
    ) -> Result<Self, StepError> {
        let directory = context.workshop.path(&root.directory)?;
        if !directory.is_dir() {
            let lab = match context.environment.marking.as_deref() {
                Some("LAB") => {
                    "; the lab is for practising what it has: try this in a workspace of your own"
                }
                _ => "",
            };
            return Err(StepError::lasting(format!(
                "there is no directory {} with a Terraform configuration{lab}",
                directory.display()
            )));
        }
        let names: Vec<&str> = match &root.program {
            Some(name) => vec![name],
            None => vec!["terraform", "tofu"],
        };
        let program = program::find(&names).ok_or_else(|| {
            StepError::lasting(format!(
                "{} is not in the PATH of the engine: install it, and `quarterdeck engine restart`",
                names.join(" or ")
            ))
        })?;
        let mut place = Self {
            program,
            workspace: root.workspace().to_owned(),
            grace,
            root: root.clone(),
            environment: BTreeMap::new(),
            name: context.environment.name.clone(),
            directory,
        };
        let data = private_dir(&context.workshop.tools.join("terraform").join(place.key()))?;
        let fixed = [
            ("TF_DATA_DIR", data.display().to_string()),
            ("TF_WORKSPACE", place.workspace.clone()),
            ("TF_IN_AUTOMATION", "1".into()),
            ("TF_INPUT", "0".into()),
            ("CHECKPOINT_DISABLE", "1".into()),
            ("NO_COLOR", "1".into()),
            ("QUARTERDECK_ENVIRONMENT", place.name.clone()),
        ];
        place
            .environment
            .extend(fixed.map(|(name, value)| (name.to_owned(), value)));
        for (name, reference) in &root.credentials {
            let secret = context.workshop.secret(reference).await?;
            place
                .environment
                .insert(name.clone(), secret.expose_secret().to_owned());
        }
        Ok(place)
    }

    /// A name for this directory in this environment.
    fn key(&self) -> String {
        let mut sum = Sha256::new();
        sum.update(self.name.as_bytes());
        sum.update([0]);
        sum.update(self.directory.as_os_str().as_encoded_bytes());
        let sum = hex(&sum.finalize());
        format!("{}-{}", self.name, &sum[..12])
    }

    /// The program's name, for messages.
    pub(super) fn name(&self) -> String {
        let name = self.program.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// What is worked on, for messages: `terraform/, workspace staging`.
    pub(super) fn told(&self) -> String {
        format!("{}, workspace {}", self.root.directory, self.workspace)
    }

    /// The program with these arguments.
    pub(super) fn command<S: Into<String>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Program {
        let program = self.program.display().to_string();
        let arguments = arguments.into_iter().map(Into::into);
        Program {
            directory: Some(self.directory.clone()),
            environment: self.environment.clone(),
            grace: self.grace,
            ..Program::new(std::iter::once(program).chain(arguments))
        }
    }

    /// Says in the log what is run, by the program's name.
    pub(super) async fn announce(&self, command: &Program, context: &Context) {
        let mut argv = command.argv.clone();
        if let Some(first) = argv.first_mut() {
            *first = self.name();
        }
        context.note(format!("$ {}", quote(&argv))).await;
    }

    /// Installs providers and connects the backend; without a word when that went well and nothing is new.
    pub(super) async fn init(&self, context: &Context) -> Result<(), StepError> {
        let mut arguments = vec!["init", "-no-color", "-input=false"];
        if self.directory.join(".terraform.lock.hcl").is_file() {
            // What is pinned there is what is used; changing it is the operator's.
            arguments.push("-lockfile=readonly");
        }
        let command = self.command(arguments);
        let done = program::ask(&command, &context.cancel).await?;
        if done.exit.success() {
            return Ok(());
        }
        self.announce(&command, context).await;
        for line in String::from_utf8_lossy(&done.stdout).lines() {
            context.log.line(Stream::Stdout, line.to_owned()).await;
        }
        context
            .log
            .line(Stream::Stderr, done.complaint.clone())
            .await;
        Err(StepError {
            message: format!("{} init: {}: {}", self.name(), done.exit, done.complaint),
            // Registries and backends come and go.
            passing: true,
        })
    }

    /// What `terraform plan` is asked to only look at what there is with: it takes no lock, and its status says whether
    /// something differs.
    pub(super) fn only_looking(&self, bench: &Path) -> Result<Vec<String>, StepError> {
        let mut arguments: Vec<String> = [
            "plan",
            "-json",
            "-input=false",
            "-refresh-only",
            "-lock=false",
            "-detailed-exitcode",
        ]
        .map(String::from)
        .into();
        arguments.extend(self.var_files(bench)?);
        Ok(arguments)
    }

    /// Files with values: the recipe's, the environment's, and one with the step's own variables in `bench`.
    pub(super) fn var_files(&self, bench: &Path) -> Result<Vec<String>, StepError> {
        let mut files = Vec::new();
        for end in ["tfvars", "tfvars.json"] {
            let file = self.directory.join(format!("{}.{end}", self.name));
            if file.is_file() {
                files.push(file.display().to_string());
            }
        }
        for named in &self.root.var_files {
            let file = self.directory.join(named);
            if !file.is_file() {
                return Err(StepError::lasting(format!(
                    "there is no file {} with values",
                    file.display()
                )));
            }
            files.push(file.display().to_string());
        }
        if !self.root.variables.is_empty() {
            let file = bench.join("step.tfvars.json");
            let text = serde_json::to_vec(&self.root.variables)
                .map_err(|error| StepError::lasting(error.to_string()))?;
            super::super::workshop::private_file(&file, &text)?;
            files.push(file.display().to_string());
        }
        Ok(files
            .into_iter()
            .map(|file| format!("-var-file={file}"))
            .collect())
    }

    /// SHA-256 of every file of the configuration, by its path within the directory. What Terraform writes there itself does
    /// not count.
    pub(super) async fn files(&self) -> Result<BTreeMap<String, String>, StepError> {
        let directory = self.directory.clone();
        tokio::task::spawn_blocking(move || checksums(&directory))
            .await
            .map_err(|error| {
                StepError::lasting(format!("reading the configuration stopped: {error}"))
            })?
            .map_err(StepError::lasting)
    }
}

fn checksums(directory: &Path) -> Result<BTreeMap<String, String>, String> {
    let (mut sums, mut bytes) = (BTreeMap::new(), 0);
    let mut open = vec![directory.to_owned()];
    let broken = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| broken(&folder, error))? {
            let entry = entry.map_err(|error| broken(&folder, error))?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let kind = entry.file_type().map_err(|error| broken(&path, error))?;
            let own = matches!(&*name, ".terraform" | "terraform.tfstate.d" | ".git")
                || name.contains(".tfstate")
                || &*name == "crash.log";
            if own {
                continue;
            }
            if kind.is_dir() {
                open.push(path);
                continue;
            }
            // Behind a link is a file as good as any other; what is neither is nothing that Terraform reads.
            let meta = fs::metadata(&path).map_err(|error| broken(&path, error))?;
            if !meta.is_file() {
                continue;
            }
            bytes += meta.len();
            if sums.len() == FILES || bytes > BYTES {
                return Err(format!(
                    "{} holds more than {FILES} files or {} MiB: keep what is no configuration elsewhere",
                    directory.display(),
                    BYTES >> 20
                ));
            }
            let content = fs::read(&path).map_err(|error| broken(&path, error))?;
            let within = path.strip_prefix(directory).unwrap_or(&path);
            sums.insert(within.display().to_string(), hex(&Sha256::digest(&content)));
        }
    }
    Ok(sums)
}

/// `do: check`.
pub(super) async fn check(asked: &TerraformStep, context: &Context) -> Result<Outcome, StepError> {
    #[derive(Deserialize)]
    struct Validation {
        valid: bool,
        diagnostics: Vec<Complaint>,
    }
    #[derive(Deserialize)]
    struct Complaint {
        severity: String,
        summary: String,
        #[serde(default)]
        detail: String,
        range: Option<Range>,
    }
    #[derive(Deserialize)]
    struct Range {
        filename: String,
        start: Start,
    }
    #[derive(Deserialize)]
    struct Start {
        line: u64,
    }
    let place = Place::enter(&asked.root, asked.grace(), context).await?;
    let version = program::ask(&place.command(["version"]), &context.cancel).await?;
    let version = String::from_utf8_lossy(&version.stdout);
    let first = version.lines().next().unwrap_or_default().trim().to_owned();
    context
        .note(format!("{first} at {}", place.program.display()))
        .await;
    place.init(context).await?;
    let looked = program::ask(&place.command(["validate", "-json"]), &context.cancel).await?;
    let validation: Validation = serde_json::from_slice(&looked.stdout).map_err(|error| {
        StepError::lasting(format!(
            "{} validate: {}: {} ({error})",
            place.name(),
            looked.exit,
            looked.complaint
        ))
    })?;
    let mut first = None;
    for one in &validation.diagnostics {
        let at = one.range.as_ref();
        let at = at.map(|range| format!("{}:{}: ", range.filename, range.start.line));
        let line = format!(
            "{}{}: {}",
            at.unwrap_or_default(),
            one.summary,
            one.detail.replace('\n', " ")
        );
        context
            .log
            .line(Stream::Stderr, format!("{}: {line}", one.severity))
            .await;
        if one.severity == "error" {
            first.get_or_insert(line);
        }
    }
    if validation.valid {
        context
            .note(format!("{}: the configuration is valid", place.told()))
            .await;
        return Ok(Outcome::Ok);
    }
    Err(StepError::lasting(
        first.unwrap_or_else(|| "the configuration is not valid".into()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_what_terraform_reads_and_not_what_it_writes() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("main.tf", "a");
        write("modules/vm/main.tf", "b");
        write("staging.tfvars", "c");
        write("terraform.tfstate", "x");
        write("terraform.tfstate.d/staging/terraform.tfstate", "x");
        write(".terraform/modules/modules.json", "x");
        write(".terraform.tfstate.lock.info", "x");
        let before = checksums(dir.path()).unwrap();
        let names: Vec<&str> = before.keys().map(String::as_str).collect();
        assert_eq!(names, ["main.tf", "modules/vm/main.tf", "staging.tfvars"]);
        write("terraform.tfstate", "y");
        assert_eq!(checksums(dir.path()).unwrap(), before);
        write("modules/vm/main.tf", "edited");
        assert_ne!(checksums(dir.path()).unwrap(), before);
    }
}
