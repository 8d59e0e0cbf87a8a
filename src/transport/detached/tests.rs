use std::process::{Command as Process, Stdio};
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::transport::local::LocalHost;

/// This machine with a home of its own, so that spools are nobody else's; its connection can be cut.
#[derive(Debug)]
struct Here {
    host: LocalHost,
    home: tempfile::TempDir,
    /// The line breaks after so many more bytes of `follow`, each time.
    cuts: Mutex<Vec<u64>>,
}

impl Here {
    fn new(cuts: &[u64]) -> Self {
        Self {
            host: LocalHost::new("here"),
            home: tempfile::tempdir().unwrap(),
            cuts: Mutex::new(cuts.iter().rev().copied().collect()),
        }
    }

    /// The spools are below the home: as somebody who is not root.
    fn script(&self) -> String {
        SCRIPT.replace(
            "/var/lib/quarterdeck/spool",
            self.home.path().join("spool").to_str().unwrap(),
        )
    }

    fn spools(&self) -> Vec<String> {
        let listed = std::fs::read_dir(self.home.path().join("spool"));
        listed
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect()
    }
}

struct Cutting<'a> {
    to: &'a mut dyn ChunkSink,
    left: u64,
    cut: CancellationToken,
}

#[async_trait]
impl ChunkSink for Cutting<'_> {
    async fn chunk(&mut self, chunk: Chunk) {
        let Chunk::Stdout(mut bytes) = chunk else {
            return;
        };
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        if bytes.len() > most {
            let _ = bytes.split_off(most);
            self.cut.cancel();
        }
        self.left -= bytes.len() as u64;
        if !bytes.is_empty() {
            self.to.chunk(Chunk::Stdout(bytes)).await;
        }
    }
}

#[async_trait]
impl Host for Here {
    fn name(&self) -> &str {
        self.host.name()
    }

    async fn stream(
        &self,
        command: &Command,
        sink: &mut dyn ChunkSink,
        cancel: &CancellationToken,
    ) -> Result<Exit, ReachError> {
        let mut command = command.clone();
        command.stdin = Some(self.script().into());
        let home = format!("HOME={}", self.home.path().display());
        command.argv.splice(
            0..0,
            ["env".to_owned(), "-u".into(), "XDG_STATE_HOME".into(), home],
        );
        let follows = command.argv.iter().any(|word| word == "follow");
        let next = if follows {
            self.cuts.lock().unwrap().pop()
        } else {
            None
        };
        let Some(left) = next else {
            return self.host.stream(&command, sink, cancel).await;
        };
        let cut = cancel.child_token();
        let mut cutting = Cutting {
            to: sink,
            left,
            cut: cut.clone(),
        };
        match self.host.stream(&command, &mut cutting, &cut).await {
            Err(ReachError::Cancelled { hop }) if !cancel.is_cancelled() => Err(ReachError::Lost {
                hop,
                reason: "cut".into(),
            }),
            other => other,
        }
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, ReachError> {
        self.host.read(path).await
    }

    async fn write(
        &self,
        path: &str,
        source: crate::transport::Source,
        meta: &crate::transport::FileMeta,
        progress: crate::transport::Progress<'_>,
        cancel: &CancellationToken,
    ) -> Result<(), ReachError> {
        self.host.write(path, source, meta, progress, cancel).await
    }
}

#[derive(Default)]
struct Ear {
    out: Vec<u8>,
    err: Vec<u8>,
    notes: Vec<String>,
}

#[async_trait]
impl ChunkSink for Ear {
    async fn chunk(&mut self, chunk: Chunk) {
        match chunk {
            Chunk::Stdout(bytes) => self.out.extend_from_slice(&bytes),
            Chunk::Stderr(bytes) => self.err.extend_from_slice(&bytes),
        }
    }
}

#[async_trait]
impl Listener for Ear {
    async fn note(&mut self, text: String) {
        self.notes.push(text);
    }
}

fn numbered(count: usize) -> Command {
    let script =
        format!("i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo line $i; done; echo done >&2");
    Command::new(["sh", "-c", &script]).within(Duration::from_secs(120))
}

#[tokio::test]
async fn a_line_that_breaks_again_and_again_costs_no_line_and_repeats_none() {
    let here = Here::new(&[1, 700, 20_000, 3, 90_000]);
    let mut ear = Ear::default();
    let never = CancellationToken::new();
    let exit = run(&here, &numbered(20_000), "run.task", &mut ear, &never)
        .await
        .unwrap();
    assert_eq!(exit, Exit::Code(0));
    let text = String::from_utf8(ear.out).unwrap();
    let expected: Vec<String> = (1..=20_000).map(|line| format!("line {line}")).collect();
    let expected = expected.join(
        "
",
    ) + "
";
    assert!(
        text == expected,
        "{} bytes of {}",
        text.len(),
        expected.len()
    );
    assert_eq!(ear.err, b"done\n");
    let attached = ear
        .notes
        .iter()
        .filter(|note| note.contains("attached again"))
        .count();
    assert_eq!(attached, 5, "{:?}", ear.notes);
    assert_eq!(here.spools(), ["run.task"], "until its end is on record");
    forget_here(&here, "run").await;
    assert_eq!(here.spools(), [""; 0]);
}

async fn forget_here(here: &Here, prefix: &str) {
    forget(here, prefix).await.unwrap();
}

#[tokio::test]
async fn whoever_comes_later_attaches_and_begins_nothing_twice() {
    let here = Here::new(&[]);
    let deeds = here.home.path().join("deeds");
    let script = format!("echo begun >> {}; echo out", deeds.display());
    let command = Command::new(["sh", "-c", &script]);
    let never = CancellationToken::new();
    for turn in 0..2 {
        let mut ear = Ear::default();
        let exit = run(&here, &command, "run.once", &mut ear, &never)
            .await
            .unwrap();
        assert_eq!(
            (exit, ear.out.as_slice()),
            (Exit::Code(0), b"out\n".as_slice())
        );
        assert_eq!(ear.notes.len(), turn, "{:?}", ear.notes);
    }
    assert_eq!(std::fs::read_to_string(deeds).unwrap(), "begun\n");
}

#[tokio::test]
async fn a_failure_is_told_with_its_status_and_leaves_no_spool() {
    let here = Here::new(&[]);
    let command = Command::new(["sh", "-c", "echo no >&2; exit 7"]);
    let mut ear = Ear::default();
    let never = CancellationToken::new();
    let exit = run(&here, &command, "run.fails", &mut ear, &never)
        .await
        .unwrap();
    assert_eq!(
        (exit, ear.err.as_slice()),
        (Exit::Code(7), b"no\n".as_slice())
    );
    assert_eq!(here.spools(), [""; 0]);
}

#[tokio::test]
async fn cancelling_ends_everything_that_was_begun_even_in_sessions_of_its_own() {
    let here = Here::new(&[]);
    let pids = here.home.path().join("pids");
    // A child of the group, and a grandchild that left it and does not listen to TERM.
    let script = format!(
        "sleep 600 & echo $! >>{0}; setsid sh -c 'trap \"\" TERM; echo $$ >>{0}; sleep 600' & echo $$ >>{0}; echo ready; wait",
        pids.display()
    );
    let command = Command::new(["sh", "-c", &script]).within(Duration::from_secs(60));
    let cancel = CancellationToken::new();
    let mut ear = Ear::default();
    let ended = {
        let work = run(&here, &command, "run.cancelled", &mut ear, &cancel);
        let stop = async {
            while std::fs::read_to_string(&pids)
                .unwrap_or_default()
                .lines()
                .count()
                < 3
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            cancel.cancel();
        };
        tokio::join!(work, stop).0
    };
    assert!(
        matches!(ended, Err(ReachError::Cancelled { .. })),
        "{ended:?}"
    );
    for pid in std::fs::read_to_string(&pids).unwrap().lines() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit(") ").next().unwrap_or_default();
        // A killed process that nobody has collected yet is no longer at work.
        assert!(state.is_empty() || state.starts_with('Z'), "{pid}: {stat}");
    }
    assert_eq!(here.spools(), [""; 0]);
}

