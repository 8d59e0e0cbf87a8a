//! The screens as a whole: pictures at three sizes, keys and what they lead to, and that nothing makes them fall over.

mod connection;
mod hints;

use proptest::prelude::*;
use ratatui::style::{Color, Modifier};

use super::keymap::BINDINGS;
use super::layers::Layer;
use super::{Answer, Argument, Effect, ExtraCommand, Message, Place, Setup, sample, update};
use crate::client::{Event, Refusal, Request};
use crate::domain::action::Consent;
use crate::domain::approval::{Approver, Decision, Waiting};
use crate::domain::live::Lock;
use crate::domain::plan::Origin;
use crate::domain::question::{OpenQuestion, Prompt, Question, QuestionAnswer, QuestionKind};
use crate::domain::run::RunState;
use crate::domain::secret::Secret;
use crate::domain::theme::ThemeName;

/// Dialogs at the size where they are most cramped.
#[test]
fn dialogs_fit_on_80_by_24() {
    let dialogs: &[(&str, &[&str])] = &[
        ("palette", &[":", "p", "c"]),
        ("actions", &["a"]),
        ("form", &["a", "enter"]),
        ("plan-open", &["a", "enter", "ctrl-s"]),
        ("plan-confirm", &["1", "down", "2", "a", "enter", "ctrl-s"]),
        (
            "plan-typed",
            &["1", "down", "down", "2", "a", "enter", "ctrl-s"],
        ),
        ("quit", &["q"]),
        ("help", &["?"]),
        ("raw", &["y"]),
        ("filter", &["/", "p", "c", "["]),
    ];
    for (name, keys) in dialogs {
        let mut model = sample::model((80, 24));
        sample::press(&mut model, keys);
        insta::assert_snapshot!(format!("dialog-{name}"), sample::draw(&model));
    }
}

#[test]
fn the_history_leads_back_and_forward() {
    let mut model = sample::model((80, 24));
    sample::press(&mut model, &["enter", "enter"]);
    assert_eq!(*model.place(), Place::Run(sample::run_id(13)));
    sample::press(&mut model, &["["]);
    assert_eq!(*model.place(), Place::Node("pc1".into()));
    sample::press(&mut model, &["]"]);
    assert_eq!(*model.place(), Place::Run(sample::run_id(13)));
    sample::press(&mut model, &["-"]);
    assert_eq!(*model.place(), Place::Node("pc1".into()));
    sample::press(&mut model, &["esc", "esc", "esc"]);
    assert_eq!(*model.place(), Place::Bridge);
}

#[test]
fn quitting_asks_while_runs_are_going_and_staying_is_the_default() {
    let mut model = sample::model((80, 24));
    assert!(sample::press(&mut model, &["q", "enter"]).is_empty());
    assert!(model.layers.is_empty());
    assert_eq!(sample::press(&mut model, &["ctrl-c", "y"]), [Effect::Quit]);
}

#[test]
fn quitting_is_immediate_when_nothing_runs() {
    let mut model = sample::model((80, 24));
    sample::feed(
        &mut model,
        Event::Run(Box::new(sample::run(13, RunState::Succeeded))),
    );
    assert_eq!(sample::press(&mut model, &["q"]), [Effect::Quit]);
}

#[test]
fn an_open_environment_starts_with_enter_after_the_plan_was_seen() {
    let mut model = sample::model((80, 24));
    let effects = sample::press(&mut model, &["a", "enter", "ctrl-s", "enter"]);
    let start = Effect::Start {
        hash: sample::plan().hash,
        consent: Consent::None,
    };
    assert_eq!(effects.last(), Some(&start), "{effects:?}");
}

#[test]
fn a_confirming_environment_has_cancel_focused() {
    let mut model = sample::model((80, 24));
    let keys = ["1", "down", "2", "a", "enter", "ctrl-s", "enter"];
    let effects = sample::press(&mut model, &keys);
    assert!(
        !effects
            .iter()
            .any(|effect| matches!(effect, Effect::Start { .. }))
    );
    let effects = sample::press(&mut model, &["a", "enter", "ctrl-s", "tab", "enter"]);
    assert!(
        matches!(
            effects.last(),
            Some(Effect::Start {
                consent: Consent::Yes,
                ..
            })
        ),
        "{effects:?}"
    );
}

