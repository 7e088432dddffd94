//! Where a request may bear its token.

#[cfg(test)]
mod tests;

use super::authorization::bears_token;
use crate::{
    head::RequestHead,
    origin::{InvalidOrigin, Origin, SEC_FETCH_SITE},
    rejection::{Rejection, RejectionKind},
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use std::{fmt, sync::Arc};

/// A token in a list of WebSocket protocols: `bearer.<token>`.
const PROTOCOL_PREFIX: &str = "bearer.";

/// Where a request may bear its token: the `Authorization` header, and what a browser can send
/// where it cannot set headers.
///
/// A request that bears two tokens is refused (400), never chosen from: a page that has the cookie
/// sends it along whatever else it sends, so choose one way for each page. One cookie that is sent
/// twice with the same value is one token.
///
/// `Authorization: Basic` is no token, and nor are `Digest`, `Negotiate` and `NTLM`: a browser
/// sends them along to a site that stands behind such a gate. They may stand next to a token from
/// elsewhere; the [`Authenticator`](super::Authenticator) then does not see them. Any other scheme
/// counts as a token, and so does an `Authorization` that is sent twice.
///
/// A token in a cookie or a
/// protocol is taken off the request before anything inside sees it; `Authorization` is marked
/// sensitive. What traces headers belongs inside, or marks these headers sensitive itself. A token in
/// a query is never taken: that is what tickets are for.
///
/// ```
/// use tower_tenancy::{RequireTenantScope, auth::{Authenticator, TokenSources}};
///
/// fn tenancy(verifier: impl Authenticator + 'static) -> RequireTenantScope {
///     let sources = TokenSources::header().or_cookie("session").or_protocol();
///     RequireTenantScope::new(verifier).token_sources(sources)
/// }
/// ```
#[derive(Clone)]
pub struct TokenSources(Arc<Sources>);

#[derive(Clone)]
struct Sources {
    cookie: Option<String>,
    protocol: bool,
    origins: Vec<Origin<'static>>,
}

/// Where a token was found.
pub(crate) enum Found {
    /// If anywhere, in the `Authorization` header, where it stays. What it bears may be no token.
    Header,
    /// Elsewhere, and taken from there.
    Elsewhere(String),
    /// Nowhere. (The `Authorization` header was looked at, too.)
    Nowhere,
}

impl TokenSources {
    /// The `Authorization: Bearer` header alone (RFC 6750 section 2.1): what layers look at unless
    /// told otherwise.
    #[must_use]
    pub fn header() -> Self {
        Self(Arc::new(Sources { cookie: None, protocol: false, origins: Vec::new() }))
    }

    fn with(mut self, change: impl FnOnce(&mut Sources)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Or the cookie of this name. Make it `HttpOnly`, `Secure` and `SameSite`.
    ///
    /// A browser sends cookies along whoever's page asks, so the request must come from the host
    /// that it is sent to, or from an origin that is [allowed](Self::allow_origin). A WebSocket
    /// upgrade without `Origin` is refused; so is whatever says by `Sec-Fetch-Site` that it comes
    /// from elsewhere. (A same-origin `EventSource` sends no `Origin`.)
    #[must_use]
    pub fn or_cookie(self, name: impl Into<String>) -> Self {
        self.with(|sources| sources.cookie = Some(name.into()))
    }

    /// Or, in a WebSocket upgrade, the protocol `bearer.<token>` next to a protocol of the
    /// application: `new WebSocket(url, ["chat.v1", "bearer." + token])`.
    ///
    /// The handler sees the application's protocols only, and selects one of them: a browser
    /// closes a connection for which none is selected.
    #[must_use]
    pub fn or_protocol(self) -> Self {
        self.with(|sources| sources.protocol = true)
    }

    /// Lets pages of this origin use the cookie as well: `https://app.example.com`. Case, a default
    /// port and a trailing `/` make no difference. An app or an extension has a scheme of its own,
    /// such as `capacitor://localhost`.
    ///
    /// # Errors
    ///
    /// What is not the origin of a page (RFC 6454): without a scheme, with a path, a query or a user, a
    /// wildcard, `null`, the URL of a WebSocket, or a host that is not written as browsers send it.
    pub fn allow_origin(self, origin: impl AsRef<str>) -> Result<Self, InvalidOrigin> {
        let origin = Origin::named(origin.as_ref())?;
        Ok(self.with(|sources| sources.origins.push(origin)))
    }

    /// The headers that may contain a token, and those that decide whether it counts.
    pub(crate) fn header_names(&self) -> Vec<HeaderName> {
        let Sources { cookie, protocol, .. } = &*self.0;
        let mut names = vec![header::AUTHORIZATION];
        if cookie.is_some() {
            names.extend([header::COOKIE, header::ORIGIN, SEC_FETCH_SITE]);
        }
        if *protocol {
            names.push(header::SEC_WEBSOCKET_PROTOCOL);
        }
        names
    }

    /// Takes the token off the request.
    pub(crate) fn take<B>(&self, request: &mut Request<B>) -> Result<Found, Rejection> {
        let Sources { cookie, protocol, origins } = &*self.0;
        let mut by_cookie = match cookie {
            Some(name) => take_cookies(request.headers_mut(), name),
            None => Vec::new(),
        };
        by_cookie.dedup();
        let offered = *protocol && RequestHead::of(request).is_upgrade();
        let by_protocol = if offered { take_protocols(request.headers_mut()) } else { Vec::new() };
        let by_header = request.headers().contains_key(header::AUTHORIZATION);
        let found = by_cookie.len() + by_protocol.len();
        if found == 0 {
            return Ok(if by_header { Found::Header } else { Found::Nowhere });
        }
        if found > 1 || bears_token(request.headers()) {
            return Err(two_tokens());
        }
        let head = RequestHead::of(request);
        if !by_cookie.is_empty() && !head.comes_from(origins) {
            let why = "The cookie proves nothing in a request from another origin.";
            return Err(Rejection::new(RejectionKind::AuthInvalid).with_detail(why).with_source(
                format!("the cookie came with the origin {:?}", head.headers.get(header::ORIGIN)),
            ));
        }
        if !by_protocol.is_empty() && !head.headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
            let why = "Offer a protocol of the application next to 'bearer.<token>'.";
            return Err(Rejection::new(RejectionKind::ContextInvalid).with_detail(why));
        }
        let token = by_cookie.into_iter().chain(by_protocol).next();
        Ok(token.map_or(Found::Nowhere, Found::Elsewhere))
    }
}

/// RFC 6750 section 2: not more than one method to send a token.
pub(crate) fn two_tokens() -> Rejection {
    Rejection::new(RejectionKind::ContextInvalid)
        .with_detail("The request bears more than one token. Send one, in one place.")
}

/// Takes cookies of this name out of the `Cookie` headers (RFC 6265 section 5.4). An empty one is
/// none: that is how cookies are cleared.
fn take_cookies(headers: &mut HeaderMap, name: &str) -> Vec<String> {
    let value = |pair: &[u8]| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (key, value) = pair.split_at_checked(at)?;
        (key.trim_ascii() == name.as_bytes()).then(|| value.get(1..).unwrap_or_default().to_vec())
    };
    let mut values = take(headers, header::COOKIE, b';', value);
    for value in &mut values {
        *value = value.trim().trim_matches('"').to_owned();
    }
    values.retain(|value| !value.is_empty());
    values
}

