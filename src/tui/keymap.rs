//! The keys, as data. What a key does, the help screen and the hints in the footer all come from [`BINDINGS`].

mod bindings;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

pub(crate) use bindings::BINDINGS;

/// Where a binding holds. The topmost layer is asked first, then the screen, then lists, then everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Context {
    Everywhere,
    List,
    Bridge,
    Nodes,
    Node,
    Services,
    Service,
    Runs,
    Run,
    Findings,
    Recipes,
    Environments,
    Snapshots,
    Drift,
    Terminals,
    Typing,
    Journal,
    Unseal,
    Wizard,
    Palette,
    Prompt,
    Menu,
    Form,
    Plan,
    Question,
    Asked,
    Share,
    Keys,
    Sheet,
}

impl Context {
    pub(crate) const ALL: [Self; 29] = [
        Self::Everywhere,
        Self::List,
        Self::Bridge,
        Self::Nodes,
        Self::Node,
        Self::Services,
        Self::Service,
        Self::Runs,
        Self::Run,
        Self::Findings,
        Self::Recipes,
        Self::Environments,
        Self::Snapshots,
        Self::Drift,
        Self::Terminals,
        Self::Typing,
        Self::Journal,
        Self::Unseal,
        Self::Wizard,
        Self::Palette,
        Self::Prompt,
        Self::Menu,
        Self::Form,
        Self::Plan,
        Self::Question,
        Self::Asked,
        Self::Share,
        Self::Keys,
        Self::Sheet,
    ];

    /// Its heading on the help screen.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Everywhere => "Everywhere",
            Self::List => "Lists",
            Self::Bridge => "Bridge",
            Self::Nodes => "Nodes",
            Self::Node => "A node",
            Self::Services => "Services",
            Self::Service => "A service",
            Self::Runs => "Runs",
            Self::Run => "A run",
            Self::Findings => "Findings",
            Self::Recipes => "Recipes",
            Self::Environments => "Environments",
            Self::Snapshots => "Snapshots",
            Self::Drift => "Drift",
            Self::Terminals => "Terminals",
            Self::Typing => "Typing in a terminal",
            Self::Journal => "Journals of nodes",
            Self::Unseal => "Seals",
            Self::Wizard => "First start",
            Self::Palette => "Palette",
            Self::Prompt => "Filter and search",
            Self::Menu => "Actions menu",
            Self::Form => "Parameters",
            Self::Plan => "Plan",
            Self::Question => "Questions",
            Self::Asked => "Asked by a host",
            Self::Share => "Giving a share",
            Self::Keys => "Taking new keys",
            Self::Sheet => "Help and raw views",
        }
    }

    /// Whether unbound keys are text.
    pub(crate) const fn types(self) -> bool {
        matches!(
            self,
            Self::Palette
                | Self::Prompt
                | Self::Form
                | Self::Plan
                | Self::Asked
                | Self::Share
                | Self::Keys
        )
    }
}

/// What a key can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Accept,
    Actions,
    Answers,
    Back,
    Bottom,
    CancelRun,
    CheckDrift,
    ClearMarks,
    Close,
    Columns,
    Complete,
    Copy,
    Decide,
    CycleLevel,
    CycleStream,
    Describe,
    Down,
    DrillSnapshot,
    DryRun,
    Offline,
    Exec,
    File,
    FilterLines,
    FilterList,
    Find,
    FindNext,
    FindPrevious,
    Follow,
    Forward,
    HalfDown,
    HalfUp,
    Help,
    History,
    IgnoreDrift,
    Initialise,
    Journal,
    LastView,
    Left,
    LetIn,
    Logs,
    Mark,
    NextField,
    NextPage,
    No,
    NextPane,
    Open,
    PageDown,
    PageUp,
    Palette,
    Pane(u8),
    PreviousPane,
    Quit,
    Raw,
    Refresh,
    Release,
    Repaint,
    Rekey,
    Repair,
    Rerun,
    ResetShares,
    RestoreSnapshot,
    Resume,
    ResumeFailed,
    Right,
    Seal,
    Shell,
    ShowIgnored,
    Sort(u8),
    StepDown,
    Suspend,
    TakeSnapshot,
    Times,
    Top,
    Undo,
    Units,
    Unseal,
    Up,
    VerifySnapshot,
    Wide,
    Wrap,
    Yes,
    Zoom,
}

