use serde_json::json;

use super::*;
use crate::domain::node::Role;
use crate::domain::recipe::{Report, RunCommand};
use crate::domain::service::{ServiceKind, ServiceSpec};
use crate::domain::stack::Stack;
use crate::steps::Library;
use crate::steps::testing::{request, staging};

fn recipe(name: &str) -> Recipe {
    let library = Library::load(None);
    library.recipe(name).unwrap().clone()
}

fn error(recipe: &Recipe, request: PlanRequest) -> String {
    plan(recipe, &staging(), request).unwrap_err().to_string()
}

/// The plan as the gate shows it.
fn shown(plan: &Plan) -> String {
    let mut lines = vec![format!("{} · {}", plan.title, plan.risk)];
    for step in &plan.steps {
        let hosts = match &step.hosts {
            None => "once".to_owned(),
            Some(hosts) => hosts.join(" "),
        };
        lines.push(format!("{} [{hosts}]", step.step.id));
        lines.extend(step.preview.iter().map(|line| format!("  {line}")));
    }
    lines.join("\n")
}

#[test]
fn the_deploy_plan_shows_what_will_happen_where() {
    let plan = plan(&recipe("deploy"), &staging(), request("deploy")).unwrap();
    insta::assert_snapshot!(shown(&plan));
}

#[test]
fn without_artifacts_the_deploy_plan_lets_the_node_fetch_the_package() {
    let mut environment = staging();
    environment.artifacts.clear();
    environment.nodes.pop();
    let plan = plan(&recipe("deploy"), &environment, request("deploy")).unwrap();
    insta::assert_snapshot!(shown(&plan));
}

#[test]
fn a_dry_run_is_only_reading() {
    let dry = PlanRequest {
        dry_run: true,
        ..request("deploy")
    };
    let plan = plan(&recipe("deploy"), &staging(), dry).unwrap();
    assert_eq!(plan.risk, Risk::Read);
}

#[test]
fn restricting_nodes_never_moves_the_work_of_the_first_node() {
    let mut recipe = recipe("verify");
    recipe.steps.truncate(2);
    recipe.steps[1].on = Some(Selector {
        first: true,
        ..Selector::default()
    });
    let only_pc2 = PlanRequest {
        nodes: vec!["pc2".into()],
        ..request("verify")
    };
    let plan = plan(&recipe, &staging(), only_pc2).unwrap();
    assert_eq!(plan.steps[0].hosts, Some(vec!["pc2".into()]));
    assert_eq!(plan.steps[1].hosts, Some(vec![]));
}

#[test]
fn labels_and_roles_both_select() {
    let mut recipe = recipe("verify");
    recipe.steps.truncate(1);
    recipe.steps[0].on = Some(Selector {
        roles: vec![crate::domain::node::Role::ConsulServer],
        labels: BTreeMap::from([("rack".into(), "r1".into())]),
        nodes: None,
        first: false,
    });
    let plan = plan(&recipe, &staging(), request("verify")).unwrap();
    assert_eq!(plan.steps[0].hosts, Some(vec!["pc1".into(), "pc3".into()]));
}

#[test]
fn the_hash_covers_request_recipe_and_environment_and_nothing_else() {
    let base = plan(&recipe("deploy"), &staging(), request("deploy")).unwrap();
    assert_eq!(base.hash.len(), 64);
    let again = plan(&recipe("deploy"), &staging(), request("deploy")).unwrap();
    assert_eq!(base.hash, again.hash);

    let mut changed_recipe = recipe("deploy");
    changed_recipe.steps[0].retries += 1;
    let mut changed_environment = staging();
    changed_environment.nodes[0].ssh.port = Some(2222);
    let mut changed_request = request("deploy");
    changed_request
        .params
        .insert("min_free_mib".into(), json!(1024));
    let hashes = [
        base.hash,
        plan(&changed_recipe, &staging(), request("deploy"))
            .unwrap()
            .hash,
        plan(&recipe("deploy"), &changed_environment, request("deploy"))
            .unwrap()
            .hash,
        plan(&recipe("deploy"), &staging(), changed_request)
            .unwrap()
            .hash,
    ];
    let distinct: BTreeSet<_> = hashes.iter().collect();
    assert_eq!(distinct.len(), hashes.len());
}

