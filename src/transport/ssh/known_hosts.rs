//! Which host keys are pinned: `known_hosts` as OpenSSH writes it (sshd(8), "`SSH_KNOWN_HOSTS` FILE FORMAT").
//!
//! Understood: several names per line, `[name]:port`, wildcards and negation, hashed names (`|1|salt|hash`), several keys
//! per host, `@revoked`, `@cert-authority`. A line with `@cert-authority` pins no key of a host: its key may sign
//! certificates of hosts ([`super::host_cert`]). Lines that cannot be read are passed over: they never make a host known.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, HashAlg, PublicKey};

use super::pattern::wildcard;

/// One line that says something about a host.
#[derive(Debug, Clone)]
pub(super) struct Pin {
    /// The file it is in.
    pub(super) file: PathBuf,
    /// Its line there, from 1.
    pub(super) line: usize,
    /// The key it names.
    pub(super) key: PublicKey,
    /// What it says of the key.
    pub(super) mark: Mark,
    /// Whether it names the host with its port. A line without the port can vouch for a key but not against one.
    exact: bool,
}

/// What a line says of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// It is the host's.
    Key,
    /// It signs the host's certificate.
    Authority,
    /// It must not be trusted.
    Revoked,
}

/// Everything the files say about one host.
#[derive(Debug, Clone, Default)]
pub(super) struct Pins(Vec<Pin>);

/// What the pins say of a key.
#[derive(Debug)]
pub(super) enum Verdict<'a> {
    /// It is pinned, here.
    Known(&'a Pin),
    /// Nothing is pinned for the host.
    Unknown,
    /// Something else is pinned.
    Changed(&'a Pin),
    /// It is marked as not to be trusted.
    Revoked(&'a Pin),
}

impl Pins {
    /// Adds what `text`, the content of `file`, says about the host at `address` and `port`.
    pub(super) fn read(&mut self, text: &str, file: &Path, address: &str, port: u16) {
        let name = name_of(address, port);
        let bare = name_of(address, 22);
        for (index, line) in text.lines().enumerate() {
            let Some(entry) = Entry::parse(line) else {
                continue;
            };
            let exact = names(entry.hosts, &name);
            if (exact || names(entry.hosts, &bare))
                && let Ok(key) = russh::keys::parse_public_key_base64(entry.key)
            {
                self.0.push(Pin {
                    file: file.to_owned(),
                    line: index + 1,
                    key,
                    mark: entry.mark,
                    exact,
                });
            }
        }
    }

    /// Adds the keys in `text`, the content of `file`, one a line, as keys that must not be trusted (`ssh_config(5)`,
    /// `RevokedHostKeys`).
    ///
    /// # Errors
    /// A phrase, when a line is no key: what is revoked is then not known, and no host can be trusted.
    pub(super) fn revoke(&mut self, text: &str, file: &Path) -> Result<(), String> {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = PublicKey::from_openssh(line).map_err(|_| {
                format!(
                    "line {} is no public key (key revocation lists in binary form are not read here)",
                    index + 1
                )
            })?;
            self.0.push(Pin {
                file: file.to_owned(),
                line: index + 1,
                key,
                mark: Mark::Revoked,
                exact: true,
            });
        }
        Ok(())
    }

    /// The line that says that `key` must not be trusted.
    pub(super) fn revoked(&self, key: &KeyData) -> Option<&Pin> {
        let mut revoked = self.0.iter().filter(|pin| pin.mark == Mark::Revoked);
        revoked.find(|pin| pin.key.key_data() == key)
    }

    /// The line by which `key` may sign the host's certificate.
    pub(super) fn authority(&self, key: &KeyData) -> Option<&Pin> {
        let mut authorities = self.0.iter().filter(|pin| pin.mark == Mark::Authority);
        authorities.find(|pin| pin.key.key_data() == key)
    }

    /// Whether somebody may sign the host's certificate.
    pub(super) fn has_authority(&self) -> bool {
        self.0.iter().any(|pin| pin.mark == Mark::Authority)
    }

    /// Adds a key that was accepted just now.
    pub(super) fn accept(&mut self, file: &Path, key: PublicKey) {
        self.0.push(Pin {
            file: file.to_owned(),
            line: 0,
            key,
            mark: Mark::Key,
            exact: true,
        });
    }

    /// What is to be thought of a host that offers `key`.
    ///
    /// A key of another type than the pinned ones counts as changed, not as unknown: the pinned types were asked for
    /// first (see [`Pins::prefer`]), so the host no longer has them.
    pub(super) fn verdict(&self, key: &PublicKey) -> Verdict<'_> {
        if let Some(pin) = self.revoked(key.key_data()) {
            return Verdict::Revoked(pin);
        }
        let trusted = || self.0.iter().filter(|pin| pin.mark == Mark::Key);
        if let Some(pin) = trusted().find(|pin| pin.key.key_data() == key.key_data()) {
            return Verdict::Known(pin);
        }
        let same_type = |pin: &&Pin| pin.key.algorithm() == key.algorithm();
        trusted()
            .filter(|pin| pin.exact)
            .find(same_type)
            .or_else(|| trusted().find(|pin| pin.exact))
            .map_or(Verdict::Unknown, Verdict::Changed)
    }

    /// `algorithms` with those of the pinned keys first, so that a host with several keys shows the one that is known.
    pub(super) fn prefer(&self, algorithms: &[Algorithm]) -> Vec<Algorithm> {
        let pinned = |algorithm: &Algorithm| {
            self.0.iter().any(|pin| {
                pin.mark == Mark::Key
                    && match (pin.key.algorithm(), algorithm) {
                        (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
                        (pinned, algorithm) => pinned == *algorithm,
                    }
            })
        };
        let (first, rest): (Vec<_>, Vec<_>) = algorithms.iter().cloned().partition(pinned);
        first.into_iter().chain(rest).collect()
    }
}

/// A line, taken apart.
struct Entry<'a> {
    mark: Mark,
    hosts: &'a str,
    key: &'a str,
}