#[test]
fn a_typed_environment_starts_only_with_its_exact_name() {
    let mut model = sample::model((80, 24));
    sample::press(
        &mut model,
        &["1", "down", "down", "2", "a", "enter", "ctrl-s"],
    );
    sample::type_text(&mut model, "prod");
    assert!(sample::press(&mut model, &["enter"]).is_empty());
    assert!(sample::draw(&model).contains("was typed, but"));
    sample::type_text(&mut model, "uction");
    let effects = sample::press(&mut model, &["enter"]);
    let consent = Consent::Typed("production".into());
    assert!(
        matches!(&effects[..], [Effect::Start { consent: given, .. }] if *given == consent),
        "{effects:?}"
    );
}

#[test]
fn a_dry_run_is_planned_anew_and_an_older_answer_is_ignored() {
    let mut model = sample::model((80, 24));
    sample::press(&mut model, &["a", "enter", "ctrl-s"]);
    let effects = update(&mut model, Message::Key(sample::key_of("D")));
    let [
        Effect::Plan {
            request: Request::Plan(request),
            ..
        },
    ] = &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert!(request.dry_run);
    sample::settle(&mut model, effects);
    assert!(sample::draw(&model).contains("Start dry run"));
}

#[test]
fn a_run_that_fetches_nothing_is_chosen_in_the_plan_and_shown_there() {
    let mut model = sample::model((80, 24));
    sample::press(&mut model, &["a", "enter", "ctrl-s"]);
    assert!(sample::draw(&model).contains("O offline"));
    let effects = update(&mut model, Message::Key(sample::key_of("O")));
    let [
        Effect::Plan {
            request: Request::Plan(request),
            ..
        },
    ] = &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert!(request.limits.offline);
    sample::settle(&mut model, effects);
    let drawn = sample::draw(&model);
    assert!(
        drawn.contains("OFFLINE") && drawn.contains("O may fetch"),
        "{drawn}"
    );
}

#[test]
fn extra_commands_are_completed_and_performed() {
    let mut setup = Setup::new(sample::now(), (80, 24));
    setup.extra = vec![
        ExtraCommand {
            name: "lab kill".into(),
            help: "cut a node's power".into(),
            argument: Argument::Node,
        },
        ExtraCommand {
            name: "lab lag".into(),
            help: "slow everything down".into(),
            argument: Argument::Text("800ms".into()),
        },
    ];
    let mut model = sample::with(setup);
    sample::press(&mut model, &[":"]);
    sample::type_text(&mut model, "lab kill pc2");
    let extra = |name: &str, argument: &str| Effect::Extra {
        name: name.into(),
        argument: Some(argument.into()),
    };
    assert_eq!(
        sample::press(&mut model, &["enter"]),
        [extra("lab kill", "pc2")]
    );
    sample::press(&mut model, &[":"]);
    sample::type_text(&mut model, "lab lag 300ms");
    assert_eq!(
        sample::press(&mut model, &["enter"]),
        [extra("lab lag", "300ms")]
    );
}

#[test]
fn what_a_command_lists_is_a_sheet_that_stays_and_one_sentence_is_a_notice() {
    let mut model = sample::model((80, 24));
    let told = |result: Result<&str, &str>| {
        Message::Answer(Box::new(super::Answer::Extra {
            name: "lab help".into(),
            result: result.map(Into::into).map_err(Into::into),
        }))
    };
    update(&mut model, told(Ok("pc2: the power is cut")));
    assert!(model.layers.is_empty());
    assert!(sample::draw(&model).contains("the power is cut"));
    let list = "kill NODE                cut the node's power\n\
                heat NODE                make it 35 degrees hotter\n\
                meddle                   change a key of Consul, a policy of Vault, a job of Nomad and more";
    update(&mut model, told(Ok(list)));
    let later = model.world.now + jiff::SignedDuration::from_secs(3600);
    update(&mut model, Message::Tick(later));
    insta::assert_snapshot!("dialog-told", sample::draw(&model));
    sample::press(&mut model, &["esc"]);
    assert!(model.layers.is_empty());
    update(&mut model, told(Err("there is no node pc9\nthere is pc1")));
    assert!(model.layers.is_empty());
}

