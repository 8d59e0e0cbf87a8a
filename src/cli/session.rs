//! What every command stands on: the workspace, the directories, an engine in this process, and a client of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use directories::ProjectDirs;
use sha2::{Digest as _, Sha256};
use tokio::signal::unix::{SignalKind, signal};

use super::exit::{Ended, Exit};
use super::{Global, output};
use crate::client::{Client, Request, Response, View};
use crate::config::{self, Recipes, Workspace};
use crate::domain::environment::Environment;
use crate::domain::operator::Operator;
use crate::domain::service::ServiceKind;
use crate::engine::{Engine, EngineSettings, Network};
use crate::steps::library::Library;
use crate::store::{self, Reader};
use crate::transport::ssh::{Pool, SshSettings};

/// How long runs get to end in good order when the program ends.
const GRACE: Duration = Duration::from_secs(15);

/// An engine on a workspace, and a client of it.
pub(super) struct Session {
    /// The workspace as checked.
    pub(super) workspace: Workspace,
    client: Client,
    engine: Engine,
    /// Holds the store of an engine that only looks; removed at the end.
    _scratch: Option<tempfile::TempDir>,
}

impl Session {
    /// Opens the workspace and its store, and starts to poll.
    ///
    /// # Errors
    /// [`Exit::Unusable`] when the workspace has mistakes, or the state directory cannot be used or is in use.
    pub(super) async fn open(global: &Global) -> color_eyre::Result<Self> {
        let workspace = load(global)?;
        let state = State::for_workspace(global, &workspace)?.dir;
        Self::start(global, workspace, state, None).await
    }

    /// As [`Session::open`], but keeps nothing: for commands that only look, while another engine may own the store.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub(super) async fn observe(global: &Global) -> color_eyre::Result<Self> {
        let workspace = load(global)?;
        let scratch = tempfile::tempdir().map_err(Ended::unusable)?;
        let state = scratch.path().to_owned();
        Self::start(global, workspace, state, Some(scratch)).await
    }

    async fn start(
        global: &Global,
        workspace: Workspace,
        state: PathBuf,
        scratch: Option<tempfile::TempDir>,
    ) -> color_eyre::Result<Self> {
        let library = Library::load(Some(&workspace.settings.recipes));
        for problem in library.problems() {
            output::remark(&format!("warning: recipe left out: {problem}"));
        }
        let ssh = SshSettings {
            accept_new: global.accept_new_host_keys,
            ..SshSettings::default()
        };
        let world = Network::new(move |environment| Arc::new(Pool::new(environment, ssh.clone())));
        let mut settings =
            EngineSettings::new(&workspace.name, Arc::new(world), state, cache_dir(global)?);
        settings.environments.clone_from(&workspace.environments);
        settings.recipes = library.recipes().cloned().collect();
        // What is due is for the engine that keeps a history, not for one that only looks.
        if scratch.is_none() {
            settings.schedules.clone_from(&workspace.schedules);
        }
        settings.read_only = global.read_only;
        settings.node_interval = workspace.settings.poll_nodes;
        settings.service_interval = workspace.settings.poll_services;
        settings.concurrency = workspace.settings.concurrency;
        let engine = Engine::start(settings).await.map_err(Ended::unusable)?;
        if !engine.interrupted.is_empty() {
            output::remark(&format!(
                "{} run(s) of an earlier session were interrupted; `quarterdeck runs` shows where they stood",
                engine.interrupted.len()
            ));
        }
        Ok(Self {
            workspace,
            client: engine.client(operator()),
            engine,
            _scratch: scratch,
        })
    }

    /// A client of the engine.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The environment called `name`; without a name the workspace's default, or its only one.
    ///
    /// # Errors
    /// [`Exit::Unusable`], naming those there are.
    pub(super) fn environment(&self, name: Option<&str>) -> color_eyre::Result<&Environment> {
        let workspace = &self.workspace;
        let known = || {
            let names: Vec<&str> = workspace
                .environments
                .iter()
                .map(|environment| environment.name.as_str())
                .collect();
            if names.is_empty() {
                "none".into()
            } else {
                names.join(", ")
            }
        };
        let found = match name.or(workspace.settings.default_environment.as_deref()) {
            Some(name) => workspace.environment(name).ok_or_else(|| {
                format!(
                    "there is no environment called {name:?}; there are: {}",
                    known()
                )
            }),
            None if workspace.environments.len() == 1 => Ok(&workspace.environments[0]),
            None => Err(format!(
                "which environment? say --environment with one of: {}",
                known()
            )),
        };
        Ok(found.map_err(Ended::unusable)?)
    }

    /// The lists that a kind of service offers.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub(super) async fn views(&self, kind: ServiceKind) -> color_eyre::Result<Vec<View>> {
        match self.client.call(Request::Workspace).await? {
            Response::Workspace(workspace) => Ok(workspace
                .views
                .get(kind.word())
                .cloned()
                .unwrap_or_default()),
            _ => {
                Err(Ended::unusable("the engine answered something else than the workspace").into())
            }
        }
    }

    /// Ends the engine in good order.
    pub(super) async fn close(self) {
        self.engine.shutdown(GRACE).await;
    }
}

