//! Rejections and endings as tonic statuses.

use crate::{
    clock::millis,
    ending::{Ending, jittered},
    id::RequestId,
    middleware::RequireService,
    rejection::{RETRY_PUSHBACK, Rejection, TENANCY_CODE},
};
use std::time::Duration;
use tonic::{Code, Status, metadata::MetadataValue, server::NamedService};

pub(super) fn status_of(ending: Ending, trace_id: &RequestId, retry: Duration) -> Status {
    let delay = ending.retry_after(retry).map(jittered);
    let mut status = status(ending.grpc_code(), ending.code(), ending.detail(), delay);
    if let Ok(trace_id) = MetadataValue::try_from(trace_id.as_str()) {
        status.metadata_mut().insert("x-request-id", trace_id);
    }
    status
}

fn status(grpc: u8, code: &'static str, detail: &str, retry: Option<Duration>) -> Status {
    let mut status = Status::new(Code::from_i32(grpc.into()), detail);
    let metadata = status.metadata_mut();
    metadata.insert(TENANCY_CODE, MetadataValue::from_static(code));
    if let Some(delay) = retry {
        let millis = millis(delay);
        metadata.insert(RETRY_PUSHBACK, MetadataValue::from(millis));
    }
    status
}

impl From<Rejection> for Status {
    /// Makes a status with the stable code in the metadata `tenancy-code`, and `cache-control: no-store`.
    /// It also writes the refusal to the log.
    fn from(mut rejection: Rejection) -> Self {
        rejection.log();
        let kind = rejection.kind();
        let mut status =
            status(kind.grpc_code(), kind.code(), rejection.detail(), rejection.retry_after());
        status.metadata_mut().insert("cache-control", MetadataValue::from_static("no-store"));
        status.set_source(std::sync::Arc::new(rejection));
        status
    }
}

/// A layer can wrap one service of a server, because the wrapper keeps the name of the service.
impl<S: NamedService, C, R> NamedService for RequireService<S, C, R> {
    const NAME: &'static str = S::NAME;
}
