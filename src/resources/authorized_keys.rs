//! The public keys that let a user in: `authorized_keys` (sshd(8), `AUTHORIZED_KEYS` FILE FORMAT).
//!
//! A key is known again by its type and its bytes, whatever options stand before it and whatever comment after it. The
//! file may lie in a directory that belongs to the user, so root looks where it writes: a link instead of `.ssh` or of the
//! file is refused, or a user could have root write elsewhere.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::accounts::account;
use super::edit::{self, Edit, Lines};
use super::exec::look_well;
use super::stat::{self, Kind};
use super::{Difference, Means, ResourceError};
use crate::domain::resource::AuthorizedKeysSpec;
use crate::domain::undo::{Before, Owned};
use crate::transport::Host;

/// One line that means a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key<'a> {
    options: &'a str,
    kind: &'a str,
    blob: &'a str,
}

impl Key<'_> {
    fn is_same(&self, other: &Key<'_>) -> bool {
        self.kind == other.kind && self.blob == other.blob
    }
}

/// Reads a line; `None` for comments, empty lines, and what sshd would not read either.
fn parse(line: &str) -> Option<Key<'_>> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let first = words(line).next()?;
    let (options, rest) = if is_kind(first) {
        ("", line)
    } else {
        (first, line[first.len()..].trim_start())
    };
    let mut words = rest.split_whitespace();
    let (kind, blob) = (words.next()?, words.next()?);
    (is_kind(kind) && carries(kind, blob)).then_some(Key {
        options,
        kind,
        blob,
    })
}

/// Words that end at white space outside of double quotes; `\"` within them is no end.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let (mut quoted, mut escaped) = (false, false);
        let end = rest.find(|c: char| {
            let end = c.is_whitespace() && !quoted;
            quoted ^= c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            end
        });
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        (!word.is_empty()).then_some(word)
    })
}

fn is_kind(word: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"]
        .iter()
        .any(|prefix| word.starts_with(prefix))
}

/// Whether the bytes begin with the key's own type (RFC 4253, 6.6): what was cut off or mistyped does not.
fn carries(kind: &str, blob: &str) -> bool {
    let Ok(bytes) = STANDARD.decode(blob) else {
        return false;
    };
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return false;
    };
    usize::try_from(u32::from_be_bytes(*length))
        .is_ok_and(|length| rest.len() > length && &rest[..length] == kind.as_bytes())
}

/// The file of one user.
struct File<'a> {
    spec: &'a AuthorizedKeysSpec,
    path: Cow<'a, str>,
    owned: Owned,
}

impl Edit for File<'_> {
    fn path(&self) -> &str {
        &self.path
    }

    fn edited(&self, text: &str) -> Result<Option<String>, ResourceError> {
        if let Some(reason) = fault(self.spec) {
            return Err(ResourceError::Unfit(reason));
        }
        let declared: Vec<(&str, Key<'_>)> = self
            .spec
            .keys
            .iter()
            .filter_map(|line| Some((line.trim(), parse(line)?)))
            .collect();
        let present = self.spec.state.is_present();
        let mut file = Lines::of(text);
        let old = file.lines.clone();
        let mut found = vec![false; declared.len()];
        file.lines = old
            .iter()
            .filter_map(|&line| {
                let blank = line.trim().is_empty() || line.trim_start().starts_with('#');
                let known = parse(line).and_then(|key| {
                    let at = declared.iter().position(|(_, own)| own.is_same(&key))?;
                    Some((at, key))
                });
                match known {
                    None if self.spec.exclusive && !blank => None,
                    None => Some(line),
                    Some(_) if !present => None,
                    Some((at, _)) if found[at] && self.spec.exclusive => None,
                    Some((at, key)) => {
                        found[at] = true;
                        let (own_line, own) = declared[at];
                        let keeps = own.options.is_empty() || own.options == key.options;
                        Some(if keeps { line } else { own_line })
                    }
                }
            })
            .collect();
        if present {
            let missing = declared.iter().zip(&found).filter(|(_, found)| !**found);
            file.lines.extend(missing.map(|((line, _), _)| *line));
        }
        Ok((file.lines != old).then(|| file.text()))
    }

    fn create(&self) -> Option<Owned> {
        Some(self.owned.clone())
    }
}

/// Where the keys are, and whose; `None` when there is no such user yet.
async fn locate<'a>(
    spec: &'a AuthorizedKeysSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<File<'a>>, ResourceError> {
    let Some(user) = account(&spec.user, false, host, means).await? else {
        return Ok(None);
    };
    let path: Cow<'_, str> = match &spec.path {
        Some(path) => path.as_str().into(),
        None => format!("{}/.ssh/authorized_keys", user.home.trim_end_matches('/')).into(),
    };
    stat::check_path(&path)?;
    Ok(Some(File {
        spec,
        path,
        owned: Owned {
            mode: 0o600,
            user: spec.user.clone(),
            group: user.group,
        },
    }))
}

