//! What the links of one environment share: its nodes, the operator's configuration, and each other.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::SshSettings;
use super::config::Shelf;
use super::identities::KeyRing;
use super::link::Link;
use super::spec::Spec;
use super::way::{Before, Set, Source, Target, Wanted};
use crate::domain::environment::Environment;
use crate::domain::node::ClientConfig;
use crate::transport::ReachError;

/// More hops than any way has.
const FARTHEST: usize = 32;

/// A host that something can be reached through, or that is to be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// A node.
    Node(String),
    /// The last of these hosts, through those before it.
    Hosts {
        /// The hosts of a `ProxyJump`, the one next to us first.
        chain: Vec<Spec>,
        /// Where they were named.
        from: Source,
        /// The configuration that says more about them.
        config: Option<ClientConfig>,
    },
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => f.write_str(name),
            Self::Hosts { chain, .. } => match chain.last() {
                Some(last) => last.fmt(f),
                None => Ok(()),
            },
        }
    }
}

impl Stop {
    /// What it is kept under; the same for all who go the same way.
    fn key(&self) -> String {
        match self {
            Self::Node(name) => format!("node {name}"),
            Self::Hosts { chain, config, .. } => {
                let chain: Vec<String> = chain.iter().map(ToString::to_string).collect();
                format!("hosts {} {config:?}", chain.join(","))
            }
        }
    }
}

/// One hop of a way.
#[derive(Debug)]
pub(super) struct Step {
    /// Which host it leads to.
    pub(super) stop: Stop,
    /// How to get in there.
    pub(super) target: Target,
    /// Who said that the way leads through the hop before it, if it does.
    pub(super) through: Option<Source>,
}

/// What the links of one environment share.
pub(super) struct Atlas {
    environment: Arc<Environment>,
    pub(super) settings: SshSettings,
    pub(super) keys: KeyRing,
    shelf: Shelf,
    /// Links that somebody holds.
    links: Mutex<BTreeMap<String, Weak<Link>>>,
}

impl fmt::Debug for Atlas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Atlas")
            .field("environment", &self.environment.name)
            .finish_non_exhaustive()
    }
}

impl Atlas {
    pub(super) fn new(environment: Arc<Environment>, settings: SshSettings) -> Arc<Self> {
        Arc::new(Self {
            environment,
            settings,
            keys: KeyRing::default(),
            shelf: Shelf::default(),
            links: Mutex::default(),
        })
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The one link to `stop`.
    pub(super) fn link(self: &Arc<Self>, stop: &Stop) -> Arc<Link> {
        // Entries are added whole: a panic elsewhere cannot have left one half made.
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let key = stop.key();
        if let Some(link) = links.get(&key).and_then(Weak::upgrade) {
            return link;
        }
        links.retain(|_, link| link.strong_count() > 0);
        let link = Arc::new(Link::new(stop.clone(), Arc::clone(self)));
        links.insert(key, Arc::downgrade(&link));
        link
    }

    /// The way to `stop`: its hops, the one next to us first, `stop` last. What the configuration says now counts.
    ///
    /// # Errors
    /// [`ReachError::UnknownNode`], or [`ReachError::Refused`] when the way leads in a circle or cannot be followed.
    pub(super) async fn way(self: &Arc<Self>, stop: &Stop) -> Result<Vec<Step>, ReachError> {
        let (atlas, stop) = (Arc::clone(self), stop.clone());
        let hop = stop.to_string();
        let walked = tokio::task::spawn_blocking(move || atlas.walk(stop)).await;
        walked.unwrap_or_else(|error| {
            Err(ReachError::Refused {
                hop,
                reason: format!("looking for the way stopped: {error}"),
            })
        })
    }

    fn walk(&self, stop: Stop) -> Result<Vec<Step>, ReachError> {
        let (goal, mut stop) = (stop.to_string(), stop);
        let mut way: Vec<Step> = Vec::new();
        loop {
            let circle = way.iter().any(|step| step.stop.key() == stop.key());
            if circle || way.len() >= FARTHEST {
                let mut names: Vec<String> = way.iter().map(|step| step.stop.to_string()).collect();
                names.push(stop.to_string());
                return Err(ReachError::Refused {
                    hop: goal,
                    reason: format!("its jump hosts lead in a circle: {}", names.join(" → ")),
                });
            }
            let (target, before) = self.step(&stop).map_err(|error| {
                if way.is_empty() {
                    error
                } else {
                    error.on_the_way_to(&goal)
                }
            })?;
            let next = self.before(&stop, &target, &before);
            way.push(Step {
                stop,
                target,
                through: next.as_ref().map(|_| before.from),
            });
            match next {
                Some(next) => stop = next,
                None => break,
            }
        }
        way.reverse();
        Ok(way)
    }

    /// Who is to be reached at `stop`, and what its configuration says comes before.
    fn step(&self, stop: &Stop) -> Result<(Target, Set<Before>), ReachError> {
        let wanted = match stop {
            Stop::Node(name) => {
                let node = self.environment.node(name);
                let node = node.ok_or_else(|| ReachError::UnknownNode(name.clone()))?;
                Wanted {
                    name: node.name.clone(),
                    host: node.address.clone(),
                    access: node.ssh.clone(),
                    from: Source::Workspace,
                }
            }
            Stop::Hosts {
                chain,
                from,
                config,
            } => match chain.last() {
                Some(spec) => Wanted::hop(spec, from.clone(), config.clone()),
                None => return Err(ReachError::UnknownNode(String::new())),
            },
        };
        let files: Vec<PathBuf> = wanted.config_files(&self.settings);
        let config = self.shelf.config(&files, self.settings.home.as_deref());
        wanted.resolve(&self.settings, &config)
    }

    /// What comes before `stop`. Within a chain that is the host before it; the first of a chain may have a jump host of its
    /// own.
    fn before(&self, stop: &Stop, target: &Target, said: &Set<Before>) -> Option<Stop> {
        let config = match stop {
            Stop::Node(name) => self.environment.node(name)?.ssh.config.clone(),
            Stop::Hosts {
                chain,
                from,
                config,
            } => {
                if let [rest @ .., _] = chain.as_slice()
                    && !rest.is_empty()
                {
                    return Some(Stop::Hosts {
                        chain: rest.to_vec(),
                        from: from.clone(),
                        config: config.clone(),
                    });
                }
                config.clone()
            }
        };
        match &said.value {
            Before::Nothing | Before::Program(_) => None,
            Before::Node(name) => Some(Stop::Node(name.clone())),
            Before::Hosts(chain) => {
                // `Host *` with a ProxyJump means everybody but the jump host itself.
                let itself = chain.len() == 1
                    && (chain[0].host == *target.address || chain[0].host == target.asked);
                (!itself).then(|| Stop::Hosts {
                    chain: chain.clone(),
                    from: said.from.clone(),
                    config,
                })
            }
        }
    }
}
