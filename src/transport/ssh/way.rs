//! The way to a host: every setting that is needed to get in, and where each of them came from.
//!
//! What the workspace says wins; then the operator's OpenSSH configuration ([`super::config`]), asked as `ssh ADDRESS` would
//! ask it; then our own defaults, which are OpenSSH's but for the login name.

mod target;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) use target::{Set, Source, Strict, Target};

use super::SshSettings;
use super::config::{Asked, Config, Found, host_name};
use super::spec::{Spec, Tokens, seconds};
use crate::domain::node::{ClientConfig, Elevate, Jump, SshAccess};
use crate::transport::ReachError;

/// Who logs in when nobody says who.
pub(super) const USER: &str = "root";
const PORT: u16 = 22;

/// What comes before a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing.
    Nothing,
    /// The node of this name.
    Node(String),
    /// These hosts, the one next to us first.
    Hosts(Vec<Spec>),
    /// No host: a program whose standard streams are the way.
    Program(String),
}

/// For whom a way is wanted.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// What it is called.
    pub(super) name: String,
    /// What one would type after `ssh`.
    pub(super) host: String,
    /// What is said about it outside of the OpenSSH configuration.
    pub(super) access: SshAccess,
    /// Where that was said.
    pub(super) from: Source,
}

impl Wanted {
    /// The host that `spec` of a `ProxyJump` at `from` names. `config` is the configuration that the node is reached by.
    pub(super) fn hop(spec: &Spec, from: Source, config: Option<ClientConfig>) -> Self {
        Self {
            name: spec.to_string(),
            host: spec.host.clone(),
            access: SshAccess {
                user: spec.user.clone(),
                port: spec.port,
                // Nothing is done on a jump host but passing on.
                elevate: Some(Elevate::No),
                config,
                ..SshAccess::default()
            },
            from,
        }
    }

    /// The configuration files that say something about it, the first counts first.
    pub(super) fn config_files(&self, settings: &SshSettings) -> Vec<PathBuf> {
        match &self.access.config {
            Some(ClientConfig::None) => Vec::new(),
            Some(ClientConfig::File(file)) => vec![settings.expand(file)],
            None => settings
                .config_files
                .iter()
                .map(|file| settings.expand(file))
                .collect(),
        }
    }

    /// Puts together what is known about it.
    ///
    /// # Errors
    /// [`ReachError::Refused`] when the way is described in a manner that cannot be followed.
    pub(super) fn resolve(
        &self,
        settings: &SshSettings,
        config: &Config,
    ) -> Result<(Target, Set<Before>), ReachError> {
        let local_user = uzers::get_current_username();
        let local_user = local_user.map_or_else(String::new, |name| name.to_string_lossy().into());
        let found = config.look_up(&Asked {
            host: self.host.clone(),
            user: self.access.user.clone(),
            local_user: local_user.clone(),
        });
        let mut resolving = Resolving {
            wanted: self,
            settings,
            remarks: found.remarks.iter().cloned().collect(),
            tokens: Tokens::default(),
            found,
        };
        let target = resolving.target(local_user);
        let before = resolving.before()?;
        let proxy = match &before.value {
            Before::Program(line) => Some(Set::new(line.clone(), before.from.clone())),
            _ => None,
        };
        let remarks = resolving.remarks;
        let target = Target {
            proxy,
            remarks,
            ..target
        };
        Ok((target, before))
    }
}

struct Resolving<'a> {
    wanted: &'a Wanted,
    settings: &'a SshSettings,
    found: Found,
    tokens: Tokens,
    remarks: Vec<String>,
}

