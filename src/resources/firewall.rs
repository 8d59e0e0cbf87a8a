//! The firewall by ufw(8): rules that shall be there, what happens to the rest, on or off.
//!
//! Rules that others added stay. Before the firewall is switched on, or begins to turn traffic away, there must be a rule
//! that lets in the connection this very check came by; otherwise nothing is changed, and the error names the rule.

use std::net::IpAddr;

use super::exec::{look, look_well, perform};
use super::undo::Back;
use super::{Difference, Means, ResourceError};
use crate::domain::resource::{FirewallPolicy, FirewallSpec};
use crate::domain::undo::{Before, FirewallBefore, FirewallState};
use crate::transport::{Command, Host};

/// Looks for the SSH connection among its own ancestors: what becomes root loses it from its environment.
pub(super) const CONNECTION: &str = r#"p=$$; n=0; while [ "$p" -gt 1 ] && [ "$n" -lt 20 ]; do
c=$(tr '\0' '\n' <"/proc/$p/environ" 2>/dev/null | sed -n 's/^SSH_CONNECTION=//p'); [ -n "$c" ] && echo "$c" && exit
p=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$p/status"); n=$((n+1)); done"#;
/// What begins a rule.
const VERBS: &[&str] = &["allow", "deny", "reject", "limit"];

/// What is wrong with a declaration wherever it is brought about.
pub(super) fn fault(spec: &FirewallSpec) -> Option<String> {
    let wrong = |rule: &&String| {
        let mut words = rule.split_whitespace();
        let verb = words.next().is_some_and(|verb| VERBS.contains(&verb));
        let plain =
            |word: &str| !word.starts_with('-') && word.bytes().all(|byte| byte.is_ascii_graphic());
        !verb || words.clone().next().is_none() || !words.all(plain)
    };
    spec.rules.iter().find(wrong).map(|rule| {
        format!("firewall: {rule:?} is no rule of ufw: write it as `allow 443/tcp` or `allow from 10.0.0.0/8 to any port 5432 proto tcp`")
    })
}

/// Everything ufw says of itself.
#[derive(Debug)]
struct Seen {
    state: FirewallState,
    /// As `ufw show added` has them, without the word `ufw`.
    rules: Vec<String>,
}

async fn observe(host: &dyn Host, means: &Means<'_>) -> Result<Option<Seen>, ResourceError> {
    let output = look(
        host,
        &Command::new(["ufw", "status", "verbose"]),
        means.cancel,
    )
    .await?;
    if !output.exit.success() {
        if output.exit == crate::transport::Exit::Code(127) {
            return Ok(None);
        }
        return Err(ResourceError::Failed {
            command: "ufw status verbose".into(),
            exit: output.exit.to_string(),
            complaint: output.complaint(),
        });
    }
    let status = output.text();
    let on = status.lines().any(|line| line.trim() == "Status: active");
    let told = status
        .lines()
        .find_map(|line| line.strip_prefix("Default: "));
    let (incoming, outgoing) = if let Some(words) = told {
        policies(words)
    } else {
        // ufw does not tell while it is off; what it will go by is in its file.
        let file = host.read("/etc/default/ufw").await?.unwrap_or_default();
        let file = String::from_utf8_lossy(&file).into_owned();
        (kept(&file, "INPUT"), kept(&file, "OUTPUT"))
    };
    let added = look_well(host, ["ufw", "show", "added"], means.cancel).await?;
    let rules = added
        .lines()
        .filter_map(|line| line.strip_prefix("ufw "))
        .map(normal);
    Ok(Some(Seen {
        state: FirewallState {
            on,
            incoming,
            outgoing,
        },
        rules: rules.collect(),
    }))
}

/// From `deny (incoming), allow (outgoing), disabled (routed)`.
fn policies(words: &str) -> (String, String) {
    let of = |what: &str| {
        let part = words.split(", ").find(|part| part.ends_with(what));
        let word = part.and_then(|part| part.split(' ').next());
        word.unwrap_or("unknown").to_owned()
    };
    (of("(incoming)"), of("(outgoing)"))
}

