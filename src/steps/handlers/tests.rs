use super::*;
use crate::domain::plan::{Plan, PlanRequest};
use crate::steps::library::parse;
use crate::steps::plan;
use crate::steps::testing::{request, staging};

const RECIPE: &str = r#"
name: greet
title: Greet
risk: change
steps:
  - id: write
    title: Write
    on: "role:consul-server and not pc2"
    ensure:
      - file: { path: /etc/motd, content: hello }
        notify: [restart]
      - directory: { path: /srv }
  - id: now
    title: Carry out what is owed
    needs: [write]
    flush: []
  - id: check
    title: Check
    needs: [now]
    on: pc4
    notify: [tell]
    run: { argv: [touch, /srv/seen] }
  - id: summary
    title: Summary
    needs: [check]
    report: {}
handlers:
  - id: restart
    title: Restart
    run: { argv: [systemctl, restart, greeter.service] }
  - id: tell
    title: Tell
    local: { argv: [logger, greeted] }
"#;

fn recipe(text: &str) -> Result<Recipe, String> {
    parse(std::path::Path::new("greet.yaml"), text.as_bytes(), None).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })
}

fn planned(text: &str, nodes: &[&str]) -> Plan {
    let request = PlanRequest {
        nodes: nodes.iter().map(ToString::to_string).collect(),
        ..request("greet")
    };
    plan(&recipe(text).unwrap(), &staging(), request).unwrap()
}

fn order(plan: &Plan) -> Vec<String> {
    let line = |step: &PlannedStep| {
        let hosts = step.hosts.as_ref().map(|hosts| hosts.join(" "));
        format!(
            "{} [{}] after {}",
            step.step.id,
            hosts.as_deref().unwrap_or("here"),
            step.step.needs.join(" ")
        )
    };
    plan.steps.iter().map(line).collect()
}

#[test]
fn a_flush_becomes_its_handlers_and_the_rest_run_before_the_report() {
    let plan = planned(RECIPE, &[]);
    assert_eq!(
        order(&plan),
        [
            "write [pc1 pc3] after ",
            "now:restart [pc1 pc3] after write",
            "now:tell [here] after now:restart",
            "check [pc4] after now:tell",
            "end:restart [pc1 pc3] after check",
            "end:tell [here] after end:restart",
            "summary [here] after check end:tell",
        ]
    );
    assert_eq!(
        plan.steps[0].preview,
        [
            "file /etc/motd (0644 root:root, 1 line); when it changes: restart",
            "directory /srv (0755 root:root)"
        ]
    );
    assert_eq!(
        plan.steps[1].preview,
        [
            "run: systemctl restart greeter.service",
            "only where it is notified"
        ]
    );
}

#[test]
fn nodes_may_be_asked_for_by_an_expression_that_the_plan_holds_as_names() {
    let plan = planned(RECIPE, &["arch:amd64 and role:consul-server", "pc4"]);
    assert_eq!(plan.request.nodes, ["pc3", "pc4"]);
    assert_eq!(plan.steps[0].hosts, Some(vec!["pc3".into()]));
    let by_name = planned(RECIPE, &["pc3", "pc4"]);
    assert_eq!(plan.hash, by_name.hash);
}

#[test]
fn an_expression_that_fits_no_node_or_names_one_that_is_not_there_is_refused() {
    let refused = |nodes: &str| {
        let request = PlanRequest {
            nodes: vec![nodes.into()],
            ..request("greet")
        };
        let recipe = recipe(RECIPE).unwrap();
        plan(&recipe, &staging(), request).unwrap_err().to_string()
    };
    assert_eq!(
        refused("role:vault or pc9"),
        "there is no node \"pc9\"; did you mean \"pc1\"?\n  role:vault or pc9\n                ^"
    );
    assert_eq!(
        refused("role:vault"),
        "nothing to do: no node of environment staging is role:vault"
    );
}

#[test]
fn what_cannot_work_is_told_with_its_place() {
    let wrong = |from: &str, to: &str| recipe(&RECIPE.replacen(from, to, 1)).unwrap_err();
    assert!(wrong("notify: [restart]", "notify: [restort]").contains(
        "greet.yaml:6:9: step \"write\": there is no handler \"restort\"; did you mean \"restart\"?"
    ));
    assert!(wrong("notify: [tell]", "retries: 1").contains("named in no `notify`"));
    assert!(
        wrong("    title: Restart\n", "    title: Restart\n    on: pc1\n")
            .contains("handler \"restart\" cannot have `on`")
    );
    assert!(
        wrong(
            "    title: Restart\n",
            "    title: Restart\n    notify: [tell]\n"
        )
        .contains("handlers notify nobody")
    );
    assert!(wrong("id: now\n", "id: end\n").contains("call this flush something else"));
    assert!(
        wrong(
            "    on: pc4\n    notify: [tell]\n    run:",
            "    notify: [restart, tell]\n    local:"
        )
        .contains("handler \"restart\" on nodes: on which, nobody could tell")
    );
    assert!(wrong("not pc2", "not (pc2").contains("this is never closed"));
    assert!(
        wrong("    on: pc4\n", "    on: pc4\n    rolling: { batch: 0 }\n")
            .contains("a batch of no hosts")
    );
    assert!(
        wrong(
            "    on: pc4\n",
            "    on: pc4\n    parallel: 1\n    rolling: {}\n"
        )
        .contains("say it twice")
    );
}
