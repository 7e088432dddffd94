//! What the layers found out about a request, and how a host reads it.

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
    /// Optional authentication was asked for, and the request bears no token.
    Anonymous,
}

/// What the layers found out about a request: one entry in its extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contexts {
    found: Found,
    /// What the ticket on the request proves, or why it proves nothing. Until a layer asks for it,
    /// it is neither context nor token.
    redeemed: Option<Box<Result<AuthContext, Rejection>>>,
}

#[derive(Clone, Debug)]
enum Found {
    /// Not held against each other, or not again since a layer ran that takes its answer back.
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

    /// Takes back what was concluded.
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

    /// `None` where authentication is optional and the request bears no token.
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

    /// Holds what is known against the rule, and keeps the scope.
    pub(crate) fn conclude(extensions: &mut Extensions) -> Result<(), Rejection> {
        let request = RequestContext::from_extensions(extensions)?;
        let auth = AuthContext::optional(extensions)?.ok_or(RejectionKind::AuthMissing)?;
        TenantScope::agrees(request, auth)?;
        let found = &mut Self::of(extensions).found;
        // Moved, not cloned: both were there a moment ago.
        if let (Some(request), Some(Authenticated::As(auth))) = mem::take(found).into_unmatched() {
            *found = Found::Agreed(TenantScope { request, auth });
        }
        Ok(())
    }
}

impl RequestContext {
    /// What the layers left on the request, for hosts without extractors.
    ///
    /// # Errors
    ///
    /// `server.misconfigured` if no [`RequireRequestContext`](crate::RequireRequestContext) stands
    /// in front.
    pub fn from_extensions(extensions: &Extensions) -> Result<&Self, Rejection> {
        extensions
            .get::<Contexts>()
            .and_then(|contexts| contexts.found.request())
            .ok_or_else(|| Rejection::layer_missing("request context", "RequireRequestContext"))
    }
}

impl AuthContext {
    /// What the layers left on the request, for hosts without extractors.
    ///
    /// # Errors
    ///
    /// `server.misconfigured` if no [`RequireAuth`](crate::RequireAuth) stands in front;
    /// `auth.missing` if authentication was optional and the request bears no token.
    pub fn from_extensions(extensions: &Extensions) -> Result<&Self, Rejection> {
        Self::optional(extensions)?.ok_or_else(|| RejectionKind::AuthMissing.into())
    }

    /// `None` only where optional authentication was asked for.
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
    /// What the layers left on the request, for hosts without extractors.
    ///
    /// # Errors
    ///
    /// `server.misconfigured` if no [`TenantEnvGuard`](crate::TenantEnvGuard) stands in front.
    pub fn from_extensions(extensions: &Extensions) -> Result<&Self, Rejection> {
        match extensions.get::<Contexts>().map(|contexts| &contexts.found) {
            Some(Found::Agreed(scope)) => Ok(scope),
            Some(Found::Unmatched { .. }) | None => {
                Err(Rejection::layer_missing("tenant scope", "TenantEnvGuard"))
            }
        }
    }
}
