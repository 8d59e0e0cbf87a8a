//! The keys, as data. What a key does, the help screen and the hints in the footer all come from [`BINDINGS`].

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

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
    Palette,
    Prompt,
    Menu,
    Form,
    Plan,
    Question,
    Sheet,
}

impl Context {
    pub(crate) const ALL: [Self; 19] = [
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
        Self::Palette,
        Self::Prompt,
        Self::Menu,
        Self::Form,
        Self::Plan,
        Self::Question,
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
            Self::Palette => "Palette",
            Self::Prompt => "Filter and search",
            Self::Menu => "Actions menu",
            Self::Form => "Parameters",
            Self::Plan => "Plan",
            Self::Question => "Questions",
            Self::Sheet => "Help and raw views",
        }
    }

    /// Whether unbound keys are text.
    pub(crate) const fn types(self) -> bool {
        matches!(self, Self::Palette | Self::Prompt | Self::Form | Self::Plan)
    }
}

/// What a key can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Accept,
    Actions,
    Back,
    Bottom,
    CancelRun,
    ClearMarks,
    Complete,
    Copy,
    CycleStream,
    Describe,
    Down,
    DryRun,
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
    LastView,
    Left,
    Logs,
    Mark,
    NextField,
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
    Repaint,
    Rerun,
    Right,
    Sort(u8),
    Suspend,
    Times,
    Top,
    Up,
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

const fn bind(
    context: Context,
    keys: &'static [&'static str],
    command: Command,
    help: &'static str,
    hint: &'static str,
) -> Binding {
    Binding {
        context,
        keys,
        command,
        help,
        hint,
    }
}

use Command as C;
use Context as X;

