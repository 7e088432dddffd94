//! Extractors for axum, and for any other host that uses axum-core.
//!
//! If the layer of an extractor is missing, the extractor refuses every request with
//! `server.misconfigured` (500), and the log names the layer.

use crate::{
    access::{NamesThread, ThreadGrant, ThreadRegistry, verify_thread_access},
    auth::AuthContext,
    context::RequestContext,
    event::LastEventId,
    rejection::{Rejection, RejectionKind, problem, require_json},
    scope::TenantScope,
    sse::SseBody,
    stream::IntoDelivery,
};
use axum_core::{
    body::Body,
    extract::{FromRef, FromRequest, FromRequestParts, OptionalFromRequestParts, Request},
    response::{IntoResponse, Response},
};
use futures_core::Stream;
use http::request::Parts;
use std::{fmt, marker::PhantomData, ops::Deref};

impl IntoResponse for Rejection {
    /// Answers with problem+json. The nearest outer layer of this crate renders the rejection again, in
    /// the dialect of the request and in the application's own style. It does not if something in between
    /// changed the status, the content type or the body.
    fn into_response(self) -> Response {
        problem(&self).map(Body::from)
    }
}

impl<S> IntoResponse for SseBody<S>
where
    S: Stream + Send + 'static,
    S::Item: IntoDelivery,
{
    fn into_response(self) -> Response {
        self.into_http().map(Body::new)
    }
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Self::from_extensions(&parts.extensions).cloned()
    }
}

impl<S: Sync> FromRequestParts<S> for AuthContext {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Self::from_extensions(&parts.extensions).cloned()
    }
}

/// `None` only behind a [`RequireAuth`](crate::RequireAuth) that is
/// [`optional`](crate::RequireAuth::optional). A missing layer never gives `None`.
impl<S: Sync> OptionalFromRequestParts<S> for AuthContext {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        Ok(Self::optional(&parts.extensions)?.cloned())
    }
}

impl<S: Sync> FromRequestParts<S> for TenantScope {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Self::from_extensions(&parts.extensions).cloned()
    }
}

/// [`LastEventId::Live`] if the request names no cursor.
impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Ok(Self::of(&parts.headers, &parts.uri)?.unwrap_or_default())
    }
}

/// `None` if the request names no cursor.
impl<S: Sync> OptionalFromRequestParts<S> for LastEventId {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        Self::of(&parts.headers, &parts.uri)
    }
}

/// The text of a body whose content type is JSON. It is for code that parses JSON itself, such as
/// [`ThreadGrant::receive`].
///
/// A page of another site can send a form or `text/plain` with the user's cookies, without a preflight.
/// So the content type is checked: anything but `application/json` (or `+json`) is 415. A body that is
/// longer than the host's limit is 413. A body that is not UTF-8 is 400. Each is a [`Rejection`].
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

/// The check of a thread as an extractor. A handler that takes it runs only with a grant.
///
/// `E` is the extractor that names the thread: `axum::extract::Path<String>`, or a `Path` of a type of
/// the application's own that implements [`NamesThread`]. `R` is the [`ThreadRegistry`]. It is taken from
/// the router's state.
///
/// ```
/// use axum::{Router, extract::{FromRef, Path}, routing::get};
/// use tower_tenancy::{MemoryRegistry, ThreadAccess};
///
/// type Access = ThreadAccess<Path<String>, MemoryRegistry>;
///
/// #[derive(Clone, FromRef)]
/// struct App {
///     threads: MemoryRegistry,
/// }
///
/// async fn whoami(access: Access) -> String {
///     format!("{} in {}", access.scope().subject(), access.scope().tenant())
/// }
///
/// let app: Router =
///     Router::new().route("/threads/{thread}", get(whoami)).with_state(App { threads: MemoryRegistry::new() });
/// # // A real application adds `.layer(RequireTenantScope::new(..))`; without it, every request is refused.
/// ```
pub struct ThreadAccess<E, R>
where
    E: Deref,
    E::Target: NamesThread,
{
    grant: ThreadGrant,
    params: E,
    registry: PhantomData<fn() -> R>,
}

impl<E, R> ThreadAccess<E, R>
where
    E: Deref,
    E::Target: NamesThread,
{
    /// The grant, to feed a stream with.
    pub fn into_grant(self) -> ThreadGrant {
        self.grant
    }

    /// What named the thread, with the path's other parameters.
    pub fn params(&self) -> &E::Target {
        &self.params
    }
}

impl<E, R> Deref for ThreadAccess<E, R>
where
    E: Deref,
    E::Target: NamesThread,
{
    type Target = ThreadGrant;

    fn deref(&self) -> &ThreadGrant {
        &self.grant
    }
}

impl<E, R> fmt::Debug for ThreadAccess<E, R>
where
    E: Deref,
    E::Target: NamesThread,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadAccess").field("grant", &self.grant).finish_non_exhaustive()
    }
}

impl<S, E, R> FromRequestParts<S> for ThreadAccess<E, R>
where
    S: Send + Sync,
    E: FromRequestParts<S> + Deref + Send,
    E::Target: NamesThread + Sync,
    R: ThreadRegistry + FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let scope = TenantScope::from_extensions(&parts.extensions).cloned();
        let scope = scope.map_err(IntoResponse::into_response)?;
        let params =
            E::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let registry = R::from_ref(state);
        let named = params.thread_id().to_owned();
        let grant = verify_thread_access(&registry, &scope, &named).await;
        let grant = grant.map_err(IntoResponse::into_response)?;
        Ok(Self { grant, params, registry: PhantomData })
    }
}
