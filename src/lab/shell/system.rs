//! Programs about the machine and about running others: `uname`, `date`, `df`, `uptime`, `sudo`, `env`, `sleep` …

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Context, Instant, Said, dispatch, files, push};
use crate::lab::world::node::NodeState;
use crate::lab::world::proc_memory as memory;
use crate::lab::world::units::UnitState;

/// The longest `sleep`.
const SLEEP_LIMIT: f64 = 86_400.0;

/// The program of that name, and whether it changes anything.
pub(super) fn find(name: &str) -> Option<(bool, Instant)> {
    let run: Instant = match name {
        "true" | ":" => |_, _, _| Said::default(),
        "false" => |_, _, _| Said::status(1),
        "echo" => echo,
        "printf" => printf,
        "date" => date,
        "uname" => uname,
        "hostname" => hostname,
        "nproc" => |_, node, _| Said::out(format!("{}\n", node.board.cpus)),
        "getconf" => getconf,
        "uptime" => uptime,
        "df" => df,
        "free" => free,
        "ps" => ps,
        "kill" => |_, _, _| Said::default(),
        "arch" => |_, node, _| Said::out(format!("{}\n", node.board.machine())),
        "getent" => getent,
        "ip" => ip,
        "systemd-detect-virt" => |_, _, _| Said {
            status: 1,
            ..Said::out("none\n")
        },
        "timedatectl" => timedatectl,
        _ => return None,
    };
    Some((name == "hostname", run))
}

fn echo(arguments: &[String], _: &mut NodeState, _: Timestamp) -> Said {
    match arguments.split_first() {
        Some((first, rest)) if first == "-n" => Said::out(rest.join(" ")),
        _ => Said::out(format!("{}\n", arguments.join(" "))),
    }
}

fn printf(arguments: &[String], _: &mut NodeState, _: Timestamp) -> Said {
    let Some((format, values)) = arguments.split_first() else {
        return Said::err(2, "printf: usage: printf format [arguments]");
    };
    let mut values = values.iter();
    let mut text = String::new();
    // The format is used again while there are arguments and it takes any.
    for _ in 0..1000 {
        let before = values.len();
        let mut letters = format.chars();
        while let Some(c) = letters.next() {
            match (c, c == '%' || c == '\\') {
                (_, false) => text.push(c),
                ('\\', _) => match letters.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('0') => text.push('\0'),
                    Some(other) => text.push(other),
                    None => text.push('\\'),
                },
                _ => match letters.next() {
                    Some('s') => text.push_str(values.next().map_or("", String::as_str)),
                    Some('d') => text.push_str(values.next().map_or("0", String::as_str)),
                    Some('%') => text.push('%'),
                    other => text.extend(other),
                },
            }
        }
        if values.len() == 0 || values.len() == before {
            break;
        }
    }
    Said::out(text)
}

fn date(arguments: &[String], _: &mut NodeState, now: Timestamp) -> Said {
    let now = now.to_zoned(TimeZone::UTC);
    let format = arguments
        .iter()
        .find_map(|word| word.strip_prefix('+'))
        .unwrap_or("%a %b %e %H:%M:%S UTC %Y");
    if format.contains("%N") || format.contains("%3N") {
        let format = format.replace("%3N", "%3f").replace("%N", "%9f");
        return formatted(&now, &format);
    }
    formatted(&now, format)
}

fn formatted(now: &jiff::Zoned, format: &str) -> Said {
    match jiff::fmt::strtime::format(format, now) {
        Ok(text) => Said::out(format!("{text}\n")),
        Err(_) => Said::err(1, format_args!("date: invalid format '{format}'")),
    }
}

fn uname(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
    let letters: String = arguments
        .iter()
        .map(|word| word.trim_start_matches('-'))
        .collect();
    let all = letters.contains('a');
    let board = &node.board;
    let mut parts = Vec::new();
    // The order is uname's own, whatever the order of the letters.
    for (letter, value) in [
        ('s', "Linux"),
        ('n', node.hostname()),
        ('r', board.kernel),
        ('v', "#1 SMP PREEMPT_DYNAMIC"),
        ('m', board.machine()),
    ] {
        if all || letters.contains(letter) || (letters.is_empty() && letter == 's') {
            parts.push(value);
        }
    }
    if all || letters.contains('o') {
        parts.push("GNU/Linux");
    }
    Said::out(format!("{}\n", parts.join(" ")))
}

fn hostname(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
    match arguments {
        [name] if !name.starts_with('-') => {
            node.hostname = Some(name.clone());
            Said::default()
        }
        _ => Said::out(format!("{}\n", node.hostname())),
    }
}

