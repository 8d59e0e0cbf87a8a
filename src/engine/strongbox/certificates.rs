//! Certificates that a cluster's members show each other: an authority of its own, and one certificate for each holder.
//!
//! Keys are of the curve P-256, which every system that is deployed here understands. A holder's certificate is good for a
//! year and is made anew, with a new key, by the first run in its last 90 days, or when its names change. The authority is
//! good for ten years. What a certificate is for and until when it is good stands in a line above it, so that it can be read
//! in the file, and in the difference that a run shows:
//!
//! ```text
//! # {"holder":"n1","names":["n1","10.77.0.11"],"until":"2027-11-21T00:00:00Z"}
//! -----BEGIN CERTIFICATE-----
//! ```
//!
//! Programs skip text above a certificate ([RFC 7468, section 2](https://www.rfc-editor.org/rfc/rfc7468#section-2)).

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// How long a holder's certificate is good, days.
const GOOD: i64 = 365;
/// From so many days before its end on it is made anew.
const RENEWED: i64 = 90;
/// How long an authority is good, years.
const AUTHORITY: i64 = 10;
/// Where the key begins in a kept identity.
const KEY: &str = "-----BEGIN PRIVATE KEY-----";

/// A certificate and its key.
#[derive(Debug)]
pub(super) struct Identity {
    about: About,
    /// In PEM, with the line about it above.
    pub(super) certificate: String,
    /// In PEM (PKCS #8).
    pub(super) key: Zeroizing<String>,
}

/// What a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    holder: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
    until: Timestamp,
}

impl Identity {
    /// A new authority, which calls itself `title`.
    pub(super) fn authority(title: &str, now: Timestamp) -> Result<Self, String> {
        let until = later(now, AUTHORITY.years())?;
        let key = KeyPair::generate().map_err(said)?;
        let mut params = authority_params(title);
        good_between(&mut params, yesterday(now)?, until);
        let made = params.self_signed(&key).map_err(said)?;
        Self::new(title, Vec::new(), until, &made.pem(), &key)
    }

    /// A new certificate for `holder`, who goes by `names`: host names and IP addresses.
    pub(super) fn issue(
        &self,
        holder: &str,
        names: &[String],
        now: Timestamp,
    ) -> Result<Self, String> {
        let until = later(now, GOOD.days())?;
        if self.about.until < midnight(until)? {
            return Err(format!(
                "the authority {} ends on {}, within the year that a certificate is good for: move its file away, and the \
                 next run makes another, which all members must be given at the same time",
                self.about.holder,
                self.about.until.strftime("%F")
            ));
        }
        let signer = KeyPair::from_pem(&self.key).map_err(said)?;
        let key = KeyPair::generate().map_err(said)?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(said)?;
        params.distinguished_name = called(holder);
        good_between(&mut params, yesterday(now)?, until);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let issuer = Issuer::new(authority_params(&self.about.holder), signer);
        let made = params.signed_by(&key, &issuer).map_err(said)?;
        Self::new(holder, names.to_vec(), until, &made.pem(), &key)
    }

    fn new(
        holder: &str,
        names: Vec<String>,
        until: Date,
        certificate: &str,
        key: &KeyPair,
    ) -> Result<Self, String> {
        let about = About {
            holder: holder.to_owned(),
            names,
            until: midnight(until)?,
        };
        let line = serde_json::to_string(&about).map_err(said)?;
        Ok(Self {
            about,
            certificate: format!("# {line}\n{certificate}"),
            key: Zeroizing::new(key.serialize_pem()),
        })
    }

    /// Whether it is for these names and need not be made anew.
    pub(super) fn serves(&self, names: &[String], now: Timestamp) -> bool {
        let ends = later(now, RENEWED.days()).and_then(midnight);
        self.about.names == names && ends.is_ok_and(|ends| ends < self.about.until)
    }