impl Resolving<'_> {
    fn target(&mut self, local_user: String) -> Target {
        let access = &self.wanted.access;
        let mine = || self.wanted.from.clone();
        let address = Set::new(
            host_name(&self.found, &self.wanted.host),
            self.source("hostname").unwrap_or_else(mine),
        );
        let user = match &access.user {
            Some(user) => Set::new(user.clone(), mine()),
            None => self.text("user", || USER.to_owned()),
        };
        let port = match access.port {
            Some(port) => Set::new(port, mine()),
            None => self.parsed(
                "port",
                |text| text.parse().ok().filter(|port| *port > 0),
                PORT,
            ),
        };
        self.tokens = Tokens {
            host: address.value.clone(),
            asked: self.wanted.host.clone(),
            port: port.value,
            user: user.value.clone(),
            local_user,
            home: self.settings.home.clone(),
        };
        let elevate = match access.elevate {
            Some(elevate) => Set::new(elevate, mine()),
            None if user.value == "root" => Set::default(Elevate::No),
            None => Set::default(Elevate::Sudo),
        };
        let (identities, identities_only) = self.identities();
        let batch = *self.flag("batchmode", false);
        let keys = self.word_of("hostkeyalias");
        let (known_hosts, for_new_keys) = self.known_hosts();
        let agent = self.agent();
        let forward_agent = self.forwarded(&agent);
        Target {
            name: self.wanted.name.clone(),
            asked: self.wanted.host.clone(),
            address,
            port,
            user,
            identities,
            identities_only,
            certificates: self.paths_that_add_up("certificatefile"),
            forward_agent,
            agent,
            known_hosts,
            for_new_keys,
            key_alias: keys,
            revoked: self.paths("revokedhostkeys").unwrap_or_default(),
            strict: self.strict(batch),
            hash_names: self.flag("hashknownhosts", false),
            connect: self.span("connecttimeout", self.settings.connect),
            keepalive: self.span("serveraliveinterval", self.settings.keepalive),
            keepalive_most: self.parsed("serveralivecountmax", |text| text.parse().ok(), 3),
            by_key: self.flag("pubkeyauthentication", true),
            by_password: self.asking("passwordauthentication", batch),
            by_questions: self.asking("kbdinteractiveauthentication", batch),
            elevate,
            proxy: None,
            remarks: Vec::new(),
        }
    }

    /// What comes before it.
    fn before(&mut self) -> Result<Set<Before>, ReachError> {
        let mine = || self.wanted.from.clone();
        match &self.wanted.access.jump {
            Some(Jump::Direct) => return Ok(Set::new(Before::Nothing, mine())),
            Some(Jump::Through(node)) => return Ok(Set::new(Before::Node(node.clone()), mine())),
            None => {}
        }
        let refuse = |reason: String| ReachError::Refused {
            hop: self.wanted.name.clone(),
            reason,
        };
        if let Some((command, place)) = self.found.word("proxycommand")
            && command != "none"
        {
            // Polls follow the way unasked: a workspace that was merely opened must not start programs by it.
            if self.wanted.access.config.is_some() {
                return Err(refuse(format!(
                    "{place} says ProxyCommand, which only your own SSH configuration may; say ProxyJump there, or `jump` in \
                     the workspace"
                )));
            }
            let from = Source::File(place.clone());
            return match self.tokens.expand(command) {
                Ok(line) => Ok(Set::new(Before::Program(line), from)),
                Err(reason) => Err(refuse(format!("{place}: ProxyCommand: {reason}"))),
            };
        }
        let Some((jump, place)) = self.found.word("proxyjump") else {
            return Ok(Set::default(Before::Nothing));
        };
        let from = Source::File(place.clone());
        if jump.eq_ignore_ascii_case("none") {
            return Ok(Set::new(Before::Nothing, from));
        }
        let expanded = self.tokens.expand(jump);
        let specs = expanded.and_then(|jump| jump.split(',').map(str::parse).collect());
        match specs {
            Ok(specs) => Ok(Set::new(Before::Hosts(specs), from)),
            Err(reason) => Err(refuse(format!("{place}: ProxyJump: {reason}"))),
        }
    }

    /// The private keys, and whether they alone are offered.
    fn identities(&mut self) -> (Vec<Set<PathBuf>>, Set<bool>) {
        let said = &self.wanted.access.identities;
        if said.is_empty() {
            let only = self.flag("identitiesonly", false);
            return (self.paths_that_add_up("identityfile"), only);
        }
        let mine = &self.wanted.from;
        let files = said
            .iter()
            .map(|path| Set::new(self.settings.expand(path), mine.clone()));
        (files.collect(), Set::new(true, mine.clone()))
    }

    fn agent(&mut self) -> Set<Option<PathBuf>> {
        let default = self.settings.agent.clone();
        let Some((said, place)) = self.found.word("identityagent") else {
            return Set::default(default);
        };
        let (said, from) = (said.to_owned(), Source::File(place.clone()));
        let path = self.socket(&said, &from, default);
        Set::new(path, from)
    }

    /// The agent that the host may use: with a bare yes the one that is used here.
    fn forwarded(&mut self, agent: &Set<Option<PathBuf>>) -> Set<Option<PathBuf>> {
        if let Some(yes) = self.wanted.access.forward_agent {
            let socket = agent.value.clone().filter(|_| yes);
            return Set::new(socket, self.wanted.from.clone());
        }
        let Some((said, place)) = self.found.word("forwardagent") else {
            return Set::default(None);
        };
        let (said, from) = (said.to_owned(), Source::File(place.clone()));
        let socket = match said.to_ascii_lowercase().as_str() {
            "no" => None,
            "yes" => agent.value.clone(),
            _ => self.socket(&said, &from, agent.value.clone()),
        };
        Set::new(socket, from)
    }

    /// The agent's socket that `said` names; `usual` is that of `SSH_AUTH_SOCK`.
    fn socket(&mut self, said: &str, from: &Source, usual: Option<PathBuf>) -> Option<PathBuf> {
        match said {
            "none" => None,
            "SSH_AUTH_SOCK" => usual,
            _ => match said.strip_prefix('$').filter(|name| !name.starts_with('{')) {
                Some(name) => std::env::var_os(name).map(PathBuf::from),
                None => self.path(said, from),
            },
        }
    }

    /// The files that pin host keys, and the one among them for new keys, which is never the system's.
    fn known_hosts(&mut self) -> (Vec<Set<PathBuf>>, Option<PathBuf>) {
        if let Some(file) = &self.wanted.access.known_hosts {
            let file = self.settings.expand(file);
            let files = vec![Set::new(file.clone(), self.wanted.from.clone())];
            return (files, Some(file));
        }
        let usual = |files: &[&str]| -> Vec<Set<PathBuf>> {
            let usable = files
                .iter()
                .filter(|file| self.settings.home.is_some() || !file.starts_with('~'));
            usable
                .map(|file| Set::default(self.settings.expand(Path::new(file))))
                .collect()
        };
        let mine = usual(&["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]);
        let everybodys = usual(&["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]);
        let mut files = self.paths("userknownhostsfile").unwrap_or(mine);
        let for_new = files.first().map(|file| file.value.clone());
        files.extend(self.paths("globalknownhostsfile").unwrap_or(everybodys));
        (files, for_new)
    }

    fn strict(&mut self, batch: bool) -> Set<Strict> {
        if self.settings.accept_new {
            return Set::new(Strict::AcceptNew, Source::Flag);
        }
        let Some((said, place)) = self.found.word("stricthostkeychecking") else {
            let value = if batch { Strict::Yes } else { Strict::Ask };
            return Set::default(value);
        };
        let value = match said.to_ascii_lowercase().as_str() {
            "yes" | "true" => Strict::Yes,
            "ask" if batch => Strict::Yes,
            "ask" => Strict::Ask,
            "accept-new" => Strict::AcceptNew,
            "no" | "off" | "false" => {
                self.remarks.push(format!(
                    "{place}: StrictHostKeyChecking no is taken as accept-new: a changed key is refused all the same"
                ));
                Strict::AcceptNew
            }
            _ => {
                self.remarks
                    .push(format!("{place}: StrictHostKeyChecking: not understood"));
                Strict::Yes
            }
        };
        Set::new(value, Source::File(place.clone()))
    }

    /// Whether a way to log in that asks the operator is open.
    fn asking(&mut self, keyword: &str, batch: bool) -> Set<bool> {
        let said = self.flag(keyword, true);
        match self.source("batchmode") {
            Some(from) if batch && said.value => Set::new(false, from),
            _ => said,
        }
    }

    fn source(&self, keyword: &str) -> Option<Source> {
        let (_, place) = self.found.word(keyword)?;
        Some(Source::File(place.clone()))
    }

    fn word_of(&self, keyword: &str) -> Option<Set<String>> {
        let (word, place) = self.found.word(keyword)?;
        Some(Set::new(word.to_owned(), Source::File(place.clone())))
    }

    fn text(&self, keyword: &str, default: impl FnOnce() -> String) -> Set<String> {
        self.word_of(keyword)
            .unwrap_or_else(|| Set::default(default()))
    }

    /// What `parse` makes of the word; a word that it does not understand is told and counts as not said.
    fn parsed<T>(
        &mut self,
        keyword: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        default: T,
    ) -> Set<T> {
        let Some((word, place)) = self.found.word(keyword) else {
            return Set::default(default);
        };
        if let Some(value) = parse(word) {
            return Set::new(value, Source::File(place.clone()));
        }
        let word = super::tame(word);
        self.remarks
            .push(format!("{place}: {keyword}: {word:?} is not understood"));
        Set::default(default)
    }

    fn flag(&mut self, keyword: &str, default: bool) -> Set<bool> {
        let parse = |word: &str| match word.to_ascii_lowercase().as_str() {
            "yes" | "true" => Some(true),
            "no" | "false" => Some(false),
            _ => None,
        };
        self.parsed(keyword, parse, default)
    }

    /// A length of time. 0, which stands for "never", leaves ours: nothing here waits for ever.
    fn span(&mut self, keyword: &str, default: Duration) -> Set<Duration> {
        let said = self.parsed(keyword, |word| seconds(word).map(Some), None);
        match said.value.filter(|span| !span.is_zero()) {
            Some(span) => Set::new(span, said.from),
            None => Set::default(default),
        }
    }

    fn path(&mut self, text: &str, from: &Source) -> Option<PathBuf> {
        match self.tokens.path(text) {
            Ok(path) => Some(path),
            Err(reason) => {
                self.remarks.push(format!("{from}: passed over: {reason}"));
                None
            }
        }
    }

    /// All paths of a line; `None` when there is no such line, none when it says `none`.
    fn paths(&mut self, keyword: &str) -> Option<Vec<Set<PathBuf>>> {
        let (words, place) = self.found.get(keyword)?;
        let (words, from) = (words.to_vec(), Source::File(place.clone()));
        let named = words.iter().filter(|word| *word != "none");
        let paths = named.filter_map(|word| {
            let path = self.path(word, &from)?;
            Some(Set::new(path, from.clone()))
        });
        Some(paths.collect())
    }

    fn paths_that_add_up(&mut self, keyword: &str) -> Vec<Set<PathBuf>> {
        let said = self.found.all(keyword);
        let said: Vec<_> = said
            .filter(|(word, _)| *word != "none")
            .map(|(word, place)| (word.to_owned(), Source::File(place.clone())))
            .collect();
        said.into_iter()
            .filter_map(|(word, from)| Some(Set::new(self.path(&word, &from)?, from)))
            .collect()
    }
}
