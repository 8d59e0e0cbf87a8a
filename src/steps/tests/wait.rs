//! Waiting: for a leader, a port, an endpoint; until it is so, the time is up, or nobody wants it any more.

use super::*;

#[tokio::test(start_paused = true)]
async fn waiting_for_a_leader_tells_each_state_once() {
    let host = Arc::new(TempHost::new());
    let away = || Err("connection refused".to_owned());
    let context = asking(
        &host,
        vec![
            away(),
            away(),
            Ok(report(None, 2)),
            Ok(report(None, 2)),
            Ok(report(Some("pc1"), 3)),
        ],
    );
    assert_eq!(
        execute(&wait_for(None, true), None, &context)
            .await
            .unwrap(),
        Outcome::Ok
    );
    assert_eq!(
        host.log(),
        [
            "note: waiting until consul has a leader",
            "note: consul: connection refused",
            "note: consul has no leader: 2 of 3 alive",
            "note: consul: 3 of 3 alive",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_in_time_with_the_last_thing_seen() {
    let host = Arc::new(TempHost::new());
    let context = asking(&host, vec![Ok(report(Some("pc1"), 2))]);
    let began = tokio::time::Instant::now();
    let error = execute(&wait_for(Some("{{ 1 + 2 }}"), true), None, &context)
        .await
        .unwrap_err();
    assert_eq!(
        error.message,
        "waited 30s until consul has a leader and has 3 members that are well; last seen: consul has 2 of 3 members that are \
         well"
    );
    assert!(error.passing);
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "ends before the engine's own limit"
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_stops_when_it_is_cancelled() {
    let host = Arc::new(TempHost::new());
    let context = asking(&host, vec![Err("away".into())]);
    let step = wait_for(None, true);
    let cancel = context.cancel.clone();
    let (ended, ()) = tokio::join!(execute(&step, None, &context), async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        cancel.cancel();
    });
    assert_eq!(ended.unwrap_err().message, "cancelled");
}

#[tokio::test]
async fn in_a_dry_run_a_wait_looks_once_and_is_no_failure() {
    let host = Arc::new(TempHost::new());
    let context = Context {
        dry_run: true,
        ..asking(&host, vec![Ok(report(None, 0))])
    };
    assert_eq!(
        execute(&wait_for(None, true), None, &context)
            .await
            .unwrap(),
        Outcome::Skipped(
            "not yet the case that consul has a leader: consul has no leader: 0 of 3 alive".into()
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_port_that_never_opens_is_told_with_the_systems_words() {
    let host = Arc::new(TempHost::new());
    // Bound and not listening: nobody else can open it meanwhile.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    let step = Step {
        timeout: Some("20s".into()),
        tcp: Some(TcpWait {
            host: "127.0.0.1".into(),
            port: port.to_string(),
        }),
        ..step("port")
    };
    let error = execute(&step, None, &context(&host)).await.unwrap_err();
    assert!(
        error.message.contains("Connection refused"),
        "{}",
        error.message
    );

    let nonsense = Step {
        tcp: Some(TcpWait {
            host: "127.0.0.1".into(),
            port: "ssh".into(),
        }),
        ..step
    };
    let error = execute(&nonsense, None, &context(&host)).await.unwrap_err();
    assert_eq!(
        error.message,
        "\"ssh\" is no port: it is a number up to 65535"
    );
}

#[tokio::test]
async fn an_endpoint_is_waited_for_by_status_and_body() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = wiremock::MockServer::start().await;
    wiremock::Mock::given(wiremock::matchers::path("/v1/status/leader"))
        .respond_with(wiremock::ResponseTemplate::new(200).set_body_string("\"10.0.0.1:8300\""))
        .mount(&server)
        .await;
    let host = Arc::new(TempHost::new());
    let wait = |path: &str, body: &str| Step {
        timeout: Some("1s".into()),
        http: Some(HttpWait {
            url: format!("{}{path}?token=secret", server.uri()),
            status: 200,
            body: Some(body.into()),
        }),
        ..step("http")
    };
    let context = context(&host);
    assert_eq!(
        execute(
            &wait("/v1/status/leader", r#""[0-9.]+:\d+""#),
            None,
            &context
        )
        .await
        .unwrap(),
        Outcome::Ok
    );
    let error = execute(&wait("/elsewhere", "."), None, &context)
        .await
        .unwrap_err();
    assert!(
        error.message.ends_with("/elsewhere answers 404"),
        "{}",
        error.message
    );
    let error = execute(&wait("/v1/status/leader", "^\"\"$"), None, &context)
        .await
        .unwrap_err();
    assert!(
        error.message.contains(r#"answers "\"10.0.0.1:8300\"""#),
        "{}",
        error.message
    );
    assert!(!error.message.contains("secret"), "{}", error.message);
    let error = execute(&wait("/", "("), None, &context).await.unwrap_err();
    assert!(
        error.message.starts_with("body is no regular expression"),
        "{}",
        error.message
    );
}