    /// As one text, to be kept.
    pub(super) fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}{}", self.certificate, *self.key))
    }

    /// What [`Identity::text`] has written.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let (certificate, _) = text
            .split_once(KEY)
            .ok_or("there is no private key in it")?;
        let key = &text[certificate.len()..];
        let about = certificate
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# "))
            .and_then(|line| serde_json::from_str(line).ok())
            .ok_or("its first line does not say what it is for")?;
        Ok(Self {
            about,
            certificate: certificate.to_owned(),
            key: Zeroizing::new(format!("{}\n", key.trim_end())),
        })
    }
}

/// What is the same whenever an authority signs: its name and what it may do.
fn authority_params(title: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = called(title);
    // It signs for holders, never for another authority.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

fn said(error: impl std::fmt::Display) -> String {
    format!("the certificate cannot be made: {error}")
}

fn utc(now: Timestamp) -> Zoned {
    now.to_zoned(TimeZone::UTC)
}

fn later(now: Timestamp, span: jiff::Span) -> Result<Date, String> {
    utc(now).date().checked_add(span).map_err(said)
}

/// From when on it is good: a node whose clock is behind must take it, too.
fn yesterday(now: Timestamp) -> Result<Date, String> {
    utc(now).date().yesterday().map_err(said)
}

fn midnight(date: Date) -> Result<Timestamp, String> {
    let zoned = date.to_zoned(TimeZone::UTC).map_err(said)?;
    Ok(zoned.timestamp())
}

/// When a certificate is good, in whole days, as `rcgen`'s own function gives them.
fn good_between(params: &mut CertificateParams, from: Date, until: Date) {
    let day = |date: Date| {
        rcgen::date_time_ymd(
            i32::from(date.year()),
            date.month().unsigned_abs(),
            date.day().unsigned_abs(),
        )
    };
    params.not_before = day(from);
    params.not_after = day(until);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: &str) -> Timestamp {
        format!("{day}T12:00:00Z").parse().unwrap()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_certificate_says_for_whom_and_until_when_and_is_read_back() {
        let authority = Identity::authority("consul of staging", at("2026-01-01")).unwrap();
        let wanted = names(&["n1", "10.77.0.11"]);
        let issued = authority.issue("n1", &wanted, at("2026-01-01")).unwrap();
        let first = issued.certificate.lines().next().unwrap();
        assert_eq!(
            first,
            r#"# {"holder":"n1","names":["n1","10.77.0.11"],"until":"2027-01-01T00:00:00Z"}"#
        );
        let again = Identity::read(&issued.text()).unwrap();
        assert_eq!(again.certificate, issued.certificate);
        assert_eq!(again.key, issued.key);
        assert!(!again.certificate.contains("PRIVATE"));
    }

    #[test]
    fn it_is_made_anew_before_it_ends_and_for_other_names() {
        let authority = Identity::authority("consul of staging", at("2026-01-01")).unwrap();
        let wanted = names(&["n1"]);
        let issued = authority.issue("n1", &wanted, at("2026-01-01")).unwrap();
        assert!(issued.serves(&wanted, at("2026-09-30")));
        assert!(!issued.serves(&wanted, at("2026-10-04")));
        assert!(!issued.serves(&names(&["n1", "10.0.0.1"]), at("2026-01-02")));
    }

    #[test]
    fn an_authority_signs_nothing_that_outlives_it() {
        let authority = Identity::authority("consul of staging", at("2026-01-01")).unwrap();
        let wanted = names(&["n1"]);
        assert!(authority.issue("n1", &wanted, at("2034-12-30")).is_ok());
        let refused = authority
            .issue("n1", &wanted, at("2035-02-01"))
            .unwrap_err();
        assert!(refused.contains("ends on 2036-01-01"), "{refused}");
    }

    #[test]
    fn what_was_not_kept_by_us_is_told() {
        assert!(
            Identity::read("nonsense")
                .unwrap_err()
                .contains("no private key")
        );
        let bare = format!("{KEY}\nAAAA\n");
        assert!(Identity::read(&bare).unwrap_err().contains("first line"));
    }
}
