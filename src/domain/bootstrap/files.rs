//! The files of a new workspace: text that an operator could have written, that the loader reads back to the same model.

use std::fmt::Write as _;
use std::path::PathBuf;

use similar::{ChangeTag, TextDiff};

use super::answers::{Answers, Purpose};
use super::propose::Member;
use crate::domain::environment::Protection;
use crate::domain::node::Role;
use crate::domain::platform::{Arch, Software};
use crate::domain::service::{SecretRef, ServiceKind};

/// A file that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// Its path in the workspace.
    pub path: PathBuf,
    /// Its whole content.
    pub text: String,
}

/// The files of the workspace. `added` is true where there is a workspace that gets one more environment.
pub fn files(answers: &Answers, members: &[Member], added: bool) -> Vec<NewFile> {
    let file = |path: String, text| NewFile {
        path: path.into(),
        text,
    };
    let environment = file(
        format!("environments/{}.yaml", answers.environment),
        environment(answers, members),
    );
    if added {
        return vec![environment];
    }
    vec![
        file("quarterdeck.yaml".into(), workspace(answers)),
        environment,
        file(
            ".gitignore".into(),
            "# Secrets are referred to in this workspace, and never kept in it.\nsecrets/\n*.key\n*.pem\n.env\n".into(),
        ),
    ]
}

fn workspace(answers: &Answers) -> String {
    format!(
        "# The settings of this workspace: `quarterdeck schema workspace` describes every key. Keep the directory in Git.\n\
         name: {}\ndefault_environment: {}\n",
        text(&answers.workspace),
        text(&answers.environment)
    )
}

/// The environment's file. Writing to a `String` cannot fail, here and below.
fn environment(answers: &Answers, members: &[Member]) -> String {
    let adopts = answers.purpose == Purpose::Adopt;
    let mut out = String::new();
    let _ = write!(
        out,
        "# Made by `quarterdeck bootstrap`; from here on it is yours. `quarterdeck check` says what is wrong with it,\n\
         # `quarterdeck schema environment` describes every key.\n\
         environment:\n  name: {}\n  # How hard it is to change: open, confirm, typed or two-person.\n  protection: {}\n",
        text(&answers.environment),
        answers.protection
    );
    if !adopts {
        let _ = writeln!(out, "  stack: {}", answers.stack);
    }
    versions(answers, &mut out);
    ssh(answers, members, &mut out);
    nodes(members, &mut out);
    services(answers, members, &mut out);
    artifacts(answers, &mut out);
    saving(answers, members, &mut out);
    if !adopts && answers.stack.order().contains(&Software::Consul) {
        let _ = write!(
            out,
            "\n# The recipe `consul` makes the key and the first token, and keeps them where the engine is.\n\
             variables:\n  consul:\n    gossip: {}\n    acl: {}\n",
            answers.secrets.consul_gossip, answers.secrets.consul_acl
        );
    }
    out
}

fn versions(answers: &Answers, out: &mut String) {
    if answers.versions.is_empty() {
        return;
    }
    out.push_str(
        "\n# Pinned: every node, and every one that joins later, gets these.\nversions:\n",
    );
    for (software, version) in &answers.versions {
        let _ = writeln!(out, "  {}: {}", text(software), quoted(version));
    }
}

fn ssh(answers: &Answers, members: &[Member], out: &mut String) {
    let ssh = &answers.ssh;
    let jump = members.iter().find(|member| member.jump);
    let silent = ssh.user.is_none()
        && ssh.identities.is_empty()
        && ssh.known_hosts.is_none()
        && jump.is_none();
    if silent {
        return;
    }
    out.push_str(
        "\n# What is not said here is taken from ~/.ssh/config, as `ssh ADDRESS` would.\nssh:\n",
    );
    if let Some(user) = &ssh.user {
        let _ = writeln!(out, "  user: {}", text(user));
    }
    if !ssh.identities.is_empty() {
        let keys: Vec<String> = ssh.identities.iter().map(|key| text(key)).collect();
        let _ = writeln!(out, "  identities: [{}]", keys.join(", "));
    }
    if let Some(file) = &ssh.known_hosts {
        let _ = writeln!(out, "  known_hosts: {}", text(file));
    }
    if let Some(jump) = jump {
        let _ = writeln!(out, "  jump: {}", text(&jump.name));
    }
}

fn nodes(members: &[Member], out: &mut String) {
    out.push_str(if members.is_empty() {
        "\nnodes: []\n"
    } else {
        "\nnodes:\n"
    });
    for member in members {
        let roles: Vec<&str> = member.roles.iter().map(|role| role.word()).collect();
        for why in &member.why {
            let _ = writeln!(out, "  # {}", comment(why));
        }
        let _ = write!(
            out,
            "  - name: {}\n    address: {}\n    platform: {}\n",
            text(&member.name),
            text(&member.address),
            member.platform
        );
        if let (None, Some(arch)) = (member.platform.fixed_arch(), member.arch) {
            let _ = writeln!(out, "    arch: {arch}");
        }
        let _ = writeln!(out, "    roles: [{}]", roles.join(", "));
        if let Some(lan) = member.lan {
            let _ = write!(
                out,
                "    labels:\n      # Where the other nodes reach it.\n      lan: {}\n",
                quoted(&lan.to_string())
            );
        }
        if member.port.is_some() || member.jump {
            out.push_str("    ssh:\n");
        }
        if let Some(port) = member.port {
            let _ = writeln!(out, "      port: {port}");
        }
        if member.jump {
            out.push_str("      jump: none\n");
        }
    }
}

