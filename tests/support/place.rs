//! A workspace of its own for a test, and the engine that is started on it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::program::{expect, quarterdeck};

/// A workspace of one environment without nodes, whose recipes run where the engine is. Its engine ends with it.
pub(crate) struct Place {
    /// Where everything of it is.
    pub(crate) home: tempfile::TempDir,
}

impl Place {
    /// A fresh one.
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let place = Self { home };
        for dir in ["environments", "recipes"] {
            fs::create_dir_all(place.root().join(dir)).unwrap();
        }
        place.write("quarterdeck.yaml", "name: place\n");
        place.write(
            "environments/here.yaml",
            "environment: {name: here, protection: open}\n",
        );
        place
    }

    /// The workspace's directory.
    pub(crate) fn root(&self) -> PathBuf {
        self.home.path().join("workspace")
    }

    /// Writes a file of the workspace.
    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.root().join(file), text).unwrap();
    }

    /// The program, with `args`, on this workspace.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let root = self.root();
        quarterdeck(
            self.home.path(),
            &[&["--workspace", root.to_str().unwrap()], args].concat(),
        )
    }

    /// Runs a command to its end, which must be `code`; what it said on both streams.
    pub(crate) fn expect(&self, args: &[&str], code: i32) -> (String, String) {
        expect(&self.command(args).output().unwrap(), code)
    }

    /// Runs a command that answers in JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let (out, _) = self.expect(args, 0);
        serde_json::from_str(&out).unwrap()
    }

    /// The one state directory there is.
    pub(crate) fn state(&self) -> PathBuf {
        let all = self.home.path().join("state/quarterdeck");
        let mut dirs = fs::read_dir(all)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        dirs.find(|dir| dir.is_dir()).unwrap()
    }

    /// How its engine is.
    pub(crate) fn engine(&self) -> Value {
        self.json(&["engine", "status", "--json"])
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.command(&["engine", "stop", "--force"]).output();
    }
}
