//! What a person sees for each mistake, the example workspace, and input that nobody would write.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::domain::environment::Protection;
use crate::domain::node::{ClientConfig, Jump};
use crate::domain::service::SecretRef;
use crate::domain::stack::Stack;

/// The environment file of the platform's first description, as it is.
const ORIGINAL: &str = r#"# config/environments/production.yaml
environment:
  name: "production"
  
canonical:
  ubuntu_version: "22.04"
  microk8s_version: "1.28"
  juju_channel: "stable"
  
hashicorp:
  consul_version: "1.16"
  vault_version: "1.14"
  nomad_version: "1.6"
  
integration:
  service_mesh: true
  secrets_injection: true
  monitoring: true
"#;

/// Nothing wrong with it; tests change one thing.
const SOUND: &str = "\
environment:
  name: test
  stack: nomad
nodes:
  - name: pc1
    address: 192.0.2.1
    platform: rpi5-ubuntu
    roles: [consul-server, vault, nomad-server]
  - name: pc2
    address: 192.0.2.2
    platform: odroid-h4
    roles: [nomad-client]
services:
  - kind: consul
";

fn environment(
    text: &str,
) -> (
    Option<crate::domain::environment::Environment>,
    Vec<Diagnostic>,
) {
    environment_from(Path::new("environments/test.yaml"), text)
}

fn seen(text: &str) -> String {
    render(&environment(text).1, false)
}

