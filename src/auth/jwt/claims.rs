//! What a verified token says, read strictly.

use super::{
    JwtConfigError, MAX_SHOWN, TokenError,
    json::{NoParent, Pointer},
};
use crate::{
    auth::{AuthContext, Policy, Proven, Revocation, Texts, Unmet},
    clock::{Clock, LAST_SECOND, from_unix},
    id::{ActorType, Subject, Text, few},
    json::{Json, Member, Object},
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
/// `/scope` and `/actor_type`.
///
/// Tenants, envs, roles and scopes may be a string or an array of strings, at every place alike. Tenants
/// may be whole numbers as well, which stand for their decimal digits. `null` says nothing: a claim that
/// is `null`, or that something that is `null` should hold, is absent, and an item that is `null` is
/// left out. Where an issuer writes names as the keys of an object, [`ClaimPlace::keys_of`] says so.
///
/// Roles, scopes and an actor type that are anything else are none: the token passes, the log says at
/// level `debug` what was found, and a route that [asks](crate::RequireClaims) for a role or a scope
/// refuses the token. Tenants, envs, subject and audience that are anything else end the token.
///
/// To name a place replaces the defaults of its kind: who maps
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
    audience: ClaimPlace,
    tenants: Places,
    envs: Places,
    roles: ClaimPlace,
    scopes: ClaimPlace,
    actor_type: Pointer,
}

/// A place in a token that has names: tenants, envs, roles or scopes.
///
/// A text is a JSON pointer (RFC 6901) to a string or an array of strings. Some issuers write names as
/// the keys of an object instead, such as Zitadel its roles and Keycloak its organizations:
///
/// ```
/// use tower_tenancy::auth::{ClaimNames, ClaimPlace};
///
/// // {"urn:zitadel:iam:org:project:roles": {"admin": {"<organization>": "example.com"}}}
/// let zitadel = ClaimNames::default()
///     .tenant("/urn:zitadel:iam:user:resourceowner:id")
///     .roles(ClaimPlace::keys_of("/urn:zitadel:iam:org:project:roles"));
/// // {"organization": {"acme": {"id": "5e8a…"}}}
/// let keycloak = ClaimNames::default().tenants(ClaimPlace::keys_of("/organization"));
/// ```
#[derive(Clone, Debug)]
pub struct ClaimPlace {
    pointer: Pointer,
    /// Whether an object stands for its keys.
    takes_keys: bool,
}

impl ClaimPlace {
    /// What `pointer` points to: a string or an array of strings. A text that is given in place of a
    /// `ClaimPlace` means the same.
    pub fn at(pointer: impl Into<String>) -> Self {
        Self { pointer: Pointer::new(pointer), takes_keys: false }
    }

    /// What `pointer` points to: an object, whose keys are the names. A key whose value is `null` or
    /// `false` is left out. A string or an array of strings is taken as well.
    pub fn keys_of(pointer: impl Into<String>) -> Self {
        Self { pointer: Pointer::new(pointer), takes_keys: true }
    }

    /// Adds the names that the claim has. Says whether there is such a claim.
    fn read(
        &self,
        claims: &Object<'_>,
        spelling: Spelling,
        names: &mut Vec<Text>,
    ) -> Result<bool, Found> {
        let Some(value) = find(claims, &self.pointer)? else { return Ok(false) };
        if let Some(text) = value.string() {
            if spelling != Spelling::Words {
                add(names, &text)?;
                return Ok(true);
            }
            for word in text.split(' ').filter(|word| !word.is_empty()) {
                add(names, word)?;
            }
        } else if let Some(items) = value.items() {
            for item in items.filter(|item| !item.is_null()) {
                match (item.string(), spelling.integer(item)) {
                    (Some(name), _) => add(names, &name)?,
                    (None, Some(name)) => add(names, name)?,
                    (None, None) => return Err(kind_in_array(item)),
                }
            }
        } else if let Some(name) = spelling.integer(value) {
            add(names, name)?;
        } else if self.takes_keys
            && let Ok(object) = Object::parse(value.text())
        {
            for Member { name, value, .. } in object.members() {
                if !matches!(value.text(), "null" | "false") {
                    add(names, name)?;
                }
            }
        } else {
            return Err(value.kind());
        }
        Ok(true)
    }

    /// The names of a claim that can be done without. One that is malformed has none.
    fn read_if_well_formed(&self, claims: &Object<'_>, spelling: Spelling) -> Texts {
        let mut names = Vec::new();
        match self.read(claims, spelling, &mut names) {
            Ok(_) => names.into(),
            Err(found) => {
                told(self.pointer.as_str(), found);
                Texts::Unread(found)
            }
        }
    }
}

impl From<&str> for ClaimPlace {
    fn from(pointer: &str) -> Self {
        Self::at(pointer)
    }
}

impl From<String> for ClaimPlace {
    fn from(pointer: String) -> Self {
        Self::at(pointer)
    }
}

impl From<&String> for ClaimPlace {
    fn from(pointer: &String) -> Self {
        Self::at(pointer)
    }
}

