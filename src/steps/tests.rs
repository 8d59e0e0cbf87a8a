use std::collections::VecDeque;
use std::sync::Mutex;

use super::testing::staging;
use super::*;
use crate::domain::approval::Approver;
use crate::domain::live::{Health, Members};
use crate::domain::recipe::{
    Approve, HttpWait, ListedRow, Report, RunCommand, Selector, ServiceWait, TcpWait,
};
use crate::domain::resource::{FileSpec, Resource, UnitSpec};
use crate::domain::seal::CeremonyKind;
use crate::domain::service_action::ConsulAction;
use crate::resources::testing::{TempHost, fails, says};

/// Every node of the environment is the same host.
struct OneHost(Arc<TempHost>);

impl Reach for OneHost {
    fn host(&self, name: &str) -> Result<Arc<dyn Host>, ReachError> {
        if name == "pc9" {
            return Err(ReachError::UnknownNode(name.into()));
        }
        Ok(self.0.clone())
    }
}

/// A service that gives these answers one after the other, the last one for ever.
#[derive(Default)]
struct Answers(Mutex<VecDeque<Result<ServiceReport, String>>>);

#[async_trait]
impl AskService for Answers {
    async fn ask(&self, _: &str, _: Duration) -> Result<ServiceReport, String> {
        let mut answers = self.0.lock().unwrap();
        let next = answers.pop_front().unwrap();
        if answers.is_empty() {
            answers.push_back(next.clone());
        }
        next
    }

    async fn store(&self, _: &str) -> Result<OpenStore, String> {
        Err("no stores here".into())
    }

    async fn identity(&self) -> Result<Option<Identity>, String> {
        Ok(None)
    }

    async fn table(
        &self,
        _: &str,
        view: &str,
        without: Option<&str>,
        _: Duration,
    ) -> Result<Table, String> {
        let mut table = Table::new("Members", ["NODE", "STATE"], "nobody");
        let state = if without == Some("pc2") {
            "failed"
        } else {
            "alive"
        };
        table.push("pc1", ["pc1".into(), "alive".into()]);
        table.push("pc2", ["pc2".into(), state.into()]);
        (view == "members")
            .then_some(table)
            .ok_or("no such list".into())
    }

    async fn act(
        &self,
        service: &str,
        action: &ServiceAction,
        tell: Tell<'_>,
        _: &CancellationToken,
    ) -> Result<Acted, String> {
        tell(format!("{service} begins to {}", action.phrase()));
        Ok(Acted::Changed("it is done".into()))
    }

    async fn voters(&self, _: &str, _: Duration) -> Result<Option<Vec<Voter>>, String> {
        Ok(None)
    }
}

/// Approves of everything but the moon.
struct Ada;

#[async_trait]
impl AskOperator for Ada {
    async fn ask(&self, step: &str, question: Question) -> Result<String, String> {
        let Question { text, approver, .. } = question;
        if text.contains("moon") {
            return Err(format!("refused by ada@bastion: {step} is too far"));
        }
        Ok(format!("approved by ada@bastion, {approver}"))
    }
}

struct NoTasks;

impl SeeTasks for NoTasks {
    fn tasks(&self) -> Vec<Task> {
        Vec::new()
    }
}

struct NoCeremonies;

impl Ceremonies for NoCeremonies {
    fn open(&self, _service: &str, _kind: CeremonyKind) -> Chair {
        Chair::new(tokio::sync::mpsc::channel(1).1, |_| {}, ())
    }
}

pub(super) fn context(host: &Arc<TempHost>) -> Context {
    Context {
        environment: Arc::new(staging()),
        reach: Arc::new(OneHost(host.clone())),
        services: Arc::new(Answers::default()),
        operators: Arc::new(Ada),
        tasks: Arc::new(NoTasks),
        params: Arc::new(BTreeMap::new()),
        dry_run: false,
        offline: false,
        cache: host.cache.path().to_owned(),
        snapshots: Shelf::of(host.cache.path()),
        workshop: testing::workshop(host.cache.path()),
        keys: host.cache.path().join("keys"),
        ceremonies: Arc::new(NoCeremonies),
        secrets: Arc::new(template::Unseen),
        log: host.lines(),
        cancel: CancellationToken::new(),
        records: host.records(),
        debts: Arc::new(NoDebts),
        drift: Arc::new(NoDriftBook),
    }
}

