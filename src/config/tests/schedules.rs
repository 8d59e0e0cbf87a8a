//! Schedules of an environment, and what is wrong with them.

use super::*;
use crate::domain::schedule::Missed;

/// What is seen in a workspace whose only environment is sound but for these schedules.
fn with(protection: &str, schedules: &str) -> Checked {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("environments")).unwrap();
    std::fs::write(dir.path().join(FILE), "name: test\n").unwrap();
    let sound = SOUND.replace("stack:", &format!("protection: {protection}\n  stack:"));
    let text = format!("{sound}schedules:\n{schedules}");
    std::fs::write(dir.path().join("environments/test.yaml"), text).unwrap();
    check(dir.path(), recipes)
}

#[test]
fn a_schedule_needs_a_name_a_recipe_and_a_time() {
    let checked = with(
        "two-person",
        "  - name: look\n    recipe: verify\n    cron: \"*/15 * * * *\"\n",
    );
    assert_eq!(render(&checked.diagnostics, false), "");
    let schedule = &checked.workspace.unwrap().schedules[0];
    assert_eq!(
        (
            schedule.environment.as_str(),
            schedule.missed,
            schedule.enabled
        ),
        ("test", Missed::RunOnce, true)
    );
    let whole = with(
        "confirm",
        "  - name: bounce\n    recipe: restart-unit\n    params: {unit: consul}\n    on: [pc2]\n    cron: '@daily'\n    \
         timezone: Europe/Berlin\n    missed: skip\n    enabled: false\n",
    );
    assert_eq!(render(&whole.diagnostics, false), "");
    let schedule = &whole.workspace.unwrap().schedules[0];
    assert_eq!(
        (schedule.timing.zone(), schedule.missed, schedule.enabled),
        ("Europe/Berlin", Missed::Skip, false)
    );
}

#[test]
fn every_mistake_of_a_schedule_is_told_at_its_place() {
    let checked = with(
        "confirm",
        "  - name: look\n    recipe: verifi\n    cron: \"61 * * * *\"\n    timezone: Berlin\n  \
         - name: look\n    recipe: restart-unit\n    params: {units: consul}\n    cron: \"@dayly\"\n    on: [pc3]\n  \
         - name: broken\n    recipe: nightly\n    cron: \"0 3 * * *\"\n",
    );
    assert!(checked.workspace.is_none());
    assert_snapshot!(render(&checked.diagnostics, false));
}

#[test]
fn a_change_cannot_be_scheduled_where_more_than_a_yes_is_asked_for() {
    let schedules = "  - name: roll-out\n    recipe: deploy\n    cron: '@daily'\n";
    assert_eq!(with("confirm", schedules).counts(), (0, 0));
    let checked = with("two-person", schedules);
    assert!(checked.workspace.is_none());
    assert_snapshot!(render(&checked.diagnostics, false));
}
