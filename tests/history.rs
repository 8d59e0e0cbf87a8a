//! What the command line makes of history: searching logs, the audit, exports, old runs and damaged files.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use jiff::Timestamp;
use quarterdeck::domain::action::Risk;
use quarterdeck::domain::audit::{Act, Entry};
use quarterdeck::domain::operator::Operator;
use quarterdeck::domain::plan::{Plan, PlanRequest, PlannedStep};
use quarterdeck::domain::recipe::Step;
use quarterdeck::domain::run::{RunId, RunState, Stream};
use quarterdeck::store::{Change, NewLine, NewRun, Writer, database_path};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// A workspace with three finished runs.
struct Home {
    dir: TempDir,
    store: PathBuf,
}

impl Home {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::write(root.join("quarterdeck.yaml"), "name: home\n").unwrap();
        fs::create_dir(root.join("environments")).unwrap();
        let environment = "environment:\n  name: lab\n  stack: consul\n";
        fs::write(root.join("environments/lab.yaml"), environment).unwrap();
        let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
        let name = quarterdeck::domain::hex(&digest[..4]);
        let store = root.join("state").join(format!("home-{name}"));
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(fill(&store));
        Self { dir, store }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
            .args(arguments)
            .args(["--state-dir", "state"])
            .current_dir(self.dir.path())
            .env("HOME", self.dir.path())
            .env("XDG_RUNTIME_DIR", self.dir.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What was printed, when it ended with `status`.
    fn says(&self, arguments: &[&str], status: i32) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let remarks = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?}\n{said}\n{remarks}"
        );
        assert!(!remarks.contains("panicked"), "{remarks}");
        if status == 0 { said } else { said + &remarks }
    }
}

fn plan() -> Plan {
    let step = PlannedStep {
        step: Step {
            id: "install".into(),
            ..Step::default()
        },
        hosts: Some(vec!["pc1".into()]),
        preview: Vec::new(),
    };
    let request = PlanRequest {
        environment: "lab".into(),
        recipe: "deploy".into(),
        ..PlanRequest::default()
    };
    Plan {
        hash: "0".repeat(64),
        ..Plan::new(request, "Deploy".into(), Risk::Change, vec![step])
    }
}

async fn fill(store: &Path) {
    let at = Timestamp::now();
    let writer = Writer::open(store, at).unwrap();
    let handle = writer.handle();
    let ada = Operator::new("ada", "bastion", 1000);
    for number in 1..=3 {
        let id = RunId(uuid::Uuid::from_u128(number));
        let new = NewRun {
            id,
            plan: plan(),
            started_by: ada.to_string(),
            at,
        };
        let run = handle.create(new).await.unwrap();
        let started = Entry::new(Act::RunStarted, "accepted").by(&ada).of(&run);
        handle.audit(at, started).await.unwrap();
        for text in [
            "Reading package lists",
            "level=warn msg=\"disk is filling\" used=91%",
            "\u{1b}[31mERROR\u{1b}[0m: cannot reach pc2",
            "Setting up consul",
            "done",
        ] {
            let line = NewLine {
                run: id,
                task: Some(0),
                stream: Stream::Stdout,
                at,
                text: text.into(),
            };
            handle.line(line).await.unwrap();
        }
        for state in [RunState::Running, RunState::Failed] {
            let reason = None;
            let change = Change::Run { state, reason };
            handle.commit(id, at, vec![change]).await.unwrap();
        }
    }
    writer.close().await;
}

#[test]
fn a_log_is_searched_with_context_and_filtered_by_level() {
    let home = Home::new();
    let said = home.says(&["logs", "--regex", "^error: .* pc[0-9]", "-C", "1"], 0);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(lines[0].contains("disk is filling") && lines[2].contains("Setting up consul"));
    assert!(!said.contains('\u{1b}'), "no raw escape reaches a terminal");
    let said = home.says(&["logs", "1", "--level", "warn"], 0);
    assert_eq!(said.lines().count(), 2, "{said}");
    let said = home.says(&["logs", "--grep", "E", "--invert", "--case-sensitive"], 0);
    assert_eq!(said.lines().count(), 4, "{said}");
    assert_eq!(home.says(&["logs", "--stream", "stderr"], 0), "");
    assert_eq!(home.says(&["logs", "--since", "1h"], 0).lines().count(), 5);
    assert_eq!(home.says(&["logs", "--until", "1h"], 0), "");
}

