//! What a verified token says, read strictly.

use super::{
    JwtConfigError, TokenError,
    json::{Object, Pointer, string as as_string},
};
use crate::{
    auth::{AuthContext, Proven, Revocation},
    clock::{Clock, from_unix},
    id::{ActorType, Subject, Text},
};
use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Where the claims are, as JSON pointers (RFC 6901) into the token's payload.
///
/// The defaults are `/sub`, `/aud`, `/tenant_id`, `/tenant_ids`, `/env`, `/envs`, `/roles`, `/scope`
/// and `/actor_type`. A claim that is a URL has its `/` written `~1`:
///
/// ```
/// use tower_tenancy::auth::ClaimNames;
///
/// let names = ClaimNames::default()
///     .tenant("/https:~1~1example.com~1tenant")
///     .roles("/realm_access/roles");
/// ```
#[derive(Clone, Debug)]
pub struct ClaimNames {
    subject: Pointer,
    audience: Pointer,
    tenant: Pointer,
    tenants: Pointer,
    env: Pointer,
    envs: Pointer,
    roles: Pointer,
    scopes: Pointer,
    actor_type: Pointer,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            subject: Pointer::new("/sub"),
            audience: Pointer::new("/aud"),
            tenant: Pointer::new("/tenant_id"),
            tenants: Pointer::new("/tenant_ids"),
            env: Pointer::new("/env"),
            envs: Pointer::new("/envs"),
            roles: Pointer::new("/roles"),
            scopes: Pointer::new("/scope"),
            actor_type: Pointer::new("/actor_type"),
        }
    }
}

