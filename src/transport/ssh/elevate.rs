//! Becoming root by `sudo`, `doas` or `su`, and telling their own complaints from those of the command.
//!
//! `sudo -n` is tried first: where it wants no password nothing is asked, and rules that permit single commands hold. Where
//! it wants one, the operator is asked once per host and run (or request), and the command goes through `sudo -S`. The
//! password travels over the connection as an answer to the question, never in arguments or variables; it is kept in the
//! run's [`crate::transport::ask::Wallet`] and wiped with it.

use async_trait::async_trait;

use super::gate::{Asks, Gate};
use super::tame;
use super::way::Target;
use crate::domain::node::Elevate;
use crate::domain::secret::Secret;
use crate::transport::{Chunk, ChunkSink, Exit, quote};

/// More than sudo says when it refuses, lecture included, bytes.
const MOST: usize = 4096;
/// Says that it runs, then becomes the command.
const RUNS: &str = r#"printf '%s\n' "$1" >&2; shift; exec "$@""#;

/// How root's work is done at `target`.
pub(super) fn how(target: &Target) -> Elevate {
    if *target.user == "root" {
        Elevate::No
    } else {
        *target.elevate
    }
}

/// How one command becomes root's.
#[derive(Debug, Clone)]
pub(super) enum Rise {
    /// Not at all.
    No,
    /// By `sudo`, without a password.
    Sudo,
    /// By `doas`, without a password.
    Doas,
    /// By `sudo`, with this password.
    SudoWith(Secret),
    /// By `su`, with this password.
    SuWith(Secret),
}

impl Rise {
    /// The line for the login shell that runs `argv`; `id` tells the questions and answers of this command from others.
    pub(super) fn line(&self, argv: &[String], id: &str) -> String {
        let command = if argv.is_empty() {
            // An empty line would start an interactive shell; this is "command not found".
            "''".to_owned()
        } else {
            quote(argv)
        };
        let ready = ready(id);
        match self {
            Self::No => command,
            Self::Sudo => format!("sudo -n -- {command}"),
            Self::Doas => format!("doas -n -- {command}"),
            Self::SudoWith(_) => {
                let asks = asks(id);
                let wrap = quote(&["sh", "-c", RUNS, "sh", &ready]);
                // -k: asks although it may have been told before, so that what happens is always the same.
                format!("sudo -k -S -p {} -- {wrap} {command}", quote(&[asks]))
            }
            Self::SuWith(_) => {
                let wrap = quote(&["sh", "-c", RUNS, "sh", &ready]);
                let line = format!("exec {wrap} {command}");
                format!("su -s /bin/sh root -c {}", quote(&[line]))
            }
        }
    }

    /// What is to be said before the command runs.
    pub(super) fn gate(&self, id: &str) -> Option<Gate> {
        let (asks, password) = match self {
            Self::No | Self::Sudo | Self::Doas => return None,
            Self::SudoWith(password) => (Asks::By(asks(id)), password),
            Self::SuWith(password) => (Asks::First, password),
        };
        Some(Gate::new(asks, ready(id), password.clone()))
    }

    /// Whether complaints of sudo or doas have to be told from those of the command.
    pub(super) fn may_complain(&self) -> bool {
        matches!(self, Self::Sudo | Self::Doas)
    }
}

fn asks(id: &str) -> String {
    format!("[{id}] password: ")
}

fn ready(id: &str) -> String {
    format!("[{id}] runs")
}

/// Whether `complaint`, of `sudo -n` or `doas -n`, says that there must be a password.
///
/// Both say it in the language of the host; other complaints are known by what they are about.
pub(super) fn wants_password(complaint: &str) -> bool {
    let Some(said) = complaint.strip_prefix("sudo: ") else {
        return complaint.starts_with("doas: Auth");
    };
    let other = [
        "not found",
        "unable to",
        "must be",
        "must have a tty",
        "no new privileges",
        "error",
        "not allowed",
        "/etc/sudo",
    ];
    !other.iter().any(|other| said.contains(other))
}

