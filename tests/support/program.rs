//! The built program as a person or a script uses it: arguments in, output and exit status out.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

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

/// A practice cluster without screens, ended when dropped.
pub(crate) struct Lab {
    child: Child,
    home: PathBuf,
    /// Directory of its workspace.
    pub(crate) workspace: PathBuf,
}

impl Lab {
    /// Starts it; its files are under `home`.
    pub(crate) fn start(home: &Path) -> Self {
        let mut child = quarterdeck(home, &["lab", "--headless", "--pace", "0.1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self {
            child,
            home: home.into(),
            workspace: line.trim().into(),
        }
    }

    /// `args` for the program, to use this workspace.
    pub(crate) fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [&["--workspace", self.workspace.to_str().unwrap()], args].concat()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // An engine that was started for it lives on otherwise.
        let _ = run(&self.home, &self.args(&["engine", "stop", "--force"]));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
