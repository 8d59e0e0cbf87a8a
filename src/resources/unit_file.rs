//! The part of systemd's unit files that [`super::supervised`] can carry out without systemd.
//!
//! Format: systemd.syntax(7), systemd.service(5), systemd.exec(5). What changes how a program is started and cannot be
//! kept is refused; what only fences it in is given back by name, to be told.

use std::collections::BTreeMap;

use super::ResourceError;

/// What to start and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    /// Program and arguments.
    pub(super) argv: Vec<String>,
    /// Environment variables by name.
    pub(super) environment: BTreeMap<String, String>,
    /// User to run as; `None` is root.
    pub(super) user: Option<String>,
    pub(super) group: Option<String>,
    pub(super) directory: String,
    pub(super) restart: Restart,
    /// Whole seconds between an end and the next start, at least 1.
    pub(super) delay: u64,
    /// Directives that have no effect without systemd.
    pub(super) ignored: Vec<String>,
}

/// When the program is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restart {
    No,
    OnFailure,
    Always,
}

impl Restart {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure => "on-failure",
            Self::Always => "always",
        }
    }
}

/// Reads the content of the service unit called `name`.
///
/// # Errors
/// [`ResourceError::Unfit`] for what cannot be carried out without systemd.
pub(super) fn read(name: &str, content: &str) -> Result<Service, ResourceError> {
    let unfit = |reason: String| {
        ResourceError::Unfit(format!(
            "{name}: {reason}, and this host has no systemd to do it"
        ))
    };
    let Some(stem) = name.strip_suffix(".service") else {
        return Err(unfit("only services can be supervised".into()));
    };
    let mut service = Service {
        argv: Vec::new(),
        environment: BTreeMap::new(),
        user: None,
        group: None,
        directory: "/".into(),
        restart: Restart::No,
        delay: 1,
        ignored: Vec::new(),
    };
    let mut command = None;
    for (key, value) in directives(content) {
        let value = specifiers(&value, name, stem)
            .map_err(|specifier| unfit(format!("{key} uses the specifier %{specifier}")))?;
        match key.as_str() {
            "ExecStart" if value.is_empty() => command = None,
            "ExecStart" => {
                if command.replace(value).is_some() {
                    return Err(unfit("it has several ExecStart lines".into()));
                }
            }
            "Type"
                if matches!(
                    value.as_str(),
                    "simple" | "exec" | "notify" | "notify-reload"
                ) => {}
            "User" => service.user = account(&value).map_err(unfit)?,
            "Group" => service.group = account(&value).map_err(unfit)?,
            "WorkingDirectory" if value.starts_with('/') => service.directory = value,
            "Environment" => {
                let words =
                    words(&value).ok_or_else(|| unfit("Environment has an open quote".into()))?;
                for word in words {
                    let (name, value) = variable(&word).ok_or_else(|| {
                        unfit(format!("Environment has {word:?}, which is no NAME=value"))
                    })?;
                    service.environment.insert(name, value);
                }
            }
            "Restart" => service.restart = restart(&value).map_err(unfit)?,
            "RestartSec" => service.delay = seconds(&value).map_err(unfit)?,
            "Type" | "EnvironmentFile" | "ExecStartPre" | "WorkingDirectory" | "RootDirectory"
            | "DynamicUser" => {
                return Err(unfit(format!("it says {key}={value}")));
            }
            _ => service.ignored.push(key),
        }
    }
    let command = command.ok_or_else(|| unfit("it has no ExecStart".into()))?;
    service.argv = argv(&command, &service.environment).map_err(unfit)?;
    service.ignored.sort();
    service.ignored.dedup();
    Ok(service)
}

/// Keys and values of the `[Service]` section in order, continued lines joined.
fn directives(content: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut in_service = false;
    let mut joined = String::new();
    for line in content.lines() {
        let line = line.trim();
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(start) = line.strip_suffix('\\') {
            joined.push_str(start);
            joined.push(' ');
            continue;
        }
        joined.push_str(line);
        let whole = std::mem::take(&mut joined);
        if whole.starts_with('[') {
            in_service = whole == "[Service]";
        } else if in_service && let Some((key, value)) = whole.split_once('=') {
            found.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    found
}

/// Replaces the specifiers that need no systemd; the error is one that does.
fn specifiers(value: &str, name: &str, stem: &str) -> Result<String, char> {
    let mut out = String::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('n') => out.push_str(name),
            Some('N') => out.push_str(stem),
            Some('p') => out.push_str(stem.split('@').next().unwrap_or(stem)),
            Some('%') | None => out.push('%'),
            Some(other) => return Err(other),
        }
    }
    Ok(out)
}

/// Splits like systemd does for what appears in practice: words, quotes, backslashes.
fn words(value: &str) -> Option<Vec<String>> {
    shlex::split(value)
}

fn argv(command: &str, environment: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
    let (prefix, command) = command
        .split_at(command.len() - command.trim_start_matches(['-', '@', ':', '+', '!']).len());
    if prefix.contains(['@', ':']) {
        return Err(format!("ExecStart begins with {prefix:?}"));
    }
    let words = words(command).ok_or("ExecStart has an open quote")?;
    let mut argv = Vec::new();
    for word in words {
        match word.strip_prefix('$') {
            // A word of its own: the value's words, none for an unknown name.
            Some(name) if is_variable(name) => {
                let value = environment
                    .get(name)
                    .map(String::as_str)
                    .unwrap_or_default();
                argv.extend(value.split_whitespace().map(ToOwned::to_owned));
            }
            _ => argv.push(expand(&word, environment)),
        }
    }
    match argv.first() {
        Some(program) if program.starts_with('/') => Ok(argv),
        _ => Err("ExecStart has no absolute path to a program".into()),
    }
}