/// A run with findings beside it: what the header says at each width.
#[test]
fn the_counts_stay_in_the_header_and_the_path_gives_way() {
    let header = |width, title: &str| {
        let mut model = sample::model((width, 24));
        let mut run = sample::run(13, RunState::Running);
        run.title = title.into();
        sample::feed(&mut model, Event::Run(Box::new(run)));
        sample::press(&mut model, &["4", "enter"]);
        let drawn = sample::draw(&model);
        drawn.lines().next().unwrap().to_owned()
    };
    let long = "Deploy Consul on every node of the cluster, one after the other";
    let drawn: Vec<String> = [
        (160, long),
        (120, long),
        (80, long),
        (60, long),
        (45, long),
        (30, long),
    ]
    .iter()
    .map(|(width, title)| header(*width, title))
    .collect();
    insta::assert_snapshot!("headers", drawn.join("\n"));
}

#[test]
fn what_is_said_over_a_dialog_leaves_its_buttons_free() {
    let mut model = sample::model((80, 24));
    sample::press(&mut model, &["a", "enter", "ctrl-s"]);
    let buttons = |model: &super::Model| {
        let drawn = sample::draw(model);
        let row = drawn.lines().rev().find(|line| line.contains("Cancel"));
        row.unwrap().to_owned()
    };
    let before = buttons(&model);
    update(&mut model, Message::Event(Event::Missed(9)));
    assert!(sample::draw(&model).contains("9 events were missed"));
    assert_eq!(buttons(&model), before);
}

#[test]
fn a_plan_that_is_closed_says_that_nothing_was_started() {
    let mut model = sample::model((80, 24));
    let keys = ["1", "down", "2", "a", "enter", "ctrl-s", "enter"];
    sample::press(&mut model, &keys);
    assert!(sample::draw(&model).contains("Not started"));
    let mut model = sample::model((80, 24));
    sample::press(&mut model, &["a", "enter", "ctrl-s", "enter"]);
    assert!(!sample::draw(&model).contains("Not started"));
}

#[test]
fn a_refusal_is_shown_until_it_was_seen() {
    let mut model = sample::model((80, 24));
    let refused =
        super::Answer::Started(Err(crate::client::Refusal::new("the plan is out of date")));
    update(&mut model, Message::Answer(Box::new(refused)));
    assert!(sample::draw(&model).contains("the plan is out of date"));
    sample::press(&mut model, &["esc"]);
    assert!(!sample::draw(&model).contains("the plan is out of date"));
}

#[test]
fn a_subscriber_that_missed_events_reads_everything_again() {
    let mut model = sample::model((80, 24));
    let effects = update(&mut model, Message::Event(Event::Missed(9)));
    assert!(effects.contains(&Effect::Live) && effects.contains(&Effect::Runs));
    assert!(sample::draw(&model).contains("9 events were missed"));
    assert!(!effects.contains(&Effect::Workspace));
    let effects = update(&mut model, Message::Event(Event::Missed(0)));
    assert!(sample::draw(&model).contains("A new engine is there"));
    assert!(effects.contains(&Effect::Workspace));
    // One that does not come leaves what is known.
    let lost = Answer::Workspace(Err(Refusal::new("lost the engine")));
    update(&mut model, Message::Answer(Box::new(lost)));
    assert!(model.world.workspace().is_some());
}

#[test]
fn mono_has_no_colour_and_still_shows_the_selection() {
    let mut setup = Setup::new(sample::now(), (120, 40));
    setup.theme = ThemeName::Mono;
    let buffer = sample::buffer(&sample::with(setup));
    assert!(
        buffer
            .content()
            .iter()
            .all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset)
    );
    assert!(
        buffer
            .content()
            .iter()
            .any(|cell| cell.modifier.contains(Modifier::REVERSED))
    );
}

#[test]
fn production_colours_the_whole_bar_and_lab_does_not() {
    let mut model = sample::model((120, 40));
    let bar = |model: &super::Model| sample::buffer(model)[(60, 0)].bg;
    let calm = bar(&model);
    sample::press(&mut model, &["1", "down", "down"]);
    assert_ne!(bar(&model), calm);
}

