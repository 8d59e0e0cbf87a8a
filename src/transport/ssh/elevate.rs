//! Becoming root by `sudo -n`, and telling sudo's own complaints from those of the command.

use async_trait::async_trait;

use crate::domain::node::{Elevate, SshAccess};
use crate::transport::{Chunk, ChunkSink, Command, Exit, quote};

/// How much of standard error is looked at for sudo's complaint, bytes.
const HEAD: usize = 4096;

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
    silent: bool,
    head: Vec<u8>,
}

impl<'a> Overhear<'a> {
    pub(super) fn new(to: &'a mut dyn ChunkSink) -> Self {
        Self {
            to,
            silent: true,
            head: Vec::new(),
        }
    }

    /// What sudo complained about, when the command ended with `exit` without having run.
    pub(super) fn complaint(&self, exit: &Exit) -> Option<String> {
        let ran = !matches!(exit, Exit::Code(1 | 127)) || !self.silent;
        if ran {
            return None;
        }
        let text = String::from_utf8_lossy(&self.head);
        let complaint = text.lines().map(str::trim).find(|line| match exit {
            Exit::Code(127) => line.contains("sudo") && line.ends_with("not found"),
            // sudo's own lines begin with its name, in every language; two of them do not.
            _ => {
                line.starts_with("sudo: ")
                    || line.contains("not in the sudoers")
                    || line.starts_with("Sorry, user ")
            }
        });
        complaint.map(super::tame)
    }
}

#[async_trait]
impl ChunkSink for Overhear<'_> {
    async fn chunk(&mut self, chunk: Chunk) {
        match &chunk {
            Chunk::Stdout(_) => self.silent = false,
            Chunk::Stderr(bytes) => {
                let room = HEAD.saturating_sub(self.head.len()).min(bytes.len());
                self.head.extend_from_slice(&bytes[..room]);
            }
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

    async fn complaint(stderr: &'static str, stdout: &'static str, code: u32) -> Option<String> {
        let mut nowhere = Nowhere;
        let mut overhear = Overhear::new(&mut nowhere);
        overhear
            .chunk(Chunk::Stderr(Bytes::from_static(stderr.as_bytes())))
            .await;
        if !stdout.is_empty() {
            let stdout = Bytes::from_static(stdout.as_bytes());
            overhear.chunk(Chunk::Stdout(stdout)).await;
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
    #[tokio::test]
    async fn a_refusal_of_sudo_is_recognised(#[case] stderr: &'static str, #[case] code: u32) {
        assert!(complaint(stderr, "", code).await.is_some());
    }

    #[rstest]
    #[case("ls: cannot access 'x'\n", "", 1)]
    #[case("sudo: a password is required\n", "the command did run\n", 1)]
    #[case("sudo: a password is required\n", "", 2)]
    #[tokio::test]
    async fn a_failure_of_the_command_is_not_one_of_sudo(
        #[case] stderr: &'static str,
        #[case] stdout: &'static str,
        #[case] code: u32,
    ) {
        assert_eq!(complaint(stderr, stdout, code).await, None);
    }

    #[test]
    fn an_empty_argument_vector_is_not_an_interactive_shell() {
        assert_eq!(line(&[], false), "''");
    }
}
