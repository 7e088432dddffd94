//! What a verified token says, read strictly.

use super::{JwtConfigError, TokenError};
use crate::{
    auth::AuthContext,
    clock::from_unix,
    id::{ActorType, Subject},
};
use serde_json::Value;
use std::time::{Duration, SystemTime};

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
    subject: String,
    audience: String,
    tenant: String,
    tenants: String,
    env: String,
    envs: String,
    roles: String,
    scopes: String,
    actor_type: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            subject: "/sub".into(),
            audience: "/aud".into(),
            tenant: "/tenant_id".into(),
            tenants: "/tenant_ids".into(),
            env: "/env".into(),
            envs: "/envs".into(),
            roles: "/roles".into(),
            scopes: "/scope".into(),
            actor_type: "/actor_type".into(),
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
                    self.$name = pointer.into();
                    self
                }
            )*

            pub(super) fn check(&self) -> Result<(), JwtConfigError> {
                for pointer in [$(&self.$name),*] {
                    if !pointer.starts_with('/') {
                        return Err(JwtConfigError::ClaimName(pointer.clone()));
                    }
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
    pub(super) required: Vec<(String, String)>,
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
        match self.required.iter().find(|(pointer, _)| !pointer.starts_with('/')) {
            Some((pointer, _)) => Err(JwtConfigError::ClaimName(pointer.clone())),
            None => Ok(()),
        }
    }

    /// Holds the claims of a token against the rules at the time `now`.
    ///
    /// Expiry comes last, so that only an otherwise good token is told that it expired.
    pub(super) fn check(
        &self,
        claims: &Value,
        is_access_token: bool,
        now: SystemTime,
    ) -> Result<Checked, TokenError> {
        self.check_issuer(claims)?;
        let audiences = self.check_audience(claims)?;
        if self.only_access_tokens {
            check_access_token(claims, is_access_token)?;
        }
        for (pointer, wanted) in &self.required {
            if string(claims, pointer)? != Some(wanted) {
                return Err(TokenError::Claim(
                    "a claim that is required here is not as it must be",
                ));
            }
        }
        let subject = string(claims, &self.names.subject)?
            .ok_or(TokenError::Claim("the subject is missing"))?;
        let subject =
            Subject::new(subject).map_err(|_| TokenError::Claim("the subject is malformed"))?;
        let issuer = string(claims, "/iss")?;
        let only = |named: Vec<String>, bound: &Option<Vec<String>>, what: &'static str| {
            let Some(bound) = bound else { return named };
            let (bound, beyond): (Vec<_>, Vec<_>) =
                named.into_iter().partition(|name| bound.contains(name));
            if !beyond.is_empty() {
                tracing::warn!(
                    issuer,
                    what,
                    ?beyond,
                    "a token claims what its issuer is not bound to; that proves nothing"
                );
            }
            bound
        };
        let tenants = one_or_many(claims, &self.names.tenant, &self.names.tenants)?;
        let envs = one_or_many(claims, &self.names.env, &self.names.envs)?;
        let actor_type = string(claims, &self.names.actor_type)?
            .map(ActorType::new)
            .transpose()
            .map_err(|_| TokenError::Claim("the actor type is malformed"))?;
        let issued_at = numeric_date(claims, "iat")?;
        let not_before = numeric_date(claims, "nbf")?.max(issued_at);
        let expires_at = self.check_times(claims, issued_at, now)?;

        let mut auth = AuthContext::new(subject, expires_at)
            .with_leeway(self.leeway)
            .with_audiences(audiences)
            .with_access_token(is_access_token)
            .with_tenants(only(tenants, &self.tenants, "tenants"))
            .with_envs(only(envs, &self.envs, "envs"))
            .with_roles(strings(claims, &self.names.roles)?)
            .with_scopes(several(claims, &self.names.scopes, |all| {
                all.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
            })?);
        if let Some(issuer) = issuer {
            auth = auth.with_issuer(issuer);
        }
        if let Some(time) = issued_at {
            auth = auth.with_issued_at(time);
        }
        if let Some(actor_type) = actor_type {
            auth = auth.with_actor_type(actor_type);
        }
        Ok(Checked { auth, not_before })
    }

    /// RFC 7519 section 4.1.1: one string, compared byte for byte.
    fn check_issuer(&self, claims: &Value) -> Result<(), TokenError> {
        match (claims.get("iss"), &self.issuer) {
            (None, Some(_)) => Err(TokenError::Claim("`iss` is missing")),
            (Some(Value::String(iss)), Some(issuer)) if iss == issuer => Ok(()),
            (None | Some(Value::String(_)), None) => Ok(()),
            (Some(iss), _) => {
                Err(TokenError::unexpected("`iss` is not the issuer trusted here", iss))
            }
        }
    }

    /// RFC 7519 section 4.1.3: one string or several; a token that names an audience is refused
    /// by whoever does not know itself by that name, also where none is configured.
    fn check_audience(&self, claims: &Value) -> Result<Vec<String>, TokenError> {
        if claims.pointer(&self.names.audience).is_none() {
            return if self.audiences.is_empty() {
                Ok(Vec::new())
            } else {
                Err(TokenError::Claim("the audience is missing"))
            };
        }
        let named = several(claims, &self.names.audience, |one| vec![one.to_owned()])?;
        if self.audiences.is_empty() {
            Err(TokenError::Claim("an audience is named, but none is configured here"))
        } else if named.iter().any(|aud| self.audiences.contains(aud)) {
            Ok(named)
        } else {
            Err(TokenError::unexpected("the audience is not this service", &named.into()))
        }
    }

    /// RFC 7519 sections 4.1.4 to 4.1.6. Gives the time of expiry.
    fn check_times(
        &self,
        claims: &Value,
        issued_at: Option<SystemTime>,
        now: SystemTime,
    ) -> Result<SystemTime, TokenError> {
        let later = |time: SystemTime| time.checked_add(self.leeway).unwrap_or(time);
        if let Some(not_before) = numeric_date(claims, "nbf")?
            && later(now) < not_before
        {
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
fn numeric_date(claims: &Value, name: &'static str) -> Result<Option<SystemTime>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = match (value.as_u64(), value.as_f64()) {
        (Some(whole), _) => whole,
        // The cast saturates.
        (None, Some(fraction)) if fraction >= 0.0 => fraction as u64,
        _ => return Err(TokenError::Type(format!("/{name}"))),
    };
    Ok(Some(from_unix(seconds)))
}

fn string<'a>(claims: &'a Value, pointer: &str) -> Result<Option<&'a str>, TokenError> {
    match claims.pointer(pointer) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(|| TokenError::Type(pointer.into())),
    }
}

