use super::super::accounts::testing::host;
use super::super::testing::{TempHost, differences, ensure, look_back, take_back};
use super::*;
use crate::domain::resource::Resource;

fn user(name: &str) -> UserSpec {
    UserSpec {
        name: name.into(),
        state: Presence::Present,
        uid: None,
        group: None,
        groups: Vec::new(),
        only_these_groups: false,
        comment: None,
        home: None,
        create_home: true,
        shell: None,
        system: false,
        locked: None,
        remove_home: false,
    }
}

async fn make(spec: UserSpec, host: &TempHost) -> Vec<String> {
    ensure(&Resource::User(spec), host).await.unwrap()
}

async fn fails_with(spec: UserSpec, host: &TempHost) -> String {
    ensure(&Resource::User(spec), host)
        .await
        .unwrap_err()
        .to_string()
}

#[tokio::test]
async fn a_new_user_gets_what_is_declared_and_goes_again() {
    let host = host();
    let spec = UserSpec {
        uid: Some(1200),
        groups: vec!["sudo".into(), "video".into()],
        shell: Some("/bin/bash".into()),
        comment: Some("Deploys".into()),
        ..user("deploy")
    };
    assert_eq!(make(spec, &host).await, ["does not exist → added"]);
    let added = host
        .ran()
        .into_iter()
        .find(|line| line.starts_with("useradd"));
    assert_eq!(
        added.unwrap(),
        "useradd --uid 1200 --groups 'sudo,video' --comment Deploys --shell /bin/bash --user-group --create-home deploy"
    );
    assert_eq!(take_back(&host).await.unwrap(), ["removed"]);
}

#[tokio::test]
async fn only_what_differs_is_changed_and_only_that_is_taken_back() {
    let host = host();
    make(user("deploy"), &host).await;
    let spec = UserSpec {
        shell: Some("/bin/bash".into()),
        groups: vec!["sudo".into()],
        locked: Some(true),
        ..user("deploy")
    };
    assert_eq!(
        make(spec, &host).await,
        ["shell /bin/sh → /bin/bash", "groups +sudo", "open → closed"]
    );
    let changed = host
        .ran()
        .into_iter()
        .find(|line| line.starts_with("usermod"));
    assert_eq!(
        changed.unwrap(),
        "usermod --shell /bin/bash --append --groups sudo --expiredate 1 deploy"
    );
    let last = host.records().all().pop().unwrap();
    let back = look_back(&last, &host).await;
    assert_eq!(back.refused, None);
    assert_eq!(
        back.difference.changes,
        ["shell /bin/bash → /bin/sh", "groups -sudo", "closed → open"]
    );
}

#[tokio::test]
async fn other_groups_go_only_when_that_is_declared() {
    let host = host();
    let both = vec!["sudo".to_owned(), "video".to_owned()];
    make(
        UserSpec {
            groups: both,
            ..user("deploy")
        },
        &host,
    )
    .await;
    let one = UserSpec {
        groups: vec!["video".into()],
        ..user("deploy")
    };
    let none: [&str; 0] = [];
    assert_eq!(
        differences(&Resource::User(one.clone()), &host)
            .await
            .unwrap(),
        none
    );
    let only = UserSpec {
        only_these_groups: true,
        ..one
    };
    assert_eq!(make(only, &host).await, ["groups -sudo"]);
}

#[tokio::test]
async fn what_somebody_changed_since_is_not_overwritten() {
    let host = host();
    make(user("deploy"), &host).await;
    let shell = |shell: &str| UserSpec {
        shell: Some(shell.into()),
        ..user("deploy")
    };
    make(shell("/bin/bash"), &host).await;
    let record = host.records().all().pop().unwrap();
    make(shell("/bin/zsh"), &host).await;
    let back = look_back(&record, &host).await;
    assert_eq!(
        back.refused.unwrap(),
        "changed since; the run's own state would be: shell /bin/zsh → /bin/bash"
    );
}

#[tokio::test]
async fn a_removed_user_comes_back_with_his_ids_and_without_password() {
    let host = host();
    let spec = UserSpec {
        uid: Some(1200),
        groups: vec!["sudo".into()],
        ..user("deploy")
    };
    make(spec, &host).await;
    let absent = UserSpec {
        state: Presence::Absent,
        ..user("deploy")
    };
    assert_eq!(make(absent, &host).await, ["uid 1200 → removed"]);
    let record = host.records().all().pop().unwrap();
    assert_eq!(
        record.limits(),
        ["user deploy: comes back without password"]
    );
    super::super::testing::with_means(&host, &[], async |means| {
        let Before::User(before) = &record else {
            panic!("{record:?}")
        };
        super::take_back(before, &host, means).await
    })
    .await
    .unwrap();
    let ran = host.ran();
    let added = ran
        .iter()
        .rfind(|line| line.starts_with("useradd"))
        .unwrap();
    assert!(
        added.starts_with("useradd --uid 1200 --gid deploy --groups sudo"),
        "{added}"
    );
    assert!(
        ran.contains(&"groupadd --gid 1000 deploy".to_owned()),
        "{ran:?}"
    );
    assert!(look_back(&record, &host).await.difference.is_none());
}

#[tokio::test]
async fn a_group_that_is_not_there_is_named_before_anything_is_done() {
    let host = host();
    let spec = UserSpec {
        groups: vec!["docker".into()],
        ..user("deploy")
    };
    let error = fails_with(spec, &host).await;
    assert!(
        error.starts_with("the node has no group docker: declare it before the user"),
        "{error}"
    );
    assert!(!host.ran().iter().any(|line| line.starts_with("useradd")));
}

#[tokio::test]
async fn names_and_fields_that_could_be_something_else_are_refused() {
    let host = host();
    for bad in ["", "-rf", "a b", "a:b", "root\n", &"x".repeat(33)] {
        assert!(
            fails_with(user(bad), &host)
                .await
                .contains("is no name of a user"),
            "{bad:?}"
        );
    }
    let spec = UserSpec {
        comment: Some("x:0:0".into()),
        ..user("deploy")
    };
    assert!(fails_with(spec, &host).await.contains("holds a colon"));
    assert_eq!(host.ran(), [] as [&str; 0]);
}
