//! What the request claims: its tenant, its env and its id.

use crate::{
    head::RequestHead,
    id::{Env, InvalidId, RequestId, TenantId},
    query,
    rejection::{Rejection, RejectionKind},
};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Uri};
use std::{
    borrow::Cow,
    fmt::{self, Display},
    sync::Arc,
};

/// Names the tenant. Exactly one, unless the application reads it from elsewhere.
pub const X_TENANT_ID: HeaderName = HeaderName::from_static("x-tenant-id");
/// Names the env. Exactly one, unless the application reads it from elsewhere, or serves
/// [one env alone](Envs::only).
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
pub struct Envs(Arc<Table>);

#[derive(Clone, Debug, Default)]
struct Table {
    /// What an env goes by, and the env. One that is served goes by its own name as well.
    names: Vec<(Env, Env)>,
    /// What a request names that names none.
    if_absent: Option<Env>,
}

const DEFAULT_ALIASES: [(&str, &str); 3] =
    [("development", "dev"), ("stage", "staging"), ("production", "prod")];

impl Envs {
    /// Serves `names`. The default aliases of those among them stay.
    ///
    /// # Errors
    ///
    /// A name that is not an [`Env`].
    pub fn new<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, InvalidId> {
        let mut table = Table::default();
        for name in names {
            let env = Env::new(name)?;
            table.names.push((env.clone(), env));
        }
        let mut envs = Self(Arc::new(table));
        for (alias, name) in DEFAULT_ALIASES {
            if envs.resolve(name).is_some() && envs.resolve(alias).is_none() {
                envs = envs.alias(alias, name)?;
            }
        }
        Ok(envs)
    }

    /// Serves this env alone, and takes it for named where a request has no `X-Env`. The default aliases
    /// of the env stay.
    ///
    /// A request may still name it. One that names another env, an empty one or two of them is refused,
    /// and the token must prove the env all the same.
    ///
    /// ```
    /// use tower_tenancy::{Envs, RequireTenantScope};
    ///
    /// # fn layer(verifier: tower_tenancy::auth::JwtVerifier) -> Result<(), tower_tenancy::BoxError> {
    /// let layer = RequireTenantScope::new(verifier).envs(Envs::only("prod")?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// A name that is not an [`Env`].
    pub fn only(name: impl AsRef<str>) -> Result<Self, InvalidId> {
        let env = Env::new(name)?;
        let mut envs = Self::new([env.as_str()])?;
        Arc::make_mut(&mut envs.0).if_absent = Some(env);
        Ok(envs)
    }

    /// Takes `alias` for `name` as well. An alias of an env that is not served means nothing.
    ///
    /// # Errors
    ///
    /// A name that is not an [`Env`].
    pub fn alias(mut self, alias: &str, name: &str) -> Result<Self, InvalidId> {
        let table = &mut Arc::make_mut(&mut self.0).names;
        // The last word on an alias counts; a served env keeps its own name.
        table.retain(|(known, env)| known.as_str() != alias || known == env);
        table.push((Env::new(alias)?, Env::new(name)?));
        Ok(self)
    }

    /// The served env that goes by `name`.
    fn resolve(&self, name: &str) -> Option<&Env> {
        let (_, env) = self.0.names.iter().find(|(known, _)| known.as_str() == name)?;
        self.0.names.iter().any(|(known, served)| known == served && served == env).then_some(env)
    }

    /// The served env that goes by `name`, or why there is none.
    fn named(&self, name: &str) -> Result<&Env, String> {
        if name.is_empty() {
            return Err(InvalidId::Empty.to_string());
        }
        let unknown =
            || format!("names no env that is served here. Send one of: {}", self.served());
        self.resolve(name).ok_or_else(unknown)
    }

    /// The env of a request that names none, where the application says so.
    fn if_absent(&self) -> Option<&Env> {
        self.0.if_absent.as_ref()
    }

    fn served(&self) -> String {
        let names =
            self.0.names.iter().filter(|(known, env)| known == env).map(|(_, env)| env.as_str());
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

/// Tenant and env as the application reads them off a request: from its path, its host or wherever
/// else it likes.
///
/// They claim and prove nothing. See [`context_from`](crate::RequireTenantScope::context_from).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named<'a> {
    pub(crate) tenant: Option<Cow<'a, str>>,
    pub(crate) env: Option<Cow<'a, str>>,
}

impl<'a> Named<'a> {
    /// Names nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Names this tenant, if any, in the place of `X-Tenant-Id`. Give the text as it was sent: one that is
    /// no [`TenantId`] is refused, and `None` leaves it to the header.
    #[must_use]
    pub fn tenant(mut self, name: Option<impl Into<Cow<'a, str>>>) -> Self {
        self.tenant = name.map(Into::into);
        self
    }

