//! Extractors of the contexts that the layers put on a request.

use crate::{
    auth::AuthContext, context::RequestContext, event::LastEventId, rejection::Rejection,
    scope::TenantScope,
};
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

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
/// [`optional`](crate::RequireAuth::optional). If the layer is missing, the extractor refuses the request.
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

/// [`LastEventId::Live`] if the request does not name a cursor.
impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Ok(Self::of(&parts.headers, &parts.uri)?.unwrap_or_default())
    }
}

/// `None` if the request does not name a cursor.
impl<S: Sync> OptionalFromRequestParts<S> for LastEventId {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        Self::of(&parts.headers, &parts.uri)
    }
}