/// The built-in recipes; with mistakes in none of their files.
fn recipes(_: &Path) -> Recipes {
    let source = |name: &str| {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("assets/recipes/{name}.yaml"));
        let (recipe, _) = recipe_from(&file, &std::fs::read_to_string(&file).unwrap());
        recipe.unwrap()
    };
    Recipes {
        known: ["deploy", "restart-unit", "verify"].map(source).to_vec(),
        broken: vec!["nightly".into()],
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

mod sound {
    use super::*;

    #[test]
    fn the_original_four_keys_are_an_environment() {
        let (environment, diagnostics) = environment(ORIGINAL);
        assert_eq!(render(&diagnostics, false), "");
        let environment = environment.unwrap();
        assert_eq!(environment.name, "production");
        assert_eq!(environment.stack, Stack::HashicorpCanonical);
        assert_eq!(environment.protection, Protection::Confirm);
        let versions: Vec<_> = environment
            .versions
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        assert_eq!(
            versions,
            [
                "consul 1.16",
                "juju stable",
                "microk8s 1.28",
                "nomad 1.6",
                "ubuntu 22.04",
                "vault 1.14"
            ]
        );
        assert_eq!(environment.variables["integration"]["service_mesh"], true);
    }

    #[test]
    fn the_example_workspace_has_no_error_and_no_warning() {
        let Checked {
            workspace,
            diagnostics,
        } = check(&example(), recipes);
        assert_eq!(render(&diagnostics, false), "");
        let workspace = workspace.unwrap();
        let protections: Vec<_> = workspace
            .environments
            .iter()
            .map(|environment| format!("{} {}", environment.name, environment.protection))
            .collect();
        assert_eq!(
            protections,
            [
                "development open",
                "local open",
                "production two-person",
                "staging confirm"
            ]
        );
        assert_eq!(workspace.first_environment().unwrap().name, "development");
        let production = workspace.environment("production").unwrap();
        assert_eq!(production.node("bastion").unwrap().ssh.jump, None);
        assert_eq!(
            production.node("prod-edge1").unwrap().ssh.jump,
            Some(Jump::Through("bastion".into()))
        );
        assert_eq!(
            production.node("prod-worker2").unwrap().labels["memory"],
            "16GB"
        );
        assert_eq!(
            production.service("kubernetes").unwrap().urls[0],
            "https://10.40.0.11:16443"
        );
    }

    #[test]
    fn the_schemas_accept_the_example_files() {
        let environments = std::fs::read_dir(example().join("environments")).unwrap();
        let files = environments
            .map(|entry| (entry.unwrap().path(), Which::Environment))
            .chain([(example().join(FILE), Which::Workspace)]);
        let mut number = 0;
        for (path, which) in files {
            let validator = jsonschema::draft7::new(&schema(which)).unwrap();
            let tree = tree::parse(&std::fs::read_to_string(&path).unwrap())
                .tree
                .unwrap();
            let errors: Vec<_> = validator
                .iter_errors(&tree.to_json())
                .map(|error| error.to_string())
                .collect();
            assert!(errors.is_empty(), "{}: {errors:?}", path.display());
            number += 1;
        }
        assert_eq!(number, 5);
    }

    #[test]
    fn the_built_in_recipes_have_the_shape_of_their_schema() {
        let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/recipes");
        let mut number = 0;
        for entry in std::fs::read_dir(recipes).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let (recipe, diagnostics) = recipe_from(&path, &text);
            assert_eq!(render(&diagnostics, false), "");
            assert!(recipe.is_some());
            number += 1;
        }
        assert!(number > 0);
    }

    #[test]
    fn settings_of_a_node_override_those_of_the_environment_key_by_key() {
        let text = SOUND.replace(
            "    roles: [nomad-client]\n",
            "    roles: [nomad-client]\n    ssh: {user: pi, jump: pc1, config: none}\n",
        ) + "ssh: {port: 2222, known_hosts: ../known_hosts, config: ../ssh_config}\n";
        let environment = environment(&text).0.unwrap();
        let (first, second) = (&environment.nodes[0].ssh, &environment.nodes[1].ssh);
        // What nobody wrote stays unsaid: the operator's own SSH configuration may say it.
        assert_eq!(
            (&first.user, first.port, &first.jump),
            (&None, Some(2222), &None)
        );
        assert_eq!(
            (second.user.as_deref(), second.port),
            (Some("pi"), Some(2222))
        );
        assert_eq!(second.jump, Some(Jump::Through("pc1".into())));
        let file = ClientConfig::File("environments/../ssh_config".into());
        assert_eq!(first.config, Some(file));
        assert_eq!(second.config, Some(ClientConfig::None));
        assert_eq!(
            second.known_hosts.as_deref(),
            Some(Path::new("environments/../known_hosts"))
        );
    }

    #[test]
    fn endpoints_follow_from_roles_and_usual_ports() {
        let text = "environment: {name: t, stack: kubernetes}\nnodes:\n- {name: a, address: '2001:db8::1', platform: odroid-c5, roles: [consul-server, kubernetes-server]}\nservices: [{kind: consul}, {kind: kubernetes, secret: {env: T}}]\n";
        let (environment, diagnostics) = environment(text);
        assert_eq!(render(&diagnostics, false), "");
        let environment = environment.unwrap();
        assert_eq!(
            environment.service("consul").unwrap().urls,
            ["http://[2001:db8::1]:8500"]
        );
        let kubernetes = environment.service("kubernetes").unwrap();
        assert_eq!(kubernetes.urls, ["https://[2001:db8::1]:6443"]);
        assert_eq!(kubernetes.nodes, ["a"]);
        assert_eq!(kubernetes.secret, Some(SecretRef::Env("T".into())));
    }
}

/// One test and one snapshot per mistake: the environment [`SOUND`] with a replacement, or a whole text.
macro_rules! mistakes {
    ($($name:ident: $from:literal => $to:expr;)+) => {
        $(#[test]
        fn $name() {
            assert!($from.is_empty() || SOUND.contains($from));
            let text = if $from.is_empty() { $to.to_owned() } else { SOUND.replacen($from, $to, 1) };
            assert_snapshot!(stringify!($name), seen(&text));
        })+
    };
}

mod mistakes {
    use super::*;