/// Every key of the program.
pub(crate) static BINDINGS: &[Binding] = &[
    // Screens and layers, in the order in which the footer shows them.
    bind(
        X::Bridge,
        &["enter"],
        C::Open,
        "open what is under the cursor",
        "open",
    ),
    bind(
        X::Bridge,
        &["tab"],
        C::NextPane,
        "focus the next pane",
        "pane",
    ),
    bind(
        X::Bridge,
        &["shift-tab"],
        C::PreviousPane,
        "focus the previous pane",
        "",
    ),
    bind(X::Bridge, &["1"], C::Pane(0), "focus Environments", ""),
    bind(X::Bridge, &["2"], C::Pane(1), "focus Nodes", ""),
    bind(X::Bridge, &["3"], C::Pane(2), "focus Services", ""),
    bind(X::Bridge, &["4"], C::Pane(3), "focus Activity", ""),
    bind(X::Bridge, &["5"], C::Pane(4), "open the findings", ""),
    bind(
        X::Bridge,
        &["z", "f"],
        C::Zoom,
        "give the log dock the whole screen, or take it back",
        "zoom log",
    ),
    bind(
        X::Bridge,
        &["left"],
        C::PreviousPane,
        "focus the pane to the left",
        "",
    ),
    bind(
        X::Bridge,
        &["right"],
        C::NextPane,
        "focus the pane to the right",
        "",
    ),
    bind(X::Nodes, &["enter"], C::Open, "open the node", "open"),
    bind(X::Nodes, &["S"], C::Sort(0), "sort by state", ""),
    bind(X::Nodes, &["N"], C::Sort(1), "sort by name", ""),
    bind(X::Nodes, &["L"], C::Sort(2), "sort by load", ""),
    bind(X::Nodes, &["M"], C::Sort(3), "sort by memory", ""),
    bind(X::Nodes, &["D"], C::Sort(4), "sort by disk", ""),
    bind(X::Nodes, &["T"], C::Sort(5), "sort by temperature", ""),
    bind(X::Nodes, &["U"], C::Sort(6), "sort by uptime", ""),
    bind(
        X::Nodes,
        &["A"],
        C::Sort(7),
        "sort by age of what is known",
        "",
    ),
    bind(
        X::Node,
        &["enter"],
        C::Open,
        "open the run under the cursor",
        "open run",
    ),
    bind(X::Services, &["enter"], C::Open, "open the service", "open"),
    bind(X::Services, &["S"], C::Sort(0), "sort by state", ""),
    bind(X::Services, &["N"], C::Sort(1), "sort by name", ""),
    bind(
        X::Services,
        &["A"],
        C::Sort(2),
        "sort by age of what is known",
        "",
    ),
    bind(
        X::Service,
        &["tab", "right"],
        C::NextPane,
        "next table",
        "table",
    ),
    bind(
        X::Service,
        &["shift-tab", "left"],
        C::PreviousPane,
        "previous table",
        "",
    ),
    bind(X::Service, &["enter"], C::Open, "show the whole row", "row"),
    bind(X::Runs, &["enter"], C::Open, "open the run", "open"),
    bind(X::Runs, &["x"], C::CancelRun, "cancel the run", "cancel"),
    bind(X::Runs, &["R"], C::Rerun, "plan the same again", "again"),
    bind(X::Run, &["tab"], C::NextPane, "focus steps or log", "focus"),
    bind(
        X::Run,
        &["shift-tab"],
        C::PreviousPane,
        "focus log or steps",
        "",
    ),
    bind(
        X::Run,
        &["enter"],
        C::Open,
        "show only the log of what is under the cursor; again: all",
        "only this",
    ),
    bind(X::Run, &["left", "h"], C::Left, "previous host", ""),
    bind(X::Run, &["right"], C::Right, "next host", ""),
    bind(
        X::Run,
        &["F"],
        C::Follow,
        "follow the end of the log, or stop",
        "follow",
    ),
    bind(X::Run, &["/"], C::Find, "search the log", "search"),
    bind(X::Run, &["n"], C::FindNext, "next match", ""),
    bind(X::Run, &["N"], C::FindPrevious, "previous match", ""),
    bind(
        X::Run,
        &["&"],
        C::FilterLines,
        "show only lines with a text",
        "",
    ),
    bind(
        X::Run,
        &["o"],
        C::CycleStream,
        "show one stream: stdout, stderr, note, diff, all",
        "stream",
    ),
    bind(X::Run, &["w"], C::Wrap, "wrap long lines", ""),
    bind(X::Run, &["t"], C::Times, "show times", ""),
    bind(
        X::Run,
        &["z", "f"],
        C::Zoom,
        "give the log the whole screen, or take it back",
        "zoom",
    ),
    bind(X::Run, &["x"], C::CancelRun, "cancel the run", "cancel"),
    bind(X::Run, &["R"], C::Rerun, "plan the same again", "again"),
    bind(
        X::Findings,
        &["enter"],
        C::Open,
        "go to what it is about",
        "go to subject",
    ),
    bind(X::Recipes, &["enter"], C::Open, "plan it", "plan"),
    bind(
        X::Environments,
        &["enter"],
        C::Open,
        "make it the current environment and go to its nodes",
        "nodes",
    ),
    bind(X::Palette, &["enter"], C::Accept, "do it", "do it"),
    bind(
        X::Palette,
        &["tab"],
        C::Complete,
        "take over the text",
        "complete",
    ),
    bind(X::Palette, &["up", "ctrl-p"], C::Up, "up", ""),
    bind(X::Palette, &["down", "ctrl-n"], C::Down, "down", ""),
    bind(X::Palette, &["esc"], C::Back, "close", "close"),
    bind(X::Prompt, &["enter"], C::Accept, "keep it", "keep"),
    bind(X::Prompt, &["esc"], C::Back, "drop it", "drop"),
    bind(X::Menu, &["enter"], C::Accept, "do it", "do it"),
    bind(X::Menu, &["up", "k"], C::Up, "up", ""),
    bind(X::Menu, &["down", "j"], C::Down, "down", ""),
    bind(X::Menu, &["esc", "q", "a"], C::Back, "close", "close"),
    bind(
        X::Form,
        &["enter"],
        C::Accept,
        "next field; on the last one: make the plan",
        "next",
    ),
    bind(X::Form, &["ctrl-s"], C::Yes, "make the plan now", "plan"),
    bind(X::Form, &["tab", "down"], C::NextField, "next field", ""),
    bind(X::Form, &["shift-tab", "up"], C::Up, "previous field", ""),
    bind(X::Form, &["esc"], C::Back, "close", "close"),
    bind(
        X::Plan,
        &["enter"],
        C::Accept,
        "press the button that has the focus",
        "press button",
    ),
    bind(X::Plan, &["tab"], C::NextField, "next button", "button"),
    bind(
        X::Plan,
        &["shift-tab"],
        C::PreviousPane,
        "previous button",
        "",
    ),
    bind(X::Plan, &["left"], C::Left, "previous button", ""),
    bind(X::Plan, &["right"], C::Right, "next button", ""),
    bind(X::Plan, &["up"], C::Up, "scroll up", ""),
    bind(X::Plan, &["down"], C::Down, "scroll down", ""),
    bind(X::Plan, &["pageup"], C::PageUp, "scroll a page up", ""),
    bind(
        X::Plan,
        &["pagedown"],
        C::PageDown,
        "scroll a page down",
        "",
    ),
    bind(
        X::Plan,
        &["ctrl-d"],
        C::DryRun,
        "switch dry run on or off and plan anew (also D, unless a name is being typed)",
        "dry run",
    ),
    bind(
        X::Plan,
        &["esc"],
        C::Back,
        "close without starting",
        "close",
    ),
    bind(
        X::Question,
        &["enter"],
        C::Accept,
        "press the button that has the focus",
        "press button",
    ),
    bind(
        X::Question,
        &["tab", "left", "right", "shift-tab"],
        C::NextField,
        "other button",
        "button",
    ),
    bind(X::Question, &["y"], C::Yes, "yes", "yes"),
    bind(X::Question, &["n", "esc", "q"], C::No, "no", "no"),
    bind(X::Sheet, &["up", "k"], C::Up, "scroll up", "scroll"),
    bind(X::Sheet, &["down", "j"], C::Down, "scroll down", ""),
    bind(
        X::Sheet,
        &["pageup", "ctrl-b"],
        C::PageUp,
        "scroll a page up",
        "",
    ),
    bind(
        X::Sheet,
        &["pagedown", "ctrl-f", "space"],
        C::PageDown,
        "scroll a page down",
        "",
    ),
    bind(X::Sheet, &["g", "home"], C::Top, "to the top", ""),
    bind(X::Sheet, &["G", "end"], C::Bottom, "to the end", ""),
    bind(X::Sheet, &["c"], C::Copy, "copy everything", "copy"),
    bind(
        X::Sheet,
        &["esc", "q", "?", "enter"],
        C::Back,
        "close",
        "close",
    ),
    // Lists.
    bind(X::List, &["up", "k"], C::Up, "up", ""),
    bind(X::List, &["down", "j"], C::Down, "down", ""),
    bind(X::List, &["pageup", "ctrl-b"], C::PageUp, "a page up", ""),
    bind(
        X::List,
        &["pagedown", "ctrl-f"],
        C::PageDown,
        "a page down",
        "",
    ),
    bind(X::List, &["ctrl-u"], C::HalfUp, "half a page up", ""),
    bind(X::List, &["ctrl-d"], C::HalfDown, "half a page down", ""),
    bind(X::List, &["g", "home"], C::Top, "to the top", ""),
    bind(X::List, &["G", "end"], C::Bottom, "to the end", ""),
    bind(
        X::List,
        &["space"],
        C::Mark,
        "mark, for actions on several",
        "mark",
    ),
    bind(X::List, &["ctrl-\\"], C::ClearMarks, "clear the marks", ""),
    bind(
        X::List,
        &["/"],
        C::FilterList,
        "filter by a regular expression; ! in front turns it round",
        "filter",
    ),
    // Everywhere.
    bind(
        X::Everywhere,
        &["a"],
        C::Actions,
        "actions on what is marked or under the cursor",
        "actions",
    ),
    bind(
        X::Everywhere,
        &["d"],
        C::Describe,
        "describe what is under the cursor",
        "",
    ),
    bind(
        X::Everywhere,
        &["l"],
        C::Logs,
        "log of the run under the cursor, else of the newest",
        "log",
    ),
    bind(
        X::Everywhere,
        &["y"],
        C::Raw,
        "raw data of what is under the cursor, as JSON",
        "",
    ),
    bind(X::Everywhere, &["c"], C::Copy, "copy its name (OSC 52)", ""),
    bind(
        X::Everywhere,
        &[":"],
        C::Palette,
        "command palette: screens, objects, actions, recipes, themes",
        "palette",
    ),
    bind(X::Everywhere, &["?"], C::Help, "this help", "help"),
    bind(
        X::Everywhere,
        &["esc"],
        C::Back,
        "back one level; first drops the filter",
        "",
    ),
    bind(X::Everywhere, &["["], C::History, "back in history", ""),
    bind(X::Everywhere, &["]"], C::Forward, "forward in history", ""),
    bind(
        X::Everywhere,
        &["-"],
        C::LastView,
        "the view before this one",
        "",
    ),
    bind(X::Everywhere, &["ctrl-r"], C::Refresh, "ask again now", ""),
    bind(X::Everywhere, &["ctrl-w"], C::Wide, "show every column", ""),
    bind(
        X::Everywhere,
        &["ctrl-l"],
        C::Repaint,
        "paint the screen anew",
        "",
    ),
    bind(X::Everywhere, &["ctrl-z"], C::Suspend, "suspend", ""),
    bind(
        X::Everywhere,
        &["q", "ctrl-c"],
        C::Quit,
        "quit; asks first while runs are going",
        "quit",
    ),
];

/// The command bound to `key` in the first of `contexts` that knows it.
pub(crate) fn lookup(contexts: &[Context], key: &str) -> Option<Command> {
    contexts.iter().find_map(|context| {
        BINDINGS
            .iter()
            .find(|binding| binding.context == *context && binding.keys.contains(&key))
            .map(|binding| binding.command)
    })
}

/// What the footer shows in these contexts: key and word.
pub(crate) fn hints(contexts: &[Context]) -> Vec<(&'static str, &'static str)> {
    let mut hints: Vec<(&str, &str)> = Vec::new();
    for context in contexts {
        for binding in BINDINGS {
            let taken = || hints.iter().any(|(key, _)| binding.keys.contains(key));
            if binding.context == *context && !binding.hint.is_empty() && !taken() {
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
