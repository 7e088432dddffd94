//! A refusal as `application/problem+json` (RFC 9457).

use super::{
    headers::{challenge_or_delay, forbid_sniffing, forbid_storing},
    value::Rejection,
};
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use std::sync::{Arc, Weak};

/// The document of RFC 9457. It has no `type`, which means `about:blank`: `code` names the kind.
#[derive(serde::Serialize)]
struct Problem<'a> {
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
}

const PROBLEM_JSON: &str = "application/problem+json";

/// An `application/problem+json` response, with the challenge or the delay that belongs to the status.
pub(crate) fn problem(rejection: &Rejection) -> Response<Bytes> {
    let status = rejection.status();
    let problem = Problem {
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        code: rejection.code(),
        detail: rejection.detail(),
    };
    // Serialising three strings and a number does not fail. If it did, the client would still get the
    // status.
    let document: Arc<[u8]> = serde_json::to_vec(&problem).unwrap_or_default().into();
    let plain = Plain {
        rejection: rejection.clone(),
        length: document.len(),
        document: Arc::downgrade(&document),
    };
    let mut response = Response::new(Bytes::from_owner(document));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    forbid_storing(response.headers_mut());
    forbid_sniffing(response.headers_mut());
    challenge_or_delay(response.headers_mut(), rejection);
    response.extensions_mut().insert(plain);
    rejection.attach_to(response)
}

/// Marks, in the extensions of a response, that [`problem`] made the response. The nearest outer layer
/// may replace it by a response in the dialect of the request and in the application's style.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    rejection: Rejection,
    length: usize,
    /// The body owns the document. When another body replaces it, the document is dropped.
    document: Weak<[u8]>,
}

impl Plain {
    /// The rejection, if `response` is still the one that [`problem`] made: no handler and no layer has
    /// replaced it by another response. A layer may have compressed the document or wrapped its body.
    ///
    /// Hosts drop the body of a response to a `HEAD` request, so a missing body means nothing there.
    pub(crate) fn still<B>(self, response: &Response<B>, to_head: bool) -> Option<Rejection> {
        let headers = response.headers();
        let mut types = headers.get_all(header::CONTENT_TYPE).iter();
        let same_type = types.next().is_some_and(|value| value == PROBLEM_JSON);
        let same_length = headers.contains_key(header::CONTENT_ENCODING)
            || headers.get(header::CONTENT_LENGTH).is_none_or(|value| {
                value.to_str().is_ok_and(|value| value.parse() == Ok(self.length))
            });
        let is_still = response.status() == self.rejection.status()
            && same_type
            && types.next().is_none()
            && same_length
            && (to_head || self.document.strong_count() > 0);
        is_still.then_some(self.rejection)
    }
}
