//! Taking in what is typed and chosen.

use std::path::PathBuf;

use super::super::Intent;
use super::model::{Page, Wizard, work};
use super::rows::Field;
use crate::domain::bootstrap::{
    Answers, Brought, BroughtBy, HostAnswer, Purpose, expand, networks, parts, refusals,
    suggested_consul, used, usual_variable,
};
use crate::domain::environment::Protection;
use crate::domain::node::Role;
use crate::domain::platform::{Arch, Software};
use crate::domain::service::{SecretRef, ServiceKind};
use crate::domain::stack::Stack;
use crate::domain::table::Tone;
use crate::tui::ground::{Outcome, Work};
use crate::tui::message::Place;
use crate::tui::world::{Known, World};

impl Wizard {
    /// What enter does on the row under the cursor.
    pub(super) fn enter(&mut self, world: &World) -> Vec<Intent> {
        if self.page == Page::Review {
            return self.next(world);
        }
        let Some(row) = self.current(world) else {
            return Vec::new();
        };
        match row.field {
            Field::Next => self.next(world),
            Field::BareLab => {
                let stack = match self.answers.stack {
                    stack @ (Stack::Nomad | Stack::Kubernetes) => stack,
                    _ => Stack::Consul,
                };
                vec![Intent::Leave(Outcome::Lab(Some(stack)))]
            }
            Field::RunningLab => vec![Intent::Leave(Outcome::Lab(None))],
            Field::Build => self.begin(world, Purpose::Build),
            Field::Adopt => self.begin(world, Purpose::Adopt),
            Field::Bridge => vec![Intent::Go(Place::Bridge)],
            Field::Another => {
                // Where to log in and how stays; hosts and names are another's.
                self.answers = Answers {
                    ssh: std::mem::take(&mut self.answers.ssh),
                    ..Answers::default()
                };
                if let Some(beginning) = &mut self.beginning {
                    beginning.resumed = false;
                }
                self.decided = false;
                self.page = Page::Start;
                self.cursor = 2;
                Vec::new()
            }
            Field::Stage(stage) => self.do_stage(world, stage),
            Field::Typed
            | Field::Url(_)
            | Field::Token(_)
            | Field::Ca(_)
            | Field::User
            | Field::Identity
            | Field::Jump
            | Field::Version(_)
            | Field::Source(..)
            | Field::Sum(..)
            | Field::Environment
            | Field::Workspace
            | Field::Shares
            | Field::Threshold
            | Field::Recipients => {
                self.filling = Some(row.field);
                vec![Intent::Fill {
                    label: row.label.trim().to_owned(),
                    hint: row.note,
                    text: row.value,
                }]
            }
            // Where everybody means to go on, enter goes on.
            Field::Host(_) if self.page == Page::Probe => self.next(world),
            _ => self.cycle(world, true),
        }
    }

    fn begin(&mut self, world: &World, purpose: Purpose) -> Vec<Intent> {
        self.answers.purpose = purpose;
        self.decided = true;
        self.go(world, Page::Hosts)
    }