#[test]
fn ascii_means_ascii_on_every_screen() {
    let ways: [&[&str]; 9] = [
        &[],
        &["enter"],
        &["3", "enter"],
        &["4", "down", "enter"],
        &["5"],
        &["1", "enter"],
        &["a", "enter", "ctrl-s"],
        &[":"],
        &["?"],
    ];
    for keys in ways {
        let mut setup = Setup::new(sample::now(), (160, 50));
        setup.ascii = true;
        let mut model = sample::with(setup);
        sample::press(&mut model, keys);
        let drawn = sample::draw(&model);
        assert!(
            drawn.is_ascii(),
            "{keys:?}: {:?}",
            drawn.chars().filter(|c| !c.is_ascii()).collect::<String>()
        );
    }
}

#[test]
fn the_farewell_tells_what_became_of_the_runs() {
    let model = sample::model((80, 24));
    let text = model.farewell().text;
    assert!(
        text.contains("run #13 Deploy Consul in lab: running") && text.contains("7 of 13 tasks"),
        "{text}"
    );
}

#[test]
fn text_from_outside_cannot_reach_the_terminal_raw() {
    let mut model = sample::model((120, 40));
    let mut run = sample::run(14, RunState::Running);
    run.title = "bad\u{1b}[2J\u{7}\u{202e}title".into();
    run.started_by = "\u{1b}]0;pwn\u{7}".into();
    sample::feed(&mut model, Event::Run(Box::new(run)));
    let buffer = sample::buffer(&model);
    assert!(
        buffer
            .content()
            .iter()
            .all(|cell| !cell.symbol().chars().any(char::is_control))
    );
    assert!(sample::draw(&model).contains("badtitle"));
}

/// Keys to press at random: all that are bound, and some text.
fn any_key() -> impl Strategy<Value = String> {
    let bound: Vec<String> = BINDINGS
        .iter()
        .flat_map(|binding| binding.keys.iter().map(ToString::to_string))
        .chain("abcXYZ!19é日".chars().map(String::from))
        .collect();
    proptest::sample::select(bound)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_size_and_no_keys_make_it_fall_over(
        width in 20_u16..=300,
        height in 5_u16..=100,
        later in (1_u16..=300, 1_u16..=100),
        keys in proptest::collection::vec(any_key(), 0..24),
        theme in proptest::sample::select(ThemeName::ALL),
        ascii in any::<bool>(),
    ) {
        let mut setup = Setup::new(sample::now(), (width, height));
        setup.theme = theme;
        setup.ascii = ascii;
        let mut model = sample::with(setup);
        for key in &keys {
            sample::press(&mut model, &[key.as_str()]);
            let buffer = sample::buffer(&model);
            prop_assert!(buffer.content().iter().all(|cell| !cell.symbol().chars().any(char::is_control)));
        }
        update(&mut model, Message::Resize(later.0, later.1));
        sample::buffer(&model);
        prop_assert!(model.layers.iter().filter(|layer| matches!(layer, Layer::Question(_))).count() < 3);
    }
}

/// The dialog of a plan that takes an earlier run up: with a caution, and a `once` task that must be decided about.
fn taken_up(size: (u16, u16)) -> super::model::Model {
    let mut model = sample::model(size);
    sample::press(&mut model, &["4", "down", "enter"]);
    let effects = sample::press(&mut model, &["C"]);
    let [
        Effect::Plan {
            ticket,
            request: Request::Plan(request),
        },
    ] = &effects[..]
    else {
        panic!("{effects:?}")
    };
    let mut plan = sample::plan();
    plan.request = request.clone();
    plan.cautions = vec![
        "recipe deploy has changed since run 12 (changed: servers): the recorded steps are carried out, not the new ones".into(),
    ];
    let key = plan.steps[0].tasks()[0].clone();
    plan.kept = plan.steps[1]
        .tasks()
        .into_iter()
        .map(crate::domain::run::Task::pending)
        .collect();
    plan.undecided = vec![key];
    let answer = super::Answer::Plan {
        ticket: *ticket,
        result: Ok((Box::new(plan), crate::domain::action::Gate::Open)),
    };
    update(&mut model, Message::Answer(Box::new(answer)));
    model
}

#[test]
fn a_plan_that_takes_a_run_up_shows_what_to_read_first_and_asks_about_once() {
    for size in [(80, 24), (120, 40)] {
        let model = taken_up(size);
        insta::assert_snapshot!(
            format!("dialog-plan-taken-up-{}x{}", size.0, size.1),
            sample::draw(&model)
        );
    }
}

