//! What every command stands on: the workspace, the directories, and a client of an engine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use directories::ProjectDirs;
use sha2::{Digest as _, Sha256};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::background::Background;
use super::exit::{Ended, Exit};
use super::{Global, output};
use crate::client::socket::Remote;
use crate::client::{Client, Request, Response, View};
use crate::config::{self, Recipes, Settings, Workspace};
use crate::domain::environment::Environment;
use crate::domain::service::ServiceKind;
use crate::engine::{Broker, Engine, EngineSettings, Network};
use crate::steps::library::Library;
use crate::store::{self, Reader, StoreError};
use crate::transport::ssh::{Pool, SshSettings};

/// How long runs get to end in good order when the program ends.
pub(super) const GRACE: Duration = Duration::from_secs(15);

/// A workspace and a client of its engine.
pub(super) struct Session {
    /// The workspace as checked.
    pub(super) workspace: Workspace,
    client: Client,
    /// An engine within this process, which ends with the session.
    engine: Option<Engine>,
    /// Holds the store of an engine that only looks; removed at the end.
    _scratch: Option<tempfile::TempDir>,
}

impl Session {
    /// Opens the workspace and connects to its engine, which is started in the background when there is none, or within
    /// this process when `--own-engine` says so. `role` is what the engine lists this client as.
    ///
    /// # Errors
    /// [`Exit::Unusable`] when the workspace has mistakes, or there is no engine and none can be started.
    pub(super) async fn open(global: &Global, role: &str) -> color_eyre::Result<Self> {
        let workspace = load(global)?;
        let state = State::for_workspace(global, &workspace)?.dir;
        let background = Background::new(global, &workspace, &state)?;
        let link = if global.own_engine {
            background.link_if_running(role).await?
        } else {
            Some(background.link(role).await?)
        };
        match link {
            Some(link) => Self::attached(workspace, link, &background).await,
            None => Self::with_own_engine(global, workspace, state).await,
        }
    }

    /// An engine within this process that other processes can use too.
    ///
    /// # Errors
    /// [`Exit::Unusable`] when the workspace has mistakes, or the state directory cannot be used or is in use.
    pub(super) async fn own(global: &Global) -> color_eyre::Result<Self> {
        let workspace = load(global)?;
        let state = State::for_workspace(global, &workspace)?.dir;
        Self::with_own_engine(global, workspace, state).await
    }

