//! What the request claims: its tenant, its env and its id.

use crate::{
    id::{Env, InvalidId, RequestId, TenantId},
    origin::Head,
    query,
    rejection::{Rejection, RejectionKind},
};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Uri};
use std::{fmt::Display, sync::Arc};

/// Names the tenant. Exactly one.
pub const X_TENANT_ID: HeaderName = HeaderName::from_static("x-tenant-id");
/// Names the env. Exactly one.
pub const X_ENV: HeaderName = HeaderName::from_static("x-env");
/// Names the request; echoed on the response. What cannot be taken is replaced by a generated id, and
/// never a reason to refuse the request.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The envs that a service serves, and the other names they go by.
///
/// The default serves `dev`, `staging` and `prod`, and knows `development`, `stage` and
/// `production` as their aliases.
///
/// ```
/// use tower_tenancy::Envs;
///
/// let envs = Envs::new(["prod", "eu-prod"])?.alias("live", "prod")?;
/// # Ok::<(), tower_tenancy::id::InvalidId>(())
/// ```
#[derive(Clone, Debug)]
pub struct Envs(Arc<Vec<(Env, Env)>>);

const DEFAULT_ALIASES: [(&str, &str); 3] =
    [("development", "dev"), ("stage", "staging"), ("production", "prod")];

impl Envs {
    /// Serves `names`. The default aliases of those among them stay.
    ///
    /// # Errors
    ///
    /// A name that is not an [`Env`].
    pub fn new<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, InvalidId> {
        let mut table = Vec::new();
        for name in names {
            let env = Env::new(name)?;
            table.push((env.clone(), env));
        }
        let mut envs = Self(Arc::new(table));
        for (alias, name) in DEFAULT_ALIASES {
            if envs.resolve(name).is_some() && envs.resolve(alias).is_none() {
                envs = envs.alias(alias, name)?;
            }
        }
        Ok(envs)
    }

    /// Takes `alias` for `name` as well. An alias of an env that is not served means nothing.
    ///
    /// # Errors
    ///
    /// A name that is not an [`Env`].
    pub fn alias(mut self, alias: &str, name: &str) -> Result<Self, InvalidId> {
        let table = Arc::make_mut(&mut self.0);
        // The last word on an alias counts; a served env keeps its own name.
        table.retain(|(known, env)| known.as_str() != alias || known == env);
        table.push((Env::new(alias)?, Env::new(name)?));
        Ok(self)
    }

    /// The served env that goes by `name`.
    fn resolve(&self, name: &str) -> Option<&Env> {
        let (_, env) = self.0.iter().find(|(known, _)| known.as_str() == name)?;
        self.0.iter().any(|(known, served)| known == served && served == env).then_some(env)
    }

    fn served(&self) -> String {
        let names = self.0.iter().filter(|(known, env)| known == env).map(|(_, env)| env.as_str());
        names.collect::<Vec<_>>().join(", ")
    }
}

impl Default for Envs {
    fn default() -> Self {
        let names = ["dev", "staging", "prod"];
        // The names are constants and valid; were they not, no env would be served at all.
        Self::new(names).unwrap_or_else(|_| Self(Arc::default()))
    }
}

/// What the request claims. It proves nothing: only [`TenantScope`](crate::TenantScope) does.
#[derive(Clone, Debug)]
pub struct RequestContext {
    tenant: TenantId,
    env: Env,
    request_id: RequestId,
    origin: Option<Arc<str>>,
    envs: Envs,
}

/// Tenant and env as something else than a header names them.
#[derive(Debug, Default)]
pub(crate) struct Named {
    pub(crate) tenant: Option<String>,
    pub(crate) env: Option<String>,
}

impl Named {
    /// Takes them out of the query, where the layer was told to look there.
    pub(crate) fn take(uri: &mut Uri) -> Result<Self, Rejection> {
        let mut take = |name| {
            query::take(uri, name).map_err(|_| (name, "was sent more than once. Send it once"))
        };
        let (tenant, env) = (take("tenant"), take("env"));
        let refuse = |(name, why)| invalid(&format!("The query parameter '{name}'"), why);
        Ok(Self { tenant: tenant.map_err(refuse)?, env: env.map_err(refuse)? })
    }
}

