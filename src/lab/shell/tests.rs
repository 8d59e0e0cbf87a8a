use proptest::prelude::*;
use rstest::rstest;

use super::io::{Buffer, Pipe};
use super::*;
use crate::clock::ManualClock;
use crate::lab::world::WorldSettings;

fn noon() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn world() -> Arc<World> {
    World::new(&WorldSettings {
        seed: 7,
        clock: Arc::new(ManualClock::new(noon())),
        pace: 0.0,
    })
}

/// Runs a line on a node: status, output, complaints.
async fn on(world: &Arc<World>, node: &str, line: &str) -> (u32, String, String) {
    let (out, err) = (Arc::new(Buffer::default()), Arc::new(Buffer::default()));
    let io = Io {
        stdin: Pipe::full(Vec::new()),
        out: out.clone(),
        err: err.clone(),
    };
    let context = Context::new(Arc::clone(world), node.into(), "root".into(), io);
    let status = context.run_line(line).await;
    let text = |buffer: Arc<Buffer>| String::from_utf8_lossy(&buffer.take()).into_owned();
    (status, text(out), text(err))
}

async fn ran(line: &str) -> (u32, String, String) {
    on(&world(), "pc1", line).await
}

#[rstest]
#[case("echo a; echo b", "a\nb\n")]
#[case("false || echo b && echo c", "b\nc\n")]
#[case("true && false; echo $?", "1\n")]
#[case("! false && echo yes", "yes\n")]
#[case("echo 'a  b' \"c  d\" e\\ f", "a  b c  d e f\n")]
#[case("x='1  2'; echo $x \"$x\"", "1 2 1  2\n")]
#[case("echo \"$(echo in; echo side)\"", "in\nside\n")]
#[case("echo $((1 + 2 - 5))", "-2\n")]
#[case("printf '%s-%d\\n' a 1 b 2", "a-1\nb-2\n")]
#[case("echo one two | wc -w", "2\n")]
#[case("printf 'b\\na\\n' | sort | head -n 1", "a\n")]
#[case(
    "if [ -e /nothing ]; then echo t; elif test -d /etc; then echo d; else echo e; fi",
    "d\n"
)]
#[case(
    "sh -c 'echo $0 $1 \"$@\"' zero one 'two three'",
    "zero one one two three\n"
)]
#[case("{ echo a; echo b; } > /tmp/f; cat < /tmp/f", "a\nb\n")]
#[case("echo x >> /tmp/f; echo y >> /tmp/f; cat /tmp/f 2>/dev/null", "x\ny\n")]
#[case("(x=1; echo $x); echo \"[$x]\"", "1\n[]\n")]
#[case("K=v sh -c 'echo $K'; env A=b printenv A", "v\nb\n")]
#[case("exec echo gone; echo never", "gone\n")]
#[case("# nothing\necho a # comment\n\necho b", "a\nb\n")]
#[case("cat /nothing 2>&1 | grep -c 'No such'", "1\n")]
#[case("sudo -n -- id -u; sudo -u root whoami", "0\nroot\n")]
#[case("date +%s; date -u +%F", "1772366400\n2026-03-01\n")]
#[case("dpkg --print-architecture", "arm64\n")]
#[case("readlink /bin; readlink -f /bin/../bin/sh", "usr/bin\n/usr/bin/sh\n")]
#[case("command -v consul", "/usr/bin/consul\n")]
#[case("timeout 5 echo quick", "quick\n")]
#[tokio::test]
async fn scripts_do_what_a_shell_does(#[case] line: &str, #[case] expected: &str) {
    let (_, out, err) = ran(line).await;
    assert_eq!(out, expected, "{err}");
}

#[rstest]
#[case("exit 3", 3)]
#[case("sh -c 'exit 44'", 44)]
#[case("cat /nothing", 1)]
#[case("nonsense", 127)]
#[case("test 1 -gt 2", 1)]
#[case("[ a", 2)]
#[case("echo 'open", 2)]
#[case("if true; then echo", 2)]
#[case("timeout 0.01 sleep 60", 124)]
#[case("dpkg-query -W nothing", 1)]
#[case("systemctl is-active nothing.service", 3)]
#[case("systemctl start nothing.service", 5)]
#[case("chown nobody-here /etc/hosts", 1)]
#[tokio::test]
async fn failures_end_with_the_status_they_have_in_life(#[case] line: &str, #[case] status: u32) {
    let (ended, out, err) = ran(line).await;
    assert_eq!(ended, status, "{out} {err}");
}

