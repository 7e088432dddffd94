//! Where the documents with the keys come from.

use crate::{id::few, rejection::BoxError};
use bytes::Bytes;
use http::{StatusCode, Uri};
use serde::Deserialize;
use std::{fmt, fs::File, future::Future, io::Read, path::PathBuf, pin::Pin, sync::Arc};

/// The longest document that is read, in bytes.
pub(super) const MAX_DOCUMENT: usize = 512 * 1024;
/// How much of an error is told, in bytes.
const MAX_ERROR: usize = 2048;

/// What a [`KeySource`] answers.
pub type KeyFuture = Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send>>;

/// Where the keys of an issuer are published: a URL, a file, a secret store.
///
/// A closure is one, too: `|| async { Ok(json) }`. How often it is asked, for how long, and what
/// happens while it fails, is the [`KeySet`](super::KeySet)'s matter. It is asked on a thread of its own,
/// in the context of the tokio runtime: a source that blocks or panics stops nothing else. Still, give
/// whatever blocks a limit in time: a source that keeps two threads is not asked until one of them ends.
pub trait KeySource: Send + Sync + 'static {
    /// The JWK set (RFC 7517 section 5) as it is now, as JSON text.
    fn fetch(&self) -> KeyFuture;

    /// What log lines call it, such as its URL, without a secret. Default: `a key source`.
    fn name(&self) -> String {
        "a key source".to_owned()
    }
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
#[derive(Clone)]
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

    /// Looks for the discovery document at this URL, where an issuer publishes it elsewhere: Azure AD B2C
    /// does so, once for each policy. The document must name the issuer all the same.
    ///
    /// ```
    /// # fn discovery(client: impl tower_tenancy::auth::HttpGet) -> tower_tenancy::auth::Discovery {
    /// use tower_tenancy::auth::Discovery;
    ///
    /// let issuer = "https://acme.b2clogin.com/0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9/v2.0/";
    /// let at = "https://acme.b2clogin.com/acme.onmicrosoft.com/B2C_1_signin/v2.0/.well-known/openid-configuration";
    /// Discovery::new(issuer, client).at(at)
    /// # }
    /// ```
    #[must_use]
    pub fn at(mut self, url: impl Into<String>) -> Self {
        self.web.url = url.into();
        self
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
            return Err(format!("{} is not an https URL", shown(&self.url)).into());
        }
        let Fetched { status, body } = self.client.get(&uri, MAX_DOCUMENT).await?;
        if status != StatusCode::OK {
            return Err(format!("{} answered {status}", shown(&self.url)).into());
        }
        if body.len() > MAX_DOCUMENT {
            let url = shown(&self.url);
            return Err(format!("{url} answered more than {MAX_DOCUMENT} bytes").into());
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

impl KeySource for KeyFile {
    fn fetch(&self) -> KeyFuture {
        let path = self.0.clone();
        Box::pin(async move {
            // It may block: it has a thread of its own. What it reads may have no length that it tells.
            let mut document = String::new();
            File::open(path)?.take(MAX_DOCUMENT as u64 + 1).read_to_string(&mut document)?;
            if document.len() > MAX_DOCUMENT {
                return Err(format!("the key file is longer than {MAX_DOCUMENT} bytes").into());
            }
            Ok(document)
        })
    }

    fn name(&self) -> String {
        self.0.display().to_string()
    }
}

/// A URL as it may be shown: without a user, a password, a query or a fragment.
pub(super) fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let scheme = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    // Whoever wrote an `@` behind the host may have meant all before it for a password.
    if rest.get(authority.len()..).is_none_or(|behind| behind.contains('@')) {
        return format!("{scheme}[hidden]");
    }
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    match rest.find(['?', '#']) {
        Some(end) => format!("{scheme}{}?[hidden]", rest.get(..end).unwrap_or_default()),
        None => format!("{scheme}{rest}"),
    }
}

/// A text in which all URLs are as they may be shown: an error's, wherever it is from.
fn redacted(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = rest.find("://") {
        let (before, _) = rest.split_at(found);
        let name =
            before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "+-.".contains(c));
        told.push_str(name);
        let url = rest.get(name.len()..).unwrap_or_default();
        // No URL has these in it; what a sentence puts behind one is left to it.
        let ends = |c: char| c.is_whitespace() || c.is_control() || "\"<>`".contains(c);
        let url = url.split(ends).next().unwrap_or_default();
        let alone = url.trim_end_matches([')', '}', ',', '.', ':', ';', '\'']);
        told.push_str(&shown(alone));
        told.push_str(url.get(alone.len()..).unwrap_or_default());
        rest = rest.get(name.len() + url.len()..).unwrap_or_default();
    }
    told + rest
}

