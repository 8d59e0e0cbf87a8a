//! The engine replaced from the screens, which stay.

use super::terminal::Terminal;
use super::{Scene, until};

/// The screens on `place`, with these options.
fn sit(place: &Scene, options: &[&str]) -> Terminal {
    let root = place.root();
    let args = [&["--workspace", root.to_str().unwrap()], options].concat();
    let terminal = Terminal::start(&args, place.home.path(), (80, 24));
    terminal.wait_for("Quarterdeck");
    terminal
}

fn restart(terminal: &Terminal) {
    terminal.press(":");
    terminal.press("restart engine\r");
}

#[test]
fn the_engine_is_restarted_from_the_screens_and_has_read_the_workspace_anew() {
    let place = Scene::new();
    place.expect(&["engine", "start"], 0);
    let pid = || place.engine()["pid"].as_u64().unwrap();
    let first = pid();
    let terminal = sit(&place, &[]);
    terminal.press(":recipes\r");
    terminal.wait_for("Install Consul");

    let mut client = place.begin();
    restart(&terminal);
    terminal.wait_for("busy with run 1");
    assert_eq!(pid(), first);
    place.release();
    client.wait().unwrap();
    until("the run ends", || place.run_state() == "succeeded");

    let onlooker = sit(&place, &["--read-only"]);
    restart(&onlooker);
    onlooker.wait_for("is read-only;");
    assert_eq!(pid(), first);
    drop(onlooker);

    place.write(
        "recipes/anew.yaml",
        "name: anew\ntitle: Written just now\nrisk: read\nsteps:\n\
         - {id: look, title: Look, local: {argv: [echo, seen], changes: false}}\n",
    );
    restart(&terminal);
    terminal.wait_for("everything was read anew");
    // The cursor stays on its row, and the new one is above it.
    terminal.press("g");
    terminal.wait_for("Written just now");
    assert_ne!(pid(), first);
}