fn getconf(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
    match arguments.first().map(String::as_str) {
        Some("_NPROCESSORS_ONLN" | "_NPROCESSORS_CONF") => {
            Said::out(format!("{}\n", node.board.cpus))
        }
        Some("PAGESIZE" | "PAGE_SIZE") => Said::out("4096\n"),
        Some("LONG_BIT") => Said::out("64\n"),
        Some("PATH") => Said::out("/usr/bin\n"),
        other => Said::err(
            2,
            format_args!("getconf: Unrecognized variable `{}'", other.unwrap_or("")),
        ),
    }
}

fn getent(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
    let [table, name] = arguments else {
        return Said::err(1, "getent: expected a database and a key");
    };
    let path = format!("/etc/{table}");
    let content = node.files.read(&path).unwrap_or_default();
    let found = String::from_utf8_lossy(content)
        .lines()
        .find(|line| line.split(':').next() == Some(name))
        .map(str::to_owned);
    match found {
        Some(line) => Said::out(format!("{line}\n")),
        None => Said::status(2),
    }
}

/// `ip -o addr show`.
fn ip(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
    if !arguments.iter().any(|word| word.starts_with("addr")) {
        return Said::err(1, "Object is unknown, try \"ip help\".");
    }
    let address = node.board.address;
    let [a, b, c, _] = address.octets();
    Said::out(format!(
        "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever\n\
         2: eth0    inet {address}/24 brd {a}.{b}.{c}.255 scope global eth0\\       valid_lft forever preferred_lft forever\n"
    ))
}

/// `timedatectl show` and `timesync-status`: the simulated clock is the real one.
fn timedatectl(arguments: &[String], _: &mut NodeState, _: Timestamp) -> Said {
    match arguments.first().map(String::as_str) {
        Some("show") => Said::out("NTPSynchronized=yes\n"),
        Some("timesync-status") => {
            Said::out("       Server: 10.0.0.1 (lab)\n       Offset: +42us\n")
        }
        _ => Said::out("System clock synchronized: yes\n"),
    }
}

fn uptime(_: &[String], node: &mut NodeState, now: Timestamp) -> Said {
    let [one, five, fifteen] = node.load(now);
    let minutes = now.duration_since(node.booted_at).as_mins();
    Said::out(format!(
        " {} up {} days, {:2}:{:02},  1 user,  load average: {one:.2}, {five:.2}, {fifteen:.2}\n",
        now.strftime("%H:%M:%S"),
        minutes / 1440,
        minutes / 60 % 24,
        minutes % 60
    ))
}

fn df(_: &[String], node: &mut NodeState, _: Timestamp) -> Said {
    let kib = |bytes: u64| bytes / 1024;
    let total = kib(node.files.capacity);
    let used = kib(node.files.used());
    let percent = (used * 100).div_ceil(total.max(1));
    Said::out(format!(
        "Filesystem     1024-blocks      Used Available Capacity Mounted on\n\
         /dev/root      {total:>11} {used:>9} {:>9} {percent:>7}% /\n",
        total - used
    ))
}

fn free(arguments: &[String], node: &mut NodeState, now: Timestamp) -> Said {
    let unit = match arguments.first().map(String::as_str) {
        Some("-b") => 1,
        Some("-m") => 1024 * 1024,
        _ => 1024,
    };
    let (used, total) = memory(node, now);
    let available = total - used;
    Said::out(format!(
        "               total        used        free      shared  buff/cache   available\n\
         Mem:    {:>12}{:>12}{:>12}{:>12}{:>12}{:>12}\nSwap:   {:>12}{:>12}{:>12}\n",
        total / unit,
        used / unit,
        (available - available / 3) / unit,
        4 * 1024 * 1024 / unit,
        available / 3 / unit,
        available / unit,
        0,
        0,
        0
    ))
}

fn ps(_: &[String], node: &mut NodeState, _: Timestamp) -> Said {
    let mut text =
        String::from("    PID TTY          TIME CMD\n      1 ?        00:00:09 systemd\n");
    for unit in node.units.values() {
        if unit.state == UnitState::Active {
            let exec = unit.setting("ExecStart").unwrap_or_default();
            let program = exec.split(' ').next().unwrap_or_default();
            let name = program.rsplit('/').next().unwrap_or_default();
            push(
                &mut text,
                format_args!("{:>7} ?        00:00:01 {name}\n", unit.pid),
            );
        }
    }
    Said::out(text)
}

