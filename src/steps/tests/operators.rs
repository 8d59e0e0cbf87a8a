//! What steps say to operators and ask of them: reports and approvals.

use super::*;

#[tokio::test]
async fn a_report_writes_its_text_line_by_line() {
    let host = Arc::new(TempHost::new());
    let step = Step {
        on: None,
        report: Some(Report {
            text: "{{ env.name }} is done.\nSee you.\n".into(),
        }),
        ..step("report")
    };
    assert_eq!(
        execute(&step, None, &context(&host)).await.unwrap(),
        Outcome::Ok
    );
    assert_eq!(host.log(), ["note: staging is done.", "note: See you."]);
}

fn approve(text: &str) -> Step {
    Step {
        on: None,
        approve: Some(Approve {
            of: None,
            text: text.into(),
            by: Approver::Second,
        }),
        ..step("ask")
    }
}

#[tokio::test]
async fn an_approval_goes_on_when_given_and_fails_with_the_reason_when_refused() {
    let host = Arc::new(TempHost::new());
    let context = context(&host);
    let given = execute(&approve("reboot {{ env.name }}"), None, &context).await;
    assert_eq!(given.unwrap(), Outcome::Ok);
    let refused = execute(&approve("to the moon"), None, &context).await;
    assert_eq!(
        refused.unwrap_err().message,
        "refused by ada@bastion: ask is too far"
    );
    let dry = Context {
        dry_run: true,
        ..context
    };
    assert!(execute(&approve("to the moon"), None, &dry).await.is_ok());
}

#[test]
fn an_approval_takes_as_long_as_it_takes_unless_it_says_otherwise() {
    let mut step = approve("reboot");
    assert_eq!(step.time_limit(), Ok(Duration::MAX));
    step.timeout = Some("1h".into());
    assert_eq!(step.time_limit(), Ok(Duration::from_secs(3600)));
}