/// What became of an attempt to become root that did not get as far as the command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotRisen {
    /// The password is not the one.
    Wrong(String),
    /// The login user may not, or cannot.
    Refused(String),
}

/// Judges what was said instead of running the command.
pub(super) fn judge(rise: &Rise, words: &str) -> NotRisen {
    let last = last_line(words).unwrap_or("it ended without a word");
    let last = tame(last);
    let refused = [
        "not in the sudoers",
        "not allowed to",
        "may not run",
        "ermission denied",
        "not found",
        "must have a tty",
        "not permitted",
    ];
    if refused.iter().any(|words| last.contains(words)) {
        return NotRisen::Refused(format!("not permitted: {last}"));
    }
    match rise {
        // su says no more than that, in many languages.
        Rise::SuWith(_) => NotRisen::Wrong(last),
        Rise::SudoWith(_) if last.contains("password") => NotRisen::Wrong(last),
        _ => NotRisen::Refused(last),
    }
}

/// Hands output on and remembers what is needed to recognise sudo's complaint.
///
/// What may be a complaint is held back until it is known: an attempt that is made again with a password has said nothing.
pub(super) struct Overhear<'a> {
    to: &'a mut dyn ChunkSink,
    stderr: Vec<u8>,
    overflown: bool,
    /// How much of `stderr` was handed on.
    told: usize,
}

impl<'a> Overhear<'a> {
    pub(super) fn new(to: &'a mut dyn ChunkSink) -> Self {
        Self {
            to,
            stderr: Vec::new(),
            overflown: false,
            told: 0,
        }
    }

    /// Hands on what was held back.
    pub(super) async fn release(&mut self) {
        if self.told < self.stderr.len() {
            let held = self.stderr.split_off(self.told);
            self.stderr.extend_from_slice(&held);
            self.told = self.stderr.len();
            self.to.chunk(Chunk::Stderr(held.into())).await;
        }
    }

    /// Whether all that was said so far may be the one line of a complaint.
    fn may_be_complaint(&self) -> bool {
        let name = |name: &[u8]| {
            let length = name.len().min(self.stderr.len());
            self.stderr[..length] == name[..length]
        };
        (name(b"sudo: ") || name(b"doas: ")) && self.told == 0 && !self.overflown
    }

    /// What sudo complained about, when the command ended with `exit` without having run.
    ///
    /// sudo says so last of all and is done. Standard output tells nothing: a login shell may have talked on it.
    pub(super) fn complaint(&self, exit: &Exit) -> Option<String> {
        let text = self.text()?;
        let last = last_of(text.lines().filter(|line| !is_warning(line)))?;
        let sudos = match exit {
            // The login shell's words, or those of `env` in front of it.
            Exit::Code(127) => {
                (last.contains("sudo") || last.contains("doas"))
                    && (last.ends_with("not found") || last.starts_with("env: "))
            }
            // Its lines begin with its name, in every language; two of them do not.
            Exit::Code(1) => {
                last.starts_with("sudo: ")
                    || last.starts_with("doas: ")
                    || last.contains("not in the sudoers")
                    || last.starts_with("Sorry, user ")
            }
            _ => false,
        };
        sudos.then(|| super::tame(last))
    }

    /// Whether sudo ended with status 1 because there is no such `program`, for which a shell has status 127.
    ///
    /// sudo says `sudo: PROGRAM: command not found`, the end of it in the language of the host.
    pub(super) fn is_missing(&self, program: &str, exit: &Exit) -> bool {
        let says_so = || {
            let text = self.text()?;
            let rest = last_line(&text)?.strip_prefix("sudo: ")?;
            Some(rest.strip_prefix(program)?.starts_with(": "))
        };
        *exit == Exit::Code(1) && says_so().unwrap_or(false)
    }

