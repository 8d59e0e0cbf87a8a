//! The built program as a person or a script uses it: arguments in, output and exit status out.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The program with its files under `home`, and nobody at its keyboard.
pub(crate) fn quarterdeck(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quarterdeck"));
    command
        .args(args)
        .current_dir(home)
        .env("HOME", home)
        .env("XDG_STATE_HOME", home.join("state"))
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn run(home: &Path, args: &[&str]) -> Output {
    quarterdeck(home, args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asserts the exit status and hands back what was said.
pub(crate) fn expect(output: &Output, code: i32) -> (String, String) {
    let said = (stdout(output), stderr(output));
    assert_eq!(
        output.status.code(),
        Some(code),
        "stdout:\n{}\nstderr:\n{}",
        said.0,
        said.1
    );
    assert!(!said.1.contains("panicked"), "{}", said.1);
    said
}
