//! A refusal as a short event stream, for a browser's `EventSource`.

use super::{
    headers::forbid_sniffing,
    kind::RejectionKind,
    value::{RETRY_AFTER, Rejection},
};
use crate::{
    ending::{Ending, jittered},
    event_stream::{Block, members, stream_headers},
};
use bytes::Bytes;
use http::Response;

/// A short event stream that tells the client when to reconnect. WHATWG HTML section 9.2.3: after any
/// status but 200, an `EventSource` never reconnects, and only `retry` tells it when.
pub(super) fn reconnect_later(rejection: &Rejection) -> Response<Bytes> {
    let limited = rejection.kind() == RejectionKind::StreamLimit;
    let name = if limited { Ending::Limit } else { Ending::SourceFailed }.code();
    let members = members([("code", rejection.code()), ("detail", rejection.detail())]);
    let delay = jittered(rejection.retry_after().unwrap_or(RETRY_AFTER));
    let mut body = String::new();
    let block = Block::new(&mut body).event(name).retry(Some(delay));
    block.notice(members, rejection.request_id()).end();
    let mut response = Response::new(Bytes::from(body));
    stream_headers(response.headers_mut());
    forbid_sniffing(response.headers_mut());
    rejection.attach_to(response)
}
