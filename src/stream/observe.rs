//! The log lines of a stream.

use crate::{
    access::ThreadGrant,
    delivery::{Gap, Item},
    ending::Ending,
    id::ThreadKey,
    rejection::Chain,
};
use std::error::Error;

pub(super) fn log_end(grant: &ThreadGrant, ending: Ending) {
    tracing::debug!(
        code = ending.code(),
        thread = grant.key().to_path(),
        request_id = grant.scope().request_id().as_str(),
        "a stream ended"
    );
}

pub(super) fn log_failure(grant: &ThreadGrant, error: &(dyn Error + 'static)) {
    tracing::error!(
        thread = grant.key().to_path(),
        request_id = grant.scope().request_id().as_str(),
        error = Chain(error).to_string(),
        "the source of a stream failed"
    );
}

/// Logs that the client misses events.
pub(super) fn log_gap(grant: &ThreadGrant, gap: &Gap) {
    tracing::info!(
        thread = grant.key().to_path(),
        request_id = grant.scope().request_id().as_str(),
        reason = gap.reason().as_str(),
        requested = %gap.requested(),
        oldest = %gap.oldest(),
        "a client missed events, and gets a gap notice"
    );
}

/// The audit line for an item of another thread. Alert on it.
pub(super) fn audit(grant: &ThreadGrant, foreign: &Item) {
    let (what, event_type, cursor) = match foreign {
        Item::Event(event) => ("event", Some(event.event_type().as_str()), event.cursor()),
        Item::Position(position) => ("position", None, Some(position.cursor())),
        Item::Gap(gap) => ("gap", None, Some(gap.requested())),
        Item::End(_) => ("end", None, None),
    };
    tracing::error!(
        target: "tower_tenancy::audit",
        granted = grant.key().to_path(),
        foreign = foreign.thread().map(ThreadKey::to_path),
        what,
        event_type,
        cursor = cursor.map(tracing::field::display),
        subject = grant.scope().subject().as_str(),
        request_id = grant.scope().request_id().as_str(),
        "an item of another thread was held back from a stream"
    );
}
