//! What an issuer may speak for.

use super::{
    config_error::JwtConfigError,
    limits::MAX_SHOWN,
    token_error::{Kind, TokenError},
};
use crate::id::{Text, few};

/// What an issuer may speak for, of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach {
    /// All that its tokens can prove. `None`: anything.
    bound: Option<Vec<String>>,
    /// What a token speaks for that has no such claim.
    default: Vec<String>,
}

/// What a token proves of one kind, and what it claims in vain.
pub(super) struct Within {
    pub(super) proven: Vec<Text>,
    pub(super) beyond: Vec<Text>,
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
    pub(super) fn check(&self) -> Result<(), JwtConfigError> {
        match self.default.iter().find(|name| !self.allows(name)) {
            Some(name) => Err(JwtConfigError::DefaultOutOfBound(name.clone())),
            None => Ok(()),
        }
    }

    /// Defaults come before the bound: a claim that the bound takes away is no absent claim.
    pub(super) fn hold(&self, claimed: Option<Vec<Text>>) -> Within {
        let claimed =
            claimed.unwrap_or_else(|| self.default.iter().map(|n| n.as_str().into()).collect());
        if self.bound.is_none() {
            return Within { proven: claimed, beyond: Vec::new() };
        }
        let (proven, beyond) = claimed.into_iter().partition(|name| self.allows(name.as_str()));
        Within { proven, beyond }
    }
}

impl Kind {
    /// What a token claims beyond the bound of its issuer. A token that is left with nothing is refused:
    /// it is none that claims nothing. One that is left with something proves that.
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
