//! One database of a `PostgreSQL` server, by its own programs (<https://www.postgresql.org/docs/current/app-pgdump.html>).
//!
//! A dump is judged while it is taken: `pg_restore` on the engine's machine reads all of it and writes the script nowhere.
//! The password reaches the programs through their environment, never through their arguments.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::SecretString;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::tools::{Tools, failed, last};
use super::{Given, Store};
use crate::domain::backup::StoreSpec;
use crate::domain::snapshot::{Inventory, Snapshot};
use crate::services::ServiceError;
use crate::services::intake::Intake;
use crate::transport::local::{self, Program};
use crate::transport::{Chunk, ChunkSink, Host};

/// Pieces of the dump that may wait for `pg_restore`.
const AHEAD: usize = 16;

/// Every table with its number of rows, `schema.table<TAB>rows`. One statement, so one moment of the database.
pub(super) const TABLES: &str = "select format('%I.%I', n.nspname, c.relname), \
    (xpath('/row/c/text()', query_to_xml(format('select count(*) as c from %I.%I', n.nspname, c.relname), false, true, '')))[1] \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace \
    where c.relkind in ('r', 'p') and not c.relispartition and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' \
    order by 1";

/// See the module.
pub(super) struct Postgresql {
    url: String,
    name: String,
    tools: Tools,
    /// Whether the programs run on a node.
    away: bool,
}

impl Postgresql {
    pub(super) fn new(
        spec: &StoreSpec,
        secret: Option<SecretString>,
        host: Arc<dyn Host>,
    ) -> Result<Self, ServiceError> {
        let url = spec.urls.first().cloned().ok_or_else(|| {
            ServiceError::Setup(format!(
                "{} has no URL, such as postgresql://backup@db1:5432/orders",
                spec.name
            ))
        })?;
        Ok(Self {
            name: url
                .split_once('@')
                .or_else(|| url.split_once("://"))
                .map_or(url.as_str(), |(_, place)| place)
                .to_owned(),
            url,
            tools: Tools {
                host,
                secret: secret.map(|secret| ("PGPASSWORD", secret)),
            },
            away: spec.via.is_some(),
        })
    }
}

#[async_trait]
impl Store for Postgresql {
    async fn take(
        &self,
        intake: &mut Intake,
        cancel: &CancellationToken,
    ) -> Result<Given, ServiceError> {
        let (feed, fed) = mpsc::channel(AHEAD);
        let dump = [
            "pg_dump",
            "--no-password",
            "--format=custom",
            "--dbname",
            &self.url,
        ];
        let (dumped, judged) = tokio::join!(
            self.tools.pour(&dump, intake, Some(feed), cancel),
            judge(fed, cancel),
        );
        // A dump that broke off is no good to pg_restore either: the first reason is the one to tell.
        dumped?;
        judged?;
        Ok(Given {
            from: self.name.clone(),
            ..Given::default()
        })
    }

    async fn inventory(&self, deadline: Duration) -> Result<Inventory, ServiceError> {
        let argv = [
            "psql",
            "--no-password",
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--field-separator=\t",
            "--dbname",
            &self.url,
            "--command",
            TABLES,
        ];
        let output = self.tools.output(&argv, deadline).await?;
        Ok(tables(&output.text()))
    }

    /// All of it or nothing: one transaction.
    async fn restore(
        &self,
        _: &Snapshot,
        file: &Path,
        _: &CancellationToken,
    ) -> Result<(), ServiceError> {
        if self.away {
            return Err(ServiceError::Setup(
                "its programs run on a node, and a dump is restored only from the engine's machine: copy the file there and \
                 run pg_restore --clean --if-exists --single-transaction"
                    .into(),
            ));
        }
        let file = file.display().to_string();
        let argv = [
            "pg_restore",
            "--no-password",
            "--clean",
            "--if-exists",
            "--single-transaction",
            "--exit-on-error",
            "--dbname",
            &self.url,
            &file,
        ];
        self.tools.output(&argv, super::RESTORE).await.map(|_| ())
    }
}

/// What `TABLES` answers, as an inventory.
pub(super) fn tables(text: &str) -> Inventory {
    let mut held = Inventory::default();
    for line in text.lines() {
        if let Some((table, rows)) = line.split_once('\t') {
            held.add("table", table, format!("{rows} rows"));
        }
    }
    held.blind
        .push("rows that were changed in place: only how many there are is compared".into());
    held
}

/// Reads a whole dump as `pg_restore` does, without restoring anything.
async fn judge(fed: mpsc::Receiver<Bytes>, cancel: &CancellationToken) -> Result<(), ServiceError> {
    #[derive(Default)]
    struct Words(Vec<u8>);
    #[async_trait]
    impl ChunkSink for Words {
        async fn chunk(&mut self, chunk: Chunk) {
            if let Chunk::Stderr(bytes) = chunk
                && self.0.len() < 4096
            {
                self.0.extend_from_slice(&bytes);
            }
        }
    }
    let mut words = Words::default();
    let program = Program::new(["pg_restore", "--file=/dev/null"]);
    let exit = local::run_fed(&program, Some(fed), &mut words, cancel)
        .await
        .map_err(|error| failed("pg_restore", &format!("the dump cannot be judged: {error}")))?;
    if exit.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&words.0).into_owned();
    Err(failed(
        "pg_restore",
        &format!("the dump is no good: {}", last(&said)),
    ))
}
