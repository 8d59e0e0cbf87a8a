//! A `PostgreSQL` server of its own that listens on a socket in its directory only. `PostgreSQL` does not run as root: then it
//! runs as `postgres` where there is such a user, else as `nobody`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::server::Server;
use super::{Trial, all_there, program, programs};
use crate::services::stores::RESTORE;
use crate::services::stores::postgresql::{TABLES, tables};
use crate::services::stores::tools::last;
use crate::transport::local::{LocalHost, Program};
use crate::transport::{Command, Host as _};

pub(super) async fn drill(trial: &Trial<'_>) -> Result<String, String> {
    let initdb = program(programs(trial.spec.kind))?;
    let bin = Path::new(&initdb)
        .parent()
        .unwrap_or_else(|| Path::new("/"));
    // The path of a socket has 107 characters at most, so a short directory, which its user owns.
    let home = tempfile::Builder::new()
        .prefix("qd-pg-")
        .tempdir()
        .map_err(|error| format!("a directory for the scratch server: {error}"))?;
    let tools = Tools {
        as_whom: whose(home.path())?,
        bin: bin.to_owned(),
        socket: home.path().display().to_string(),
    };
    let data = home.path().join("data").display().to_string();
    let minute = Duration::from_secs(60);
    tools
        .run(
            vec![
                initdb.clone(),
                "--auth=trust".into(),
                "--username=drill".into(),
                "--encoding=UTF8".into(),
                "--no-sync".into(),
                format!("--pgdata={data}"),
            ],
            minute * 3,
        )
        .await?;
    let server = Server::start(
        Program::new(tools.words(vec![
            tools.path("postgres"),
            "-D".into(),
            data,
            "-c".into(),
            "listen_addresses=".into(),
            "-c".into(),
            format!("unix_socket_directories={}", tools.socket),
            "-c".into(),
            "fsync=off".into(),
        ])),
        trial.cancel,
    );
    server
        .until("it took connections", || async {
            tools.query("postgres", "select 1").await.ok()
        })
        .await?;
    tools.query("postgres", "create database drill").await?;
    // The dump lies where only we may read: its content goes in through a copy that the server's user may read.
    let copy = home.path().join("dump");
    std::fs::copy(trial.file, &copy).map_err(|error| format!("{}: {error}", copy.display()))?;
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o644))
        .map_err(|error| format!("{}: {error}", copy.display()))?;
    let mut words = vec![tools.path("pg_restore")];
    words.extend(tools.connect("drill"));
    // Roles are the cluster's, not the database's: they are not in a dump.
    words.extend(["--no-owner", "--no-acl", "--exit-on-error"].map(str::to_owned));
    words.push(copy.display().to_string());
    tools.run(words, RESTORE).await?;
    let held = tables(&tools.query("drill", TABLES).await?);
    let answer = all_there(trial.snapshot, &held);
    let count = held.items.len();
    server.stop().await;
    Ok(format!("it has {count} tables; {}", answer?))
}

/// `PostgreSQL`'s programs, run as whoever may.
struct Tools {
    as_whom: Vec<String>,
    bin: PathBuf,
    socket: String,
}

impl Tools {
    /// Beside `initdb`, or where else there is one.
    fn path(&self, name: &str) -> String {
        let beside = self.bin.join(name);
        if beside.is_file() {
            return beside.display().to_string();
        }
        program(&[name]).unwrap_or_else(|_| name.to_owned())
    }

    fn words(&self, words: Vec<String>) -> Vec<String> {
        let mut all = self.as_whom.clone();
        all.extend(words);
        all
    }

    fn connect(&self, database: &str) -> Vec<String> {
        vec![
            "--no-password".to_owned(),
            format!("--host={}", self.socket),
            "--username=drill".into(),
            format!("--dbname={database}"),
        ]
    }

    async fn run(&self, words: Vec<String>, limit: Duration) -> Result<String, String> {
        let name = words.first().cloned().unwrap_or_default();
        let command = Command::new(self.words(words)).within(limit);
        let here = LocalHost::new("here");
        let output = here.output(&command).await;
        let output = output.map_err(|error| error.to_string())?;
        if output.exit.success() {
            Ok(output.text())
        } else {
            Err(format!("{name}: {}", last(&output.complaint())))
        }
    }

    async fn query(&self, database: &str, text: &str) -> Result<String, String> {
        let mut words = vec![self.path("psql")];
        words.extend(self.connect(database));
        let how = [
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--field-separator=\t",
            "--command",
            text,
        ];
        words.extend(how.map(str::to_owned));
        self.run(words, Duration::from_secs(60)).await
    }
}

/// The words that make a program run as somebody who is not root, who then owns `home`.
fn whose(home: &Path) -> Result<Vec<String>, String> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Vec::new());
    }
    let user = uzers::get_user_by_name("postgres")
        .or_else(|| uzers::get_user_by_name("nobody"))
        .ok_or("PostgreSQL does not run as root, and there is no user postgres or nobody")?;
    let (uid, gid) = (user.uid(), user.primary_group_id());
    std::os::unix::fs::chown(home, Some(uid), Some(gid))
        .map_err(|error| format!("{}: {error}", home.display()))?;
    Ok(vec![
        "setpriv".into(),
        format!("--reuid={uid}"),
        format!("--regid={gid}"),
        "--clear-groups".into(),
    ])
}