#[tokio::test]
async fn a_command_that_was_killed_is_lost_and_says_so() {
    let here = Here::new(&[]);
    let command = Command::new(["sh", "-c", "kill -9 $PPID; sleep 1"]);
    let mut ear = Ear::default();
    let never = CancellationToken::new();
    let ended = run(&here, &command, "run.killed", &mut ear, &never).await;
    let complaint = ended.unwrap_err().to_string();
    assert!(
        complaint.contains("without having told how it ended"),
        "{complaint}"
    );
    assert_eq!(here.spools(), [""; 0]);
}

#[test]
fn every_shell_here_reads_the_script() {
    for shell in [
        &["sh"] as &[&str],
        &["dash"],
        &["bash", "--posix"],
        &["busybox", "sh"],
    ] {
        let mut process = Process::new(shell[0]);
        process
            .args(&shell[1..])
            .arg("-n")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped());
        // What is not installed is not tried; `sh` always is.
        let Ok(mut child) = process.spawn() else {
            assert_ne!(shell[0], "sh");
            continue;
        };
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), SCRIPT.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{shell:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

proptest! {
    #[test]
    fn frames_do_not_depend_on_the_pieces(size in 1_usize..40, noise in "[a-z@ \n]{0,30}") {
        let said = format!("{noise}\n@follow\nO 5\nab\ncdE 3\nerrO 1\nX. 0\nX 3\n");
        let (mut frames, mut out, mut err) = (Frames::default(), Vec::new(), Vec::new());
        for piece in said.as_bytes().chunks(size) {
            for chunk in frames.feed(Bytes::copy_from_slice(piece)) {
                match chunk {
                    Chunk::Stdout(bytes) => out.extend_from_slice(&bytes),
                    Chunk::Stderr(bytes) => err.extend_from_slice(&bytes),
                }
            }
        }
        prop_assert_eq!((out.as_slice(), err.as_slice()), (b"ab\ncdX".as_slice(), b"err".as_slice()));
        prop_assert_eq!(frames.end, Some(End::Exit(3)));
    }

    #[test]
    fn no_bytes_make_the_frames_panic_or_grow(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        let mut frames = Frames::default();
        frames.feed(Bytes::from([b"@follow\n".as_slice(), &bytes].concat()));
        if let Place::Noise(line) | Place::Head(line) = &frames.place {
            prop_assert!(line.len() <= LONGEST);
        }
    }
}
