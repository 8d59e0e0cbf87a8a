use std::fs;

use super::*;
use crate::domain::recipe::Work;
use crate::domain::resource::Resource;

/// A recipe around these steps, which are the lines from 5 on.
fn with_steps(steps: &str) -> String {
    format!("name: mine\ntitle: Mine\nrisk: change\nsteps:\n{steps}")
}

/// Everything the library says about this text in `recipes/mine.yaml`.
fn complaints(text: &str) -> String {
    match parse(Path::new("recipes/mine.yaml"), text.as_bytes(), None) {
        Ok(recipe) => panic!("nothing is wrong with {recipe:?}"),
        Err(problems) => problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

#[test]
fn every_built_in_recipe_is_sound() {
    let library = Library::load(None);
    assert_eq!(library.problems(), []);
    let names: Vec<&str> = library
        .recipes()
        .map(|recipe| recipe.name.as_str())
        .collect();
    let expected = [
        "copy-from",
        "copy-to",
        "deploy",
        "drain",
        "exec",
        "join",
        "power-off",
        "power-on",
        "reboot",
        "remove",
        "restart-unit",
        "snapshot",
        "start-unit",
        "stop-unit",
        "verify",
    ];
    assert_eq!(names, expected);
    assert_eq!(library.origin("deploy"), Some(&Origin::BuiltIn));
}

#[test]
fn yaml_anchors_give_servers_and_clients_the_same_unit() {
    let library = Library::load(None);
    let deploy = library.recipe("deploy").unwrap();
    let unit = |id: &str| {
        let step = deploy.steps.iter().find(|step| step.id == id).unwrap();
        let Work::Ensure(resources) = step.work().unwrap() else {
            panic!("{id} ensures nothing")
        };
        resources
            .iter()
            .find(|resource| matches!(resource.resource, Resource::SystemdUnit(_)))
            .unwrap()
            .clone()
    };
    assert_eq!(unit("servers"), unit("clients"));
}

#[test]
fn the_recipes_of_the_example_workspace_are_sound() {
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/recipes");
    let library = Library::load(Some(&recipes));
    assert_eq!(library.problems(), []);
    assert!(library.recipe("provision").is_ok());
}

#[test]
fn a_recipe_of_the_workspace_replaces_the_built_in_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("verify.yaml");
    fs::write(
        &path,
        "name: verify\ntitle: Ours\nrisk: read\nsteps:\n  - { id: done, title: Done, report: {} }\n",
    )
    .unwrap();
    fs::write(directory.path().join("README.md"), "not a recipe").unwrap();
    let library = Library::load(Some(directory.path()));
    assert_eq!(library.problems(), []);
    assert_eq!(library.recipe("verify").unwrap().title, "Ours");
    assert_eq!(library.origin("verify"), Some(&Origin::File(path)));
    assert!(library.recipe("deploy").is_ok());
}

#[test]
fn a_broken_recipe_is_left_out_and_told_while_the_others_stay() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("backup.yaml");
    fs::write(&path, "name: backup\ntitle: Backup\nsteps: []\n").unwrap();
    let library = Library::load(Some(directory.path()));
    assert_eq!(library.problems().len(), 1);
    let error = library.recipe("backup").unwrap_err().to_string();
    assert!(
        error.contains("its file is wrong") && error.contains("`risk`"),
        "{error}"
    );
    assert!(library.recipe("verify").is_ok());
}

#[test]
fn a_missing_directory_holds_no_recipes() {
    let library = Library::load(Some(Path::new("/nowhere/recipes")));
    assert_eq!(library.problems(), []);
}

#[test]
fn an_unknown_recipe_gets_the_nearest_name_or_all_of_them() {
    let library = Library::load(None);
    assert_eq!(
        library.recipe("deplyo").unwrap_err().to_string(),
        "there is no recipe called \"deplyo\"; did you mean \"deploy\"?"
    );
    let none_like_it = library.recipe("zzz").unwrap_err().to_string();
    assert!(
        none_like_it.contains("there are copy-from, copy-to, deploy,"),
        "{none_like_it}"
    );
}

