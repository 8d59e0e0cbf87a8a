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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/recipes");
    let mut expected: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    expected.sort();
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
    assert_eq!(unit("consul.servers"), unit("consul.clients"));
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
        none_like_it.contains("copy-from, copy-to, deploy,"),
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

/// A workspace with these recipes, by name.
fn workspace(recipes: &[(&str, &str)]) -> (tempfile::TempDir, Library) {
    let directory = tempfile::tempdir().unwrap();
    for (name, rest) in recipes {
        let text = format!("name: {name}\ntitle: {name}\n{rest}");
        fs::write(directory.path().join(format!("{name}.yaml")), text).unwrap();
    }
    let library = Library::load(Some(directory.path()));
    (directory, library)
}

const REPORT: &str = "report: { text: x }";

#[test]
fn the_steps_of_a_called_recipe_take_the_place_of_the_call() {
    let outer = format!(
        "risk: change\nsteps:\n  - {{ id: first, title: A, {REPORT} }}\n  - {{ id: software, title: B, needs: [first], when: env.name == \"x\", \
         recipe: {{ name: inner }} }}\n  - {{ id: last, title: C, needs: [software], {REPORT} }}\n"
    );
    let inner = format!(
        "risk: read\nparams: [{{ name: size, help: how much, default: 3 }}]\nsteps:\n  - {{ id: a, title: A, {REPORT} }}\n  \
         - {{ id: b, title: B, needs: [a], when: params.size > 1, {REPORT} }}\n  - {{ id: c, title: C, needs: [a], {REPORT} }}\n"
    );
    let (_directory, library) = workspace(&[("outer", &outer), ("inner", &inner)]);
    assert_eq!(library.problems(), []);
    let recipe = library.recipe("outer").unwrap();
    let ids: Vec<&str> = recipe.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(
        ids,
        ["first", "software.a", "software.b", "software.c", "last"]
    );
    let step = |id: &str| recipe.steps.iter().find(|step| step.id == id).unwrap();
    assert_eq!(step("software.a").needs, ["first"]);
    // Whose step it is, where its own title does not say it.
    assert_eq!(step("software.a").title, "B: A");
    assert_eq!(step("software.b").title, "B");
    assert_eq!(step("software.b").needs, ["software.a"]);
    assert_eq!(step("last").needs, ["software.b", "software.c"]);
    assert_eq!(
        step("software.b").when.as_deref(),
        Some("(env.name == \"x\") and (params.size > 1)")
    );
    assert_eq!(recipe.params[0].name, "size");
}

#[test]
fn a_recipe_that_the_workspace_replaces_is_replaced_wherever_it_is_called() {
    let own = format!("risk: change\nsteps:\n  - {{ id: ours, title: Ours, {REPORT} }}\n");
    let (_directory, library) = workspace(&[("consul", &own)]);
    let deploy = library.recipe("deploy").unwrap();
    let of_consul: Vec<&str> = deploy
        .steps
        .iter()
        .map(|step| step.id.as_str())
        .filter(|id| id.starts_with("consul."))
        .collect();
    assert_eq!(of_consul, ["consul.ours"]);
}

#[test]
fn some_steps_of_a_recipe_are_called_without_what_the_others_wait_for() {
    let library = Library::load(None);
    assert_eq!(library.problems(), []);
    let join = library.recipe("join").unwrap();
    let step = |id: &str| join.steps.iter().find(|step| step.id == id).unwrap();
    assert!(
        step("consul.brought-dependencies")
            .needs
            .contains(&"machine-id".to_owned())
    );
    assert_eq!(
        step("consul.brought-package").needs,
        ["consul.brought-dependencies"]
    );
    assert!(
        step("consul.clients").needs.contains(&"ports".to_owned()),
        "that the cluster has a leader is not waited for"
    );
}

#[test]
fn a_call_that_cannot_be_made_is_told_and_its_recipe_left_out() {
    let call = |recipe: &str, more: &str| {
        format!("risk: read\nsteps:\n  - {{ id: go, title: Go, recipe: {recipe}{more} }}\n")
    };
    let risky = format!("risk: destroy\nsteps:\n  - {{ id: a, title: A, {REPORT} }}\n");
    for (text, complaint) in [
        (call("{ name: consol }", ""), "no recipe called \"consol\""),
        (
            call("{ name: verify, steps: [clok] }", ""),
            "has no step \"clok\"",
        ),
        (call("{ name: risky }", ""), "has the risk destroy"),
        (call("{ name: mine }", ""), "call one another: mine → mine"),
        (
            call("{ name: verify }", ", retries: 2"),
            "those of the called steps",
        ),
    ] {
        let (_directory, library) = workspace(&[("mine", &text), ("risky", &risky)]);
        let problems = library.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].message.contains(complaint), "{problems:?}");
        assert!(library.recipe("mine").is_err());
    }
}