impl RequestContext {
    /// Reads tenant and env off a request whose id is known.
    pub(crate) fn read(
        head: Head<'_>,
        named: &Named,
        request_id: RequestId,
        envs: &Envs,
    ) -> Result<Self, Rejection> {
        let headers = head.headers;
        let tenant = required(headers, &X_TENANT_ID, named.tenant.as_deref(), "X-Tenant-Id")?;
        let env = required(headers, &X_ENV, named.env.as_deref(), "X-Env")?;
        let tenant = TenantId::new(tenant).map_err(|why| invalid("X-Tenant-Id", why))?;
        if env.is_empty() {
            return Err(invalid("X-Env", InvalidId::Empty));
        }
        let env = envs.resolve(env).cloned().ok_or_else(|| {
            invalid("X-Env", format_args!("names no env served here, which are: {}", envs.served()))
        })?;
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

    /// The id of the request: the one that the client or a gateway sent, or a generated one where none
    /// was sent that can be taken.
    #[must_use]
    pub fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// The origin of the page that made the request, if it says so: as browsers write it, in lower
    /// case and without the default port. A repeated one, and what is no origin, is `null`, which is
    /// nobody's: two that are `null` are not the same.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Whether `name` is the env of this request, by its own name or an alias.
    pub(crate) fn is_env(&self, name: &str) -> bool {
        // A served env always goes by its own name.
        name == self.env.as_str() || self.envs.resolve(name) == Some(&self.env)
    }
}

/// The id of a request, and how its header stands.
#[derive(Debug)]
pub(crate) struct Identified {
    pub(crate) id: RequestId,
    /// The header's value, if that is the id. Its bytes are shared, not copied.
    pub(crate) sent: Option<HeaderValue>,
    /// Whether the request has exactly one header, and that one bears the id.
    pub(crate) stands: bool,
    /// Why what was sent is not the id.
    pub(crate) replaced: Option<Unfit>,
}

/// Why what was sent as a request id is not taken. The text does not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("it {0}")]
    Malformed(InvalidId),
    #[error("it was sent more than once, with different values")]
    Differing,
}

impl Identified {
    /// The id that the request bears: in its header or, where that is absent, in the extension of
    /// tower-http. A fresh one where there is none that can be taken.
    ///
    /// What cannot be taken is no reason to refuse the request: gateways write it, and the client
    /// behind them cannot mend it.
    pub(crate) fn of(headers: &HeaderMap, extensions: &Extensions) -> Self {
        let mut values = headers.get_all(X_REQUEST_ID).iter();
        let Some(sent) = values.next() else {
            let found = from_tower_http(extensions).map(request_id).transpose();
            return match found {
                Ok(Some(id)) => Self { id, sent: None, stands: false, replaced: None },
                Ok(None) => Self::fresh(None),
                Err(unfit) => Self::fresh(Some(unfit)),
            };
        };
        let (mut stands, mut differs) = (true, false);
        for other in values {
            stands = false;
            differs |= other != sent;
        }
        match if differs { Err(Unfit::Differing) } else { request_id(sent) } {
            Ok(id) => Self { id, sent: Some(sent.clone()), stands, replaced: None },
            Err(unfit) => Self::fresh(Some(unfit)),
        }
    }

    fn fresh(replaced: Option<Unfit>) -> Self {
        Self { id: RequestId::generate(), sent: None, stands: false, replaced }
    }
}

fn request_id(value: &HeaderValue) -> Result<RequestId, Unfit> {
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| RequestId::CHARSET);
    text.and_then(RequestId::new).map_err(Unfit::Malformed)
}

#[cfg(feature = "tower-http")]
fn from_tower_http(extensions: &Extensions) -> Option<&HeaderValue> {
    let set = extensions.get::<tower_http::request_id::RequestId>();
    set.map(tower_http::request_id::RequestId::header_value)
}

