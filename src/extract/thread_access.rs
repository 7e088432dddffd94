//! The extractor that checks a thread.

use crate::{
    access::{NamesThread, ThreadGrant, ThreadRegistry, verify_thread_access},
    scope::TenantScope,
};
use axum_core::{
    extract::{FromRef, FromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;
use std::{fmt, marker::PhantomData, ops::Deref};

/// An extractor that checks access to a thread. A handler with this argument runs only with a grant.
///
/// `E` is the extractor that names the thread: `axum::extract::Path<String>`, or a `Path` of your own type
/// that implements [`NamesThread`]. `R` is the [`ThreadRegistry`], which comes from the router's state.
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
    /// The grant, for example to open a stream.
    pub fn into_grant(self) -> ThreadGrant {
        self.grant
    }

    /// The parameters that name the thread, with all other parameters of the path.
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