fn asking(host: &Arc<TempHost>, answers: Vec<Result<ServiceReport, String>>) -> Context {
    Context {
        services: Arc::new(Answers(Mutex::new(answers.into()))),
        ..context(host)
    }
}

fn report(leader: Option<&str>, well: u32) -> ServiceReport {
    ServiceReport {
        health: if well == 3 { Health::Ok } else { Health::Warn },
        version: None,
        leader: leader.map(Into::into),
        members: Some(Members { well, total: 3 }),
        summary: format!("{well} of 3 alive"),
        problems: Vec::new(),
        latency_ms: 1,
    }
}

fn step(id: &str) -> Step {
    Step {
        id: id.into(),
        on: Some(Selector::default()),
        ..Step::default()
    }
}

fn run_step(argv: &[&str], changes: bool) -> Step {
    Step {
        run: Some(RunCommand {
            detached: false,
            elsewhere: Vec::new(),
            distinct: false,
            argv: argv.iter().map(|&word| word.into()).collect(),
            changes,
            expect: None,
            check: None,
        }),
        ..step("run")
    }
}

fn wait_for(members: Option<&str>, leader: bool) -> Step {
    Step {
        on: None,
        timeout: Some("30s".into()),
        service: Some(ServiceWait {
            name: "consul".into(),
            members: members.map(Into::into),
            leader,
            ..ServiceWait::default()
        }),
        ..step("wait")
    }
}

fn file(path: &str, content: &str) -> Resource {
    Resource::File(FileSpec {
        path: path.into(),
        content: content.into(),
        mode: "0644".into(),
        owner: "root".into(),
        group: "root".into(),
    })
}

fn ensures(resources: Vec<Resource>) -> Step {
    Step {
        ensure: Some(resources.into_iter().map(Into::into).collect()),
        ..step("ensure")
    }
}

#[tokio::test]
async fn ensuring_changes_once_and_is_ok_ever_after() {
    let host = Arc::new(TempHost::new());
    let context = context(&host);
    let step = ensures(vec![file("/motd", "{{ node.name }} of {{ env.name }}\n")]);
    assert_eq!(
        execute(&step, Some("pc2"), &context).await.unwrap(),
        Outcome::Changed
    );
    assert_eq!(
        std::fs::read_to_string(host.path("/motd")).unwrap(),
        "pc2 of staging\n"
    );
    assert_eq!(
        execute(&step, Some("pc2"), &context).await.unwrap(),
        Outcome::Ok
    );
    assert_eq!(
        host.log(),
        [
            "note: file /motd: does not exist → 15 bytes, 0644 root:root",
            "diff: --- /motd (on the node)",
            "diff: +++ /motd (declared)",
            "diff: @@ -0,0 +1 @@",
            "diff: +pc2 of staging",
            "note: file /motd: done",
            "note: file /motd: as declared",
        ]
    );
}

#[tokio::test]
async fn a_dry_run_tells_and_changes_nothing() {
    let host = Arc::new(TempHost::new());
    let context = Context {
        dry_run: true,
        ..context(&host)
    };
    let step = ensures(vec![file("/motd", "hello\n")]);
    assert_eq!(
        execute(&step, Some("pc1"), &context).await.unwrap(),
        Outcome::Changed
    );
    assert!(!host.path("/motd").exists());
    let step = run_step(&["touch", "/made"], true);
    assert_eq!(
        execute(&step, Some("pc1"), &context).await.unwrap(),
        Outcome::Changed
    );
    assert!(!host.path("/made").exists());
    assert!(
        host.log()
            .contains(&"note: would run: touch /made".to_owned())
    );
}