#[test]
fn a_once_task_is_decided_about_before_anything_can_start() {
    let mut model = taken_up((80, 24));
    // Cancel has the focus; there is no way to start.
    assert!(!sample::draw(&model).contains("  Start  "));
    let effects = sample::press(&mut model, &["tab", "tab", "enter"]);
    let [
        Effect::Plan {
            request: Request::Plan(request),
            ..
        },
    ] = &effects[..]
    else {
        panic!("{effects:?}")
    };
    let key = sample::plan().steps[0].tasks()[0].to_string();
    assert_eq!(
        request.once.get(&key),
        Some(&crate::domain::plan::OnceAnswer::Done)
    );
}

#[test]
fn an_edited_recipe_is_asked_about_before_anything_else() {
    for (keys, wanted) in [
        (&["tab", "enter"][..], false),
        (&["tab", "tab", "enter"], true),
    ] {
        let mut model = sample::model((80, 24));
        sample::press(&mut model, &["4", "down", "enter"]);
        let ask = |effects: &[Effect]| match effects {
            [
                Effect::Plan {
                    ticket,
                    request: Request::Plan(request),
                },
            ] => (*ticket, request.clone()),
            _ => panic!("{effects:?}"),
        };
        let effects = sample::press(&mut model, &["C"]);
        let (ticket, request) = ask(&effects);
        let answer = |ticket, request: &crate::domain::plan::PlanRequest, edited| {
            let mut plan = sample::plan();
            plan.request = request.clone();
            plan.edited = edited;
            super::Answer::Plan {
                ticket,
                result: Ok((Box::new(plan), crate::domain::action::Gate::Open)),
            }
        };
        let told = answer(ticket, &request, true);
        update(&mut model, Message::Answer(Box::new(told)));
        let shown = sample::draw(&model);
        assert!(!shown.contains("  Start  "), "{shown}");
        assert!(shown.contains("As recorded") && shown.contains("As it is now"));
        let effects = sample::press(&mut model, keys);
        let (ticket, request) = ask(&effects);
        let Some(Origin::Resume { current_recipe, .. }) = request.origin else {
            panic!("{request:?}");
        };
        assert_eq!(current_recipe, wanted);
        // It was answered, so it is not asked again.
        let told = answer(ticket, &request, !wanted);
        update(&mut model, Message::Answer(Box::new(told)));
        assert!(sample::draw(&model).contains("[ Start ]"));
    }
}

/// A run that is open on its screen and waits for a second operator.
fn waiting(size: (u16, u16)) -> super::model::Model {
    let mut model = sample::model(size);
    sample::press(&mut model, &["4", "enter"]);
    let run = model.screens.run.id.unwrap();
    let plan = model.screens.run.plan.clone().unwrap();
    let asked = Waiting {
        run,
        number: 13,
        title: plan.title.clone(),
        environment: "lab".into(),
        step: Some("start".into()),
        text: "Is the maintenance window open?".into(),
        details: Vec::new(),
        approver: Approver::Second,
        asked_by: "ada@bastion".into(),
        plan: plan.hash.clone(),
        hash: plan.hash,
        since: sample::now(),
    };
    let answer = super::Answer::Approvals(Ok(vec![asked]));
    update(&mut model, Message::Answer(Box::new(answer)));
    model
}

#[test]
fn what_waits_for_an_approval_is_shown_beside_its_plan() {
    for size in [(80, 24), (120, 40)] {
        let mut model = waiting(size);
        assert!(sample::draw(&model).contains("Is the maintenance window open?"));
        sample::press(&mut model, &["P"]);
        insta::assert_snapshot!(
            format!("dialog-approval-{}x{}", size.0, size.1),
            sample::draw(&model)
        );
    }
}

#[test]
fn an_approval_names_the_plan_that_was_seen_and_looking_decides_nothing() {
    let mut model = waiting((80, 24));
    let hash = model.screens.run.plan.clone().unwrap().hash;
    assert!(sample::press(&mut model, &["P", "enter"]).is_empty());
    let effects = sample::press(&mut model, &["P", "tab", "tab", "enter"]);
    assert!(
        matches!(
            &effects[..],
            [Effect::Tell { request: Request::Approve { hash: given, decision: Decision::Approve, .. }, .. }]
                if *given == hash
        ),
        "{effects:?}"
    );
}

