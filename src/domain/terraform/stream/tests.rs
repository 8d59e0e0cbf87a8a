//! Recorded runs of Terraform and OpenTofu, and lines that no version prints, taken in.

use super::*;

fn account(text: &str) -> (Account, Vec<Said>) {
    let mut account = Account::default();
    let said = text.lines().flat_map(|line| account.take(line)).collect();
    (account, said)
}

#[test]
fn a_plan_has_destruction_on_top_with_the_reason() {
    let (account, _) = account(include_str!("../fixtures/plan.jsonl"));
    let lines: Vec<String> = account
        .planned()
        .iter()
        .map(|change| format!("{} {} ({})", change.action, change.address, change.why))
        .collect();
    assert_eq!(
        lines,
        [
            r#"destroy terraform_data.node["n2"] (its key is no longer in for_each)"#,
            r#"replace terraform_data.node["n1"] (it cannot be changed where it is)"#,
        ]
    );
    assert_eq!(account.version(), Some("1.11.4"));
    assert_eq!(account.changing_outputs(), ["nodes"]);
    assert_eq!(
        account.matrix("plan").rows[0].note,
        "destroy: its key is no longer in for_each"
    );
}

#[test]
fn an_apply_moves_each_resource_to_its_end_and_keeps_outputs_but_no_secret() {
    let (account, said) = account(include_str!("../fixtures/apply.jsonl"));
    assert_eq!(account.progress(), (2, 2));
    assert!(account.half_done().is_empty());
    let outputs = account.outputs();
    assert!(outputs[0].starts_with("output nodes = {"), "{outputs:?}");
    assert_eq!(outputs[1], "output pw (sensitive)");
    let matrix = account.matrix("apply");
    let row = &matrix.rows[0];
    assert_eq!((row.note.as_str(), row.worst()), ("created", Mark::Changed));
    assert!(row.since.is_some() && row.until.is_some());
    let text = format!("{said:?}");
    assert!(text.contains("Creation complete after 0s"), "{text}");
    assert!(!text.contains("hunter22"), "{text}");
}

#[test]
fn an_interrupted_apply_tells_what_is_half_done_and_the_first_real_error() {
    let (account, said) = account(include_str!("../fixtures/interrupted.jsonl"));
    assert_eq!(account.half_done(), ["terraform_data.slow (create)"]);
    let complaint = account.complaint().unwrap();
    assert_eq!(
        complaint.told(),
        "local-exec provisioner error: terraform_data.slow (slow.tf:2)"
    );
    assert_eq!(account.progress(), (0, 1));
    assert!(said.iter().any(|said| said.text == "Interrupt received."));
}

#[test]
fn a_locked_state_is_told_with_its_owner() {
    let (account, _) = account(include_str!("../fixtures/locked.jsonl"));
    let lock = account.lock().unwrap();
    assert_eq!(lock.who, "root@vm");
    assert_eq!(lock.operation, "Apply");
    assert_eq!(lock.id, "d3332e27-ecad-0ad3-32ed-bbe05157ebb2");
    assert!(
        lock.created.starts_with("2026-11-21 19:59:44"),
        "{}",
        lock.created
    );
}

#[test]
fn what_is_no_json_or_of_an_unknown_kind_is_passed_on_as_it_is() {
    let mut account = Account::default();
    assert_eq!(account.take("plain words")[0].text, "plain words");
    let said = account.take(r#"{"@message":"something new","type":"from_the_future"}"#);
    assert_eq!(said[0].text, "something new");
    assert_eq!(
        account.take(r#"{"type":"apply_complete"}"#),
        Vec::<Said>::new()
    );
}

#[test]
fn half_of_a_replacement_is_not_its_end() {
    let mut account = Account::default();
    let line = |kind: &str, action: &str| {
        format!(
            r#"{{"@message":"m","type":"{kind}","hook":{{"resource":{{"addr":"a.b"}},"action":"{action}"}},"change":{{"resource":{{"addr":"a.b"}},"action":"{action}"}}}}"#
        )
    };
    account.take(&line("planned_change", "replace"));
    account.take(&line("apply_start", "delete"));
    account.take(&line("apply_complete", "delete"));
    assert_eq!(account.progress(), (0, 1));
    account.take(&line("apply_start", "create"));
    account.take(&line("apply_complete", "create"));
    assert_eq!(account.progress(), (1, 1));
}
