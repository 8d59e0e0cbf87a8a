//! Pictures and behaviour of the first start.

use std::path::PathBuf;

use crate::client::{Event, SURVEY};
use crate::domain::bootstrap::{Answers, Candidate, Change, KnownFrom, Purpose};
use crate::domain::live::{NodeReport, Observed};
use crate::domain::service::SecretRef;
use crate::tui::ground::{Beginning, Drafted, Outcome, Work, Worked};
use crate::tui::message::Place;
use crate::tui::model::{Model, Setup};
use crate::tui::{Answer, Effect, Message, sample, update};

fn beginning(written: Option<&str>) -> Beginning {
    Beginning {
        answers: Answers::default(),
        resumed: false,
        trouble: None,
        variables: vec!["CONSUL_HTTP_TOKEN".into()],
        dir: PathBuf::from("/home/ada/quarterdeck"),
        exists: written.is_some(),
        written: written.map(Into::into),
        home: Some("/home/ada".into()),
    }
}

/// The screens of somebody who has no workspace.
fn first(size: (u16, u16), answers: Answers) -> Model {
    let mut setup = Setup::new(sample::now(), size);
    setup.place = Place::Wizard;
    setup.beginning = Some(Beginning {
        answers,
        ..beginning(None)
    });
    let mut model = Model::new(setup);
    let workspace = crate::client::Workspace {
        name: "bootstrap".into(),
        ..crate::client::Workspace::default()
    };
    let answer = Answer::Workspace(Ok(workspace));
    update(&mut model, Message::Answer(Box::new(answer)));
    model
}

fn worked(model: &mut Model, worked: Worked) -> Vec<Effect> {
    let answer = Answer::Bootstrap(Box::new(worked));
    update(model, Message::Answer(Box::new(answer)))
}

/// Types `text` for the row under the cursor.
fn typed(model: &mut Model, text: &str) -> Vec<Effect> {
    sample::press(model, &["enter"]);
    sample::type_text(model, text);
    sample::press(model, &["enter"])
}

fn works(effects: &[Effect]) -> Vec<&Work> {
    let all = effects.iter().filter_map(|effect| match effect {
        Effect::Bootstrap(work) => Some(&**work),
        _ => None,
    });
    all.collect()
}

fn report(name: &str, gib: u64) -> NodeReport {
    let mut report = sample::live()["lab"].nodes["h4"].value.clone().unwrap();
    report.facts.hostname = name.into();
    report.facts.os = "Debian GNU/Linux 12 (bookworm)".into();
    report.facts.machine = "x86_64".into();
    report.facts.systemd = true;
    report.facts.more.os_id = Some("debian".into());
    report.facts.more.os_version = Some("12".into());
    report.facts.more.machine_id = Some(name.into());
    report.facts.more.package_manager = Some("apt".into());
    report.facts.more.clock.ahead_s = Some(0);
    report.facts.more.clock.synchronised = Some(true);
    report.facts.more.interfaces.clear();
    report.sample.memory_total = gib << 30;
    report.sample.disk_total = Some(40 << 30);
    report.sample.disk_used = Some(4 << 30);
    report
}

fn answer(model: &mut Model, key: &str, result: Result<NodeReport, &str>) {
    let mut observed = Observed::default();
    match result {
        Ok(report) => observed.succeed(report, sample::now()),
        Err(reason) => observed.fail(reason, sample::now()),
    }
    sample::feed(
        model,
        Event::Node {
            environment: SURVEY.into(),
            name: key.into(),
            observed: Box::new(observed),
        },
    );
}

/// On the page of hosts, three of them taken in.
fn hosts(size: (u16, u16)) -> Model {
    let mut model = first(size, Answers::default());
    sample::press(&mut model, &["down", "down", "enter"]);
    typed(&mut model, "10.0.0.11-13");
    let found = (11..14).map(|at| Candidate {
        address: format!("10.0.0.{at}"),
        from: KnownFrom::Typed,
        listens: Some(true),
    });
    let known = Candidate {
        address: "attic".into(),
        from: KnownFrom::Config,
        listens: None,
    };
    worked(
        &mut model,
        Worked::Found(Ok(found.chain([known]).collect())),
    );
    model
}

/// On the page of the probe, all three answered.
fn probed(size: (u16, u16)) -> Model {
    let mut model = hosts(size);
    sample::press(&mut model, &["n"]);
    for at in 11..14 {
        answer(
            &mut model,
            &format!("10.0.0.{at}"),
            Ok(report(&format!("n{at}"), 4)),
        );
    }
    model
}

fn picture(name: &str, make: impl Fn((u16, u16)) -> Model) {
    for size in [(80, 24), (120, 40)] {
        let model = make(size);
        insta::assert_snapshot!(
            format!("{name}-{}x{}", size.0, size.1),
            sample::draw(&model)
        );
    }
}

