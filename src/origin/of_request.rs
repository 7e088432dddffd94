//! Finds the origin of the page that made a request.

use super::{invalid::Fault, page::Origin};
use crate::request::RequestHead;
use http::{HeaderName, Method, header};
use std::borrow::Cow;

pub(crate) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The text of an origin that identifies no page (RFC 6454 section 6.2).
pub(crate) const OPAQUE: &str = "null";

impl<'a> RequestHead<'a> {
    /// The `Origin` header. An error if it is repeated, `null` or malformed.
    fn origin(self) -> Option<Result<Origin<'a>, Fault>> {
        let mut values = self.headers.get_all(header::ORIGIN).iter();
        let value = values.next()?;
        let text = value.to_str().ok().filter(|_| values.next().is_none());
        Some(text.ok_or(Fault::Opaque).and_then(Origin::parse))
    }

    /// The `Origin` header in the spelling of browsers, or [`OPAQUE`] if it is repeated, `null` or
    /// malformed.
    pub(crate) fn origin_text(self) -> Option<Cow<'a, str>> {
        let Ok(origin) = self.origin()? else { return Some(OPAQUE.into()) };
        let sent = self.headers.get(header::ORIGIN).and_then(|value| value.to_str().ok());
        // Browsers send the canonical spelling, which needs no allocation.
        let sent = sent.filter(|sent| origin.is_written(sent));
        Some(sent.map_or_else(|| origin.to_string().into(), Cow::Borrowed))
    }

    /// Whether the origin has the host and port that the request was sent to.
    fn is_same_host(self, origin: &Origin<'_>) -> bool {
        let mut hosts = self.headers.get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (None, _) => self.uri.authority().map(http::uri::Authority::as_str),
            (Some(host), None) => host.to_str().ok(),
            (Some(_), Some(_)) => None,
        };
        host.is_some_and(|host| origin.is_of_host(host))
    }

    /// Whether the request comes from a page of the service's own origin, from a page of an `allowed`
    /// origin, or not from a page.
    ///
    /// Browsers send `Origin` with every upgrade, and with every request that is not `GET` or `HEAD`.
    /// They do not send it with a same-origin `GET`, such as that of an `EventSource`. If the request has
    /// `Sec-Fetch-Site`, it must be `same-origin` or `none`, because the browser also compares the scheme.
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
