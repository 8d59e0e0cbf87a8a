//! Reports: as JSON, with colour or without, and bounded however many mistakes there are.

use super::*;

#[test]
fn json_has_everything_that_a_script_needs() {
    let (_, diagnostics) = environment(&SOUND.replace("odroid-h4", "odroid-h5"));
    let json = serde_json::to_value(&diagnostics).unwrap();
    let first = &json[0];
    for (key, value) in [
        ("severity", serde_json::json!("error")),
        ("code", "unknown-word".into()),
        ("file", "environments/test.yaml".into()),
        ("line", 11.into()),
        ("column", 15.into()),
        ("message", "unknown platform `odroid-h5`".into()),
    ] {
        assert_eq!(first[key], value, "{json:#}");
    }
    let (start, end) = (
        first["span"]["start"].as_u64().unwrap(),
        first["span"]["end"].as_u64().unwrap(),
    );
    assert_eq!(end - start, 9);
}

#[test]
fn colour_is_only_used_when_asked_for() {
    let (_, diagnostics) = environment("- a");
    assert!(render(&diagnostics, true).contains('\u{1b}'));
    assert!(!render(&diagnostics, false).contains('\u{1b}'));
    assert_eq!(render(&[], true), "");
}

#[test]
fn a_flood_of_mistakes_is_cut_short() {
    let mut text = SOUND.to_owned();
    for number in 0..5000 {
        let _ = writeln!(text, "junk{number}: 1");
    }
    let (_, diagnostics) = environment(&text);
    assert!(diagnostics.len() <= 110, "{}", diagnostics.len());
}

#[test]
fn floods_of_every_kind_end_in_a_bounded_report() {
    let flood = |piece: &str| {
        let mut text = SOUND.to_owned() + "variables:\n";
        while text.len() + piece.len() < 200_000 {
            text.push_str(piece);
        }
        text
    };
    let nodes = SOUND.replace(
        "services:\n",
        &("- {name: a, address: b, platform: generic}\n".repeat(1000) + "services:\n"),
    );
    let services = nodes.replace("- {", "  - {") + &"  - {kind: vault, nodes: [b]}\n".repeat(250);
    for text in [
        flood("  token: x\n"),
        flood("  a: hvs.CAESIAbcdefghijklmnopqrstuvwx\n"),
        flood("  - a\n"),
        flood("  ? [\n"),
        services,
    ] {
        let (_, diagnostics) = environment(&text);
        assert!(
            (1..=201).contains(&diagnostics.len()),
            "{}",
            diagnostics.len()
        );
    }
}

#[test]
fn an_alias_bomb_is_refused_before_it_goes_off() {
    let mut text = "variables:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(text, "  a{level}: &a{level} [{below}]");
    }
    let (_, diagnostics) = environment(&text);
    assert_eq!(diagnostics[0].code, "too-deep");
}

#[test]
fn nesting_without_end_is_refused() {
    for text in [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
    ] {
        let (environment, diagnostics) = environment(&text);
        assert!(environment.is_none());
        assert_eq!(diagnostics.len(), 1);
    }
}
