//! Packages that the operator brings along.

use std::collections::BTreeMap;

use crate::config::cursor::Cursor;
use crate::config::diagnostic::{Fault, quoted};
use crate::config::format::environment::EnvironmentFile;
use crate::config::meaning::paths::Paths;
use crate::domain::environment::Artifact;
use crate::domain::platform::Arch;

/// All artifacts by software name and architecture.
pub(crate) fn read(
    file: &EnvironmentFile,
    top: Cursor<'_>,
    paths: &Paths,
    faults: &mut Vec<Fault>,
) -> BTreeMap<String, BTreeMap<Arch, Artifact>> {
    let mut artifacts: BTreeMap<String, BTreeMap<Arch, Artifact>> = BTreeMap::new();
    for (software, entry) in &file.artifacts {
        let at = top.key("artifacts").key(software);
        for (arch, written) in [(Arch::Amd64, &entry.amd64), (Arch::Arm64, &entry.arm64)] {
            let Some(written) = written else { continue };
            let (Some(source), Some(sha256)) = (&written.source, &written.sha256) else {
                continue;
            };
            let span = at.key(arch.word()).key("source").span();
            let source = match source.0.split_once("://") {
                Some(("http" | "https", _)) => source.0.clone(),
                Some((scheme, _)) => {
                    faults.push(
                        Fault::error(
                            "malformed",
                            span,
                            format!("cannot fetch by {}", quoted(scheme)),
                        )
                        .help("an http:// or https:// URL, or a path"),
                    );
                    continue;
                }
                None => paths
                    .existing(&source.0, span, "the package", faults)
                    .to_string_lossy()
                    .into_owned(),
            };
            let artifact = Artifact {
                source,
                sha256: sha256.0.to_ascii_lowercase(),
            };
            artifacts
                .entry(software.clone())
                .or_default()
                .insert(arch, artifact);
        }
    }
    artifacts
}
