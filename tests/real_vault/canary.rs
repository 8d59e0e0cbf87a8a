//! Looks for shares where none may be: files, what was said, processes, and what others hear over the engine's socket.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use quarterdeck::client::Request;
use quarterdeck::client::wire::{Asked, Hello, PROTOCOL};

/// Secrets, in every form in which they could lie about.
pub(crate) struct Canary(Vec<Vec<u8>>);

impl Canary {
    /// Of shares in hexadecimal digits, and of words as they are.
    pub(crate) fn of<'s>(shares: impl IntoIterator<Item = &'s String>, words: &[&str]) -> Self {
        let mut all: Vec<Vec<u8>> = shares.into_iter().flat_map(|share| forms(share)).collect();
        all.extend(words.iter().map(|word| word.as_bytes().to_vec()));
        Self(all)
    }

    /// Fails the test where one of them is in `bytes`, which came from `place`.
    pub(crate) fn absent(&self, bytes: &[u8], place: &str) {
        let there = self.0.iter().any(|form| holds(bytes, form));
        assert!(!there, "a share or a token is in {place}");
    }

    /// Fails the test where one of them is in a file below `dir`; how many files there were.
    pub(crate) fn absent_below(&self, dir: &Path) -> Vec<PathBuf> {
        let mut all = Vec::new();
        files(dir, &mut all);
        for path in &all {
            self.absent(&fs::read(path).unwrap(), &path.display().to_string());
        }
        all
    }

    /// Fails the test where one of them is in the arguments or the environment of a running program of ours; how many run.
    pub(crate) fn absent_from_processes(&self) -> usize {
        let own = fs::canonicalize(env!("CARGO_BIN_EXE_quarterdeck")).unwrap();
        let mut seen = 0;
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let dir = process.path();
            if fs::read_link(dir.join("exe")).is_ok_and(|exe| exe == own) {
                seen += 1;
                for file in ["cmdline", "environ"] {
                    // It may end while it is looked at.
                    let bytes = fs::read(dir.join(file)).unwrap_or_default();
                    self.absent(&bytes, &format!("{file} of a process"));
                }
            }
        }
        seen
    }
}

/// A client that is attached to the engine like any other, and hears all that is told.
pub(crate) struct Spy(Arc<Mutex<Vec<u8>>>);

impl Spy {
    /// Attaches to the engine whose socket is below `dir`.
    pub(crate) fn attach(dir: &Path) -> Self {
        let mut sockets = Vec::new();
        sockets_below(dir, &mut sockets);
        let mut stream = UnixStream::connect(&sockets[0]).unwrap();
        let hello = Asked::Hello(Hello {
            protocol: PROTOCOL,
            role: "spy".into(),
            events: true,
            ..Hello::default()
        });
        let held = Asked::Call {
            id: 1,
            request: Request::Ceremonies,
        };
        for line in [hello, held] {
            let line = serde_json::to_string(&line).unwrap();
            writeln!(stream, "{line}").unwrap();
        }
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ear = Arc::clone(&heard);
        // It ends with the engine.
        std::thread::spawn(move || {
            let mut chunk = vec![0; 65536];
            while let Ok(count @ 1..) = stream.read(&mut chunk) {
                ear.lock().unwrap().extend(&chunk[..count]);
            }
        });
        Self(heard)
    }

    /// All that was told so far.
    pub(crate) fn heard(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

fn sockets_below(dir: &Path, found: &mut Vec<PathBuf>) {
    use std::os::unix::fs::FileTypeExt as _;
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            sockets_below(&entry.path(), found);
        } else if kind.is_socket() {
            found.push(entry.path());
        }
    }
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

/// The forms in which a share could lie about: as it was given, in other digits, as bytes.
fn forms(share: &str) -> Vec<Vec<u8>> {
    let bytes: Vec<u8> = (0..share.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&share[at..at + 2], 16).unwrap())
        .collect();
    vec![
        share.as_bytes()[..40].to_vec(),
        share.to_uppercase().into_bytes()[..40].to_vec(),
        bytes[..20].to_vec(),
    ]
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}