    mistakes! {
        unknown_key_suggests_the_right_one: "    address: 192.0.2.1\n" => "    adress: 192.0.2.1\n";
        unknown_key_suggests_a_synonym: "    address: 192.0.2.1\n" => "    ansible_host: 192.0.2.1\n";
        key_in_the_wrong_place_is_sent_to_the_right_one: "nodes:\n" => "protection: open\nnodes:\n";
        key_of_ssh_beside_ssh_is_sent_below_it: "    platform: odroid-h4\n" => "    platform: odroid-h4\n    port: 2222\n";
        unknown_role_suggests_the_right_one: "consul-server" => "consul-sever";
        unknown_platform_lists_what_there_is: "odroid-h4" => "mainframe";
        unknown_service_kind_is_refused: "kind: consul" => "kind: postgres";
        unknown_protection_is_refused: "  stack: nomad\n" => "  protection: locked\n";
        missing_name_is_pointed_at_its_node: "  - name: pc2\n    address" => "  - address";
        number_in_place_of_text_asks_for_quotes: "nodes:\n" => "hashicorp: {consul_version: 1.10}\nnodes:\n";
        text_in_place_of_a_list_asks_for_brackets: "roles: [nomad-client]" => "roles: nomad-client";
        key_without_value_is_told: "roles: [nomad-client]" => "roles:";
        fraction_in_place_of_a_port_is_refused: "nodes:\n" => "ssh: {port: 22.0}\nnodes:\n";
        port_out_of_range_is_refused: "nodes:\n" => "ssh: {port: 70000}\nnodes:\n";
        malformed_name_says_what_a_name_is: "name: pc2" => "name: 'pc 2'";
        address_with_a_port_says_where_the_port_goes: "192.0.2.2" => "192.0.2.2:22";
        malformed_version_shows_good_ones: "nodes:\n" => "versions: {consul: latest}\nnodes:\n";
        version_given_twice_shows_both_places: "nodes:\n" => "hashicorp:\n  consul_version: \"1.16\"\nversions:\n  consul: \"1.17\"\nnodes:\n";
        malformed_sha256_says_what_a_sum_is: "nodes:\n" => "artifacts: {consul: {arm64: {source: 'https://example.net/c.deb', sha256: abc}}}\nnodes:\n";
        missing_package_is_a_warning: "nodes:\n" => "artifacts: {consul: {arm64: {source: nowhere/c.deb, sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef}}}\nnodes:\n";
        two_nodes_of_one_name_show_both_places: "name: pc2" => "name: pc1";
        two_nodes_at_one_address_are_a_warning: "192.0.2.2" => "192.0.2.1";
        two_services_of_one_name_show_both_places: "  - kind: consul\n" => "  - kind: consul\n  - kind: consul\n";
        impossible_role_says_why: "roles: [consul-server, vault, nomad-server]" => "roles: [consul-server, microk8s]";
        contradicting_arch_is_refused: "platform: odroid-h4" => "platform: odroid-h4\n    arch: arm64";
        generic_machine_needs_an_arch: "platform: odroid-h4" => "platform: generic";
        even_quorum_is_a_warning: "roles: [nomad-client]" => "roles: [nomad-client, consul-server]";
        unused_role_is_a_warning: "roles: [nomad-client]" => "roles: [nomad-client, grafana]";
        role_given_twice_is_a_warning: "roles: [nomad-client]" => "roles: [nomad-client, nomad-client]";
        open_production_is_a_warning: "  name: test" => "  name: production\n  protection: open";
        secret_in_plain_text_is_refused_and_not_shown: "  - kind: consul\n" => "  - kind: consul\n    secret: \"hunter2-and-more\" # mine\n";
        secret_under_a_wrong_key_is_not_shown: "  - kind: consul\n" => "  - kind: consul\n    password: hunter2-and-more\n";
        secret_as_a_key_is_not_shown: "  - kind: consul\n" => "  - kind: consul\n    secret: {hunter2-and-more}\n";
        secret_in_a_variable_is_refused_and_not_shown: "nodes:\n" => "variables: {grafana_password: hunter2-and-more}\nnodes:\n";
        token_by_its_shape_is_refused_and_not_shown: "  - kind: consul\n" => "  - kind: consul\n    secret: {env: hvs.CAESIAbcdefghijklmnopqrstuvwx}\n";
        secret_with_two_forms_is_refused: "  - kind: consul\n" => "  - kind: consul\n    secret: {env: TOKEN, command: [pass, show, x]}\n";
        dollar_before_a_variable_name_is_refused: "  - kind: consul\n" => "  - kind: consul\n    secret: {env: $TOKEN}\n";
        password_in_a_url_is_refused_and_not_shown: "  - kind: consul\n" => "  - kind: consul\n    url: http://admin:hunter2-and-more@192.0.2.1:8500\n";
        url_without_scheme_is_refused: "  - kind: consul\n" => "  - kind: consul\n    url: 192.0.2.1:8500\n";
        url_and_urls_exclude_each_other: "  - kind: consul\n" => "  - kind: consul\n    url: http://a\n    urls: [http://b]\n";
        service_without_a_place_says_what_it_needs: "kind: consul" => "kind: grafana";
        service_on_an_unknown_node_suggests_one: "  - kind: consul\n" => "  - kind: consul\n    nodes: [pc1, pc-2, kc3]\n";
        missing_secret_file_is_a_warning: "  - kind: consul\n" => "  - kind: consul\n    secret: {file: nowhere/token}\n";
        missing_identity_is_a_warning: "nodes:\n" => "ssh: {identities: [nowhere/id]}\nnodes:\n";
        unknown_jump_host_suggests_one: "nodes:\n" => "ssh: {jump: pc}\nnodes:\n";
        own_jump_host_is_refused: "platform: odroid-h4" => "platform: odroid-h4\n    ssh: {jump: pc2}";
        jump_ring_is_drawn: "platform: odroid-h4" => "platform: odroid-h4\n    ssh: {jump: pc3}\n  - name: pc3\n    address: 192.0.2.3\n    platform: odroid-h4\n    ssh: {jump: pc2}\n  - name: pc4\n    address: 192.0.2.4\n    platform: odroid-h4\n    ssh: {jump: pc3}";
        duplicate_key_shows_both_places: "    address: 192.0.2.2\n" => "    address: 192.0.2.2\n    address: 192.0.2.3\n";
        tab_is_pointed_at: "    address: 192.0.2.2\n" => "\taddress: 192.0.2.2\n";
        broken_yaml_is_pointed_at: "roles: [nomad-client]" => "roles: [nomad-client";
        broken_yaml_does_not_show_secrets: "  - kind: consul\n" => "  - kind: consul\n    secret: \"hunter2-and-more\n";
        second_document_is_refused: "services:\n" => "---\nservices:\n";
        unquoted_template_is_explained: "nodes:\n" => "variables:\n  a: {{ b }}\nnodes:\n";
        unknown_tag_is_refused: "  name: test" => "  name: !env test";
        alias_of_nothing_is_refused: "192.0.2.2" => "*nothing";
        empty_file_says_how_to_begin: "" => "# nothing but a comment\n";
        list_in_place_of_a_file_is_refused: "" => "- a\n- b\n";
        control_characters_do_not_reach_the_terminal: "name: pc2" => "\"na\\e[31mme\": \"\\e]0;x\\a\"\n    name: 'p\u{202e}c'";
    }