#[test]
fn each_page_fits_a_small_terminal_and_a_large_one() {
    picture("start", |size| first(size, Answers::default()));
    picture("hosts", hosts);
    picture("probe", |size| {
        let mut model = hosts(size);
        sample::press(&mut model, &["n"]);
        answer(&mut model, "10.0.0.11", Ok(report("n11", 4)));
        answer(
            &mut model,
            "10.0.0.12",
            Err("10.0.0.12: connection refused"),
        );
        sample::press(&mut model, &["down"]);
        model
    });
    picture("stack", |size| {
        let mut model = probed(size);
        sample::press(&mut model, &["n"]);
        model
    });
    picture("roles", |size| {
        let mut model = probed(size);
        sample::press(&mut model, &["n", "n"]);
        model
    });
    picture("software", |size| {
        let mut model = probed(size);
        sample::press(&mut model, &["n", "down", "down", "space", "n", "n"]);
        model
    });
    picture("details", |size| {
        let mut model = probed(size);
        sample::press(&mut model, &["n", "n", "n", "n"]);
        model
    });
    picture("review", |size| {
        let mut model = probed(size);
        sample::press(&mut model, &["n", "n", "n", "n", "n"]);
        worked(&mut model, Worked::Drafted(Ok(drafted())));
        model
    });
    picture("stages", |size| {
        let mut setup = Setup::new(sample::now(), size);
        setup.beginning = Some(beginning(Some("lab")));
        let mut model = sample::with(setup);
        sample::press(&mut model, &[":"]);
        sample::type_text(&mut model, "bootstrap");
        sample::press(&mut model, &["enter"]);
        model
    });
}

fn drafted() -> Drafted {
    Drafted {
        lines: vec![
            (
                Change::Same,
                "/home/ada/quarterdeck/quarterdeck.yaml (changed)".into(),
            ),
            (Change::Removed, "name: old".into()),
            (Change::Added, "name: homelab".into()),
        ],
        replaces: true,
        is_written: false,
        seen: vec![Some("name: old\n".into())],
    }
}

#[test]
fn a_range_is_looked_for_and_what_listens_is_taken_in() {
    let mut model = first((80, 24), Answers::default());
    sample::press(&mut model, &["down", "down", "enter"]);
    let effects = typed(&mut model, "10.0.0.0/24");
    assert_eq!(works(&effects), [&Work::Find("10.0.0.0/24".into())]);
    let found = Candidate {
        address: "10.0.0.7".into(),
        from: KnownFrom::Typed,
        listens: Some(true),
    };
    worked(&mut model, Worked::Found(Ok(vec![found])));
    let drawn = sample::draw(&model);
    assert!(drawn.contains("[x] 10.0.0.7"), "{drawn}");
}

#[test]
fn nobody_goes_on_without_hosts_or_with_hosts_that_do_not_answer() {
    let mut model = first((80, 24), Answers::default());
    sample::press(&mut model, &["down", "down", "enter", "n"]);
    assert!(sample::draw(&model).contains("no host is chosen"));
    let mut model = hosts((80, 24));
    sample::press(&mut model, &["n"]);
    for at in 11..14 {
        let result = if at == 12 {
            Err("refused")
        } else {
            Ok(report(&format!("n{at}"), 4))
        };
        answer(&mut model, &format!("10.0.0.{at}"), result);
    }
    sample::press(&mut model, &["n"]);
    assert!(sample::draw(&model).contains("10.0.0.12 cannot be used"));
    sample::press(&mut model, &["down", "x", "n"]);
    assert!(sample::draw(&model).contains("What shall be built?"));
}

#[test]
fn a_stack_that_cannot_be_is_refused_with_the_reason() {
    let mut model = probed((120, 40));
    sample::press(&mut model, &["n", "down", "down", "down", "space"]);
    let drawn = sample::draw(&model);
    assert!(
        drawn.contains("no recipe here installs swarm yet: choose consul"),
        "{drawn}"
    );
}

#[test]
fn what_was_said_is_kept_at_every_page_and_back_keeps_it_too() {
    let mut model = hosts((80, 24));
    let effects = sample::press(&mut model, &["n"]);
    let kept = works(&effects).into_iter().find_map(|work| match work {
        Work::Remember(answers) => Some(answers.hosts.len()),
        _ => None,
    });
    assert_eq!(kept, Some(3));
    sample::press(&mut model, &["b"]);
    assert!(sample::draw(&model).contains("[x] 10.0.0.12"));
}

