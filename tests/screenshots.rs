//! The pictures in `screenshots/`: made from the real views on a recorded session with the lab, never by hand.
//!
//! ```sh
//! cargo test --test screenshots                                                # do they still match?
//! QUARTERDECK_SCREENSHOTS=draw cargo test --test screenshots pictures          # draw them anew, then look at them
//! QUARTERDECK_SCREENSHOTS=record cargo test --test screenshots -- --ignored    # play the session anew (about a minute)
//! ```

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be read or written fails the test"
)]

#[path = "support/picture.rs"]
mod picture;
#[path = "support/recording.rs"]
mod recording;
#[path = "support/tape.rs"]
mod tape;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use quarterdeck::domain::bootstrap::Answers;
use quarterdeck::domain::theme::ThemeName;
use quarterdeck::tui::Beginning;
use tape::Tape;

/// A picture: its file, its caption, the moment, the size, the keys that lead there, and the theme.
struct Shot {
    name: &'static str,
    title: &'static str,
    moment: &'static str,
    size: (u16, u16),
    keys: &'static str,
    theme: ThemeName,
    /// Whether there is no workspace yet.
    new: bool,
}

const fn shot(
    name: &'static str,
    title: &'static str,
    moment: &'static str,
    size: (u16, u16),
    keys: &'static str,
) -> Shot {
    Shot {
        name,
        title,
        moment,
        size,
        keys,
        theme: ThemeName::Default,
        new: false,
    }
}

const SHOTS: &[Shot] = &[
    shot(
        "bridge",
        "The Bridge while a deploy runs",
        "running",
        (132, 40),
        "",
    ),
    shot(
        "bridge-80x24",
        "The Bridge on a small terminal",
        "running",
        (80, 24),
        "",
    ),
    shot(
        "bridge-trouble",
        "The Bridge after a power cut",
        "failed",
        (132, 40),
        "",
    ),
    shot("nodes", "Nodes", "done", (132, 24), ":nodes<enter>"),
    shot(
        "service",
        "What is in a service",
        "done",
        (120, 30),
        ":consul<enter>",
    ),
    shot(
        "plan",
        "A plan and its gate",
        "done",
        (120, 36),
        "1a<enter><enter>",
    ),
    shot(
        "run",
        "A deploy with its live log",
        "running",
        (120, 40),
        "4<enter>",
    ),
    shot(
        "run-failed",
        "A failed step",
        "failed",
        (120, 40),
        "4<enter>",
    ),
    shot(
        "findings",
        "What is wrong, and what follows from it",
        "failed",
        (120, 36),
        ":findings<enter>",
    ),
    shot(
        "unseal",
        "The seals of a Vault",
        "sealed",
        (100, 24),
        ":unseal<enter>",
    ),
    shot(
        "snapshots",
        "What was saved, and whether it is whole",
        "sealed",
        (120, 24),
        ":snapshots<enter>",
    ),
    shot(
        "drift",
        "What differs from what is declared",
        "sealed",
        (120, 36),
        ":drift<enter>",
    ),
    Shot {
        new: true,
        ..shot(
            "first-start",
            "The first start",
            "done",
            (80, 24),
            ":bootstrap<enter>",
        )
    },
    shot(
        "help",
        "Help, made from the live bindings",
        "done",
        (120, 40),
        "?",
    ),
    Shot {
        theme: ThemeName::Mono,
        ..shot(
            "bridge-mono",
            "Without any colour (NO_COLOR)",
            "failed",
            (100, 30),
            "",
        )
    },
];

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots")
}

#[tokio::test]
async fn pictures_show_what_the_views_draw_today() {
    let draw = std::env::var("QUARTERDECK_SCREENSHOTS").is_ok_and(|mode| mode == "draw");
    let tape = Arc::new(Tape::load());
    let mut stale = Vec::new();
    for shot in SHOTS {
        let buffer = tape::shoot(&tape, shot.moment, shot.size, shot.keys, |setup| {
            setup.theme = shot.theme;
            setup.beginning = shot.new.then(|| Beginning {
                answers: Answers::default(),
                resumed: false,
                trouble: None,
                dir: "/home/operator/cluster".into(),
                exists: false,
                written: None,
                home: None,
                variables: Vec::new(),
            });
        })
        .await;
        let svg = picture::svg(&buffer, shot.title);
        let (vector, pixels) = (
            folder().join(format!("{}.svg", shot.name)),
            folder().join(format!("{}.png", shot.name)),
        );
        if draw {
            fs::create_dir_all(folder()).unwrap();
            fs::write(&vector, &svg).unwrap();
            fs::write(&pixels, picture::png(&svg)).unwrap();
        } else if fs::read_to_string(&vector).ok().as_deref() != Some(&svg) || !pixels.exists() {
            stale.push(shot.name);
        }
    }
    assert!(
        stale.is_empty(),
        "the screens changed, these pictures did not: {}\ndraw them anew: QUARTERDECK_SCREENSHOTS=draw cargo test --test screenshots pictures",
        stale.join(", ")
    );
}

#[test]
fn every_picture_is_of_a_shot() {
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(
            SHOTS.iter().any(|shot| shot.name == name),
            "{} is drawn by nothing",
            path.display()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "plays the session anew: QUARTERDECK_SCREENSHOTS=record cargo test --test screenshots -- --ignored"]
async fn record() {
    if std::env::var("QUARTERDECK_SCREENSHOTS").is_ok_and(|mode| mode == "record") {
        recording::record().await;
    }
}
