//! `drift-ignore.yaml`: read anew whenever the board is, and added to from the board.
//!
//! A rule is added as text at the end, so that everything that stands in the file stays as it is, comments too. The new text
//! is read before it takes the old one's place, in one step: a file that cannot be added to is refused, never damaged.

use std::fs;
use std::path::Path;

use super::cursor::Cursor;
use super::diagnostic::{Diagnostic, Fault};
use super::format::drift_rules::DriftRulesFile;
use super::read::{Read, read as read_file};
use super::render::render;
use super::schema::Which;
use super::source::Source;
use super::write::replace;
use crate::domain::drift::ignore::{IgnoreRule, Until};

/// The file's name in the workspace.
pub const FILE: &str = "drift-ignore.yaml";

/// What a new file begins with.
const HEAD: &str = "\
# Drift that is meant. Each rule has a reason and an end; `quarterdeck help drift` explains it.
ignore:
";

/// The rules of the workspace at `root`; none where the file is missing.
///
/// # Errors
/// Every mistake with its place, as text: a file with a mistake has no rules at all, so that nothing is hidden by half of it.
pub fn read(root: &Path) -> Result<Vec<IgnoreRule>, String> {
    if !root.join(FILE).exists() {
        return Ok(Vec::new());
    }
    let source =
        Source::read(root, Path::new(FILE)).map_err(|diagnostic| render(&[*diagnostic], false))?;
    understood(source).map_err(|diagnostics| render(&diagnostics, false))
}

/// What is wrong with the file, for the check of the whole workspace.
pub(crate) fn check(root: &Path) -> Vec<Diagnostic> {
    if !root.join(FILE).exists() {
        return Vec::new();
    }
    match Source::read(root, Path::new(FILE)) {
        Ok(source) => understood(source).err().unwrap_or_default(),
        Err(diagnostic) => vec![*diagnostic],
    }
}

fn understood(source: Source) -> Result<Vec<IgnoreRule>, Vec<Diagnostic>> {
    let mut file: Read<DriftRulesFile> = read_file(source, Which::DriftRules, false);
    let mut faults = Vec::new();
    let rules = file.content().map(|(content, top)| {
        let entries = content.ignore.iter().enumerate();
        entries
            .filter_map(|(index, entry)| {
                let here = top.key("ignore").item(index);
                Some(IgnoreRule {
                    matches: entry.matches.clone(),
                    environment: entry.environment.clone(),
                    reason: entry.reason.clone(),
                    expires: expires(&entry.expires, here.key("expires"), &mut faults)?,
                })
            })
            .collect::<Vec<_>>()
    });
    file.faults.extend(faults);
    match rules {
        Some(rules) if file.faults.is_empty() => Ok(rules),
        _ => Err(file.diagnostics()),
    }
}

fn expires(text: &str, at: Cursor<'_>, faults: &mut Vec<Fault>) -> Option<Until> {
    if text == "never" {
        return Some(Until::Never);
    }
    if let Ok(day) = text.parse() {
        return Some(Until::Day(day));
    }
    faults.push(
        Fault::error("no-such-day", at.span(), "there is no such day")
            .help("write the last day on which the rule holds, such as 2026-12-31, or never"),
    );
    None
}

/// Adds a rule at the end of the file of the workspace at `root`, or begins the file.
///
/// # Errors
/// A sentence that says why it was not added; the file is then as it was.
pub fn add(root: &Path, rule: &IgnoreRule) -> Result<(), String> {
    let refused = |reason: &str| format!("the rule is not added to {FILE}: {reason}");
    if rule.reason.trim().is_empty() {
        return Err(refused("it needs a reason"));
    }
    let path = root.join(FILE);
    let (text, mut wanted) = if path.exists() {
        let before = read(root).map_err(|reason| refused(&reason))?;
        let text = fs::read_to_string(&path).map_err(|error| refused(&error.to_string()))?;
        (text, before)
    } else {
        (HEAD.to_owned(), Vec::new())
    };
    wanted.push(rule.clone());
    let text = with_rule(&text, rule);
    match understood(Source::new(FILE, text.clone())) {
        Ok(rules) if rules == wanted => {}
        Ok(_) => {
            return Err(refused(
                "its rules are written in a way that nothing can be put behind; add it by hand",
            ));
        }
        Err(diagnostics) => return Err(refused(&render(&diagnostics, false))),
    }
    // Not a secret, and kept in Git with the rest.
    replace(&path, text.as_bytes(), 0o644).map_err(|error| refused(&error.to_string()))
}

