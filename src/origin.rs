//! Where a browser says that a request comes from: the rule for credentials that it sends along by
//! itself ([WHATWG Fetch section 3.1], [Fetch Metadata]).
//!
//! [WHATWG Fetch section 3.1]: https://fetch.spec.whatwg.org/#origin-header
//! [Fetch Metadata]: https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header

use crate::head::RequestHead;
use http::{HeaderName, Method, header};
use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    net::{Ipv4Addr, Ipv6Addr},
};

pub(crate) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origin of a page: scheme, host and port ([RFC 6454 section 4]). Two that are equal are one,
/// however they were written.
///
/// Shown, it is what browsers send: in lower case, without the default port (section 6.2).
///
/// [RFC 6454 section 4]: https://www.rfc-editor.org/rfc/rfc6454#section-4
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin<'a> {
    scheme: Cow<'a, str>,
    host: Host<'a>,
    /// `None` only for a scheme that has no default.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host<'a> {
    Name(Cow<'a, str>),
    V6(Ipv6Addr),
}

/// Why a text is no origin of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it has no scheme: write `https://` and the host")]
    NoScheme,
    #[error("a page has the scheme of its own URL: write `https://` or `http://`")]
    NoPage,
    #[error("there are no wildcards: allow each origin by itself")]
    Wildcard,
    #[error("pages without an origin of their own send `null`, and nobody can tell them apart")]
    Opaque,
    #[error("write the host in ASCII, as browsers send it: `xn--...` (punycode)")]
    Unicode,
    #[error("an origin has no user and no password")]
    User,
    #[error("an origin ends after host and port: leave out path, query and fragment")]
    Path,
    #[error(
        "the host is no name, no IPv4 address of four numbers, and no IPv6 address in brackets"
    )]
    Host,
    #[error("the port is no number up to 65535")]
    Port,
}

/// A text that was to be an origin is none that a page can have. Says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not the origin of a page: {fault}")]
pub struct InvalidOrigin {
    /// Without what may be secret.
    given: String,
    fault: Fault,
}

impl InvalidOrigin {
    fn new(text: &str, fault: Fault) -> Self {
        let shown = text.split(['?', '#']).next().unwrap_or_default();
        let given = match shown.rsplit_once('@') {
            Some((_, host)) => format!("...@{host}"),
            None => shown.to_owned(),
        };
        Self { given, fault }
    }
}

impl<'a> Origin<'a> {
    /// Reads what a browser sends, or a person writes: case, a default port and one trailing `/` make
    /// no difference.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Fault> {
        match text {
            "*" => return Err(Fault::Wildcard),
            "null" => return Err(Fault::Opaque),
            text if !text.is_ascii() => return Err(Fault::Unicode),
            _ => {}
        }
        let (scheme, rest) = text.split_once("://").ok_or(Fault::NoScheme)?;
        // RFC 3986 section 3.1.
        let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            || !scheme.bytes().all(in_scheme)
        {
            return Err(Fault::NoScheme);
        }
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(Fault::User);
        }
        if !matches!(after, "" | "/") {
            return Err(Fault::Path);
        }
        let scheme = lower(scheme);
        // No page is of these; apps and extensions have schemes of their own.
        if matches!(&*scheme, "ws" | "wss" | "ftp" | "file" | "blob" | "data" | "javascript") {
            return Err(Fault::NoPage);
        }
        let (host, port) = host_and_port(authority)?;
        let port = port.or(default_port(&scheme));
        Ok(Self { scheme, host, port })
    }

    /// Reads an origin that the application names.
    pub(crate) fn named(text: &'a str) -> Result<Origin<'static>, InvalidOrigin> {
        let Self { scheme, host, port } =
            Self::parse(text).map_err(|fault| InvalidOrigin::new(text, fault))?;
        let host = match host {
            Host::Name(name) => Host::Name(name.into_owned().into()),
            Host::V6(address) => Host::V6(address),
        };
        Ok(Origin { scheme: scheme.into_owned().into(), host, port })
    }

    /// Whether the page comes from the host that the `Host` header, or the authority of a URI, names.
    /// Behind a proxy the scheme of the request is not known, so the page's counts.
    fn is_of_host(&self, authority: &str) -> bool {
        let Some(default) = default_port(&self.scheme) else { return false };
        host_and_port(authority).is_ok_and(|(host, port)| {
            host == self.host && Some(port.unwrap_or(default)) == self.port
        })
    }

    /// Whether it is shown as `text`.
    fn is_written(&self, text: &str) -> bool {
        struct Rest<'a>(&'a str);

        impl fmt::Write for Rest<'_> {
            fn write_str(&mut self, part: &str) -> fmt::Result {
                self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
                Ok(())
            }
        }

        let mut rest = Rest(text);
        write!(rest, "{self}").is_ok() && rest.0.is_empty()
    }
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        match host {
            Host::Name(name) => write!(f, "{scheme}://{name}")?,
            Host::V6(address) => write!(f, "{scheme}://[{address}]")?,
        }
        match port {
            Some(port) if default_port(scheme) != Some(*port) => write!(f, ":{port}"),
            Some(_) | None => Ok(()),
        }
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        text.to_ascii_lowercase().into()
    } else {
        text.into()
    }
}

