//! `quarterdeck help TOPIC`: the short guides, which are in the program itself (`assets/guides/TOPIC.md`).

use clap::{Args, CommandFactory as _};
use rust_embed::Embed;

use super::exit::{Ended, Exit};
use super::{Cli, output};
use crate::domain::did_you_mean;

#[derive(Embed)]
#[folder = "assets/guides"]
#[include = "*.md"]
struct Guides;

/// Flags of `quarterdeck help`.
#[derive(Debug, Args)]
pub(super) struct HelpArgs {
    /// A guide, such as `unseal`, or a command
    topic: Vec<String>,
}

/// Prints a guide, the help of a command, or what there is.
///
/// # Errors
/// [`Exit::Unusable`] when there is nothing of that name.
pub(super) fn help(args: &HelpArgs) -> color_eyre::Result<Exit> {
    let [topic, rest @ ..] = args.topic.as_slice() else {
        let mut cli = Cli::command();
        output::bytes(cli.render_long_help().to_string().as_bytes())?;
        output::line(&format!(
            "\nGuides: quarterdeck help {}",
            topics().join(" | ")
        ))?;
        return Ok(Exit::Success);
    };
    if rest.is_empty()
        && let Some(guide) = Guides::get(&format!("{topic}.md"))
    {
        output::bytes(&guide.data)?;
        return Ok(Exit::Success);
    }
    let mut command = &mut Cli::command();
    // Flags that hold everywhere are known to a command only when the whole was put together.
    command.build();
    for word in &args.topic {
        let known: Vec<String> = command
            .get_subcommands()
            .map(|command| command.get_name().to_owned())
            .chain(topics())
            .collect();
        command = command.find_subcommand_mut(word).ok_or_else(|| {
            let hint = did_you_mean(word, known.iter().map(String::as_str));
            Ended::unusable(format!("there is no guide and no command {word:?}{hint}"))
        })?;
    }
    output::bytes(command.render_long_help().to_string().as_bytes())?;
    Ok(Exit::Success)
}

/// The names of the guides, in order.
fn topics() -> Vec<String> {
    let mut topics: Vec<String> = Guides::iter()
        .filter_map(|name| name.strip_suffix(".md").map(ToOwned::to_owned))
        .collect();
    topics.sort();
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guide_begins_with_its_title_and_fits_on_a_terminal() {
        assert!(topics().contains(&"unseal".to_owned()));
        for topic in topics() {
            let guide = Guides::get(&format!("{topic}.md")).unwrap();
            let text = std::str::from_utf8(&guide.data).unwrap().to_owned();
            assert!(text.starts_with("# "), "{topic}");
            for line in text.lines() {
                assert!(line.chars().count() <= 100, "{topic}: {line}");
            }
        }
    }
}
