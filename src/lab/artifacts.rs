//! The packages and programs that the lab's environment brings along, served over HTTP on loopback as a mirror in the house would.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio_util::task::TaskTracker;

use super::shell::{package_contents, write_deb};
use super::world::{CONSUL_VERSION, World};
use crate::domain::hex;
use crate::domain::platform::{Arch, Software};
use crate::domain::stack::Stack;

/// Bytes of the simulated program: enough that an upload is seen to move, little enough that it is quick.
const PROGRAM: usize = 512 * 1024;

/// One package file on offer.
#[derive(Debug, Clone)]
pub(super) struct Artifact {
    pub(super) software: &'static str,
    pub(super) version: &'static str,
    pub(super) arch: Arch,
    pub(super) url: String,
    pub(super) sha256: String,
}

/// How software is brought to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A Debian package with this program.
    Package(&'static str),
    /// The program by itself.
    Program,
}

/// What is brought for a stack, in its versions.
const SOFTWARE: [(Software, &str, Form); 6] = [
    (Software::Consul, CONSUL_VERSION, Form::Package("consul")),
    (Software::Vault, "1.20.4", Form::Program),
    (Software::Nomad, "1.10.5", Form::Program),
    (Software::K3s, "1.33.5+k3s1", Form::Program),
    (Software::Traefik, "3.5.3", Form::Program),
    (Software::Grafana, "12.2.0", Form::Package("grafana")),
];

/// Builds what `stack` needs and serves it until the world stops.
///
/// # Errors
/// When loopback has no free port.
pub(super) async fn serve(
    world: &Arc<World>,
    stack: Stack,
    tasks: &TaskTracker,
) -> io::Result<Vec<Artifact>> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address: SocketAddr = listener.local_addr()?;
    let mut files = BTreeMap::new();
    let mut artifacts = Vec::new();
    let wanted = SOFTWARE
        .into_iter()
        .filter(|(software, _, _)| stack.order().contains(software));
    for (software, version, form) in wanted {
        for arch in Arch::ALL {
            let plain = version.replace('+', ".");
            let (name, bytes) = match form {
                Form::Package(package) => (
                    format!("{package}_{plain}_{arch}.deb"),
                    package_of(package, version, world.seed(), *arch)?,
                ),
                Form::Program => (
                    format!("{software}_{plain}_{arch}"),
                    program(software, version, world.seed(), *arch),
                ),
            };
            artifacts.push(Artifact {
                software: software.word(),
                version,
                arch: *arch,
                url: format!("http://{address}/{name}"),
                sha256: hex(&Sha256::digest(&bytes)),
            });
            files.insert(name, Bytes::from(bytes));
        }
    }
    let app = Router::new()
        .route("/{name}", get(file))
        .with_state(Arc::new(files));
    let stop = world.stopping().clone().cancelled_owned();
    tasks.spawn(async move {
        // The listener exists; what can fail from here on is one connection at a time.
        let _ = axum::serve(listener, app)
            .with_graceful_shutdown(stop)
            .await;
    });
    Ok(artifacts)
}

async fn file(
    Path(name): Path<String>,
    State(files): State<Arc<BTreeMap<String, Bytes>>>,
) -> Response {
    match files.get(&name) {
        Some(bytes) => {
            let kind = (
                header::CONTENT_TYPE,
                "application/vnd.debian.binary-package",
            );
            ([kind], bytes.clone()).into_response()
        }
        None => (StatusCode::NOT_FOUND, "no such package\n").into_response(),
    }
}

fn package_of(name: &str, version: &str, seed: u64, arch: Arch) -> io::Result<Vec<u8>> {
    let mut deb = package_contents(name, version, arch.word());
    let mut random = fastrand::Rng::with_seed(seed);
    for (_, _, content) in deb.files.iter_mut().filter(|(_, mode, _)| *mode == 0o755) {
        let header = content.len();
        content.resize(PROGRAM, 0);
        random.fill(&mut content[header..]);
    }
    write_deb(&deb)
}

fn program(software: Software, version: &str, seed: u64, arch: Arch) -> Vec<u8> {
    let mut content = format!("\u{7f}ELF simulated {software} {version} for {arch}\n").into_bytes();
    let header = content.len();
    content.resize(PROGRAM, 0);
    fastrand::Rng::with_seed(seed).fill(&mut content[header..]);
    content
}