#[test]
fn files_that_cannot_be_recipes_are_told_and_not_read_whole() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("big.yaml"),
        vec![b'#'; 1024 * 1024 + 1],
    )
    .unwrap();
    fs::write(directory.path().join("binary.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    fs::create_dir(directory.path().join("folder.yaml")).unwrap();
    let library = Library::load(Some(directory.path()));
    let text: Vec<String> = library.problems().iter().map(ToString::to_string).collect();
    assert!(
        text[0].contains("big.yaml: is larger than 1 MiB"),
        "{text:?}"
    );
    assert!(text[1].contains("binary.yaml: is not UTF-8"), "{text:?}");
    assert!(text[2].contains("folder.yaml: cannot be read"), "{text:?}");
}

#[test]
fn every_mistake_of_a_recipe_is_told_with_its_place_in_one_go() {
    insta::assert_snapshot!(complaints(&with_steps(
        r#"  - id: One
    title: a name in capitals
    report: {}
  - id: two
    title: two kinds of work
    tcp: { host: a, port: 1 }
    report: {}
  - id: two
    title: the same id again, and none
    timeout: 90
  - id: four
    title: an unknown need and a timeout that is none
    needs: [two, tow]
    timeout: soon
    report: {}
  - id: five
    title: work on nodes without nodes, nothing in it
    parallel: 0
    ensure: []
  - id: six
    title: templates
    on: {}
    when: nodee.arch == "arm64"
    run: { argv: ["{{ env.name", "{{ params.none }}"], check: outptu == "" }
  - id: seven
    title: commands
    on: {}
    ensure:
      - command: { argv: [ls] }
      - command: { argv: [], creates: /x }
  - id: eight
    title: a report per node
    on: {}
    report: { text: "{{ 1 }}" }
"#
    )));
}

#[test]
fn a_circle_of_needs_is_told_at_one_of_its_steps() {
    assert_eq!(
        complaints(&with_steps(
            "  - { id: a, title: A, needs: [b], report: {} }\n  - { id: b, title: B, needs: [a], report: {} }\n"
        )),
        "recipes/mine.yaml:5:11: steps wait for one another: a → b → a"
    );
}

#[test]
fn a_name_that_is_not_the_files_is_told_at_the_name() {
    let text = with_steps("  - { id: a, title: A, report: {} }\n").replace("mine", "yours");
    assert_eq!(
        complaints(&text),
        "recipes/mine.yaml:1:7: the recipe is called \"yours\", so its file must be called yours.yaml"
    );
}

#[test]
fn yaml_mistakes_have_a_place_and_no_second_copy_of_it() {
    let cases = [
        ("name: [", "1:"),
        (
            "name: mine\ntitle: Mine\nrisk: terrible\nsteps: []\n",
            "3:7: ",
        ),
        (
            "name: mine\ntitle: Mine\nrisk: read\nsteps:\n  - { id: a, title: A, reprot: {} }\n",
            "5:24: ",
        ),
        ("name: mine\nname: mine\n", "2:"),
        ("", "recipes/mine.yaml:"),
    ];
    for (text, place) in cases {
        let complaint = complaints(text);
        assert!(complaint.contains(place), "{text:?}: {complaint}");
        assert!(!complaint.contains("at line"), "{text:?}: {complaint}");
    }
}

#[test]
fn a_recipe_without_steps_is_refused() {
    assert_eq!(
        complaints("name: mine\ntitle: Mine\nrisk: read\nsteps: []\n"),
        "recipes/mine.yaml:1:7: the recipe has no steps"
    );
}

#[test]
fn no_text_makes_the_library_panic() {
    use proptest::prelude::*;
    proptest!(|(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[a-z:{}\\[\\]\n -]{0,200}")| {
        let _ = parse(Path::new("mine.yaml"), &bytes, None);
        let _ = parse(Path::new("mine.yaml"), with_steps(&text).as_bytes(), None);
    });
}

#[test]
fn steps_that_are_included_come_first_and_wait_for_what_comes_before_them() {
    let library = Library::load(None);
    assert_eq!(library.problems(), []);
    let join = library.recipe("join").unwrap();
    let step = |id: &str| join.steps.iter().find(|step| step.id == id).unwrap();
    assert!(
        step("brought-dependencies")
            .needs
            .contains(&"machine-id".to_owned())
    );
    assert_eq!(step("brought-package").needs, ["brought-dependencies"]);
    assert!(
        step("clients").needs.contains(&"ports".to_owned()),
        "deploy's leader is not waited for"
    );
    assert_eq!(step("seen").needs, ["servers", "clients"]);
}

#[test]
fn what_cannot_be_included_is_told() {
    for (include, complaint) in [
        (
            "{recipe: deply, steps: [servers]}",
            "no built-in recipe called \"deply\"",
        ),
        (
            "{recipe: deploy, steps: [server]}",
            "\"deploy\" has no step \"server\"",
        ),
    ] {
        let text = format!(
            "name: own\ntitle: Own\nrisk: read\ninclude: {include}\nsteps: [{{id: tell, title: Tell, report: {{text: x}}}}]\n"
        );
        let problems = parse(Path::new("own.yaml"), text.as_bytes(), None).unwrap_err();
        assert!(problems[0].message.contains(complaint), "{problems:?}");
    }
}
