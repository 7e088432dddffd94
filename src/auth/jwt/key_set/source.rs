//! Where the documents with the keys come from.

use crate::rejection::BoxError;
use bytes::Bytes;
use http::{StatusCode, Uri};
use serde::Deserialize;
use std::{fmt, future::Future, path::PathBuf, pin::Pin, sync::Arc};

/// The longest document that is read, in bytes.
pub(super) const MAX_DOCUMENT: usize = 512 * 1024;

/// What a [`KeySource`] answers.
pub type KeyFuture = Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send>>;

/// Where the keys of an issuer are published: a URL, a file, a secret store.
///
/// A closure is one, too: `|| async { Ok(json) }`. How often it is asked, for how long, and what
/// happens while it fails, is the [`KeySet`](super::KeySet)'s matter.
pub trait KeySource: Send + Sync + 'static {
    /// The JWK set (RFC 7517 section 5) as it is now, as JSON text.
    fn fetch(&self) -> KeyFuture;
}

impl<F, T> KeySource for F
where
    F: Fn() -> T + Send + Sync + 'static,
    T: Future<Output = Result<String, BoxError>> + Send + 'static,
{
    fn fetch(&self) -> KeyFuture {
        Box::pin(self())
    }
}

/// What an [`HttpGet`] answers.
pub type HttpFuture = Pin<Box<dyn Future<Output = Result<Fetched, BoxError>> + Send>>;

/// The answer to a `GET`.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Its status. Anything but 200 is taken for a failure.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

/// An HTTP client, as small as key sources need it: [`HttpClient`](super::HttpClient), behind the
/// feature `jwks-client`, or one's own.
pub trait HttpGet: Send + Sync + 'static {
    /// Gets a document. Follows no redirect unless its owner wants it to, and may stop reading after
    /// `max_bytes`: a longer body is refused.
    fn get(&self, uri: &Uri, max_bytes: usize) -> HttpFuture;
}

impl<H: HttpGet + ?Sized> HttpGet for Arc<H> {
    fn get(&self, uri: &Uri, max_bytes: usize) -> HttpFuture {
        (**self).get(uri, max_bytes)
    }
}

/// Keys at an `https` URL.
#[derive(Clone)]
pub struct JwksUrl(Web);

/// Keys that an issuer's discovery document (OpenID Connect Discovery 1.0 section 4) points to.
///
/// The document's `issuer` must be the one that was asked for, to the letter (section 4.3).
#[derive(Clone)]
pub struct Discovery {
    issuer: String,
    web: Web,
}

/// Keys in a file, read anew each time.
#[derive(Clone, Debug)]
pub struct KeyFile(PathBuf);

/// A URL, and how to get it.
#[derive(Clone)]
struct Web {
    url: String,
    client: Arc<dyn HttpGet>,
    allow_http: bool,
}

impl JwksUrl {
    /// The JWK set at this URL.
    pub fn new(url: impl Into<String>, client: impl HttpGet) -> Self {
        Self(Web::new(url, client))
    }

    /// Takes a plain `http` URL as well: on loopback, or inside a network that nobody can tamper
    /// with. Who can, issues tokens.
    #[must_use]
    pub fn allow_http(mut self) -> Self {
        self.0.allow_http = true;
        self
    }
}

impl Discovery {
    /// The discovery document of this issuer: `<issuer>/.well-known/openid-configuration`.
    pub fn new(issuer: impl Into<String>, client: impl HttpGet) -> Self {
        let issuer = issuer.into();
        let base = issuer.strip_suffix('/').unwrap_or(&issuer);
        let web = Web::new(format!("{base}/.well-known/openid-configuration"), client);
        Self { issuer, web }
    }

    /// Takes plain `http` URLs as well: see [`JwksUrl::allow_http`].
    #[must_use]
    pub fn allow_http(mut self) -> Self {
        self.web.allow_http = true;
        self
    }
}

impl KeyFile {
    /// The JWK set in this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl Web {
    fn new(url: impl Into<String>, client: impl HttpGet) -> Self {
        Self { url: url.into(), client: Arc::new(client), allow_http: false }
    }

    async fn get(&self) -> Result<String, BoxError> {
        let uri: Uri = self.url.parse()?;
        let allowed = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => self.allow_http,
            _ => false,
        };
        if !allowed {
            return Err(format!("{} is not an https URL", self.url).into());
        }
        let Fetched { status, body } = self.client.get(&uri, MAX_DOCUMENT).await?;
        if status != StatusCode::OK {
            return Err(format!("{} answered {status}", self.url).into());
        }
        if body.len() > MAX_DOCUMENT {
            return Err(format!("{} answered more than {MAX_DOCUMENT} bytes", self.url).into());
        }
        Ok(String::from_utf8(body.into())?)
    }
}

impl KeySource for JwksUrl {
    fn fetch(&self) -> KeyFuture {
        let web = self.0.clone();
        Box::pin(async move { web.get().await })
    }
}

/// What is read of a discovery document.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl KeySource for Discovery {
    fn fetch(&self) -> KeyFuture {
        let Self { issuer, mut web } = self.clone();
        Box::pin(async move {
            let metadata: Metadata = serde_json::from_str(&web.get().await?)?;
            if metadata.issuer != issuer {
                return Err(format!("{} describes another issuer", web.url).into());
            }
            web.url = metadata.jwks_uri;
            web.get().await
        })
    }
}

impl KeySource for KeyFile {
    fn fetch(&self) -> KeyFuture {
        let path = self.0.clone();
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || {
                let length = std::fs::metadata(&path)?.len();
                if length > MAX_DOCUMENT as u64 {
                    return Err(std::io::Error::other("the key file is too long"));
                }
                std::fs::read_to_string(path)
            });
            Ok(read.await??)
        })
    }
}

impl fmt::Debug for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JwksUrl").field(&self.0.url).finish()
    }
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
