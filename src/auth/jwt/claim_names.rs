//! Where the claims are in a token.

use super::{
    claim_place::{ClaimPlace, Spelling},
    claim_values::bad_claim,
    config_error::JwtConfigError,
    json::Pointer,
    token_error::TokenError,
};
use crate::{id::Text, json::Object};

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
    pub(super) subject: Pointer,
    pub(super) audience: ClaimPlace,
    pub(super) tenants: Places,
    pub(super) envs: Places,
    pub(super) roles: ClaimPlace,
    pub(super) scopes: ClaimPlace,
    pub(super) actor_type: Pointer,
}

/// Where names of one kind are: one name, several, or both.
#[derive(Clone, Debug)]
pub(super) struct Places {
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
    pub(super) fn read(
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

    pub(super) fn check(&self) -> Result<(), JwtConfigError> {
        let Self { subject, audience, tenants, envs, roles, scopes, actor_type } = self;
        let places = [tenants, envs].into_iter().flat_map(|places| [&places.one, &places.many]);
        let places = places.flatten().chain([audience, roles, scopes]);
        let pointers = places.map(|place| &place.pointer).chain([subject, actor_type]);
        pointers.into_iter().try_for_each(Pointer::check)
    }
}
