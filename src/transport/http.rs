//! HTTP with deadlines and limits, for adapters, downloads and `http` steps.
//!
//! Every request has a deadline that covers connecting, waiting and reading; a body has a size limit; redirects are not
//! followed (an API that redirects says so by its status). Errors never carry a query or user information.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{HeaderMap, HeaderValue};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::Progress;

/// The largest body that is read into memory, bytes.
pub const BODY_LIMIT: usize = 16 * 1024 * 1024;
/// The longest wait for a TCP and TLS connection; the request's own deadline may be shorter.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest silence in the middle of a download.
const SILENCE: Duration = Duration::from_secs(30);

/// A client with a pool of kept connections; cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpClient(reqwest::Client);

/// Where the part of a download lies that has been fetched so far.
pub fn part_of(into: &Path) -> PathBuf {
    into.with_extension("part")
}

fn disk(path: &Path, error: &std::io::Error) -> HttpError {
    HttpError::Download(format!("{}: {error}", path.display()))
}

async fn forget(part: &Path) -> Result<(), HttpError> {
    match tokio::fs::remove_file(part).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(disk(part, &error)),
        _ => Ok(()),
    }
}

/// A file of which a part may be there.
struct Begun {
    file: tokio::fs::File,
    digest: Sha256,
    /// Bytes that are there.
    done: u64,
}

impl Begun {
    /// Reads what is there, and will write behind it.
    async fn open(part: &Path) -> std::io::Result<Self> {
        let mut options = tokio::fs::OpenOptions::new();
        options
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600);
        let mut begun = Self {
            file: options.open(part).await?,
            digest: Sha256::new(),
            done: 0,
        };
        let mut piece = vec![0; 256 * 1024];
        loop {
            let count = begun.file.read(&mut piece).await?;
            if count == 0 {
                return Ok(begun);
            }
            begun.digest.update(&piece[..count]);
            begun.done += count as u64;
        }
    }

    async fn restart(&mut self) -> std::io::Result<()> {
        self.file.set_len(0).await?;
        self.file.seek(std::io::SeekFrom::Start(0)).await?;
        self.digest = Sha256::new();
        self.done = 0;
        Ok(())
    }

    async fn take(&mut self, chunk: &[u8]) -> std::io::Result<()> {
        self.file.write_all(chunk).await?;
        self.digest.update(chunk);
        self.done += chunk.len() as u64;
        Ok(())
    }

    /// Makes it durable; gives the checksum in hexadecimal digits.
    async fn finish(mut self) -> std::io::Result<String> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        Ok(crate::domain::hex(&self.digest.finalize()))
    }
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The whole body, at most [`BODY_LIMIT`] bytes.
    pub body: Bytes,
    headers: HeaderMap,
}

impl Reply {
    /// A header as text; `None` when it is absent or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpError {
    /// No connection, or it broke.
    #[error("{0}")]
    Unreachable(String),
    /// The deadline passed.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The body is larger than the limit.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The client, the URL or a header cannot be used.
    #[error("{0}")]
    Setup(String),
    /// A download that is not what it should be, or cannot be stored.
    #[error("{0}")]
    Download(String),
    /// Stopped by an operator.
    #[error("cancelled")]
    Cancelled,
}

