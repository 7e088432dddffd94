//! Where a browser says that a request comes from: the rule for credentials that it sends along by
//! itself ([WHATWG Fetch section 3.1], [Fetch Metadata]).
//!
//! [WHATWG Fetch section 3.1]: https://fetch.spec.whatwg.org/#origin-header
//! [Fetch Metadata]: https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header

use http::{HeaderMap, HeaderName, Method, Request, Uri, header};

pub(crate) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What the rule looks at.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

impl<'a> Head<'a> {
    pub(crate) fn of<B>(request: &'a Request<B>) -> Self {
        Self { method: request.method(), uri: request.uri(), headers: request.headers() }
    }

    /// Whether the request asks for a WebSocket ([RFC 6455 section 4.1], [RFC 8441 section 4]).
    ///
    /// [RFC 6455 section 4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    /// [RFC 8441 section 4]: https://www.rfc-editor.org/rfc/rfc8441#section-4
    pub(crate) fn is_upgrade(self) -> bool {
        let websocket = |name: &str| name.eq_ignore_ascii_case("websocket");
        self.method == Method::CONNECT
            || (self.method == Method::GET && tokens(self.headers, header::UPGRADE).any(websocket))
    }

    /// Whether a browser asks whether it may ask ([WHATWG Fetch section 3.3.2]).
    ///
    /// [WHATWG Fetch section 3.3.2]: https://fetch.spec.whatwg.org/#cors-preflight-request
    pub(crate) fn is_preflight(self) -> bool {
        self.method == Method::OPTIONS
            && self.headers.contains_key(header::ORIGIN)
            && self.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// The `Origin`. A repeated or unreadable one is an origin, and nobody's.
    pub(crate) fn origin(self) -> Option<&'a str> {
        let mut values = self.headers.get_all(header::ORIGIN).iter();
        let origin = values.next()?.to_str().unwrap_or("null");
        Some(if values.next().is_some() { "null" } else { origin })
    }

    /// Whether the origin is the very host that the request was sent to. Behind a proxy the scheme
    /// is not known, so it is not compared.
    fn is_same_host(self, origin: &str) -> bool {
        let host = self.headers.get(header::HOST).and_then(|value| value.to_str().ok());
        let host = host.or_else(|| self.uri.authority().map(http::uri::Authority::as_str));
        let theirs = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        matches!((theirs, host), (Some(theirs), Some(host)) if theirs.eq_ignore_ascii_case(host))
    }

    /// Whether the request was made by a page of the service's own origin or of an `allowed` one,
    /// or by no page.
    ///
    /// Browsers send an `Origin` with every upgrade and with every request that changes something.
    /// A same-origin `GET`, an `EventSource` among them, comes without. Where `Sec-Fetch-Site` is
    /// sent, it must not speak of another origin: it knows the scheme, too.
    pub(crate) fn comes_from(self, allowed: &[String]) -> bool {
        let site = self.headers.get(SEC_FETCH_SITE).map(http::HeaderValue::as_bytes);
        let same_origin = site.is_none_or(|site| matches!(site, b"same-origin" | b"none"));
        match self.origin() {
            Some(origin) => {
                allowed.iter().any(|own| own == origin)
                    || (same_origin && self.is_same_host(origin))
            }
            None if self.is_upgrade() => false,
            None => {
                same_origin
                    && (site.is_some() || matches!(*self.method, Method::GET | Method::HEAD))
            }
        }
    }
}

/// The items of a list in all headers of this name.
pub(crate) fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::Head;
    use http::Request;

    fn comes(method: &str, headers: &[(&str, &str)]) -> bool {
        let mut request =
            Request::builder().method(method).uri("/").header("host", "app.test:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        let head = Head::of(&request);
        head.comes_from(&["https://good.test".to_owned()])
    }

    #[test]
    fn a_page_of_another_origin_is_told_apart() {
        let upgrade = ("upgrade", "WebSocket");
        for (method, headers, passes) in [
            ("GET", vec![], true),
            ("POST", vec![], false),
            ("GET", vec![("origin", "http://app.test:8080")], true),
            ("GET", vec![("origin", "https://APP.test:8080")], true),
            ("GET", vec![("origin", "https://app.test")], false),
            ("GET", vec![("origin", "https://app.test:8080.evil.test")], false),
            ("GET", vec![("origin", "https://good.test")], true),
            ("GET", vec![("origin", "https://evil.test")], false),
            ("GET", vec![("origin", "null")], false),
            ("GET", vec![("origin", "https://good.test"), ("origin", "https://good.test")], false),
            ("GET", vec![upgrade], false),
            ("CONNECT", vec![], false),
            ("GET", vec![upgrade, ("origin", "https://good.test")], true),
            ("GET", vec![upgrade, ("origin", "https://evil.test")], false),
            ("GET", vec![upgrade, ("sec-fetch-site", "same-origin")], false),
            ("GET", vec![("upgrade", "h2c, websocket")], false),
            ("POST", vec![upgrade, ("origin", "https://evil.test")], false),
            // The same host by another scheme.
            (
                "GET",
                vec![("origin", "http://app.test:8080"), ("sec-fetch-site", "cross-site")],
                false,
            ),
            ("GET", vec![("sec-fetch-site", "same-origin")], true),
            ("GET", vec![("sec-fetch-site", "none")], true),
            ("GET", vec![("sec-fetch-site", "same-site")], false),
            ("GET", vec![("sec-fetch-site", "cross-site")], false),
            ("POST", vec![("sec-fetch-site", "same-origin")], true),
        ] {
            assert_eq!(comes(method, &headers), passes, "{method} {headers:?}");
        }
    }
}
