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
    let output = outcome(&[
        Sent::Data("half of "),
        Sent::Status(3),
        Sent::Data("the answer"),
        Sent::Eof,
        Sent::Close,
    ])
    .await
    .unwrap();
    assert_eq!(output.text(), "half of the answer");
    assert_eq!(output.exit, Exit::Code(3));
}

#[tokio::test]
async fn an_answer_that_is_whole_stands_though_the_connection_goes_before_the_channel_is_closed() {
    let output = outcome(&[
        Sent::Status(0),
        Sent::Data("the answer"),
        Sent::Eof,
        Sent::Cut,
    ])
    .await
    .unwrap();
    assert_eq!(output.text(), "the answer");
    assert_eq!(output.exit, Exit::Code(0));
}

#[tokio::test]
async fn a_connection_lost_before_the_status_is_no_answer_however_whole_the_output() {
    let lost = outcome(&[Sent::Data("the answer"), Sent::Eof, Sent::Cut]).await;
    assert!(matches!(lost, Err(ReachError::Lost { .. })), "{lost:?}");
}
