//! `quarterdeck notify`: trying out where notifications go.

use clap::{Args, Subcommand};

use super::exit::{Ended, Exit};
use super::session::Session;
use super::{Global, output};
use crate::client::Request;

/// Flags of `quarterdeck notify`.
#[derive(Debug, Args)]
pub(super) struct NotifyArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Send a test notification to a channel, once, and tell what came of it
    Test {
        /// The channel, as quarterdeck.yaml calls it
        channel: String,
    },
}

/// Tries a channel out.
///
/// # Errors
/// [`Exit::Failed`] with the reason when it did not arrive.
pub(super) async fn notify(global: &Global, args: NotifyArgs) -> color_eyre::Result<Exit> {
    let Action::Test { channel } = args.action;
    let session = Session::open(global, "notify").await?;
    let request = Request::TestChannel {
        channel: channel.clone(),
    };
    let answer = session.client().call(request).await;
    session.close().await;
    answer.map_err(|refusal| Ended::new(Exit::Failed, refusal.message))?;
    output::remark(&format!("channel {channel} took it"));
    Ok(Exit::Success)
}
