use std::path::Path;

use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::super::testing::{TempHost, differences, ensure, take_back, with_means};
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
        unpack: None,
        strip: 0,
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
async fn offline_nothing_is_fetched_and_the_cache_is_not_taken_on_trust() {
    let host = TempHost::new();
    let url = "http://127.0.0.1:1/abc";
    let refused = with_means(&host, &[], async |means| {
        let means = Means {
            offline: true,
            ..*means
        };
        obtain(url, ABC, &means).await
    });
    let reason = refused.await.unwrap_err().to_string();
    assert!(reason.contains("is not in the cache"), "{reason}");
    let cache = host.cache.path();
    assert!(!is_at_hand(url, ABC, cache).await);
    std::fs::write(kept(cache, ABC), "something else").unwrap();
    assert!(!is_at_hand(url, ABC, cache).await);
    std::fs::write(kept(cache, ABC), "abc").unwrap();
    assert!(is_at_hand(url, ABC, cache).await);
}

#[tokio::test]
async fn a_checksum_that_is_none_is_refused() {
    let host = TempHost::new();
    let resource = Resource::Download(DownloadSpec {
        source: "/abc".into(),
        sha256: "abc".into(),
        path: "/abc".into(),
        mode: "0644".into(),
        unpack: None,
        strip: 0,
    });
    let error = differences(&resource, &host).await.unwrap_err().to_string();
    assert_eq!(error, "\"abc\" is no SHA-256: it has 64 hexadecimal digits");
}

/// Content of twenty bytes, its checksum and a declaration of it.
fn large(directory: &Path) -> (DownloadSpec, &'static [u8]) {
    let content = b"0123456789abcdefghij";
    let file = directory.join("large.img");
    std::fs::write(&file, content).unwrap();
    let spec = DownloadSpec {
        source: file.display().to_string(),
        sha256: crate::resources::checksum::sha256_of_bytes(content),
        path: "/srv/large.img".into(),
        mode: "0600".into(),
        unpack: None,
        strip: 0,
    };
    (spec, content)
}

fn pieces_written(host: &TempHost) -> usize {
    let ran = host.ran();
    let piece = |line: &&String| line.starts_with("write ") && line.ends_with("-next");
    ran.iter().filter(piece).count()
}

#[tokio::test]
async fn a_large_file_goes_in_pieces_and_leaves_nothing_beside_it() {
    let (here, host) = (tempfile::tempdir().unwrap(), TempHost::new());
    let (spec, content) = large(here.path());
    ensure(&Resource::Download(spec), &host).await.unwrap();
    assert_eq!(std::fs::read(host.path("/srv/large.img")).unwrap(), content);
    assert_eq!(pieces_written(&host), 5);
    assert_eq!(std::fs::read_dir(host.path("/srv")).unwrap().count(), 1);
}

#[tokio::test]
async fn what_arrived_before_the_connection_was_cut_is_not_sent_again() {
    let (here, host) = (tempfile::tempdir().unwrap(), TempHost::new());
    let (spec, content) = large(here.path());
    // Two whole pieces, and half of one that was being appended.
    host.put(&push::part(&spec.path, &spec.sha256), &content[..10]);
    ensure(&Resource::Download(spec), &host).await.unwrap();
    assert_eq!(std::fs::read(host.path("/srv/large.img")).unwrap(), content);
    assert_eq!(pieces_written(&host), 3);
    assert!(
        host.log()
            .contains(&"note: 8 B are there already: goes on behind them".to_owned()),
        "{:?}",
        host.log()
    );
}

#[tokio::test]
async fn a_part_that_is_damaged_is_found_out_removed_and_never_put_in_place() {
    let (here, host) = (tempfile::tempdir().unwrap(), TempHost::new());
    let (spec, _) = large(here.path());
    let part = push::part(&spec.path, &spec.sha256);
    host.put(&part, "damaged!");
    let error = ensure(&Resource::Download(spec.clone()), &host)
        .await
        .unwrap_err();
    assert!(
        error.is_passing() && error.to_string().contains("arrived with SHA-256"),
        "{error}"
    );
    assert!(!host.path("/srv/large.img").exists() && !host.path(&part).exists());
    ensure(&Resource::Download(spec), &host).await.unwrap();
}

/// An archive of `app-1/bin/app`, made here.
fn archive(directory: &Path, version: &str) -> DownloadSpec {
    let folder = directory.join(format!("app-{version}/bin"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("app"), version).unwrap();
    let name = format!("app-{version}.tar.gz");
    let made = std::process::Command::new("tar")
        .current_dir(directory)
        .args(["-czf", &name, &format!("app-{version}")])
        .status();
    assert!(made.unwrap().success());
    let file = directory.join(&name);
    DownloadSpec {
        sha256: crate::resources::checksum::sha256_of_bytes(&std::fs::read(&file).unwrap()),
        source: file.display().to_string(),
        path: "/var/cache/app.tar.gz".into(),
        mode: "0644".into(),
        unpack: Some("/opt/app".into()),
        strip: 1,
    }
}

#[tokio::test]
async fn an_archive_is_unpacked_replaced_by_the_next_and_taken_back() {
    let (here, host) = (tempfile::tempdir().unwrap(), TempHost::new());
    ensure(&Resource::Download(archive(here.path(), "1")), &host)
        .await
        .unwrap();
    let app = host.path("/opt/app/bin/app");
    assert_eq!(std::fs::read_to_string(&app).unwrap(), "1");
    let first = host.records().all();
    assert!(first[0].limits().is_empty());
    take_back(&host).await.unwrap();
    assert!(!host.path("/opt/app").exists() && !host.path("/var/cache/app.tar.gz").exists());

    let host = TempHost::new();
    ensure(&Resource::Download(archive(here.path(), "1")), &host)
        .await
        .unwrap();
    std::fs::write(host.path("/opt/app/old"), "of the old one").unwrap();
    ensure(&Resource::Download(archive(here.path(), "2")), &host)
        .await
        .unwrap();
    assert_eq!(
        std::fs::read_to_string(host.path("/opt/app/bin/app")).unwrap(),
        "2"
    );
    assert!(!host.path("/opt/app/old").exists());
    assert_eq!(std::fs::read_dir(host.path("/opt")).unwrap().count(), 1);
    let replaced = host.records().all().pop().unwrap();
    assert!(replaced.limits()[0].contains("what was unpacked there before is gone"));
}

#[tokio::test]
async fn a_directory_with_something_else_in_it_is_not_replaced() {
    let (here, host) = (tempfile::tempdir().unwrap(), TempHost::new());
    host.put("/opt/app/precious", "x");
    let error = ensure(&Resource::Download(archive(here.path(), "1")), &host)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("was not unpacked by this"),
        "{error}"
    );
    assert!(host.path("/opt/app/precious").exists());
}

#[tokio::test]
async fn a_name_that_tells_no_kind_of_archive_is_refused_before_anything_is_pushed() {
    let (here, host) = (tempfile::tempdir().unwrap(), TempHost::new());
    let (mut spec, _) = large(here.path());
    host.put(&spec.path, "x");
    spec.unpack = Some("/opt/app".into());
    let error = differences(&Resource::Download(spec), &host)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("ends in none of .tar.gz"),
        "{error}"
    );
}
