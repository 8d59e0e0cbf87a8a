use std::path::Path;

use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::super::testing::{TempHost, differences, ensure, with_means};
use super::*;
use crate::domain::resource::Resource;
use crate::resources::apply as apply_resource;

// FIPS 180-2, appendix B.1.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn declared(source: &str, to: &str) -> Resource {
    Resource::Download(DownloadSpec {
        source: source.into(),
        sha256: ABC.into(),
        path: to.into(),
        mode: "0644".into(),
    })
}

fn local(directory: &Path, content: &str) -> String {
    let path = directory.join("abc.deb");
    std::fs::write(&path, content).unwrap();
    path.display().to_string()
}

async fn server(times: u64) -> MockServer {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/abc.deb"))
        .respond_with(ResponseTemplate::new(200).set_body_string("abc"))
        .expect(times)
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn a_file_from_here_is_pushed_verified_and_then_needs_nothing() {
    let here = tempfile::tempdir().unwrap();
    let host = TempHost::new();
    let resource = declared(&local(here.path(), "abc"), "/var/cache/q/abc.deb");
    let changes = ensure(&resource, &host).await.unwrap();
    assert!(changes[0].starts_with("does not exist → "), "{changes:?}");
    assert_eq!(
        std::fs::read(host.path("/var/cache/q/abc.deb")).unwrap(),
        b"abc"
    );
    assert_eq!(host.log(), ["note: pushed 3 B of 3 B (100 %)"]);
}

#[tokio::test]
async fn a_file_from_here_with_another_checksum_is_never_pushed() {
    let here = tempfile::tempdir().unwrap();
    let host = TempHost::new();
    let resource = declared(&local(here.path(), "tampered"), "/abc.deb");
    let error = ensure(&resource, &host).await.unwrap_err();
    assert!(
        error.to_string().contains("was declared; the file changed"),
        "{error}"
    );
    assert!(!error.is_passing());
    assert!(!host.path("/abc.deb").exists());
}

#[tokio::test]
async fn a_damaged_file_on_the_node_is_replaced() {
    let here = tempfile::tempdir().unwrap();
    let host = TempHost::new();
    host.put("/abc.deb", "damaged");
    let changes = ensure(&declared(&local(here.path(), "abc"), "/abc.deb"), &host)
        .await
        .unwrap();
    assert!(changes[0].ends_with("→ ba7816bf8f01…"), "{changes:?}");
}

#[tokio::test]
async fn only_the_mode_differs_and_nothing_is_fetched() {
    let host = TempHost::new();
    host.put("/abc.deb", "abc");
    let mut resource = declared("/nowhere/abc.deb", "/abc.deb");
    if let Resource::Download(spec) = &mut resource {
        spec.mode = "0755".into();
    }
    assert_eq!(
        ensure(&resource, &host).await.unwrap(),
        ["mode 0644 → 0755"]
    );
}

#[tokio::test]
async fn a_url_is_fetched_once_for_many_tasks_and_stays_in_the_cache() {
    let server = server(1).await;
    let host = TempHost::new();
    let url = format!("{}/abc.deb", server.uri());
    let resources: Vec<Resource> = (0..4)
        .map(|n| declared(&url, &format!("/abc{n}.deb")))
        .collect();
    with_means(&host, &[], async |means| {
        let difference = Difference {
            changes: vec!["does not exist".into()],
            diff: Vec::new(),
        };
        let all = resources
            .iter()
            .map(|resource| apply_resource(resource, &difference, &host, means));
        futures::future::try_join_all(all).await.unwrap();
    })
    .await;
    for resource in &resources {
        assert_eq!(differences(resource, &host).await.unwrap(), [] as [&str; 0]);
    }
    let fetching = host
        .log()
        .iter()
        .filter(|line| line.contains("fetching"))
        .count();
    assert_eq!(fetching, 1);
}

#[tokio::test]
async fn a_missing_url_says_so_without_user_information() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = MockServer::start().await;
    let host = TempHost::new();
    let url = server.uri().replace("http://", "http://me:secret@") + "/gone.deb?token=secret";
    let error = ensure(&declared(&url, "/gone.deb"), &host)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("404") && !error.contains("secret"),
        "{error}"
    );
    assert!(!host.log().concat().contains("secret"), "{:?}", host.log());
}

#[tokio::test]
async fn waiting_for_another_task_can_be_cancelled() {
    let host = TempHost::new();
    let held = File::create(host.cache.path().join(ABC).with_extension("lock")).unwrap();
    held.lock().unwrap();
    let cancelled = with_means(&host, &[], async |means| {
        let work = obtain("http://127.0.0.1:1/abc", ABC, means);
        tokio::pin!(work);
        tokio::select! {
            _ = &mut work => panic!("the lock is held by somebody else"),
            () = tokio::task::yield_now() => means.cancel.cancel(),
        }
        work.await
    })
    .await;
    assert!(matches!(
        cancelled,
        Err(ResourceError::Reach(ReachError::Cancelled { .. }))
    ));
}

#[tokio::test]
async fn a_checksum_that_is_none_is_refused() {
    let host = TempHost::new();
    let resource = Resource::Download(DownloadSpec {
        source: "/abc".into(),
        sha256: "abc".into(),
        path: "/abc".into(),
        mode: "0644".into(),
    });
    let error = differences(&resource, &host).await.unwrap_err().to_string();
    assert_eq!(error, "\"abc\" is no SHA-256: it has 64 hexadecimal digits");
}

#[test]
fn a_meter_tells_the_end_and_not_every_piece() {
    let (meter, mut reports) = Meter::new("pushed");
    for done in 0..=100 {
        meter.update(done * 1024 * 1024, 100 * 1024 * 1024);
    }
    assert_eq!(
        *reports.0.borrow_and_update(),
        "pushed 100.0 MiB of 100.0 MiB (100 %)"
    );
    let (meter, mut reports) = Meter::new("pushed");
    meter.update(0, 0);
    assert_eq!(*reports.0.borrow_and_update(), "pushed 0 B of 0 B (100 %)");
}
