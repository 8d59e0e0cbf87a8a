//! New keys on their way to those who keep them: encrypted for recipients into files, or shown to one operator, once.
//!
//! Nothing is written down that is not encrypted. Who takes the keys is asked for before they are made, so that none are made that
//! nobody holds.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use age::x25519::Recipient;
use base64::Engine as _;

use super::super::StepError;
use super::ceremony::{Chair, Heard, out_of_turn};
use super::{Site, number, words};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::recipe::VaultStep;
use crate::domain::seal::{NewKeys, Wants, Word};
use crate::services::Scheme;

/// Five shares of which three open: what Vault does when it is not told.
const SHARES: u32 = 5;
const THRESHOLD: u32 = 3;
/// More shares than the points of the field.
const MOST: u32 = 255;

/// Who gets the keys, and how.
pub(super) enum Handover {
    /// An operator, on his screen.
    Shown,
    /// Files for age recipients: one for each share, or one for all.
    Age(Vec<Recipient>, PathBuf),
    /// Files that Vault itself encrypted for PGP keys.
    Pgp(PathBuf),
}

/// What the step says of new keys.
///
/// # Errors
/// When the numbers or recipients do not fit, or there is no place for the files.
pub(super) fn read(site: &Site<'_>, step: &VaultStep) -> Result<(Scheme, Handover), StepError> {
    let shares = number("shares", step.shares.as_deref(), SHARES)?;
    let threshold = number(
        "shares that are needed",
        step.threshold.as_deref(),
        THRESHOLD.min(shares),
    )?;
    let impossible = |reason: String| Err(StepError::lasting(reason));
    if shares == 0 || threshold == 0 || threshold > shares || shares > MOST {
        return impossible(format!(
            "{threshold} of {shares} shares is impossible: take 1 to {MOST} shares, and no more that are needed than there are"
        ));
    }
    if threshold == 1 && shares > 1 {
        return impossible(format!(
            "with {shares} shares at least 2 must be needed: Vault makes no copies of one key"
        ));
    }
    let (recipients, pgp_keys) = (
        words(step.recipients.as_deref()),
        words(step.pgp_keys.as_deref()),
    );
    let fits = |count: usize| u32::try_from(count).is_ok_and(|count| count == shares);
    if !recipients.is_empty() && !pgp_keys.is_empty() {
        return impossible("give age recipients or PGP keys, not both".into());
    }
    if !pgp_keys.is_empty() && !fits(pgp_keys.len()) {
        return impossible(format!(
            "there are {} PGP keys for {shares} shares; Vault wants one for each",
            pgp_keys.len()
        ));
    }
    if recipients.len() > 1 && !fits(recipients.len()) {
        return impossible(format!(
            "there are {} age recipients for {shares} shares; give one for each, or a single one for all",
            recipients.len()
        ));
    }
    let handover = if !pgp_keys.is_empty() {
        Handover::Pgp(place(site)?)
    } else if recipients.is_empty() {
        Handover::Shown
    } else {
        let read = recipients.iter().map(|text| {
            text.parse::<Recipient>().map_err(|reason| {
                StepError::lasting(format!(
                    "{text:?} is no age recipient ({reason}): it begins with age1; `age-keygen -y` shows it"
                ))
            })
        });
        Handover::Age(read.collect::<Result<_, _>>()?, place(site)?)
    };
    let scheme = Scheme {
        shares,
        threshold,
        pgp_keys,
    };
    Ok((scheme, handover))
}

/// A new directory for the files, proved to take them before any key is made.
fn place(site: &Site<'_>) -> Result<PathBuf, StepError> {
    let now = SystemClock.now().strftime("%Y%m%dT%H%M%S%3fZ").to_string();
    let dir = site
        .context
        .keys
        .join(&site.context.environment.name)
        .join(&site.service)
        .join(now);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
    made.and_then(|()| File::open(&dir)?.sync_all())
        .map_err(|error| StepError::lasting(format!("{}: {error}", dir.display())))?;
    Ok(dir)
}

impl Handover {
    /// Who will have them, for the log.
    pub(super) fn whom(&self) -> String {
        match self {
            Self::Shown => "the operator who takes them".into(),
            Self::Age(recipients, _) if recipients.len() == 1 => "one age recipient".into(),
            Self::Age(recipients, _) => format!("{} age recipients", recipients.len()),
            Self::Pgp(_) => "the owners of the PGP keys".into(),
        }
    }

    /// Writes the keys where that is how they are handed over; `false` when somebody must take them.
    ///
    /// # Errors
    /// When they cannot be encrypted or the disk does not take them.
    pub(super) async fn write(&self, keys: &NewKeys, site: &Site<'_>) -> Result<bool, StepError> {
        let written = match self {
            Self::Shown => return Ok(false),
            Self::Age(recipients, dir) => encrypt(recipients, keys).map(|files| (files, dir)),
            Self::Pgp(dir) => decode(keys).map(|files| (files, dir)),
        };
        let (files, dir) = written.map_err(StepError::lasting)?;
        for (name, bytes) in &files {
            let path = dir.join(name);
            keep(&path, bytes)
                .map_err(|error| StepError::lasting(format!("{}: {error}", path.display())))?;
            site.note(format!("encrypted in {}", path.display())).await;
        }
        Ok(true)
    }
}

/// How the files of shares begin.
fn stem(keys: &NewKeys) -> String {
    keys.called().replace(' ', "-")
}

