//! The places of a request where a token may be.

#[cfg(test)]
mod tests;

use super::authorization::has_token;
use crate::{
    origin::{InvalidOrigin, Origin, SEC_FETCH_SITE},
    rejection::{Rejection, RejectionKind},
    request::RequestHead,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use std::{fmt, sync::Arc};

/// The prefix of a token in a list of WebSocket subprotocols: `bearer.<token>`.
const PROTOCOL_PREFIX: &str = "bearer.";

/// The places of a request where a token may be: the `Authorization` header, and places for a browser that
/// cannot set headers.
///
/// A request with two tokens is refused (400). A browser sends a cookie with every request of a page, so
/// choose one place for each page. A cookie that occurs twice with the same value counts as one token.
///
/// `Authorization: Basic`, `Digest`, `Negotiate` and `NTLM` carry no token: a browser sends them to a site
/// that asks for a password. A request may have one of them, and a token in another place. Any other scheme
/// counts as a token. Two `Authorization` headers also count as a token.
///
/// The layer removes a token in a cookie or a WebSocket subprotocol from the request before inner services
/// see it, and marks `Authorization` as sensitive. If another layer traces headers, put it inside this layer,
/// or let it mark these headers as sensitive itself. This crate never accepts a token in a query: use tickets
/// there.
///
/// ```
/// use tower_tenancy::{RequireTenantScope, auth::{Authenticator, TokenSources}};
///
/// fn tenancy(verifier: impl Authenticator + 'static) -> RequireTenantScope {
///     let sources = TokenSources::header().or_cookie("session").or_subprotocol();
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

/// Where the token of a request was found.
pub(crate) enum FoundToken {
    /// Use the `Authorization` header, which stays on the request. It may be absent, and its value may not be
    /// a token.
    Header,
    /// The token was in another place. It was removed from there.
    Elsewhere(String),
    /// There is no token, and no `Authorization` header.
    Nowhere,
}

impl TokenSources {
    /// Only the `Authorization: Bearer` header (RFC 6750 section 2.1). This is the default of the layers.
    #[must_use]
    pub fn header() -> Self {
        Self(Arc::new(Sources { cookie: None, protocol: false, origins: Vec::new() }))
    }

    fn with(mut self, change: impl FnOnce(&mut Sources)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Adds the cookie of this name. Set it with `HttpOnly`, `Secure` and `SameSite`.
    ///
    /// A browser also sends cookies with requests of pages from other sites. So the origin of the request
    /// must be the host of the request, or an [allowed origin](Self::allow_origin). A WebSocket upgrade
    /// without `Origin` is refused. If the origin is not in the list, `Sec-Fetch-Site` must be absent,
    /// `same-origin` or `none`. (A same-origin `EventSource` sends no `Origin`.)
    #[must_use]
    pub fn or_cookie(self, name: impl Into<String>) -> Self {
        self.with(|sources| sources.cookie = Some(name.into()))
    }

    /// Adds the WebSocket subprotocol `bearer.<token>`. The client offers it together with a subprotocol of
    /// the application: `new WebSocket(url, ["chat.v1", "bearer." + token])`.
    ///
    /// The handler sees only the subprotocols of the application. It must select one of them: a browser
    /// closes a connection without a selected subprotocol.
    #[must_use]
    pub fn or_subprotocol(self) -> Self {
        self.with(|sources| sources.protocol = true)
    }

    /// Allows pages of this origin, such as `https://app.example.com`, to use the cookie as well. Case, a
    /// default port and a trailing `/` make no difference. An app or a browser extension has its own scheme,
    /// such as `capacitor://localhost`.
    ///
    /// # Errors
    ///
    /// If the text is not the origin of a page (RFC 6454). Such a text has no scheme; or has a path, a query
    /// or a user; or is a wildcard, `null` or the URL of a WebSocket; or has a host that browsers write in
    /// another way.
    pub fn allow_origin(self, origin: impl AsRef<str>) -> Result<Self, InvalidOrigin> {
        let origin = Origin::named(origin.as_ref())?;
        Ok(self.with(|sources| sources.origins.push(origin)))
    }

    /// The headers that may contain a token, and the headers that decide whether the token is accepted.
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

    /// Finds the token, and removes it from the request unless it is in the `Authorization` header.
    pub(crate) fn take<B>(&self, request: &mut Request<B>) -> Result<FoundToken, Rejection> {
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
            return Ok(if by_header { FoundToken::Header } else { FoundToken::Nowhere });
        }
        if found > 1 || has_token(request.headers()) {
            return Err(two_tokens());
        }
        let head = RequestHead::of(request);
        if !by_cookie.is_empty() && !head.comes_from(origins) {
            let why = "The cookie is not accepted from another origin. Send the request from an allowed origin.";
            return Err(Rejection::new(RejectionKind::AuthInvalid).with_detail(why).with_source(
                format!(
                    "a request with the cookie came from the origin {:?}",
                    head.headers.get(header::ORIGIN)
                ),
            ));
        }
        if !by_protocol.is_empty() && !head.headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
            let why = "Offer a subprotocol of the application next to 'bearer.<token>'.";
            return Err(Rejection::new(RejectionKind::ContextInvalid).with_detail(why));
        }
        let token = by_cookie.into_iter().chain(by_protocol).next();
        Ok(token.map_or(FoundToken::Nowhere, FoundToken::Elsewhere))
    }
}

/// RFC 6750 section 2: a request must not use more than one place for its token.
pub(crate) fn two_tokens() -> Rejection {
    Rejection::new(RejectionKind::ContextInvalid)
        .with_detail("The request has more than one token. Send one token in one place.")
}

/// Removes the cookies of this name from the `Cookie` headers (RFC 6265 section 5.4), and returns their
/// values. An empty cookie counts as absent, because servers clear cookies this way.
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

/// Whether a WebSocket subprotocol is a token.
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

/// Removes the items that `ours` recognises from the lists in all headers of this name, and returns them. The
/// other items stay as they are. An item that is not UTF-8 is returned as a text that cannot be a token.
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
        // A part of a valid header value is a valid header value.
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
