use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::resource::{FileSpec, PackageSpec};
use crate::steps::testing::staging;

fn templates() -> Templates {
    let params = BTreeMap::from([("unit".to_owned(), json!("consul.service"))]);
    Templates::new(&staging(), &params)
}

fn text(host: Option<&str>, template: &str) -> Result<String, String> {
    templates()
        .scope(host)
        .text(template)
        .map_err(|error| error.to_string())
}

#[test]
fn a_template_sees_environment_node_and_parameters() {
    let seen = text(
        Some("pc3"),
        "{{ env.name }} {{ node.name }} {{ node.arch }}/{{ node.machine }} {{ params.unit }} {{ env.variables.motd }}",
    );
    assert_eq!(
        seen.unwrap(),
        "staging pc3 amd64/x86_64 consul.service hello"
    );
}

#[test]
fn nodes_are_found_by_role_and_turned_into_addresses() {
    let seen = text(
        None,
        r#"{{ nodes_with("consul-server") | addresses | tojson }}"#,
    );
    assert_eq!(seen.unwrap(), r#"["10.0.0.1", "10.0.0.2", "10.0.0.3"]"#);
}

#[test]
fn nodes_behind_another_address_meet_on_their_lan() {
    let mut environment = staging();
    let labels = &mut environment.nodes[1].labels;
    labels.insert("lan".into(), "192.168.7.2".into());
    let templates = Templates::new(&environment, &BTreeMap::new());
    let scope = templates.scope(Some("pc2"));
    assert_eq!(
        scope.text("{{ node.address }} {{ node.lan }}").unwrap(),
        "10.0.0.2 192.168.7.2"
    );
    assert_eq!(
        scope
            .text("{{ env.nodes | addresses | join(' ') }}")
            .unwrap(),
        "10.0.0.1 192.168.7.2 10.0.0.3 10.0.0.4"
    );
}

#[test]
fn an_artifact_is_chosen_by_architecture() {
    let source = r#"{{ artifact("consul", node.arch).source }}"#;
    assert_eq!(
        text(Some("pc1"), source).unwrap(),
        "/srv/artifacts/consul_arm64.deb"
    );
}

#[test]
fn a_missing_artifact_says_what_to_add_where() {
    let error = text(Some("pc1"), r#"{{ artifact("nomad", node.arch) }}"#).unwrap_err();
    assert!(
        error.starts_with(
            "environment staging brings no nomad for arm64: add `artifacts: nomad: arm64:` with `source` and `sha256`"
        ),
        "{error}"
    );
}

#[test]
fn a_missing_kind_of_service_says_what_to_add_where() {
    let error = text(None, r#"{{ service_of_kind("vault").name }}"#).unwrap_err();
    assert!(
        error.contains("staging has no service of kind vault"),
        "{error}"
    );
}

#[test]
fn an_unknown_role_names_the_known_ones() {
    let error = text(None, r#"{{ nodes_with("consul-servr") }}"#).unwrap_err();
    assert!(error.contains("consul-server"), "{error}");
}

#[test]
fn what_is_not_defined_is_an_error_and_never_empty() {
    for template in [
        "{{ env.versions.vault }}",
        "{{ node.name }}",
        "{{ params.other }}",
        "{{ nothing }}",
    ] {
        let error = text(None, template).unwrap_err();
        assert!(error.contains("undefined"), "{template}: {error}");
        assert!(error.contains(template), "{template}: {error}");
    }
}

#[test]
fn the_line_of_a_long_template_that_is_wrong_is_shown() {
    let error = text(None, "fine\n  {{ env.versions.vault }}\nfine").unwrap_err();
    assert!(
        error.ends_with(r#"(in "{{ env.versions.vault }}")"#),
        "{error}"
    );
}

#[test]
fn a_loop_without_end_ends() {
    let error = text(
        None,
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    )
    .unwrap_err();
    assert!(error.contains("fuel"), "{error}");
}

#[test]
fn a_file_keeps_its_last_line_break() {
    assert_eq!(text(None, "{{ env.name }}\n").unwrap(), "staging\n");
}

#[test]
fn rendering_keeps_types_and_leaves_other_fields_alone() {
    let file = FileSpec {
        path: "/etc/{{ node.name }}".into(),
        content: "{{ node.address }}\n".into(),
        mode: "0640".into(),
        owner: "root".into(),
        group: "root".into(),
    };
    let templates = templates();
    let rendered = templates.scope(Some("pc2")).render(&file).unwrap();
    assert_eq!(
        rendered,
        FileSpec {
            path: "/etc/pc2".into(),
            content: "10.0.0.2\n".into(),
            ..file
        }
    );
    let package = PackageSpec {
        name: "consul".into(),
        state: crate::domain::resource::Presence::Present,
        version: None,
        deb: None,
        hold: None,
        bring: None,
        snap: None,
    };
    assert_eq!(templates.scope(None).render(&package).unwrap(), package);
}

#[test]
fn expressions_answer_and_misspelt_names_are_no_answer() {
    let templates = templates();
    let scope = templates.scope(Some("pc4"));
    assert_eq!(scope.holds("env.artifacts.consul is defined"), Ok(true));
    assert_eq!(scope.holds("env.artifacts.vault is defined"), Ok(false));
    assert_eq!(scope.holds(r#""consul-client" in node.roles"#), Ok(true));
    assert!(scope.holds("env.artefacts").is_err());
}

#[test]
fn a_check_sees_the_output_of_a_command() {
    let templates = templates();
    let scope = templates.scope(Some("pc3"));
    let df = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 100 60 40 60% /";
    assert_eq!(
        scope.holds_of("((output | lines | last | split)[3] | int) >= 40", df, 0),
        Ok(true)
    );
    assert_eq!(
        scope.holds_of("((output | int) - now) | abs < 30", "1029", 1000),
        Ok(true)
    );
    assert_eq!(
        scope.holds_of("((output | int) - now) | abs < 30", "1030", 1000),
        Ok(false)
    );
    assert_eq!(
        scope.holds_of("output == node.machine", "x86_64", 0),
        Ok(true)
    );
}

#[test]
fn secrets_references_are_out_of_reach_of_templates() {
    let error = text(None, "{{ env.services.consul.secret }}").unwrap_err();
    assert!(error.contains("undefined"), "{error}");
}

#[test]
fn linting_finds_misspelt_names_before_any_environment_is_known() {
    let wrong = |text, form, has_node| lint(text, form, &["unit"], has_node).unwrap_err().reason;
    assert_eq!(
        wrong("{{ evn.name }}", Form::Template, true),
        "there is no \"evn\" in recipes; did you mean \"env\"?"
    );
    assert_eq!(
        wrong("params.units", Form::Expression, true),
        "the recipe has no parameter \"units\"; did you mean \"unit\"?"
    );
    assert_eq!(
        wrong("{{ node.name }}", Form::Template, false),
        "`node` is not there, because the step has no `on` and runs once"
    );
    assert_eq!(
        wrong("output == ''", Form::Expression, true),
        "there is no \"output\" in recipes"
    );
    assert!(wrong("{{ env.name", Form::Template, true).starts_with("syntax error"));
    assert_eq!(
        lint("output == ''", Form::OutputExpression, &[], true),
        Ok(())
    );
    assert_eq!(
        lint(
            "{% for n in nodes_with('vault') %}{{ n.name }}{% endfor %}",
            Form::Template,
            &[],
            false
        ),
        Ok(())
    );
}

proptest! {
    #[test]
    fn text_without_braces_is_never_touched(text in "[^{}]{0,80}") {
        prop_assert_eq!(templates().scope(None).text(&text).unwrap(), text);
    }

    #[test]
    fn no_text_makes_rendering_or_linting_panic(text in ".{0,60}|[{}%# a-z.|()\"']{0,60}") {
        let templates = templates();
        let _ = templates.scope(None).text(&text);
        let _ = templates.scope(None).holds(&text);
        let _ = lint(&text, Form::Template, &[], true);
        let _ = lint(&text, Form::Expression, &[], true);
    }

    #[test]
    fn values_without_templates_come_back_the_same(number in any::<i64>(), flag in any::<bool>(), word in "[a-z ]{0,10}") {
        let value: Value = json!({ "n": number, "list": [flag, null, word], "nested": { "deep": [number] } });
        prop_assert_eq!(templates().scope(None).render(&value).unwrap(), value);
    }
}
