//! The packages that the lab's environment brings along, served over HTTP on loopback as a mirror in the house would.

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
use crate::domain::platform::Arch;

/// Bytes of the simulated program: enough that an upload is seen to move, little enough that it is quick.
const PROGRAM: usize = 512 * 1024;

/// One package file on offer.
#[derive(Debug, Clone)]
pub(super) struct Artifact {
    pub(super) software: &'static str,
    pub(super) arch: Arch,
    pub(super) url: String,
    pub(super) sha256: String,
}

/// Builds the packages and serves them until the world stops.
///
/// # Errors
/// When loopback has no free port.
pub(super) async fn serve(world: &Arc<World>, tasks: &TaskTracker) -> io::Result<Vec<Artifact>> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address: SocketAddr = listener.local_addr()?;
    let mut files = BTreeMap::new();
    let mut artifacts = Vec::new();
    for arch in Arch::ALL {
        let bytes = consul(world.seed(), *arch)?;
        let name = format!("consul_{}_{arch}.deb", CONSUL_VERSION.replace('+', "."));
        artifacts.push(Artifact {
            software: "consul",
            arch: *arch,
            url: format!("http://{address}/{name}"),
            sha256: hex(&Sha256::digest(&bytes)),
        });
        files.insert(name, Bytes::from(bytes));
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

fn consul(seed: u64, arch: Arch) -> io::Result<Vec<u8>> {
    let mut deb = package_contents("consul", CONSUL_VERSION, arch.word());
    let mut random = fastrand::Rng::with_seed(seed);
    for (_, _, content) in &mut deb.files {
        let header = content.len();
        content.resize(PROGRAM, 0);
        random.fill(&mut content[header..]);
    }
    write_deb(&deb)
}
