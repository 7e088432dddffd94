//! The id of a request: the one in the request, or a generated one.

use super::headers::X_REQUEST_ID;
use crate::id::{InvalidId, NOT_VISIBLE, RequestId};
use http::{Extensions, HeaderMap, HeaderValue};

/// The id of a request, and the state of its header.
#[derive(Debug)]
pub(crate) struct RequestIdFound {
    pub(crate) id: RequestId,
    /// The value of the header, if the id comes from it. It shares the header's bytes.
    pub(crate) sent: Option<HeaderValue>,
    /// Whether the request has exactly one such header, and that header has the id.
    pub(crate) is_only_header: bool,
    /// The reason why the request's id was replaced, if it was.
    pub(crate) replaced: Option<WhyReplaced>,
}

/// The reason why the crate replaces a request's id. The message does not repeat the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WhyReplaced {
    #[error("it {0}")]
    Malformed(InvalidId),
    #[error("it was sent more than once, with different values")]
    Differing,
}

impl RequestIdFound {
    /// The id in the request's header or, without a header, in the extension of tower-http. A generated
    /// id if there is no valid one.
    ///
    /// An invalid id is not a reason to refuse the request: a gateway may have written it, and then the
    /// client cannot correct it.
    pub(crate) fn of(headers: &HeaderMap, extensions: &Extensions) -> Self {
        let mut values = headers.get_all(X_REQUEST_ID).iter();
        let Some(sent) = values.next() else {
            let found = from_tower_http(extensions).map(request_id).transpose();
            return match found {
                Ok(Some(id)) => Self { id, sent: None, is_only_header: false, replaced: None },
                Ok(None) => Self::fresh(None),
                Err(unfit) => Self::fresh(Some(unfit)),
            };
        };
        let (mut is_only_header, mut differs) = (true, false);
        for other in values {
            is_only_header = false;
            differs |= other != sent;
        }
        match if differs { Err(WhyReplaced::Differing) } else { request_id(sent) } {
            Ok(id) => Self { id, sent: Some(sent.clone()), is_only_header, replaced: None },
            Err(unfit) => Self::fresh(Some(unfit)),
        }
    }

    fn fresh(replaced: Option<WhyReplaced>) -> Self {
        Self { id: RequestId::generate(), sent: None, is_only_header: false, replaced }
    }
}

fn request_id(value: &HeaderValue) -> Result<RequestId, WhyReplaced> {
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| NOT_VISIBLE);
    text.and_then(RequestId::new).map_err(WhyReplaced::Malformed)
}

#[cfg(feature = "tower-http")]
fn from_tower_http(extensions: &Extensions) -> Option<&HeaderValue> {
    let set = extensions.get::<tower_http::request_id::RequestId>();
    set.map(tower_http::request_id::RequestId::header_value)
}

#[cfg(not(feature = "tower-http"))]
fn from_tower_http(_: &Extensions) -> Option<&HeaderValue> {
    None
}
