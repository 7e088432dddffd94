//! The rules of a verifier for the claims of a token.

use super::{
    bounds::Bounds,
    claim_names::ClaimNames,
    claim_place::Spelling,
    claim_values::{bad_claim, find, log_malformed, needed, numeric_date, string},
    config_error::JwtConfigError,
    json::Pointer,
    token_error::{NameKind, TokenError},
};
use crate::{
    auth::{
        context::{AuthContext, Proven},
        policy::{Policy, Unmet},
        revocation::Revocation,
    },
    clock::Clock,
    id::{ActorType, Subject, Text},
    json::Object,
};
use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// The rules of a verifier for the claims of a token.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) issuer: Option<String>,
    /// The requirements that can also be set for a route.
    pub(super) policy: Policy,
    pub(super) leeway: Duration,
    /// The longest token that is accepted, in bytes.
    pub(super) max_token_bytes: usize,
    /// Whether the application checks that the sender of a key-bound token has the key.
    pub(super) accepts_key_bound: bool,
    pub(super) names: ClaimNames,
    /// Pointers to claims, and the string value that each claim must have.
    pub(super) required: Vec<(Pointer, String)>,
    pub(super) tenants: Bounds,
    pub(super) envs: Bounds,
    /// Whether the application allows the issuer to speak for any tenant.
    pub(super) any_tenant: bool,
}

/// The result of a token that passed all checks.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) auth: AuthContext,
    /// The later one of `nbf` and `iat`. The token becomes valid at this time minus the leeway.
    #[cfg_attr(
        not(feature = "token-cache"),
        expect(dead_code, reason = "only the cache reads it")
    )]
    pub(super) not_before: Option<SystemTime>,
}

impl Rules {
    pub(super) fn check_config(&self) -> Result<(), JwtConfigError> {
        self.names.check()?;
        self.required.iter().try_for_each(|(pointer, _)| pointer.check())?;
        self.tenants.check()?;
        self.envs.check()
    }

    /// Checks the claims of a token at the time of `clock`. `trust` withdraws the proof when the issuer is no
    /// longer trusted.
    ///
    /// The order of the checks is fixed. Expiry is the last reason for a 401. Names out of bounds come after
    /// it, because they give a 403.
    pub(super) fn check(
        &self,
        claims: &Object<'_>,
        typ_is_at_jwt: bool,
        clock: &Arc<dyn Clock>,
        trust: Option<&Revocation>,
    ) -> Result<Checked, TokenError> {
        let issuer = self.issuer(claims)?;
        let audiences = self.audiences(claims)?;
        for (pointer, wanted) in &self.required {
            if needed(claims, pointer)?.as_deref() != Some(wanted) {
                return Err(TokenError::Claim(
                    "a claim does not have the value that the verifier requires",
                ));
            }
        }
        // RFC 7800 section 3.1: with any `cnf`, the token is not a plain bearer token.
        if claims.claim("cnf").is_some() && !self.accepts_key_bound {
            return Err(TokenError::KeyBound);
        }
        let subject = needed(claims, &self.names.subject)?
            .ok_or(TokenError::Claim("the subject is missing"))?;
        let subject =
            Subject::new(subject).map_err(|_| TokenError::Claim("the subject is malformed"))?;
        let tenants = self.names.tenants.read(claims, Spelling::NameOrInteger)?;
        let tenants = self.tenants.apply(tenants);
        let envs = self.envs.apply(self.names.envs.read(claims, Spelling::Name)?);
        let issued_at = numeric_date(claims, "iat")?;
        let begins = numeric_date(claims, "nbf")?;
        let expires_at =
            numeric_date(claims, "exp")?.ok_or(TokenError::Claim("`exp` is missing"))?;
        let now = clock.now();
        self.check_begun(begins, issued_at, now)?;

        let auth = AuthContext(Arc::new(Proven {
            subject,
            expires_at,
            leeway: self.leeway,
            issuer: issuer.map(|issuer| Text::from(&*issuer)),
            issued_at,
            audiences: audiences.into(),
            is_access_token: typ_is_at_jwt && has_claims_of_access_token(claims),
            tenants: tenants.proven.into(),
            envs: envs.proven.into(),
            roles: self.names.roles.read_if_well_formed(claims, Spelling::Name),
            scopes: self.names.scopes.read_if_well_formed(claims, Spelling::Words),
            actor_type: self.actor_type(claims),
            clock: Arc::clone(clock),
            revocations: trust.cloned().into_iter().collect(),
            ticket: None,
        }));
        self.policy.check(&auth).map_err(|unmet| self.unmet(&unmet, claims))?;
        if now >= auth.valid_until() {
            return Err(TokenError::Expired);
        }
        let issuer = auth.issuer();
        NameKind::Tenants.refuse(&tenants.beyond, auth.tenants().next().is_none(), issuer)?;
        NameKind::Envs.refuse(&envs.beyond, auth.envs().next().is_none(), issuer)?;
        Ok(Checked { auth, not_before: begins.max(issued_at) })
    }

