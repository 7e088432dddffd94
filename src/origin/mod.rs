//! The origin of the page that made a request. A browser adds cookies to the requests of any page. So
//! the crate accepts such a credential only from allowed origins ([WHATWG Fetch section 3.1],
//! [Fetch Metadata]).
//!
//! [WHATWG Fetch section 3.1]: https://fetch.spec.whatwg.org/#origin-header
//! [Fetch Metadata]: https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header

mod invalid;
mod of_request;
mod page;
#[cfg(test)]
mod tests;

pub use invalid::InvalidOrigin;
#[cfg(feature = "tickets")]
pub(crate) use of_request::OPAQUE;
pub(crate) use of_request::SEC_FETCH_SITE;
pub(crate) use page::Origin;
#[cfg(feature = "tickets")]
pub(crate) use page::is_same;