/// One line of the keymap.
#[derive(Debug)]
pub(crate) struct Binding {
    pub context: Context,
    /// Every key that does it, the one to show first.
    pub keys: &'static [&'static str],
    pub command: Command,
    /// What the help says.
    pub help: &'static str,
    /// What the footer says; empty when the footer leaves it out.
    pub hint: &'static str,
}

/// The command bound to `key` in the first of `contexts` that knows it.
pub(crate) fn lookup(contexts: &[Context], key: &str) -> Option<Command> {
    contexts.iter().find_map(|context| {
        BINDINGS
            .iter()
            .find(|binding| binding.context == *context && binding.keys.contains(&key))
            .map(|binding| binding.command)
    })
}

/// What the footer shows in these contexts of the commands that are on `offer`: key and word.
pub(crate) fn hints(
    contexts: &[Context],
    offer: impl Fn(Command) -> bool,
) -> Vec<(&'static str, &'static str)> {
    let mut hints: Vec<(&str, &str)> = Vec::new();
    for context in contexts {
        for binding in BINDINGS {
            let taken = || hints.iter().any(|(key, _)| binding.keys.contains(key));
            let hinted = binding.context == *context && !binding.hint.is_empty();
            if hinted && offer(binding.command) && !taken() {
                hints.push((binding.keys[0], binding.hint));
            }
        }
    }
    hints
}

/// A key as the keymap spells it: `a`, `G`, `ctrl-r`, `shift-tab`, `enter`.
pub(crate) fn name(key: KeyEvent) -> String {
    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    let base = match key.code {
        KeyCode::Char(' ') => "space".into(),
        // Terminals report ctrl-\ as ctrl-4: both are the byte 0x1c.
        KeyCode::Char('4') if ctrl => "\\".into(),
        // And ctrl-] as ctrl-5: the byte 0x1d.
        KeyCode::Char('5') if ctrl => "]".into(),
        KeyCode::Char(c) if ctrl => c.to_lowercase().to_string(),
        KeyCode::Char(c) if key.modifiers.contains(KeyModifiers::SHIFT) => {
            c.to_uppercase().to_string()
        }
        KeyCode::Char(c) => c.to_string(),
        KeyCode::Enter => "enter".into(),
        KeyCode::Esc => "esc".into(),
        KeyCode::Tab if key.modifiers.contains(KeyModifiers::SHIFT) => "shift-tab".into(),
        KeyCode::Tab => "tab".into(),
        KeyCode::BackTab => "shift-tab".into(),
        KeyCode::Backspace => "backspace".into(),
        KeyCode::Delete => "delete".into(),
        KeyCode::Up => "up".into(),
        KeyCode::Down => "down".into(),
        KeyCode::Left => "left".into(),
        KeyCode::Right => "right".into(),
        KeyCode::Home => "home".into(),
        KeyCode::End => "end".into(),
        KeyCode::PageUp => "pageup".into(),
        KeyCode::PageDown => "pagedown".into(),
        KeyCode::F(number) => format!("f{number}"),
        _ => "other".to_owned(),
    };
    match (ctrl, alt) {
        (true, _) => format!("ctrl-{base}"),
        (_, true) => format!("alt-{base}"),
        _ => base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_context() {
        for (index, binding) in BINDINGS.iter().enumerate() {
            for other in &BINDINGS[index + 1..] {
                let shared = binding.keys.iter().find(|key| other.keys.contains(key));
                assert!(
                    binding.context != other.context || shared.is_none(),
                    "{shared:?} is bound to {:?} and {:?}",
                    binding.command,
                    other.command
                );
            }
        }
    }

    #[test]
    fn help_fits_on_a_narrow_screen() {
        for binding in BINDINGS {
            assert!(binding.help.len() <= 48, "{}", binding.help);
        }
    }

    #[test]
    fn every_binding_says_what_it_does() {
        assert!(
            BINDINGS
                .iter()
                .all(|binding| !binding.help.is_empty() && !binding.keys.is_empty())
        );
    }

    #[test]
    fn key_names_are_those_of_the_keymap() {
        let key = |code, modifiers| name(KeyEvent::new(code, modifiers));
        assert_eq!(key(KeyCode::Char('r'), KeyModifiers::CONTROL), "ctrl-r");
        assert_eq!(key(KeyCode::Char('g'), KeyModifiers::SHIFT), "G");
        assert_eq!(key(KeyCode::Char('?'), KeyModifiers::SHIFT), "?");
        assert_eq!(key(KeyCode::BackTab, KeyModifiers::SHIFT), "shift-tab");
        assert_eq!(key(KeyCode::Char('4'), KeyModifiers::CONTROL), "ctrl-\\");
    }
}
