//! What a verified token says, read strictly.

use super::{
    JwtConfigError, MAX_SHOWN, TokenError,
    json::{NoParent, Pointer},
};
use crate::{
    auth::{AuthContext, Policy, Proven, Revocation, Unmet},
    clock::{Clock, from_unix},
    id::{ActorType, Subject, Text, few},
    json::{Json, Object},
};
use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Most names that are taken from one claim: tenants, envs, roles, scopes, audiences. What is kept of a
/// name takes more room than `"",` does in a token.
const MAX_NAMES: usize = 512;

/// Where the claims are, as JSON pointers (RFC 6901) into the token's payload.
///
/// The defaults are `/sub`, `/aud`, `/tenant_id` and `/tenant_ids`, `/env` and `/envs`, `/roles`,
/// `/scope` and `/actor_type`. To name a place replaces the defaults of its kind: who maps
/// [`tenant`](Self::tenant) or [`tenants`](Self::tenants) trusts neither `/tenant_id` nor
/// `/tenant_ids` any more, and the same holds for [`env`](Self::env) and [`envs`](Self::envs).
///
/// A claim that is a URL has its `/` written `~1`:
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
    tenants: Places,
    envs: Places,
    roles: Pointer,
    scopes: Pointer,
    actor_type: Pointer,
}

/// Where names of one kind are: one name, several, or both.
#[derive(Clone, Debug)]
struct Places {
    one: Option<Pointer>,
    many: Option<Pointer>,
    /// Nobody has named a place yet.
    are_default: bool,
}

impl Places {
    fn default_to(one: &str, many: &str) -> Self {
        let (one, many) = (Some(Pointer::new(one)), Some(Pointer::new(many)));
        Self { one, many, are_default: true }
    }

    /// The places without the defaults.
    fn named(&mut self) -> &mut Self {
        if self.are_default {
            *self = Self { one: None, many: None, are_default: false };
        }
        self
    }

    /// The names that the claims have there. `None`: there is no such claim.
    fn read(&self, claims: &Object<'_>) -> Result<Option<Vec<Text>>, TokenError> {
        let mut names = match &self.many {
            Some(pointer) => strings(claims, pointer)?,
            None => None,
        };
        if let Some(pointer) = &self.one
            && let Some(name) = string(claims, pointer)?
        {
            add(names.get_or_insert_default(), &name, pointer)?;
        }
        Ok(names)
    }
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            subject: Pointer::new("/sub"),
            audience: Pointer::new("/aud"),
            tenants: Places::default_to("/tenant_id", "/tenant_ids"),
            envs: Places::default_to("/env", "/envs"),
            roles: Pointer::new("/roles"),
            scopes: Pointer::new("/scope"),
            actor_type: Pointer::new("/actor_type"),
        }
    }
}

impl ClaimNames {
    /// Who the caller is: a string.
    #[must_use]
    pub fn subject(mut self, pointer: impl Into<String>) -> Self {
        self.subject = Pointer::new(pointer);
        self
    }

    /// Whom the token is meant for: a string or an array of strings.
    #[must_use]
    pub fn audience(mut self, pointer: impl Into<String>) -> Self {
        self.audience = Pointer::new(pointer);
        self
    }

    /// The one tenant that the caller may name: a string. It replaces both defaults; only a place that
    /// [`tenants`](Self::tenants) names is read next to it.
    #[must_use]
    pub fn tenant(mut self, pointer: impl Into<String>) -> Self {
        self.tenants.named().one = Some(Pointer::new(pointer));
        self
    }

    /// The tenants that the caller may name: an array of strings. It replaces both defaults; only a
    /// place that [`tenant`](Self::tenant) names is read next to it.
    #[must_use]
    pub fn tenants(mut self, pointer: impl Into<String>) -> Self {
        self.tenants.named().many = Some(Pointer::new(pointer));
        self
    }

    /// The one env that the caller may name: a string. It replaces both defaults; only a place that
    /// [`envs`](Self::envs) names is read next to it.
    #[must_use]
    pub fn env(mut self, pointer: impl Into<String>) -> Self {
        self.envs.named().one = Some(Pointer::new(pointer));
        self
    }

