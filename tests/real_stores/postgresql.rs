//! PostgreSQL: by the programs that come with it, of a server that wants a password.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::program::expect;
use super::{Server, Workspace, free_port, is_root, until, which};

#[test]
#[ignore = "needs PostgreSQL"]
fn postgresql_is_saved_tried_and_restored_over_later_changes() {
    needs!(
        "initdb",
        "postgres",
        "pg_dump",
        "pg_restore",
        "psql",
        "setpriv"
    );
    // The path of its socket must be short, and the server's user must own it.
    let dir = tempfile::tempdir().unwrap();
    let root = is_root();
    let as_user = |program: &Path| {
        if !root {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
            .arg(program);
        command
    };
    if root {
        let owner = Command::new("chown")
            .arg("postgres")
            .arg(dir.path())
            .status();
        assert!(owner.unwrap().success());
    }
    let data = dir.path().join("data");
    let password = dir.path().join("password");
    fs::write(&password, "practice-only\n").unwrap();
    if root {
        let owner = Command::new("chown")
            .arg("postgres")
            .arg(&password)
            .status();
        assert!(owner.unwrap().success());
    }
    let made = as_user(&which("initdb").unwrap())
        .args(["--auth=scram-sha-256", "--username=backup", "--no-sync"])
        .arg(format!("--pwfile={}", password.display()))
        .arg(format!("--pgdata={}", data.display()))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let port = free_port();
    let log = tempfile::tempdir().unwrap();
    let _server = Server::start(
        as_user(&which("postgres").unwrap())
            .arg("-D")
            .arg(&data)
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                &format!("port={port}"),
                "-c",
                "fsync=off",
            ])
            .args([
                "-c",
                &format!("unix_socket_directories={}", dir.path().display()),
            ]),
        &log.path().join("log"),
    );
    let url = |database: &str| format!("postgresql://backup@127.0.0.1:{port}/{database}");
    let sql = |database: &str, text: &str| {
        let output = Command::new("psql")
            .env("PGPASSWORD", "practice-only")
            .args(["-XAtq", "--dbname", &url(database), "-c", text])
            .output()
            .unwrap();
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap())
    };
    until("PostgreSQL's readiness", || sql("postgres", "select 1"));
    sql("postgres", "create database orders").unwrap();
    sql(
        "orders",
        "create table sold (id int primary key, what text); insert into sold select n, 'thing ' || n from generate_series(1, 5000) n; \
         create table empty (a int)",
    )
    .unwrap();
    let workspace = Workspace::new(&format!(
        "backups: {{ stores: [{{ kind: postgresql, name: orders, url: \"{}\", secret: {{ file: ../pg }} }}] }}\n",
        url("orders")
    ));
    workspace.secret("pg", "practice-only\n");
    let answers = workspace.take_and_drill("orders");
    assert!(answers.starts_with("it has 2 tables"), "{answers}");

    sql(
        "orders",
        "delete from sold where id > 10; create table later (a int)",
    )
    .unwrap();
    let shown = workspace.restore("orders");
    for line in [
        "lost, because it is newer than the snapshot: 1",
        "  table public.later",
        "  table public.sold",
    ] {
        assert!(shown.contains(line), "{line:?} is not in\n{shown}");
    }
    assert_eq!(
        sql("orders", "select count(*) from sold").unwrap(),
        "5000\n"
    );

    // A dump that breaks off is never kept.
    workspace.secret("pg", "wrong-password\n");
    let (_, said) = expect(&workspace.run(&["snapshots", "take", "orders"]), 1);
    assert!(said.contains("password authentication failed"), "{said}");
    assert_eq!(workspace.snapshots().len(), 1);
}
