//! Commands on nodes and here: judged by status, expectation and check; what they know of where they run.

use super::*;

#[tokio::test]
async fn a_command_is_judged_by_status_expectation_and_check() {
    let host = Arc::new(TempHost::scripted(|line| match line {
        "uname -m" => says("aarch64\n"),
        "false" => fails(1, "boo\n"),
        _ => None,
    }));
    let context = context(&host);
    let failed = async |step: Step| execute(&step, Some("pc1"), &context).await.unwrap_err();
    let with = |expect: Option<&str>, check: Option<&str>| {
        let mut step = run_step(&["uname", "-m"], false);
        if let Some(run) = &mut step.run {
            run.expect = expect.map(Into::into);
            run.check = check.map(Into::into);
        }
        step
    };
    assert_eq!(
        execute(
            &with(Some("{{ node.machine }}"), Some("output == node.machine")),
            Some("pc1"),
            &context
        )
        .await
        .unwrap(),
        Outcome::Ok
    );
    assert_eq!(
        failed(run_step(&["false"], false)).await.message,
        "false: exit status 1: boo"
    );
    assert_eq!(
        failed(with(Some("x86_64"), None)).await.message,
        "uname -m said \"aarch64\", which does not contain \"x86_64\""
    );
    assert_eq!(
        failed(with(None, Some("output == 'x86_64'"))).await.message,
        "uname -m said \"aarch64\", for which it is not the case that output == 'x86_64'"
    );
    let mut meant = with(None, Some("output == 'x86_64'"));
    if let Some(command) = &mut meant.run {
        command.otherwise = Some("{{ node.name }} is an odd machine".into());
    }
    assert_eq!(
        failed(meant).await.message,
        "pc1 is an odd machine: uname -m said \"aarch64\""
    );
    assert!(
        failed(run_step(&["{{ env.nothing }}"], false))
            .await
            .message
            .contains("undefined")
    );
}

#[tokio::test]
async fn a_local_command_knows_its_environment_and_node() {
    let host = Arc::new(TempHost::new());
    let step = Step {
        local: Some(RunCommand {
            detached: false,
            elsewhere: Vec::new(),
            distinct: false,
            argv: vec![
                "sh".into(),
                "-c".into(),
                "echo $QUARTERDECK_ENVIRONMENT $QUARTERDECK_NODE".into(),
            ],
            changes: false,
            expect: Some("staging pc4".into()),
            check: None,
            otherwise: None,
        }),
        ..step("local")
    };
    assert_eq!(
        execute(&step, Some("pc4"), &context(&host)).await.unwrap(),
        Outcome::Ok
    );
    let missing = Step {
        local: Some(RunCommand {
            detached: false,
            elsewhere: Vec::new(),
            distinct: false,
            argv: vec!["no-such-program-here".into()],
            changes: false,
            expect: None,
            check: None,
            otherwise: None,
        }),
        ..step.clone()
    };
    let error = execute(&missing, None, &context(&host)).await.unwrap_err();
    assert!(
        error.message.contains("no-such-program-here"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn a_step_on_nodes_without_a_node_is_an_error_and_no_panic() {
    let host = Arc::new(TempHost::new());
    let error = execute(&run_step(&["true"], false), None, &context(&host))
        .await
        .unwrap_err();
    assert!(error.message.contains("needs `on`"), "{}", error.message);
    let error = execute(&run_step(&["true"], false), Some("pc9"), &context(&host))
        .await
        .unwrap_err();
    assert!(
        error.message.contains("no node called \"pc9\""),
        "{}",
        error.message
    );
}