/// One file for each share and one for the root token, for the first recipient.
fn encrypt(recipients: &[Recipient], keys: &NewKeys) -> Result<Vec<(String, Vec<u8>)>, String> {
    let last = recipients.len().saturating_sub(1);
    let stem = stem(keys);
    let shares = keys.shares.iter().enumerate().map(|(at, share)| {
        let name = format!("{stem}-{}.age", at + 1);
        (name, &recipients[at.min(last)], share)
    });
    let token = keys
        .root_token
        .iter()
        .map(|token| ("root-token.age".to_owned(), &recipients[0], token));
    shares
        .chain(token)
        .map(|(name, recipient, secret)| {
            let text = format!("{}\n", secret.expose());
            let text = zeroize::Zeroizing::new(text);
            let bytes = age::encrypt_and_armor(recipient, text.as_bytes())
                .map_err(|error| format!("{name}: {error}"))?;
            Ok((name, bytes.into_bytes()))
        })
        .collect()
}

/// What Vault encrypted: the shares in hexadecimal digits, the root token in base64.
fn decode(keys: &NewKeys) -> Result<Vec<(String, Vec<u8>)>, String> {
    let hex = |text: &str| -> Option<Vec<u8>> {
        let digits = text.as_bytes().chunks_exact(2);
        digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect()
    };
    let odd = |name: &str| format!("{name}: Vault gave it in a form that is not known");
    let stem = stem(keys);
    let mut files = Vec::new();
    for (at, share) in keys.shares.iter().enumerate() {
        let name = format!("{stem}-{}.gpg", at + 1);
        let bytes = hex(share.expose()).ok_or_else(|| odd(&name))?;
        files.push((name, bytes));
    }
    if let Some(token) = &keys.root_token {
        let name = "root-token.gpg".to_owned();
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(token.expose())
            .map_err(|_| odd(&name))?;
        files.push((name, bytes));
    }
    Ok(files)
}

/// Writes a file that only its owner can read, and only when it is on the disk is it there.
fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let next = path.with_extension("next");
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&next)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&next, path)?;
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

/// Waits until an operator is there to take what is about to be made; where he waits for it.
pub(super) async fn taker(
    chair: &mut Chair,
    what: &str,
    site: &Site<'_>,
) -> Result<super::Spoken, StepError> {
    chair.stand(|standing| {
        standing.wants = Wants::Taker;
        standing.said = format!("{what} are made as soon as somebody is there to take them");
    });
    let cancel = site.context.cancel.clone();
    loop {
        let spoken = cancel.run_until_cancelled(chair.next()).await;
        let spoken = spoken.ok_or_else(StepError::cancelled)??;
        if spoken.word == Word::Take {
            return Ok(spoken);
        }
        out_of_turn(spoken, "nothing but a taker of the new keys is waited for");
    }
}

/// Gives the keys to whoever waits for them, and waits until he says that they are in a safe place. He may ask again until then.
///
/// # Errors
/// When the step is told to stop before he said so.
pub(super) async fn give(
    keys: NewKeys,
    first: super::Spoken,
    chair: &mut Chair,
    site: &Site<'_>,
) -> Result<String, StepError> {
    let taker = first.by.clone();
    let mut arrived = first.reply.send(Ok(Heard::Keys(keys.clone()))).is_ok();
    chair.stand(|standing| {
        standing.wants = Wants::Kept;
        standing.said = format!(
            "{taker} has the new keys before him, and is to say that they are in a safe place"
        );
    });
    site.note(format!("the new keys are shown to {taker}"))
        .await;
    let cancel = site.context.cancel.clone();
    loop {
        let spoken = match cancel.run_until_cancelled(chair.next()).await {
            Some(spoken) => spoken?,
            None if arrived => {
                return Err(StepError::lasting(format!(
                    "cancelled: {taker} was shown the new keys, and did not say that he keeps them"
                )));
            }
            None => {
                return Err(StepError::lasting(
                    "cancelled: nobody was shown the new keys",
                ));
            }
        };
        match spoken.word {
            Word::Kept if spoken.by == taker => {
                let _ = spoken.reply.send(Ok(Heard::Taken));
                return Ok(taker);
            }
            Word::Take if spoken.by == taker => {
                arrived |= spoken.reply.send(Ok(Heard::Keys(keys.clone()))).is_ok();
            }
            Word::Take | Word::Kept => out_of_turn(spoken, &format!("{taker} is taking the keys")),
            Word::Share(_) | Word::Reset => out_of_turn(spoken, "no share is asked for now"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;

    fn keys() -> NewKeys {
        NewKeys {
            shares: ["aa01", "bb02"].map(|text| Secret::new(text.into())).into(),
            threshold: 2,
            root_token: Some(Secret::new("hvs.token".into())),
            recovery: false,
        }
    }

    #[test]
    fn each_recipient_can_read_his_share_and_no_other() {
        let owners: Vec<age::x25519::Identity> =
            (0..2).map(|_| age::x25519::Identity::generate()).collect();
        let recipients: Vec<Recipient> = owners
            .iter()
            .map(age::x25519::Identity::to_public)
            .collect();
        let files = encrypt(&recipients, &keys()).unwrap();
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["share-1.age", "share-2.age", "root-token.age"]);
        let open = |owner: usize, file: usize| age::decrypt(&owners[owner], &files[file].1).ok();
        assert_eq!(open(0, 0).unwrap(), b"aa01\n");
        assert_eq!(open(1, 1).unwrap(), b"bb02\n");
        assert_eq!(open(0, 2).unwrap(), b"hvs.token\n");
        assert_eq!(open(1, 0), None);
        for (_, bytes) in &files {
            let text = String::from_utf8_lossy(bytes);
            assert!(!text.contains("aa01") && !text.contains("hvs."), "{text}");
        }
    }

    #[test]
    fn a_file_is_its_owners_alone_and_is_never_written_over() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("share-1.age");
        keep(&path, b"x").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(path.with_extension("next"), b"y").unwrap();
        assert!(keep(&path, b"z").is_err());
    }
}