#[tokio::test]
async fn a_dry_run_foresees_the_restart_that_a_changed_file_brings() {
    let host = Arc::new(TempHost::scripted(|line| {
        line.starts_with("systemctl show")
            .then(|| says("LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n").unwrap())
    }));
    std::fs::create_dir_all(host.path("/run/systemd/system")).unwrap();
    let context = Context {
        dry_run: true,
        ..context(&host)
    };
    let unit = Resource::SystemdUnit(UnitSpec {
        name: "consul.service".into(),
        content: None,
        started: true,
        enabled: true,
        reads: vec!["/consul.json".into()],
    });
    let step = ensures(vec![file("/consul.json", "{}"), unit]);
    execute(&step, Some("pc1"), &context).await.unwrap();
    let log = host.log();
    assert!(
        log.contains(&"note: unit consul.service: restart: /consul.json changes".to_owned()),
        "{log:?}"
    );
}

#[tokio::test]
async fn a_change_that_does_not_take_fails_the_task() {
    let host = Arc::new(TempHost::scripted(|line| {
        line.starts_with("chmod").then(|| says("").unwrap())
    }));
    host.put("/motd", "x");
    let mut resource = file("/motd", "x");
    if let Resource::File(spec) = &mut resource {
        spec.mode = "0600".into();
    }
    let error = execute(&ensures(vec![resource]), Some("pc1"), &context(&host))
        .await
        .unwrap_err();
    assert_eq!(
        error.message,
        "file /motd: was applied, and still: mode 0644 → 0600"
    );
}

#[tokio::test]
async fn a_step_is_skipped_where_its_condition_is_false() {
    let host = Arc::new(TempHost::new());
    let step = Step {
        when: Some("node.arch == 'arm64'".into()),
        ..run_step(&["touch", "/made"], true)
    };
    let context = context(&host);
    assert_eq!(
        execute(&step, Some("pc3"), &context).await.unwrap(),
        Outcome::Skipped("not the case that node.arch == 'arm64'".into())
    );
    assert!(!host.path("/made").exists());
    assert_eq!(
        execute(&step, Some("pc1"), &context).await.unwrap(),
        Outcome::Changed
    );
}

#[tokio::test]
async fn a_command_is_judged_by_status_expectation_and_check() {
    let host = Arc::new(TempHost::scripted(|line| match line {
        "uname -m" => says("aarch64\n"),
        "false" => fails(1, "boo\n"),
        _ => None,
    }));
    let context = context(&host);
    let failed = async |step: Step| execute(&step, Some("pc1"), &context).await.unwrap_err();
    let with = |expect: Option<&str>, check: Option<&str>| {
        let mut step = run_step(&["uname", "-m"], false);
        if let Some(run) = &mut step.run {
            run.expect = expect.map(Into::into);
            run.check = check.map(Into::into);
        }
        step
    };
    assert_eq!(
        execute(
            &with(Some("{{ node.machine }}"), Some("output == node.machine")),
            Some("pc1"),
            &context
        )
        .await
        .unwrap(),
        Outcome::Ok
    );
    assert_eq!(
        failed(run_step(&["false"], false)).await.message,
        "false: exit status 1: boo"
    );
    assert_eq!(
        failed(with(Some("x86_64"), None)).await.message,
        "uname -m said \"aarch64\", which does not contain \"x86_64\""
    );
    assert_eq!(
        failed(with(None, Some("output == 'x86_64'"))).await.message,
        "uname -m said \"aarch64\", for which it is not the case that output == 'x86_64'"
    );
    assert!(
        failed(run_step(&["{{ env.nothing }}"], false))
            .await
            .message
            .contains("undefined")
    );
}