#[tokio::test]
async fn a_replacement_of_a_file_by_root_goes_through_as_scripts_send_it() {
    let world = world();
    let place = r#"[ "$(($(wc -c < "$1")))" = "$3" ] || { echo "only a part of it arrived" >&2; exit 1; }
chown -- "$4" "$1" && chmod -- "$5" "$1" && { sync -- "$1" 2>/dev/null || :; } && mv -fT -- "$1" "$2""#;
    let quoted = shlex::try_join([
        "sh",
        "-c",
        place,
        "sh",
        "/tmp/.x",
        "/etc/x",
        "4",
        "root:root",
        "0640",
    ]);
    let line = format!("umask 077; printf 'abc\\n' > /tmp/.x; {}", quoted.unwrap());
    let (status, _, err) = on(&world, "pc1", &line).await;
    assert_eq!((status, err.as_str()), (0, ""));
    let (_, out, _) = on(&world, "pc1", "stat -c '%a:%U:%s' /etc/x; ls /tmp").await;
    assert_eq!(out, "640:root:4\n");
    let short = line.replace(" 4 ", " 5 ");
    let (status, _, err) = on(&world, "pc1", &short).await;
    assert_eq!((status, err.as_str()), (1, "only a part of it arrived\n"));
}

#[tokio::test]
async fn stat_prints_what_the_resources_ask_for() {
    let (_, out, _) = ran("stat -c '%f:%U:%G:%s:%F' /etc /bin /etc/hostname").await;
    assert_eq!(
        out,
        "41ed:root:root:4096:directory\na1ff:root:root:7:symbolic link\n81a4:root:root:4:regular file\n"
    );
}

#[tokio::test]
async fn a_unit_lives_from_its_file_to_its_stop() {
    let world = world();
    let unit = "[Unit]\\nDescription=Sleeper\\n[Service]\\nExecStart=/usr/bin/cat\\n[Install]\\nWantedBy=multi-user.target\\n";
    let show = "systemctl show -p LoadState,ActiveState,UnitFileState,NeedDaemonReload x.service";
    let (_, out, _) = on(&world, "pc5", show).await;
    assert_eq!(
        out,
        "LoadState=not-found\nActiveState=inactive\nUnitFileState=\nNeedDaemonReload=no\n"
    );
    let write =
        format!("printf '{unit}' > /etc/systemd/system/x.service && systemctl daemon-reload");
    assert_eq!(on(&world, "pc5", &write).await.0, 0);
    let (status, _, err) = on(&world, "pc5", "systemctl enable --now x.service").await;
    assert_eq!(status, 0, "{err}");
    assert!(err.starts_with("Created symlink"), "{err}");
    let (_, out, _) = on(&world, "pc5", show).await;
    assert_eq!(
        out,
        "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNeedDaemonReload=no\n"
    );
    let first = on(&world, "pc5", "systemctl show -p MainPID --value x")
        .await
        .1;
    on(
        &world,
        "pc5",
        "echo '# more' >> /etc/systemd/system/x.service",
    )
    .await;
    let (_, out, _) = on(&world, "pc5", "systemctl show -p NeedDaemonReload x").await;
    assert_eq!(out, "NeedDaemonReload=yes\n");
    on(
        &world,
        "pc5",
        "systemctl daemon-reload; systemctl restart x",
    )
    .await;
    let second = on(&world, "pc5", "systemctl show -p MainPID --value x")
        .await
        .1;
    assert_ne!(first, second);
    assert_eq!(world.unit_starts("pc5", "x.service"), 2);
    on(&world, "pc5", "systemctl stop x; systemctl disable x").await;
    let (status, out, _) = on(&world, "pc5", "systemctl is-active x").await;
    assert_eq!((status, out.as_str()), (3, "inactive\n"));
    assert_eq!(
        on(&world, "pc5", "systemctl is-enabled x").await.1,
        "disabled\n"
    );
}

#[tokio::test]
async fn a_deploy_with_a_broken_configuration_fails_and_the_journal_says_why() {
    let world = world();
    on(
        &world,
        "pc1",
        "echo '{\"server\": tru}' > /etc/consul.d/z.json",
    )
    .await;
    let (status, _, err) = on(&world, "pc1", "systemctl restart consul.service").await;
    assert_eq!(status, 1);
    assert!(err.contains("journalctl -xeu consul.service"), "{err}");
    let (_, out, _) = on(
        &world,
        "pc1",
        "systemctl list-units --failed --plain --no-legend",
    )
    .await;
    assert_eq!(out, "consul.service loaded failed failed Consul agent\n");
    let (_, out, _) = on(
        &world,
        "pc1",
        "journalctl -u consul.service -n 4 --no-pager -o cat",
    )
    .await;
    assert!(
        out.contains("failed to parse /etc/consul.d/z.json"),
        "{out}"
    );
    assert_eq!(
        on(&world, "pc1", "systemctl is-system-running").await.1,
        "degraded\n"
    );
    on(
        &world,
        "pc1",
        "rm /etc/consul.d/z.json; systemctl restart consul",
    )
    .await;
    assert!(world.unit_active("pc1", "consul"));
}

#[tokio::test]
async fn consul_on_the_command_line_sees_the_servers_and_needs_its_agent() {
    let world = world();
    let (_, out, _) = on(&world, "pc2", "consul members").await;
    assert_eq!(
        out.lines().filter(|line| line.contains("server")).count(),
        3
    );
    assert!(out.contains("10.20.0.12:8301"), "{out}");
    on(&world, "pc2", "systemctl stop consul").await;
    let (status, _, err) = on(&world, "pc2", "consul members").await;
    assert_eq!(status, 1);
    assert!(err.contains("connection refused"), "{err}");
    assert_eq!(on(&world, "pc4", "consul version").await.0, 127);
    assert_eq!(
        on(&world, "pc3", "consul validate /etc/consul.d").await.0,
        0
    );
}

