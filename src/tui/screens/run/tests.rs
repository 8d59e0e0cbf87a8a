//! Pictures and behaviour of the run screen.

use crate::client::{Event, Request};
use crate::domain::matrix::{Mark, Matrix, MatrixRow, TaskMatrix};
use crate::domain::plan::Origin;
use crate::domain::run::{TaskKey, TaskState};
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

/// Two tasks of Ansible on three hosts.
fn matrix() -> Matrix {
    let row = |name: &str, marks: &[Mark], seconds: i64| MatrixRow {
        name: name.into(),
        note: String::new(),
        marks: marks.to_vec(),
        since: Some(sample::now() - jiff::SignedDuration::from_secs(seconds)),
        until: None,
    };
    Matrix {
        title: "ansible/site.yml".into(),
        columns: ["pc1", "pc2", "pc3"].map(String::from).into(),
        rows: vec![
            row(
                "Install the agent",
                &[Mark::Ok, Mark::Changed, Mark::Skipped],
                40,
            ),
            row(
                "Start the agent",
                &[Mark::Running, Mark::Failed, Mark::Unreachable],
                12,
            ),
            row(
                "Look whether it answers",
                &[Mark::None, Mark::None, Mark::None],
                0,
            ),
        ],
        ..Matrix::default()
    }
}

#[test]
fn what_the_program_of_a_step_works_on_stands_between_the_steps_and_the_log() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        let mut model = sample::model(size);
        sample::press(&mut model, &["4", "enter"]);
        let run = model.screens.run.id.unwrap();
        let rows = model.screens.run.rows();
        let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let step = rows[model.screens.run.selected(&ids, &rows)].id.clone();
        let shown = TaskMatrix {
            task: TaskKey { step, host: None },
            matrix: matrix(),
        };
        sample::feed(
            &mut model,
            Event::Matrix {
                run,
                shown: Box::new(shown),
            },
        );
        insta::assert_snapshot!(
            format!("matrix-{}x{}", size.0, size.1),
            sample::draw(&model)
        );
        // Another step has none.
        sample::press(&mut model, &["up"]);
        assert!(!sample::draw(&model).contains("Install the agent"));
    }
}

#[test]
fn hosts_without_room_for_a_column_are_counted_and_the_bad_ones_named() {
    let mut model = sample::model((80, 24));
    sample::press(&mut model, &["4", "enter"]);
    let run = model.screens.run.id.unwrap();
    let rows = model.screens.run.rows();
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let step = rows[model.screens.run.selected(&ids, &rows)].id.clone();
    let mut wide = matrix();
    wide.columns = (0..40).map(|host| format!("host{host}")).collect();
    for row in &mut wide.rows {
        row.marks = vec![Mark::Changed; 39];
        row.marks.push(Mark::Failed);
    }
    let shown = TaskMatrix {
        task: TaskKey { step, host: None },
        matrix: wide,
    };
    sample::feed(
        &mut model,
        Event::Matrix {
            run,
            shown: Box::new(shown),
        },
    );
    let drawn = sample::draw(&model);
    assert!(drawn.contains("1 failed (host39), 39 changed"), "{drawn}");
}