    /// The envs that the caller may name: an array of strings. It replaces both defaults; only a place
    /// that [`env`](Self::env) names is read next to it.
    #[must_use]
    pub fn envs(mut self, pointer: impl Into<String>) -> Self {
        self.envs.named().many = Some(Pointer::new(pointer));
        self
    }

    /// The caller's roles: an array of strings.
    #[must_use]
    pub fn roles(mut self, pointer: impl Into<String>) -> Self {
        self.roles = Pointer::new(pointer);
        self
    }

    /// What the token was issued to do: scopes in one string, separated by spaces (RFC 8693 section
    /// 4.2), or an array of strings.
    #[must_use]
    pub fn scopes(mut self, pointer: impl Into<String>) -> Self {
        self.scopes = Pointer::new(pointer);
        self
    }

    /// What the caller is, such as `human` or `agent`: a string.
    #[must_use]
    pub fn actor_type(mut self, pointer: impl Into<String>) -> Self {
        self.actor_type = Pointer::new(pointer);
        self
    }

    fn check(&self) -> Result<(), JwtConfigError> {
        let Self { subject, audience, tenants, envs, roles, scopes, actor_type } = self;
        let places = [tenants, envs].into_iter().flat_map(|places| [&places.one, &places.many]);
        let single = [subject, audience, roles, scopes, actor_type];
        single.into_iter().chain(places.flatten()).try_for_each(Pointer::check)
    }
}

/// What an issuer may speak for, of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach {
    /// All that its tokens can prove. `None`: anything.
    bound: Option<Vec<String>>,
    /// What a token speaks for that has no such claim.
    default: Vec<String>,
}

/// What a token proves of one kind, and what it claims in vain.
struct Within {
    proven: Vec<Text>,
    beyond: Vec<Text>,
}

impl Reach {
    /// Bounds it to these. A bound that is there already holds as well.
    pub(super) fn bind<T: Into<String>>(&mut self, names: impl IntoIterator<Item = T>) {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        if let Some(bound) = &self.bound {
            names.retain(|name| bound.contains(name));
        }
        self.bound = Some(names);
    }

    pub(super) fn is_bound(&self) -> bool {
        self.bound.is_some()
    }

    pub(super) fn default_to<T: Into<String>>(&mut self, names: impl IntoIterator<Item = T>) {
        self.default.extend(names.into_iter().map(Into::into));
    }

    fn allows(&self, name: &str) -> bool {
        self.bound.as_ref().is_none_or(|bound| bound.iter().any(|bound| bound == name))
    }

    /// A default that could never be proven is a mistake.
    fn check(&self) -> Result<(), JwtConfigError> {
        match self.default.iter().find(|name| !self.allows(name)) {
            Some(name) => Err(JwtConfigError::DefaultOutOfBound(name.clone())),
            None => Ok(()),
        }
    }

    /// Defaults come before the bound: a claim that the bound takes away is no absent claim.
    fn hold(&self, claimed: Option<Vec<Text>>) -> Within {
        let claimed =
            claimed.unwrap_or_else(|| self.default.iter().map(|n| n.as_str().into()).collect());
        if self.bound.is_none() {
            return Within { proven: claimed, beyond: Vec::new() };
        }
        let (proven, beyond) = claimed.into_iter().partition(|name| self.allows(name.as_str()));
        Within { proven, beyond }
    }
}

/// What an issuer was bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tenants,
    Envs,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tenants => "tenants",
            Self::Envs => "envs",
        })
    }
}

impl Kind {
    /// What a token claims beyond the bound of its issuer. A token that is left with nothing is refused:
    /// it is none that claims nothing. One that is left with something proves that.
    fn refuse(
        self,
        beyond: &[Text],
        nothing_is_left: bool,
        issuer: Option<&str>,
    ) -> Result<(), TokenError> {
        if beyond.is_empty() {
            return Ok(());
        }
        let issuer: Option<String> = issuer.map(|text| text.chars().take(MAX_SHOWN).collect());
        let claimed = few(beyond.iter().map(Text::as_str));
        if nothing_is_left {
            return Err(TokenError::Beyond { kind: self, issuer, claimed });
        }
        tracing::warn!(
            issuer,
            kind = ?self,
            beyond = claimed,
            "a token claims what its issuer is not bound to; that proves nothing"
        );
        Ok(())
    }
}