/// From `DEFAULT_INPUT_POLICY="DROP"` of `/etc/default/ufw`.
fn kept(file: &str, chain: &str) -> String {
    let name = format!("DEFAULT_{chain}_POLICY=");
    let value = file
        .lines()
        .find_map(|line| line.trim().strip_prefix(name.as_str()));
    match value.map(|value| value.trim_matches('"')) {
        Some("ACCEPT") => "allow",
        Some("DROP") => "deny",
        Some("REJECT") => "reject",
        _ => "unknown",
    }
    .to_owned()
}

/// A rule as `ufw show added` writes it.
fn normal(rule: &str) -> String {
    let mut words: Vec<&str> = rule.split_whitespace().collect();
    if words.get(1) == Some(&"in") && words.get(2) != Some(&"on") {
        words.remove(1);
    }
    if let Some(at) = words.iter().position(|word| *word == "comment") {
        words.truncate(at);
    }
    words.join(" ")
}

fn wanted(spec: &FirewallSpec) -> FirewallState {
    FirewallState {
        on: spec.enabled,
        incoming: spec.incoming.word().into(),
        outgoing: spec.outgoing.word().into(),
    }
}

fn missing(spec: &FirewallSpec, seen: &[String]) -> Vec<String> {
    let mut missing: Vec<String> = Vec::new();
    for rule in spec.rules.iter().map(|rule| normal(rule)) {
        if !seen.contains(&rule) && !missing.contains(&rule) {
            missing.push(rule);
        }
    }
    missing
}

/// Whether `rule` lets `client` reach `port` over TCP.
fn lets_in(rule: &str, client: Option<IpAddr>, port: u16) -> bool {
    let words: Vec<&str> = rule.split_whitespace().collect();
    if !matches!(words.first(), Some(&"allow" | &"limit"))
        || words.contains(&"out")
        || words.contains(&"on")
    {
        return false;
    }
    let after = |word: &str| {
        words
            .iter()
            .position(|found| *found == word)
            .and_then(|at| words.get(at + 1))
            .copied()
    };
    if matches!(after("proto"), Some(proto) if proto != "tcp")
        || !matches!(after("to"), None | Some("any"))
    {
        return false;
    }
    let from = match after("from") {
        None | Some("any") => true,
        Some(net) => client.is_some_and(|client| within(client, net)),
    };
    let target = after("port").or_else(|| (words.len() == 2).then(|| words[1]));
    let reaches = match target {
        // From somewhere to everything.
        None => words.contains(&"from"),
        Some("OpenSSH" | "ssh" | "SSH") => port == 22,
        Some(ports) => {
            let (ports, proto) = ports.split_once('/').unwrap_or((ports, "tcp"));
            proto == "tcp"
                && ports.split(',').any(|part| match part.split_once(':') {
                    Some((first, last)) => {
                        first.parse().is_ok_and(|first: u16| first <= port)
                            && last.parse().is_ok_and(|last: u16| port <= last)
                    }
                    None => part.parse() == Ok(port),
                })
        }
    };
    from && reaches
}

/// Whether `client` is `net`, or within it as a CIDR block.
fn within(client: IpAddr, net: &str) -> bool {
    let (base, bits) = net
        .split_once('/')
        .map_or((net, None), |(base, bits)| (base, bits.parse::<u32>().ok()));
    let mask = |bits: u32, width: u32| {
        if bits == 0 {
            0
        } else {
            u128::MAX << (width - bits.min(width))
        }
    };
    match (client, base.parse()) {
        (IpAddr::V4(client), Ok(IpAddr::V4(base))) => {
            let mask = mask(bits.unwrap_or(32), 32);
            u128::from(client.to_bits()) & mask == u128::from(base.to_bits()) & mask
        }
        (IpAddr::V6(client), Ok(IpAddr::V6(base))) => {
            let mask = mask(bits.unwrap_or(128), 128);
            client.to_bits() & mask == base.to_bits() & mask
        }
        _ => false,
    }
}

/// Refuses what would end the connection that this is declared over.
async fn keep_the_door_open(
    spec: &FirewallSpec,
    seen: &Seen,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    if !spec.enabled || spec.incoming == FirewallPolicy::Allow {
        return Ok(());
    }
    let connection = look_well(host, ["sh", "-c", CONNECTION], means.cancel).await?;
    let words: Vec<&str> = connection.split_whitespace().collect();
    let client = words.first().and_then(|text| text.parse().ok());
    let port = words
        .get(3)
        .and_then(|text| text.parse().ok())
        .unwrap_or(22);
    let declared = spec.rules.iter().map(|rule| normal(rule));
    if seen
        .rules
        .iter()
        .cloned()
        .chain(declared)
        .any(|rule| lets_in(&rule, client, port))
    {
        return Ok(());
    }
    Err(ResourceError::Unfit(format!(
        "no rule lets in the SSH connection over port {port}{}: this would lock us out; add the rule `allow {port}/tcp`, or \
         one with `from` that covers it",
        client
            .map(|client| format!(" from {client}"))
            .unwrap_or_default()
    )))
}