/// `host`, or `host:port`. An empty port is none (RFC 3986 section 3.2.3).
fn host_and_port(authority: &str) -> Result<(Host<'_>, Option<u16>), Fault> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(Fault::Host)?;
            (Host::V6(address.parse().map_err(|_| Fault::Host)?), port)
        }
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            let (name, port) = authority.split_at_checked(end).unwrap_or((authority, ""));
            (host_name(name)?, port)
        }
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some("") => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().map_err(|_| Fault::Port)?)
        }
        None | Some(_) => return Err(Fault::Port),
    };
    Ok((host, port))
}

fn host_name(name: &str) -> Result<Host<'_>, Fault> {
    if name.contains('*') {
        return Err(Fault::Wildcard);
    }
    let good = |label: &str| {
        let in_label = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.bytes().all(in_label)
    };
    // The name of the root may be written.
    let labels = name.strip_suffix('.').unwrap_or(name);
    if !labels.split('.').all(good) {
        return Err(Fault::Host);
    }
    // Browsers take a host that ends in a number for an IPv4 address, and send four numbers (WHATWG
    // URL section 3.5).
    let last = labels.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if is_number && name.parse::<Ipv4Addr>().is_err() {
        return Err(Fault::Host);
    }
    Ok(Host::Name(lower(name)))
}

/// Whether two texts name one origin. What is no origin, such as `null`, is nobody's: not even its
/// own.
#[cfg(feature = "tickets")]
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    match (Origin::parse(one), Origin::parse(other)) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), _) | (_, Err(_)) => false,
    }
}

/// How an origin that is nobody's is written (RFC 6454 section 6.2).
pub(crate) const OPAQUE: &str = "null";

