//! Key sources that fetch from a URL.

use super::{
    http_get::{HttpGet, HttpResponse},
    shown::shown,
    source::{KeyFuture, KeySource, MAX_DOCUMENT},
};
use crate::{id::few, rejection::BoxError};
use http::{StatusCode, Uri};
use serde::Deserialize;
use std::{fmt, sync::Arc};

/// A key source: the JWK set at an `https` URL.
#[derive(Clone)]
pub struct JwksUrl(Web);

/// A key source: the JWK set that the discovery document of an issuer names (OpenID Connect Discovery 1.0
/// section 4).
///
/// The `issuer` in the document must be identical to the expected issuer (section 4.3).
#[derive(Clone)]
pub struct Discovery {
    issuer: String,
    web: Web,
}

/// A URL, and the client that fetches it.
#[derive(Clone)]
struct Web {
    url: String,
    client: Arc<dyn HttpGet>,
    allow_http: bool,
}

impl JwksUrl {
    /// The JWK set at `url`.
    pub fn new(url: impl Into<String>, client: impl HttpGet) -> Self {
        Self(Web::new(url, client))
    }

    /// Also accepts a plain `http` URL. Use it only on loopback, or in a network where nobody can change the
    /// traffic: anybody who can change the keys can issue tokens.
    #[must_use]
    pub fn allow_http(mut self) -> Self {
        self.0.allow_http = true;
        self
    }
}

impl Discovery {
    /// The keys of this issuer. The discovery document is at `<issuer>/.well-known/openid-configuration`.
    pub fn new(issuer: impl Into<String>, client: impl HttpGet) -> Self {
        let issuer = issuer.into();
        let base = issuer.strip_suffix('/').unwrap_or(&issuer);
        let web = Web::new(format!("{base}/.well-known/openid-configuration"), client);
        Self { issuer, web }
    }

    /// Sets the URL of the discovery document, for an issuer that publishes it at another URL. Azure AD B2C
    /// has one such URL for each policy. The document must still name the issuer.
    ///
    /// ```
    /// # fn discovery(client: impl tower_tenancy::auth::HttpGet) -> tower_tenancy::auth::Discovery {
    /// use tower_tenancy::auth::Discovery;
    ///
    /// let issuer = "https://acme.b2clogin.com/0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9/v2.0/";
    /// let url = "https://acme.b2clogin.com/acme.onmicrosoft.com/B2C_1_signin/v2.0/.well-known/openid-configuration";
    /// Discovery::new(issuer, client).with_url(url)
    /// # }
    /// ```
    #[must_use]
    pub fn with_url(mut self, url: impl Into<String>) -> Self {
        self.web.url = url.into();
        self
    }

    /// Also accepts plain `http` URLs: see [`JwksUrl::allow_http`].
    #[must_use]
    pub fn allow_http(mut self) -> Self {
        self.web.allow_http = true;
        self
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
            return Err(format!("{} is not an https URL", shown(&self.url)).into());
        }
        let HttpResponse { status, body } = self.client.get(&uri, MAX_DOCUMENT).await?;
        if status != StatusCode::OK {
            return Err(format!("{} answered {status}", shown(&self.url)).into());
        }
        if body.len() > MAX_DOCUMENT {
            let url = shown(&self.url);
            return Err(format!("the body of {url} is longer than {MAX_DOCUMENT} bytes").into());
        }
        Ok(String::from_utf8(body.into())?)
    }
}

impl KeySource for JwksUrl {
    fn fetch(&self) -> KeyFuture {
        let web = self.0.clone();
        Box::pin(async move { web.get().await })
    }

    fn name(&self) -> String {
        shown(&self.0.url)
    }
}

/// The members of a discovery document that this crate reads.
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
                let (url, found) = (shown(&web.url), few([metadata.issuer.as_str()]));
                let expected = few([issuer.as_str()]);
                return Err(format!("{url} describes the issuer {found}, not {expected}").into());
            }
            web.url = metadata.jwks_uri;
            web.get().await
        })
    }

    fn name(&self) -> String {
        shown(&self.web.url)
    }
}

impl fmt::Debug for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JwksUrl").field(&shown(&self.0.url)).finish()
    }
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").field("issuer", &shown(&self.issuer)).finish_non_exhaustive()
    }
}