macro_rules! claim_names {
    ($($(#[$docs:meta])* $name:ident),* $(,)?) => {
        impl ClaimNames {
            $(
                $(#[$docs])*
                #[must_use]
                pub fn $name(mut self, pointer: impl Into<String>) -> Self {
                    self.$name = Pointer::new(pointer);
                    self
                }
            )*

            pub(super) fn check(&self) -> Result<(), JwtConfigError> {
                for pointer in [$(&self.$name),*] {
                    pointer.check()?;
                }
                Ok(())
            }
        }
    };
}

claim_names! {
    /// Who the caller is: a string.
    subject,
    /// Whom the token is meant for: a string or an array of strings.
    audience,
    /// The one tenant that the caller may name: a string.
    tenant,
    /// The tenants that the caller may name: an array of strings.
    tenants,
    /// The one env that the caller may name: a string.
    env,
    /// The envs that the caller may name: an array of strings.
    envs,
    /// The caller's roles: an array of strings.
    roles,
    /// What the token was issued to do: scopes in one string, separated by spaces (RFC 8693 section
    /// 4.2), or an array of strings.
    scopes,
    /// What the caller is, such as `human` or `agent`: a string.
    actor_type,
}

/// What a verifier asks of the claims.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) issuer: Option<String>,
    pub(super) audiences: Vec<String>,
    pub(super) leeway: Duration,
    pub(super) names: ClaimNames,
    /// Claims that must be these strings, by their pointers.
    pub(super) required: Vec<(Pointer, String)>,
    pub(super) only_access_tokens: bool,
    pub(super) max_lifetime: Option<Duration>,
    /// What the issuer may speak for, whatever its tokens claim. `None`: anything.
    pub(super) tenants: Option<Vec<String>>,
    pub(super) envs: Option<Vec<String>>,
}

/// What a good token says.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) auth: AuthContext,
    /// The later one of `nbf` and `iat`: before it, less the leeway, the token is refused.
    #[cfg_attr(not(feature = "token-cache"), expect(dead_code, reason = "for the cache"))]
    pub(super) not_before: Option<SystemTime>,
}

impl Rules {
    pub(super) fn check_names(&self) -> Result<(), JwtConfigError> {
        self.names.check()?;
        self.required.iter().try_for_each(|(pointer, _)| pointer.check())
    }

    /// Holds the claims of a token against the rules at the time that `clock` tells. What they prove
    /// lasts as long as `trust` in their issuer.
    ///
    /// Expiry comes last, so that only an otherwise good token is told that it expired.
    pub(super) fn check(
        &self,
        claims: &Object<'_>,
        is_access_token: bool,
        clock: &Arc<dyn Clock>,
        trust: Option<&Revocation>,
    ) -> Result<Checked, TokenError> {
        self.check_issuer(claims)?;
        let audiences = self.check_audience(claims)?;
        if self.only_access_tokens {
            check_access_token(claims, is_access_token)?;
        }
        for (pointer, wanted) in &self.required {
            if string(claims, pointer)?.as_deref() != Some(wanted) {
                return Err(TokenError::Claim(
                    "a claim that is required here is not as it must be",
                ));
            }
        }
        let subject = string(claims, &self.names.subject)?
            .ok_or(TokenError::Claim("the subject is missing"))?;
        let subject =
            Subject::new(subject).map_err(|_| TokenError::Claim("the subject is malformed"))?;
        let issuer = member(claims, "iss")?;
        let only = |named: Vec<Text>, bound: &Option<Vec<String>>, what: &'static str| {
            let Some(bound) = bound else { return named };
            let (bound, beyond): (Vec<_>, Vec<_>) =
                named.into_iter().partition(|name| bound.iter().any(|b| b == name.as_str()));
            if !beyond.is_empty() {
                tracing::warn!(
                    issuer = issuer.as_deref(),
                    what,
                    ?beyond,
                    "a token claims what its issuer is not bound to; that proves nothing"
                );
            }
            bound
        };
        let tenants = one_or_many(claims, &self.names.tenant, &self.names.tenants)?;
        let tenants = only(tenants, &self.tenants, "tenants");
        let envs = one_or_many(claims, &self.names.env, &self.names.envs)?;
        let envs = only(envs, &self.envs, "envs");
        let actor_type = string(claims, &self.names.actor_type)?
            .map(ActorType::new)
            .transpose()
            .map_err(|_| TokenError::Claim("the actor type is malformed"))?;
        let issued_at = numeric_date(claims, "iat")?;
        let begins = numeric_date(claims, "nbf")?;
        let not_before = begins.max(issued_at);
        let expires_at = self.check_times(claims, begins, issued_at, clock.now())?;

        let auth = AuthContext(Arc::new(Proven {
            subject,
            expires_at,
            leeway: self.leeway,
            issuer: issuer.map(Cow::into_owned),
            issued_at,
            audiences,
            is_access_token,
            tenants,
            envs,
            roles: strings(claims, &self.names.roles)?,
            scopes: several(claims, &self.names.scopes, |all| {
                all.split(' ').filter(|scope| !scope.is_empty()).map(Text::from).collect()
            })?,
            actor_type,
            clock: Arc::clone(clock),
            revocations: trust.cloned().into_iter().collect(),
            ticket: None,
        }));
        Ok(Checked { auth, not_before })
    }

    /// RFC 7519 section 4.1.1: one string, compared byte for byte.
    fn check_issuer(&self, claims: &Object<'_>) -> Result<(), TokenError> {
        let Some(iss) = claims.get("iss") else {
            return match self.issuer {
                None => Ok(()),
                Some(_) => Err(TokenError::Claim("`iss` is missing")),
            };
        };
        match (as_string(iss), &self.issuer) {
            (Some(_), None) => Ok(()),
            (Some(iss), Some(issuer)) if iss == *issuer => Ok(()),
            _ => Err(TokenError::unexpected("`iss` is not the issuer trusted here", iss.get())),
        }
    }

    /// RFC 7519 section 4.1.3: one string or several; a token that names an audience is refused
    /// by whoever does not know itself by that name, also where none is configured.
    fn check_audience(&self, claims: &Object<'_>) -> Result<Vec<Text>, TokenError> {
        let Some(claim) = claims.find(&self.names.audience) else {
            return if self.audiences.is_empty() {
                Ok(Vec::new())
            } else {
                Err(TokenError::Claim("the audience is missing"))
            };
        };
        let named = several(claims, &self.names.audience, |one| vec![one.into()])?;
        if self.audiences.is_empty() {
            Err(TokenError::Claim("an audience is named, but none is configured here"))
        } else if named.iter().any(|aud| self.audiences.iter().any(|ours| ours == aud.as_str())) {
            Ok(named)
        } else {
            Err(TokenError::unexpected("the audience is not this service", claim.get()))
        }
    }

    /// RFC 7519 sections 4.1.4 to 4.1.6. Gives the time of expiry.
    fn check_times(
        &self,
        claims: &Object<'_>,
        begins: Option<SystemTime>,
        issued_at: Option<SystemTime>,
        now: SystemTime,
    ) -> Result<SystemTime, TokenError> {
        let later = |time: SystemTime| time.checked_add(self.leeway).unwrap_or(time);
        if begins.is_some_and(|begins| later(now) < begins) {
            return Err(TokenError::Claim("`nbf` is in the future"));
        }
        if issued_at.is_some_and(|issued_at| later(now) < issued_at) {
            return Err(TokenError::Claim("`iat` is in the future"));
        }
        let expires_at =
            numeric_date(claims, "exp")?.ok_or(TokenError::Claim("`exp` is missing"))?;
        if let Some(longest) = self.max_lifetime {
            let issued_at = issued_at.ok_or(TokenError::Claim("`iat` is missing"))?;
            if expires_at.duration_since(issued_at).is_ok_and(|lifetime| lifetime > longest) {
                return Err(TokenError::Claim("the token lives longer than is allowed here"));
            }
        }
        if now < later(expires_at) { Ok(expires_at) } else { Err(TokenError::Expired) }
    }
}

