//! What stands on each page: the question, why it is asked, and its rows.

use super::model::{Page, Wizard, observed};
use crate::domain::bootstrap::stage::Stage;
use crate::domain::bootstrap::{ADOPTED, Purpose, refusals, suggested_consul, used};
use crate::domain::platform::{Arch, Software};
use crate::domain::service::{SecretRef, ServiceKind};
use crate::domain::stack::Stack;
use crate::domain::table::Tone;
use crate::tui::world::{Known, World};

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    BareLab,
    RunningLab,
    Build,
    Adopt,
    Typed,
    Url(ServiceKind),
    Token(ServiceKind),
    Ca(ServiceKind),
    User,
    Identity,
    Jump,
    Host(String),
    Stack(Stack),
    Member(String),
    Version(Software),
    ConsulFrom,
    Source(Software, Arch),
    Sum(Software, Arch),
    Environment,
    Workspace,
    Protection,
    Network,
    Acl,
    Gossip,
    Shares,
    Threshold,
    Daily,
    Recipients,
    Stage(Stage),
    Bridge,
    Another,
    Next,
}

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) field: Field,
    pub(super) label: String,
    pub(super) value: String,
    pub(super) note: String,
    pub(super) tone: Tone,
    /// Whether it is taken in, where that is what the row is about.
    pub(super) on: Option<bool>,
}

impl Row {
    pub(super) fn new(field: Field, label: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            field,
            label: label.into(),
            value: value.into(),
            note: String::new(),
            tone: Tone::Plain,
            on: None,
        }
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    pub(super) const fn toned(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    const fn on(mut self, on: bool) -> Self {
        self.on = Some(on);
        self
    }
}

fn yes(on: bool) -> &'static str {
    if on { "yes" } else { "no" }
}

/// Where a secret is, as it is typed: a path, or `$VARIABLE`.
fn told(secret: &SecretRef) -> String {
    match secret {
        SecretRef::Env(name) => format!("${name}"),
        SecretRef::File(path) => path.display().to_string(),
        SecretRef::Generated(name) => format!("the one called {name}"),
        SecretRef::Command(argv) => format!("the command {}", argv.join(" ")),
    }
}

impl Wizard {
    /// The question of the page, and why it is asked.
    pub(super) fn question(&self) -> (&'static str, &'static str) {
        let adopts = self.answers.purpose == Purpose::Adopt;
        match self.page {
            Page::Start => (
                "What would you like to do?",
                "Nothing is changed anywhere before you have seen it and said yes. q quits at any time; the next start has \
                 your answers filled in.",
            ),
            Page::Hosts if adopts => (
                "Where is what runs already?",
                "Consul, Nomad and Kubernetes tell their members; hosts can be added by hand as well. They are looked at over \
                 SSH, and nothing on them is changed.",
            ),
            Page::Hosts => (
                "Which hosts?",
                "Any machine that you can log in to by SSH: `ssh ADDRESS` must work, as root or as a user with sudo. Those \
                 below are known to your SSH client.",
            ),
            Page::Probe => (
                "Looking at the hosts",
                "Each is asked once what it is. When one shows a key that is not known, or wants a password, you are asked.",
            ),
            Page::Stack => (
                "What shall be built?",
                "The software of a stack is installed in this order, each waiting for the health of the one before. What these \
                 hosts cannot run is refused, with the reason.",
            ),
            Page::Roles => (
                "Who does what?",
                "Voters are an odd number, spread over networks: 3 survive the loss of 1, and 4 would not survive more. Space \
                 changes a role.",
            ),
            Page::Software => (
                "Which versions, and from where?",
                "Versions are pinned, so that every node gets the same. Programs are fetched once, here, checked against their \
                 SHA-256 and pushed: nodes need no internet.",
            ),
            Page::Details => (
                "Name, network, secrets, backups",
                "The defaults are safe. Secrets are made by the first run and kept where the engine is, never in these files.",
            ),
            Page::Review => (
                "These files will be written",
                "They are yours: keep the directory in Git, edit them as you like. Nothing that is there is replaced unseen.",
            ),
            Page::Stages => (
                "From files to a cluster",
                "Each is an ordinary run: planned, shown, agreed to. What is done is read from the record, so you can leave and \
                 come back.",
            ),
        }
    }