impl HttpClient {
    /// A client that trusts the system's authorities, or only the one in the PEM file `ca`.
    ///
    /// # Errors
    /// [`HttpError::Setup`] when `ca` cannot be read or is no certificate.
    pub fn new(ca: Option<&Path>) -> Result<Self, HttpError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("quarterdeck/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            // Clusters are reached as their addresses say; a desktop's proxy has no part in that.
            .no_proxy();
        if let Some(path) = ca {
            let unusable = |reason: String| {
                HttpError::Setup(format!("authority {}: {reason}", path.display()))
            };
            let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
            let authorities = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| unusable(root_cause(&error)))?;
            if authorities.is_empty() {
                return Err(unusable("holds no PEM certificate".into()));
            }
            builder = builder.tls_certs_only(authorities);
        }
        builder
            .build()
            .map(Self)
            .map_err(|error| HttpError::Setup(root_cause(&error)))
    }

    /// Sends a request and reads the whole answer within `limit`.
    ///
    /// # Errors
    /// [`HttpError`]; an answer with an error status is not one.
    pub async fn request(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, String)],
        body: Option<Bytes>,
        limit: Duration,
    ) -> Result<Reply, HttpError> {
        let work = async {
            let mut request = self.prepared(method, url, headers)?;
            if let Some(body) = body {
                request = request.body(body);
            }
            let response = request.send().await.map_err(|error| broken(&error))?;
            Incoming(response).whole().await
        };
        tokio::time::timeout(limit, work)
            .await
            .unwrap_or(Err(HttpError::Timeout(limit)))
    }

    /// Fetches `url` into the file `into`, which appears whole and verified or not at all. What was fetched before it broke off
    /// lies beside it ([`part_of`]), and the next attempt goes on from there when the server can. Only one at a time may fetch
    /// the same file: that is for the caller to see to.
    ///
    /// `sha256` is 64 hexadecimal digits. There is no deadline for the whole (files are large and links slow), but none of
    /// its pauses may be longer than half a minute.
    ///
    /// # Errors
    /// [`HttpError::Download`] for a status other than 200, another checksum, or a disk that does not take it.
    pub async fn download(
        &self,
        url: &str,
        sha256: &str,
        into: &Path,
        progress: Progress<'_>,
        cancel: &CancellationToken,
    ) -> Result<(), HttpError> {
        let work = self.fetch(url, sha256, into, progress);
        tokio::select! {
            () = cancel.cancelled() => Err(HttpError::Cancelled),
            done = work => done,
        }
    }

    async fn fetch(
        &self,
        url: &str,
        sha256: &str,
        into: &Path,
        progress: Progress<'_>,
    ) -> Result<(), HttpError> {
        let part = part_of(into);
        loop {
            let (found, resumed) = self.fetch_part(url, &part, progress).await?;
            if found.eq_ignore_ascii_case(sha256) {
                let kept = tokio::fs::rename(&part, into).await;
                return kept.map_err(|error| disk(into, &error));
            }
            forget(&part).await?;
            // The beginning may be of another file than the end: fetched as a whole it is one or the other.
            if !resumed {
                return Err(HttpError::Download(format!(
                    "{}: the checksum is {found}, but {sha256} was declared; the file changed or the declaration is wrong",
                    public(url)
                )));
            }
        }
    }

    /// Fetches what is missing of `part`; gives the checksum of the whole, and whether some of it was there.
    async fn fetch_part(
        &self,
        url: &str,
        part: &Path,
        progress: Progress<'_>,
    ) -> Result<(String, bool), HttpError> {
        let mut begun = Begun::open(part)
            .await
            .map_err(|error| disk(part, &error))?;
        let mut headers = Vec::new();
        if begun.done > 0 {
            headers.push(("range", format!("bytes={}-", begun.done)));
        }
        let mut incoming = self.open("GET", url, &headers, None).await?;
        if begun.done > 0 && incoming.status() != 206 {
            // It begins anew, or has nothing that would come behind what is there.
            begun.restart().await.map_err(|error| disk(part, &error))?;
            if incoming.status() != 200 {
                incoming = self.open("GET", url, &[], None).await?;
            }
        }
        let resumed = begun.done > 0;
        if !resumed && incoming.status() != 200 {
            forget(part).await?;
            return Err(HttpError::Download(format!(
                "{}: status {}",
                public(url),
                incoming.status()
            )));
        }
        let total = begun.done + incoming.length().unwrap_or(0);
        while let Some(chunk) = incoming.chunk().await? {
            if let Err(error) = begun.take(&chunk).await {
                // A full disk is not made emptier by what cannot be finished.
                forget(part).await?;
                return Err(disk(part, &error));
            }
            progress(begun.done, total.max(begun.done));
        }
        let found = begun.finish().await.map_err(|error| disk(part, &error))?;
        Ok((found, resumed))
    }

    /// Sends a request whose answer is read piece by piece.
    ///
    /// There is no deadline for the whole (states are large and links slow), but none of its pauses may be longer than half a
    /// minute.
    ///
    /// # Errors
    /// [`HttpError`] when no answer begins; one with an error status is not an error.
    pub async fn open(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, String)],
        body: Option<Bytes>,
    ) -> Result<Incoming, HttpError> {
        let mut request = self.prepared(method, url, headers)?;
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = tokio::time::timeout(SILENCE, request.send())
            .await
            .map_err(|_| HttpError::Timeout(SILENCE))?
            .map_err(|error| broken(&error))?;
        Ok(Incoming(response))
    }

    /// Sends a file as the body of a request and reads the whole answer within `limit`.
    ///
    /// # Errors
    /// [`HttpError::Setup`] when the file cannot be read; otherwise as [`HttpClient::request`].
    pub async fn upload(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, String)],
        file: &Path,
        limit: Duration,
    ) -> Result<Reply, HttpError> {
        let unreadable =
            |error: std::io::Error| HttpError::Setup(format!("{}: {error}", file.display()));
        let work = async {
            let file = tokio::fs::File::open(file).await.map_err(unreadable)?;
            let length = file.metadata().await.map_err(unreadable)?.len();
            let request = self
                .prepared(method, url, headers)?
                .header("content-length", length)
                .body(file);
            let response = request.send().await.map_err(|error| broken(&error))?;
            Incoming(response).whole().await
        };
        tokio::time::timeout(limit, work)
            .await
            .unwrap_or(Err(HttpError::Timeout(limit)))
    }

    fn prepared(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, String)],
    ) -> Result<reqwest::RequestBuilder, HttpError> {
        let method = method
            .parse()
            .map_err(|_| HttpError::Setup(format!("{method:?} is not an HTTP method")))?;
        let mut request = self.0.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, sensitive(name, value)?);
        }
        Ok(request)
    }
}