/// What a verifier asks of the claims.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) issuer: Option<String>,
    /// What a route may ask for as well.
    pub(super) policy: Policy,
    pub(super) leeway: Duration,
    pub(super) names: ClaimNames,
    /// Claims that must be these strings, by their pointers.
    pub(super) required: Vec<(Pointer, String)>,
    pub(super) tenants: Reach,
    pub(super) envs: Reach,
    /// That the issuer may speak for any tenant was said, and not forgotten.
    pub(super) any_tenant: bool,
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
    pub(super) fn check_config(&self) -> Result<(), JwtConfigError> {
        self.names.check()?;
        self.required.iter().try_for_each(|(pointer, _)| pointer.check())?;
        self.tenants.check()?;
        self.envs.check()
    }

    /// Holds the claims of a token against the rules at the time that `clock` tells. What they prove
    /// lasts as long as `trust` in their issuer.
    ///
    /// Only an otherwise good token is told that it expired, and only one that is good now that it
    /// speaks for nothing here: 401 comes before 403.
    pub(super) fn check(
        &self,
        claims: &Object<'_>,
        typ_is_at_jwt: bool,
        clock: &Arc<dyn Clock>,
        trust: Option<&Revocation>,
    ) -> Result<Checked, TokenError> {
        self.check_issuer(claims)?;
        let audiences = self.audiences(claims)?;
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
        let tenants = self.tenants.hold(self.names.tenants.read(claims)?);
        let envs = self.envs.hold(self.names.envs.read(claims)?);
        let actor_type = string(claims, &self.names.actor_type)?
            .map(ActorType::new)
            .transpose()
            .map_err(|_| TokenError::Claim("the actor type is malformed"))?;
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
            roles: strings(claims, &self.names.roles)?.unwrap_or_default().into(),
            scopes: self.scopes(claims)?.into(),
            actor_type,
            clock: Arc::clone(clock),
            revocations: trust.cloned().into_iter().collect(),
            ticket: None,
        }));
        self.policy.check(&auth).map_err(|unmet| self.unmet(&unmet, claims))?;
        if now >= auth.valid_until() {
            return Err(TokenError::Expired);
        }
        let issuer = auth.issuer();
        Kind::Tenants.refuse(&tenants.beyond, auth.tenants().next().is_none(), issuer)?;
        Kind::Envs.refuse(&envs.beyond, auth.envs().next().is_none(), issuer)?;
        Ok(Checked { auth, not_before: begins.max(issued_at) })
    }

    /// RFC 7519 section 4.1.1: one string, compared byte for byte.
    fn check_issuer(&self, claims: &Object<'_>) -> Result<(), TokenError> {
        let Some(iss) = claims.get("iss") else {
            return match self.issuer {
                None => Ok(()),
                Some(_) => Err(TokenError::Claim("`iss` is missing")),
            };
        };
        match (iss.string(), &self.issuer) {
            (Some(_), None) => Ok(()),
            (Some(iss), Some(issuer)) if iss == *issuer => Ok(()),
            _ => Err(TokenError::unexpected("`iss` is not the issuer trusted here", iss.text())),
        }
    }

    /// RFC 7519 section 4.1.3: one string or several; a token that names an audience is refused
    /// by whoever does not know itself by that name, also where none is configured.
    fn audiences(&self, claims: &Object<'_>) -> Result<Vec<Text>, TokenError> {
        let audiences = several(claims, &self.names.audience, None)?;
        if audiences.is_some() && !self.policy.names_audience() {
            return Err(TokenError::Claim("an audience is named, but none is configured here"));
        }
        Ok(audiences.unwrap_or_default())
    }

    /// RFC 8693 section 4.2.
    fn scopes(&self, claims: &Object<'_>) -> Result<Vec<Text>, TokenError> {
        Ok(several(claims, &self.names.scopes, Some(' '))?.unwrap_or_default())
    }

    fn unmet(&self, unmet: &Unmet<'_>, claims: &Object<'_>) -> TokenError {
        match unmet {
            Unmet::Audience => match claims.find(&self.names.audience) {
                Ok(Some(found)) => {
                    TokenError::unexpected("the audience is not this service", found.text())
                }
                Ok(None) => TokenError::Claim("the audience is missing"),
                Err(NoParent) => wrong_type(&self.names.audience),
            },
            Unmet::AccessToken => TokenError::Claim(
                "it is no access token of RFC 9068: its `typ` is not `at+jwt`, or it lacks a claim",
            ),
            Unmet::Lifetime => TokenError::Claim(
                "the token lives longer than is allowed here, or does not say how long",
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

/// RFC 7519 section 2: seconds since 1970, fractions allowed and cut off.
fn numeric_date(claims: &Object<'_>, name: &'static str) -> Result<Option<SystemTime>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let text = value.text();
    let seconds = text.parse().ok().or_else(|| {
        // A number of JSON is one of Rust, and no other value of JSON is.
        let fraction = text.parse::<f64>().ok();
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
    value.string().map(Some).ok_or_else(|| TokenError::Type(format!("/{name}")))
}

/// What the claims have there. `None`: there is no such claim. A parent of the wrong type is no absent
/// claim, and refuses the token as a claim of the wrong type does.
fn find<'a>(claims: &Object<'a>, pointer: &Pointer) -> Result<Option<Json<'a>>, TokenError> {
    claims.find(pointer).map_err(|NoParent| wrong_type(pointer))
}

fn string<'a>(claims: &Object<'a>, pointer: &Pointer) -> Result<Option<Cow<'a, str>>, TokenError> {
    let Some(value) = find(claims, pointer)? else { return Ok(None) };
    value.string().map(Some).ok_or_else(|| wrong_type(pointer))
}