fn strings(claims: &Value, pointer: &str) -> Result<Vec<String>, TokenError> {
    let Some(value) = claims.pointer(pointer) else { return Ok(Vec::new()) };
    let wrong = || TokenError::Type(pointer.into());
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(wrong);
    value.as_array().ok_or_else(wrong)?.iter().map(text).collect()
}

/// One string, or an array of strings.
fn several(
    claims: &Value,
    pointer: &str,
    one: impl Fn(&str) -> Vec<String>,
) -> Result<Vec<String>, TokenError> {
    match claims.pointer(pointer) {
        Some(Value::String(text)) => Ok(one(text)),
        _ => strings(claims, pointer),
    }
}

/// RFC 9068 section 2.2: what every access token in the form of a JWT has.
fn check_access_token(claims: &Value, is_access_token: bool) -> Result<(), TokenError> {
    if !is_access_token {
        return Err(TokenError::Header("its `typ` is not `at+jwt`"));
    }
    for name in ["iss", "sub", "client_id", "jti"] {
        if !claims.get(name).is_some_and(Value::is_string) {
            return Err(TokenError::Claim("a claim of RFC 9068 is missing"));
        }
    }
    if ["aud", "iat", "exp"].iter().all(|name| claims.get(*name).is_some()) {
        Ok(())
    } else {
        Err(TokenError::Claim("a claim of RFC 9068 is missing"))
    }
}

fn one_or_many(claims: &Value, one: &str, many: &str) -> Result<Vec<String>, TokenError> {
    let mut all = strings(claims, many)?;
    all.extend(string(claims, one)?.map(str::to_owned));
    Ok(all)
}
