//! Commands: output, ends, limits, and what is left when they are stopped.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use quarterdeck::transport::{Chunk, ChunkSink, Command, Exit, Reach as _, ReachError};
use tokio_util::sync::CancellationToken;

use super::sshd::{Yard, lives, pool};
use super::{Kept, says, successful, until};

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn arguments_arrive_as_they_were_given() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let hostile = [
        "$HOME `id` $(id)",
        "a'b\"c\\d",
        "*?[x] ~ ! #",
        "-n; rm & | > <",
        "",
        "tab\tline\nend",
        "é日本",
    ];
    let mut argv = vec!["printf", "%s\\0"];
    argv.extend(hostile);
    let output = host.output(&Command::new(argv)).await.unwrap();
    let text = output.text();
    let words: Vec<&str> = text.trim_end_matches('\0').split('\0').collect();
    assert_eq!(words, hostile);
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_status_a_signal_and_both_streams_are_told_apart() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let command = Command::new(["sh", "-c", "echo out; echo err >&2; exit 3"]);
    let output = host.output(&command).await.unwrap();
    assert_eq!(
        (output.exit.clone(), output.text().as_str()),
        (Exit::Code(3), "out\n")
    );
    assert_eq!(output.complaint(), "err");
    let output = host
        .output(&Command::new(["sh", "-c", "kill -KILL $$"]))
        .await
        .unwrap();
    // A login shell that stays in between turns the signal into a status.
    assert!(
        [Exit::Signal("KILL".into()), Exit::Code(137)].contains(&output.exit),
        "{output:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn input_larger_than_every_window_flows_while_output_flows_back() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let input: Vec<u8> = (0..3_000_000_u32)
        .flat_map(u32::to_le_bytes)
        .take(4_000_000)
        .collect();
    let command = Command::new(["cat"]).with_stdin(input.clone());
    let output = host.output(&command).await.unwrap();
    assert!(
        output.stdout == input,
        "{} bytes of {}",
        output.stdout.len(),
        input.len()
    );
    // Input that nobody reads is no failure either.
    let command = Command::new(["true"]).with_stdin(input);
    assert!(host.output(&command).await.unwrap().exit.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn two_hundred_commands_at_once_do_not_mix_their_output() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let asked = (0..200).map(|number| {
        let host = host.clone();
        async move {
            let number = number.to_string();
            let script = "i=0; while [ $i -lt 300 ]; do echo \"$1\"; i=$((i+1)); done";
            let output = host
                .output(&Command::new(["sh", "-c", script, "sh", &number]))
                .await?;
            Ok::<_, ReachError>((number, successful(&output)))
        }
    });
    for (number, said) in try_join_all(asked).await.unwrap() {
        assert_eq!(said.lines().count(), 300);
        assert!(said.lines().all(|line| line == number), "{number}");
    }
    assert_eq!(sshd.logins(), 1);
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_server_that_allows_one_session_at_a_time_serves_four_commands() {
    let yard = Yard::new();
    let sshd = yard.sshd_with(
        "a",
        &["ed25519"],
        "MaxSessions 1\nSubsystem sftp internal-sftp\n",
    );
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let commands = (0..4).map(|number: i32| {
        let host = host.clone();
        async move {
            says(
                &host,
                &["sh", "-c", "sleep 0.1; echo $0", &number.to_string()],
            )
            .await
        }
    });
    let said = try_join_all(commands).await.unwrap();
    assert_eq!(said, ["0", "1", "2", "3"]);
    let (read, said) = tokio::join!(host.read("/etc/hostname"), says(&host, &["echo", "x"]));
    assert!(read.unwrap().is_some());
    assert_eq!(said.unwrap(), "x");
    assert_eq!(sshd.logins(), 1);
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_slow_sink_gets_every_byte_of_a_large_output() {
    struct Slow(u64);
    #[async_trait]
    impl ChunkSink for Slow {
        async fn chunk(&mut self, chunk: Chunk) {
            let (Chunk::Stdout(bytes) | Chunk::Stderr(bytes)) = chunk;
            self.0 += bytes.len() as u64;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let mut slow = Slow(0);
    let command = Command::new(["head", "-c", "20000000", "/dev/zero"]);
    let exit = host
        .stream(&command, &mut slow, &CancellationToken::new())
        .await;
    assert_eq!(exit.unwrap(), Exit::Code(0));
    assert_eq!(slow.0, 20_000_000);
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn cancelling_ends_the_command_on_the_host_and_not_the_connection() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let cancel = CancellationToken::new();
    let mut kept = Kept::default();
    let seen = kept.clone();
    let command = Command::new(["sh", "-c", "echo $$; exec sleep 1000"]);
    let (result, process) = tokio::join!(host.stream(&command, &mut kept, &cancel), async {
        let line = seen.line().await;
        cancel.cancel();
        line.parse::<u32>().unwrap()
    });
    assert!(
        matches!(result, Err(ReachError::Cancelled { .. })),
        "{result:?}"
    );
    until(|| !lives(process)).await;
    assert_eq!(
        says(&host, &["echo", "still here"]).await.unwrap(),
        "still here"
    );
    assert_eq!(sshd.logins(), 1);
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_command_that_takes_too_long_or_is_forgotten_is_ended_on_the_host() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let command = Command::new(["sh", "-c", "echo $$; exec sleep 1000"]);

    // A busy machine may not even have begun when a second is over.
    let mut begun = None;
    for seconds in [1, 5, 25] {
        let slow = command.clone().within(Duration::from_secs(seconds));
        let mut kept = Kept::default();
        let error = host
            .stream(&slow, &mut kept, &CancellationToken::new())
            .await
            .unwrap_err();
        assert!(matches!(error, ReachError::Timeout { .. }), "{error}");
        begun = kept.first();
        if begun.is_some() {
            break;
        }
    }
    let process = begun.unwrap().parse().unwrap();
    until(|| !lives(process)).await;

    let mut kept = Kept::default();
    let seen = kept.clone();
    let cancel = CancellationToken::new();
    let process = tokio::select! {
        _ = host.stream(&command, &mut kept, &cancel) => panic!("it cannot end"),
        line = seen.line() => line.parse().unwrap(),
    };
    until(|| !lives(process)).await;
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_child_that_keeps_the_channel_open_does_not_keep_us() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let daemon = says(&host, &["sh", "-c", "sleep 1000 & echo $!"])
        .await
        .unwrap();
    says(&host, &["kill", &daemon]).await.unwrap();
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_connection_that_breaks_is_lost_for_its_commands_and_made_anew_for_the_next() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let kept: Vec<Kept> = (0..3).map(|_| Kept::default()).collect();
    let commands = kept.iter().map(|kept| {
        let (host, mut kept) = (host.clone(), kept.clone());
        async move {
            let command = Command::new(["sh", "-c", "echo started; exec sleep 1000"]);
            host.stream(&command, &mut kept, &CancellationToken::new())
                .await
        }
    });
    let (results, ()) = tokio::join!(join_all(commands), async {
        for kept in &kept {
            kept.line().await;
        }
        sshd.cut();
    });
    for result in results {
        let error = result.unwrap_err();
        assert!(matches!(error, ReachError::Lost { .. }), "{error}");
        assert!(error.is_passing());
    }
    assert_eq!(says(&host, &["echo", "again"]).await.unwrap(), "again");
    assert_eq!(sshd.logins(), 2);
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_login_that_may_run_no_commands_says_so() {
    let yard = Yard::new();
    let lines = "Subsystem sftp internal-sftp\nForceCommand internal-sftp\n";
    let sshd = yard.sshd_with("a", &["ed25519"], lines);
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    // OpenSSH starts the forced command instead and feeds it our input, which is no SFTP: it must end, not hang.
    let command = Command::new(["true"]).with_stdin(Bytes::from_static(b"x"));
    let ended = host.output(&command.within(Duration::from_secs(20))).await;
    assert!(!ended.is_ok_and(|output| output.exit.success()));
}