/// The directory of the file; `None` when it does not exist.
async fn directory(
    file: &File<'_>,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<()>, ResourceError> {
    let above = above(file);
    let Some(seen) = stat::see(above, host, means).await? else {
        return Ok(None);
    };
    let reason = if seen.kind != Kind::Directory {
        format!("is a {}", seen.kind.word())
    } else if seen.owner != file.owned.user && seen.owner != "root" {
        format!("belongs to {}", seen.owner)
    } else {
        return Ok(Some(()));
    };
    Err(ResourceError::Unfit(format!(
        "{above} {reason}, not a directory of {}'s or root's: no key is written there",
        file.owned.user
    )))
}

fn above<'a>(file: &'a File<'_>) -> &'a str {
    match file.path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((above, _)) => above,
    }
}

pub(super) async fn check(
    spec: &AuthorizedKeysSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    if let Some(reason) = fault(spec) {
        return Err(ResourceError::Unfit(reason));
    }
    let Some(file) = locate(spec, host, means).await? else {
        let mut difference = Difference::default();
        if spec.state.is_present() {
            let count = spec.keys.len();
            difference.note(format!(
                "keys to add once there is a user {}: {count}",
                spec.user
            ));
        }
        return Ok(difference);
    };
    directory(&file, host, means).await?;
    edit::check(&file, host, means).await
}

pub(super) async fn apply(
    spec: &AuthorizedKeysSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let Some(file) = locate(spec, host, means).await? else {
        return Err(ResourceError::Unfit(format!(
            "there is no user {}: declare one before the keys",
            spec.user
        )));
    };
    if directory(&file, host, means).await?.is_none() {
        let above = above(&file);
        // sshd's StrictModes wants it closed to others (sshd_config(5)).
        look_well(host, ["mkdir", "-m", "0700", above], means.cancel).await?;
        let names = format!("{}:{}", file.owned.user, file.owned.group);
        look_well(host, ["chown", &names, above], means.cancel).await?;
    }
    edit::apply(&file, host, means).await
}

