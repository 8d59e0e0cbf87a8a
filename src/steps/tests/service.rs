//! What services are asked and told, and what others than the one concerned see of it.

use super::*;

#[tokio::test]
async fn every_service_is_asked_for_its_health() {
    let host = Arc::new(TempHost::new());
    let mut step = wait_for(None, false);
    if let Some(wait) = &mut step.service {
        wait.name = "*".into();
    }
    let context = asking(&host, vec![Ok(report(Some("pc1"), 3))]);
    assert_eq!(execute(&step, None, &context).await.unwrap(), Outcome::Ok);
    let mut bare = staging();
    bare.services.clear();
    let context = Context {
        environment: Arc::new(bare),
        ..context
    };
    assert_eq!(
        execute(&step, None, &context).await.unwrap(),
        Outcome::Skipped("the environment has no services".into())
    );
}

/// A step that has this done or waited for, on pc2.
fn asks(wait: ServiceWait) -> Step {
    Step {
        service: Some(ServiceWait {
            name: "consul".into(),
            ..wait
        }),
        timeout: Some("30s".into()),
        ..step("ask")
    }
}

fn forget_pc2() -> Step {
    let action = ConsulAction::ForceLeave {
        node: "{{ node.name }}".into(),
    };
    asks(ServiceWait {
        act: Some(ServiceAction::Consul(action)),
        ..ServiceWait::default()
    })
}

#[tokio::test]
async fn what_a_service_is_told_is_logged_with_its_request_and_its_progress() {
    let host = Arc::new(TempHost::new());
    let outcome = execute(&forget_pc2(), Some("pc2"), &context(&host)).await;
    assert_eq!(outcome.unwrap(), Outcome::Changed);
    assert_eq!(
        host.log(),
        [
            "note: PUT /v1/agent/force-leave/pc2?prune",
            "note: consul begins to make Consul forget the member pc2",
            "note: it is done",
        ]
    );
}

#[tokio::test]
async fn a_dry_run_shows_the_request_and_tells_the_service_nothing() {
    let host = Arc::new(TempHost::new());
    let context = Context {
        dry_run: true,
        ..context(&host)
    };
    let outcome = execute(&forget_pc2(), Some("pc2"), &context).await;
    assert_eq!(outcome.unwrap(), Outcome::Changed);
    assert_eq!(
        host.log(),
        [
            "note: PUT /v1/agent/force-leave/pc2?prune",
            "note: would make Consul forget the member pc2",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_node_says_of_itself_is_not_what_the_others_see() {
    let host = Arc::new(TempHost::new());
    let alive = |elsewhere| {
        asks(ServiceWait {
            shows: Some(ListedRow {
                view: "members".into(),
                row: "{{ node.name }}".into(),
                is: Some("alive".into()),
            }),
            elsewhere,
            ..ServiceWait::default()
        })
    };
    let itself = execute(&alive(false), Some("pc2"), &context(&host)).await;
    assert_eq!(itself.unwrap(), Outcome::Ok);
    let others = execute(&alive(true), Some("pc2"), &context(&host)).await;
    let message = others.unwrap_err().message;
    assert!(
        message.contains("as seen by pc1 and pc3") && message.contains("lists pc2 failed"),
        "{message}"
    );
}