    /// The rows of the page.
    pub(super) fn rows(&self, world: &World) -> Vec<Row> {
        let mut rows = match self.page {
            Page::Start => self.start_rows(),
            Page::Hosts => self.host_rows(),
            Page::Probe => self.probe_rows(world),
            Page::Stack => self.stack_rows(world),
            Page::Roles => self.role_rows(world),
            Page::Software => self.software_rows(world),
            Page::Details => self.detail_rows(world),
            Page::Review => return Vec::new(),
            Page::Stages => return self.stage_rows(world),
        };
        if self.page != Page::Start {
            rows.push(Row::new(Field::Next, "[ Next ]", "").toned(Tone::Accent));
        }
        rows
    }

    pub(super) fn start_rows(&self) -> Vec<Row> {
        let stack = match self.answers.stack {
            stack @ (Stack::Nomad | Stack::Kubernetes) => stack,
            _ => Stack::Consul,
        };
        let chosen = |purpose| {
            if self.is_decided_for(purpose) {
                "your choice so far"
            } else {
                ""
            }
        };
        vec![
            Row::new(
                Field::BareLab,
                "Practise: build in the lab",
                format!("< {stack} >"),
            )
            .note("five simulated boards with nothing on them; space changes the stack"),
            Row::new(Field::RunningLab, "Practise: a cluster that runs", "")
                .note("the same boards with everything on them, and faults to try out"),
            Row::new(Field::Build, "Build new on hosts", chosen(Purpose::Build))
                .note("install a stack on machines of yours"),
            Row::new(Field::Adopt, "Adopt what exists", chosen(Purpose::Adopt))
                .note("watch, and act on, a cluster that runs already; installs nothing"),
        ]
    }

    fn host_rows(&self) -> Vec<Row> {
        let answers = &self.answers;
        let mut rows = Vec::new();
        if answers.purpose == Purpose::Adopt {
            for kind in ADOPTED {
                let adopted = answers.adopt.get(&kind);
                let url = adopted.map(|one| one.url.clone()).unwrap_or_default();
                rows.push(
                    Row::new(Field::Url(kind), kind.title(), url)
                        .note(format!("such as http://10.0.0.11:{}", kind.default_port())),
                );
                let Some(adopted) = adopted else { continue };
                let secret = adopted.secret.as_ref().map(told).unwrap_or_default();
                rows.push(
                    Row::new(Field::Token(kind), "  its token", secret)
                        .note("the file that it is in, or $VARIABLE; empty: without"),
                );
                if adopted.url.starts_with("https:") {
                    let file = adopted.ca.as_ref().map(|file| file.display().to_string());
                    rows.push(
                        Row::new(Field::Ca(kind), "  its authority", file.unwrap_or_default())
                            .note("a PEM file; empty: those that this system trusts"),
                    );
                }
            }
        }
        let hint = match self.candidates {
            Known::Asked => "looking for them",
            _ => "pc1, 10.0.0.11, 10.0.0.11-14 or 10.0.0.0/24",
        };
        rows.push(Row::new(Field::Typed, "Add hosts", self.typed.clone()).note(hint));
        let ssh = &answers.ssh;
        rows.push(
            Row::new(
                Field::User,
                "Log in as",
                ssh.user.clone().unwrap_or_default(),
            )
            .note("empty: as ~/.ssh/config says, else root"),
        );
        rows.push(
            Row::new(Field::Identity, "Key file", ssh.identities.join(" "))
                .note("empty: your agent and the usual files of ~/.ssh"),
        );
        rows.push(
            Row::new(Field::Jump, "Through", ssh.jump.clone().unwrap_or_default())
                .note("empty: straight; else one of the hosts, which leads to the others"),
        );
        for host in &answers.hosts {
            let key = host.key();
            rows.push(Row::new(Field::Host(key.clone()), key, "").on(true));
        }
        if let Known::Ready(found) = &self.candidates {
            let new = |address: &str| answers.host(address).is_none();
            for one in found.iter().filter(|one| new(&one.address)) {
                let note = match one.listens {
                    Some(true) => format!("{}, SSH listens", one.from),
                    Some(false) => format!("{}, no SSH heard", one.from),
                    None => one.from.to_string(),
                };
                rows.push(
                    Row::new(Field::Host(one.address.clone()), one.address.clone(), "")
                        .note(note)
                        .on(false),
                );
            }
        }
        rows
    }

