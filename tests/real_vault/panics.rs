//! A panic while shares are about: of the screens that one is being typed into, and of the engine that holds others. The
//! terminal is its owner's again, the ceremony goes on, and no share is in any report, log or file.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::canary::Canary;
use super::cluster::{Cluster, eventually, keys};
use super::terminal::Terminal;

/// Asks a debug build for a mistake.
fn mistake(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::USR2).unwrap();
}

#[test]
#[ignore = "needs OpenBao: tests/run vault"]
fn a_panic_gives_the_terminal_back_and_shows_no_share_anywhere() {
    let Some(mut cluster) = Cluster::start(1, "") else {
        println!("skipped: needs QUARTERDECK_OPENBAO, see tests/real/openbao");
        return;
    };
    let (shares, token) = keys(&cluster.done(&["vault", "init", "--yes", "--json"], &[]));
    let token = token.unwrap();
    let canary = Canary::of(&shares, &[&token]);
    let dir = cluster.dir.path().to_owned();
    let file = dir.join("workspace/token");
    fs::write(&file, &token).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&file, mode).unwrap();

    // One share is held by the engine, another one is half way through the dialog.
    let unseal = ["unseal", "--yes"];
    let held = cluster.begin(&unseal, &[&shares[0]]);
    eventually("one share was given", || {
        cluster.nodes()[0]["progress"] == 1
    });
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (workspace, state) = (path("workspace"), path("state"));
    let env = [
        ("QUARTERDECK_WORKSPACE", workspace.as_str()),
        ("QUARTERDECK_STATE_DIR", state.as_str()),
        ("XDG_RUNTIME_DIR", dir.to_str().unwrap()),
        ("QUARTERDECK_LOG", "trace"),
        ("RUST_BACKTRACE", "full"),
    ];
    let mut screens = Terminal::start_with(&[], home.path(), (80, 24), &env);
    screens.wait_for("Bridge");
    screens.press(":unseal\r");
    screens.wait_for("enter gives a share");
    screens.press("\r");
    screens.wait_for("Share 2 of 3");
    screens.press(&shares[1]);
    screens.wait_for("****");
    assert!(!screens.echoes() && screens.is_in_alternate_screen());
    mistake(screens.pid());
    let status = screens.wait();
    assert_eq!(status.code(), Some(101), "it ends as a panic ends");
    let said = screens.said();
    let shown = String::from_utf8_lossy(&said);
    assert!(shown.contains("SIGUSR2 asked for a mistake"), "{shown}");
    assert!(screens.echoes() && screens.shows_cursor() && !screens.is_in_alternate_screen());
    canary.absent(&said, "what came to the terminal");

    // The engine has one of its own, says so in its log, and goes on with the ceremony that it holds.
    let engine: Value =
        serde_json::from_str(&cluster.done(&["engine", "status", "--json"], &[])).unwrap();
    mistake(u32::try_from(engine["pid"].as_u64().unwrap()).unwrap());
    let states = fs::read_dir(dir.join("state")).unwrap();
    // Beside it lies the log of the screens.
    let mut logs = states.map(|entry| entry.unwrap().path().join("engine.log"));
    let log = logs.find(|log| log.exists()).unwrap();
    eventually("the log tells of it", || {
        let log = fs::read(&log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        log.contains("a mistake in Quarterdeck itself") && log.contains("SIGUSR2 asked")
    });
    assert_eq!(cluster.nodes()[0]["progress"], 1);
    cluster.done(&["unseal"], &[&shares[1], &shares[2]]);
    let output = cluster.end(&unseal, held);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(cluster.states(), ["active"]);
    let again: Value =
        serde_json::from_str(&cluster.done(&["engine", "status", "--json"], &[])).unwrap();
    assert_eq!(again["pid"], engine["pid"], "it is the same engine");

    // Logs, histories, core files: whatever was written by anybody.
    let looked = canary.absent_below(&dir.join("state"));
    assert!(looked.contains(&log), "{looked:?}");
    canary.absent_below(home.path());
    canary.absent(&cluster.said, "what was said");
}