impl<'a> Entry<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace().peekable();
        let mark = match words.peek()?.strip_prefix('@') {
            None => Mark::Key,
            Some("revoked") => Mark::Revoked,
            Some("cert-authority") => Mark::Authority,
            Some(_) => return None,
        };
        if mark != Mark::Key {
            words.next();
        }
        let hosts = words.next().filter(|hosts| !hosts.starts_with('#'))?;
        let _type = words.next()?;
        let key = words.next()?;
        Some(Self { mark, hosts, key })
    }
}

/// The name under which a host is filed: lower case, with its port unless that is 22.
pub(super) fn name_of(address: &str, port: u16) -> String {
    let address = address
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_ascii_lowercase();
    if port == 22 {
        address
    } else {
        format!("[{address}]:{port}")
    }
}

/// The line that pins `key` for the host at `address` and `port`; with `hashed` nobody can read the name in it.
pub(super) fn line_for(address: &str, port: u16, key: &PublicKey, hashed: bool) -> String {
    let mut key = key.clone();
    key.set_comment("");
    let key = key.to_openssh().unwrap_or_default();
    let name = name_of(address, port);
    let name = if hashed { hash(&name) } else { name };
    format!("{name} {}", key.trim_end())
}

/// `name` as `ssh-keygen -H` would write it, with a salt of its own.
fn hash(name: &str) -> String {
    let salt: [u8; 20] = std::array::from_fn(|_| fastrand::u8(..));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
    let mac = ring::hmac::sign(&key, name.as_bytes());
    format!("|1|{}|{}", BASE64.encode(salt), BASE64.encode(mac.as_ref()))
}

/// The fingerprint as `ssh-keygen -l` shows it.
pub(super) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Appends `line` to `file`, making it (0600) and its folder (0700) where there are none.
///
/// # Errors
/// The system's, when the file cannot be written.
pub(super) fn append(file: &Path, line: &str) -> std::io::Result<()> {
    use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};

    if let Some(folder) = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(file)?;
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let start = if last == *b"\n" { "" } else { "\n" };
    // One write: lines of two engines that learn at the same time do not mix.
    file.write_all(format!("{start}{line}\n").as_bytes())?;
    file.sync_all()
}