    fn probe_rows(&self, world: &World) -> Vec<Row> {
        let hosts = self.answers.hosts.iter();
        hosts
            .map(|host| {
                let key = host.key();
                let seen = observed(world, &key);
                let row = Row::new(Field::Host(key.clone()), key.clone(), "");
                match seen {
                    Some(one) if one.value.is_some() => {
                        let report = one.value.as_ref();
                        let machine = report
                            .map(|report| crate::domain::bootstrap::Machine::seen(host, report));
                        let Some(machine) = machine else { return row };
                        let arch = machine
                            .arch
                            .map_or(machine.hardware.as_str(), |arch| arch.word());
                        Row {
                            value: format!(
                                "{} {arch} {:.1} GiB",
                                machine.platform,
                                machine.memory as f64 / f64::from(1 << 30)
                            ),
                            ..row
                        }
                        .note(format!("{} - {}", machine.hostname, machine.os))
                        .toned(Tone::Good)
                    }
                    Some(one) if one.trouble.is_some() => {
                        let reason = one.trouble.as_ref().map(|trouble| trouble.reason.clone());
                        let reason = reason.unwrap_or_default();
                        let reason = reason.strip_prefix(&format!("{key}: ")).unwrap_or(&reason);
                        row.note(reason).toned(Tone::Bad)
                    }
                    _ => row.note("asking").toned(Tone::Muted),
                }
            })
            .collect()
    }

    fn stack_rows(&self, world: &World) -> Vec<Row> {
        let machines = self.machines(world);
        let rows = Stack::ALL.iter().map(|stack| {
            let order: Vec<&str> = stack.order().iter().map(|one| one.word()).collect();
            let row =
                Row::new(Field::Stack(*stack), stack.word(), "").on(*stack == self.answers.stack);
            match refusals(*stack, &machines).first() {
                Some(first) => row.note(format!("no: {}", first.reason)).toned(Tone::Muted),
                None => row.note(order.join(", ")),
            }
        });
        rows.collect()
    }

    fn role_rows(&self, world: &World) -> Vec<Row> {
        let machines = self.machines(world);
        let members = self.members(world);
        let rows = members.iter().zip(&machines).map(|(member, machine)| {
            let roles: Vec<&str> = member.roles.iter().map(|role| role.word()).collect();
            let roles = if roles.is_empty() {
                "no role".to_owned()
            } else {
                roles.join(" ")
            };
            Row::new(
                Field::Member(machine.key.clone()),
                member.name.clone(),
                roles,
            )
            .note(member.why.join("; "))
        });
        rows.collect()
    }