    /// Names this env, if any, in the place of `X-Env`. An alias is taken as well; one that is not served
    /// is refused, and `None` leaves it to the header.
    #[must_use]
    pub fn env(mut self, name: Option<impl Into<Cow<'a, str>>>) -> Self {
        self.env = name.map(Into::into);
        self
    }

    /// Takes them out of the query, where the layer was told to look there.
    pub(crate) fn take(uri: &mut Uri) -> Result<Self, Rejection> {
        let mut take = |name| {
            query::take(uri, name).map_err(|_| (name, "was sent more than once. Send it once"))
        };
        let (tenant, env) = (take("tenant"), take("env"));
        let refuse = |(name, why)| invalid(&format!("The query parameter '{name}'"), why);
        Ok(Self::new().tenant(tenant.map_err(refuse)?).env(env.map_err(refuse)?))
    }
}

/// How the application reads tenant and env off a request.
#[derive(Clone)]
pub(crate) struct ReadsContext(Arc<dyn for<'a> Fn(RequestHead<'a>) -> Named<'a> + Send + Sync>);

impl ReadsContext {
    pub(crate) fn new(
        read: impl for<'a> Fn(RequestHead<'a>) -> Named<'a> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(read))
    }

    pub(crate) fn read<'a>(&self, head: RequestHead<'a>) -> Named<'a> {
        (self.0)(head)
    }
}

impl fmt::Debug for ReadsContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadsContext").finish_non_exhaustive()
    }
}

impl RequestContext {
    /// Reads tenant and env off a request whose id is known. `sent` is what the query or a ticket names,
    /// and `placed` is what the application [reads](ReadsContext) off the request.
    pub(crate) fn read(
        head: RequestHead<'_>,
        sent: &Named<'_>,
        placed: &Named<'_>,
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

/// What the header names or, in its place, the query or a ticket.
fn claimed<'a>(
    headers: &'a HeaderMap,
    header: &HeaderName,
    elsewhere: Option<&'a str>,
    name: &str,
) -> Result<Option<&'a str>, Rejection> {
    match (single(headers, header, name)?, elsewhere) {
        (Some(_), Some(_)) => {
            Err(invalid(name, "is named by the query or a ticket as well: name it once"))
        }
        (Some(value), None) => visible(value, name).map(Some),
        (None, elsewhere) => Ok(elsewhere),
    }
}

/// What the client says and what the application reads off the request, each with what to call it in a
/// refusal. Where there are both, they are the same: a front end may send its headers with every request.
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
            "(or what the query or a ticket says in its place) names another one than the rest of the \
             request does: leave it out, or send the same",
        )),
        (said, placed) => Ok(said.or(placed)),
    }
}