    #[test]
    fn all_at_once() {
        assert_snapshot!(seen(
            r#"environment:
  name: staging
  protction: confirm
  stack: nomad
hashicorp:
  consul_version: 1.16
ssh:
  jump: bastian
nodes:
  - name: pc1
    address: 192.0.2.1
    platform: rpi5-ubuntu
    roles: [consul-server, microk8s, valt]
  - name: pc1
    address: 192.0.2.2
    platform: odroid-h4
    arch: arm64
    roles: [consul-server]
    color: red
  - address: 192.0.2.3
    platform: odroid
services:
  - kind: consul
    url: http://root:hunter2-and-more@pc1:8500
    nodes: [pc1, pc9]
  - kind: vault
    secret: hvs-hunter2-and-more
artifacts:
  consul:
    arm64: {source: "https://example.net/consul.deb", sha256: "12"}
"#
        ));
    }
}

mod workspaces {
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
}

mod diagnostics {
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
        let services =
            nodes.replace("- {", "  - {") + &"  - {kind: vault, nodes: [b]}\n".repeat(250);
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
}

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

mod schedules {
    use super::*;
    use crate::domain::schedule::Missed;

    /// What is seen in a workspace whose only environment is sound but for these schedules.
    fn with(protection: &str, schedules: &str) -> Checked {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("environments")).unwrap();
        std::fs::write(dir.path().join(FILE), "name: test\n").unwrap();
        let sound = SOUND.replace("stack:", &format!("protection: {protection}\n  stack:"));
        let text = format!("{sound}schedules:\n{schedules}");
        std::fs::write(dir.path().join("environments/test.yaml"), text).unwrap();
        check(dir.path(), recipes)
    }

    #[test]
    fn a_schedule_needs_a_name_a_recipe_and_a_time() {
        let checked = with(
            "two-person",
            "  - name: look\n    recipe: verify\n    cron: \"*/15 * * * *\"\n",
        );
        assert_eq!(render(&checked.diagnostics, false), "");
        let schedule = &checked.workspace.unwrap().schedules[0];
        assert_eq!(
            (
                schedule.environment.as_str(),
                schedule.missed,
                schedule.enabled
            ),
            ("test", Missed::RunOnce, true)
        );
        let whole = with(
            "confirm",
            "  - name: bounce\n    recipe: restart-unit\n    params: {unit: consul}\n    on: [pc2]\n    cron: '@daily'\n    \
             timezone: Europe/Berlin\n    missed: skip\n    enabled: false\n",
        );
        assert_eq!(render(&whole.diagnostics, false), "");
        let schedule = &whole.workspace.unwrap().schedules[0];
        assert_eq!(
            (schedule.timing.zone(), schedule.missed, schedule.enabled),
            ("Europe/Berlin", Missed::Skip, false)
        );
    }

    #[test]
    fn every_mistake_of_a_schedule_is_told_at_its_place() {
        let checked = with(
            "confirm",
            "  - name: look\n    recipe: verifi\n    cron: \"61 * * * *\"\n    timezone: Berlin\n  \
             - name: look\n    recipe: restart-unit\n    params: {units: consul}\n    cron: \"@dayly\"\n    on: [pc3]\n  \
             - name: broken\n    recipe: nightly\n    cron: \"0 3 * * *\"\n",
        );
        assert!(checked.workspace.is_none());
        assert_snapshot!(render(&checked.diagnostics, false));
    }

    #[test]
    fn a_change_cannot_be_scheduled_where_more_than_a_yes_is_asked_for() {
        let schedules = "  - name: roll-out\n    recipe: deploy\n    cron: '@daily'\n";
        assert_eq!(with("confirm", schedules).counts(), (0, 0));
        let checked = with("two-person", schedules);
        assert!(checked.workspace.is_none());
        assert_snapshot!(render(&checked.diagnostics, false));
    }
}

