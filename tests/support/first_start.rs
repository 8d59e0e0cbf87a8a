//! Going through the last page of the first start in a terminal.

use crate::terminal::Terminal;

pub(crate) const ENTER: &str = "\r";
pub(crate) const ESC: &str = "\x1b";
pub(crate) const TAB: &str = "\t";
/// ctrl-s: the plan with the parameters as they are.
pub(crate) const PLAN_NOW: &str = "\x13";

/// Waits until this stage is next, and begins it.
pub(crate) fn begin_stage(terminal: &Terminal, stage: &str) {
    terminal.wait_until(&format!("{stage} to be next"), |screen| {
        screen
            .lines()
            .any(|line| line.contains('▌') && line.contains(stage) && line.contains("next"))
    });
    terminal.press(ENTER);
}

/// Starts the plan that is shown.
pub(crate) fn start_plan(terminal: &Terminal) {
    let plan = terminal.wait_until("a plan with its buttons", |screen| {
        screen.contains("Plan: ") && (screen.contains("[ Cancel ]") || screen.contains("[ Start"))
    });
    if !plan.contains("[ Start") {
        terminal.press(TAB);
        terminal.wait_for("[ Start");
    }
    terminal.press(ENTER);
}

/// Goes through a stage that is a run, to its good end and back.
pub(crate) fn carry_out(terminal: &Terminal, stage: &str) {
    begin_stage(terminal, stage);
    start_plan(terminal);
    terminal.wait_until(&format!("{stage} to end well"), |screen| {
        assert!(!screen.contains("failed: "), "{stage} failed\n{screen}");
        screen.contains("Esc goes back to the first")
    });
    terminal.press(ESC);
}