/// Whether a WebSocket protocol is a token.
#[cfg(feature = "tokio-tungstenite")]
pub(crate) fn is_bearer_protocol(protocol: &str) -> bool {
    protocol.starts_with(PROTOCOL_PREFIX)
}

fn take_protocols(headers: &mut HeaderMap) -> Vec<String> {
    let token = |protocol: &[u8]| {
        Some(protocol.trim_ascii().strip_prefix(PROTOCOL_PREFIX.as_bytes())?.to_vec())
    };
    take(headers, header::SEC_WEBSOCKET_PROTOCOL, b',', token)
}

/// Takes the items that are ours out of the lists in all headers of this name, and leaves the rest
/// as it was. An item of ours that is no UTF-8 becomes something that is no token.
fn take(
    headers: &mut HeaderMap,
    name: header::HeaderName,
    separator: u8,
    ours: impl Fn(&[u8]) -> Option<Vec<u8>>,
) -> Vec<String> {
    let mut taken = Vec::new();
    let mut left = Vec::new();
    for value in headers.get_all(&name) {
        let before = taken.len();
        let mut others = Vec::new();
        for item in value.as_bytes().split(|byte| *byte == separator) {
            match ours(item) {
                Some(ours) => taken.push(String::from_utf8_lossy(&ours).into_owned()),
                None => others.push(item),
            }
        }
        if taken.len() == before {
            left.push(value.clone());
            continue;
        }
        let others = others.join(&separator);
        // A part of what was a header value is one.
        if let Ok(mut rest) = HeaderValue::from_bytes(others.trim_ascii())
            && !rest.is_empty()
        {
            rest.set_sensitive(value.is_sensitive());
            left.push(rest);
        }
    }
    if !taken.is_empty() {
        headers.remove(&name);
        for value in left {
            headers.append(&name, value);
        }
    }
    taken
}

impl Default for TokenSources {
    fn default() -> Self {
        Self::header()
    }
}

impl fmt::Debug for TokenSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sources { cookie, protocol, origins } = &*self.0;
        f.debug_struct("TokenSources")
            .field("cookie", cookie)
            .field("protocol", protocol)
            .field("origins", &origins.iter().map(ToString::to_string).collect::<Vec<_>>())
            .finish()
    }
}