/// Replaces `${NAME}` within a word; unknown names are empty, as in systemd.
fn expand(word: &str, environment: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let inner = &from[2..];
        match inner.split_once('}') {
            Some((name, after)) if is_variable(name) => {
                out.push_str(
                    environment
                        .get(name)
                        .map(String::as_str)
                        .unwrap_or_default(),
                );
                rest = after;
            }
            _ => {
                out.push_str("${");
                rest = inner;
            }
        }
    }
    out.push_str(rest);
    out.replace("$$", "$")
}

fn variable(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    is_variable(name).then(|| (name.to_owned(), value.to_owned()))
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn account(value: &str) -> Result<Option<String>, String> {
    let sound = value
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_-.$".contains(&b))
        && !value.starts_with('-');
    match value {
        "" | "root" | "0" => Ok(None),
        _ if sound => Ok(Some(value.to_owned())),
        _ => Err(format!("{value:?} is no user or group")),
    }
}

fn restart(value: &str) -> Result<Restart, String> {
    match value {
        "no" | "" => Ok(Restart::No),
        "on-failure" | "on-abnormal" | "on-abort" | "on-watchdog" => Ok(Restart::OnFailure),
        "always" | "on-success" => Ok(Restart::Always),
        _ => Err(format!("it says Restart={value}")),
    }
}

/// systemd.time(7) for what appears in practice: a number of seconds, or with `ms`, `s`, `min`.
fn seconds(value: &str) -> Result<u64, String> {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let number: f64 = digits
        .parse()
        .ok()
        .filter(|number: &f64| (0.0..1e6).contains(number))
        .ok_or_else(|| format!("it says RestartSec={value}"))?;
    let milliseconds = match value[digits.len()..].trim() {
        "" | "s" | "sec" => number * 1000.0,
        "ms" => number,
        "min" | "m" => number * 60_000.0,
        _ => return Err(format!("it says RestartSec={value}")),
    };
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 6e10, checked above"
    )]
    Ok(((milliseconds / 1000.0).ceil() as u64).max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Debian's own unit for Consul 1.8.7, shortened.
    const DEBIAN: &str = r#"
[Unit]
Description=Consul agent
[Service]
Environment="DAEMON_ARGS=-data-dir=/var/lib/consul -config-dir=/etc/consul.d"
ExecStart=/usr/bin/consul agent \
    $DAEMON_ARGS
Restart=on-failure
RestartSec=1500ms
User=consul
; fences
NoNewPrivileges=true
PrivateTmp=true
[Install]
WantedBy=multi-user.target
"#;

    fn reason(content: &str) -> String {
        read("a.service", &format!("[Service]\n{content}"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_unit_as_debian_ships_it_is_understood() {
        let service = read("consul.service", DEBIAN).unwrap();
        assert_eq!(
            service.argv,
            [
                "/usr/bin/consul",
                "agent",
                "-data-dir=/var/lib/consul",
                "-config-dir=/etc/consul.d"
            ]
        );
        assert_eq!(service.user.as_deref(), Some("consul"));
        assert_eq!((service.restart, service.delay), (Restart::OnFailure, 2));
        assert_eq!(service.ignored, ["NoNewPrivileges", "PrivateTmp"]);
    }

    #[test]
    fn what_only_systemd_can_do_is_refused_by_name() {
        assert!(reason("Type=forking\nExecStart=/bin/a").contains("Type=forking"));
        assert!(reason("EnvironmentFile=/etc/a\nExecStart=/bin/a").contains("EnvironmentFile"));
        assert!(reason("ExecStart=/bin/a %i").contains("%i"));
        assert!(reason("ExecStart=a").contains("absolute path"));
        assert!(reason("ExecStart=/bin/a 'b").contains("open quote"));
        assert!(reason("User=a b\nExecStart=/bin/a").contains("no user"));
        assert!(reason("").contains("no ExecStart"));
        assert!(
            read("a.timer", "")
                .unwrap_err()
                .to_string()
                .contains("only services")
        );
    }

    #[test]
    fn arguments_keep_their_spaces_and_shell_characters() {
        let service = read(
            "a.service",
            "[Service]\nEnvironment=ONE=1\nExecStart=/bin/a 'b c' \"$(id)\" x${ONE}y ${NONE} %n 100%%",
        )
        .unwrap();
        assert_eq!(
            service.argv,
            ["/bin/a", "b c", "$(id)", "x1y", "", "a.service", "100%"]
        );
    }

    #[test]
    fn an_empty_exec_start_takes_the_one_before_back() {
        let service = read(
            "a.service",
            "[Service]\nExecStart=/bin/a\nExecStart=\nExecStart=-/bin/b",
        )
        .unwrap();
        assert_eq!(service.argv, ["/bin/b"]);
    }

    proptest! {
        #[test]
        fn no_content_makes_the_reader_panic(content in "(\\[Service\\]\n)?[ -~\n]{0,200}") {
            let _ = read("a.service", &content);
        }

        #[test]
        fn no_value_makes_the_reader_panic(key in "ExecStart|Environment|RestartSec|User|Restart", value in ".{0,60}") {
            let _ = read("a.service", &format!("[Service]\n{key}={value}"));
        }
    }
}