    /// Standard error, where it was short enough to be sudo's.
    fn text(&self) -> Option<String> {
        (!self.overflown).then(|| String::from_utf8_lossy(&self.stderr).into_owned())
    }
}

fn last_line(text: &str) -> Option<&str> {
    last_of(text.lines())
}

fn last_of<'a>(lines: impl DoubleEndedIterator<Item = &'a str>) -> Option<&'a str> {
    lines.map(str::trim).rfind(|line| !line.is_empty())
}

/// Whether sudo says this and goes on: on a host that does not know its own name, and in containers.
fn is_warning(line: &str) -> bool {
    line.starts_with("sudo: ")
        && ["unable to resolve host", "setrlimit("]
            .iter()
            .any(|words| line.contains(words))
}

#[async_trait]
impl ChunkSink for Overhear<'_> {
    async fn chunk(&mut self, chunk: Chunk) {
        let Chunk::Stderr(bytes) = &chunk else {
            self.release().await;
            self.to.chunk(chunk).await;
            return;
        };
        if !self.overflown {
            let room = MOST.saturating_sub(self.stderr.len());
            self.overflown = bytes.len() > room;
            self.stderr
                .extend_from_slice(&bytes[..room.min(bytes.len())]);
            if self.may_be_complaint() {
                return;
            }
            self.release().await;
            if !self.overflown {
                return;
            }
            let rest = bytes.slice(room..);
            self.to.chunk(Chunk::Stderr(rest)).await;
            return;
        }
        self.to.chunk(chunk).await;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rstest::rstest;

    use super::*;

    struct Nowhere;

    #[async_trait]
    impl ChunkSink for Nowhere {
        async fn chunk(&mut self, _: Chunk) {}
    }

    async fn complaint(stderr: &'static str, code: u32) -> Option<String> {
        let mut nowhere = Nowhere;
        let mut overhear = Overhear::new(&mut nowhere);
        for chunk in [
            Chunk::Stdout(Bytes::from_static(b"a login shell that talks\n")),
            Chunk::Stderr(Bytes::from_static(stderr.as_bytes())),
        ] {
            overhear.chunk(chunk).await;
        }
        overhear.complaint(&Exit::Code(code))
    }

    #[rstest]
    #[case("sudo: a password is required\n", 1)]
    #[case("sudo: Ein Passwort ist notwendig\n", 1)]
    #[case("sudo: a password is required\nsudo: unable to resolve host pc1\n", 1)]
    #[case("lecture\n\nalice is not in the sudoers file.\n", 1)]
    #[case(
        "Sorry, user alice is not allowed to execute '/bin/ls' as root on pc1.\n",
        1
    )]
    #[case("bash: line 1: sudo: command not found\n", 127)]
    #[case("sh: 1: sudo: not found\n", 127)]
    #[case("env: 'sudo': No such file or directory\n", 127)]
    #[tokio::test]
    async fn a_refusal_of_sudo_is_recognised(#[case] stderr: &'static str, #[case] code: u32) {
        assert!(complaint(stderr, code).await.is_some());
    }

    #[rstest]
    #[case("ls: cannot access 'x'\n", 1)]
    #[case("sudo: unable to resolve host pc1\nls: cannot access 'x'\n", 1)]
    #[case("sudo: unable to resolve host pc1: Name or service not known\n", 1)]
    #[case("sudo: setrlimit(RLIMIT_CORE): Operation not permitted\n", 1)]
    #[case("sudo: a password is required\n", 2)]
    #[case("", 1)]
    #[tokio::test]
    async fn a_failure_of_the_command_is_not_one_of_sudo(
        #[case] stderr: &'static str,
        #[case] code: u32,
    ) {
        assert_eq!(complaint(stderr, code).await, None);
    }

    #[rstest]
    #[case("sudo: consul: command not found\n", 1, true)]
    #[case("sudo: consul: Befehl nicht gefunden\n", 1, true)]
    #[case("sudo: consul-template: command not found\n", 1, false)]
    #[case("sudo: a password is required\n", 1, false)]
    #[case("sudo: consul: command not found\n", 2, false)]
    #[tokio::test]
    async fn a_program_that_sudo_does_not_find_is_no_refusal(
        #[case] stderr: &'static str,
        #[case] code: u32,
        #[case] missing: bool,
    ) {
        let mut nowhere = Nowhere;
        let mut overhear = Overhear::new(&mut nowhere);
        overhear
            .chunk(Chunk::Stderr(Bytes::from_static(stderr.as_bytes())))
            .await;
        assert_eq!(overhear.is_missing("consul", &Exit::Code(code)), missing);
    }

    #[test]
    fn an_empty_argument_vector_is_not_an_interactive_shell() {
        assert_eq!(Rise::No.line(&[], "x"), "''");
    }

    #[test]
    fn no_password_is_part_of_a_line() {
        let secret = || Secret::new("hunter2".into());
        for rise in [Rise::SudoWith(secret()), Rise::SuWith(secret())] {
            assert!(!rise.line(&["id".into()], "x").contains("hunter2"));
        }
    }

    #[rstest]
    #[case("sudo: a password is required", true)]
    #[case("sudo: Ein Passwort ist notwendig", true)]
    #[case("sudo: interactive authentication is required", true)]
    #[case("doas: Authentication required", true)]
    #[case("sudo: unable to resolve host pc1", false)]
    #[case("sudo: /etc/sudoers is world writable", false)]
    #[case("sudo: sorry, you must have a tty to run sudo", false)]
    #[case("bash: line 1: sudo: command not found", false)]
    #[case("doas: Operation not permitted", false)]
    fn a_wish_for_a_password_is_told_from_other_complaints(
        #[case] complaint: &str,
        #[case] wants: bool,
    ) {
        assert_eq!(wants_password(complaint), wants);
    }

    #[rstest]
    #[case("ops is not in the sudoers file.\n", false)]
    #[case(
        "Sorry, user ops is not allowed to execute 'sh' as root on pc1.\n",
        false
    )]
    #[case("Sorry, try again.\nsudo: 1 incorrect password attempt\n", true)]
    fn a_wrong_password_is_told_from_a_refusal(#[case] words: &str, #[case] wrong: bool) {
        let rise = Rise::SudoWith(Secret::new(String::new()));
        let judged = judge(&rise, words);
        assert_eq!(matches!(judged, NotRisen::Wrong(_)), wrong, "{judged:?}");
    }

    #[derive(Default)]
    struct Said(Vec<Chunk>);

    #[async_trait]
    impl ChunkSink for Said {
        async fn chunk(&mut self, chunk: Chunk) {
            self.0.push(chunk);
        }
    }

    #[tokio::test]
    async fn a_complaint_is_held_back_and_everything_else_goes_on_at_once_and_whole() {
        let mut said = Said::default();
        let mut overhear = Overhear::new(&mut said);
        overhear
            .chunk(Chunk::Stderr("sudo: a password is required\n".into()))
            .await;
        assert!(overhear.complaint(&Exit::Code(1)).is_some());
        drop(overhear);
        assert_eq!(said.0, []);

        let mut said = Said::default();
        let mut overhear = Overhear::new(&mut said);
        let long = "x".repeat(MOST);
        for text in ["su", "ch trouble\n", &long, "end"] {
            let chunk = Chunk::Stderr(text.to_owned().into());
            overhear.chunk(chunk).await;
        }
        overhear.release().await;
        drop(overhear);
        let text: Vec<u8> = said
            .0
            .iter()
            .flat_map(|chunk| match chunk {
                Chunk::Stderr(bytes) | Chunk::Stdout(bytes) => bytes.to_vec(),
            })
            .collect();
        assert_eq!(text, format!("such trouble\n{long}end").into_bytes());
    }
}
