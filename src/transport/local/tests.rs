//! What becomes of programs: output, ends, stops, and what they leave behind.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::transport::{FileMeta, Host as _, ReachError, Source};

/// Keeps everything and tells when something arrived.
#[derive(Default, Clone)]
struct Kept {
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    arrived: Arc<Notify>,
}

#[async_trait]
impl ChunkSink for Kept {
    async fn chunk(&mut self, chunk: Chunk) {
        match chunk {
            Chunk::Stdout(bytes) => self.stdout.lock().unwrap().extend_from_slice(&bytes),
            Chunk::Stderr(bytes) => self.stderr.lock().unwrap().extend_from_slice(&bytes),
        }
        self.arrived.notify_one();
    }
}

impl Kept {
    fn stdout(&self) -> String {
        String::from_utf8(self.stdout.lock().unwrap().clone()).unwrap()
    }
}

fn sh(script: &str) -> Program {
    Program::new(["sh", "-c", script])
}

async fn result(program: &Program) -> (Result<Exit, LocalError>, Kept) {
    let mut kept = Kept::default();
    let result = run(program, &mut kept, &CancellationToken::new()).await;
    (result, kept)
}

#[tokio::test]
async fn output_status_and_input_are_kept_apart() {
    let program = Program {
        stdin: Some("from us".into()),
        ..sh("cat; echo complaint >&2; exit 3")
    };
    let (exit, kept) = result(&program).await;
    assert_eq!(exit.unwrap(), Exit::Code(3));
    assert_eq!(kept.stdout(), "from us");
    assert_eq!(*kept.stderr.lock().unwrap(), b"complaint\n");
}

#[tokio::test]
async fn a_signal_is_not_a_status() {
    let (exit, _) = result(&sh("kill -TERM $$")).await;
    assert_eq!(exit.unwrap(), Exit::Signal("TERM".into()));
}

#[tokio::test]
async fn arguments_are_never_read_by_a_shell() {
    let hostile = "$(id) `id`; id > /tmp/x | * ' \" \\";
    let (exit, kept) = result(&Program::new(["printf", "%s", hostile])).await;
    assert_eq!(exit.unwrap(), Exit::Code(0));
    assert_eq!(kept.stdout(), hostile);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let (error, _) = result(&Program::new(["quarterdeck-no-such-program"])).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("quarterdeck-no-such-program"), "{error}");
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_named_and_not_the_program() {
    let program = Program {
        directory: Some("/no/such/directory".into()),
        ..sh("true")
    };
    let error = result(&program).await.0.unwrap_err().to_string();
    assert!(error.contains("/no/such/directory"), "{error}");
}