/// The text with the rule behind everything else, as far in as the rules before it.
fn with_rule(text: &str, rule: &IgnoreRule) -> String {
    let item = |line: &&str| line.trim_start().starts_with("- ");
    let indent = text
        .lines()
        .find(item)
        .map_or(2, |line| line.len() - line.trim_start().len());
    let pad = " ".repeat(indent);
    // JSON's strings are YAML's, too.
    let word = |text: &str| serde_json::Value::from(text).to_string();
    // An empty list in brackets takes nothing behind it.
    let mut new = text.replacen("ignore: []", "ignore:", 1);
    if !new.ends_with('\n') {
        new.push('\n');
    }
    let mut fields = vec![format!("match: {}", word(&rule.matches))];
    if let Some(environment) = &rule.environment {
        fields.push(format!("environment: {}", word(environment)));
    }
    fields.push(format!("reason: {}", word(&rule.reason)));
    fields.push(format!("expires: {}", rule.expires));
    for (index, field) in fields.iter().enumerate() {
        let lead = if index == 0 { "- " } else { "  " };
        new.extend([&pad, lead, field, "\n"]);
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(matches: &str) -> IgnoreRule {
        IgnoreRule {
            matches: matches.into(),
            environment: Some("lab".into()),
            reason: "it's \"meant\": so".into(),
            expires: Until::Day(jiff::civil::date(2026, 12, 31)),
        }
    }

    #[test]
    fn a_rule_is_put_behind_the_others_and_comments_stay() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), Ok(Vec::new()));
        add(dir.path(), &rule("nodes:a#*")).unwrap();
        let path = dir.path().join(FILE);
        let kept = "# ours\nignore:   # see the wiki\n    - match: '*' # all\n      reason: r\n      expires: never\n# end";
        fs::write(&path, kept).unwrap();
        add(dir.path(), &rule("nodes:b")).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(kept), "{text}");
        let rules = read(dir.path()).unwrap();
        assert_eq!(rules.len(), 2);
        assert_eq!(rules[1], rule("nodes:b"));
    }

    #[test]
    fn an_empty_list_takes_a_rule_and_a_list_in_brackets_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        fs::write(&path, "ignore: []\n").unwrap();
        add(dir.path(), &rule("a")).unwrap();
        assert_eq!(read(dir.path()).unwrap(), [rule("a")]);
        let flow = "ignore: [{ match: a, reason: b, expires: never }]\n";
        fs::write(&path, flow).unwrap();
        let refused = add(dir.path(), &rule("b")).unwrap_err();
        assert!(refused.contains(FILE), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), flow);
    }

    #[test]
    fn a_mistake_is_told_with_its_place_and_leaves_no_rule_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let rules = "ignore:\n  - match: a\n    reason: b\n    expires: 2026-02-31\n";
        fs::write(&path, rules).unwrap();
        let told = read(dir.path()).unwrap_err();
        assert!(
            told.contains("no such day") && told.contains(":4:"),
            "{told}"
        );
        fs::write(&path, "ignore:\n  - match: a\n    expires: never\n").unwrap();
        let told = read(dir.path()).unwrap_err();
        assert!(told.contains("reason"), "{told}");
        assert_eq!(check(dir.path()).len(), 1);
        let refused = add(
            dir.path(),
            &IgnoreRule {
                reason: " ".into(),
                ..rule("a")
            },
        );
        assert!(refused.is_err());
    }
}
