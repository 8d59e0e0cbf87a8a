//! A Vault from its initialisation to a leader that loses its power, and where its shares are afterwards: nowhere.

use std::fs;

use super::canary::{Canary, Spy};
use super::cluster::{Cluster, eventually, keys};

#[test]
#[ignore = "needs OpenBao: tests/run vault"]
fn a_vault_is_made_opened_sealed_and_opened_again_and_its_shares_are_nowhere_else() {
    let Some(mut cluster) = Cluster::start(3, "") else {
        println!("skipped: needs QUARTERDECK_OPENBAO, see tests/real/openbao");
        return;
    };
    assert_eq!(cluster.states(), ["not initialized"; 3]);

    // Five shares, three of which unseal; shown once.
    let printed = cluster.done(&["vault", "init", "--yes", "--json"], &[]);
    let (shares, token) = keys(&printed);
    assert_eq!(shares.len(), 5);
    let token_file = cluster.dir.path().join("workspace/token");
    fs::write(&token_file, token.clone().unwrap()).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&token_file, mode).unwrap();
    let again = cluster.quarterdeck(&["vault", "init", "--yes"], &[]);
    assert!(
        !again.status.success(),
        "a second time there would be other keys"
    );

    // A wrong share among the first three: a fourth one shows which it was. The others join and get the same shares.
    let mut wrong = shares[1].clone();
    wrong.replace_range(0..1, if wrong.starts_with('0') { "1" } else { "0" });
    let input = [&shares[0], &wrong, &shares[2], &shares[3]].map(String::as_str);
    let log = cluster.done(&["unseal", "--yes"], &input);
    assert!(log.contains("these 3 shares open nothing"), "{log}");
    assert!(
        log.contains("the share that was wrong is number 2"),
        "{log}"
    );
    assert_eq!(log.matches("joins the cluster").count(), 2, "{log}");
    let mut states = cluster.states();
    states.sort();
    assert_eq!(states, ["active", "standby", "standby"]);

    // One is sealed; two operators open it, each with shares from his own session.
    let sealed = format!("{}:8200", cluster.address(2));
    cluster.done(
        &["vault", "seal", "--node", &sealed, "--confirm", "staging"],
        &[],
    );
    assert_eq!(cluster.states()[2], "sealed");
    let spy = Spy::attach(cluster.dir.path());
    let canary = Canary::of(&shares, &[token.as_deref().unwrap()]);
    let first = ["unseal", "--yes"];
    let held = cluster.begin(&first, &[&shares[4]]);
    eventually("one share was given", || {
        cluster.nodes()[2]["progress"] == 1
    });
    // The engine, and the one who gave it.
    assert!(canary.absent_from_processes() >= 2);
    cluster.done(&["unseal"], &[&shares[0], &shares[1]]);
    let output = cluster.end(&first, held);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(cluster.states()[2], "standby");

    // A ceremony that is given up takes back what it gave.
    cluster.done(
        &["vault", "seal", "--node", &sealed, "--confirm", "staging"],
        &[],
    );
    let held = cluster.begin(&first, &[&shares[4]]);
    eventually("one share was given", || {
        cluster.nodes()[2]["progress"] == 1
    });
    let id = rustix::process::Pid::from_child(&held);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let output = cluster.end(&first, held);
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!(cluster.nodes()[2]["progress"], 0);
    cluster.done(&["unseal", "--yes"], &[&shares[2], &shares[3], &shares[4]]);

    // The leader loses its power; it comes back sealed, and is opened again while another leads. A newcomer to Raft votes after
    // its log has been stable for a while (autopilot: 10 s); before, the loss of the leader would lose the cluster.
    let leader = cluster.active();
    eventually("all three vote", || {
        cluster.voters(leader, token.as_deref().unwrap()) == 3
    });
    cluster.kill(leader);
    eventually("another node leads", || {
        let states = cluster.states();
        states[leader] == "unreachable" && states.iter().any(|state| state == "active")
    });
    cluster.boot(leader);
    cluster.done(&["unseal", "--yes"], &[&shares[0], &shares[2], &shares[4]]);
    let mut states = cluster.states();
    states.sort();
    assert_eq!(states, ["active", "standby", "standby"]);

    // Another leads at our word; other shares replace these.
    let leader = cluster.active();
    cluster.done(&["vault", "step-down", "--confirm", "staging"], &[]);
    assert_ne!(cluster.active(), leader);
    let rekey = ["vault", "rekey", "--shares", "3", "--threshold", "2"];
    let rekey = [rekey.as_slice(), &["--confirm", "staging", "--json"]].concat();
    let old = [&shares[0], &shares[1], &shares[2]].map(String::as_str);
    let (new, none) = keys(&cluster.done(&rekey, &old));
    assert_eq!((new.len(), none), (3, None));
    cluster.done(&["vault", "seal", "--confirm", "staging"], &[]);
    assert_eq!(cluster.states(), ["sealed"; 3]);
    // Two shares suffice now. A standby of OpenBao goes on counting by what it knew before, until it was active or restarted; one
    // share more, of the same new ones, opens it as well.
    cluster.done(&["unseal", "--yes"], &[&new[0], &new[2], &new[1]]);
    assert!(cluster.states().iter().all(|state| state != "sealed"));

    // Neither the store, nor a log, nor the audit, nor anything that was said holds a share.
    let audit = cluster.done(&["audit"], &[]);
    assert!(audit.contains("unseal of vault: a share"), "{audit}");
    let all = shares.iter().chain(&new).chain([&wrong]);
    let canary = Canary::of(all, &[token.as_deref().unwrap()]);
    let looked = canary.absent_below(&cluster.dir.path().join("state"));
    let is_store = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "db");
    assert!(looked.iter().any(is_store), "{looked:?}");
    canary.absent(&cluster.said, "what was said");
    // Nor does anybody else who is attached hear of more than that one was given.
    let heard = spy.heard();
    assert!(
        String::from_utf8_lossy(&heard).contains("ceremon"),
        "the spy heard of no ceremony"
    );
    canary.absent(&heard, "what other clients hear");
}
