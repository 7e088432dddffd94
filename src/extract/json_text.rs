//! The text of a JSON body.

use crate::rejection::{Rejection, RejectionKind, require_json};
use axum_core::extract::{FromRequest, Request};

/// The text of a body whose content type is JSON. It is for code that parses JSON itself, such as
/// [`ThreadGrant::receive`](crate::ThreadGrant::receive).
///
/// A page of another site can send a form or `text/plain` with the user's cookies, without a preflight.
/// So the extractor refuses every content type except `application/json` and `+json` (415). It also
/// refuses a body that is longer than the host's limit (413) or not UTF-8 (400). Each refusal is a
/// [`Rejection`].
///
/// ```
/// use axum::extract::{Path, State};
/// use tower_tenancy::{JsonText, MemoryLog, MemoryRegistry, OnForeignMembers, Rejection, ThreadAccess};
///
/// async fn say(
///     thread: ThreadAccess<Path<String>, MemoryRegistry>,
///     State(log): State<MemoryLog>,
///     JsonText(body): JsonText,
/// ) -> Result<String, Rejection> {
///     let message = thread.receive(&body, OnForeignMembers::Refuse)?;
///     Ok(thread.publish(&log, message).await?.to_json())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct JsonText(pub String);

impl<S: Send + Sync> FromRequest<S> for JsonText {
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        require_json(request.headers())?;
        String::from_request(request, state).await.map(Self).map_err(|refused| {
            Rejection::new(RejectionKind::of_status(refused.status()))
                .with_detail(format!("The body cannot be read: {}.", refused.body_text()))
        })
    }
}
