//! The places of the claims in a token.

use super::{
    claim_place::{ClaimPlace, Spelling},
    claim_values::bad_claim,
    config_error::JwtConfigError,
    json::Pointer,
    token_error::TokenError,
};
use crate::{id::Text, json::Object};

/// The places of the claims: JSON pointers (RFC 6901) into the payload of the token.
///
/// The defaults are `/sub`, `/aud`, `/tenant_id` and `/tenant_ids`, `/env` and `/envs`, `/roles`,
/// `/scope` and `/actor_type`.
///
/// At each place, tenants, envs, roles and scopes may be a string or an array of strings. Tenants may also be
/// whole numbers: the name is the number as it is written in the token. A claim is absent if it is `null`, or
/// if a value above it is `null`. A `null` in an array is skipped. If an issuer writes names as the keys of
/// an object, use [`ClaimPlace::keys_of`].
///
/// If roles, scopes or the actor type have any other type, the token is accepted without them: the log shows
/// the type at level `debug`, and a route that [requires](crate::RequireClaims) a role or a scope refuses the
/// token. If tenants, envs, the subject or the audience have any other type, the token is refused.
///
/// A place that you set replaces the defaults of its kind. If you set [`tenant`](Self::tenant) or
/// [`tenants`](Self::tenants), neither `/tenant_id` nor `/tenant_ids` is read any more. The same applies to
/// [`env`](Self::env) and [`envs`](Self::envs).
///
/// If the name of a claim is a URL, write `~1` for each `/` in it:
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

/// The places of one kind of names: the place for one name, the place for several names, or both.
#[derive(Clone, Debug)]
pub(super) struct Places {
    one: Option<ClaimPlace>,
    many: Option<ClaimPlace>,
    /// Whether no place has been set yet.
    are_default: bool,
}

impl Places {
    fn default_to(one: &str, many: &str) -> Self {
        Self { one: Some(one.into()), many: Some(many.into()), are_default: true }
    }

    /// The places without the defaults, to set one of them.
    fn named(&mut self) -> &mut Self {
        if self.are_default {
            *self = Self { one: None, many: None, are_default: false };
        }
        self
    }

    /// The names at these places. `None`: there is no such claim. A token with a malformed claim is refused,
    /// because no default may replace a claim that exists.
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
    /// The place of the subject, which must be a string.
    #[must_use]
    pub fn subject(mut self, pointer: impl Into<String>) -> Self {
        self.subject = Pointer::new(pointer);
        self
    }

    /// The place of the audience, which must be a string or an array of strings.
    #[must_use]
    pub fn audience(mut self, pointer: impl Into<String>) -> Self {
        self.audience = ClaimPlace::at(pointer);
        self
    }

    /// The place of the tenant (or several tenants) that the caller may name. It replaces both defaults. If
    /// you also set [`tenants`](Self::tenants), both places are read.
    #[must_use]
    pub fn tenant(mut self, place: impl Into<ClaimPlace>) -> Self {
        self.tenants.named().one = Some(place.into());
        self
    }

    /// The place of the tenants (or one tenant) that the caller may name. It replaces both defaults. If you
    /// also set [`tenant`](Self::tenant), both places are read.
    #[must_use]
    pub fn tenants(mut self, place: impl Into<ClaimPlace>) -> Self {
        self.tenants.named().many = Some(place.into());
        self
    }

    /// The place of the env (or several envs) that the caller may name. It replaces both defaults. If you
    /// also set [`envs`](Self::envs), both places are read.
    #[must_use]
    pub fn env(mut self, place: impl Into<ClaimPlace>) -> Self {
        self.envs.named().one = Some(place.into());
        self
    }

    /// The place of the envs (or one env) that the caller may name. It replaces both defaults. If you also
    /// set [`env`](Self::env), both places are read.
    #[must_use]
    pub fn envs(mut self, place: impl Into<ClaimPlace>) -> Self {
        self.envs.named().many = Some(place.into());
        self
    }

    /// The place of the roles (or one role) of the caller.
    #[must_use]
    pub fn roles(mut self, place: impl Into<ClaimPlace>) -> Self {
        self.roles = place.into();
        self
    }

    /// The place of the scopes that the token was issued for: one string with spaces between the scopes (RFC
    /// 8693 section 4.2), or an array of strings.
    #[must_use]
    pub fn scopes(mut self, place: impl Into<ClaimPlace>) -> Self {
        self.scopes = place.into();
        self
    }

    /// The place of the actor type, such as `human` or `agent`. It must be a string.
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
