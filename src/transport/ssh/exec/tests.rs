//! How a command ends on the wire, against a host that sends status, output and end in the order of a script.

use super::super::SshSettings;
use super::super::testing::{Sent, pool, serve};
use crate::domain::node::{ClientConfig, SshAccess};
use crate::transport::{Command, Exit, Output, Reach as _, ReachError};

/// What becomes of a command whose host sends `script`.
async fn outcome(script: &'static [Sent]) -> Result<Output, ReachError> {
    let home = tempfile::tempdir().unwrap();
    let settings = SshSettings {
        accept_new: true,
        agent: None,
        home: Some(home.path().to_owned()),
        ..SshSettings::default()
    };
    let access = SshAccess {
        port: Some(serve(script).await.port()),
        config: Some(ClientConfig::None),
        ..SshAccess::default()
    };
    let pool = pool([("pc1", access)], settings);
    let command = Command::new(["report"]);
    pool.host("pc1").unwrap().output(&command).await
}

/// What a command said whose host sends `script`, which is a whole answer, and how it ended.
async fn answer(script: &'static [Sent]) -> (String, Exit) {
    let output = outcome(script).await.unwrap();
    (output.text(), output.exit)
}

#[tokio::test]
async fn a_connection_lost_between_the_status_and_the_end_of_the_output_is_no_answer() {
    let lost = outcome(&[Sent::Data("half of "), Sent::Status(0), Sent::Cut]).await;
    let error = lost.expect_err("the other half may have been on its way");
    let ReachError::Lost { hop, .. } = &error else {
        panic!("not lost, but: {error}");
    };
    assert_eq!(hop, "pc1");
    assert!(error.is_passing(), "it may be asked again");
}

#[tokio::test]
async fn output_that_its_status_overtakes_is_part_of_the_answer() {
    let answer = answer(&[
        Sent::Data("half of "),
        Sent::Status(3),
        Sent::Data("the answer"),
        Sent::Eof,
        Sent::Close,
    ])
    .await;
    assert_eq!(answer, ("half of the answer".into(), Exit::Code(3)));
}

#[tokio::test]
async fn an_answer_that_is_whole_stands_though_the_connection_goes_before_the_channel_is_closed() {
    let answer = answer(&[
        Sent::Status(0),
        Sent::Data("the answer"),
        Sent::Eof,
        Sent::Cut,
    ])
    .await;
    assert_eq!(answer, ("the answer".into(), Exit::Code(0)));
}

#[tokio::test]
async fn a_connection_lost_before_the_status_is_no_answer_however_whole_the_output() {
    let lost = outcome(&[Sent::Data("the answer"), Sent::Eof, Sent::Cut]).await;
    assert!(matches!(lost, Err(ReachError::Lost { .. })), "{lost:?}");
}