#[test]
fn the_hash_does_not_depend_on_the_order_of_keys() {
    let mut one = staging();
    let mut other = staging();
    one.variables
        .insert("limits".into(), json!({ "a": 1, "b": 2 }));
    other
        .variables
        .insert("limits".into(), json!({ "b": 2, "a": 1 }));
    assert_eq!(
        plan(&recipe("verify"), &one, request("verify"))
            .unwrap()
            .hash,
        plan(&recipe("verify"), &other, request("verify"))
            .unwrap()
            .hash
    );
}

#[test]
fn unknown_parameters_are_refused_with_the_nearest_one() {
    let mut wrong = request("restart-unit");
    wrong.params.insert("units".into(), json!("a"));
    assert_eq!(
        error(&recipe("restart-unit"), wrong),
        "recipe restart-unit has no parameter \"units\"; did you mean \"unit\"?"
    );
    let mut wrong = request("verify");
    wrong.params.insert("unit".into(), json!("a"));
    assert_eq!(
        error(&recipe("verify"), wrong),
        "recipe verify has no parameter \"unit\"; it has none"
    );
}

#[test]
fn a_missing_parameter_is_named_with_what_it_is_for() {
    assert_eq!(
        error(&recipe("restart-unit"), request("restart-unit")),
        "recipe restart-unit needs the parameter \"unit\": the unit's full name, such as consul.service"
    );
}

#[test]
fn text_from_the_command_line_becomes_the_type_of_the_default() {
    let mut with = request("deploy");
    with.params.insert("min_free_mib".into(), json!("2048"));
    let plan = plan(&recipe("deploy"), &staging(), with).unwrap();
    assert_eq!(plan.request.params["min_free_mib"], json!(2048));

    let mut wrong = request("deploy");
    wrong.params.insert("min_free_mib".into(), json!("plenty"));
    assert_eq!(
        error(&recipe("deploy"), wrong),
        "parameter \"min_free_mib\" wants a number, not \"plenty\""
    );
}

#[test]
fn an_unknown_node_is_refused_with_the_nearest_one() {
    let wrong = PlanRequest {
        nodes: vec!["pc33".into()],
        ..request("verify")
    };
    assert_eq!(
        error(&recipe("verify"), wrong),
        "environment staging has no node \"pc33\"; did you mean \"pc3\"?"
    );
}

#[test]
fn a_plan_that_selects_no_node_at_all_is_refused() {
    let mut environment = staging();
    for node in &mut environment.nodes {
        node.roles.clear();
    }
    assert_eq!(
        plan(&recipe("join"), &environment, request("join"))
            .unwrap_err()
            .to_string(),
        "nothing to do: recipe join finds no node with a role of ceph-mon, ceph-osd, consul-client, consul-server, \
         kubernetes-agent, kubernetes-server, microk8s, nomad-client, nomad-server in environment staging"
    );
}

#[test]
fn software_that_no_node_would_run_is_refused_and_not_waited_for() {
    let mut environment = staging();
    environment.stack = Stack::Nomad;
    let refused = plan(&recipe("deploy"), &environment, request("deploy")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "there would be no Vault: no node of environment staging has the role vault, and the run would wait for it in vain. \
         Give the role to nodes, or choose another stack than nomad"
    );
    environment.stack = Stack::Kubernetes;
    let refused = plan(&recipe("deploy"), &environment, request("deploy")).unwrap_err();
    assert!(
        refused.to_string().starts_with("there would be no K3s: "),
        "{refused}"
    );
    // A node that joins brings the roles that it has: nothing is waited for that others would have to run.
    let joined = plan(&recipe("join"), &environment, request("join"));
    assert!(joined.is_ok(), "{joined:?}");
}

#[test]
fn a_template_that_fails_on_any_host_fails_the_plan_with_step_and_host() {
    let mut environment = staging();
    environment
        .artifacts
        .get_mut("consul")
        .unwrap()
        .remove(&crate::domain::platform::Arch::Amd64);
    let error = plan(&recipe("deploy"), &environment, request("deploy"))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(
            "step \"consul.brought-package\" on pc3: environment staging brings no consul for amd64: add"
        ),
        "{error}"
    );
}

