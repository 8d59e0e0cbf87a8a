//! Notifications from an engine to servers, good and bad.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::channel::{Http, once};
use super::testing::{channel, notice};
use crate::client::{Client, Event, Request, Response, Subscription};
use crate::domain::action::{Consent, Risk};
use crate::domain::environment::Protection;
use crate::domain::finding::Severity;
use crate::domain::notice::{Channel, ChannelKind, NoticeKind, Notifications, Rule};
use crate::domain::service::SecretRef;
use crate::engine::tests::{Memory, Weather, ada, environment, recipe, request};
use crate::engine::{Engine, EngineSettings};
use crate::store::Redactor;

fn with_tls() {
    // Another test of the process may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

async fn start(dir: &TempDir, channel: Channel) -> (Engine, Client, Subscription) {
    with_tls();
    let world = Arc::new(Memory(Arc::new(Weather::default())));
    let mut settings = EngineSettings::new("home", world, dir.path(), dir.path().join("cache"));
    settings.environments = vec![environment("lab", Protection::Open)];
    settings.recipes = vec![
        recipe("fail", Risk::Read, "nonsense"),
        recipe("look", Risk::Read, "work"),
    ];
    settings.notifications = Notifications {
        rules: vec![Rule {
            environments: vec!["lab".into()],
            on: vec![NoticeKind::RunFailed, NoticeKind::RunSucceeded],
            severity: Severity::Critical,
            channels: vec![channel.name.clone()],
        }],
        channels: vec![channel],
    };
    let engine = Engine::start(settings).await.unwrap();
    let client = engine.client(ada());
    let events = client.subscribe();
    (engine, client, events)
}

async fn run(client: &Client, recipe: &str) {
    let Ok(Response::Plan { plan, .. }) = client.call(Request::Plan(request("lab", recipe))).await
    else {
        panic!("no plan");
    };
    let begin = Request::Start {
        hash: plan.hash,
        consent: Consent::None,
    };
    assert!(matches!(client.call(begin).await, Ok(Response::Started(_))));
}

/// Everything that arrived at `/hook`, as soon as there are `count`.
async fn arrived(server: &MockServer, count: usize) -> Vec<Value> {
    loop {
        let requests = server.received_requests().await.unwrap();
        if requests.len() >= count {
            return requests
                .iter()
                .map(|request| request.body_json().unwrap())
                .collect();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn server(template: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/hook"))
        .respond_with(template)
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn a_failed_run_and_its_success_are_told_once_each() {
    let server = server(ResponseTemplate::new(202)).await;
    let dir = TempDir::new().unwrap();
    let hook = channel(ChannelKind::Webhook, &format!("{}/hook", server.uri()));
    let (engine, client, _) = start(&dir, hook).await;
    run(&client, "fail").await;
    let first = arrived(&server, 1).await.remove(0);
    assert_eq!(first["event"], "run-failed");
    assert_eq!(first["key"], "lab/run/fail");
    assert_eq!(first["run"], 1);
    run(&client, "look").await;
    let second = arrived(&server, 2).await.remove(1);
    assert_eq!(
        (&second["event"], &second["status"]),
        (&"run-succeeded".into(), &"resolved".into())
    );
    engine.shutdown(Duration::from_secs(10)).await;
    assert_eq!(server.received_requests().await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_could_not_be_sent_is_sent_by_the_next_engine() {
    let dir = TempDir::new().unwrap();
    // Nobody listens there.
    let (engine, client, mut events) = start(
        &dir,
        channel(ChannelKind::Webhook, "http://127.0.0.1:1/hook"),
    )
    .await;
    run(&client, "fail").await;
    loop {
        if let Event::Run(run) = events.next().await.unwrap()
            && run.state.is_final()
        {
            break;
        }
    }
    while client.history.waiting_notices().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    engine.shutdown(Duration::from_secs(10)).await;
    let server = server(ResponseTemplate::new(200)).await;
    let hook = channel(ChannelKind::Webhook, &format!("{}/hook", server.uri()));
    let (engine, client, _) = start(&dir, hook).await;
    assert_eq!(arrived(&server, 1).await[0]["event"], "run-failed");
    while !client.history.waiting_notices().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    engine.shutdown(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn a_channel_that_refuses_is_a_finding_in_the_environment() {
    let server = server(ResponseTemplate::new(403)).await;
    let dir = TempDir::new().unwrap();
    let hook = channel(ChannelKind::Webhook, &format!("{}/hook", server.uri()));
    let (_engine, client, mut events) = start(&dir, hook).await;
    run(&client, "fail").await;
    let finding = loop {
        if let Event::Findings { findings, .. } = events.next().await.unwrap()
            && let Some(found) = findings
                .into_iter()
                .find(|finding| finding.key == "notify:hook")
        {
            break found;
        }
    };
    assert!(
        finding.evidence.starts_with("status 403"),
        "{}",
        finding.evidence
    );
    let refusal = client
        .call(Request::TestChannel {
            channel: "hook".into(),
        })
        .await
        .unwrap_err();
    assert_eq!(refusal.message, "channel hook: status 403");
    let unknown = Request::TestChannel {
        channel: "pager".into(),
    };
    assert!(
        client
            .call(unknown)
            .await
            .unwrap_err()
            .message
            .contains("there is hook")
    );
}

#[tokio::test]
async fn a_secret_goes_where_its_kind_wants_it_and_into_no_error() {
    with_tls();
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/hook"))
        .and(header("authorization", "Bearer hunter22"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    let redactor = Redactor::default();
    let secret = |text: &str| Some(SecretRef::Command(vec!["echo".into(), text.into()]));
    let url = format!("{}/hook", server.uri());
    let bearer = Channel {
        secret: secret("hunter22"),
        ..channel(ChannelKind::Webhook, &url)
    };
    let test = notice(NoticeKind::Test, "k");
    assert_eq!(
        once(&Http::default(), &bearer, &redactor, &test).await,
        Ok(())
    );
    let hidden = "http://127.0.0.1:1/services/T00/B00/verysecret";
    let slack = Channel {
        url: None,
        secret: secret(hidden),
        ..channel(ChannelKind::Slack, "")
    };
    let error = once(&Http::default(), &slack, &redactor, &test)
        .await
        .unwrap_err();
    assert!(
        !error.contains("verysecret") && error.to_lowercase().contains("refused"),
        "{error}"
    );
    assert_eq!(redactor.clean(&format!("to {hidden}")), "to [redacted]");
}

#[tokio::test]
async fn a_server_that_breaks_off_or_redirects_is_no_delivery() {
    with_tls();
    // Promises more than it sends, and closes.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"ok\"")
            .await;
    });
    let test = notice(NoticeKind::Test, "k");
    let cut = channel(ChannelKind::Webhook, &format!("http://{address}/hook"));
    assert!(
        once(&Http::default(), &cut, &Redactor::default(), &test)
            .await
            .is_err()
    );
    let elsewhere = server(ResponseTemplate::new(200)).await;
    let moved =
        ResponseTemplate::new(307).insert_header("location", format!("{}/hook", elsewhere.uri()));
    let here = server(moved).await;
    let hook = channel(ChannelKind::Webhook, &format!("{}/hook", here.uri()));
    let error = once(&Http::default(), &hook, &Redactor::default(), &test)
        .await
        .unwrap_err();
    assert!(error.contains("redirects are not followed"), "{error}");
    assert_eq!(elsewhere.received_requests().await.unwrap().len(), 0);
}
