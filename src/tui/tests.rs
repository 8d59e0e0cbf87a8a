//! The screens as a whole: pictures at three sizes, keys and what they lead to, and that nothing makes them fall over.

#[path = "../../tests/support/picture.rs"]
mod picture;

use super::sample;

/// Writes pictures of every screen to the directory in `QUARTERDECK_PICTURES`, to look at while working on them.
#[test]
#[ignore = "writes files for people to look at"]
fn look() {
    let dir = std::path::PathBuf::from(std::env::var("QUARTERDECK_PICTURES").unwrap());
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let shots: &[(&str, &[&str])] = &[
            ("bridge", &[]),
            ("nodes", &[":", "n", "o", "d", "e", "s", "enter"]),
            ("node", &["enter"]),
            ("node-lost", &["down", "enter"]),
            (
                "services",
                &[":", "s", "e", "r", "v", "i", "c", "e", "s", "enter"],
            ),
            ("service", &["3", "enter"]),
            ("run", &["4", "enter"]),
            ("run-failed", &["4", "down", "enter"]),
            ("runs", &[":", "r", "u", "n", "s", "enter"]),
            ("findings", &["5"]),
            ("recipes", &[":", "r", "e", "c", "i", "enter"]),
            ("environments", &["1", "enter"]),
            ("production", &["1", "down", "down"]),
            ("palette", &[":", "p", "c"]),
            ("actions", &["a"]),
            ("form", &["a", "enter"]),
            ("plan", &["a", "enter", "enter", "enter"]),
            (
                "plan-typed",
                &["1", "down", "down", "2", "a", "enter", "enter", "enter"],
            ),
            ("help", &["?"]),
            ("quit", &["q"]),
            ("zoom", &["z"]),
        ];
        let wanted = std::env::var("QUARTERDECK_ONLY").unwrap_or_default();
        for (name, keys) in shots
            .iter()
            .filter(|(name, _)| format!("{name}-{width}").contains(&wanted))
        {
            let mut model = sample::model((width, height));
            sample::press(&mut model, keys);
            let svg = picture::svg(&sample::buffer(&model), name);
            std::fs::write(
                dir.join(format!("{name}-{width}x{height}.png")),
                picture::png(&svg),
            )
            .unwrap();
        }
    }
}
