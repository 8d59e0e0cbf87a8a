//! Debian's binary package format (deb(5)): an `ar` archive of `debian-binary`, `control.tar.gz` and `data.tar.gz`.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::push;

const MAGIC: &[u8] = b"!<arch>\n";
/// The most bytes an archive may unpack to.
const UNPACKED_LIMIT: u64 = 64 * 1024 * 1024;

/// A package file, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Deb {
    /// Fields of the control file, such as `Package` and `Version`.
    pub(crate) fields: BTreeMap<String, String>,
    /// Absolute path, mode and content of each file it brings.
    pub(crate) files: Vec<(String, u32, Vec<u8>)>,
}

impl Deb {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// Reads a package file.
///
/// # Errors
/// What is wrong with it, as a clause.
pub(super) fn read(bytes: &[u8]) -> Result<Deb, String> {
    let mut rest = bytes
        .strip_prefix(MAGIC)
        .ok_or("not a Debian format archive")?;
    let mut deb = Deb::default();
    let (mut version, mut control, mut data) = (false, false, false);
    while !rest.is_empty() {
        let (name, member, after) = member(rest)?;
        match name {
            "debian-binary" => version = member.starts_with(b"2."),
            "control.tar.gz" => {
                for (path, _, content) in unpack(member)? {
                    if path == "/control" {
                        deb.fields = fields(&String::from_utf8_lossy(&content));
                        control = true;
                    }
                }
            }
            "data.tar.gz" => {
                deb.files = unpack(member)?;
                data = true;
            }
            name if name.starts_with("control.tar") || name.starts_with("data.tar") => {
                return Err(format!("uses a compression that is not simulated ({name})"));
            }
            _ => {}
        }
        rest = after;
    }
    if !version {
        return Err("archive has no debian-binary of format 2".into());
    }
    if !data {
        return Err("archive has no data member".into());
    }
    if !control || deb.field("Package").is_empty() || deb.field("Version").is_empty() {
        return Err("control file lacks package or version".into());
    }
    Ok(deb)
}

/// Builds a package file; the same input gives the same bytes.
///
/// # Errors
/// When something does not fit into the format.
pub(crate) fn write(deb: &Deb) -> std::io::Result<Vec<u8>> {
    // Fields in the order in which people expect them.
    let mut control = String::new();
    for name in [
        "Package",
        "Version",
        "Architecture",
        "Maintainer",
        "Section",
        "Priority",
        "Description",
    ] {
        if let Some(value) = deb.fields.get(name) {
            push(&mut control, format_args!("{name}: {value}\n"));
        }
    }
    let control = pack(&[("/control".into(), 0o644, control.into_bytes())])?;
    let mut bytes = MAGIC.to_vec();
    for (name, content) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", control),
        ("data.tar.gz", pack(&deb.files)?),
    ] {
        writeln!(
            bytes,
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`",
            0,
            0,
            0,
            "100644",
            content.len()
        )?;
        bytes.extend_from_slice(&content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    Ok(bytes)
}

/// One member of an `ar` archive, and what follows it.
fn member(bytes: &[u8]) -> Result<(&str, &[u8], &[u8]), String> {
    const SHORT: &str = "unexpected end of file in archive";
    let header = bytes.get(..60).ok_or(SHORT)?;
    if header[58..] != *b"`\n" {
        return Err("corrupted member header".into());
    }
    let text = |range: std::ops::Range<usize>| {
        std::str::from_utf8(&header[range])
            .map(str::trim)
            .map_err(|_| "corrupted member header".to_owned())
    };
    let name = text(0..16)?.trim_end_matches('/');
    let size: usize = text(48..58)?
        .parse()
        .map_err(|_| "corrupted member size".to_owned())?;
    let content = bytes.get(60..60 + size.min(bytes.len())).ok_or(SHORT)?;
    if content.len() != size {
        return Err(SHORT.into());
    }
    let after = (60 + size).next_multiple_of(2).min(bytes.len());
    Ok((name, content, &bytes[after..]))
}

fn unpack(compressed: &[u8]) -> Result<Vec<(String, u32, Vec<u8>)>, String> {
    let limited = GzDecoder::new(compressed).take(UNPACKED_LIMIT);
    let mut archive = tar::Archive::new(limited);
    let broken = |error: std::io::Error| format!("corrupted archive: {error}");
    let mut files = Vec::new();
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().map_err(broken)?.to_string_lossy().into_owned();
        if path.split('/').any(|part| part == "..") {
            return Err(format!("{path} leaves the archive"));
        }
        let path = format!("/{}", path.trim_start_matches("./").trim_start_matches('/'));
        let mode = entry.header().mode().map_err(broken)? & 0o7777;
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(broken)?;
        files.push((path, mode, content));
    }
    Ok(files)
}

fn pack(files: &[(String, u32, Vec<u8>)]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (path, mode, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        header.set_mtime(0);
        archive.append_data(&mut header, format!(".{path}"), content.as_slice())?;
    }
    archive.into_inner()?.finish()
}

fn fields(control: &str) -> BTreeMap<String, String> {
    control
        .lines()
        .filter(|line| !line.starts_with([' ', '\t']))
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Deb {
        Deb {
            fields: BTreeMap::from([
                ("Package".into(), "consul".into()),
                ("Version".into(), "1.8.7-1".into()),
                ("Architecture".into(), "arm64".into()),
            ]),
            files: vec![("/usr/bin/consul".into(), 0o755, b"program".to_vec())],
        }
    }

    #[test]
    fn what_was_written_reads_back_the_same_and_is_the_same_every_time() {
        let bytes = write(&sample()).unwrap();
        assert_eq!(read(&bytes).unwrap(), sample());
        assert_eq!(write(&sample()).unwrap(), bytes);
    }

    #[test]
    fn a_package_cut_short_is_refused_with_the_reason() {
        let bytes = write(&sample()).unwrap();
        for cut in 0..bytes.len() - 1 {
            assert!(read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(read(b"<html>").unwrap_err().contains("not a Debian"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(mut noise in proptest::collection::vec(any::<u8>(), 0..200), flip in 0_usize..300) {
            let mut bytes = write(&sample()).unwrap();
            let at = flip % bytes.len();
            bytes[at] ^= 0x5a;
            let _ = read(&bytes);
            noise.splice(0..0, MAGIC.iter().copied());
            let _ = read(&noise);
        }
    }
}
