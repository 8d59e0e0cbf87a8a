//! Is a host's certificate good? (OpenSSH's PROTOCOL.certkeys.)
//!
//! It must be a host certificate, signed by an authority that `known_hosts` names for this host, valid now, made out to the
//! name by which the host is reached, and demand nothing that is not understood. Neither its key nor its authority may be
//! revoked. The key exchange has proved already that the host holds the key in it.

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey};

use super::known_hosts::{Pin, Pins};
use super::pattern::wildcard;
use super::tame;

/// Why a certificate does not count.
#[derive(Debug)]
pub(super) enum Refused<'p> {
    /// Its key or its authority is marked as not to be trusted.
    Revoked(&'p Pin),
    /// It proves nothing, and why.
    Useless(String),
}

/// Judges the certificate of the host that is filed as `name`; `now` is in seconds since 1970. The line that names its
/// authority, when it is good.
///
/// # Errors
/// Why it is not.
pub(super) fn judge<'p>(
    certificate: &Certificate,
    name: &str,
    now: u64,
    pins: &'p Pins,
) -> Result<&'p Pin, Refused<'p>> {
    let signer = certificate.signature_key();
    let revoked = pins.revoked(certificate.public_key());
    if let Some(pin) = revoked.or_else(|| pins.revoked(signer)) {
        return Err(Refused::Revoked(pin));
    }
    let useless = |reason: String| Err(Refused::Useless(reason));
    if certificate.cert_type() != CertType::Host {
        return useless("it is a user's, not a host's".into());
    }
    let Some(authority) = pins.authority(signer) else {
        let signer = PublicKey::new(signer.clone(), "").fingerprint(HashAlg::Sha256);
        return useless(format!(
            "no @cert-authority line for this host has the key {signer} that signed it"
        ));
    };
    if matches!(
        certificate.signature().algorithm(),
        Algorithm::Rsa { hash: None }
    ) {
        return useless("it is signed over SHA-1, which proves nothing any more".into());
    }
    if certificate.verify_signature().is_err() {
        return useless("its signature is wrong".into());
    }
    if now < certificate.valid_after() {
        return useless(format!(
            "it is valid only from {}",
            day(certificate.valid_after())
        ));
    }
    if now >= certificate.valid_before() {
        return useless(format!(
            "it was valid until {}",
            day(certificate.valid_before())
        ));
    }
    if certificate.critical_options().iter().next().is_some() {
        return useless("it has critical options, and none are known for hosts".into());
    }
    let principals = certificate.valid_principals();
    let name = name.trim_matches(['[', ']']).to_ascii_lowercase();
    let named = |principal: &String| wildcard(&principal.to_ascii_lowercase(), &name);
    if !principals.iter().any(named) {
        let names: Vec<String> = principals.iter().take(8).map(|name| tame(name)).collect();
        return useless(if names.is_empty() {
            "it is made out to no name (ssh-keygen -n)".into()
        } else {
            format!("it is made out to {}, not to {name}", names.join(", "))
        });
    }
    Ok(authority)
}

