use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::domain::node::SshAccess;

fn nodes() -> Vec<Node> {
    let node = |name: &str, platform, arch, roles: &[Role], zone: &str| Node {
        name: name.into(),
        address: name.into(),
        platform,
        arch,
        roles: roles.iter().copied().collect::<BTreeSet<_>>(),
        labels: BTreeMap::from([("zone".into(), zone.into())]),
        ssh: SshAccess::default(),
    };
    vec![
        node(
            "pc1",
            Platform::Rpi5Ubuntu,
            Arch::Arm64,
            &[Role::ConsulServer],
            "a",
        ),
        node(
            "pc2",
            Platform::OdroidC5,
            Arch::Arm64,
            &[Role::ConsulServer],
            "b",
        ),
        node(
            "vm1",
            Platform::ProxmoxVm,
            Arch::Amd64,
            &[Role::Vault, Role::ConsulServer],
            "a",
        ),
    ]
}

fn picked(text: &str) -> Vec<String> {
    let group: Group = text.parse().unwrap();
    let nodes = nodes();
    let admitted = nodes.iter().filter(|node| group.admits(node));
    admitted.map(|node| node.name.clone()).collect()
}

fn error(text: &str) -> String {
    text.parse::<Group>().unwrap_err().to_string()
}

#[test]
fn nodes_are_picked_by_what_they_are() {
    assert_eq!(
        picked("role:consul-server and not platform:odroid-c5"),
        ["pc1", "vm1"]
    );
    assert_eq!(picked("label:zone=a"), ["pc1", "vm1"]);
    assert_eq!(picked("label:rack"), [] as [&str; 0]);
    assert_eq!(picked("arch:arm64"), ["pc1", "pc2"]);
    assert_eq!(picked("pc2, name:vm1"), ["pc2", "vm1"]);
    assert_eq!(picked("pc* and label:zone"), ["pc1", "pc2"]);
    assert_eq!(picked("all"), ["pc1", "pc2", "vm1"]);
}

#[test]
fn not_binds_most_then_and_then_or_unless_parentheses_say_otherwise() {
    assert_eq!(picked("role:vault or pc* and label:zone=b"), ["pc2", "vm1"]);
    assert_eq!(picked("(role:vault or pc*) and label:zone=b"), ["pc2"]);
    assert_eq!(picked("not pc1 and not (pc2)"), ["vm1"]);
}

#[test]
fn a_slip_is_pointed_at() {
    assert_eq!(
        error("pc1 or role:consul-sever"),
        "there is no role \"consul-sever\"; did you mean \"consul-server\"?\n  pc1 or role:consul-sever\n              ^"
    );
    assert_eq!(
        error("(pc1 and pc2"),
        "this is never closed\n  (pc1 and pc2\n  ^"
    );
    assert_eq!(
        error("pc1 pc2"),
        "`and`, `or` or a comma is missing before \"pc2\"\n  pc1 pc2\n      ^"
    );
    assert!(error("pc1 and").starts_with("something is missing here"));
    assert!(error("").starts_with("something is missing here"));
    assert!(error("rule:vault").contains("did you mean \"role\"?"));
    assert!(error("role:").contains("Nothing stands after the colon"));
    assert!(error(&"(".repeat(100_000)).starts_with("this goes too deep"));
}

#[test]
fn names_that_no_node_has_are_found_when_asked_for() {
    let group: Group = "pc1 or pc9".parse().unwrap();
    let error = group.check_names(&nodes()).unwrap_err();
    assert_eq!(error.at, 7);
    assert!(
        error
            .message
            .contains("there is no node \"pc9\"; did you mean"),
        "{error}"
    );
    assert_eq!(
        "pc* or role:vault"
            .parse::<Group>()
            .unwrap()
            .check_names(&nodes()),
        Ok(())
    );
}

proptest! {
    #[test]
    fn whatever_is_written_gives_a_group_or_a_place_within_the_text(text in "[a-z:=*,() \\n\u{e4}]{0,40}") {
        if let Err(error) = text.parse::<Group>() {
            prop_assert!(error.at <= text.chars().count());
        }
    }

    #[test]
    fn a_star_stands_for_any_characters(head in "[a-c]{0,3}", middle in "[a-c]{0,3}", tail in "[a-c]{0,3}") {
        let name = [head.as_str(), &middle, &tail].concat();
        let pattern = [head.as_str(), "*", &tail].concat();
        prop_assert!(fits(&pattern, &name));
        prop_assert!(!fits(&pattern, &(name + "x")) || tail.is_empty());
    }
}
