//! Becoming root by `sudo -n`, and telling sudo's own complaints from those of the command.

use async_trait::async_trait;

use super::way::Target;
use crate::domain::node::Elevate;
use crate::transport::{Chunk, ChunkSink, Exit, quote};

/// More than sudo says when it refuses, lecture included, bytes.
const MOST: usize = 4096;

/// Whether root's work goes through sudo at `target`.
pub(super) fn elevates(target: &Target) -> bool {
    *target.elevate == Elevate::Sudo && *target.user != "root"
}

/// The line for the login shell that runs `argv`, as root if `elevated`.
pub(super) fn line(argv: &[String], elevated: bool) -> String {
    let command = if argv.is_empty() {
        // An empty line would start an interactive shell; this is "command not found".
        "''".to_owned()
    } else {
        quote(argv)
    };
    if elevated {
        format!("sudo -n -- {command}")
    } else {
        command
    }
}

/// Hands output on and remembers what is needed to recognise sudo's complaint.
pub(super) struct Overhear<'a> {
    to: &'a mut dyn ChunkSink,
    stderr: Vec<u8>,
    overflown: bool,
}

impl<'a> Overhear<'a> {
    pub(super) fn new(to: &'a mut dyn ChunkSink) -> Self {
        Self {
            to,
            stderr: Vec::new(),
            overflown: false,
        }
    }

    /// What sudo complained about, when the command ended with `exit` without having run.
    ///
    /// sudo says so last of all and is done. Standard output tells nothing: a login shell may have talked on it.
    pub(super) fn complaint(&self, exit: &Exit) -> Option<String> {
        let text = self.text()?;
        let last = last_line(&text)?;
        let sudos = match exit {
            // The login shell's words, or those of `env` in front of it.
            Exit::Code(127) => {
                last.contains("sudo") && (last.ends_with("not found") || last.starts_with("env: "))
            }
            // Its lines begin with its name, in every language; two of them do not.
            Exit::Code(1) => {
                last.starts_with("sudo: ")
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
    text.lines().map(str::trim).rfind(|line| !line.is_empty())
}

#[async_trait]
impl ChunkSink for Overhear<'_> {
    async fn chunk(&mut self, chunk: Chunk) {
        if let Chunk::Stderr(bytes) = &chunk {
            let room = MOST.saturating_sub(self.stderr.len()).min(bytes.len());
            self.overflown |= room < bytes.len();
            self.stderr.extend_from_slice(&bytes[..room]);
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
        assert_eq!(line(&[], false), "''");
    }
}