#[test]
fn a_lock_is_seen_and_broken_only_by_the_name_of_its_environment() {
    let mut model = sample::model((120, 40));
    let lock = Lock {
        run: sample::run_id(13),
        number: 13,
        title: "Deploy Consul".into(),
        by: "ada@bastion".into(),
        since: sample::ago(180),
    };
    let locked = Event::Lock {
        environment: "lab".into(),
        lock: Some(lock),
    };
    sample::feed(&mut model, locked);
    let picture = sample::draw(&model);
    assert!(picture.contains("lock #13 3m00s"), "{picture}");
    let command = |model: &mut super::model::Model, name: &str| {
        sample::press(model, &["1", "a"]);
        let picture = sample::draw(model);
        assert!(picture.contains("Break the lock of run #13"), "{picture}");
        // The item is the third from the end: then come Ask everything again and Raw.
        let down = ["down"; 20];
        sample::press(model, &down);
        sample::press(model, &["up", "up", "enter"]);
        sample::type_text(model, name);
        sample::press(model, &["enter"])
    };
    assert!(command(&mut model, "staging").is_empty());
    let effects = command(&mut model, "lab");
    assert!(
        matches!(
            &effects[..],
            [Effect::Tell { request: Request::BreakLock { environment, force: false, .. }, .. }]
                if environment == "lab"
        ),
        "{effects:?}"
    );
}

fn asked(prompts: Vec<Prompt>, id: u64) -> Message {
    let question = Question {
        kind: QuestionKind::Login,
        host: "pc1".into(),
        title: "pc1 asks ops".into(),
        lines: vec!["Authorised users\u{1b}[31m only".into()],
        prompts,
    };
    Message::Event(Event::Question(Box::new(OpenQuestion {
        id,
        question,
        until: sample::model((80, 24)).world.now + jiff::SignedDuration::from_secs(90),
    })))
}

fn secret_prompt() -> Vec<Prompt> {
    vec![Prompt {
        label: "Password".into(),
        echo: false,
    }]
}

#[test]
fn a_question_of_a_host_masks_what_is_typed_and_answers_with_it() {
    for size in [(80, 24), (120, 40)] {
        let mut model = sample::model(size);
        update(&mut model, asked(secret_prompt(), 7));
        sample::press(&mut model, &["h", "u", "q", "x", "backspace"]);
        let drawn = sample::draw(&model);
        assert!(!drawn.contains("huq"), "{drawn}");
        insta::assert_snapshot!(format!("dialog-asked-{}x{}", size.0, size.1), drawn);
        let effects = sample::press(&mut model, &["enter"]);
        let answer = QuestionAnswer::Filled(vec![Secret::new("huq".into())]);
        let request = Request::Answer { id: 7, answer };
        let what = "answer".into();
        assert_eq!(effects, [Effect::Tell { request, what }]);
        assert!(!format!("{effects:?}").contains("huq"));
        assert!(model.layers.is_empty());
    }
}

#[test]
fn a_question_without_prompts_has_no_focused_and_goes_when_it_is_settled() {
    let mut model = sample::model((80, 24));
    update(&mut model, asked(Vec::new(), 1));
    let effects = sample::press(&mut model, &["enter"]);
    let no = |id| Effect::Tell {
        request: Request::Answer {
            id,
            answer: QuestionAnswer::No,
        },
        what: "answer".into(),
    };
    assert_eq!(effects, [no(1)]);
    update(&mut model, asked(secret_prompt(), 2));
    assert_eq!(sample::press(&mut model, &["esc"]), [no(2)]);
    update(&mut model, asked(Vec::new(), 3));
    update(&mut model, Message::Event(Event::Settled { question: 3 }));
    assert!(model.layers.is_empty());
}

#[test]
fn a_question_does_not_take_the_keys_of_whoever_types_something_else() {
    let mut model = sample::model((80, 24));
    sample::press(&mut model, &[":", "p"]);
    update(&mut model, asked(secret_prompt(), 7));
    assert!(matches!(model.layers.last(), Some(Layer::Palette(_))));
    sample::press(&mut model, &["esc"]);
    assert!(matches!(model.layers.last(), Some(Layer::Asked(_))));
}
