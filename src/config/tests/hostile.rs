//! Input that nobody would write: it is survived, and no secret in it is shown.

use super::*;

/// A sound file with one piece of it replaced by another piece of it, or by noise.
fn mutated() -> impl Strategy<Value = String> {
    let files: Vec<String> = ["local", "development", "staging", "production"]
        .iter()
        .map(|name| {
            std::fs::read_to_string(example().join(format!("environments/{name}.yaml"))).unwrap()
        })
        .chain([ORIGINAL.to_owned(), SOUND.to_owned()])
        .collect();
    let noise = prop_oneof![
        Just(String::new()),
        "[\\PC\t\r\n]{0,8}",
        "[-:{}\\[\\]&*!|>'\"%@`#,? \n\t0-9.]{1,6}",
        Just("<<: *master".to_owned()),
        Just("~".to_owned()),
        Just("1e999".to_owned()),
        Just("22.0".to_owned()),
        Just("-1".to_owned()),
    ];
    let edit = (any::<prop::sample::Index>(), 0..40_usize, noise);
    (
        prop::sample::select(files),
        prop::collection::vec(edit, 1..4),
    )
        .prop_map(|(file, edits)| {
            let mut text: Vec<char> = file.chars().collect();
            for (at, length, noise) in edits {
                let at = at.index(text.len().max(1)).min(text.len());
                let end = (at + length).min(text.len());
                text.splice(at..end, noise.chars());
            }
            text.into_iter().collect()
        })
}

fn survives(text: &str) {
    let (environment, diagnostics) = environment(text);
    let drawn = render(&diagnostics, false);
    assert!(
        !drawn
            .chars()
            .any(|character| character.is_control() && character != '\n')
    );
    assert_eq!(
        environment.is_none(),
        diagnostics.iter().any(Diagnostic::is_error)
    );
    for diagnostic in &diagnostics {
        let Place { text, mark, .. } = &diagnostic.place;
        assert!(text.get(mark.start..mark.end).is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(source) = source::Source::from_bytes(Path::new("x.yaml"), bytes) {
            survives(source.text());
        }
    }

    #[test]
    fn any_text_is_survived(text in "[\\PC\\s]{0,200}") {
        survives(&text);
        let _ = recipe_from(Path::new("recipes/x.yaml"), &text);
    }

    #[test]
    fn mutated_files_are_survived(text in mutated()) {
        survives(&text);
    }

    #[test]
    fn a_secret_is_never_shown_whatever_else_is_wrong(
        edits in mutated(),
        secret in "[A-Z][a-z]{5}[0-9]{6}[A-Za-z0-9]{4}",
        form in prop::sample::select(vec![
            "secret: SECRET", "  secret: 'SECRET'", "vault_token: \"SECRET", "password: {SECRET}", "url: http://u:SECRET@h",
            "secret: {value: SECRET}", "secret: [SECRET, SECRET]", "secret: |\n    SECRET\n    SECRET", "- password: SECRET",
        ]),
        at in any::<prop::sample::Index>(),
    ) {
        let mut lines: Vec<&str> = edits.lines().collect();
        let line = form.replace("SECRET", &secret);
        let at = at.index(lines.len() + 1);
        lines.insert(at, &line);
        let (_, diagnostics) = environment(&lines.join("\n"));
        let drawn = render(&diagnostics, false) + &serde_json::to_string(&diagnostics).unwrap();
        prop_assert!(!drawn.contains(&secret), "{drawn}");
    }
}
