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
/// The defaults are `/sub`, `/tenant_id`, `/tenant_ids`, `/env`, `/envs`, `/roles` and
/// `/actor_type`. A claim that is a URL has its `/` written `~1`:
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
    tenant: String,
    tenants: String,
    env: String,
    envs: String,
    roles: String,
    actor_type: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            subject: "/sub".into(),
            tenant: "/tenant_id".into(),
            tenants: "/tenant_ids".into(),
            env: "/env".into(),
            envs: "/envs".into(),
            roles: "/roles".into(),
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
}

impl Rules {
    /// Holds `claims` against the rules at the time `now`.
    ///
    /// Expiry comes last, so that only an otherwise good token is told that it expired.
    pub(super) fn check(&self, claims: &Value, now: SystemTime) -> Result<AuthContext, TokenError> {
        self.check_issuer(claims)?;
        self.check_audience(claims)?;
        let subject = string(claims, &self.names.subject)?
            .ok_or(TokenError::Claim("the subject is missing"))?;
        let subject =
            Subject::new(subject).map_err(|_| TokenError::Claim("the subject is malformed"))?;
        let tenants = one_or_many(claims, &self.names.tenant, &self.names.tenants)?;
        let envs = one_or_many(claims, &self.names.env, &self.names.envs)?;
        let roles = strings(claims, &self.names.roles)?;
        let actor_type = string(claims, &self.names.actor_type)?
            .map(ActorType::new)
            .transpose()
            .map_err(|_| TokenError::Claim("the actor type is malformed"))?;
        let expires_at = self.check_times(claims, now)?;

        let auth = AuthContext::new(subject, expires_at)
            .with_leeway(self.leeway)
            .with_tenants(tenants)
            .with_envs(envs)
            .with_roles(roles);
        Ok(match actor_type {
            Some(actor_type) => auth.with_actor_type(actor_type),
            None => auth,
        })
    }

    /// RFC 7519 section 4.1.1: one string, compared byte for byte.
    fn check_issuer(&self, claims: &Value) -> Result<(), TokenError> {
        match (claims.get("iss"), &self.issuer) {
            (None, Some(_)) => Err(TokenError::Claim("`iss` is missing")),
            (Some(Value::String(iss)), Some(issuer)) if iss == issuer => Ok(()),
            (None | Some(Value::String(_)), None) => Ok(()),
            (Some(_), _) => Err(TokenError::Claim("`iss` is not the issuer trusted here")),
        }
    }

    /// RFC 7519 section 4.1.3: one string or several; a token that names an audience is refused
    /// by whoever does not know itself by that name, also where none is configured.
    fn check_audience(&self, claims: &Value) -> Result<(), TokenError> {
        let ours = |aud: &str| self.audiences.iter().any(|audience| audience == aud);
        let named =
            match claims.get("aud") {
                None if self.audiences.is_empty() => return Ok(()),
                None => return Err(TokenError::Claim("`aud` is missing")),
                Some(Value::String(aud)) => vec![aud.as_str()],
                Some(Value::Array(values)) => values
                    .iter()
                    .map(Value::as_str)
                    .collect::<Option<_>>()
                    .ok_or(TokenError::Claim("`aud` holds something else than strings"))?,
                Some(_) => return Err(TokenError::Claim("`aud` is neither string nor array")),
            };
        if self.audiences.is_empty() {
            return Err(TokenError::Claim("`aud` is present, but no audience is configured here"));
        }
        if named.into_iter().any(ours) {
            Ok(())
        } else {
            Err(TokenError::Claim("`aud` does not name this service"))
        }
    }

    /// RFC 7519 sections 4.1.4 to 4.1.6. Gives the time of expiry.
    fn check_times(&self, claims: &Value, now: SystemTime) -> Result<SystemTime, TokenError> {
        let later = |time: SystemTime| time.checked_add(self.leeway).unwrap_or(time);
        if let Some(not_before) = numeric_date(claims, "nbf")?
            && later(now) < not_before
        {
            return Err(TokenError::Claim("`nbf` is in the future"));
        }
        if let Some(issued_at) = numeric_date(claims, "iat")?
            && later(now) < issued_at
        {
            return Err(TokenError::Claim("`iat` is in the future"));
        }
        let expires_at =
            numeric_date(claims, "exp")?.ok_or(TokenError::Claim("`exp` is missing"))?;
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

fn one_or_many(claims: &Value, one: &str, many: &str) -> Result<Vec<String>, TokenError> {
    let mut all = strings(claims, many)?;
    all.extend(string(claims, one)?.map(str::to_owned));
    Ok(all)
}