#[test]
fn only_what_was_shown_is_written_and_the_screens_go_on_in_the_workspace() {
    let mut model = probed((80, 24));
    sample::press(&mut model, &["n", "n", "n", "n", "n"]);
    let effects = sample::press(&mut model, &["enter"]);
    assert!(
        works(&effects).is_empty(),
        "nothing is written that was not seen: {effects:?}"
    );
    worked(&mut model, Worked::Drafted(Ok(drafted())));
    let effects = sample::press(&mut model, &["enter"]);
    let Some(Work::Write(answers, members, seen)) = works(&effects).first().copied() else {
        panic!("{effects:?}");
    };
    assert_eq!((members.len(), seen), (3, &drafted().seen));
    assert_eq!(answers.versions["consul"], "1.8.7");
    let effects = worked(&mut model, Worked::Written(Ok(())));
    assert!(effects.contains(&Effect::Quit));
    assert_eq!(model.farewell().outcome, Outcome::Written("home".into()));
}

#[test]
fn the_lab_is_one_key_away_and_its_stack_can_be_chosen() {
    let mut model = first((80, 24), Answers::default());
    let effects = sample::press(&mut model, &["space", "enter"]);
    assert!(effects.contains(&Effect::Quit));
    let nomad = crate::domain::stack::Stack::Nomad;
    assert_eq!(model.farewell().outcome, Outcome::Lab(Some(nomad)));
}

#[test]
fn who_adopts_is_not_asked_what_to_install() {
    let answers = Answers {
        purpose: Purpose::Adopt,
        ..Answers::default()
    };
    let mut model = first((80, 24), answers);
    sample::press(&mut model, &["down", "down", "down", "enter"]);
    let effects = typed(&mut model, "http://10.0.0.11:8500");
    let asked = |effects: &[Effect]| {
        let service = works(effects).into_iter().find_map(|work| match work {
            Work::Members(_, service) => Some(service.secret.clone()),
            _ => None,
        });
        service.unwrap()
    };
    let token = SecretRef::Env("CONSUL_HTTP_TOKEN".into());
    assert_eq!(asked(&effects), Some(token));
    sample::press(&mut model, &["down"]);
    sample::press(&mut model, &["enter", "ctrl-u"]);
    sample::type_text(&mut model, "~/consul.token");
    let effects = sample::press(&mut model, &["enter"]);
    let token = SecretRef::File("/home/ada/consul.token".into());
    assert_eq!(asked(&effects), Some(token));
    let columns = ["NAME", "STATE", "TYPE", "ADDRESS"];
    let mut members = crate::domain::table::Table::new("Members", columns, "none");
    for (name, part, address) in [("n1", "leader", "10.0.0.11"), ("n2", "client", "10.0.0.12")] {
        let cells = [name.into(), "alive".into(), part.into(), address.into()];
        members.push(name, cells);
    }
    worked(
        &mut model,
        Worked::Members(crate::domain::service::ServiceKind::Consul, Ok(members)),
    );
    let drawn = sample::draw(&model);
    assert!(drawn.contains("2/6"), "{drawn}");
    assert!(drawn.contains("[x]"), "{drawn}");
}

#[test]
fn who_comes_again_finds_the_cursor_on_what_was_chosen() {
    let again = |size| {
        let mut setup = Setup::new(sample::now(), size);
        setup.place = Place::Wizard;
        setup.beginning = Some(Beginning {
            resumed: true,
            answers: Answers {
                purpose: Purpose::Adopt,
                ..Answers::default()
            },
            ..beginning(None)
        });
        Model::new(setup)
    };
    picture("again", again);
    let mut model = again((80, 24));
    sample::press(&mut model, &["enter"]);
    assert!(sample::draw(&model).contains("Where is what runs already?"));
    sample::press(&mut model, &["b", "enter"]);
    assert!(
        sample::draw(&model).contains("Where is what runs already?"),
        "the same after going back"
    );
}

#[test]
fn the_first_page_and_the_last_have_no_page_before_and_do_not_leave_for_it() {
    let mut model = first((80, 24), Answers::default());
    sample::press(&mut model, &["b"]);
    assert_eq!(*model.place(), Place::Wizard);
    assert!(sample::draw(&model).contains("This is the first page"));
    let mut setup = Setup::new(sample::now(), (80, 24));
    setup.beginning = Some(beginning(Some("lab")));
    setup.place = Place::Wizard;
    let mut model = sample::with(setup);
    let drawn = sample::draw(&model);
    let foot = drawn.lines().last().unwrap();
    assert!(
        !foot.contains("n next") && !foot.contains("b back"),
        "{foot}"
    );
    sample::press(&mut model, &["b"]);
    assert_eq!(*model.place(), Place::Wizard);
    sample::press(&mut model, &["esc"]);
    assert_eq!(*model.place(), Place::Bridge);
}