pub(super) async fn remember(
    spec: &AuthorizedKeysSpec,
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<Before>, ResourceError> {
    let Some(file) = locate(spec, host, means).await? else {
        return Ok(None);
    };
    let before = edit::remember(&file, name, host, means).await?;
    Ok(before.map(Before::File))
}

/// What is wrong with a declaration on any host; what is still to be rendered is not looked at.
pub(super) fn fault(spec: &AuthorizedKeysSpec) -> Option<String> {
    if spec.keys.is_empty() {
        return Some("authorized_keys: needs `keys`; without any, nobody would get in".into());
    }
    if spec.exclusive && !spec.state.is_present() {
        return Some(
            "authorized_keys: `exclusive` says which keys stay; `absent` says which go".into(),
        );
    }
    let unrendered = |line: &str| line.contains("{{") || line.contains("{%");
    let mut keys = spec.keys.iter().filter(|line| !unrendered(line));
    let bad = keys.find(|line| line.trim().contains(['\n', '\r']) || parse(line).is_none())?;
    let mut shown: String = bad.trim().chars().take(60).collect();
    if shown.len() < bad.trim().len() {
        shown.push('…');
    }
    Some(format!(
        "authorized_keys: {shown:?} is no public key: expected a line such as \"ssh-ed25519 AAAA… name\", whole, as \
         ssh-keygen writes it"
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use proptest::prelude::*;

    use super::super::testing::{TempHost, ensure, says, take_back};
    use super::*;
    use crate::domain::resource::{Presence, Resource};

    /// A key whose bytes differ by `seed`.
    fn key(seed: u8) -> String {
        let mut bytes = vec![0, 0, 0, 11];
        bytes.extend(b"ssh-ed25519");
        bytes.extend([0, 0, 0, 32]);
        bytes.extend([seed; 32]);
        format!("ssh-ed25519 {}", STANDARD.encode(bytes))
    }

    fn spec(keys: &[String]) -> AuthorizedKeysSpec {
        AuthorizedKeysSpec {
            user: "deploy".into(),
            keys: keys.to_vec(),
            state: Presence::Present,
            exclusive: false,
            path: None,
        }
    }

    fn edited(spec: &AuthorizedKeysSpec, text: &str) -> String {
        let file = File {
            spec,
            path: "/home/deploy/.ssh/authorized_keys".into(),
            owned: edit::public(),
        };
        file.edited(text).unwrap().unwrap_or_else(|| "same".into())
    }

    #[test]
    fn a_key_is_added_once_whatever_its_comment() {
        let (a, b) = (key(1), key(2));
        let text = format!("# mine\n{a} laptop\n");
        assert_eq!(edited(&spec(&[format!("{a} desk")]), &text), "same");
        assert_eq!(
            edited(&spec(std::slice::from_ref(&b)), &text),
            format!("{text}{b}\n")
        );
    }

    #[test]
    fn options_are_kept_unless_others_are_declared() {
        let a = key(1);
        let text = format!("from=\"10.0.0.0/8\",command=\"echo \\\"hi there\\\"\" {a} laptop\n");
        assert_eq!(edited(&spec(std::slice::from_ref(&a)), &text), "same");
        let restricted = format!("restrict {a} laptop");
        assert_eq!(
            edited(&spec(std::slice::from_ref(&restricted)), &text),
            format!("{restricted}\n")
        );
    }

    #[test]
    fn exclusive_keys_drive_out_all_others_and_comments_stay() {
        let (a, b) = (key(1), key(2));
        let mut exclusive = spec(std::slice::from_ref(&b));
        exclusive.exclusive = true;
        assert_eq!(
            edited(
                &exclusive,
                &format!("# mine\n{a}\nfuture-type AAAA\n\n{b} x\n")
            ),
            format!("# mine\n\n{b} x\n")
        );
    }

    #[test]
    fn absent_keys_go() {
        let (a, b) = (key(1), key(2));
        let mut absent = spec(std::slice::from_ref(&a));
        absent.state = Presence::Absent;
        assert_eq!(
            edited(&absent, &format!("restrict {a}\n{b}\n")),
            format!("{b}\n")
        );
        assert_eq!(edited(&absent, &b), "same");
    }

    #[test]
    fn a_key_that_was_cut_off_is_refused() {
        let whole = key(1);
        for bad in [
            &whole[..30],
            "ssh-ed25519",
            "ssh-rsa AAAAB3Nz",
            "hello",
            "",
            &whole.replace("ed25519", "rsa"),
        ] {
            let reason = fault(&spec(&[bad.to_owned()])).unwrap();
            assert!(reason.contains("is no public key"), "{bad:?}: {reason}");
        }
        assert_eq!(fault(&spec(&["{{ params.key }}".into()])), None);
        assert!(fault(&spec(&[])).is_some());
    }

    fn node() -> TempHost {
        TempHost::scripted(|command| match command {
            "getent passwd root" => says("root:x:0:0::/root:/bin/sh\n"),
            "id -gn root" | "id -Gn root" => says("root\n"),
            "getent passwd deploy" => says("deploy:x:1000:1000::/home/deploy:/bin/sh\n"),
            "id -gn deploy" | "id -Gn deploy" => says("deploy\n"),
            chown if chown.starts_with("chown ") => says(""),
            stat if stat.starts_with("stat ") && stat.ends_with("/etc/keys") => {
                says("41ed:mallory:mallory:1:1\n")
            }
            _ => None,
        })
    }

    #[tokio::test]
    async fn the_directory_is_made_for_the_user_and_goes_with_the_first_key() {
        let host = node();
        std::fs::create_dir(host.path("/root")).unwrap();
        let resource = Resource::AuthorizedKeys(AuthorizedKeysSpec {
            user: "root".into(),
            ..spec(&[key(1)])
        });
        ensure(&resource, &host).await.unwrap();
        let directory = host.path("/root/.ssh");
        assert_eq!(
            directory.metadata().unwrap().permissions().mode() & 0o777,
            0o700
        );
        assert!(
            host.ran()
                .contains(&"chown root:root /root/.ssh".to_owned())
        );
        take_back(&host).await.unwrap();
        assert!(!directory.exists());
    }

    #[tokio::test]
    async fn root_does_not_follow_a_users_link_or_write_into_anothers_directory() {
        let host = node();
        std::fs::create_dir_all(host.path("/home/deploy")).unwrap();
        std::fs::create_dir_all(host.path("/root/.ssh")).unwrap();
        std::os::unix::fs::symlink(host.path("/root/.ssh"), host.path("/home/deploy/.ssh"))
            .unwrap();
        let resource = Resource::AuthorizedKeys(spec(&[key(1)]));
        let error = ensure(&resource, &host).await.unwrap_err().to_string();
        assert!(
            error.contains("/home/deploy/.ssh is a symbolic link"),
            "{error}"
        );
        let elsewhere = AuthorizedKeysSpec {
            path: Some("/etc/keys/deploy".into()),
            ..spec(&[key(1)])
        };
        let error = ensure(&Resource::AuthorizedKeys(elsewhere), &host)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("/etc/keys belongs to mallory"), "{error}");
    }

    proptest! {
        #[test]
        fn no_line_makes_the_reader_panic(line in "\\PC{0,60}|(ssh-[a-z]{0,4}|\"| |\\\\){0,12}") {
            let _ = parse(&line);
            let _ = edited(&spec(&[key(1)]), &line);
        }
    }
}
