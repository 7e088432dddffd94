//! The built-in HTTP client.

use super::http_get::{HttpFuture, HttpGet, HttpResponse};
use crate::rejection::BoxError;
use bytes::BytesMut;
use http::{Uri, header::ACCEPT};
use std::{fmt, time::Duration};

/// The longest time for a connection attempt.
const CONNECT: Duration = Duration::from_secs(5);

/// Some firewalls refuse requests without a `User-Agent`.
const USER_AGENT: &str = concat!("tower-tenancy/", env!("CARGO_PKG_VERSION"));

/// An HTTP client for key sources, built on reqwest and rustls. It follows no redirects, stores no cookies,
/// and stops reading when a body is too long.
///
/// It trusts the root certificates of the operating system. It uses the proxies in the environment variables
/// `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. If you need anything else (redirects, headers, your own root
/// certificates), implement [`HttpGet`] for your own client.
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
    /// A client that sends `User-Agent: tower-tenancy/<version>`.
    ///
    /// # Errors
    ///
    /// If TLS cannot be set up.
    pub fn new() -> Result<Self, BoxError> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .user_agent(USER_AGENT)
            .build()?;
        Ok(Self(client))
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
                    return Err(
                        format!("the response body is longer than {max_bytes} bytes").into()
                    );
                }
                body.extend_from_slice(&chunk);
            }
            Ok(HttpResponse::new(status, body.freeze()))
        })
    }
}

impl fmt::Debug for HttpClient {
    /// Does not show the reqwest client, because its headers and proxies may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}