mod notifications {
    use super::*;
    use crate::domain::notice::{ChannelKind, NoticeKind};

    fn with(notifications: &str) -> Checked {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("environments")).unwrap();
        let text = format!("name: test\nnotifications:\n{notifications}");
        std::fs::write(dir.path().join(FILE), text).unwrap();
        std::fs::write(dir.path().join("environments/test.yaml"), SOUND).unwrap();
        check(dir.path(), recipes)
    }

    #[test]
    fn channels_and_rules_are_read() {
        let checked = with(
            "  channels:\n    - {name: pager, kind: pagerduty, secret: {env: PAGER_KEY}}\n    \
             - {name: chat, kind: slack, secret: {env: CHAT_URL}}\n    \
             - {name: hook, kind: webhook, url: \"https://example.net/hook\"}\n  \
             rules:\n    - {environments: [test], on: [run-failed, finding], channels: [pager, chat]}\n",
        );
        assert_eq!(render(&checked.diagnostics, false), "");
        let told = checked.workspace.unwrap().settings.notifications;
        assert_eq!(told.channels[0].kind, ChannelKind::Pagerduty);
        assert_eq!(
            told.rules[0].on,
            [NoticeKind::RunFailed, NoticeKind::Finding]
        );
    }

    #[test]
    fn every_mistake_of_a_notification_is_told_at_its_place() {
        let checked = with(
            "  channels:\n    - {name: chat, kind: slack, url: \"https://hooks.slack.com/services/T1/B1/abcdefgh\"}\n    \
             - {name: chat, kind: webhook}\n    - {name: pager, kind: pagerduty}\n  \
             rules:\n    - environments: [tset]\n      on: [run-faild]\n      channels: [chet]\n",
        );
        assert!(checked.workspace.is_none());
        assert_snapshot!(render(&checked.diagnostics, false));
    }
}
