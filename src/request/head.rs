//! The head of a request.

use http::{Extensions, HeaderMap, HeaderName, Method, Request, Uri, header};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// The head of a request: method, URI, headers and extensions.
///
/// An application can read the tenant and the env from it: see
/// [`context_from`](crate::RequireTenantScope::context_from).
///
/// ```
/// use tower_tenancy::RequestHead;
///
/// let request = http::Request::get("https://acme.example.com:8443/t/acme%3Aeu/events").body(())?;
/// let head = RequestHead::of(&request);
/// assert_eq!(head.segment(1).as_deref(), Some("acme:eu"));
/// assert_eq!(head.host(), Some("acme.example.com"));
/// assert_eq!(head.subdomain_of("example.com").as_deref(), Some("acme"));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) extensions: &'a Extensions,
}

impl<'a> RequestHead<'a> {
    /// The head of `request`.
    #[must_use]
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }

    /// The request's method.
    #[must_use]
    pub fn method(self) -> &'a Method {
        self.method
    }

    /// The request's URI, as the layer sees it. Inside `axum::Router::nest` it lacks the prefix. The
    /// [`extensions`](Self::extensions) then have axum's `OriginalUri`.
    #[must_use]
    pub fn uri(self) -> &'a Uri {
        self.uri
    }

    /// The request's headers. If the response depends on one of them, add it to `Vary`: see
    /// [`vary_by`](crate::RequireTenantScope::vary_by).
    #[must_use]
    pub fn headers(self) -> &'a HeaderMap {
        self.headers
    }

    /// The request's extensions, which outer layers set.
    #[must_use]
    pub fn extensions(self) -> &'a Extensions {
        self.extensions
    }

    /// One segment of the path, percent-decoded ([RFC 3986 section 2.1]). The first segment is 0: in
    /// `/t/acme/x`, segment 1 is `acme`. `None` if the path is shorter.
    ///
    /// A segment that does not decode to UTF-8 is returned unchanged. It contains a `%`, so it is not an
    /// id.
    ///
    /// [RFC 3986 section 2.1]: https://www.rfc-editor.org/rfc/rfc3986#section-2.1
    #[must_use]
    pub fn segment(self, index: usize) -> Option<Cow<'a, str>> {
        let segment = self.uri.path().strip_prefix('/')?.split('/').nth(index)?;
        Some(percent_decode_str(segment).decode_utf8().unwrap_or(segment.into()))
    }

    /// The host that the request was sent to, without its port: the authority of the URI, as in HTTP/2
    /// ([RFC 9113 section 8.3.1]), or the one `Host` header ([RFC 9112 section 3.2]). `None` if there is
    /// neither, if there are two `Host` headers, or if the two differ.
    ///
    /// It keeps the case of the request. Compare hosts without regard to case.
    ///
    /// [RFC 9112 section 3.2]: https://www.rfc-editor.org/rfc/rfc9112#section-3.2
    /// [RFC 9113 section 8.3.1]: https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1
    #[must_use]
    pub fn host(self) -> Option<&'a str> {
        let of_uri = self.uri.host();
        let mut values = self.headers.get_all(header::HOST).iter();
        let Some(value) = values.next() else { return of_uri };
        let of_header = without_port(value.to_str().ok()?)?;
        if values.next().is_some() || of_uri.is_some_and(|uri| !uri.eq_ignore_ascii_case(of_header))
        {
            return None;
        }
        Some(of_header)
    }

    /// The part of the [host](Self::host) before `domain`, in lower case. For the host
    /// `acme.example.com` and the domain `example.com` it is `acme`. `None` for any other host, and for
    /// the domain itself.
    ///
    /// It may have several labels: for `a.b.example.com` it is `a.b`.
    #[must_use]
    pub fn subdomain_of(self, domain: &str) -> Option<Cow<'a, str>> {
        let host = self.host()?;
        let host = host.strip_suffix('.').unwrap_or(host);
        let (name, rest) = host.split_at_checked(host.len().checked_sub(domain.len())?)?;
        let name = name.strip_suffix('.').filter(|_| rest.eq_ignore_ascii_case(domain))?;
        let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
        Some(if is_lower { name.into() } else { name.to_ascii_lowercase().into() })
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

    /// Whether the request is a CORS preflight ([WHATWG Fetch section 3.3.2]).
    ///
    /// [WHATWG Fetch section 3.3.2]: https://fetch.spec.whatwg.org/#cors-preflight-request
    pub(crate) fn is_preflight(self) -> bool {
        self.method == Method::OPTIONS
            && self.headers.contains_key(header::ORIGIN)
            && self.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    }
}

