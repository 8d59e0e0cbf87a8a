//! Becoming root by `sudo -n`, and telling sudo's own complaints from those of the command.

use async_trait::async_trait;

use crate::domain::node::{Elevate, SshAccess};
use crate::transport::{Chunk, ChunkSink, Command, Exit, quote};

/// More than sudo says when it refuses, lecture included, bytes.
const MOST: usize = 4096;

/// Whether `command` goes through sudo on a host of `access`.
pub(super) fn is_needed(command: &Command, access: &SshAccess) -> bool {
    command.elevated && access.elevate == Elevate::Sudo && access.user != "root"
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
        if self.overflown {
            return None;
        }
        let text = String::from_utf8_lossy(&self.stderr);
        let last = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
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

    #[test]
    fn an_empty_argument_vector_is_not_an_interactive_shell() {
        assert_eq!(line(&[], false), "''");
    }
}
