use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::super::testing::{Answer, TempHost, differences, ensure, fails, says, take_back};
use super::*;
use crate::domain::resource::{Presence, Resource, RestartPolicy};

#[derive(Debug, Clone)]
struct Box_ {
    label: String,
    running: bool,
    image: String,
}

type Boxes = Arc<Mutex<BTreeMap<String, Box_>>>;

/// A host with podman and no docker; the image `bad` does not stay up.
fn host() -> (TempHost, Boxes) {
    let boxes: Boxes = Arc::default();
    let there = Arc::clone(&boxes);
    let host = TempHost::scripted(move |line| -> Option<Answer> {
        if line.starts_with("docker") {
            return fails(127, "docker: not found");
        }
        let words = shlex::split(line)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if words.first() != Some(&"podman") {
            return None;
        }
        let mut boxes = there.lock().unwrap();
        match &words[1..] {
            ["--version"] => says("podman version 5.0\n"),
            ["image", ..] => fails(1, "no such image"),
            ["pull", _] => says(""),
            ["container", "inspect", "--format", _, name] => match boxes.get(*name) {
                Some(found) => says(&format!(
                    "{}\n{}\n{}\n",
                    found.label, found.running, found.image
                )),
                None => fails(125, "Error: no such container"),
            },
            [
                "run",
                "--detach",
                "--name",
                name,
                "--label",
                label,
                rest @ ..,
            ] => {
                let image = rest.iter().rfind(|word| word.contains(':')).unwrap();
                let label = label.split_once('=').unwrap().1.to_owned();
                let running = !image.contains("bad");
                boxes.insert(
                    (*name).into(),
                    Box_ {
                        label,
                        running,
                        image: (*image).into(),
                    },
                );
                says("1234\n")
            }
            ["start", name] => {
                boxes.get_mut(*name).unwrap().running = true;
                says("")
            }
            ["stop", name] => {
                boxes.get_mut(*name).unwrap().running = false;
                says("")
            }
            ["rename", from, to] => {
                let found = boxes.remove(*from).unwrap();
                boxes.insert((*to).into(), found);
                says("")
            }
            ["rm", "--force", name] => {
                boxes.remove(*name);
                says("")
            }
            ["logs", ..] => says("cannot read its configuration\n"),
            other => panic!("{other:?}"),
        }
    });
    (host, boxes)
}

fn declared(image: &str, secret: &str) -> ContainerSpec {
    ContainerSpec {
        name: "app".into(),
        image: image.into(),
        engine: None,
        ports: vec!["8080:80".into()],
        volumes: vec!["/srv/app:/data".into()],
        env: BTreeMap::from([("TOKEN".into(), secret.into())]),
        network: None,
        restart: RestartPolicy::Always,
        command: Vec::new(),
        state: Presence::Present,
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_made_anew_when_the_declaration_changes_and_secrets_are_no_arguments() {
    let (host, boxes) = host();
    let changes = ensure(&Resource::Container(declared("app:1", "hunter2")), &host)
        .await
        .unwrap();
    assert_eq!(changes, ["does not exist → app:1"]);
    let changes = ensure(&Resource::Container(declared("app:2", "hunter2")), &host)
        .await
        .unwrap();
    assert_eq!(changes, ["app:1 → app:2, made anew"]);
    let changes = ensure(&Resource::Container(declared("app:2", "hunter3")), &host)
        .await
        .unwrap();
    assert_eq!(changes, ["differs from its declaration → made anew"]);
    let names: Vec<String> = boxes.lock().unwrap().keys().cloned().collect();
    assert_eq!(names, ["app"]);
    let ran = host.ran();
    assert!(ran.iter().all(|line| !line.contains("hunter")), "{ran:?}");
    assert!(
        ran.iter()
            .any(|line| line.contains("--publish 8080:80 --volume /srv/app:/data --env-file"))
    );
    let file = host.path("/var/lib/quarterdeck/containers/app.env");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "TOKEN=hunter3\n");
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_stay_up_makes_room_for_the_one_before() {
    let (host, boxes) = host();
    ensure(&Resource::Container(declared("app:1", "x")), &host)
        .await
        .unwrap();
    let error = ensure(&Resource::Container(declared("bad:2", "x")), &host)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "container app was started but does not stay up; its last words: cannot read its configuration; the one before runs \
         again"
    );
    let boxes = boxes.lock().unwrap();
    assert_eq!(boxes.len(), 1);
    assert!(boxes["app"].running && boxes["app"].image == "app:1");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_one_is_started_and_stopped_again_by_undo() {
    let (host, boxes) = host();
    let spec = declared("app:1", "x");
    let label = checksum(&spec);
    let stopped = Box_ {
        label,
        running: false,
        image: "app:1".into(),
    };
    boxes.lock().unwrap().insert("app".into(), stopped);
    let changes = ensure(&Resource::Container(spec), &host).await.unwrap();
    assert_eq!(changes, ["stopped → started"]);
    take_back(&host).await.unwrap();
    assert!(!boxes.lock().unwrap()["app"].running);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_there_goes_with_undo_and_what_was_replaced_is_said_to_be_gone() {
    let (host, boxes) = host();
    ensure(&Resource::Container(declared("app:1", "x")), &host)
        .await
        .unwrap();
    let fresh = host.records().all();
    assert_eq!(
        fresh[0].outlook().as_deref(),
        Some("container app: removed")
    );
    take_back(&host).await.unwrap();
    assert!(boxes.lock().unwrap().is_empty());
    assert!(
        !host
            .path("/var/lib/quarterdeck/containers/app.env")
            .exists()
    );
    ensure(&Resource::Container(declared("app:1", "x")), &host)
        .await
        .unwrap();
    ensure(&Resource::Container(declared("app:2", "x")), &host)
        .await
        .unwrap();
    let replaced = host.records().all().pop().unwrap();
    assert_eq!(replaced.outlook(), None);
    assert!(
        replaced.limits()[0].contains("the one before, of app:1, is gone"),
        "{replaced:?}"
    );
}

#[tokio::test]
async fn a_name_or_variable_that_is_none_is_refused() {
    let (host, _) = host();
    let mut spec = declared("app:1", "two\nlines");
    assert!(
        differences(&Resource::Container(spec.clone()), &host)
            .await
            .is_err()
    );
    spec.env.clear();
    spec.name = "--rm".into();
    assert!(
        differences(&Resource::Container(spec), &host)
            .await
            .is_err()
    );
}