/// The recipes that a workspace's files may name, its own in `directory` among them.
pub(super) fn recipes(directory: &Path) -> Recipes {
    let library = Library::load(Some(directory));
    let name = |file: &Path| Some(file.file_stem()?.to_string_lossy().into_owned());
    Recipes {
        broken: library
            .problems()
            .iter()
            .filter_map(|problem| name(&problem.file))
            .collect(),
        known: library.recipes().cloned().collect(),
    }
}

/// Finds and checks the workspace; warnings are told, errors end it.
fn load(global: &Global) -> color_eyre::Result<Workspace> {
    let cwd = std::env::current_dir().map_err(Ended::unusable)?;
    let root = config::find(global.workspace.as_deref(), &cwd).map_err(Ended::unusable)?;
    let checked = config::check(&root.dir, recipes);
    checked.workspace.ok_or_else(|| {
        let rendered = config::render(&checked.diagnostics, output::colour());
        Ended::unusable(format!("the workspace has mistakes\n\n{rendered}")).into()
    })
}

/// Where the history of a workspace is.
pub(super) struct State {
    dir: PathBuf,
}

impl State {
    /// The state directory of the workspace that is found from here.
    ///
    /// # Errors
    /// [`Exit::Unusable`] without a workspace or a home directory.
    pub(super) fn of(global: &Global) -> color_eyre::Result<Self> {
        Self::for_workspace(global, &load(global)?)
    }

    fn for_workspace(global: &Global, workspace: &Workspace) -> color_eyre::Result<Self> {
        // Two workspaces of the same name in different places have histories of their own.
        let root =
            std::fs::canonicalize(&workspace.root).unwrap_or_else(|_| workspace.root.clone());
        let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
        let label: String = workspace
            .name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '-' {
                    c
                } else {
                    '_'
                }
            })
            .take(40)
            .collect();
        let dir = state_dir(global)?.join(format!("{label}-{}", crate::domain::hex(&digest[..4])));
        Ok(Self { dir })
    }

    /// Whether anything has ever run here.
    pub(super) fn has_history(&self) -> bool {
        store::database_path(&self.dir).exists()
    }

    /// A reader of the history.
    ///
    /// # Errors
    /// [`Exit::Failed`] when there is none yet, or it cannot be read.
    pub(super) fn reader(&self) -> color_eyre::Result<Reader> {
        let path = store::database_path(&self.dir);
        if !path.exists() {
            let message =
                "there are no runs yet; `quarterdeck run deploy --dry-run` would be a first one";
            return Err(Ended::new(Exit::Failed, message).into());
        }
        Ok(Reader::open(&path)?)
    }
}

/// Where everything that lasts is kept.
///
/// # Errors
/// [`Exit::Unusable`] without a home directory.
pub(super) fn state_dir(global: &Global) -> color_eyre::Result<PathBuf> {
    if let Some(dir) = &global.state_dir {
        return Ok(dir.clone());
    }
    let dirs = project_dirs()?;
    Ok(dirs
        .state_dir()
        .unwrap_or_else(|| dirs.data_local_dir())
        .to_owned())
}

fn cache_dir(global: &Global) -> color_eyre::Result<PathBuf> {
    match &global.state_dir {
        Some(dir) => Ok(dir.join("cache")),
        None => Ok(project_dirs()?.cache_dir().join("downloads")),
    }
}

fn project_dirs() -> color_eyre::Result<ProjectDirs> {
    ProjectDirs::from("", "", "quarterdeck").ok_or_else(|| {
        Ended::unusable(
            "this user has no home directory; say --state-dir where to keep runs and logs",
        )
        .into()
    })
}

/// Waits until the operator or the system asks this process to end: an interrupt, a termination, a lost terminal.
pub(super) async fn asked_to_end() {
    let mut kinds = Vec::new();
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        match signal(kind) {
            Ok(stream) => kinds.push(stream),
            // Without a handler the signal ends the process, which is what it asks for.
            Err(error) => tracing::warn!("signal {}: {error}", kind.as_raw_value()),
        }
    }
    if kinds.is_empty() {
        return std::future::pending().await;
    }
    let asked = kinds.iter_mut().map(|stream| Box::pin(stream.recv()));
    futures::future::select_all(asked).await;
}

/// Who is at the keyboard: who became root by sudo is still himself.
pub(super) fn operator() -> Operator {
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    let own = rustix::process::getuid().as_raw();
    let uid = number("SUDO_UID").filter(|_| own == 0).unwrap_or(own);
    let user = uzers::get_user_by_uid(uid).map_or_else(
        || format!("uid{uid}"),
        |user| user.name().to_string_lossy().into_owned(),
    );
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    Operator::new(user, host, uid)
}
