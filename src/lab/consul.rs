//! What a simulated Consul agent does with its configuration before it starts, and what it says.
//!
//! Reads the files that the command line names, JSON or the part of HCL that Consul's configuration is written in, and
//! refuses what the real agent refuses for the same reasons: no such path, a syntax error with its position, no
//! `data_dir`.

mod hcl;

use serde_json::{Map, Value};

use super::world::CONSUL_VERSION;
use super::world::files::Files;

/// What an agent has read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AgentConfig {
    settings: Map<String, Value>,
}

impl AgentConfig {
    /// The lines an agent prints when it comes up.
    pub(crate) fn greeting(&self, host: &str) -> Vec<String> {
        let text = |key: &str, default: &str| {
            self.settings
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or(default)
                .to_owned()
        };
        let server = self.settings.get("server") == Some(&Value::Bool(true));
        vec![
            "==> Starting Consul agent...".into(),
            format!("           Version: '{}'", upstream_version()),
            format!("         Node name: '{}'", text("node_name", host)),
            format!("        Datacenter: '{}'", text("datacenter", "dc1")),
            format!("            Server: {server}"),
            "==> Log data will now stream in as it occurs:".into(),
            "    [INFO]  agent: Consul agent running!".into(),
        ]
    }
}

/// The upstream part of the pinned Debian version.
pub(crate) fn upstream_version() -> &'static str {
    let end = CONSUL_VERSION
        .find(['+', '-'])
        .unwrap_or(CONSUL_VERSION.len());
    &CONSUL_VERSION[..end]
}

/// Reads the configuration that `argv` (`consul agent …`) asks for.
///
/// # Errors
/// What the agent prints before it exits with status 1.
pub(crate) fn agent_config(files: &Files, argv: &[String]) -> Result<AgentConfig, String> {
    let mut settings = Map::new();
    let mut arguments = argv.iter().skip(2).peekable();
    let mut dev = false;
    while let Some(argument) = arguments.next() {
        let flag = argument.trim_start_matches('-');
        let (name, inline) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        let mut value = || {
            inline
                .clone()
                .or_else(|| arguments.next().cloned())
                .unwrap_or_default()
        };
        match name {
            "config-dir" | "config-file" => read_path(files, &value(), &mut settings)?,
            "data-dir" => {
                settings.insert("data_dir".into(), Value::String(value()));
            }
            "dev" => dev = true,
            "server" => {
                settings.insert("server".into(), Value::Bool(true));
            }
            _ => {}
        }
    }
    let data_dir = settings.get("data_dir").and_then(Value::as_str);
    if !dev && data_dir.is_none_or(str::is_empty) {
        return Err("data_dir cannot be empty".into());
    }
    Ok(AgentConfig { settings })
}

/// Checks the paths given to `consul validate`.
///
/// # Errors
/// What the command prints before it exits with status 1.
pub(crate) fn validate(files: &Files, paths: &[String]) -> Result<(), String> {
    let mut settings = Map::new();
    for path in paths {
        read_path(files, path, &mut settings)?;
    }
    match settings.get("data_dir").and_then(Value::as_str) {
        None | Some("") => Err("data_dir cannot be empty".into()),
        Some(_) => Ok(()),
    }
}

fn read_path(files: &Files, path: &str, into: &mut Map<String, Value>) -> Result<(), String> {
    let entry = files.stat(path).map_err(|_| {
        format!("config: ReadPath failed on {path}: stat {path}: no such file or directory")
    })?;
    if !entry.is_dir() {
        return read_file(files, path, into);
    }
    let base = path.trim_end_matches('/');
    for name in files.list(path).unwrap_or_default() {
        if is_json(&name) || suffix(&name) == "hcl" {
            read_file(files, &format!("{base}/{name}"), into)?;
        }
    }
    Ok(())
}

fn suffix(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, suffix)| suffix)
}

/// Whether a file is taken for JSON by its name.
pub(crate) fn is_json(path: &str) -> bool {
    suffix(path) == "json"
}

fn read_file(files: &Files, path: &str, into: &mut Map<String, Value>) -> Result<(), String> {
    let bytes = files
        .read(path)
        .map_err(|error| format!("config: ReadPath failed on {path}: {error}"))?;
    let text = String::from_utf8_lossy(bytes);
    let parsed = if is_json(path) || text.trim_start().starts_with('{') {
        serde_json::from_str::<Map<String, Value>>(&text).map_err(|error| error.to_string())
    } else {
        hcl::parse(&text)
    };
    into.extend(parsed.map_err(|error| format!("failed to parse {path}: {error}"))?);
    Ok(())
}