/// What a claim may have besides an array of names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// A string, which is one name.
    Name,
    /// A string, or a whole number, which is one name.
    NameOrInteger,
    /// A string with spaces between names (RFC 8693 section 4.2).
    Words,
}

impl Spelling {
    /// The name that a whole number stands for, in a claim or in an array.
    fn integer(self, value: Json<'_>) -> Option<&str> {
        value.integer().filter(|_| self == Self::NameOrInteger)
    }
}

/// What was found in place of what a claim must be. It names a kind of value, and repeats no value.
type Found = &'static str;

/// Where names of one kind are: one name, several, or both.
#[derive(Clone, Debug)]
struct Places {
    one: Option<ClaimPlace>,
    many: Option<ClaimPlace>,
    /// Nobody has named a place yet.
    are_default: bool,
}

impl Places {
    fn default_to(one: &str, many: &str) -> Self {
        Self { one: Some(one.into()), many: Some(many.into()), are_default: true }
    }

    /// The places without the defaults.
    fn named(&mut self) -> &mut Self {
        if self.are_default {
            *self = Self { one: None, many: None, are_default: false };
        }
        self
    }

    /// The names that the claims have there. `None`: there is no such claim. One that is malformed ends
    /// the token: it says something, so no default may take its place.
    fn read(
        &self,
        claims: &Object<'_>,
        spelling: Spelling,
    ) -> Result<Option<Vec<Text>>, TokenError> {
        let mut names = Vec::new();
        let mut is_there = false;
        for place in [&self.many, &self.one].into_iter().flatten() {
            let read = place.read(claims, spelling, &mut names);
            is_there |= read.map_err(|found| bad_claim(place.pointer.as_str(), found))?;
        }
        Ok(is_there.then_some(names))
    }
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            subject: Pointer::new("/sub"),
            audience: ClaimPlace::at("/aud"),
            tenants: Places::default_to("/tenant_id", "/tenant_ids"),
            envs: Places::default_to("/env", "/envs"),
            roles: ClaimPlace::at("/roles"),
            scopes: ClaimPlace::at("/scope"),
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
        self.audience = ClaimPlace::at(pointer);
        self
    }

    /// The tenant that the caller may name, or several. It replaces both defaults; only a place that
    /// [`tenants`](Self::tenants) names is read next to it.
    #[must_use]
    pub fn tenant(mut self, place: impl Into<ClaimPlace>) -> Self {
        self.tenants.named().one = Some(place.into());
        self
    }

    /// The tenants that the caller may name, or one. It replaces both defaults; only a place that
    /// [`tenant`](Self::tenant) names is read next to it.
    #[must_use]
    pub fn tenants(mut self, place: impl Into<ClaimPlace>) -> Self {
        self.tenants.named().many = Some(place.into());
        self
    }

    /// The env that the caller may name, or several. It replaces both defaults; only a place that
    /// [`envs`](Self::envs) names is read next to it.
    #[must_use]
    pub fn env(mut self, place: impl Into<ClaimPlace>) -> Self {
        self.envs.named().one = Some(place.into());
        self
    }

    /// The envs that the caller may name, or one. It replaces both defaults; only a place that
    /// [`env`](Self::env) names is read next to it.
    #[must_use]
    pub fn envs(mut self, place: impl Into<ClaimPlace>) -> Self {
        self.envs.named().many = Some(place.into());
        self
    }

    /// The caller's roles, or the one role.
    #[must_use]
    pub fn roles(mut self, place: impl Into<ClaimPlace>) -> Self {
        self.roles = place.into();
        self
    }

    /// What the token was issued to do: scopes in one string, separated by spaces (RFC 8693 section
    /// 4.2), or an array of strings.
    #[must_use]
    pub fn scopes(mut self, place: impl Into<ClaimPlace>) -> Self {
        self.scopes = place.into();
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
        let places = places.flatten().chain([audience, roles, scopes]);
        let pointers = places.map(|place| &place.pointer).chain([subject, actor_type]);
        pointers.into_iter().try_for_each(Pointer::check)
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

/// What a verifier asks of a token and its claims.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) issuer: Option<String>,
    /// What a route may ask for as well.
    pub(super) policy: Policy,
    pub(super) leeway: Duration,
    /// Longest token that is looked at.
    pub(super) max_token_bytes: usize,
    /// Somebody else checks that the sender of a bound token has its key.
    pub(super) accepts_key_bound: bool,
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
        let issuer = self.issuer(claims)?;
        let audiences = self.audiences(claims)?;
        for (pointer, wanted) in &self.required {
            if needed(claims, pointer)?.as_deref() != Some(wanted) {
                return Err(TokenError::Claim(
                    "a claim that is required here is not as it must be",
                ));
            }
        }
        // RFC 7800 section 3.1: whatever it says, the token is no plain bearer token.
        if claims.claim("cnf").is_some() && !self.accepts_key_bound {
            return Err(TokenError::KeyBound);
        }
        let subject = needed(claims, &self.names.subject)?
            .ok_or(TokenError::Claim("the subject is missing"))?;
        let subject =
            Subject::new(subject).map_err(|_| TokenError::Claim("the subject is malformed"))?;
        let tenants = self.names.tenants.read(claims, Spelling::NameOrInteger)?;
        let tenants = self.tenants.hold(tenants);
        let envs = self.envs.hold(self.names.envs.read(claims, Spelling::Name)?);
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
        Kind::Tenants.refuse(&tenants.beyond, auth.tenants().next().is_none(), issuer)?;
        Kind::Envs.refuse(&envs.beyond, auth.envs().next().is_none(), issuer)?;
        Ok(Checked { auth, not_before: begins.max(issued_at) })
    }

    /// RFC 7519 section 4.1.1: one string, compared byte for byte. Where no issuer is configured, a
    /// token need not name one.
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
                let rule = "`iss` is not the issuer trusted here";
                Err(TokenError::unexpected(rule, value.text()))
            }
            (None, Some(_)) => Err(bad_claim("/iss", value.kind())),
            (None, None) => {
                told("/iss", value.kind());
                Ok(None)
            }
        }
    }

    /// RFC 7519 section 4.1.3: one string or several; a token that names an audience is refused
    /// by whoever does not know itself by that name, also where none is configured. So this claim is
    /// always needed, and one that is malformed ends the token.
    fn audiences(&self, claims: &Object<'_>) -> Result<Vec<Text>, TokenError> {
        let place = &self.names.audience;
        let mut audiences = Vec::new();
        let read = place.read(claims, Spelling::Name, &mut audiences);
        let is_there = read.map_err(|found| bad_claim(place.pointer.as_str(), found))?;
        if is_there && !self.policy.names_audience() {
            return Err(TokenError::Claim("an audience is named, but none is configured here"));
        }
        Ok(audiences)
    }

    /// Nothing here asks for it, so one that is malformed is absent.
    fn actor_type(&self, claims: &Object<'_>) -> Option<ActorType> {
        let pointer = &self.names.actor_type;
        let read = string(claims, pointer).and_then(|text| {
            text.map(ActorType::new).transpose().map_err(|_| "a string that is no actor type")
        });
        read.unwrap_or_else(|found| {
            told(pointer.as_str(), found);
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

/// RFC 7519 section 2: seconds since 1970, fractions allowed and cut off. What is no date up to the end of
/// the year 9999 is no date at all: a token that never ends would open streams that never do.
fn numeric_date(claims: &Object<'_>, name: &'static str) -> Result<Option<SystemTime>, TokenError> {
    let Some(value) = claims.claim(name) else { return Ok(None) };
    // A number of JSON is one of Rust, and no other value of JSON is. All seconds in range are exact.
    let number = value.text().parse::<f64>();
    let seconds = match number {
        Ok(seconds) if (0.0..=LAST_SECOND as f64).contains(&seconds) => Ok(seconds as u64),
        Ok(_) => Err("a number that is no date of the years 1970 to 9999"),
        Err(_) => Err(value.kind()),
    };
    let seconds = seconds.map_err(|found| bad_claim(&format!("/{name}"), found))?;
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

/// A claim that is needed is malformed.
fn bad_claim(claim: &str, found: Found) -> TokenError {
    TokenError::BadClaim { claim: claim.to_owned(), found }
}

/// Logs that a claim that can be done without is malformed.
fn told(claim: &str, found: Found) {
    tracing::debug!(claim, found, "a claim is malformed: the token is taken to say nothing there");
}

/// What the claims have there. `None`: there is no such claim. A parent of the wrong type is no absent
/// claim, but one that is malformed.
fn find<'a>(claims: &Object<'a>, pointer: &Pointer) -> Result<Option<Json<'a>>, Found> {
    claims.find(pointer).map_err(|NoParent| "a value above it that cannot hold it")
}

fn string<'a>(claims: &Object<'a>, pointer: &Pointer) -> Result<Option<Cow<'a, str>>, Found> {
    let Some(value) = find(claims, pointer)? else { return Ok(None) };
    value.string().map(Some).ok_or_else(|| value.kind())
}

/// A string that a rule asks for.
fn needed<'a>(claims: &Object<'a>, pointer: &Pointer) -> Result<Option<Cow<'a, str>>, TokenError> {
    string(claims, pointer).map_err(|found| bad_claim(pointer.as_str(), found))
}

fn add(names: &mut Vec<Text>, name: &str) -> Result<(), Found> {
    if names.len() >= MAX_NAMES {
        return Err("more than 512 names");
    }
    names.push(name.into());
    Ok(())
}

/// What kind of item an array has that is no name.
fn kind_in_array(item: Json<'_>) -> Found {
    match item.kind() {
        "an object" => "an array with an object in it",
        "an array" => "an array with an array in it",
        "a boolean" => "an array with a boolean in it",
        _ => "an array with a number in it",
    }
}

/// RFC 9068 section 2.2: what every access token in the form of a JWT has.
fn has_claims_of_access_token(claims: &Object<'_>) -> bool {
    let is_string = |name: &&str| claims.claim(name).is_some_and(|value| value.string().is_some());
    ["iss", "sub", "client_id", "jti"].iter().all(is_string)
        && ["aud", "iat", "exp"].iter().all(|name| claims.claim(name).is_some())
}