#[tokio::test]
async fn cancelling_interrupts_the_whole_group_once_and_lets_it_clean_up() {
    // `env` makes the child listen again: a shell has what it puts into the background ignore SIGINT.
    let child = r#"trap "echo child; exit 0" INT; echo ready; while :; do sleep 0.05; done"#;
    let script =
        r#"trap 'echo shell' INT; env --default-signal=INT sh -c "$1" & wait; wait; exit 7"#;
    let program = Program::new(["sh", "-c", script, "sh", child]);
    let mut kept = Kept::default();
    let cancel = CancellationToken::new();
    let watch = kept.clone();
    let canceller = {
        let cancel = cancel.clone();
        tokio::spawn(async move {
            while !watch.stdout().contains("ready") {
                watch.arrived.notified().await;
            }
            cancel.cancel();
        })
    };
    let error = run(&program, &mut kept, &cancel).await.unwrap_err();
    canceller.await.unwrap();
    let said = kept.stdout();
    assert_eq!(said.matches("shell").count(), 1, "{said}");
    assert_eq!(said.matches("child").count(), 1, "{said}");
    let LocalError::Cancelled { ended, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(ended, Ended::Gracefully(Exit::Code(7)));
}

#[tokio::test]
async fn a_program_that_ignores_the_interrupt_is_killed_after_its_grace_and_so_are_its_children() {
    let program = Program {
        grace: Duration::from_millis(200),
        ..sh("trap '' INT; sleep 1000 & echo $!; while :; do sleep 1000; done")
    };
    let mut kept = Kept::default();
    let cancel = CancellationToken::new();
    let watch = kept.clone();
    let canceller = {
        let cancel = cancel.clone();
        tokio::spawn(async move {
            while !watch.stdout().contains('\n') {
                watch.arrived.notified().await;
            }
            cancel.cancel();
        })
    };
    let error = run(&program, &mut kept, &cancel).await.unwrap_err();
    canceller.await.unwrap();
    let LocalError::Cancelled { ended, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*ended, Ended::Killed);
    let child: i32 = kept.stdout().trim().parse().unwrap();
    gone(child).await;
}

#[tokio::test]
async fn a_program_that_takes_too_long_is_stopped_and_says_so() {
    let program = Program {
        timeout: Some(Duration::from_millis(100)),
        ..Program::new(["sleep", "1000"])
    };
    let error = result(&program).await.0.unwrap_err();
    let LocalError::Timeout { ended, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(ended, Ended::Gracefully(Exit::Signal("INT".into())));
}

#[tokio::test]
async fn dropping_the_future_kills_the_group() {
    let program = sh("sleep 1000 & echo $!; wait");
    let mut kept = Kept::default();
    let watch = kept.clone();
    let cancel = CancellationToken::new();
    tokio::select! {
        _ = run(&program, &mut kept, &cancel) => panic!("it cannot end"),
        () = async {
            while !watch.stdout().contains('\n') {
                watch.arrived.notified().await;
            }
        } => {}
    }
    gone(watch.stdout().trim().parse().unwrap()).await;
}

#[tokio::test]
async fn a_daemon_that_keeps_the_pipes_open_does_not_keep_us() {
    let (exit, kept) = result(&sh("sleep 1000 & echo $!")).await;
    assert_eq!(exit.unwrap(), Exit::Code(0));
    let daemon: i32 = kept.stdout().trim().parse().unwrap();
    let daemon = Pid::from_raw(daemon).unwrap();
    rustix::process::test_kill_process(daemon).expect("what was left on purpose lives on");
    rustix::process::kill_process(daemon, Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_slow_sink_gets_every_byte_of_a_large_output() {
    struct Slow(usize);
    #[async_trait]
    impl ChunkSink for Slow {
        async fn chunk(&mut self, chunk: Chunk) {
            let (Chunk::Stdout(bytes) | Chunk::Stderr(bytes)) = chunk;
            self.0 += bytes.len();
            tokio::task::yield_now().await;
        }
    }
    let mut slow = Slow(0);
    let program = Program::new(["head", "-c", "20000000", "/dev/zero"]);
    let exit = run(&program, &mut slow, &CancellationToken::new()).await;
    assert_eq!(exit.unwrap(), Exit::Code(0));
    assert_eq!(slow.0, 20_000_000);
}

#[tokio::test]
async fn this_machine_replaces_and_reads_files_like_any_host() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file").to_string_lossy().into_owned();
    let host = LocalHost::new("here");
    assert_eq!(host.read(&path).await.unwrap(), None);
    let user = |option: &str| {
        let output = std::process::Command::new("id").arg(option).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        text.trim().to_owned()
    };
    let meta = FileMeta {
        mode: 0o640,
        owner: user("-un"),
        group: user("-gn"),
    };
    let cancel = CancellationToken::new();
    let source = Source::Bytes("content".into());
    host.write(&path, source, &meta, &|_, _| {}, &cancel)
        .await
        .unwrap();
    assert_eq!(host.read(&path).await.unwrap().unwrap(), b"content");
    let nobody = FileMeta {
        owner: "no-such-user".into(),
        ..meta
    };
    let source = Source::Bytes("other".into());
    let error = host
        .write(&path, source, &nobody, &|_, _| {}, &cancel)
        .await
        .unwrap_err();
    assert!(matches!(error, ReachError::File { .. }), "{error}");
    assert_eq!(host.read(&path).await.unwrap().unwrap(), b"content");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Waits until no process has the id any more, or only its zombie is left for init.
async fn gone(id: i32) {
    let status = format!("/proc/{id}/stat");
    while std::fs::read_to_string(&status).is_ok_and(|stat| !stat.contains(") Z ")) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_goes_through_files_arrives_whole_while_the_program_runs_and_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let program = Program {
        spool: Some(dir.path().to_owned()),
        ..sh(&format!(
            "echo first; echo aside >&2; until [ -e {go} ]; do sleep 0.05; done; seq 20000; printf last",
            go = go.display()
        ))
    };
    let mut kept = Kept::default();
    let seen = kept.clone();
    let watch = async {
        while !seen.stdout().contains("first") || seen.stderr.lock().unwrap().is_empty() {
            seen.arrived.notified().await;
        }
        std::fs::write(&go, "").unwrap();
    };
    let cancel = CancellationToken::new();
    let (ended, ()) = tokio::join!(run(&program, &mut kept, &cancel), watch);
    assert_eq!(ended.unwrap(), Exit::Code(0));
    let text = kept.stdout();
    assert_eq!(text.lines().count(), 20_002);
    assert!(text.starts_with("first\n1\n2\n") && text.ends_with("20000\nlast"));
    assert_eq!(*kept.stderr.lock().unwrap(), b"aside\n");
}