/// An array of strings. `None`: there is no such claim.
fn strings(claims: &Object<'_>, pointer: &Pointer) -> Result<Option<Vec<Text>>, TokenError> {
    find(claims, pointer)?.map(|value| array(value, pointer)).transpose()
}

fn array(value: Json<'_>, pointer: &Pointer) -> Result<Vec<Text>, TokenError> {
    let mut names = Vec::new();
    for item in value.items().ok_or_else(|| wrong_type(pointer))? {
        let name = item.string().ok_or_else(|| wrong_type(pointer))?;
        add(&mut names, &name, pointer)?;
    }
    Ok(names)
}

fn add(names: &mut Vec<Text>, name: &str, pointer: &Pointer) -> Result<(), TokenError> {
    if names.len() >= MAX_NAMES {
        return Err(TokenError::TooMany(pointer.as_str().to_owned()));
    }
    names.push(name.into());
    Ok(())
}

/// Names in one string, with `separator` between them if there is one, or an array of strings. `None`:
/// there is no such claim.
fn several(
    claims: &Object<'_>,
    pointer: &Pointer,
    separator: Option<char>,
) -> Result<Option<Vec<Text>>, TokenError> {
    let Some(value) = find(claims, pointer)? else { return Ok(None) };
    let Some(text) = value.string() else { return array(value, pointer).map(Some) };
    let mut names = Vec::new();
    match separator {
        None => add(&mut names, &text, pointer)?,
        Some(separator) => {
            for name in text.split(separator).filter(|name| !name.is_empty()) {
                add(&mut names, name, pointer)?;
            }
        }
    }
    Ok(Some(names))
}

/// RFC 9068 section 2.2: what every access token in the form of a JWT has.
fn has_claims_of_access_token(claims: &Object<'_>) -> bool {
    let is_string = |name: &&str| claims.get(name).is_some_and(|value| value.string().is_some());
    ["iss", "sub", "client_id", "jti"].iter().all(is_string)
        && ["aud", "iat", "exp"].iter().all(|name| claims.get(name).is_some())
}
