use std::sync::{Arc, Mutex};

use super::super::testing::{Answer, TempHost, ensure, fails, says, take_back};
use super::*;
use crate::domain::resource::Resource;

#[derive(Debug)]
struct Ufw {
    on: bool,
    incoming: String,
    rules: Vec<String>,
}

/// A host with ufw, reached from 10.1.2.3 over port 2222.
fn host() -> (TempHost, Arc<Mutex<Ufw>>) {
    let ufw = Arc::new(Mutex::new(Ufw {
        on: false,
        incoming: "deny".into(),
        rules: Vec::new(),
    }));
    let there = Arc::clone(&ufw);
    let host = TempHost::scripted(move |line| -> Option<Answer> {
        let mut ufw = there.lock().unwrap();
        if line.starts_with("sh -c") {
            return says("10.1.2.3 50000 10.1.2.4 2222\n");
        }
        let words: Vec<&str> = line.strip_prefix("ufw ")?.split(' ').collect();
        match words.as_slice() {
            ["status", "verbose"] if ufw.on => says(&format!(
                "Status: active\nDefault: {} (incoming), allow (outgoing), disabled (routed)\n",
                ufw.incoming
            )),
            ["status", "verbose"] => says("Status: inactive\n"),
            ["show", "added"] => {
                let rules: Vec<String> =
                    ufw.rules.iter().map(|rule| format!("ufw {rule}")).collect();
                says(&format!("Added user rules:\n{}\n", rules.join("\n")))
            }
            ["--force", "enable"] => {
                ufw.on = true;
                says("")
            }
            ["disable"] => {
                ufw.on = false;
                says("")
            }
            ["default", policy, "incoming"] => {
                ufw.incoming = (*policy).to_owned();
                says("")
            }
            ["--force", "delete", rule @ ..] => {
                let rule = rule.join(" ");
                ufw.rules.retain(|known| *known != rule);
                says("")
            }
            [verb, ..] if VERBS.contains(verb) => {
                ufw.rules.push(words.join(" "));
                says("")
            }
            _ => fails(1, "ERROR: Invalid syntax"),
        }
    });
    host.put(
        "/etc/default/ufw",
        "DEFAULT_INPUT_POLICY=\"DROP\"\nDEFAULT_OUTPUT_POLICY=\"ACCEPT\"\n",
    );
    (host, ufw)
}

fn declared(rules: &[&str]) -> Resource {
    Resource::Firewall(FirewallSpec {
        rules: rules.iter().map(ToString::to_string).collect(),
        incoming: FirewallPolicy::Deny,
        outgoing: FirewallPolicy::Allow,
        enabled: true,
    })
}

#[tokio::test]
async fn rules_come_before_it_is_switched_on_and_all_of_it_is_taken_back() {
    let (host, ufw) = host();
    ufw.lock().unwrap().rules.push("allow 80/tcp".into());
    let resource = declared(&["limit 2222/tcp", "allow in 443/tcp"]);
    let changes = ensure(&resource, &host).await.unwrap();
    assert_eq!(
        changes,
        [
            "rule added: limit 2222/tcp",
            "rule added: allow 443/tcp",
            "off → on"
        ]
    );
    let ran = host.ran();
    let at = |line: &str| ran.iter().position(|found| found == line).unwrap();
    assert!(at("ufw limit 2222/tcp") < at("ufw --force enable"));
    take_back(&host).await.unwrap();
    let ufw = ufw.lock().unwrap();
    assert!(!ufw.on);
    assert_eq!(ufw.rules, ["allow 80/tcp"]);
}

#[tokio::test]
async fn it_refuses_to_lock_us_out_and_names_the_rule_that_is_missing() {
    let (host, ufw) = host();
    let error = ensure(&declared(&["allow 22/tcp", "allow 443"]), &host)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no rule lets in the SSH connection over port 2222 from 10.1.2.3: this would lock us out; add the rule `allow \
         2222/tcp`, or one with `from` that covers it"
    );
    assert!(!ufw.lock().unwrap().on && ufw.lock().unwrap().rules.is_empty());
}

#[test]
fn what_lets_a_client_in_is_understood_and_nothing_else_is_taken_for_it() {
    let client = Some("10.1.2.3".parse().unwrap());
    for good in [
        "allow 22",
        "allow 22/tcp",
        "limit OpenSSH",
        "allow 20:30/tcp",
        "allow 22,80/tcp",
        "allow from 10.0.0.0/8",
        "allow from 10.1.2.3 to any port 22 proto tcp",
        "allow from 10.1.0.0/16 to any port 22",
    ] {
        assert!(lets_in(good, client, 22), "{good}");
    }
    for bad in [
        "deny 22",
        "allow 22/udp",
        "allow 222/tcp",
        "allow out 22/tcp",
        "allow from 10.2.0.0/16 to any port 22",
        "allow from 10.0.0.0/8 to any port 22 proto udp",
        "allow in on eth1 to any port 22",
        "allow to 10.9.9.9 port 22",
    ] {
        assert!(!lets_in(bad, client, 22), "{bad}");
    }
    assert!(within("fd00::5".parse().unwrap(), "fd00::/8"));
    assert!(!within("fd00::5".parse().unwrap(), "10.0.0.0/8"));
    assert!(!lets_in("allow from 10.0.0.0/8", None, 22));
}

#[test]
fn a_rule_that_is_none_is_refused() {
    for bad in [
        "",
        "allow",
        "permit 22",
        "allow -x",
        "allow 22;reboot \u{7}",
    ] {
        let Resource::Firewall(spec) = declared(&[bad]) else {
            unreachable!()
        };
        assert!(fault(&spec).is_some(), "{bad:?}");
    }
}