    fn software_rows(&self, world: &World) -> Vec<Row> {
        let members = self.members(world);
        let answers = &self.answers;
        let mut rows = Vec::new();
        for software in used(answers.stack, &members) {
            let version = answers
                .versions
                .get(software.word())
                .cloned()
                .unwrap_or_default();
            let mut row = Row::new(
                Field::Version(software),
                format!("{software} version"),
                version,
            )
            .note("such as 1.8.7; the whole version, or its beginning");
            let packaged = !answers.artifacts.contains_key("consul");
            if software == Software::Consul && packaged {
                let known = suggested_consul(&self.machines(world));
                if known.is_some() {
                    row = row.note("what the nodes' system packages");
                }
            }
            rows.push(row);
            if software == Software::Consul {
                let from = if packaged {
                    "< the node's packages >"
                } else {
                    "< a package you bring >"
                };
                rows.push(Row::new(Field::ConsulFrom, "  from", from));
                if packaged {
                    continue;
                }
            }
            for arch in Arch::ALL {
                let needed = members.iter().any(|member| {
                    let mut roles = member.roles.iter();
                    member.arch == Some(*arch)
                        && roles.any(|role| role.software() == Some(software))
                });
                if !needed {
                    continue;
                }
                let brought = answers
                    .artifacts
                    .get(software.word())
                    .and_then(|by| by.of(*arch));
                let text = |pick: fn(&crate::domain::bootstrap::Brought) -> &String| {
                    brought.map(|one| pick(one).clone()).unwrap_or_default()
                };
                rows.push(
                    Row::new(
                        Field::Source(software, *arch),
                        format!("  {arch} from"),
                        text(|one| &one.source),
                    )
                    .note("an URL, or the path of a file here"),
                );
                rows.push(
                    Row::new(
                        Field::Sum(software, *arch),
                        "  SHA-256",
                        text(|one| &one.sha256),
                    )
                    .note("64 digits; of a file here it is worked out"),
                );
            }
        }
        rows
    }

    fn detail_rows(&self, world: &World) -> Vec<Row> {
        let answers = &self.answers;
        let adopts = answers.purpose == Purpose::Adopt;
        let exists = self.beginning.as_ref().is_some_and(|one| one.exists);
        let mut rows = Vec::new();
        if !exists {
            rows.push(
                Row::new(Field::Workspace, "Workspace", answers.workspace.clone())
                    .note("what all of this is called on screens"),
            );
        }
        rows.push(
            Row::new(
                Field::Environment,
                "Environment",
                answers.environment.clone(),
            )
            .note("such as home, staging, production"),
        );
        rows.push(
            Row::new(
                Field::Protection,
                "Protection",
                format!("< {} >", answers.protection),
            )
            .note("open asks for destruction only, confirm for every change, typed for the name"),
        );
        let network = answers.network.as_deref().unwrap_or("as they are reached");
        rows.push(
            Row::new(Field::Network, "Nodes' network", format!("< {network} >"))
                .note("by which the nodes reach each other"),
        );
        if !adopts {
            let members = self.members(world);
            let secrets = &answers.secrets;
            rows.push(
                Row::new(Field::Acl, "Consul tokens", yes(secrets.consul_acl))
                    .note("nobody uses Consul without one"),
            );
            rows.push(
                Row::new(
                    Field::Gossip,
                    "Consul encryption",
                    yes(secrets.consul_gossip),
                )
                .note("what members say to each other"),
            );
            if used(answers.stack, &members).contains(&Software::Vault) {
                rows.push(
                    Row::new(
                        Field::Shares,
                        "Vault shares",
                        secrets.vault_shares.to_string(),
                    )
                    .note("one for each keeper"),
                );
                rows.push(
                    Row::new(
                        Field::Threshold,
                        "  to unseal",
                        secrets.vault_threshold.to_string(),
                    )
                    .note("so many of them must come together"),
                );
            }
        }
        rows.push(
            Row::new(Field::Daily, "Daily snapshot", yes(answers.backups.daily))
                .note("taken and verified while the engine runs"),
        );
        rows.push(
            Row::new(
                Field::Recipients,
                "  encrypted for",
                answers.backups.recipients.join(" "),
            )
            .note("age recipients (age1...); empty: not encrypted"),
        );
        rows
    }
}
