//! Issuers with rotating keys, which the command line names.

use std::{net::IpAddr, str::FromStr};
use tower_tenancy::{
    BoxError, Env, TenantId,
    auth::{HttpClient, JwksUrl, JwtVerifier, JwtVerifierBuilder, KeySet},
};

/// The tenants that an issuer or a key may speak for: `T1|T2`, or `*` for any.
#[derive(Clone)]
pub(crate) enum Tenants {
    Any,
    Only(Vec<String>),
}

impl FromStr for Tenants {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        several(text, |name| TenantId::new(name).is_ok()).map(Self::Only)
    }
}

impl Tenants {
    pub(crate) fn of(&self, builder: JwtVerifierBuilder) -> JwtVerifierBuilder {
        match self {
            Self::Any => builder.any_tenant(),
            Self::Only(tenants) => builder.tenants(tenants),
        }
    }
}

/// `issuer=ISS,jwks=URL,audience=AUD,tenants=T1|T2,envs=E1|E2`; the last two are optional.
#[derive(Clone)]
pub(crate) struct TrustedIssuer {
    issuer: String,
    jwks: String,
    audience: String,
    tenants: Option<Tenants>,
    envs: Option<Vec<String>>,
}

impl FromStr for TrustedIssuer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut issuer, mut jwks, mut audience) = (None, None, None);
        let (mut tenants, mut envs) = (None, None);
        for part in text.split(',') {
            let (name, value) =
                part.split_once('=').ok_or(format!("`{part}` is not NAME=VALUE"))?;
            let slot = match name.trim() {
                "issuer" => &mut issuer,
                "jwks" => &mut jwks,
                "audience" => &mut audience,
                "tenants" => &mut tenants,
                "envs" => &mut envs,
                other => {
                    return Err(format!(
                        "`{other}` is unknown: use issuer, jwks, audience, tenants or envs"
                    ));
                }
            };
            if value.is_empty() || slot.replace(value.to_owned()).is_some() {
                return Err(format!("`{name}` must be given once, with a value"));
            }
        }
        let needed = |value: Option<String>, name| value.ok_or(format!("`{name}` is missing"));
        let jwks = needed(jwks, "jwks")?;
        if !jwks.starts_with("https://") && !is_loopback(&jwks) {
            return Err("`jwks` must be https; plain http is accepted on loopback only".to_owned());
        }
        Ok(Self {
            issuer: needed(issuer, "issuer")?,
            jwks,
            audience: needed(audience, "audience")?,
            tenants: tenants.map(|tenants: String| tenants.parse()).transpose()?,
            envs: envs
                .map(|envs: String| several(&envs, |name| Env::new(name).is_ok()))
                .transpose()?,
        })
    }
}

/// Splits `A|B` into names.
fn several(names: &str, is_good: impl Fn(&str) -> bool) -> Result<Vec<String>, String> {
    match names.split('|').find(|name| !is_good(name)) {
        Some(bad) => Err(format!("`{bad}` in `{names}` is not a valid name")),
        None => Ok(names.split('|').map(str::to_owned).collect()),
    }
}

fn is_loopback(url: &str) -> bool {
    let uri: Option<http::Uri> = url.parse().ok();
    let host =
        uri.as_ref().filter(|uri| uri.scheme_str() == Some("http")).and_then(http::Uri::host);
    host.is_some_and(|host| {
        let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    })
}

impl TrustedIssuer {
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Starts to fetch the keys of the issuer.
    pub(crate) fn keys(&self) -> Result<KeySet, BoxError> {
        let source = JwksUrl::new(&self.jwks, HttpClient::new()?);
        let source = if is_loopback(&self.jwks) { source.allow_http() } else { source };
        Ok(KeySet::builder(source).start()?)
    }

    /// Whether the command line names the tenants of the issuer.
    pub(crate) fn names_tenants(&self) -> bool {
        self.tenants.is_some()
    }

    /// Makes the verifier of the issuer's tokens. An issuer without `tenants=` may speak for any tenant, because it
    /// is the only one that is trusted.
    pub(crate) fn verifier(
        &self,
        builder: JwtVerifierBuilder,
        keys: KeySet,
    ) -> Result<JwtVerifier, BoxError> {
        let mut builder = builder.key_set(keys).issuer(&self.issuer).audience(&self.audience);
        builder = self.tenants.as_ref().unwrap_or(&Tenants::Any).of(builder);
        if let Some(envs) = &self.envs {
            builder = builder.envs(envs);
        }
        Ok(builder.build()?)
    }
}