fn services(answers: &Answers, members: &[Member], out: &mut String) {
    let has = |role: Role| members.iter().any(|member| member.roles.contains(&role));
    let mut entries = String::new();
    if answers.purpose == Purpose::Adopt {
        for (kind, adopted) in &answers.adopt {
            let url = text(&adopted.url);
            let _ = write!(entries, "  - kind: {kind}\n    url: {url}\n");
            if let Some(secret) = &adopted.secret {
                let _ = writeln!(entries, "    secret:\n      {}", reference(secret));
            }
            if let Some(ca) = &adopted.ca {
                let _ = writeln!(entries, "    ca: {}", text(&ca.to_string_lossy()));
            }
        }
    } else {
        for (kind, role, secret) in [
            (ServiceKind::Consul, Role::ConsulServer, "consul-management"),
            (ServiceKind::Vault, Role::Vault, ""),
            (ServiceKind::Nomad, Role::NomadServer, ""),
            (ServiceKind::Traefik, Role::Traefik, ""),
            (ServiceKind::Grafana, Role::Grafana, ""),
            (ServiceKind::Kubernetes, Role::KubernetesServer, ""),
        ] {
            if !has(role) {
                continue;
            }
            let _ = writeln!(entries, "  - kind: {kind}");
            if !secret.is_empty() && answers.secrets.consul_acl {
                let _ = writeln!(entries, "    secret:\n      generated: {secret}");
            }
        }
    }
    if !entries.is_empty() {
        out.push_str("\n# Without a `url` a service is looked for at its usual port on the nodes whose role it is.\nservices:\n");
        out.push_str(&entries);
    }
}

/// Where a secret is, as the file says it.
fn reference(secret: &SecretRef) -> String {
    match secret {
        SecretRef::Env(name) => format!("env: {}", text(name)),
        SecretRef::File(path) => format!("file: {}", text(&path.to_string_lossy())),
        SecretRef::Generated(name) => format!("generated: {}", text(name)),
        SecretRef::Command(argv) => {
            let words: Vec<String> = argv.iter().map(|word| quoted(word)).collect();
            format!("command: [{}]", words.join(", "))
        }
    }
}

fn artifacts(answers: &Answers, out: &mut String) {
    if answers.artifacts.is_empty() || answers.purpose == Purpose::Adopt {
        return;
    }
    out.push_str("\n# Fetched once where the engine is, checked against the sum, pushed by SSH: nodes need no internet.\nartifacts:\n");
    for (software, by) in &answers.artifacts {
        let _ = writeln!(out, "  {}:", text(software));
        for arch in Arch::ALL {
            if let Some(brought) = by.of(*arch) {
                let _ = write!(
                    out,
                    "    {arch}:\n      source: {}\n      sha256: {}\n",
                    text(&brought.source),
                    quoted(&brought.sha256)
                );
            }
        }
    }
}

fn saving(answers: &Answers, members: &[Member], out: &mut String) {
    let backups = &answers.backups;
    if !backups.recipients.is_empty() {
        let keys: Vec<String> = backups.recipients.iter().map(|key| text(key)).collect();
        let _ = write!(
            out,
            "\nbackups:\n  # Snapshots are encrypted for these.\n  recipients: [{}]\n",
            keys.join(", ")
        );
    }
    let consul = members
        .iter()
        .any(|one| one.roles.contains(&Role::ConsulServer))
        || answers.adopt.contains_key(&ServiceKind::Consul);
    if backups.daily && consul {
        out.push_str(
            "\nschedules:\n  # Saves and verifies the state of Consul. Remove `params` once the other services have their `secret`.\n  \
             - name: snapshot-daily\n    recipe: snapshot\n    cron: \"@daily\"\n    params:\n      service: consul\n",
        );
    }
}

/// A scalar that YAML reads as this text: plain where that is beyond doubt, else in quotes.
fn text(value: &str) -> String {
    let plain = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '@'))
        && !matches!(
            value.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n" | "inf" | "nan"
        );
    if plain {
        value.to_owned()
    } else {
        quoted(value)
    }
}

/// A double-quoted scalar; JSON strings are YAML.
fn quoted(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

fn comment(value: &str) -> String {
    value
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// What a line of a difference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// As it was.
    Same,
    /// To be written.
    Added,
    /// To be taken away.
    Removed,
}

/// How `new` differs from `old`, line by line.
pub fn difference(old: &str, new: &str) -> Vec<(Change, String)> {
    TextDiff::from_lines(old, new)
        .iter_all_changes()
        .map(|change| {
            let what = match change.tag() {
                ChangeTag::Equal => Change::Same,
                ChangeTag::Insert => Change::Added,
                ChangeTag::Delete => Change::Removed,
            };
            (what, change.value().trim_end_matches('\n').to_owned())
        })
        .collect()
}

impl Answers {
    /// Whether every change of the environment asks for its name.
    pub fn is_guarded(&self) -> bool {
        matches!(self.protection, Protection::Typed | Protection::TwoPerson)
    }
}