#[tokio::test]
async fn a_local_command_knows_its_environment_and_node() {
    let host = Arc::new(TempHost::new());
    let step = Step {
        local: Some(RunCommand {
            detached: false,
            elsewhere: Vec::new(),
            distinct: false,
            argv: vec![
                "sh".into(),
                "-c".into(),
                "echo $QUARTERDECK_ENVIRONMENT $QUARTERDECK_NODE".into(),
            ],
            changes: false,
            expect: Some("staging pc4".into()),
            check: None,
        }),
        ..step("local")
    };
    assert_eq!(
        execute(&step, Some("pc4"), &context(&host)).await.unwrap(),
        Outcome::Ok
    );
    let missing = Step {
        local: Some(RunCommand {
            detached: false,
            elsewhere: Vec::new(),
            distinct: false,
            argv: vec!["no-such-program-here".into()],
            changes: false,
            expect: None,
            check: None,
        }),
        ..step.clone()
    };
    let error = execute(&missing, None, &context(&host)).await.unwrap_err();
    assert!(
        error.message.contains("no-such-program-here"),
        "{}",
        error.message
    );
}

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

#[tokio::test]
async fn a_step_on_nodes_without_a_node_is_an_error_and_no_panic() {
    let host = Arc::new(TempHost::new());
    let error = execute(&run_step(&["true"], false), None, &context(&host))
        .await
        .unwrap_err();
    assert!(error.message.contains("needs `on`"), "{}", error.message);
    let error = execute(&run_step(&["true"], false), Some("pc9"), &context(&host))
        .await
        .unwrap_err();
    assert!(
        error.message.contains("no node called \"pc9\""),
        "{}",
        error.message
    );
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

/// Owes what it was told to.
#[derive(Default)]
struct Book(Mutex<Vec<String>>);

#[async_trait]
impl Debts for Book {
    fn owes(&self, handler: &str, _: Option<&str>) -> bool {
        self.0.lock().unwrap().iter().any(|owed| owed == handler)
    }

    async fn owe(&self, handlers: &[String], host: Option<&str>) -> Result<(), String> {
        if host == Some("pc4") {
            return Err("the disk is full".into());
        }
        self.0.lock().unwrap().extend_from_slice(handlers);
        Ok(())
    }

    async fn settle(&self, handler: &str, _: Option<&str>) -> Result<(), String> {
        self.0.lock().unwrap().retain(|owed| owed != handler);
        Ok(())
    }
}

/// A step that writes two files, of which one has a handler, and that handler.
fn notifying() -> (Step, Step) {
    let mut notifying = ensures(vec![file("/motd", "hello\n"), file("/issue", "hello\n")]);
    notifying.ensure.as_mut().unwrap()[0].notify = vec!["greet".into()];
    let handler = Step {
        id: "end:greet".into(),
        ..run_step(&["touch", "/greeted"], true)
    };
    (notifying, handler)
}

#[tokio::test]
async fn a_handler_runs_where_its_own_resource_changed_and_only_once() {
    let host = Arc::new(TempHost::new());
    let context = Context {
        debts: Arc::new(Book::default()),
        ..context(&host)
    };
    let (notifying, handler) = notifying();
    let skipped = Outcome::Skipped("nothing changed that it is for".into());
    host.put("/motd", "hello\n");
    execute(&notifying, Some("pc1"), &context).await.unwrap();
    let outcome = execute(&handler, Some("pc1"), &context).await.unwrap();
    assert_eq!(outcome, skipped);
    host.put("/motd", "by hand\n");
    execute(&notifying, Some("pc1"), &context).await.unwrap();
    let outcome = execute(&handler, Some("pc1"), &context).await.unwrap();
    assert_eq!(outcome, Outcome::Changed);
    assert!(host.path("/greeted").exists());
    let outcome = execute(&handler, Some("pc1"), &context).await.unwrap();
    assert_eq!(outcome, skipped);
}

#[tokio::test]
async fn nothing_is_changed_when_it_cannot_be_stored_what_must_follow() {
    let host = Arc::new(TempHost::new());
    let context = Context {
        debts: Arc::new(Book::default()),
        ..context(&host)
    };
    let (notifying, _) = notifying();
    let error = execute(&notifying, Some("pc4"), &context)
        .await
        .unwrap_err();
    assert_eq!(
        error.message,
        "not changed, because it could not be stored that greet must follow: the disk is full"
    );
    assert!(!host.path("/motd").exists());
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