#[cfg(not(feature = "tower-http"))]
fn from_tower_http(_: &Extensions) -> Option<&HeaderValue> {
    None
}

fn required<'a>(
    headers: &'a HeaderMap,
    header: &HeaderName,
    elsewhere: Option<&'a str>,
    name: &str,
) -> Result<&'a str, Rejection> {
    match (single(headers, header, name)?, elsewhere) {
        (Some(_), Some(_)) => {
            Err(invalid(name, "is named by the query or a ticket as well: name it once"))
        }
        (Some(value), None) => visible(value, name),
        (None, Some(value)) => Ok(value),
        (None, None) => Err(Rejection::new(RejectionKind::ContextMissing)
            .with_detail(format!("{name} is missing. Send one X-Tenant-Id and one X-Env header."))),
    }
}

/// The one value of a header. Two are refused, not chosen from.
fn single<'a>(
    headers: &'a HeaderMap,
    header: &HeaderName,
    name: &str,
) -> Result<Option<&'a HeaderValue>, Rejection> {
    let mut values = headers.get_all(header).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid(name, "was sent more than once. Send it once"));
    }
    Ok(Some(value))
}

fn visible<'a>(value: &'a HeaderValue, name: &str) -> Result<&'a str, Rejection> {
    value.to_str().map_err(|_| invalid(name, "is not visible ASCII"))
}

fn invalid(name: &str, why: impl Display) -> Rejection {
    Rejection::new(RejectionKind::ContextInvalid).with_detail(format!("{name} {why}."))
}

