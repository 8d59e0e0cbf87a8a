use flate2::Compression;
use flate2::write::GzEncoder;
use rstest::rstest;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::domain::backup::StoreKind;
use crate::services::contents;

const STATE: &[u8] = b"the state of the cluster";

/// An archive of these members.
fn packed(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_cksum();
        tar.append_data(&mut header, name, bytes.as_slice())
            .unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn members(kind: StoreKind) -> Vec<(&'static str, Vec<u8>)> {
    let meta = format!(
        r#"{{"Version":1,"ID":"2-21-1","Index":21,"Term":2,"Peers":"","Size":{}}}"#,
        STATE.len()
    )
    .into_bytes();
    let sum = |bytes: &[u8]| crate::domain::hex(&Sha256::digest(bytes));
    let sums = format!("{}  meta.json\n{}  state.bin\n", sum(&meta), sum(STATE));
    let mut all = vec![
        ("meta.json", meta),
        ("state.bin", STATE.to_vec()),
        ("SHA256SUMS", sums.into_bytes()),
    ];
    if kind == StoreKind::Vault {
        all.push(("SHA256SUMS.sealed", b"sealed".to_vec()));
    }
    all
}

fn judged(kind: StoreKind, bytes: &[u8]) -> Result<Contents, String> {
    contents::verify(kind, bytes).map_err(|flaw| flaw.to_string())
}

#[rstest]
#[case(StoreKind::Consul)]
#[case(StoreKind::Nomad)]
#[case(StoreKind::Vault)]
fn a_whole_archive_says_what_is_in_it(#[case] kind: StoreKind) {
    let contents = judged(kind, &packed(&members(kind))).unwrap();
    assert_eq!(
        contents,
        Contents {
            index: 21,
            term: 2,
            state: 24
        }
    );
}

#[test]
fn an_archive_that_ends_anywhere_before_its_end_is_never_good() {
    let whole = packed(&members(StoreKind::Vault));
    for length in 0..whole.len() {
        assert!(
            judged(StoreKind::Vault, &whole[..length]).is_err(),
            "{length} bytes"
        );
    }
}

#[test]
fn an_archive_with_any_byte_changed_is_never_taken_for_another_state() {
    let whole = packed(&members(StoreKind::Consul));
    let right = judged(StoreKind::Consul, &whole).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x5a;
        // The header of gzip has bytes that mean nothing (time, system).
        if let Ok(contents) = judged(StoreKind::Consul, &changed) {
            assert!(at < 10, "byte {at}");
            assert_eq!(contents, right);
        }
    }
}

#[rstest]
#[case("SHA256SUMS.sealed", "SHA256SUMS.sealed is missing")]
#[case("state.bin", "state.bin is missing")]
#[case("SHA256SUMS", "SHA256SUMS is missing")]
fn a_member_that_is_missing_is_named(#[case] name: &str, #[case] said: &str) {
    let mut members = members(StoreKind::Vault);
    members.retain(|(member, _)| *member != name);
    assert_eq!(
        judged(StoreKind::Vault, &packed(&members)).unwrap_err(),
        said
    );
}

#[rstest]
#[case("SHA256SUMS.sealed", b"".as_slice(), "SHA256SUMS.sealed is empty")]
#[case("state.bin", b"".as_slice(), "state.bin is empty")]
#[case("state.bin", b"another state".as_slice(), "state.bin has the checksum")]
#[case("SHA256SUMS", b"nothing".as_slice(), "SHA256SUMS does not mention meta.json")]
fn a_member_that_is_not_as_written_down_is_named(
    #[case] name: &str,
    #[case] bytes: &[u8],
    #[case] said: &str,
) {
    let mut members = members(StoreKind::Vault);
    for (member, content) in &mut members {
        if *member == name {
            *content = bytes.to_vec();
        }
    }
    let flaw = judged(StoreKind::Vault, &packed(&members)).unwrap_err();
    assert!(flaw.starts_with(said), "{flaw}");
}

#[test]
fn what_is_no_archive_says_so() {
    assert_eq!(judged(StoreKind::Consul, b"").unwrap_err(), "it is empty");
    let page = judged(StoreKind::Consul, b"<html>502 Bad Gateway</html>").unwrap_err();
    assert!(page.starts_with("it cannot be read"), "{page}");
    let mut extra = members(StoreKind::Consul);
    extra.push(("stranger", b"x".to_vec()));
    let flaw = judged(StoreKind::Consul, &packed(&extra)).unwrap_err();
    assert_eq!(
        flaw,
        "there is a \"stranger\" in it, which does not belong there"
    );
}