/// Whether the list of `patterns` names `host`; a matching negated pattern wins over all others.
fn names(patterns: &str, host: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',') {
        if let Some(hashed) = pattern.strip_prefix("|1|") {
            found |= hashed_matches(hashed, host);
        } else if let Some(negated) = pattern.strip_prefix('!') {
            if wildcard(&negated.to_ascii_lowercase(), host) {
                return false;
            }
        } else {
            found |= wildcard(&pattern.to_ascii_lowercase(), host);
        }
    }
    found
}

/// Whether `salt|hash`, both base64, is the HMAC-SHA1 of `host`.
fn hashed_matches(hashed: &str, host: &str) -> bool {
    let Some((salt, hash)) = hashed.split_once('|') else {
        return false;
    };
    let (Ok(salt), Ok(hash)) = (BASE64.decode(salt), BASE64.decode(hash)) else {
        return false;
    };
    // The format's choice; here it hides names, nothing is authenticated by it.
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
    ring::hmac::verify(&key, host.as_bytes(), &hash).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ED25519: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const OTHER: &str = "AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";
    const ECDSA: &str = "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBNrIYsOA7lZF2q2LE5MVFzn9XjOIQG4nfpQZ7E8bXY6fnKtTgBcrz8k4eVkXyAwTfVLHqQ9RZ2tnYHKPsTqvzQY=";

    fn key(base64: &str) -> PublicKey {
        russh::keys::parse_public_key_base64(base64).unwrap()
    }

    fn pins(text: &str, address: &str, port: u16) -> Pins {
        let mut pins = Pins::default();
        pins.read(text, Path::new("known_hosts"), address, port);
        pins
    }

    #[test]
    fn a_pinned_key_is_known_by_each_of_its_names() {
        let text =
            format!("# a comment\n\npc1,10.0.0.1 ssh-ed25519 {ED25519} somebody@somewhere\n");
        for name in ["pc1", "PC1", "10.0.0.1"] {
            assert!(matches!(
                pins(&text, name, 22).verdict(&key(ED25519)),
                Verdict::Known(_)
            ));
        }
        assert!(matches!(
            pins(&text, "pc2", 22).verdict(&key(ED25519)),
            Verdict::Unknown
        ));
    }

    #[test]
    fn another_key_is_a_change_and_says_which_line_pins_the_old_one() {
        let text = format!("pc2 ssh-ed25519 {OTHER}\n[pc1]:2222 ssh-ed25519 {ED25519}\n");
        let pins = pins(&text, "pc1", 2222);
        let Verdict::Changed(pin) = pins.verdict(&key(OTHER)) else {
            panic!("not seen as changed");
        };
        assert_eq!(pin.line, 2);
        assert_eq!(pin.key.key_data(), key(ED25519).key_data());
    }

    #[test]
    fn a_line_without_the_port_vouches_for_a_key_but_not_against_one() {
        let text = format!("pc1 ssh-ed25519 {ED25519}\n");
        let pins = pins(&text, "pc1", 2222);
        assert!(matches!(pins.verdict(&key(ED25519)), Verdict::Known(_)));
        assert!(matches!(pins.verdict(&key(OTHER)), Verdict::Unknown));
    }

    #[test]
    fn a_revoked_key_is_refused_even_when_another_line_pins_it() {
        let text = format!("pc1 ssh-ed25519 {ED25519}\n@revoked * ssh-ed25519 {ED25519}\n");
        assert!(matches!(
            pins(&text, "pc1", 22).verdict(&key(ED25519)),
            Verdict::Revoked(pin) if pin.line == 2
        ));
    }

    #[test]
    fn a_certificate_authority_makes_no_key_known() {
        let text = format!("@cert-authority * ssh-ed25519 {ED25519}\n");
        assert!(matches!(
            pins(&text, "pc1", 22).verdict(&key(ED25519)),
            Verdict::Unknown
        ));
    }

    #[test]
    fn an_authority_is_one_only_for_the_hosts_of_its_line_and_can_be_revoked() {
        let text = format!(
            "@cert-authority *.example.com ssh-ed25519 {ED25519}\n@revoked * ssh-ed25519 {OTHER}\n"
        );
        let inside = pins(&text, "pc1.example.com", 2222);
        assert!(inside.authority(key(ED25519).key_data()).is_some());
        assert!(inside.authority(key(OTHER).key_data()).is_none());
        assert!(inside.revoked(key(OTHER).key_data()).is_some());
        assert!(!pins(&text, "pc1.example.org", 22).has_authority());
    }

    #[test]
    fn a_list_of_revoked_keys_that_cannot_be_read_is_a_mistake() {
        let mut pins = Pins::default();
        let file = Path::new("revoked");
        pins.revoke(&format!("# gone\nssh-ed25519 {ED25519} x\n"), file)
            .unwrap();
        assert!(matches!(
            pins.verdict(&key(ED25519)),
            Verdict::Revoked(pin) if pin.line == 2
        ));
        assert!(pins.revoke("SSHKRL", file).is_err());
    }

    #[test]
    fn a_hashed_name_is_found() {
        // Written by `ssh-keygen -H` for "example.com" and for "[example.com]:2222".
        let salt = BASE64.encode([7_u8; 20]);
        for (host, port) in [("example.com", 22), ("example.com", 2222)] {
            let mac = ring::hmac::sign(
                &ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &[7; 20]),
                name_of(host, port).as_bytes(),
            );
            let text = format!(
                "|1|{salt}|{} ssh-ed25519 {ED25519}\n",
                BASE64.encode(mac.as_ref())
            );
            assert!(matches!(
                pins(&text, host, port).verdict(&key(ED25519)),
                Verdict::Known(_)
            ));
            assert!(matches!(
                pins(&text, "example.org", port).verdict(&key(ED25519)),
                Verdict::Unknown
            ));
        }
    }

    #[test]
    fn the_types_of_pinned_keys_are_asked_for_first() {
        let all = russh::Preferred::DEFAULT.key;
        let text = format!("pc1 ecdsa-sha2-nistp256 {ECDSA}\n");
        let order = pins(&text, "pc1", 22).prefer(&all);
        assert_eq!(order.len(), all.len());
        assert!(matches!(order[0], Algorithm::Ecdsa { .. }), "{order:?}");
        assert_eq!(pins("", "pc1", 22).prefer(&all), all.to_vec());
    }

    #[test]
    fn wildcards_and_negation_work_as_in_openssh() {
        assert!(names("*.example.com", "a.b.example.com"));
        assert!(!names(
            "*.example.com,!secret.example.com",
            "secret.example.com"
        ));
        assert!(names("10.0.0.?", "10.0.0.7"));
        assert!(!names("10.0.0.?", "10.0.0.77"));
    }

    #[test]
    fn an_appended_line_starts_on_a_line_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/known_hosts");
        append(&file, "a").unwrap();
        std::fs::write(&file, "a").unwrap();
        append(&file, "b").unwrap();
        append(&file, "c").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "a\nb\nc\n");
    }

    proptest! {
        #[test]
        fn no_file_makes_the_reader_panic(text in any::<String>(), host in any::<String>()) {
            let _ = pins(&text, &host, 22).verdict(&key(ED25519));
        }

        #[test]
        fn no_line_makes_the_reader_panic(
            marker in "(@revoked |@cert-authority |@|)",
            hosts in "[|*?!,a-z0-9\\[\\]:=+/]{0,40}",
            key64 in "[A-Za-z0-9+/=]{0,80}",
        ) {
            let line = format!("{marker}{hosts} ssh-ed25519 {key64}");
            let _ = pins(&line, "pc1", 2222).verdict(&key(ED25519));
        }

        #[test]
        fn a_line_that_was_written_is_read_back(host in "[a-z0-9][a-z0-9.-]{0,30}", port in 1_u16..) {
            for hashed in [false, true] {
                let line = line_for(&host, port, &key(ED25519), hashed);
                prop_assert_eq!(line.starts_with("|1|"), hashed);
                prop_assert!(matches!(pins(&line, &host, port).verdict(&key(ED25519)), Verdict::Known(_)));
                prop_assert!(matches!(pins(&line, &host, port).verdict(&key(OTHER)), Verdict::Changed(_)));
            }
        }
    }
}