impl<'a> RequestHead<'a> {
    /// The `Origin`. A repeated one, `null`, and what is no origin is nobody's: an error.
    fn origin(self) -> Option<Result<Origin<'a>, Fault>> {
        let mut values = self.headers.get_all(header::ORIGIN).iter();
        let value = values.next()?;
        let text = value.to_str().ok().filter(|_| values.next().is_none());
        Some(text.ok_or(Fault::Opaque).and_then(Origin::parse))
    }

    /// The `Origin` as browsers write it, [`OPAQUE`] if it is nobody's.
    pub(crate) fn origin_text(self) -> Option<Cow<'a, str>> {
        let Ok(origin) = self.origin()? else { return Some(OPAQUE.into()) };
        let sent = self.headers.get(header::ORIGIN).and_then(|value| value.to_str().ok());
        // A browser wrote it so itself.
        let sent = sent.filter(|sent| origin.is_written(sent));
        Some(sent.map_or_else(|| origin.to_string().into(), Cow::Borrowed))
    }

    /// Whether the origin is the very host that the request was sent to.
    fn is_same_host(self, origin: &Origin<'_>) -> bool {
        let mut hosts = self.headers.get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (None, _) => self.uri.authority().map(http::uri::Authority::as_str),
            (Some(host), None) => host.to_str().ok(),
            (Some(_), Some(_)) => None,
        };
        host.is_some_and(|host| origin.is_of_host(host))
    }

    /// Whether the request was made by a page of the service's own origin or of an `allowed` one,
    /// or by no page.
    ///
    /// Browsers send an `Origin` with every upgrade and with every request that changes something.
    /// A same-origin `GET`, an `EventSource` among them, comes without. Where `Sec-Fetch-Site` is
    /// sent, it must not speak of another origin: it knows the scheme, too.
    pub(crate) fn comes_from(self, allowed: &[Origin<'static>]) -> bool {
        let site = self.headers.get(SEC_FETCH_SITE).map(http::HeaderValue::as_bytes);
        let same_origin = site.is_none_or(|site| matches!(site, b"same-origin" | b"none"));
        match self.origin() {
            Some(Ok(origin)) => {
                allowed.contains(&origin) || (same_origin && self.is_same_host(&origin))
            }
            Some(Err(_)) => false,
            None if self.is_upgrade() => false,
            None => {
                same_origin
                    && (site.is_some() || matches!(*self.method, Method::GET | Method::HEAD))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Origin, RequestHead};
    use http::Request;

    fn comes(method: &str, headers: &[(&str, &str)]) -> bool {
        comes_to("app.test:8080", method, headers)
    }

    fn comes_to(host: &str, method: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri("/").header("host", host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        let head = RequestHead::of(&request);
        head.comes_from(&[Origin::named("https://good.test").unwrap()])
    }

    #[test]
    fn an_origin_is_one_however_it_is_written() {
        for (written, canonical) in [
            ("https://app.test", "https://app.test"),
            ("https://app.test/", "https://app.test"),
            ("https://app.test:443", "https://app.test"),
            ("https://app.test:443/", "https://app.test"),
            ("https://app.test:", "https://app.test"),
            ("https://app.test:0443", "https://app.test"),
            ("HTTPS://App.TEST", "https://app.test"),
            ("http://app.test:80", "http://app.test"),
            ("http://app.test:443", "http://app.test:443"),
            ("https://app.test:80", "https://app.test:80"),
            ("https://app.test.", "https://app.test."),
            ("https://xn--BCHER-kva.test", "https://xn--bcher-kva.test"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://[0:0:0:0:0:0:0:1]:80/", "http://[::1]"),
            ("https://[2001:DB8::A]", "https://[2001:db8::a]"),
            ("http://localhost", "http://localhost"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
        ] {
            let origin = Origin::parse(written).unwrap();
            assert_eq!(origin.to_string(), canonical, "{written}");
            assert_eq!(Ok(origin.clone()), Origin::parse(canonical), "{written}");
            assert_eq!(origin.is_written(written), written == canonical, "{written}");
            let head = Request::builder().header("origin", written).body(()).unwrap();
            assert_eq!(RequestHead::of(&head).origin_text().as_deref(), Some(canonical));
        }
        for (one, other) in [
            ("https://app.test", "http://app.test"),
            ("https://app.test", "https://app.test:8443"),
            ("https://app.test", "https://app.test."),
            ("https://app.test", "https://www.app.test"),
            ("https://app.test:443", "http://app.test:443"),
            ("http://[::1]", "http://[::2]"),
            ("http://127.0.0.1", "http://[::ffff:127.0.0.1]"),
            ("capacitor://localhost", "capacitor://localhost:80"),
        ] {
            assert_ne!(Origin::parse(one).unwrap(), Origin::parse(other).unwrap());
        }
    }

    #[test]
    fn what_is_no_origin_of_a_page_is_told_why() {
        for (text, fault) in [
            ("", Fault::NoScheme),
            ("app.test", Fault::NoScheme),
            ("app.test:443", Fault::NoScheme),
            ("//app.test", Fault::NoScheme),
            ("://app.test", Fault::NoScheme),
            (" https://app.test", Fault::NoScheme),
            ("https:app.test", Fault::NoScheme),
            ("blob:https://app.test", Fault::NoScheme),
            ("wss://app.test", Fault::NoPage),
            ("file:///home", Fault::Path),
            ("file://", Fault::NoPage),
            ("*", Fault::Wildcard),
            ("https://*", Fault::Wildcard),
            ("https://*.app.test", Fault::Wildcard),
            ("null", Fault::Opaque),
            ("https://b\u{fc}cher.test", Fault::Unicode),
            ("https://user@app.test", Fault::User),
            ("https://user:s3cret@app.test/", Fault::User),
            ("https://app.test/path", Fault::Path),
            ("https://app.test//", Fault::Path),
            ("https://app.test?a=b", Fault::Path),
            ("https://app.test/?", Fault::Path),
            ("https://app.test#a", Fault::Path),
            ("https://app.test\\", Fault::Path),
            ("https://", Fault::Host),
            ("https://:443", Fault::Host),
            ("https://app..test", Fault::Host),
            ("https://.app.test", Fault::Host),
            ("https://app.test ", Fault::Host),
            ("https://app.test, https://b.test", Fault::Path),
            ("https://a.test https://b.test", Fault::Path),
            ("https://app%2etest", Fault::Host),
            ("http://127.1", Fault::Host),
            ("http://2130706433", Fault::Host),
            ("http://0x7f.0.0.1", Fault::Host),
            ("http://127.0.0.0x1", Fault::Host),
            ("http://::1", Fault::Host),
            ("http://[::1", Fault::Host),
            ("http://[fe80::1%25eth0]", Fault::Host),
            ("http://[::1]a", Fault::Port),
            ("https://app.test:65536", Fault::Port),
            ("https://app.test:+443", Fault::Port),
            ("https://app.test:https", Fault::Port),
            ("https://app.test:1:2", Fault::Port),
        ] {
            assert_eq!(Origin::parse(text).err(), Some(fault), "{text}");
            let error = Origin::named(text).unwrap_err().to_string();
            assert!(error.contains(&fault.to_string()) && !error.contains("s3cret"), "{error}");
            // As a header it is there, and nobody's.
            if let Ok(head) = Request::builder().header("origin", text).body(()) {
                assert_eq!(RequestHead::of(&head).origin_text().as_deref(), Some("null"), "{text}");
                assert!(!RequestHead::of(&head).comes_from(&[]));
            }
        }
    }

    #[test]
    fn a_page_of_the_same_host_is_known_by_host_and_port() {
        for (host, origin, passes) in [
            ("app.test", "https://app.test", true),
            ("app.test", "https://app.test:443", true),
            ("app.test", "http://app.test:80", true),
            ("App.Test", "HTTPS://app.TEST/", true),
            ("app.test:443", "https://app.test", true),
            ("app.test:80", "http://app.test", true),
            ("app.test:443", "http://app.test", false),
            ("app.test", "https://app.test:8443", false),
            ("app.test:8443", "https://app.test:8443", true),
            ("app.test.", "https://app.test", false),
            ("[::1]:3000", "http://[0:0::1]:3000", true),
            ("[::1]", "http://[::1]:80", true),
            ("[::1]", "http://[::2]", false),
            ("127.0.0.1", "http://127.0.0.1", true),
            ("app.test", "capacitor://app.test", false),
            ("app.test", "wss://app.test", false),
            ("", "https://app.test", false),
            ("user@app.test", "https://app.test", false),
        ] {
            assert_eq!(comes_to(host, "GET", &[("origin", origin)]), passes, "{host} {origin}");
        }
        let twice = [("origin", "https://app.test"), ("host", "app.test")];
        assert!(!comes_to("app.test", "GET", &twice), "nobody knows which host it is");
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
            ("GET", vec![("origin", "https://GOOD.test:443")], true),
            ("GET", vec![("origin", "http://good.test")], false),
            ("GET", vec![("origin", "https://good.test https://good.test")], false),
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
