//! Whole workspaces: mistakes of all files at once, files that are missing or cannot be read.

use super::*;

fn workspace(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn seen(files: &[(&str, &str)]) -> String {
    let dir = workspace(files);
    let drawn = render(&check(dir.path(), recipes).diagnostics, false);
    drawn.replace(&*dir.path().to_string_lossy(), "ROOT")
}

#[test]
fn mistakes_of_all_files_are_told_together() {
    assert_snapshot!(seen(&[
        (
            "quarterdeck.yaml",
            "name: home\ndefault_environment: prodution\npoll: {nodes: 10ms, services: fast}\ntheme: dark\nconcurrency: 0\nrecipes: nowhere\n"
        ),
        ("environments/a.yaml", ORIGINAL),
        ("environments/b.yml", "environment: {name: production}\n"),
        ("environments/.hidden.yaml", "nonsense"),
        ("environments/notes.txt", "nonsense"),
    ]));
}

#[test]
fn a_workspace_without_environments_says_how_to_begin() {
    assert_snapshot!(seen(&[("quarterdeck.yaml", "name: home\n")]));
}

#[test]
fn own_recipes_are_checked_too() {
    assert_snapshot!(seen(&[
        ("quarterdeck.yaml", "name: home\n"),
        ("environments/a.yaml", SOUND),
        (
            "recipes/bad.yaml",
            "name: bad\ntitle: Bad\nrisk: high\nsteps:\n- id: a\n  title: A\n  need: [b]\n  ensure:\n  - packge: {name: consul}\n  - file: {path: /etc/x}\n",
        ),
    ]));
}

#[test]
fn files_that_cannot_be_read_are_told_and_the_others_checked() {
    let dir = workspace(&[
        ("quarterdeck.yaml", "name: home\n"),
        ("environments/a.yaml", SOUND),
    ]);
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(dir.path().join("environments").join(name), bytes).unwrap();
    };
    write("big.yaml", &vec![b'#'; (1 << 20) + 1]);
    write("latin1.yaml", b"environment:\n  name: caf\xe9\n");
    std::fs::create_dir(dir.path().join("environments/dir.yaml")).unwrap();
    let checked = check(dir.path(), recipes);
    assert!(checked.workspace.is_none());
    assert_snapshot!(render(&checked.diagnostics, false));
}

#[test]
fn a_missing_workspace_file_is_a_diagnostic() {
    let dir = tempfile::tempdir().unwrap();
    let checked = check(dir.path(), recipes);
    assert_eq!(checked.counts(), (1, 0));
    assert_eq!(checked.diagnostics[0].code, "unreadable");
}

#[test]
fn warnings_do_not_stop_a_workspace() {
    let text = SOUND.replace("192.0.2.2", "192.0.2.1");
    let dir = workspace(&[
        ("quarterdeck.yaml", "name: home\n"),
        ("environments/a.yaml", &text),
    ]);
    let checked = check(dir.path(), recipes);
    assert_eq!(checked.counts(), (0, 1));
    assert!(checked.workspace.is_some());
}
