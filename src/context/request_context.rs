//! The request context.

use super::{
    envs::Envs,
    headers::{X_ENV, X_TENANT_ID, claimed, invalid, missing},
    parts::ContextParts,
};
use crate::{
    id::{Env, RequestId, TenantId},
    rejection::Rejection,
    request::RequestHead,
};
use std::sync::Arc;

/// The tenant, env and id that the request claims. It proves nothing: see
/// [`TenantScope`](crate::TenantScope).
#[derive(Clone, Debug)]
pub struct RequestContext {
    tenant: TenantId,
    env: Env,
    request_id: RequestId,
    origin: Option<Arc<str>>,
    envs: Envs,
}

impl RequestContext {
    /// Reads tenant and env from a request. `sent` comes from the query or a ticket. `placed` comes from
    /// the application's closure.
    pub(crate) fn read(
        head: RequestHead<'_>,
        sent: &ContextParts<'_>,
        placed: &ContextParts<'_>,
        request_id: RequestId,
        envs: &Envs,
    ) -> Result<Self, Rejection> {
        let headers = head.headers;
        let name = "X-Tenant-Id";
        let said = claimed(headers, &X_TENANT_ID, sent.tenant.as_deref(), name)?;
        let placed_tenant = placed.tenant.as_deref();
        let tenant = agreed((name, said), ("The tenant that the request names", placed_tenant), {
            |text, name| TenantId::new(text).map_err(|why| invalid(name, why))
        });
        let tenant = tenant?.ok_or_else(|| missing(name))?;

        let name = "X-Env";
        let said = claimed(headers, &X_ENV, sent.env.as_deref(), name)?;
        let placed_env = placed.env.as_deref();
        let env = agreed((name, said), ("The env that the request names", placed_env), {
            |text, name| envs.named(text).map_err(|why| invalid(name, why))
        });
        let env = env?.or_else(|| envs.if_absent()).ok_or_else(|| missing(name))?.clone();

        let origin = head.origin_text().map(Into::into);
        Ok(Self { tenant, env, request_id, origin, envs: envs.clone() })
    }

    /// The tenant that the request names.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The env that the request names, with aliases resolved.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The id of the request. The client or a gateway sent it, or the layer generated it if the request
    /// had no valid id.
    #[must_use]
    pub fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// The origin of the page that made the request, if the request has an `Origin` header. It has the
    /// spelling of browsers: lower case, without the default port. If the header is repeated or malformed,
    /// it is `null`. Any page can have the origin `null`, so never treat two `null` origins as equal.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Whether `name` is this request's env or an alias of it.
    pub(crate) fn is_env(&self, name: &str) -> bool {
        // Usually the names are equal, and this needs no look-up.
        name == self.env.as_str() || self.envs.resolve(name) == Some(&self.env)
    }
}

/// Merges the value that the client sent with the value that the application read from the request. If
/// both exist, they must be equal: a front end may send its headers with every request. Each value comes
/// with its name, for the text of a refusal.
fn agreed<T: PartialEq>(
    (name, said): (&str, Option<&str>),
    (place, placed): (&str, Option<&str>),
    read: impl Fn(&str, &str) -> Result<T, Rejection>,
) -> Result<Option<T>, Rejection> {
    let said = said.map(|text| read(text, name)).transpose()?;
    let placed = placed.map(|text| read(text, place)).transpose()?;
    match (said, placed) {
        (Some(said), Some(placed)) if said != placed => Err(invalid(
            name,
            "(or the query parameter or ticket in its place) differs from the value in another part of the \
             request. Leave it out, or send the same value",
        )),
        (said, placed) => Ok(said.or(placed)),
    }
}