#[test]
fn a_step_whose_condition_is_false_everywhere_says_so() {
    let mut recipe = recipe("verify");
    recipe.steps.truncate(1);
    recipe.steps[0].when = Some("env.name == 'production'".into());
    let plan = plan(&recipe, &staging(), request("verify")).unwrap();
    assert_eq!(
        plan.steps[0].preview,
        ["nothing: not the case that env.name == 'production'"]
    );
}

#[test]
fn steps_that_run_once_show_their_command_quoted() {
    let recipe = Recipe {
        steps: vec![Step {
            id: "here".into(),
            local: Some(RunCommand {
                detached: false,
                elsewhere: Vec::new(),
                distinct: false,
                argv: vec!["echo".into(), "{{ env.name }} and more".into()],
                changes: false,
                expect: None,
                check: None,
                otherwise: None,
            }),
            ..Step::default()
        }],
        ..recipe("verify")
    };
    let plan = plan(&recipe, &staging(), request("verify")).unwrap();
    assert_eq!(plan.steps[0].preview, ["run here: echo 'staging and more'"]);
    assert_eq!(plan.steps[0].tasks().len(), 1);
}

#[test]
fn a_recipe_put_together_wrongly_is_refused_and_not_planned() {
    let mut recipe = recipe("verify");
    recipe.steps[0].report = Some(Report {
        text: String::new(),
    });
    assert!(error(&recipe, request("verify")).contains("a step does one thing"));
}

#[test]
fn software_that_is_not_in_the_stack_is_no_part_of_the_plan_and_nobody_waits_for_it() {
    let plan = plan(&recipe("deploy"), &staging(), request("deploy")).unwrap();
    let ids: Vec<&str> = plan
        .steps
        .iter()
        .map(|step| step.step.id.as_str())
        .collect();
    assert!(ids.contains(&"consul.members"), "{ids:?}");
    for software in ["vault.", "nomad.", "k3s.", "traefik.", "grafana."] {
        assert!(!ids.iter().any(|id| id.starts_with(software)), "{ids:?}");
    }
    for planned in &plan.steps {
        for need in &planned.step.needs {
            assert!(
                ids.contains(&need.as_str()),
                "{} needs {need}",
                planned.step.id
            );
        }
    }
    // What the condition of the call decided is not asked once more on the way.
    let servers = plan
        .steps
        .iter()
        .find(|step| step.step.id == "consul.servers");
    assert_eq!(servers.unwrap().step.when, None);
    let report = plan.steps.last().unwrap();
    assert_eq!(report.step.needs, ["consul.members"]);

    // What stands beside a stack is there as soon as a node has its role.
    let mut watched = staging();
    watched.nodes[0].roles.insert(Role::Prometheus);
    watched.services.push(ServiceSpec {
        name: "prometheus".into(),
        kind: ServiceKind::Prometheus,
        ..watched.services[0].clone()
    });
    let pin = ("prometheus".into(), "3.7.3".into());
    watched.versions.extend([pin]);
    let brought = watched.artifacts["consul"].clone();
    watched.artifacts.insert("prometheus".into(), brought);
    let with_prometheus = super::plan(&recipe("deploy"), &watched, request("deploy")).unwrap();
    let ids = with_prometheus.steps.iter().map(|step| &step.step.id);
    let ids: Vec<&String> = ids.collect();
    assert!(ids.iter().any(|id| *id == "prometheus.targets"), "{ids:?}");
    assert!(!ids.iter().any(|id| id.starts_with("etcd.")), "{ids:?}");

    let mut other = staging();
    other.stack = Stack::Kubernetes;
    other.nodes[0].roles.insert(Role::KubernetesServer);
    other.services.push(ServiceSpec {
        name: "k3s".into(),
        kind: ServiceKind::Kubernetes,
        ..other.services[0].clone()
    });
    other.versions.insert("k3s".into(), "1.31.4+k3s1".into());
    let brought = other.artifacts["consul"].clone();
    other.artifacts.insert("k3s".into(), brought);
    let with_k3s = super::plan(&recipe("deploy"), &other, request("deploy"));
    let ids: Vec<String> = match with_k3s {
        Ok(plan) => plan.steps.into_iter().map(|step| step.step.id).collect(),
        Err(error) => panic!("{error}"),
    };
    assert!(ids.iter().any(|id| id.starts_with("k3s.")), "{ids:?}");
    assert!(!ids.iter().any(|id| id.starts_with("nomad.")), "{ids:?}");
}

