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

/// A short event stream whose `retry` field says when to reconnect. An `EventSource` never reconnects
/// after a status other than 200, and it takes the delay from `retry` only (WHATWG HTML section 9.2.3).
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
