//! The operator's own `~/.ssh/config`.

use std::process::Command as Process;
use std::time::Duration;

use quarterdeck::domain::node::{ClientConfig, Jump, Node, SshAccess};
use quarterdeck::domain::reach::{StageName, StageOutcome, Way};
use quarterdeck::transport::ssh::SshSettings;
use quarterdeck::transport::{Reach as _, ReachError};

use super::says;
use super::sshd::{Sshd, Yard, lives, me, node, pool, text};

/// A node of which the workspace says nothing but its address.
fn alias(name: &str) -> Node {
    Node {
        address: name.into(),
        ..node(name, SshAccess::default())
    }
}

/// The lines by which `host` leads to `sshd`.
fn block(yard: &Yard, host: &str, sshd: &Sshd) -> String {
    format!(
        "Host {host}\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile {}\n  UserKnownHostsFile {}\n",
        sshd.port,
        me(),
        yard.id().display(),
        yard.known_hosts().display(),
    )
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_host_of_the_ssh_config_is_reached_as_ssh_would_reach_it() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    yard.dot_ssh("config", "Include conf.d/*.conf\n");
    yard.dot_ssh("conf.d/lab.conf", &block(&yard, "lab-a", &sshd));
    let pool = pool([alias("lab-a")], yard.settings());
    let host = pool.host("lab-a").unwrap();
    assert_eq!(says(&host, &["printenv", "QD_NODE"]).await.unwrap(), "a");
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_changed_ssh_config_counts_from_the_next_connection_on() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([alias("lab-a")], yard.settings());
    let host = pool.host("lab-a").unwrap();
    let error = says(&host, &["true"]).await.unwrap_err();
    assert!(matches!(error, ReachError::Resolve { .. }), "{error}");
    yard.dot_ssh("config", &block(&yard, "lab-a", &sshd));
    assert_eq!(says(&host, &["printenv", "QD_NODE"]).await.unwrap(), "a");
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn proxy_jump_leads_through_two_hosts_that_are_no_nodes_over_one_connection_each() {
    let yard = Yard::new();
    let [outer, inner, a, b] = ["outer", "inner", "a", "b"].map(|name| yard.sshd(name));
    let config = [
        block(&yard, "outer", &outer),
        block(&yard, "inner", &inner),
        block(&yard, "a", &a),
        block(&yard, "b", &b),
        // Everybody but the jump hosts themselves, as people write it.
        "Host * !outer !inner\n  ProxyJump outer,inner\n".into(),
    ];
    yard.dot_ssh("config", &config.concat());
    let pool = pool([alias("a"), alias("b")], yard.settings());
    let hosts = ["a", "b"].map(|name| pool.host(name).unwrap());
    let asked = hosts
        .iter()
        .map(|host| says(host, &["printenv", "QD_NODE"]));
    let names = futures::future::try_join_all(asked).await.unwrap();
    assert_eq!(names, ["a", "b"]);
    assert_eq!([&outer, &inner, &a, &b].map(Sshd::logins), [1, 1, 1, 1]);
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn the_way_leads_through_a_program_of_the_ssh_config_which_ends_with_the_connection() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pid = yard.path("pid");
    let block = block(&yard, "lab-a", &sshd);
    // The name is not one that could be looked up: only the program knows the way.
    let block = block.replace("HostName 127.0.0.1", "HostName a.invalid");
    let place = format!("[127.0.0.1]:{}", sshd.port);
    let pinned = std::fs::read_to_string(yard.known_hosts()).unwrap();
    std::fs::write(yard.known_hosts(), pinned.replace(&place, "lab-a")).unwrap();
    yard.dot_ssh(
        "config",
        &format!(
            "{block}  HostKeyAlias lab-a\n  ProxyCommand sh -c 'echo $$ > {}; exec busybox nc 127.0.0.1 %p'\n",
            pid.display()
        ),
    );
    let pool = pool([alias("lab-a")], yard.settings());
    let host = pool.host("lab-a").unwrap();
    assert_eq!(says(&host, &["printenv", "QD_NODE"]).await.unwrap(), "a");
    let program: u32 = std::fs::read_to_string(pid)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(lives(program));
    drop((host, pool));
    tokio::time::timeout(Duration::from_secs(30), async {
        while lives(program) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("it ends with the connection");
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_program_that_finds_no_way_says_why_and_no_workspace_can_start_one() {
    let yard = Yard::new();
    let lines = "Host *\n  ProxyCommand sh -c 'echo no tunnel to %h >&2; exit 1'\n";
    yard.dot_ssh("config", lines);
    let mine = pool([alias("lab-a")], yard.settings());
    let error = says(&mine.host("lab-a").unwrap(), &["true"]).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("says: no tunnel to lab-a"), "{error}");

    let config = Some(ClientConfig::File(yard.dot_ssh("other", lines)));
    let access = SshAccess {
        config,
        ..SshAccess::default()
    };
    let theirs = pool([node("lab-a", access)], yard.settings());
    let error = says(&theirs.host("lab-a").unwrap(), &["true"]).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("only your own SSH configuration may"),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn what_the_workspace_says_wins_and_it_can_do_without_the_ssh_config() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    yard.dot_ssh(
        "config",
        "Host *\n  Port 1\n  User nobody\n  ProxyJump nowhere.invalid\n  IdentityFile /nowhere\n  UserKnownHostsFile /nowhere\n",
    );
    let own = pool(
        [sshd.node(|access| access.jump = Some(Jump::Direct))],
        yard.settings(),
    );
    says(&own.host("a").unwrap(), &["true"]).await.unwrap();
    let none = pool(
        [sshd.node(|access| access.config = Some(ClientConfig::None))],
        yard.settings(),
    );
    says(&none.host("a").unwrap(), &["true"]).await.unwrap();
    let other = yard.dot_ssh("other", "Host *\n  ConnectTimeout 7\n");
    let config = Some(ClientConfig::File(other));
    let other = pool(
        [sshd.node(|access| access.config = config)],
        yard.settings(),
    );
    says(&other.host("a").unwrap(), &["true"]).await.unwrap();
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn new_host_keys_are_pinned_where_and_as_the_ssh_config_says() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pins = yard.path("own_pins");
    let more = format!(
        "  StrictHostKeyChecking accept-new\n  HashKnownHosts yes\nHost *\n  UserKnownHostsFile {}\n",
        pins.display()
    );
    let block = block(&yard, "lab-a", &sshd);
    let block = block.lines().filter(|line| !line.contains("KnownHosts"));
    let block: Vec<&str> = block.collect();
    yard.dot_ssh("config", &(block.join("\n") + "\n" + &more));
    let pool = pool([alias("lab-a")], yard.settings());
    says(&pool.host("lab-a").unwrap(), &["true"]).await.unwrap();
    let pinned = std::fs::read_to_string(&pins).unwrap();
    assert!(pinned.starts_with("|1|"), "{pinned}");
    // OpenSSH finds what was written.
    let name = format!("[127.0.0.1]:{}", sshd.port);
    let found = text(
        Process::new("ssh-keygen")
            .args(["-F", &name, "-f"])
            .arg(&pins),
    );
    assert!(found.contains("ssh-ed25519"), "{found}");
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_way_is_explained_hop_by_hop_with_the_line_of_each_setting() {
    use StageName::{Command, Connect, HostKey, KeyExchange, Login, Resolve};

    let yard = Yard::new();
    let (mut outer, a) = (yard.sshd("outer"), yard.sshd("a"));
    let config = block(&yard, "outer", &outer)
        + &block(&yard, "a", &a)
        + "  ProxyJump outer\nMatch exec \"false\"\n  Port 9\n";
    let file = yard.dot_ssh("config", &config);
    let pool = pool([alias("a")], yard.settings());
    let way = pool.way("a", true).await;
    assert_eq!(way.trouble, None, "{way:?}");
    let hops: Vec<&str> = way.hops.iter().map(|hop| hop.name.as_str()).collect();
    assert_eq!(hops, ["outer", "a"]);
    let port = way.hops[1].settings.iter().find(|one| one.name == "port");
    let port = port.unwrap();
    assert_eq!(port.value, a.port.to_string());
    assert_eq!(port.from, format!("{}:9", file.display()));
    assert!(
        way.remarks[0].contains("Match block passed over"),
        "{way:?}"
    );
    let names = |way: &Way, hop: usize| -> Vec<StageName> {
        way.hops[hop]
            .stages
            .iter()
            .map(|stage| stage.name)
            .collect()
    };
    assert_eq!(
        names(&way, 0),
        [Resolve, Connect, KeyExchange, HostKey, Login]
    );
    assert_eq!(
        names(&way, 1)[..5],
        [Connect, KeyExchange, HostKey, Login, Command]
    );

    outer.stop();
    let way = pool.way("a", true).await;
    assert!(way.trouble.unwrap().contains("refused"));
    let failure = way.hops[0].failure().unwrap();
    assert_eq!(
        (failure.name, failure.outcome),
        (Connect, StageOutcome::Failed)
    );
    assert!(way.hops[1].stages.is_empty(), "{:?}", way.hops[1]);
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn the_ssh_config_means_here_what_it_means_to_openssh() {
    let yard = Yard::new();
    let included = yard.dot_ssh("more", "User from-include\nHost db*\n  Port 2300\n");
    let config = yard.dot_ssh(
        "config",
        &format!(
            "Host web1 web2 \"quoted\"\n  HostName %h.example.com\n  Port=2201\n  IdentityFile ~/a\n\
             Host web* !web2\n  User webber # not web2\n  Port 2202\n\
             Match host *.example.com user webber\n  IdentityFile /keys/%r@%h\n  ServerAliveInterval 33\n\
             Match originalhost web2 !user root\n  User never\n\
             Host db?\n  Include {}\n  ProxyJump ops@bastion:2222,second\n\
             Match final all\n  Compression yes\n\
             Host *\n  User last\n  ConnectTimeout 1m\n  IdentityFile /keys/all\n",
            included.display()
        ),
    );
    let settings = || SshSettings {
        home: std::env::home_dir(),
        config_files: vec![config.clone()],
        ..yard.settings()
    };
    for host in ["web1", "web2", "quoted", "db1", "db12", "other"] {
        let theirs = text(
            Process::new("ssh")
                .arg("-G")
                .arg("-F")
                .arg(&config)
                .arg(host),
        );
        let theirs = |keyword: &str| -> Vec<String> {
            let lines = theirs.lines();
            let said = lines.filter_map(|line| line.strip_prefix(keyword)?.strip_prefix(' '));
            said.map(str::to_owned).collect()
        };
        let way = pool([alias(host)], settings()).way(host, false).await;
        let last = way.hops.last().unwrap();
        let ours = |name: &str| -> Vec<String> {
            let settings = last.settings.iter().filter(|one| one.name == name);
            settings.map(|one| one.value.clone()).collect()
        };
        assert_eq!(ours("address"), theirs("hostname"), "{host}");
        assert_eq!(ours("port"), theirs("port"), "{host}");
        assert_eq!(ours("user"), theirs("user"), "{host}");
        let home = std::env::home_dir().unwrap().display().to_string();
        let keys: Vec<String> = theirs("identityfile")
            .iter()
            .map(|file| {
                file.replace('~', &home)
                    .replace("%r@%h", "webber@web1.example.com")
            })
            .collect();
        assert_eq!(ours("identity"), keys, "{host}");
        let jumps: Vec<&str> = way.hops.iter().map(|hop| hop.name.as_str()).collect();
        let jumps = jumps[..jumps.len() - 1].join(",");
        assert_eq!(jumps, theirs("proxyjump").concat(), "{host}");
    }
}
