//! `quarterdeck copy`: files and directories to nodes and from them, with `NODES:PATH` as scp has it. Each source is a run:
//! gated, logged, audited, cancellable.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;

use super::Global;
use super::exit::{Ended, Exit};
use super::follow::{Give, carry_out, plan};
use super::session::Session;
use crate::domain::nodeset;
use crate::domain::plan::PlanRequest;

/// Flags of `quarterdeck copy`.
#[derive(Debug, Args)]
#[command(after_help = "\
A place on nodes is written NODES:PATH, such as pc1:/etc/hosts or pc[1-3]:/srv/; everything else is a path here. From several \
nodes, each copy goes into a directory of the node's name. Copies are made as the login user.")]
pub(super) struct CopyArgs {
    /// What is copied, and where to at the end
    #[arg(required = true, num_args = 2.., value_name = "FROM… TO")]
    places: Vec<String>,
    /// The environment; default: the workspace's default, or its only one
    #[arg(long, short, visible_alias = "env")]
    environment: Option<String>,
    /// Only say what would be copied
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    give: Give,
}

/// One end of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Here(String),
    Nodes(String, String),
}

/// Reads `NODES:PATH`; a path with a slash before its first colon is one here, as scp has it.
fn place(text: &str) -> Place {
    match text.split_once(':') {
        Some((nodes, path)) if !nodes.is_empty() && !nodes.contains('/') => {
            Place::Nodes(nodes.into(), path.into())
        }
        _ => Place::Here(text.into()),
    }
}

/// What is planned for one source: recipe, nodes, from, to.
fn copies(places: &[String]) -> Result<Vec<(&'static str, String, String, String)>, String> {
    let Some((to, from)) = places.split_last() else {
        return Err("say what to copy, and where to".into());
    };
    let absolute = |path: &str| {
        let path = std::path::absolute(path).map_err(|error| format!("{path}: {error}"))?;
        path.into_os_string()
            .into_string()
            .map_err(|path| format!("{} is no UTF-8", path.display()))
    };
    let to = place(to);
    from.iter()
        .map(|text| match (place(text), &to) {
            (Place::Here(from), Place::Nodes(nodes, to)) => {
                let to = if to.is_empty() { "." } else { to };
                Ok(("copy-to", nodes.clone(), absolute(&from)?, to.to_owned()))
            }
            (Place::Nodes(nodes, from), Place::Here(to)) => {
                Ok(("copy-from", nodes, from, absolute(to)?))
            }
            (Place::Here(_), Place::Here(_)) => Err(format!(
                "neither {text:?} nor the target is on a node; write a place there as pc1:/path"
            )),
            (Place::Nodes(..), Place::Nodes(..)) => {
                Err("files are not copied from node to node; copy them here first".into())
            }
        })
        .collect()
}

/// Copies files and follows the runs.
///
/// # Errors
/// When it cannot be planned or started; a copy that fails is [`Exit::Failed`].
pub(super) async fn copy(global: &Global, args: CopyArgs) -> color_eyre::Result<Exit> {
    let copies = copies(&args.places).map_err(Ended::unusable)?;
    let session = Session::open(global, "copy").await?;
    let outcome = all(&session, copies, args).await;
    session.close().await;
    outcome
}

async fn all(
    session: &Session,
    copies: Vec<(&'static str, String, String, String)>,
    args: CopyArgs,
) -> color_eyre::Result<Exit> {
    let environment = session.environment(args.environment.as_deref())?;
    for (recipe, nodes, from, to) in copies {
        let request = PlanRequest {
            environment: environment.name.clone(),
            recipe: recipe.into(),
            params: BTreeMap::from([
                ("from".to_owned(), Value::from(from)),
                ("to".to_owned(), Value::from(to)),
            ]),
            nodes: nodeset::expand(&nodes).map_err(Ended::unusable)?,
            dry_run: args.dry_run,
            ..PlanRequest::default()
        };
        let planned = plan(session.client(), request).await?;
        planned.show(args.give.json)?;
        let exit = carry_out(session, planned, args.give.clone()).await?;
        if exit != Exit::Success {
            return Ok(exit);
        }
    }
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(places: &[&str]) -> Result<Vec<(&'static str, String, String, String)>, String> {
        copies(&places.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn a_place_on_nodes_has_a_colon_and_no_slash_before_it() {
        assert_eq!(place("pc1:/etc"), Place::Nodes("pc1".into(), "/etc".into()));
        assert_eq!(place("./a:b"), Place::Here("./a:b".into()));
        assert_eq!(place("a"), Place::Here("a".into()));
    }

    #[test]
    fn several_sources_go_to_the_last_place() {
        let read = read(&["/a", "/b", "pc[1-2]:/srv/"]).unwrap();
        assert_eq!(
            read,
            [
                ("copy-to", "pc[1-2]".into(), "/a".into(), "/srv/".into()),
                ("copy-to", "pc[1-2]".into(), "/b".into(), "/srv/".into()),
            ]
        );
    }

    #[test]
    fn one_end_must_be_on_a_node_and_not_both() {
        assert!(read(&["/a", "/b"]).is_err());
        assert!(read(&["pc1:/a", "pc2:/b"]).is_err());
        assert_eq!(read(&["pc1:/a", "/b"]).unwrap()[0].0, "copy-from");
    }
}