/// A moment as people write it.
pub(super) fn day(seconds: u64) -> String {
    let moment = i64::try_from(seconds).ok();
    let moment = moment.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    moment.map_or_else(
        || format!("second {seconds} since 1970"),
        |moment| moment.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rstest::rstest;
    use russh::keys::PrivateKey;
    use russh::keys::ssh_key::certificate::Builder;
    use russh::keys::ssh_key::private::Ed25519Keypair;

    use super::*;

    struct Scene {
        authority: PrivateKey,
        host: PrivateKey,
    }

    impl Scene {
        fn new() -> Self {
            let key = |seed| PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]));
            Self {
                authority: key(1),
                host: key(2),
            }
        }

        fn certificate(&self, kind: CertType, principals: &[&str], options: bool) -> Certificate {
            let host = self.host.public_key();
            let mut builder = Builder::new(vec![7; 32], host.clone(), 1000, 2000).unwrap();
            builder.cert_type(kind).unwrap();
            builder.key_id("host").unwrap();
            for principal in principals {
                builder.valid_principal(*principal).unwrap();
            }
            if principals.is_empty() {
                builder.all_principals_valid().unwrap();
            }
            if options {
                builder.critical_option("force-command", "x").unwrap();
            }
            builder.sign(&self.authority).unwrap()
        }

        fn pins(marker: &str, names: &str, key: &PrivateKey) -> Pins {
            let key = key.public_key().to_openssh().unwrap();
            let mut pins = Pins::default();
            let text = format!("{marker} {names} {key}\n");
            pins.read(&text, Path::new("known_hosts"), "pc1.lan", 2222);
            pins
        }
    }

    fn verdict(certificate: &Certificate, now: u64, pins: &Pins) -> Result<usize, String> {
        match judge(certificate, "PC1.lan", now, pins) {
            Ok(pin) => Ok(pin.line),
            Err(Refused::Revoked(_)) => Err("revoked".into()),
            Err(Refused::Useless(reason)) => Err(reason),
        }
    }

    #[rstest]
    #[case(&["pc1.lan"], 1500, None)]
    #[case(&["*.lan", "x"], 1000, None)]
    #[case(&["pc2.lan"], 1500, Some("made out to pc2.lan, not to pc1.lan"))]
    #[case(&[], 1500, Some("to no name"))]
    #[case(&["pc1.lan"], 999, Some("valid only from 1970-01-01 00:16:40Z"))]
    #[case(&["pc1.lan"], 2000, Some("valid until 1970-01-01 00:33:20Z"))]
    fn a_certificate_counts_for_its_names_and_its_time(
        #[case] principals: &[&str],
        #[case] now: u64,
        #[case] reason: Option<&str>,
    ) {
        let scene = Scene::new();
        let pins = Scene::pins("@cert-authority", "*.lan", &scene.authority);
        let certificate = scene.certificate(CertType::Host, principals, false);
        match (verdict(&certificate, now, &pins), reason) {
            (Ok(line), None) => assert_eq!(line, 1),
            (Err(said), Some(reason)) => assert!(said.contains(reason), "{said}"),
            (verdict, _) => panic!("{verdict:?}"),
        }
    }

    #[test]
    fn a_certificate_of_a_stranger_a_user_or_with_options_counts_for_nothing() {
        let scene = Scene::new();
        let pins = Scene::pins("@cert-authority", "*.lan", &scene.authority);
        let good = scene.certificate(CertType::Host, &["pc1.lan"], false);
        let user = scene.certificate(CertType::User, &["pc1.lan"], false);
        let options = scene.certificate(CertType::Host, &["pc1.lan"], true);
        let elsewhere = Scene::pins("@cert-authority", "*.org", &scene.authority);
        let pinned = Scene::pins("", "*.lan", &scene.authority);
        for (certificate, pins, reason) in [
            (&user, &pins, "a user's"),
            (&options, &pins, "critical options"),
            (&good, &elsewhere, "no @cert-authority"),
            (&good, &pinned, "no @cert-authority"),
        ] {
            let said = verdict(certificate, 1500, pins).unwrap_err();
            assert!(said.contains(reason), "{said}");
        }
    }

    #[test]
    fn a_revoked_authority_or_key_spoils_its_certificate() {
        let scene = Scene::new();
        let certificate = scene.certificate(CertType::Host, &["pc1.lan"], false);
        for revoked in [&scene.authority, &scene.host] {
            let mut pins = Scene::pins("@cert-authority", "*.lan", &scene.authority);
            let line = format!("@revoked * {}", revoked.public_key().to_openssh().unwrap());
            pins.read(&line, Path::new("known_hosts"), "pc1.lan", 22);
            assert_eq!(verdict(&certificate, 1500, &pins), Err("revoked".into()));
        }
    }
}