    /// RFC 7519 section 4.1.1: `iss` is one string. It is compared byte for byte. If no issuer is configured,
    /// it may be absent.
    fn issuer<'a>(&self, claims: &Object<'a>) -> Result<Option<Cow<'a, str>>, TokenError> {
        let Some(value) = claims.claim("iss") else {
            return match self.issuer {
                None => Ok(None),
                Some(_) => Err(TokenError::Claim("`iss` is missing")),
            };
        };
        match (value.string(), &self.issuer) {
            (Some(iss), None) => Ok(Some(iss)),
            (Some(iss), Some(issuer)) if iss == *issuer => Ok(Some(iss)),
            (Some(_), Some(_)) => {
                let rule = "`iss` is not the issuer that the verifier trusts";
                Err(TokenError::unexpected(rule, value.text()))
            }
            (None, Some(_)) => Err(bad_claim("/iss", value.kind())),
            (None, None) => {
                log_malformed("/iss", value.kind());
                Ok(None)
            }
        }
    }

    /// RFC 7519 section 4.1.3: the audience is one string or several strings. A token with an audience is
    /// refused unless the verifier has one of its audiences configured. So a token with a malformed audience
    /// is refused, too.
    fn audiences(&self, claims: &Object<'_>) -> Result<Vec<Text>, TokenError> {
        let place = &self.names.audience;
        let mut audiences = Vec::new();
        let read = place.read(claims, Spelling::Name, &mut audiences);
        let is_there = read.map_err(|found| bad_claim(place.pointer.as_str(), found))?;
        if is_there && !self.policy.names_audience() {
            return Err(TokenError::Claim(
                "the token has an audience, but the verifier has none configured",
            ));
        }
        Ok(audiences)
    }

    /// No rule needs the actor type, so a malformed one counts as absent.
    fn actor_type(&self, claims: &Object<'_>) -> Option<ActorType> {
        let pointer = &self.names.actor_type;
        let read = string(claims, pointer).and_then(|text| {
            text.map(ActorType::new).transpose().map_err(|_| "a string that is not an actor type")
        });
        read.unwrap_or_else(|found| {
            log_malformed(pointer.as_str(), found);
            None
        })
    }

    fn unmet(&self, unmet: &Unmet<'_>, claims: &Object<'_>) -> TokenError {
        match unmet {
            Unmet::Audience => match find(claims, &self.names.audience.pointer) {
                Ok(Some(found)) => {
                    TokenError::unexpected("the audience is not this service", found.text())
                }
                Ok(None) | Err(_) => TokenError::Claim("the audience is missing"),
            },
            Unmet::AccessToken => TokenError::Claim(
                "the token is not an access token of RFC 9068: its `typ` is not `at+jwt`, or a claim is missing",
            ),
            Unmet::Lifetime => TokenError::Claim(
                "the lifetime of the token is unknown, or longer than the verifier allows",
            ),
            Unmet::Scopes(_) | Unmet::Roles(_) => {
                TokenError::Claim("the token lacks a scope or a role")
            }
        }
    }

    /// RFC 7519 sections 4.1.5 and 4.1.6.
    fn check_begun(
        &self,
        begins: Option<SystemTime>,
        issued_at: Option<SystemTime>,
        now: SystemTime,
    ) -> Result<(), TokenError> {
        let latest = now.checked_add(self.leeway).unwrap_or(now);
        if begins.is_some_and(|begins| latest < begins) {
            return Err(TokenError::Claim("`nbf` is in the future"));
        }
        if issued_at.is_some_and(|issued_at| latest < issued_at) {
            return Err(TokenError::Claim("`iat` is in the future"));
        }
        Ok(())
    }
}

/// Whether the claims have all that RFC 9068 section 2.2 requires of an access token.
fn has_claims_of_access_token(claims: &Object<'_>) -> bool {
    let is_string = |name: &&str| claims.claim(name).is_some_and(|value| value.string().is_some());
    ["iss", "sub", "client_id", "jti"].iter().all(is_string)
        && ["aud", "iat", "exp"].iter().all(|name| claims.claim(name).is_some())
}
