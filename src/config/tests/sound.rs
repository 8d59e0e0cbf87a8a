//! What is right is read whole, and has neither an error nor a warning.

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