#[tokio::test]
async fn a_full_disk_makes_writers_fail_and_keeps_the_old_file() {
    let world = world();
    world.command("fill-disk pc1").unwrap();
    let (status, _, err) = on(&world, "pc1", "echo more than nothing > /tmp/new").await;
    assert_eq!(status, 1);
    assert!(err.contains("No space left on device"), "{err}");
    let (_, out, _) = on(&world, "pc1", "df -P -k / | tail -n 1").await;
    assert!(out.contains(" 100% "), "{out}");
}

#[tokio::test]
async fn packages_come_from_the_mirror_with_their_files_and_users() {
    let world = world();
    let (status, out, err) = on(&world, "pc4", "apt-get install -y consul jq").await;
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("Setting up jq"), "{out}");
    let (_, out, _) = on(
        &world,
        "pc4",
        "getent passwd consul; consul version | head -n 1",
    )
    .await;
    assert!(out.starts_with("consul:x:"), "{out}");
    assert!(out.contains("Consul v1.8.7"), "{out}");
    let (status, _, err) = on(&world, "pc4", "apt-get install -y no-such-thing").await;
    assert_eq!(status, 100);
    assert!(err.contains("Unable to locate package"), "{err}");
}

#[tokio::test]
async fn reboot_from_the_command_line_brings_another_boot_id() {
    let world = world();
    let id = "cat /proc/sys/kernel/random/boot_id";
    let before = on(&world, "pc3", id).await.1;
    on(&world, "pc3", "reboot").await;
    assert_ne!(on(&world, "pc3", id).await.1, before);
}

#[tokio::test]
async fn scripts_that_call_themselves_come_to_an_end() {
    let (status, _, err) = ran("echo 'sh /tmp/self' > /tmp/self; sh /tmp/self").await;
    assert_eq!(status, 2);
    assert!(err.contains("too many shells"), "{err}");
}

proptest! {
    #[test]
    fn no_line_makes_the_shell_panic(line in "\\PC{0,60}|[a-z0-9 '\"$(){}|&;<>\\\\#=/\n!\\[\\]-]{0,100}") {
        // Words that could wait are not wanted in a test of the parser.
        prop_assume!(!line.contains("sleep"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (status, _, _) = runtime.block_on(ran(&line));
        prop_assert!(status <= 255);
    }

    #[test]
    fn no_arguments_make_a_program_panic(
        program in proptest::sample::select(vec![
            "stat", "ls", "test", "mkdir", "chmod", "chown", "mv", "rm", "cp", "install", "touch", "ln", "readlink", "cat",
            "head", "tail", "grep", "wc", "printf", "date", "uname", "dpkg", "dpkg-query", "apt-get", "systemctl",
            "journalctl", "consul", "env", "sudo", "timeout", "truncate", "id", "df", "getent", "sh",
        ]),
        arguments in proptest::collection::vec("-[a-zA-Z]{1,4}|--|-|[0-9]{1,12}|/[a-z/.]{0,12}|\\PC{0,8}|%[a-zA-Z%]", 0..5),
    ) {
        let mut words = vec![program.to_owned()];
        words.extend(arguments.iter().map(|word| word.replace('\0', "")));
        let line = shlex::try_join(words.iter().map(String::as_str)).unwrap();
        prop_assume!(!line.contains("sleep"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (status, _, _) = runtime.block_on(ran(&line));
        prop_assert!(status <= 255);
    }
}

#[rstest]
#[case(
    "useradd --uid 1200 --groups sudo,video --user-group --create-home deploy && id -Gn deploy",
    "deploy sudo video\n"
)]
#[case(
    "useradd deploy; usermod --shell /bin/zsh --groups video deploy; getent passwd deploy",
    "deploy:x:1001:1001::/home/deploy:/bin/zsh\n"
)]
#[case(
    "useradd --create-home deploy; stat -c %U:%G /home/deploy; userdel --remove deploy; id -gn deploy",
    "deploy:deploy\n"
)]
#[case(
    "useradd deploy; usermod --expiredate 1 deploy; getent shadow deploy | cut -d : -f 8",
    "1\n"
)]
#[case(
    "groupadd --gid 1500 ops; groupmod --gid 1501 ops; getent group ops; groupdel ops; getent group ops",
    "ops:x:1501:\n"
)]
#[case("hostname other; hostname; uname -n", "other\nother\n")]
#[case(
    "readlink /etc/localtime; test -f /usr/share/zoneinfo/Europe/Berlin && echo known",
    "/usr/share/zoneinfo/Etc/UTC\nknown\n"
)]
#[case(
    "apt-mark hold curl; apt-mark showhold; dpkg-query -W -f '${db:Status-Abbrev}' curl",
    "curl set on hold.\ncurl\nhi "
)]
#[tokio::test]
async fn accounts_names_and_marks_are_kept_by_the_node(#[case] line: &str, #[case] said: &str) {
    let (_, out, _) = ran(line).await;
    assert_eq!(out, said);
}
