//! Every adapter against endpoints that misbehave: each fault becomes an error that says where and what, in time.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::time::{Duration, Instant};

use quarterdeck::domain::service::{ServiceKind, ServiceSpec};
use quarterdeck::services::{self, ServiceError};
use rstest::rstest;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

const DEADLINE: Duration = Duration::from_secs(5);

fn spec(kind: ServiceKind, url: String) -> ServiceSpec {
    ServiceSpec {
        name: kind.word().into(),
        kind,
        urls: vec![url],
        nodes: vec!["pc1".into()],
        user: Some("operator".into()),
        secret: None,
        ca: None,
    }
}

/// Asks the adapter of `kind` for a report while its endpoint answers everything with `fault`.
async fn report_under(
    kind: ServiceKind,
    fault: ResponseTemplate,
    deadline: Duration,
) -> ServiceError {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(fault).mount(&server).await;
    let adapter = services::connect(
        &spec(kind, server.uri()),
        Some("s3cret-value".to_owned().into()),
    )
    .unwrap();
    let error = adapter.report(deadline).await.unwrap_err();
    assert!(
        !error.to_string().contains("s3cret-value"),
        "the secret leaked: {error}"
    );
    assert!(
        !error.to_string().contains('\n'),
        "more than one line: {error}"
    );
    error
}

fn all() -> impl Iterator<Item = ServiceKind> {
    ServiceKind::ALL.iter().copied()
}

#[rstest]
#[case::unauthorized(401)]
#[case::forbidden(403)]
#[tokio::test]
async fn a_refusal_points_at_the_secret(#[case] status: u16) {
    for kind in all() {
        let error = report_under(
            kind,
            ResponseTemplate::new(status).set_body_string("no entry"),
            DEADLINE,
        )
        .await;
        assert!(
            matches!(error, ServiceError::Denied { status: seen, .. } if seen == status),
            "{kind}: {error}"
        );
        assert!(error.to_string().contains("secret"), "{kind}: {error}");
    }
}

#[rstest]
#[case::not_found(404)]
#[case::too_many_requests(429)]
#[case::internal_error(500)]
#[tokio::test]
async fn an_error_status_is_told_with_the_url(#[case] status: u16) {
    for kind in all() {
        let error = report_under(
            kind,
            ResponseTemplate::new(status).set_body_string("boom"),
            DEADLINE,
        )
        .await;
        assert!(
            matches!(error, ServiceError::Status { status: seen, .. } if seen == status),
            "{kind}: {error}"
        );
        assert!(
            error.to_string().contains("http://127.0.0.1"),
            "{kind}: {error}"
        );
    }
}

#[tokio::test]
async fn an_unavailable_service_is_told_whatever_its_body() {
    for kind in all() {
        let error = report_under(
            kind,
            ResponseTemplate::new(503).set_body_string("down"),
            DEADLINE,
        )
        .await;
        // Grafana's health has a body of its own at 503, which this is not.
        let told = matches!(
            error,
            ServiceError::Status { status: 503, .. } | ServiceError::Malformed { .. }
        );
        assert!(told, "{kind}: {error}");
    }
}

#[tokio::test]
async fn a_silent_endpoint_ends_at_the_deadline() {
    let deadline = Duration::from_millis(300);
    for kind in all() {
        let started = Instant::now();
        let silent = ResponseTemplate::new(200).set_delay(Duration::from_secs(120));
        let error = report_under(kind, silent, deadline).await;
        assert!(
            matches!(error, ServiceError::Timeout { .. }),
            "{kind}: {error}"
        );
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{kind}: the deadline did not hold"
        );
    }
}

#[rstest]
#[case::truncated("{\"leader\": \"10.0.0")]
#[case::wrong_type("42")]
#[case::empty("")]
#[case::junk("\u{1b}[31m\u{0}\u{7}")]
#[tokio::test]
async fn a_body_that_is_not_the_promised_json_is_malformed(#[case] body: &str) {
    for kind in all() {
        let error = report_under(
            kind,
            ResponseTemplate::new(200).set_body_string(body),
            DEADLINE,
        )
        .await;
        assert!(
            matches!(error, ServiceError::Malformed { .. }),
            "{kind}: {error}"
        );
        assert!(
            !error.to_string().contains('\u{1b}'),
            "{kind}: raw escape in {error:?}"
        );
    }
}

#[tokio::test]
async fn a_web_page_instead_of_an_api_is_recognised() {
    let page = "<!DOCTYPE html><html><head><title>Log in to the proxy</title></head></html>";
    for kind in all().filter(|kind| *kind != ServiceKind::Kubernetes) {
        let error = report_under(
            kind,
            ResponseTemplate::new(200).set_body_string(page),
            DEADLINE,
        )
        .await;
        assert!(error.to_string().contains("HTML"), "{kind}: {error}");
        assert!(
            error.to_string().contains("Log in to the proxy"),
            "{kind}: {error}"
        );
    }
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    for kind in all().filter(|kind| *kind != ServiceKind::Kubernetes) {
        let huge = ResponseTemplate::new(200).set_body_bytes(vec![b' '; 50 * 1024 * 1024]);
        let error = report_under(kind, huge, Duration::from_secs(60)).await;
        assert!(error.to_string().contains("larger than"), "{kind}: {error}");
    }
}

#[tokio::test]
async fn a_closed_port_says_refused() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for kind in all() {
        let adapter = services::connect(
            &spec(kind, "http://127.0.0.1:1".into()),
            Some("x".to_owned().into()),
        )
        .unwrap();
        let error = adapter.report(DEADLINE).await.unwrap_err();
        assert!(
            error.to_string().to_lowercase().contains("refused"),
            "{kind}: {error}"
        );
    }
}

#[tokio::test]
async fn every_adapter_names_its_views_and_refuses_others() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_string("\"\""))
        .mount(&server)
        .await;
    for kind in all() {
        let adapter =
            services::connect(&spec(kind, server.uri()), Some("x".to_owned().into())).unwrap();
        assert_eq!(adapter.views(), services::views(kind));
        assert!(!adapter.views().is_empty(), "{kind}");
        let error = adapter.table("no-such-view", DEADLINE).await.unwrap_err();
        assert!(
            matches!(error, ServiceError::NoSuchView(_)),
            "{kind}: {error}"
        );
    }
}
