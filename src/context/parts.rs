//! Tenant and env from parts of a request other than the headers.

use super::headers::invalid;
use crate::{
    rejection::Rejection,
    request::{RequestHead, query},
};
use http::Uri;
use std::{borrow::Cow, fmt, sync::Arc};

/// The tenant and env that the application reads from a request, for example from its path or its host.
///
/// They prove nothing. See [`context_from`](crate::RequireTenantScope::context_from).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContextParts<'a> {
    pub(crate) tenant: Option<Cow<'a, str>>,
    pub(crate) env: Option<Cow<'a, str>>,
}

impl<'a> ContextParts<'a> {
    /// Neither tenant nor env.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the tenant, in place of `X-Tenant-Id`. Pass the text unchanged: the layer refuses a text that
    /// is not a [`TenantId`](crate::TenantId). With `None`, the header names the tenant.
    #[must_use]
    pub fn tenant(mut self, name: Option<impl Into<Cow<'a, str>>>) -> Self {
        self.tenant = name.map(Into::into);
        self
    }

    /// Sets the env, in place of `X-Env`. It may be an alias. The layer refuses an env that is not served.
    /// With `None`, the header names the env.
    #[must_use]
    pub fn env(mut self, name: Option<impl Into<Cow<'a, str>>>) -> Self {
        self.env = name.map(Into::into);
        self
    }

    /// Removes tenant and env from the query.
    pub(crate) fn take(uri: &mut Uri) -> Result<Self, Rejection> {
        let mut take = |name| {
            query::take(uri, name).map_err(|_| (name, "was sent more than once. Send it once"))
        };
        let (tenant, env) = (take("tenant"), take("env"));
        let refuse = |(name, why)| invalid(&format!("The query parameter '{name}'"), why);
        Ok(Self::new().tenant(tenant.map_err(refuse)?).env(env.map_err(refuse)?))
    }
}

/// The application's closure that reads tenant and env from a request.
#[derive(Clone)]
pub(crate) struct ContextReader(
    Arc<dyn for<'a> Fn(RequestHead<'a>) -> ContextParts<'a> + Send + Sync>,
);

impl ContextReader {
    pub(crate) fn new(
        read: impl for<'a> Fn(RequestHead<'a>) -> ContextParts<'a> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(read))
    }

    pub(crate) fn read<'a>(&self, head: RequestHead<'a>) -> ContextParts<'a> {
        (self.0)(head)
    }
}

impl fmt::Debug for ContextReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextReader").finish_non_exhaustive()
    }
}