#[cfg(test)]
mod tests {
    use super::{Envs, Identified, Named, RequestContext, Unfit};
    use crate::{
        id::{InvalidId, RequestId},
        origin::Head,
        rejection::Rejection,
    };
    use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    }

    fn read(pairs: &[(&'static str, &str)]) -> Result<RequestContext, Rejection> {
        read_with(pairs, Named::default())
    }

    fn read_with(
        pairs: &[(&'static str, &str)],
        named: Named,
    ) -> Result<RequestContext, Rejection> {
        let mut request = Request::new(());
        *request.headers_mut() = headers(pairs);
        let id = RequestId::generate();
        RequestContext::read(Head::of(&request), &named, id, &Envs::default())
    }

    #[test]
    fn the_query_names_what_no_header_does_and_never_both() {
        let named = |uri: &str| Named::take(&mut uri.parse().unwrap());
        let both = "/?tenant=t_alpha&env=production";
        let context = read_with(&[], named(both).unwrap()).unwrap();
        assert_eq!((context.tenant().as_str(), context.env().as_str()), ("t_alpha", "prod"));
        let mixed = read_with(&[("x-env", "prod")], named("/?tenant=t_alpha").unwrap());
        assert_eq!(mixed.unwrap().tenant().as_str(), "t_alpha");
        let twice = read_with(&[("x-env", "prod")], named(both).unwrap());
        assert_eq!(twice.unwrap_err().code(), "context.invalid");
        assert_eq!(named("/?tenant=a&tenant=a").unwrap_err().code(), "context.invalid");
        let bad = read_with(&[], named("/?tenant=t_unknown&env=prod").unwrap());
        assert_eq!(bad.unwrap_err().code(), "context.invalid");
    }

    #[test]
    fn tenant_and_env_are_read_and_aliases_resolved() {
        let context = read(&[("x-tenant-id", "t_alpha"), ("x-env", "production")]).unwrap();
        assert_eq!(context.tenant().as_str(), "t_alpha");
        assert_eq!(context.env().as_str(), "prod");
        assert!(context.is_env("prod") && context.is_env("production") && !context.is_env("dev"));
    }

    #[test]
    fn anything_but_one_good_tenant_and_env_is_refused() {
        let t = ("x-tenant-id", "t_alpha");
        let e = ("x-env", "prod");
        for (pairs, code) in [
            (vec![], "context.missing"),
            (vec![t], "context.missing"),
            (vec![e], "context.missing"),
            (vec![t, t, e], "context.invalid"),
            (vec![t, e, e], "context.invalid"),
            (vec![t, ("x-env", "PROD")], "context.invalid"),
            (vec![t, ("x-env", "qa")], "context.invalid"),
            (vec![t, ("x-env", "")], "context.invalid"),
            (vec![("x-tenant-id", ""), e], "context.invalid"),
            (vec![("x-tenant-id", "T_Unknown"), e], "context.invalid"),
            (vec![("x-tenant-id", "a, b"), e], "context.invalid"),
            (vec![("x-tenant-id", "\u{e4}"), e], "context.invalid"),
        ] {
            assert_eq!(read(&pairs).unwrap_err().code(), code, "{pairs:?}");
        }
    }

    #[test]
    fn served_envs_replace_the_default_ones_and_keep_their_aliases() {
        let envs = Envs::new(["qa", "prod"]).unwrap().alias("test", "qa").unwrap();
        let resolve = |name| envs.resolve(name).map(ToString::to_string);
        assert_eq!(resolve("test").as_deref(), Some("qa"));
        assert_eq!(resolve("production").as_deref(), Some("prod"));
        assert_eq!(resolve("dev"), None);
        let moved = Envs::new(["qa", "prod"]).unwrap().alias("production", "qa").unwrap();
        assert_eq!(moved.resolve("production").unwrap().as_str(), "qa");
        let stray = Envs::new(["qa"]).unwrap().alias("x", "prod").unwrap();
        assert!(stray.resolve("x").is_none() && stray.resolve("prod").is_none());
    }

    #[test]
    fn a_request_id_is_taken_as_it_is_or_replaced_and_never_refused() {
        let of = |values: &[&str]| {
            let pairs: Vec<_> = values.iter().map(|value| ("x-request-id", *value)).collect();
            Identified::of(&headers(&pairs), &Extensions::new())
        };
        for (values, stands) in [
            (&["7b3bf470-9456-11e8-9eb6-529269fb1459#1"][..], true),
            (&["Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8"], true),
            (&["a,b"], true),
            (&["same", "same"], false),
            (&["same", "same", "same"], false),
        ] {
            let found = of(values);
            assert_eq!(found.id.as_str(), values[0]);
            assert_eq!(found.sent.unwrap(), values[0]);
            assert_eq!((found.stands, found.replaced), (stands, None), "{values:?}");
        }
        let too_long = "x".repeat(129);
        let malformed = |why| Some(Unfit::Malformed(why));
        for (values, why) in [
            (&[][..], None),
            (&[""], malformed(InvalidId::Empty)),
            (&[&too_long], malformed(InvalidId::TooLong { max: 128 })),
            (&["a b"], malformed(RequestId::CHARSET)),
            (&["a\"b"], malformed(RequestId::CHARSET)),
            (&["\u{e4}"], malformed(RequestId::CHARSET)),
            (&["T_UNKNOWN"], malformed(InvalidId::Placeholder)),
            (&["undefined"], malformed(InvalidId::Placeholder)),
            (&["a", "b"], Some(Unfit::Differing)),
            (&["a", ""], Some(Unfit::Differing)),
            (&["a", "a", "A"], Some(Unfit::Differing)),
            (&["a b", "a b"], malformed(RequestId::CHARSET)),
        ] {
            let (found, again) = (of(values), of(values));
            assert_ne!(found.id, again.id, "fresh: {values:?}");
            assert!(found.id.as_str().len() == 36 && found.sent.is_none() && !found.stands);
            assert_eq!(found.replaced, why, "{values:?}");
        }
    }

    #[test]
    fn a_request_id_that_is_no_text_is_replaced() {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_bytes(b"\xff\xfe").unwrap());
        let found = Identified::of(&headers, &Extensions::new());
        assert_eq!(found.replaced, Some(Unfit::Malformed(RequestId::CHARSET)));
    }
}