    /// What was typed for the row that asked.
    pub(crate) fn fill(&mut self, world: &World, text: &str) -> Vec<Intent> {
        let Some(field) = self.filling.take() else {
            return Vec::new();
        };
        let some = || (!text.is_empty()).then(|| text.to_owned());
        let words = || text.split_whitespace().map(ToOwned::to_owned).collect();
        let answers = &mut self.answers;
        let wrong = |sentence: String| vec![Intent::Say(sentence, Tone::Warn)];
        match field {
            Field::Typed => {
                if let Err(error) = expand(text) {
                    return wrong(error.to_string());
                }
                text.clone_into(&mut self.typed);
                self.candidates = Known::Asked;
                return vec![Intent::Do(work(Work::Find(self.typed.clone())))];
            }
            Field::Url(kind) => {
                if text.is_empty() {
                    answers.adopt.remove(&kind);
                    return Vec::new();
                }
                if !text.starts_with("http://") && !text.starts_with("https://") {
                    return wrong(format!(
                        "{text:?} is no URL: it begins with http:// or https://"
                    ));
                }
                let adopted = answers.adopt.entry(kind).or_default();
                text.clone_into(&mut adopted.url);
                let set = self.beginning.as_ref().map(|one| &*one.variables);
                let usual = usual_variable(kind).filter(|name| {
                    set.is_some_and(|set| set.iter().any(|variable| variable == name))
                });
                if adopted.secret.is_none() {
                    adopted.secret = usual.map(|name| SecretRef::Env(name.into()));
                }
                return self.ask(kind);
            }
            Field::Token(kind) => {
                let secret = match text.strip_prefix('$') {
                    Some(name) => Some(SecretRef::Env(name.to_owned())),
                    None => some().map(|file| SecretRef::File(self.at_home(&file))),
                };
                self.answers.adopt.entry(kind).or_default().secret = secret;
                return self.ask(kind);
            }
            Field::Ca(kind) => {
                let file = some().map(|file| self.at_home(&file));
                self.answers.adopt.entry(kind).or_default().ca = file;
                return self.ask(kind);
            }
            Field::User => answers.ssh.user = some(),
            Field::Identity => answers.ssh.identities = words(),
            Field::Jump => {
                answers.ssh.jump = some();
                if !text.is_empty() && answers.host(text).is_none() {
                    self.take_in(text);
                }
            }
            Field::Version(software) => {
                let word = software.word().to_owned();
                if text.is_empty() {
                    answers.versions.remove(&word);
                } else if text.starts_with(|c: char| c.is_ascii_digit()) {
                    answers.versions.insert(word, text.to_owned());
                } else {
                    return wrong(format!(
                        "{text:?} is no version: it begins with a number, such as 1.8.7"
                    ));
                }
            }
            Field::Source(software, arch) => {
                text.clone_into(&mut self.brought(software, arch).source);
                if text.starts_with('/') {
                    let sum = Work::Checksum(software, arch, text.to_owned());
                    return vec![Intent::Do(work(sum))];
                }
            }
            Field::Sum(software, arch) => {
                if text.len() != 64 || !text.chars().all(|c| c.is_ascii_hexdigit()) {
                    return wrong(
                        "a SHA-256 sum has 64 hexadecimal digits, as `sha256sum FILE` prints them"
                            .into(),
                    );
                }
                self.summed(software, arch, text.to_ascii_lowercase());
            }
            Field::Environment | Field::Workspace => {
                let fits = text.len() < 64
                    && text.starts_with(|c: char| c.is_ascii_alphanumeric())
                    && text
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
                if !fits {
                    return wrong(format!(
                        "{text:?} is no name: letters, digits, `.`, `_` and `-`, a letter or digit first"
                    ));
                }
                if field == Field::Environment {
                    text.clone_into(&mut answers.environment);
                } else {
                    text.clone_into(&mut answers.workspace);
                }
            }
            Field::Shares | Field::Threshold => match text.parse::<u32>() {
                Ok(number @ 1..=255) if field == Field::Shares => {
                    answers.secrets.vault_shares = number;
                }
                Ok(number @ 1..=255) => answers.secrets.vault_threshold = number,
                _ => return wrong(format!("{text:?} is no number from 1 to 255")),
            },
            Field::Recipients => answers.backups.recipients = words(),
            _ => return Vec::new(),
        }
        // On to the row below, as forms do.
        self.cursor = (self.cursor + 1).min(self.rows(world).len().saturating_sub(1));
        vec![Intent::Do(self.remember())]
    }

    /// Asks a service that is adopted for its members.
    fn ask(&self, kind: ServiceKind) -> Vec<Intent> {
        let adopted = self.answers.adopt.get(&kind).cloned().unwrap_or_default();
        let members = Work::Members(kind, Box::new(adopted));
        vec![Intent::Do(self.remember()), Intent::Do(work(members))]
    }

    /// A path as it was typed, with what `~` means.
    fn at_home(&self, typed: &str) -> PathBuf {
        let home = self.beginning.as_ref().and_then(|one| one.home.as_ref());
        match (typed.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => typed.into(),
        }
    }

