//! The arrows of the house: which room may use which. The picture is in the crate's documentation.

#![allow(
    clippy::unwrap_used,
    reason = "a source file that cannot be read fails the test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A room and the rooms it may name in `crate::…` paths. `domain` is open to all, and so are `clock` and `fault`.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock", &[]),
    ("fault", &[]),
    ("config", &[]),
    ("transport", &[]),
    ("store", &[]),
    ("services", &["transport"]),
    ("resources", &["transport"]),
    ("steps", &["resources", "services", "transport"]),
    ("client", &["store"]),
    (
        "engine",
        &[
            "client",
            "config",
            "resources",
            "services",
            "steps",
            "store",
            "transport",
        ],
    ),
    ("lab", &[]),
    ("tui", &["client", "store"]),
    (
        "cli",
        &[
            "client",
            "config",
            "engine",
            "lab",
            "resources",
            "services",
            "steps",
            "store",
            "transport",
            "tui",
        ],
    ),
];

/// Crates that only some rooms may know.
const FENCED: &[(&str, &[&str])] = &[
    (
        "tokio",
        &[
            "fault",
            "cli",
            "client",
            "engine",
            "lab",
            "resources",
            "services",
            "steps",
            "store",
            "transport",
            "tui",
        ],
    ),
    ("reqwest", &["services", "transport"]),
    ("russh", &["lab", "transport"]),
    ("kube", &["services"]),
    ("rusqlite", &["store"]),
    ("ratatui", &["tui"]),
    ("axum", &["lab"]),
];

#[test]
fn no_arrow_points_up_or_sideways() {
    let mut wrong = Vec::new();
    for (room, file, code) in sources() {
        let allowed = ARROWS
            .iter()
            .find(|(name, _)| *name == room)
            .unwrap_or_else(|| {
                panic!(
                    "{}: a room called {room} is not in the picture",
                    file.display()
                )
            })
            .1;
        for used in rooms_named_in(&code) {
            let open = used == room
                || used == "domain"
                || ((used == "clock" || used == "fault") && room != "domain");
            if !open && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{}: {room} uses {used}", file.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that are not in the picture:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn fenced_crates_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    // A room's own tests may play the other side of its wire.
    let is_test = |file: &Path| file.ends_with("tests.rs") || file.ends_with("testing.rs");
    for (room, file, code) in sources().into_iter().filter(|(_, file, _)| !is_test(file)) {
        for (name, rooms) in FENCED {
            if code.contains(&format!("{name}::")) && !rooms.contains(&room.as_str()) {
                wrong.push(format!("{}: {room} uses {name}", file.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "crates outside their fence:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_file_teaches_what_it_is_for() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|(_, file, _)| !file.ends_with("tests.rs"))
        .filter(|(_, file, _)| !fs::read_to_string(file).unwrap().starts_with("//!"))
        .map(|(_, file, _)| file.display().to_string())
        .collect();
    assert!(
        silent.is_empty(),
        "files without a header:\n{}",
        silent.join("\n")
    );
}

/// Every source file with its room and its code, comments left out.
fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 20, "the sources were not found");
    files
        .into_iter()
        .filter_map(|file| {
            let inside = file.strip_prefix(&root).unwrap();
            let first = inside
                .components()
                .next()
                .unwrap()
                .as_os_str()
                .to_str()
                .unwrap();
            let room = first.trim_end_matches(".rs").to_owned();
            if matches!(room.as_str(), "lib" | "main") {
                return None;
            }
            let text = fs::read_to_string(&file).unwrap();
            let code = text
                .lines()
                .map(|line| line.split("//").next().unwrap_or_default())
                .collect::<Vec<_>>()
                .join("\n");
            Some((room, file, code))
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The first names after `crate::`, also in `crate::{a, b}` lists.
fn rooms_named_in(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        rooms.insert(first_name(&name));
                        name.clear();
                    }
                    c if depth == 0 => name.push(c),
                    _ => {}
                }
            }
            rooms.insert(first_name(&name));
        } else {
            rooms.insert(first_name(rest));
        }
    }
    rooms.remove("");
    rooms.retain(|room| ARROWS.iter().any(|(name, _)| name == room));
    rooms
}

fn first_name(path: &str) -> String {
    path.trim()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}