fn missing(name: &str) -> Rejection {
    Rejection::new(RejectionKind::ContextMissing)
        .with_detail(format!("{name} is missing. Send one X-Tenant-Id and one X-Env header."))
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
        head::RequestHead,
        id::{InvalidId, RequestId},
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
        named: Named<'_>,
    ) -> Result<RequestContext, Rejection> {
        let mut request = Request::new(());
        *request.headers_mut() = headers(pairs);
        let id = RequestId::generate();
        RequestContext::read(RequestHead::of(&request), &named, &Named::new(), id, &Envs::default())
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
    fn one_env_that_is_served_alone_may_be_left_unsaid() {
        let only = Envs::only("prod").unwrap().alias("live", "prod").unwrap();
        let read = |pairs: &[(&'static str, &str)], placed: Named<'_>, envs: &Envs| {
            let mut request = Request::new(());
            *request.headers_mut() = headers(pairs);
            request.headers_mut().insert("x-tenant-id", HeaderValue::from_static("t_alpha"));
            let (head, id) = (RequestHead::of(&request), RequestId::generate());
            let context = RequestContext::read(head, &Named::new(), &placed, id, envs);
            context.map(|context| context.env().to_string()).map_err(|refused| refused.code())
        };
        for (pairs, env) in [
            (&[][..], Ok("prod")),
            (&[("x-env", "prod")], Ok("prod")),
            (&[("x-env", "production")], Ok("prod")),
            (&[("x-env", "live")], Ok("prod")),
            (&[("x-env", "dev")], Err("context.invalid")),
            (&[("x-env", "")], Err("context.invalid")),
            (&[("x-env", " ")], Err("context.invalid")),
            (&[("x-env", "\u{e4}")], Err("context.invalid")),
            (&[("x-env", "prod"), ("x-env", "prod")], Err("context.invalid")),
        ] {
            assert_eq!(read(pairs, Named::new(), &only), env.map(str::to_owned), "{pairs:?}");
        }
        let empty = Named::new().env(Some(""));
        assert_eq!(read(&[], empty, &only), Err("context.invalid"));
        // Whoever does not say so gets nothing for nothing.
        let one = Envs::new(["prod"]).unwrap();
        assert_eq!(read(&[], Named::new(), &one), Err("context.missing"));
        assert_eq!(read(&[], Named::new(), &Envs::default()), Err("context.missing"));
        assert!(Envs::only("").is_err() && Envs::only("undefined").is_err());
    }

    #[test]
    fn what_is_said_and_what_is_read_off_the_request_agree_or_are_refused() {
        let read = |pairs: &[(&'static str, &str)], sent: Named<'_>, placed: Named<'_>| {
            let mut request = Request::new(());
            *request.headers_mut() = headers(pairs);
            let (head, id) = (RequestHead::of(&request), RequestId::generate());
            let context = RequestContext::read(head, &sent, &placed, id, &Envs::default());
            let context = context.map_err(|refused| refused.code())?;
            Ok::<_, &str>(format!("{}/{}", context.tenant(), context.env()))
        };
        let named = |tenant: &'static str, env: &'static str| {
            let some = |text: &'static str| Some(text).filter(|text| *text != "-");
            Named::new().tenant(some(tenant)).env(some(env))
        };
        let (t, e) = (("x-tenant-id", "t_a"), ("x-env", "prod"));
        for (pairs, sent, placed, outcome) in [
            (&[][..], named("-", "-"), named("t_a", "prod"), Ok("t_a/prod")),
            (&[e], named("-", "-"), named("t_a", "-"), Ok("t_a/prod")),
            (&[t], named("-", "-"), named("-", "production"), Ok("t_a/prod")),
            (&[t, e], named("-", "-"), named("t_a", "prod"), Ok("t_a/prod")),
            // The same env by another name.
            (&[t, e], named("-", "-"), named("t_a", "production"), Ok("t_a/prod")),
            (&[], named("t_a", "prod"), named("t_a", "production"), Ok("t_a/prod")),
            (&[], named("-", "-"), named("-", "prod"), Err("context.missing")),
            (&[t, e], named("-", "-"), named("t_b", "prod"), Err("context.invalid")),
            (&[t, e], named("-", "-"), named("T_A", "prod"), Err("context.invalid")),
            (&[t, e], named("-", "-"), named("t_a", "dev"), Err("context.invalid")),
            (&[], named("t_a", "prod"), named("t_b", "-"), Err("context.invalid")),
            (&[], named("t_a", "prod"), named("-", "dev"), Err("context.invalid")),
            (&[t, t, e], named("-", "-"), named("t_a", "-"), Err("context.invalid")),
            (&[("x-tenant-id", ""), e], named("-", "-"), named("t_a", "-"), Err("context.invalid")),
            (&[t, e], named("-", "-"), named("", "-"), Err("context.invalid")),
            (&[t, e], named("-", "-"), named("-", ""), Err("context.invalid")),
            (&[e], named("-", "-"), named("undefined", "-"), Err("context.invalid")),
            (&[e], named("-", "-"), named("a/b", "-"), Err("context.invalid")),
            (&[t], named("-", "-"), named("-", "qa"), Err("context.invalid")),
            // A header and the query are two names all the same.
            (&[t, e], named("t_a", "-"), named("t_a", "-"), Err("context.invalid")),
        ] {
            let told = format!("{pairs:?} {sent:?} {placed:?}");
            assert_eq!(read(pairs, sent, placed), outcome.map(str::to_owned), "{told}");
        }
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