/// An answer that is read piece by piece.
#[derive(Debug)]
pub struct Incoming(reqwest::Response);

impl Incoming {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    /// A header as text; `None` when it is absent or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name)?.to_str().ok()
    }

    /// How long the body is, bytes, where that is said in advance.
    pub fn length(&self) -> Option<u64> {
        self.0.content_length()
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// [`HttpError`] when the connection breaks, or nothing comes for half a minute.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        tokio::time::timeout(SILENCE, self.0.chunk())
            .await
            .map_err(|_| HttpError::Timeout(SILENCE))?
            .map_err(|error| broken(&error))
    }

    /// All that is left of the body, up to [`BODY_LIMIT`].
    async fn whole(mut self) -> Result<Reply, HttpError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.0.chunk().await.map_err(|error| broken(&error))? {
            if body.len() + chunk.len() > BODY_LIMIT {
                return Err(HttpError::TooLarge(BODY_LIMIT));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply {
            status: self.0.status().as_u16(),
            headers: self.0.headers().clone(),
            body: body.freeze(),
        })
    }
}

/// A header's value that no debug output shows.
fn sensitive(name: &str, value: &str) -> Result<HeaderValue, HttpError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        HttpError::Setup(format!(
            "the value for header {name} has characters HTTP forbids"
        ))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A URL as it may be shown: without user information and query.
pub fn public(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    match bare.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest
                .split_once('/')
                .map_or((rest, None), |(host, path)| (host, Some(path)));
            let host = host.rsplit('@').next().unwrap_or_default();
            path.map_or_else(
                || format!("{scheme}://{host}"),
                |path| format!("{scheme}://{host}/{path}"),
            )
        }
        None => bare.to_owned(),
    }
}

fn broken(error: &reqwest::Error) -> HttpError {
    if error.is_builder() {
        return HttpError::Setup(root_cause(error));
    }
    if error.is_timeout() && error.is_connect() {
        return HttpError::Unreachable(format!("no connection within {CONNECT:?}"));
    }
    HttpError::Unreachable(root_cause(error))
}