/// RFC 7519 section 2: seconds since 1970, fractions allowed and cut off.
fn numeric_date(claims: &Object<'_>, name: &'static str) -> Result<Option<SystemTime>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let text = value.get();
    let seconds = text.parse().ok().or_else(|| {
        let fraction = serde_json::from_str::<f64>(text).ok();
        // The cast saturates.
        fraction.filter(|fraction| *fraction >= 0.0).map(|fraction| fraction as u64)
    });
    let seconds = seconds.ok_or_else(|| TokenError::Type(format!("/{name}")))?;
    Ok(Some(from_unix(seconds)))
}

impl Pointer {
    fn check(&self) -> Result<(), JwtConfigError> {
        if self.is_valid() {
            Ok(())
        } else {
            Err(JwtConfigError::ClaimName(self.as_str().to_owned()))
        }
    }
}

fn wrong_type(pointer: &Pointer) -> TokenError {
    TokenError::Type(pointer.as_str().to_owned())
}

fn member<'a>(claims: &Object<'a>, name: &str) -> Result<Option<Cow<'a, str>>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    as_string(value).map(Some).ok_or_else(|| TokenError::Type(format!("/{name}")))
}

fn string<'a>(claims: &Object<'a>, pointer: &Pointer) -> Result<Option<Cow<'a, str>>, TokenError> {
    let Some(value) = claims.find(pointer) else { return Ok(None) };
    as_string(value).map(Some).ok_or_else(|| wrong_type(pointer))
}

fn strings(claims: &Object<'_>, pointer: &Pointer) -> Result<Vec<Text>, TokenError> {
    let Some(value) = claims.find(pointer) else { return Ok(Vec::new()) };
    serde_json::from_str(value.get()).map_err(|_| wrong_type(pointer))
}

/// One string, or an array of strings.
fn several(
    claims: &Object<'_>,
    pointer: &Pointer,
    one: impl Fn(&str) -> Vec<Text>,
) -> Result<Vec<Text>, TokenError> {
    match claims.find(pointer).and_then(as_string) {
        Some(text) => Ok(one(&text)),
        None => strings(claims, pointer),
    }
}

/// RFC 9068 section 2.2: what every access token in the form of a JWT has.
fn check_access_token(claims: &Object<'_>, is_access_token: bool) -> Result<(), TokenError> {
    if !is_access_token {
        return Err(TokenError::Header("its `typ` is not `at+jwt`"));
    }
    for name in ["iss", "sub", "client_id", "jti"] {
        if claims.get(name).and_then(as_string).is_none() {
            return Err(TokenError::Claim("a claim of RFC 9068 is missing"));
        }
    }
    if ["aud", "iat", "exp"].iter().all(|name| claims.get(name).is_some()) {
        Ok(())
    } else {
        Err(TokenError::Claim("a claim of RFC 9068 is missing"))
    }
}

fn one_or_many(
    claims: &Object<'_>,
    one: &Pointer,
    many: &Pointer,
) -> Result<Vec<Text>, TokenError> {
    let mut all = strings(claims, many)?;
    all.extend(string(claims, one)?.map(|text| Text::from(&*text)));
    Ok(all)
}