/// The host of `host:port`. `None` if there is user information in front of the host.
fn without_port(authority: &str) -> Option<&str> {
    if authority.contains('@') {
        return None;
    }
    // An IPv6 address contains colons.
    match authority.find(']') {
        Some(end) => authority.get(..=end),
        None => authority.split(':').next(),
    }
}

/// The items of a list in all headers of this name.
pub(crate) fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::RequestHead;
    use http::Request;

    #[test]
    fn a_segment_is_percent_decoded_or_returned_unchanged() {
        for (path, index, segment) in [
            ("/t/acme/x", 1, Some("acme")),
            ("/t/acme/x?t=1", 2, Some("x")),
            ("/t/acme/x", 3, None),
            ("/t/", 1, Some("")),
            ("//t", 1, Some("t")),
            ("/a%3Ab%40c%2Fd", 0, Some("a:b@c/d")),
            ("/%2e%2E", 0, Some("..")),
            ("/%c3%a4", 0, Some("ä")),
            ("/%ff", 0, Some("%ff")),
            ("/%", 0, Some("%")),
            ("/%2", 0, Some("%2")),
            ("/%zz", 0, Some("%zz")),
            ("/%+1", 0, Some("%+1")),
            ("/a+b", 0, Some("a+b")),
            ("*", 0, None),
        ] {
            let request = Request::get(path).body(()).unwrap();
            assert_eq!(RequestHead::of(&request).segment(index).as_deref(), segment, "{path}");
        }
    }

    #[test]
    fn the_host_comes_from_the_uri_or_the_header_and_is_none_if_they_differ() {
        for (uri, hosts, host) in [
            ("/", &["acme.example.com"][..], Some("acme.example.com")),
            ("/", &["acme.example.com:8443"], Some("acme.example.com")),
            ("/", &["[::1]:80"], Some("[::1]")),
            ("/", &["[::1]"], Some("[::1]")),
            ("/", &[], None),
            ("/", &["a.test", "b.test"], None),
            ("/", &["a.test", "a.test"], None),
            ("/", &["a.test@b.test"], None),
            ("https://a.test/", &[], Some("a.test")),
            ("https://a.test:443/", &["A.test"], Some("A.test")),
            ("https://u:p@a.test:443/", &[], Some("a.test")),
            ("https://a.test/", &["b.test"], None),
        ] {
            let request =
                hosts.iter().fold(Request::get(uri), |request, host| request.header("host", *host));
            let request = request.body(()).unwrap();
            assert_eq!(RequestHead::of(&request).host(), host, "{uri} {hosts:?}");
        }
        for (host, name) in [
            ("acme.example.com", Some("acme")),
            ("ACME.Example.COM:8443", Some("acme")),
            ("acme.example.com.", Some("acme")),
            ("a.b.example.com", Some("a.b")),
            ("example.com", None),
            (".example.com", Some("")),
            ("acmeexample.com", None),
            ("acme.example.com.evil.test", None),
            ("acme.example.org", None),
            ("x", None),
        ] {
            let request = Request::get("/").header("host", host).body(()).unwrap();
            let head = RequestHead::of(&request);
            assert_eq!(head.subdomain_of("example.com").as_deref(), name, "{host}");
        }
    }
}