/// The innermost cause: "connection refused" instead of "error sending request".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root.to_string()
}

#[cfg(test)]
mod tests {
    use wiremock::matchers::{header, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;

    fn client() -> HttpClient {
        // Another test of the process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        HttpClient::new(None).unwrap()
    }

    #[test]
    fn a_shown_url_has_no_secrets() {
        assert_eq!(
            public("https://me:pw@host:1/a/b?token=x#y"),
            "https://host:1/a/b"
        );
        assert_eq!(public("http://host"), "http://host");
    }

    #[tokio::test]
    async fn a_refused_connection_says_so() {
        let error = client()
            .request("GET", "http://127.0.0.1:1/", &[], None, CONNECT)
            .await
            .unwrap_err();
        assert!(
            error.to_string().to_lowercase().contains("refused"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_slow_answer_ends_at_the_deadline() {
        let server = MockServer::start().await;
        let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(60));
        Mock::given(path("/slow"))
            .respond_with(slow)
            .mount(&server)
            .await;
        let url = format!("{}/slow", server.uri());
        let error = client()
            .request("GET", &url, &[], None, Duration::from_millis(100))
            .await
            .unwrap_err();
        assert!(matches!(error, HttpError::Timeout(_)), "{error}");
    }

    #[tokio::test]
    async fn a_huge_body_is_refused_before_it_fills_the_memory() {
        let server = MockServer::start().await;
        let body = ResponseTemplate::new(200).set_body_bytes(vec![b'x'; 50 * 1024 * 1024]);
        Mock::given(path("/huge"))
            .respond_with(body)
            .mount(&server)
            .await;
        let url = format!("{}/huge", server.uri());
        let error = client()
            .request("GET", &url, &[], None, Duration::from_secs(30))
            .await
            .unwrap_err();
        assert!(matches!(error, HttpError::TooLarge(_)), "{error}");
    }

    #[tokio::test]
    async fn a_download_with_another_checksum_leaves_nothing() {
        let server = MockServer::start().await;
        Mock::given(path("/f"))
            .respond_with(ResponseTemplate::new(200).set_body_string("abc"))
            .mount(&server)
            .await;
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("f");
        let url = format!("{}/f", server.uri());
        let cancel = CancellationToken::new();
        let error = client()
            .download(&url, &"0".repeat(64), &into, &|_, _| {}, &cancel)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("checksum"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        client()
            .download(&url, right, &into, &|_, _| {}, &cancel)
            .await
            .unwrap();
        assert_eq!(std::fs::read(&into).unwrap(), b"abc");
    }

    #[tokio::test]
    async fn a_download_goes_on_where_it_broke_off_and_begins_anew_where_it_cannot() {
        let server = MockServer::start().await;
        Mock::given(path("/resumes"))
            .and(header("range", "bytes=2-"))
            .respond_with(ResponseTemplate::new(206).set_body_string("c"))
            .mount(&server)
            .await;
        Mock::given(path("/whole"))
            .respond_with(ResponseTemplate::new(200).set_body_string("abc"))
            .mount(&server)
            .await;
        Mock::given(path("/changed"))
            .and(header("range", "bytes=2-"))
            .respond_with(ResponseTemplate::new(206).set_body_string("z"))
            .up_to_n_times(1)
            .mount(&server)
            .await;
        Mock::given(path("/changed"))
            .respond_with(ResponseTemplate::new(200).set_body_string("abc"))
            .mount(&server)
            .await;
        let right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let cancel = CancellationToken::new();
        for place in ["resumes", "whole", "changed"] {
            let folder = tempfile::tempdir().unwrap();
            let into = folder.path().join("f");
            std::fs::write(part_of(&into), "ab").unwrap();
            let url = format!("{}/{place}", server.uri());
            client()
                .download(&url, right, &into, &|_, _| {}, &cancel)
                .await
                .unwrap_or_else(|error| panic!("{place}: {error}"));
            assert_eq!(std::fs::read(&into).unwrap(), b"abc", "{place}");
            let left = std::fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(left, 1, "{place}");
        }
    }
}