#[test]
fn structured_lines_become_columns_as_text_and_as_json() {
    let home = Home::new();
    let said = home.says(&["logs", "--level", "warn", "--columns"], 0);
    assert!(said.contains("warn  disk is filling  used=91%"), "{said}");
    let said = home.says(&["logs", "--columns", "--json", "--grep", "filling"], 0);
    let value: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
    assert_eq!(value["columns"]["message"], "disk is filling");
    assert_eq!(value["level"], "warn");
}

#[test]
fn a_mistake_in_an_expression_is_told_with_its_place() {
    let home = Home::new();
    let said = home.says(&["logs", "--regex", "a(b"], 3);
    assert!(
        said.contains("unclosed group (character 2 of \"a(b\")"),
        "{said}"
    );
}

#[test]
fn the_audit_is_listed_and_verified_and_tampering_is_found() {
    let home = Home::new();
    let said = home.says(&["audit", "--who", "ada", "--json"], 0);
    assert_eq!(said.lines().count(), 3, "{said}");
    home.says(&["audit", "verify"], 0);
    let db = rusqlite::Connection::open(database_path(&home.store)).unwrap();
    db.execute_batch(
        "DROP TRIGGER audit_is_not_edited; UPDATE audit SET user = 'eve' WHERE seq = 2",
    )
    .unwrap();
    drop(db);
    let said = home.says(&["audit", "verify"], 1);
    assert!(said.contains("record 2 was edited"), "{said}");
}

#[test]
fn a_run_is_exported_as_text_as_json_and_as_an_archive_that_only_its_owner_can_read() {
    let home = Home::new();
    let said = home.says(&["runs", "export", "2"], 0);
    assert_eq!(said.lines().count(), 5, "{said}");
    let said = home.says(&["runs", "export", "2", "--format", "jsonl"], 0);
    for line in said.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(value["seq"].is_u64());
    }
    home.says(
        &["runs", "export", "2", "--format", "tar", "-o", "run.tar.gz"],
        0,
    );
    let path = home.dir.path().join("run.tar.gz");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let file = fs::File::open(&path).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        if name.ends_with("report.txt") {
            assert!(
                text.starts_with("Run 2: Deploy\nstate        failed\n"),
                "{text}"
            );
        }
        if name.ends_with("log.txt") {
            assert!(text.contains("Setting up consul"));
        }
        names.push(name);
    }
    let expected = [
        "report.txt",
        "run.json",
        "plan.json",
        "tasks.json",
        "events.jsonl",
        "log.jsonl",
        "log.txt",
    ];
    assert_eq!(names, expected.map(|name| format!("run-2/{name}")));
    let said = home.says(&["runs", "export", "2", "-o", "run.tar.gz"], 4);
    assert!(said.contains("--force"), "{said}");
    let left = fs::read_dir(home.dir.path()).unwrap();
    let stray = left.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with(".tmp")
    });
    assert_eq!(stray.count(), 0, "nothing half written stays");
}

#[test]
fn a_damaged_store_is_told_and_what_can_be_read_is_recovered() {
    let home = Home::new();
    home.says(&["store", "check"], 0);
    let path = database_path(&home.store);
    // A disk that lost a page: one of log lines, wherever it lies. Without its catalogue of tables nothing of a file can be read.
    let db = rusqlite::Connection::open(&path).unwrap();
    let place = "SELECT max(pageno), max(pgsize) FROM dbstat WHERE name = 'lines'";
    let (page, size): (u32, u32) = db
        .query_row(place, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    drop(db);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let place = u64::from(page - 1) * u64::from(size);
    file.write_all_at(&vec![0; size as usize], place).unwrap();
    let said = home.says(&["store", "check"], 1);
    assert!(said.contains("quarterdeck store recover"), "{said}");
    home.says(&["store", "recover"], 0);
    home.says(&["store", "check"], 0);
    let said = home.says(&["runs", "--json"], 0);
    assert!(said.contains("\"number\":3"), "{said}");
}
