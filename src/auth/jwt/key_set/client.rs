//! The HTTP client that most take.

use super::http_get::{Fetched, HttpFuture, HttpGet};
use crate::rejection::BoxError;
use bytes::BytesMut;
use http::{Uri, header::ACCEPT};
use std::{fmt, time::Duration};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// Who asks. Some firewalls refuse requests that do not say.
const USER_AGENT: &str = concat!("tower-tenancy/", env!("CARGO_PKG_VERSION"));

/// An HTTP client for key sources, by reqwest on rustls: follows no redirect, keeps no cookie, and
/// reads no further than it must.
///
/// ```no_run
/// use tower_tenancy::auth::{Discovery, HttpClient, JwtVerifier, KeySet};
///
/// # async fn run() -> Result<(), tower_tenancy::BoxError> {
/// let issuer = "https://id.example.com";
/// let keys = KeySet::builder(Discovery::new(issuer, HttpClient::new()?)).start()?;
/// let verifier = JwtVerifier::builder().key_set(keys).issuer(issuer).audience("chat").build()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct HttpClient(reqwest::Client);

impl HttpClient {
    /// A client that trusts what the operating system trusts, and sends
    /// `User-Agent: tower-tenancy/<version>`.
    ///
    /// # Errors
    ///
    /// TLS cannot be set up.
    pub fn new() -> Result<Self, BoxError> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .user_agent(USER_AGENT)
            .build()?;
        Ok(Self(client))
    }

    /// A client of one's own: with a proxy, other roots, redirects. Give it a `User-Agent`, too: some
    /// firewalls refuse requests without one.
    #[must_use]
    pub fn of(client: reqwest::Client) -> Self {
        Self(client)
    }
}

impl HttpGet for HttpClient {
    fn get(&self, uri: &Uri, max_bytes: usize) -> HttpFuture {
        let request = self.0.get(uri.to_string()).header(ACCEPT, "application/json");
        Box::pin(async move {
            let mut response = request.send().await.map_err(reqwest::Error::without_url)?;
            let status = response.status();
            let mut body = BytesMut::new();
            let chunk = |chunk: reqwest::Result<_>| chunk.map_err(reqwest::Error::without_url);
            while let Some(chunk) = chunk(response.chunk().await)? {
                if body.len() + chunk.len() > max_bytes {
                    return Err(format!("the answer is longer than {max_bytes} bytes").into());
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Fetched { status, body: body.freeze() })
        })
    }
}

impl fmt::Debug for HttpClient {
    /// Without reqwest's: it may show headers and proxies, and secrets with them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}
