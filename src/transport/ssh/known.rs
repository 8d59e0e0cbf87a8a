//! The hosts that the operator's SSH client has heard of, for people who look for theirs.

use std::path::{Path, PathBuf};

use super::SshSettings;
use super::config::{Config, named};
use crate::domain::bootstrap::{Candidate, KnownFrom};

/// More than anybody reads.
const MOST: usize = 200;

/// The hosts that the client configuration names one by one, then those that `~/.ssh/known_hosts` names in the clear, each
/// once. Touches the disk: not for a thread that others wait for.
pub fn known_hosts(settings: &SshSettings) -> Vec<Candidate> {
    let files: Vec<PathBuf> = settings
        .config_files
        .iter()
        .map(|path| settings.expand(path))
        .collect();
    let config = Config::read(&files, settings.home.as_deref());
    let mut found: Vec<Candidate> = Vec::new();
    let mut add = |address: &str, from| {
        let known = found.iter().any(|one: &Candidate| one.address == address);
        if !known && found.len() < MOST {
            found.push(Candidate {
                address: address.to_owned(),
                from,
                listens: None,
            });
        }
    };
    for name in named(&config) {
        add(&name, KnownFrom::Config);
    }
    let file = settings.expand(Path::new("~/.ssh/known_hosts"));
    // One that is not there, or cannot be read, tells of nobody.
    for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
        for name in plain_names(line) {
            add(name, KnownFrom::KnownHosts);
        }
    }
    found
}

/// The names of a line that are not hashed, are no patterns and have the usual port.
fn plain_names(line: &str) -> impl Iterator<Item = &str> {
    let first = line.split_ascii_whitespace().next().unwrap_or_default();
    let hosts = if first.starts_with(['#', '@', '|']) {
        ""
    } else {
        first
    };
    hosts
        .split(',')
        .filter(|name| !name.is_empty() && !name.contains(['*', '?', '!', '[', '|']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_the_configuration_and_of_known_hosts_are_found_once_and_patterns_are_not() {
        let home = tempfile::tempdir().unwrap();
        let ssh = home.path().join(".ssh");
        std::fs::create_dir(&ssh).unwrap();
        let config = "Host pc1 pc2 *.lan !pc9\n  User ops\nHost *\n  Port 22\n";
        std::fs::write(ssh.join("config"), config).unwrap();
        let pins = "pc1,10.0.0.1 ssh-ed25519 AAAA\n|1|abc|def ssh-ed25519 AAAA\n[x]:2222 ssh-ed25519 AAAA\n\
                    @cert-authority *.lan ssh-ed25519 AAAA\n10.0.0.1 ssh-rsa AAAA\n";
        std::fs::write(ssh.join("known_hosts"), pins).unwrap();
        let settings = SshSettings {
            home: Some(home.path().to_owned()),
            config_files: vec!["~/.ssh/config".into()],
            ..SshSettings::default()
        };
        let found = known_hosts(&settings);
        let names: Vec<(&str, KnownFrom)> = found
            .iter()
            .map(|one| (one.address.as_str(), one.from))
            .collect();
        assert_eq!(
            names,
            [
                ("pc1", KnownFrom::Config),
                ("pc2", KnownFrom::Config),
                ("10.0.0.1", KnownFrom::KnownHosts)
            ]
        );
    }
}
