//! The screens on a session: options from flags and the workspace, and what the lab adds to the palette.

use std::io::IsTerminal as _;
use std::sync::Arc;

use async_trait::async_trait;

use super::bootstrap::{self, Site};
use super::exit::{Ended, Exit};
use super::session::Session;
use super::{Global, Look, output};
use crate::clock::SystemClock;
use crate::config::{self, FindError};
use crate::lab::world::{FaultHelp, World};
use crate::tui::{self, Argument, ExtraCommand, Extras, Options, Outcome, Place};

/// Opens the Bridge on the workspace that is found from here; where there is none, the first start.
///
/// # Errors
/// When there is no terminal, or the workspace cannot be used.
pub(super) async fn open_workspace(global: &Global, look: &Look) -> color_eyre::Result<Exit> {
    require_terminal()?;
    let cwd = std::env::current_dir().map_err(Ended::unusable)?;
    if let Err(FindError::Missing { .. }) = config::find(global.workspace.as_deref(), &cwd) {
        return bootstrap::guide(global, look, &cwd.join(bootstrap::DIRECTORY)).await;
    }
    bootstrap::on_workspace(global, look, None, Place::Bridge).await
}

/// What is shown, beside the workspace.
pub(super) struct Shown {
    place: Place,
    site: Site,
    practice: Option<Practice>,
}

impl Shown {
    /// Beginning at `place`; the first start stands on `site`.
    pub(super) const fn at(place: Place, site: Site) -> Self {
        Self {
            place,
            site,
            practice: None,
        }
    }

    /// With the faults of the lab.
    pub(super) fn practising(self, practice: Practice) -> Self {
        Self {
            practice: Some(practice),
            ..self
        }
    }
}

/// Refuses early what the screens would refuse late.
///
/// # Errors
/// [`Exit::Unusable`] without a terminal.
pub(super) fn require_terminal() -> Result<(), Ended> {
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        Ok(())
    } else {
        Err(Ended::unusable(tui::TuiError::NotATerminal))
    }
}

/// Shows the screens until the operator leaves, ends the engine in good order, and says what became of the runs.
///
/// # Errors
/// When the terminal cannot be used or goes away.
pub(super) async fn show(
    session: Session,
    look: &Look,
    shown: Shown,
) -> color_eyre::Result<(Exit, Outcome)> {
    let options = match options(&session, look, shown) {
        Ok(options) => options,
        Err(error) => {
            session.close().await;
            return Err(error.into());
        }
    };
    let ended = tui::run(session.client().clone(), options, Arc::new(SystemClock)).await;
    session.close().await;
    let farewell = ended.map_err(Ended::unusable)?;
    if !farewell.text.is_empty() {
        output::line(farewell.text.trim_end())?;
    }
    Ok((Exit::Success, farewell.outcome))
}

fn options(session: &Session, look: &Look, shown: Shown) -> Result<Options, Ended> {
    let variable = |name: &str| std::env::var(name).ok();
    let mut options = Options::suited(variable);
    options.runs_outlive_us = session.runs_outlive_it();
    let no_color = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    // What is asked for on the command line wins; what the workspace prefers does not override NO_COLOR.
    if let Some(theme) = &look.theme {
        options.theme = theme.parse().map_err(Ended::unusable)?;
    } else if !no_color && let Some(theme) = session.workspace.settings.theme {
        options.theme = theme;
    }
    options.ascii |= look.ascii;
    options.mouse = look.mouse;
    options.signal = session.workspace.settings.signal;
    options
        .environment
        .clone_from(&session.workspace.settings.default_environment);
    if let Some(environment) = shown
        .site
        .environment()
        .filter(|_| shown.place == Place::Wizard)
    {
        options.environment = Some(environment);
    }
    options.place = shown.place;
    options.ground = Some(Arc::new(shown.site));
    options.extras = shown
        .practice
        .map(|practice| Arc::new(practice) as Arc<dyn Extras>);
    Ok(options)
}

/// The lab's faults as commands of the palette.
pub(super) struct Practice {
    world: Arc<World>,
}

impl Practice {
    /// The faults of this world.
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world }
    }
}

/// What the lab's commands begin with in the palette.
const PREFIX: &str = "lab ";

#[async_trait]
impl Extras for Practice {
    fn list(&self) -> Vec<ExtraCommand> {
        let command = |fault: FaultHelp| ExtraCommand {
            name: format!("{PREFIX}{}", fault.verb),
            help: fault.what.into(),
            argument: match fault.arguments {
                "" => Argument::None,
                "NODE" => Argument::Node,
                other => Argument::Text(other.into()),
            },
        };
        let help = ExtraCommand {
            name: format!("{PREFIX}help"),
            help: "list the faults to practise on".into(),
            argument: Argument::None,
        };
        self.world
            .faults()
            .into_iter()
            .map(command)
            .chain([help])
            .collect()
    }

    async fn perform(&self, name: &str, argument: Option<&str>) -> Result<String, String> {
        let verb = name.strip_prefix(PREFIX).unwrap_or(name);
        self.world
            .command(&format!("{verb} {}", argument.unwrap_or_default()))
    }
}