    /// As [`Session::open`], but starts no engine that stays: for commands that only look.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub(super) async fn observe(global: &Global, role: &str) -> color_eyre::Result<Self> {
        let workspace = load(global)?;
        let state = State::for_workspace(global, &workspace)?.dir;
        let background = Background::new(global, &workspace, &state)?;
        if let Some(link) = background.link_if_running(role).await? {
            return Self::attached(workspace, link, &background).await;
        }
        Self::on_scratch(global, workspace).await
    }

    /// An engine within this process for those who have no workspace yet: it looks at hosts and keeps nothing. `root` is where
    /// the workspace is going to be.
    ///
    /// # Errors
    /// [`Exit::Unusable`] when there is no room for temporary files.
    pub(super) async fn without_workspace(
        global: &Global,
        root: &Path,
    ) -> color_eyre::Result<Self> {
        let workspace = Workspace {
            root: root.to_owned(),
            name: "bootstrap".into(),
            settings: Settings {
                recipes: root.join("recipes"),
                ..Settings::default()
            },
            environments: Vec::new(),
            schedules: Vec::new(),
        };
        Self::on_scratch(global, workspace).await
    }

    /// An engine within this process whose history is thrown away with the session.
    async fn on_scratch(global: &Global, workspace: Workspace) -> color_eyre::Result<Self> {
        let scratch = tempfile::tempdir().map_err(Ended::unusable)?;
        let place = scratch.path().to_owned();
        let settings = engine_settings(global, &workspace, place, None, false)?;
        let engine = start_engine(settings).await.map_err(Ended::unusable)?;
        Ok(Self {
            workspace,
            client: engine.own_client(),
            engine: Some(engine),
            _scratch: Some(scratch),
        })
    }

    async fn attached(
        workspace: Workspace,
        link: Remote,
        background: &Background,
    ) -> color_eyre::Result<Self> {
        let path = store::database_path(&background.state_dir);
        let history = tokio::task::spawn_blocking(move || Reader::open(&path)).await??;
        Ok(Self {
            workspace,
            client: Client::new(Arc::new(link), history),
            engine: None,
            _scratch: None,
        })
    }

    async fn with_own_engine(
        global: &Global,
        workspace: Workspace,
        state: PathBuf,
    ) -> color_eyre::Result<Self> {
        let settings = engine_settings(global, &workspace, state, None, true)?;
        let mut engine = start_engine(settings).await.map_err(Ended::unusable)?;
        engine.open_door().map_err(Ended::unusable)?;
        Ok(Self {
            workspace,
            client: engine.own_client(),
            engine: Some(engine),
            _scratch: None,
        })
    }

    /// Whether runs go on when this session ends.
    pub(super) fn runs_outlive_it(&self) -> bool {
        self.engine.is_none()
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

    /// Ends an engine within this process in good order; one in the background is left as it is.
    pub(super) async fn close(self) {
        if let Some(engine) = self.engine {
            engine.shutdown(GRACE).await;
        }
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

/// With what an engine on a workspace works within this process.
///
/// # Errors
/// [`Exit::Unusable`] when there is no place for what is downloaded.
pub(super) fn engine_settings(
    global: &Global,
    workspace: &Workspace,
    state: PathBuf,
    idle_exit: Option<Duration>,
    keeps_history: bool,
) -> color_eyre::Result<EngineSettings> {
    let library = Library::load(Some(&workspace.settings.recipes));
    for problem in library.problems() {
        output::remark(&format!("warning: recipe left out: {problem}"));
    }
    let questions = Broker::default();
    let ssh = SshSettings {
        accept_new: global.accept_new_host_keys,
        operators: Some(Arc::new(questions.clone())),
        ..SshSettings::default()
    };
    let world = Network::new(move |environment| Arc::new(Pool::new(environment, ssh.clone())));
    let mut settings =
        EngineSettings::new(&workspace.name, Arc::new(world), state, cache_dir(global)?);
    settings.environments.clone_from(&workspace.environments);
    settings.recipes = library.recipes().cloned().collect();
    // What is due is for the engine that keeps a history, not for one that only looks.
    if keeps_history {
        settings.schedules.clone_from(&workspace.schedules);
        settings
            .notifications
            .clone_from(&workspace.settings.notifications);
    }
    settings.questions = questions;
    settings.root = Some(workspace.root.clone());
    settings.read_only = global.read_only;
    settings.node_interval = workspace.settings.poll_nodes;
    settings.service_interval = workspace.settings.poll_services;
    settings.concurrency = workspace.settings.concurrency;
    settings.retention = workspace.settings.retention;
    settings.fingerprint = {
        let workspace = workspace.clone();
        Arc::new(move || config::fingerprint(&workspace))
    };
    settings.accepts_new_host_keys = global.accept_new_host_keys;
    settings.idle_exit = idle_exit;
    Ok(settings)
}

/// Starts an engine within this process.
///
/// # Errors
/// [`StoreError`] when the state directory cannot be used or is in use.
pub(super) async fn start_engine(settings: EngineSettings) -> Result<Engine, StoreError> {
    let engine = Engine::start(settings).await?;
    store::never_tell(engine.redactor());
    if !engine.unfinished.is_empty() {
        output::remark(&format!(
            "{} run(s) were under way when an earlier engine ended; `quarterdeck runs` shows where they stand",
            engine.unfinished.len()
        ));
    }
    Ok(engine)
}

/// Finds and checks the workspace; warnings are told, errors end it.
///
/// # Errors
/// [`Exit::Unusable`] with every mistake.
pub(super) fn load(global: &Global) -> color_eyre::Result<Workspace> {
    let cwd = std::env::current_dir().map_err(Ended::unusable)?;
    let root = config::find(global.workspace.as_deref(), &cwd).map_err(Ended::unusable)?;
    let checked = config::check(&root.dir, recipes);
    checked.workspace.ok_or_else(|| {
        let told = |colour| {
            let rendered = config::render(&checked.diagnostics, colour);
            format!("the workspace has mistakes\n\n{}", rendered.trim_end())
        };
        Ended::unusable(told(false)).in_colours(told(true)).into()
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

    /// The state directory of a workspace.
    ///
    /// # Errors
    /// [`Exit::Unusable`] without a home directory.
    pub(super) fn for_workspace(
        global: &Global,
        workspace: &Workspace,
    ) -> color_eyre::Result<Self> {
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
        let dir = state_dir(global)?.join(format!("{label}-{}", mark(&workspace.root)));
        Ok(Self { dir })
    }

    /// The state directory that the workspace found from here has had so far, whatever mistakes are in its files now.
    ///
    /// # Errors
    /// [`Exit::Unusable`] without a workspace, a home directory, or a state.
    pub(super) fn existing(global: &Global) -> color_eyre::Result<Self> {
        let cwd = std::env::current_dir().map_err(Ended::unusable)?;
        let root = config::find(global.workspace.as_deref(), &cwd).map_err(Ended::unusable)?;
        let (all, end) = (state_dir(global)?, format!("-{}", mark(&root.dir)));
        let found = std::fs::read_dir(&all)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .find(|path| {
                path.as_os_str()
                    .as_encoded_bytes()
                    .ends_with(end.as_bytes())
            });
        let none = || {
            Ended::unusable(format!(
                "{}: nothing was kept of this workspace yet",
                all.display()
            ))
        };
        Ok(Self {
            dir: found.ok_or_else(none)?,
        })
    }

    /// The directory.
    pub(super) fn dir(&self) -> &std::path::Path {
        &self.dir
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

/// Tells a workspace from others of its name in other places.
fn mark(root: &std::path::Path) -> String {
    let root = std::fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    crate::domain::hex(&digest[..4])
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

/// Where what was fetched for nodes is kept.
///
/// # Errors
/// [`Exit::Unusable`] without a home directory.
pub(super) fn cache_dir(global: &Global) -> color_eyre::Result<PathBuf> {
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

/// How this process is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// By the operator: ctrl-c.
    Interrupt,
    /// By the system, or because the terminal is gone.
    Leave,
}

/// Hears when the operator or the system asks this process to end.
///
/// Made once and kept: a signal that arrives while nobody listens is lost, and does not end the process either.
pub(super) struct Endings(Vec<(Signal, Asked)>);

impl Endings {
    /// Listens from now on.
    pub(super) fn listen() -> Self {
        let kinds = [
            (SignalKind::interrupt(), Asked::Interrupt),
            (SignalKind::terminate(), Asked::Leave),
            (SignalKind::hangup(), Asked::Leave),
        ];
        let mut streams = Vec::new();
        for (kind, asked) in kinds {
            match signal(kind) {
                Ok(stream) => streams.push((stream, asked)),
                // Without a handler the signal ends the process, which is what it asks for.
                Err(error) => tracing::warn!("signal {}: {error}", kind.as_raw_value()),
            }
        }
        Self(streams)
    }

    /// Waits for the next time. May be dropped while it waits: nothing is lost.
    pub(super) async fn next(&mut self) -> Asked {
        if self.0.is_empty() {
            return std::future::pending().await;
        }
        let waiting = self.0.iter_mut().map(|(stream, asked)| {
            Box::pin(async move {
                stream.recv().await;
                *asked
            })
        });
        futures::future::select_all(waiting).await.0
    }
}
