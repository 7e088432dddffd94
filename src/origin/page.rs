//! The origin of a page, in the spelling of browsers.

use super::invalid::{Fault, InvalidOrigin};
use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    net::{Ipv4Addr, Ipv6Addr},
};

/// The origin of a page: scheme, host and port ([RFC 6454 section 4]). Different spellings of one
/// origin are equal.
///
/// `Display` writes the spelling of browsers: lower case, without the default port (section 6.2).
///
/// [RFC 6454 section 4]: https://www.rfc-editor.org/rfc/rfc6454#section-4
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin<'a> {
    scheme: Cow<'a, str>,
    host: Host<'a>,
    /// `None` only for a scheme without a default port.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host<'a> {
    Name(Cow<'a, str>),
    V6(Ipv6Addr),
}

impl<'a> Origin<'a> {
    /// Parses the text of a browser or of a configuration. It ignores case, a default port and one
    /// trailing `/`.
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
        // No page has one of these schemes. Apps and extensions have their own schemes.
        if matches!(&*scheme, "ws" | "wss" | "ftp" | "file" | "blob" | "data" | "javascript") {
            return Err(Fault::NoPage);
        }
        let (host, port) = host_and_port(authority)?;
        let port = port.or(default_port(&scheme));
        Ok(Self { scheme, host, port })
    }

    /// Parses an origin from the application's configuration.
    pub(crate) fn named(text: &'a str) -> Result<Origin<'static>, InvalidOrigin> {
        let Self { scheme, host, port } =
            Self::parse(text).map_err(|fault| InvalidOrigin::new(text, fault))?;
        let host = match host {
            Host::Name(name) => Host::Name(name.into_owned().into()),
            Host::V6(address) => Host::V6(address),
        };
        Ok(Origin { scheme: scheme.into_owned().into(), host, port })
    }

    /// Whether the page comes from the host in `authority`, which is a `Host` header or the authority of
    /// a URI. Behind a proxy the scheme of the request is unknown, so this assumes the page's scheme.
    pub(super) fn is_of_host(&self, authority: &str) -> bool {
        let Some(default) = default_port(&self.scheme) else { return false };
        host_and_port(authority).is_ok_and(|(host, port)| {
            host == self.host && Some(port.unwrap_or(default)) == self.port
        })
    }

    /// Whether `Display` writes exactly `text`.
    pub(super) fn is_written(&self, text: &str) -> bool {
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

/// Reads `host` or `host:port`. An empty port is no port (RFC 3986 section 3.2.3).
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
    // A trailing dot names the root.
    let labels = name.strip_suffix('.').unwrap_or(name);
    if !labels.split('.').all(good) {
        return Err(Fault::Host);
    }
    // Browsers read a host whose last label is a number as an IPv4 address, and send four numbers
    // (WHATWG URL section 3.5).
    let last = labels.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if is_number && name.parse::<Ipv4Addr>().is_err() {
        return Err(Fault::Host);
    }
    Ok(Host::Name(lower(name)))
}

/// Whether two texts name the same origin. A text that is not an origin, such as `null`, never equals
/// any text, not even itself.
#[cfg(feature = "tickets")]
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    match (Origin::parse(one), Origin::parse(other)) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), _) | (_, Err(_)) => false,
    }
}