pub(super) async fn check(
    spec: &FirewallSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    if let Some(reason) = fault(spec) {
        return Err(ResourceError::Unfit(reason));
    }
    let mut difference = Difference::default();
    let Some(seen) = observe(host, means).await? else {
        difference.note("there is no ufw yet → set up");
        return Ok(difference);
    };
    keep_the_door_open(spec, &seen, host, means).await?;
    for rule in missing(spec, &seen.rules) {
        difference.note(format!("rule added: {rule}"));
    }
    let (now, then) = (&seen.state, wanted(spec));
    if now.incoming != then.incoming {
        difference.note(format!("incoming {} → {}", now.incoming, then.incoming));
    }
    if now.outgoing != then.outgoing {
        difference.note(format!("outgoing {} → {}", now.outgoing, then.outgoing));
    }
    match (now.on, then.on) {
        (false, true) => difference.note("off → on"),
        (true, false) => difference.note("on → off"),
        _ => {}
    }
    Ok(difference)
}

async fn ufw(words: &[&str], host: &dyn Host, means: &Means<'_>) -> Result<(), ResourceError> {
    let argv = std::iter::once("ufw").chain(words.iter().copied());
    perform(host, &Command::new(argv), means).await
}

async fn bring(
    now: &FirewallState,
    then: &FirewallState,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    if now.on && !then.on {
        ufw(&["disable"], host, means).await?;
    }
    if now.outgoing != then.outgoing && then.outgoing != "unknown" {
        ufw(&["default", &then.outgoing, "outgoing"], host, means).await?;
    }
    if now.incoming != then.incoming && then.incoming != "unknown" {
        ufw(&["default", &then.incoming, "incoming"], host, means).await?;
    }
    if !now.on && then.on {
        ufw(&["--force", "enable"], host, means).await?;
    }
    Ok(())
}

fn no_ufw() -> ResourceError {
    ResourceError::Unfit("there is no ufw on this host: install the package ufw first".into())
}

pub(super) async fn apply(
    spec: &FirewallSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let seen = observe(host, means).await?.ok_or_else(no_ufw)?;
    keep_the_door_open(spec, &seen, host, means).await?;
    // Rules first: the door is open before anything is shut.
    for rule in missing(spec, &seen.rules) {
        let words: Vec<&str> = rule.split(' ').collect();
        ufw(&words, host, means).await?;
    }
    bring(&seen.state, &wanted(spec), host, means).await
}

pub(super) async fn remember(
    spec: &FirewallSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<Before>, ResourceError> {
    let Some(seen) = observe(host, means).await? else {
        return Ok(None);
    };
    Ok(Some(Before::Firewall(FirewallBefore {
        added: missing(spec, &seen.rules),
        was: seen.state,
        left: wanted(spec),
    })))
}

pub(super) async fn check_undo(
    before: &FirewallBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Back, ResourceError> {
    let mut back = Back::default();
    let seen = observe(host, means).await?.ok_or_else(no_ufw)?;
    for rule in before.added.iter().filter(|rule| seen.rules.contains(rule)) {
        back.note(format!("rule removed: {rule}"));
    }
    if seen.state != before.was {
        back.note(before.outlook_of(&seen.state));
        if seen.state != before.left {
            back.refused = Some("somebody changed its policy or switched it since".into());
        }
    }
    Ok(back)
}

pub(super) async fn take_back(
    before: &FirewallBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let seen = observe(host, means).await?.ok_or_else(no_ufw)?;
    // What lets us in goes last: the firewall must be as before by then.
    bring(&seen.state, &before.was, host, means).await?;
    for rule in before
        .added
        .iter()
        .rev()
        .filter(|rule| seen.rules.contains(rule))
    {
        let words: Vec<&str> = ["--force", "delete"]
            .into_iter()
            .chain(rule.split(' '))
            .collect();
        ufw(&words, host, means).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