#[test]
fn a_call_that_depends_on_the_node_stays_with_its_condition() {
    let mut called = recipe("deploy");
    called.steps.retain(|step| step.id == "reachable");
    called.steps[0].when = Some("(node.arch == 'arm64') and (env.name == 'staging')".into());
    called.steps[0].called = Some(crate::domain::recipe::Called {
        when: "node.arch == 'arm64'".into(),
        own: Some("env.name == 'staging'".into()),
    });
    let planned = plan(&called, &staging(), request("deploy")).unwrap();
    assert_eq!(planned.steps[0].step.when, called.steps[0].when);

    called.steps[0].called.as_mut().unwrap().when = "env.name == 'staging'".into();
    let planned = plan(&called, &staging(), request("deploy")).unwrap();
    assert_eq!(
        planned.steps[0].step.when.as_deref(),
        Some("env.name == 'staging'")
    );

    called.steps[0].called.as_mut().unwrap().when = "env.name == 'production'".into();
    let refused = plan(&called, &staging(), request("deploy")).unwrap_err();
    assert!(refused.to_string().contains("calls nothing"), "{refused}");
}

/// The lines of the plan of `recipe` for pc4 alone that are about steps whose name begins so.
fn about(recipe_name: &str, environment: &Environment, begins: &str) -> Vec<String> {
    let asked = PlanRequest {
        nodes: vec!["pc4".into()],
        ..request(recipe_name)
    };
    let plan = plan(&recipe(recipe_name), environment, asked).unwrap();
    let steps = plan.steps.iter();
    let meant = steps.filter(|planned| planned.step.id.starts_with(begins));
    meant
        .map(|planned| {
            let hosts = planned.hosts.clone().unwrap_or_default().join(" ");
            format!(
                "{} [{hosts}] {}",
                planned.step.id,
                planned.preview.join("; ")
            )
        })
        .collect()
}

#[test]
fn a_node_of_microk8s_is_joined_by_a_person_and_seen_by_the_others() {
    let mut environment = staging();
    environment.stack = Stack::Microk8s;
    environment
        .versions
        .insert("microk8s".into(), "1.32".into());
    for node in &mut environment.nodes {
        node.roles = [Role::Microk8s].into();
    }
    environment.services[0].name = "kubernetes".into();
    environment.services[0].kind = ServiceKind::Kubernetes;
    insta::assert_snapshot!(
        ["join", "drain", "remove"]
            .into_iter()
            .flat_map(|recipe| about(recipe, &environment, "microk8s"))
            .collect::<Vec<_>>()
            .join("\n")
    );
    let consul = about("join", &environment, "consul");
    assert!(
        consul
            .iter()
            .all(|line| line.ends_with("no node is selected")),
        "{consul:?}"
    );
}

#[test]
fn a_host_of_ceph_goes_through_its_orchestrator_where_that_is_said() {
    let mut environment = staging();
    environment.stack = Stack::Nomad;
    for node in &mut environment.nodes {
        node.roles.insert(Role::CephMon);
    }
    let all = |environment: &Environment| -> Vec<String> {
        ["join", "drain", "remove"]
            .into_iter()
            .flat_map(|recipe| about(recipe, environment, "ceph"))
            .collect()
    };
    let by_hand = all(&environment);
    assert!(
        by_hand
            .iter()
            .all(|line| line.contains("nothing: not the case")),
        "{by_hand:?}"
    );
    let cephadm = json!({ "cephadm": true });
    environment.variables.insert("ceph".into(), cephadm);
    insta::assert_snapshot!(all(&environment).join("\n"));
}
