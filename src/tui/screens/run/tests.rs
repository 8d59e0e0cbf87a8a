//! Pictures and behaviour of the run screen.

use crate::client::{Event, Request};
use crate::domain::plan::Origin;
use crate::domain::run::TaskState;
use crate::tui::{Effect, sample};

/// The way there from the Bridge.
const KEYS: &[&str] = &["4", "down", "enter"];

#[test]
fn it_uses_the_room_there_is() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        let mut model = sample::model(size);
        sample::press(&mut model, KEYS);
        insta::assert_snapshot!(format!("{}x{}", size.0, size.1), sample::draw(&model));
    }
}

#[test]
fn a_run_that_is_going_shows_steps_hosts_and_its_log() {
    for size in [(80, 24), (120, 40)] {
        let mut model = sample::model(size);
        sample::press(&mut model, &["4", "enter"]);
        insta::assert_snapshot!(format!("going-{}x{}", size.0, size.1), sample::draw(&model));
    }
}

#[test]
fn enter_shows_only_the_log_of_the_failed_step() {
    let mut model = sample::model((120, 40));
    sample::press(&mut model, KEYS);
    sample::press(&mut model, &["enter"]);
    assert_eq!(model.screens.run.log.filter.step.as_deref(), Some("start"));
    sample::press(&mut model, &["enter"]);
    assert_eq!(model.screens.run.log.filter.step, None);
}

#[test]
fn cancelling_asks_first_and_the_careful_answer_has_the_focus() {
    let mut model = sample::model((120, 40));
    sample::press(&mut model, &["4", "enter"]);
    assert!(sample::press(&mut model, &["x", "enter"]).is_empty());
    let effects = sample::press(&mut model, &["x", "tab", "enter"]);
    assert!(
        matches!(&effects[..], [Effect::Tell { request: Request::Cancel { run }, .. }] if *run == sample::run_id(13)),
        "{effects:?}"
    );
}

#[test]
fn the_same_again_is_planned_from_the_plan_of_the_run() {
    let mut model = sample::model((120, 40));
    sample::press(&mut model, KEYS);
    let effects = sample::press(&mut model, &["R"]);
    let wanted = Request::Plan(sample::plan().request);
    assert!(
        matches!(&effects[..], [Effect::Plan { request, .. }] if *request == wanted),
        "{effects:?}"
    );
}

#[test]
fn a_late_answer_of_the_store_does_not_take_a_task_back() {
    let mut model = sample::model((120, 40));
    sample::press(&mut model, &["4", "enter"]);
    let mut task = sample::tasks(crate::domain::run::RunState::Running)[7].clone();
    task.state = TaskState::Changed;
    let run = sample::run_id(13);
    sample::feed(
        &mut model,
        Event::Task {
            run,
            task: Box::new(task.clone()),
        },
    );
    sample::settle(&mut model, vec![Effect::Run(run)]);
    let shown = model
        .screens
        .run
        .tasks
        .iter()
        .find(|known| known.key == task.key)
        .unwrap();
    assert_eq!(shown.state, TaskState::Changed);
}

#[test]
fn a_failed_run_is_taken_up_or_back_by_a_key() {
    let run = sample::run_id(12);
    let resume = |failed_hosts| Origin::Resume {
        run,
        failed_hosts,
        current_recipe: false,
    };
    for (key, origin) in [
        ("C", resume(false)),
        ("H", resume(true)),
        ("U", Origin::Undo { run, force: false }),
    ] {
        let mut model = sample::model((120, 40));
        sample::press(&mut model, KEYS);
        assert_eq!(model.screens.run.id, Some(run));
        let effects = sample::press(&mut model, &[key]);
        assert!(
            matches!(
                &effects[..],
                [Effect::Plan { request: Request::Plan(request), .. }]
                    if request.origin == Some(origin) && request.recipe == "deploy"
            ),
            "{key}: {effects:?}"
        );
    }
}