/// An error as it may be told: [`redacted`], and only its start if it is long. An error may repeat what it
/// is about, which may be a whole document.
pub(super) fn told(error: &str) -> String {
    // Not the other way round: a URL that is cut off may end before its `@`, and show a password.
    let mut told = redacted(error);
    if told.len() > MAX_ERROR {
        let end = (0..=MAX_ERROR).rev().find(|end| told.is_char_boundary(*end));
        told.truncate(end.unwrap_or_default());
        told.push('…');
    }
    told
}

impl fmt::Debug for Fetched {
    /// Without the body: whose document it is, is not known here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fetched = f.debug_struct("Fetched");
        fetched.field("status", &self.status).field("bytes", &self.body.len()).finish()
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

#[cfg(test)]
mod tests {
    use super::{MAX_ERROR, redacted, shown, told};

    #[test]
    fn urls_are_shown_without_their_secrets() {
        for (url, expected) in [
            ("https://id.example/keys.json", "https://id.example/keys.json"),
            ("https://id.example", "https://id.example"),
            ("https://user:SECRET@id.example/keys", "https://id.example/keys"),
            ("https://SECRET@id.example:8443/a/b", "https://id.example:8443/a/b"),
            ("https://u:p@SECRET@id.example/keys", "https://id.example/keys"),
            ("https://id.example/keys?token=SECRET", "https://id.example/keys?[hidden]"),
            ("https://id.example?token=SECRET", "https://id.example?[hidden]"),
            ("https://id.example/keys#SECRET", "https://id.example/keys?[hidden]"),
            ("https://u:SECRET@id.example/k?t=SECRET#SECRET", "https://id.example/k?[hidden]"),
            // Where the secret ends cannot be told.
            ("https://user:SEC/RET@id.example/keys", "https://[hidden]"),
            ("https://user:SEC?RET@id.example/keys", "https://[hidden]"),
            ("https://user:SEC#RET@id.example/keys", "https://[hidden]"),
            ("https://user:SEC\\RET@id.example/keys", "https://[hidden]"),
            ("https://id.example/keys?mail=a@SECRET", "https://[hidden]"),
            ("user:SECRET@id.example/keys", "id.example/keys"),
            ("no url at all", "no url at all"),
            ("", ""),
        ] {
            assert_eq!(shown(url), expected, "{url}");
            assert!(!shown(url).contains("SEC") && !shown(url).contains("RET"), "{url}");
        }
    }

    #[test]
    fn errors_are_told_without_the_secrets_of_the_urls_in_them() {
        for (text, expected) in [
            ("it is down", "it is down"),
            (
                "error sending request for url (https://u:SECRET@id.example/k?t=SECRET): timed out",
                "error sending request for url (https://id.example/k?[hidden]): timed out",
            ),
            (
                "error sending request for url (https://u:SEC)RET@id.example/k)",
                "error sending request for url (https://id.example/k)",
            ),
            (
                r#"{ url: "http://SECRET@a/", proxy: "socks5h://u:SECRET@b" }: https://c."#,
                r#"{ url: "http://a/", proxy: "socks5h://b" }: https://c."#,
            ),
            ("://SECRET@x", "x"),
            ("a://b", "a://b"),
        ] {
            assert_eq!(redacted(text), expected);
            assert_eq!(redacted(expected), expected, "twice is once");
        }
    }

    #[test]
    fn a_long_error_is_told_by_its_start_and_a_cut_shows_no_secret() {
        assert_eq!(told("it is down"), "it is down");
        let whole = "x".repeat(MAX_ERROR);
        assert_eq!(told(&whole), whole);
        // Wherever the border is: in a character, in a URL, in its password.
        for pad in MAX_ERROR - 40..=MAX_ERROR {
            let pad = "x".repeat(pad);
            let long = format!("{pad} https://u:SECRET@id.example/keys é𝄞é𝄞é𝄞{pad}");
            let told = told(&long);
            assert!(told.ends_with('…') && told.len() <= MAX_ERROR + '…'.len_utf8(), "{told}");
            assert!(told.starts_with(&pad) && !told.contains("SEC"), "{told}");
        }
    }
}
