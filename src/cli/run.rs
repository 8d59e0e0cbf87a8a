//! `quarterdeck run`: a recipe on an environment.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;

use super::Global;
use super::exit::Exit;
use super::follow::{Give, carry_out, plan};
use super::session::Session;
use crate::domain::plan::{Limits, PlanRequest};

/// Flags of `quarterdeck run`.
#[derive(Debug, Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent switches of the command line"
)]
pub(super) struct RunArgs {
    /// Name of the recipe, such as `deploy` or `verify`
    recipe: String,
    /// The environment; default: the workspace's default, or its only one
    #[arg(long, short, visible_alias = "env")]
    environment: Option<String>,
    /// Only on these nodes: names, or an expression such as `role:vault and not arch:arm64`
    #[arg(long, value_name = "NODES")]
    on: Vec<String>,
    /// A parameter of the recipe
    #[arg(long = "param", short = 'p', value_name = "NAME=VALUE", value_parser = parameter)]
    params: Vec<(String, Value)>,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
    /// Fetch nothing: packages and programs come from files here and from the cache, and what is not there is refused
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    give: Give,
}

/// Reads `NAME=VALUE`.
pub(super) fn parameter(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not NAME=VALUE"))?;
    // Numbers, booleans and lists can be given as JSON; anything else is text.
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into()));
    Ok((name.into(), value))
}

/// Plans and runs a recipe, and follows it to its end.
///
/// # Errors
/// When it cannot be planned or started; a run that fails is [`Exit::Failed`].
pub(super) async fn run(global: &Global, args: RunArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "run").await?;
    let outcome = begin(&session, args).await;
    session.close().await;
    outcome
}

async fn begin(session: &Session, args: RunArgs) -> color_eyre::Result<Exit> {
    let environment = session.environment(args.environment.as_deref())?;
    let request = PlanRequest {
        environment: environment.name.clone(),
        recipe: args.recipe,
        params: args.params.into_iter().collect::<BTreeMap<_, _>>(),
        nodes: args.on,
        dry_run: args.dry_run,
        limits: Limits {
            offline: args.offline,
            ..Limits::default()
        },
        ..PlanRequest::default()
    };
    let planned = plan(session.client(), request).await?;
    planned.show(args.give.json)?;
    carry_out(session, planned, args.give).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_json_where_it_can_be_and_text_otherwise() {
        assert_eq!(
            parameter("count=3").unwrap(),
            ("count".into(), Value::from(3))
        );
        assert_eq!(
            parameter("unit=consul.service").unwrap().1,
            Value::from("consul.service")
        );
        assert_eq!(parameter("empty=").unwrap().1, Value::from(""));
        assert!(parameter("nothing").is_err());
    }
}