    /// The next value of the row under the cursor, or the one before.
    pub(super) fn cycle(&mut self, world: &World, forward: bool) -> Vec<Intent> {
        let Some(row) = self.current(world) else {
            return Vec::new();
        };
        match row.field {
            Field::BareLab => {
                let all = [Stack::Consul, Stack::Nomad, Stack::Kubernetes];
                self.answers.stack = turned(&all, &self.answers.stack, forward);
            }
            Field::Host(key) if self.page == Page::Hosts => {
                if self.answers.host(&key).is_some() {
                    self.answers.hosts.retain(|host| host.key() != key);
                } else {
                    self.take_in(&key);
                }
            }
            Field::Stack(stack) => {
                if let Some(first) = refusals(stack, &self.machines(world)).first() {
                    let sentence = format!("{}: {}.", first.reason, first.help);
                    return vec![Intent::Say(sentence, Tone::Warn)];
                }
                self.answers.stack = stack;
                // What was said of roles belongs to the stack that was chosen then.
                for host in &mut self.answers.hosts {
                    host.roles = None;
                }
            }
            Field::Member(key) => self.turn_roles(&key, forward),
            Field::ConsulFrom => {
                let consul = Software::Consul.word();
                if self.answers.artifacts.remove(consul).is_none() {
                    self.answers
                        .artifacts
                        .insert(consul.into(), BroughtBy::default());
                }
            }
            Field::Protection => {
                self.answers.protection =
                    turned(Protection::ALL, &self.answers.protection, forward);
            }
            Field::Network => {
                let mut all = vec![None];
                all.extend(networks(&self.machines(world)).into_iter().map(Some));
                self.answers.network = turned(&all, &self.answers.network, forward);
            }
            Field::Acl => self.answers.secrets.consul_acl ^= true,
            Field::Gossip => self.answers.secrets.consul_gossip ^= true,
            Field::Daily => self.answers.backups.daily ^= true,
            _ => return Vec::new(),
        }
        vec![Intent::Do(self.remember())]
    }

    /// As proposed, then a voter, then a worker, then nothing.
    fn turn_roles(&mut self, key: &str, forward: bool) {
        let (server, client) = parts(self.answers.stack);
        let all: [Option<Vec<Role>>; 4] = [
            None,
            Some(server.to_vec()),
            Some(client.to_vec()),
            Some(Vec::new()),
        ];
        if let Some(host) = self.answers.hosts.iter_mut().find(|host| host.key() == key) {
            host.roles = turned(&all, &host.roles, forward);
        }
    }

    /// Leaves the host under the cursor out.
    pub(super) fn leave_out(&mut self, world: &World) -> Vec<Intent> {
        if !matches!(self.page, Page::Hosts | Page::Probe) {
            return Vec::new();
        }
        if let Some(row) = self.current(world)
            && let Field::Host(key) = row.field
        {
            self.answers.hosts.retain(|host| host.key() != key);
            return vec![Intent::Do(self.remember())];
        }
        Vec::new()
    }

    /// Takes a host in: `ADDRESS`, or `ADDRESS:PORT`.
    pub(super) fn take_in(&mut self, key: &str) {
        let ported = key
            .rsplit_once(':')
            .filter(|(address, _)| !address.contains(':'))
            .and_then(|(address, port)| Some((address, port.parse::<u16>().ok()?)));
        let (address, port) = ported.map_or((key, None), |(address, port)| (address, Some(port)));
        self.answers.hosts.push(HostAnswer {
            address: address.to_owned(),
            port,
            ..HostAnswer::default()
        });
    }

    /// What is brought of `software` for `arch`, to be filled in.
    fn brought(&mut self, software: Software, arch: Arch) -> &mut Brought {
        let by = self
            .answers
            .artifacts
            .entry(software.word().into())
            .or_default();
        by.of_mut(arch).get_or_insert_default()
    }

    pub(super) fn summed(&mut self, software: Software, arch: Arch, sum: String) {
        self.brought(software, arch).sha256 = sum;
    }

    /// Fills in the version of what the nodes' own packages have, where that is known.
    pub(super) fn suggest(&mut self, world: &World) {
        let consul = Software::Consul;
        let wanted = used(self.answers.stack, &self.members(world)).contains(&consul);
        let packaged = !self.answers.artifacts.contains_key(consul.word());
        if wanted
            && packaged
            && let Some(known) = suggested_consul(&self.machines(world))
        {
            let versions = &mut self.answers.versions;
            versions
                .entry(consul.word().into())
                .or_insert_with(|| known.into());
        }
    }
}

/// The one after `current`, or before it, round and round.
fn turned<T: Clone + PartialEq>(all: &[T], current: &T, forward: bool) -> T {
    let at = all.iter().position(|one| one == current);
    let next = match (at, forward) {
        (None, _) => 0,
        (Some(at), true) => (at + 1) % all.len(),
        (Some(at), false) => (at + all.len() - 1) % all.len(),
    };
    all[next].clone()
}
