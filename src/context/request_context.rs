//! The request context, and how it is read from a request.

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

/// What the request claims. It proves nothing: only [`TenantScope`](crate::TenantScope) does.
#[derive(Clone, Debug)]
pub struct RequestContext {
    tenant: TenantId,
    env: Env,
    request_id: RequestId,
    origin: Option<Arc<str>>,
    envs: Envs,
}
impl RequestContext {
    /// Reads tenant and env from a request whose id is known. `sent` comes from the query or a ticket.
    /// `placed` comes from the application's closure.
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

    /// The env that the request names, aliases resolved.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The id of the request: the one that the client or a gateway sent, or a generated one if none was
    /// sent that can be taken.
    #[must_use]
    pub fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// The origin of the page that made the request, if the request has an `Origin` header. It is written
    /// as browsers write it: in lower case and without the default port. If the header is repeated or
    /// malformed, it is `null`. Never compare `null` with `null`: any page can have it.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Whether `name` is the name of this request's env, or an alias of it.
    pub(crate) fn is_env(&self, name: &str) -> bool {
        // The comparison by name is the common case, and needs no look-up.
        name == self.env.as_str() || self.envs.resolve(name) == Some(&self.env)
    }
}
/// One value out of two: what the client says, and what the application reads from the request. Each
/// comes with its name for a refusal. If there are both, they must be equal: a front end may send its
/// headers with every request.
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
            "(or the query or a ticket in its place) differs from what the rest of the request names. \
             Leave it out, or send the same",
        )),
        (said, placed) => Ok(said.or(placed)),
    }
}