/// `id` and `whoami`.
pub(super) fn identity(name: &str, arguments: &[String], user: &str) -> Said {
    let number = if user == "root" { 0 } else { 1000 };
    let text = match (name, arguments.first().map(String::as_str)) {
        ("whoami", _) | (_, Some("-un" | "-gn")) => user.to_owned(),
        (_, Some("-u" | "-g")) => number.to_string(),
        _ => format!("uid={number}({user}) gid={number}({user}) groups={number}({user})"),
    };
    Said::out(format!("{text}\n"))
}

/// `printenv`, and `env` without a command.
pub(super) fn environment(arguments: &[String], env: &BTreeMap<String, String>) -> Said {
    if let Some(name) = arguments.first() {
        return match env.get(name) {
            Some(value) => Said::out(format!("{value}\n")),
            None => Said::status(1),
        };
    }
    let mut text = String::new();
    for (name, value) in env {
        push(&mut text, format_args!("{name}={value}\n"));
    }
    Said::out(text)
}

/// `command -v` and `which`.
pub(super) async fn locate(arguments: &[String], context: &Context) -> u32 {
    let Some(name) = arguments.iter().find(|word| !word.starts_with('-')) else {
        return 1;
    };
    let built_in = find(name).is_some() || files::find(name).is_some();
    let found = context.look(|node, _| {
        Ok(["/usr/bin", "/usr/sbin", "/usr/local/bin"]
            .iter()
            .map(|dir| format!("{dir}/{name}"))
            .find(|path| node.files.exists(path)))
    });
    match found {
        Ok(Some(path)) => context.print(format!("{path}\n")).await,
        _ if built_in => context.print(format!("/usr/bin/{name}\n")).await,
        _ => 1,
    }
}

/// `sleep`.
pub(super) async fn sleep(arguments: &[String], context: &Context) -> u32 {
    let seconds: f64 = arguments
        .iter()
        .filter_map(|word| word.trim_end_matches('s').parse::<f64>().ok())
        .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
        .sum();
    if arguments.is_empty() {
        context.complain("sleep: missing operand").await;
        return 1;
    }
    // An operator's sleep is real time, whatever the pace of the simulation.
    tokio::time::sleep(Duration::from_secs_f64(seconds.min(SLEEP_LIMIT))).await;
    0
}

/// `reboot`: the connection is lost and the node comes back with another boot id.
pub(super) async fn reboot(context: &Context) -> u32 {
    match context.world.boot(&context.node) {
        Ok(()) => {
            // The answer does not get out any more where this takes any time at all.
            context.pause(1000).await;
            0
        }
        Err(complaint) => {
            context.complain(&complaint).await;
            1
        }
    }
}

/// `sudo`, `env`, `nohup`, `nice`, `timeout`, `setsid`: programs that run another one.
pub(super) async fn wrapped(name: &str, arguments: &[String], context: &Context) -> u32 {
    let mut inner = context.clone();
    let mut words = arguments.iter().peekable();
    let mut limit = None;
    while let Some(word) = words.peek() {
        if word.as_str() == "--" {
            words.next();
            break;
        }
        let takes_value = (name == "sudo" && matches!(word.as_str(), "-u" | "-g"))
            || (name == "nice" && word.as_str() == "-n")
            || (name == "timeout" && matches!(word.as_str(), "-k" | "-s"));
        if word.starts_with('-') {
            words.next();
            if takes_value {
                words.next();
            }
        } else if let Some((key, value)) = word.split_once('=')
            && matches!(name, "env" | "sudo")
        {
            inner.env.insert(key.to_owned(), value.to_owned());
            words.next();
        } else if name == "timeout" && limit.is_none() {
            limit = word.trim_end_matches('s').parse::<f64>().ok();
            limit = limit.filter(|limit| (0.0..=SLEEP_LIMIT).contains(limit));
            if limit.is_none() {
                context
                    .complain(&format!("timeout: invalid time interval '{word}'"))
                    .await;
                return 125;
            }
            words.next();
        } else {
            break;
        }
    }
    if name == "sudo" {
        inner.user = "root".into();
    }
    let argv: Vec<String> = words.cloned().collect();
    if argv.is_empty() {
        if name == "env" {
            return context.say(environment(&[], &inner.env)).await;
        }
        context.complain(&format!("{name}: missing command")).await;
        return 1;
    }
    inner.depth += 1;
    if inner.depth > 64 {
        context.complain(&format!("{name}: too deep")).await;
        return 126;
    }
    let run = dispatch(&argv, &mut inner);
    match limit {
        None => run.await,
        Some(limit) => tokio::time::timeout(Duration::from_secs_f64(limit), run)
            .await
            .unwrap_or(124),
    }
}
