//! The contexts in a request's extensions: how the layers set them, and how applications read them.

use super::tenant_scope::TenantScope;
use crate::{
    auth::AuthContext,
    context::RequestContext,
    rejection::{Rejection, RejectionKind},
};
use http::Extensions;
use std::mem;

/// How the request was authenticated.
#[derive(Clone, Debug)]
enum Authenticated {
    As(AuthContext),
    /// Authentication is optional, and the request has no token.
    Anonymous,
}

/// The state of the layers, in one entry of the request's extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contexts {
    found: Found,
    /// The auth context of the request's ticket, or the reason why the ticket is refused. It has no effect
    /// until a layer reads it.
    redeemed: Option<Box<Result<AuthContext, Rejection>>>,
}

#[derive(Clone, Debug)]
enum Found {
    /// The layers have not compared request and token yet, or have set one of them again since then.
    Unmatched {
        request: Option<RequestContext>,
        auth: Option<Authenticated>,
    },
    Agreed(TenantScope),
}

impl Default for Found {
    fn default() -> Self {
        Self::Unmatched { request: None, auth: None }
    }
}

impl Found {
    fn request(&self) -> Option<&RequestContext> {
        match self {
            Self::Unmatched { request, .. } => request.as_ref(),
            Self::Agreed(scope) => Some(&scope.request),
        }
    }

    /// The two contexts, without the result of their comparison.
    fn into_unmatched(self) -> (Option<RequestContext>, Option<Authenticated>) {
        match self {
            Self::Unmatched { request, auth } => (request, auth),
            Self::Agreed(TenantScope { request, auth }) => {
                (Some(request), Some(Authenticated::As(auth)))
            }
        }
    }
}

impl Contexts {
    fn of(extensions: &mut Extensions) -> &mut Self {
        extensions.get_or_insert_default()
    }

    pub(crate) fn set_request(extensions: &mut Extensions, request: RequestContext) {
        let contexts = Self::of(extensions);
        let (_, auth) = mem::take(&mut contexts.found).into_unmatched();
        contexts.found = Found::Unmatched { request: Some(request), auth };
    }

    /// Sets the auth context. `None` if authentication is optional and the request has no token.
    pub(crate) fn set_auth(extensions: &mut Extensions, auth: Option<AuthContext>) {
        let contexts = Self::of(extensions);
        let (request, _) = mem::take(&mut contexts.found).into_unmatched();
        let auth = auth.map_or(Authenticated::Anonymous, Authenticated::As);
        contexts.found = Found::Unmatched { request, auth: Some(auth) };
    }

    #[cfg(feature = "tickets")]
    pub(crate) fn set_redeemed(
        extensions: &mut Extensions,
        answer: Result<AuthContext, Rejection>,
    ) {
        *Self::of(extensions) = Self { redeemed: Some(Box::new(answer)), ..Self::default() };
    }

    pub(crate) fn redeemed(extensions: &Extensions) -> Option<Result<AuthContext, Rejection>> {
        extensions.get::<Self>()?.redeemed.as_deref().cloned()
    }

    /// Compares request and token ([`TenantScope::agrees`]), and stores the scope.
    pub(crate) fn conclude(extensions: &mut Extensions) -> Result<(), Rejection> {
        let request = RequestContext::from_extensions(extensions)?;
        let auth = AuthContext::optional(extensions)?.ok_or(RejectionKind::AuthMissing)?;
        TenantScope::agrees(request, auth)?;
        let found = &mut Self::of(extensions).found;
        // Moves both contexts instead of a clone. The checks above made sure that both exist.
        if let (Some(request), Some(Authenticated::As(auth))) = mem::take(found).into_unmatched() {
            *found = Found::Agreed(TenantScope { request, auth });
        }
        Ok(())
    }
}

impl RequestContext {
    /// Reads the request context from a request's extensions, for hosts without extractors.
    ///
    /// # Errors
    ///
    /// `server.misconfigured` if the request did not pass a
    /// [`RequireRequestContext`](crate::RequireRequestContext).
    pub fn from_extensions(extensions: &Extensions) -> Result<&Self, Rejection> {
        extensions
            .get::<Contexts>()
            .and_then(|contexts| contexts.found.request())
            .ok_or_else(|| Rejection::layer_missing("request context", "RequireRequestContext"))
    }
}

impl AuthContext {
    /// Reads the auth context from a request's extensions, for hosts without extractors.
    ///
    /// # Errors
    ///
    /// `server.misconfigured` if the request did not pass a [`RequireAuth`](crate::RequireAuth).
    /// `auth.missing` if authentication is optional and the request has no token.
    pub fn from_extensions(extensions: &Extensions) -> Result<&Self, Rejection> {
        Self::optional(extensions)?.ok_or_else(|| RejectionKind::AuthMissing.into())
    }

    /// `None` only if authentication is optional.
    pub(crate) fn optional(extensions: &Extensions) -> Result<Option<&Self>, Rejection> {
        match extensions.get::<Contexts>().map(|contexts| &contexts.found) {
            Some(Found::Agreed(TenantScope { auth, .. })) => Ok(Some(auth)),
            Some(Found::Unmatched { auth: Some(Authenticated::As(auth)), .. }) => Ok(Some(auth)),
            Some(Found::Unmatched { auth: Some(Authenticated::Anonymous), .. }) => Ok(None),
            Some(Found::Unmatched { auth: None, .. }) | None => {
                Err(Rejection::layer_missing("auth context", "RequireAuth"))
            }
        }
    }
}

impl TenantScope {
    /// Reads the scope from a request's extensions, for hosts without extractors.
    ///
    /// # Errors
    ///
    /// `server.misconfigured` if the request did not pass a [`TenantEnvGuard`](crate::TenantEnvGuard).
    pub fn from_extensions(extensions: &Extensions) -> Result<&Self, Rejection> {
        match extensions.get::<Contexts>().map(|contexts| &contexts.found) {
            Some(Found::Agreed(scope)) => Ok(scope),
            Some(Found::Unmatched { .. }) | None => {
                Err(Rejection::layer_missing("tenant scope", "TenantEnvGuard"))
            }
        }
    }
}
