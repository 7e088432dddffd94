//! The tenants and envs that an issuer may speak for.

use super::{
    config_error::JwtConfigError,
    limits::MAX_SHOWN,
    token_error::{NameKind, TokenError},
};
use crate::id::{Text, few};

/// The names of one kind that an issuer may speak for.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds {
    /// Its tokens can prove only these names. `None`: any name.
    bound: Option<Vec<String>>,
    /// A token without such a claim proves these names.
    default: Vec<String>,
}

/// The names in a token: the proven ones, and those that its issuer may not speak for.
pub(super) struct Bounded {
    pub(super) proven: Vec<Text>,
    pub(super) beyond: Vec<Text>,
}

impl Bounds {
    /// Allows only these names. An earlier bound still applies as well.
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

    /// Refuses a default that is not within the bound.
    pub(super) fn check(&self) -> Result<(), JwtConfigError> {
        match self.default.iter().find(|name| !self.allows(name)) {
            Some(name) => Err(JwtConfigError::DefaultOutOfBound(name.clone())),
            None => Ok(()),
        }
    }

    /// Applies the defaults first, then the bound. If all names of a claim are out of bounds, the claim still
    /// exists, so no default applies.
    pub(super) fn apply(&self, claimed: Option<Vec<Text>>) -> Bounded {
        let claimed =
            claimed.unwrap_or_else(|| self.default.iter().map(|n| n.as_str().into()).collect());
        if self.bound.is_none() {
            return Bounded { proven: claimed, beyond: Vec::new() };
        }
        let (proven, beyond) = claimed.into_iter().partition(|name| self.allows(name.as_str()));
        Bounded { proven, beyond }
    }
}

impl NameKind {
    /// Handles names that the issuer may not speak for. If the token has no other name, it is refused. If it
    /// has other names, it proves only those.
    pub(super) fn refuse(
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
            return Err(TokenError::OutOfBounds { kind: self, issuer, claimed });
        }
        tracing::warn!(
            issuer,
            kind = ?self,
            beyond = claimed,
            "a token claims names that its issuer may not speak for; they are ignored"
        );
        Ok(())
    }
}
