//! The requirements of a verifier or a route. A proof must meet them.

use super::context::AuthContext;
use std::time::Duration;

/// Requirements. A proof must meet all of them. A new requirement never removes an earlier one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    /// The proof must be meant for one of these audiences. If the list is empty, any audience passes.
    audiences: Vec<String>,
    only_access_tokens: bool,
    max_lifetime: Option<Duration>,
    scopes: Vec<String>,
    /// The caller must have at least one role of each list.
    roles: Vec<Vec<String>>,
}

/// The first requirement that a proof does not meet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unmet<'a> {
    /// The proof is meant for none of the audiences.
    Audience,
    /// The proof is not an access token of RFC 9068.
    AccessToken,
    /// The lifetime is too long or unknown.
    Lifetime,
    /// The caller lacks one of these scopes.
    Scopes(&'a [String]),
    /// The caller has none of these roles.
    Roles(&'a [String]),
}

impl Policy {
    /// Adds an audience. The proof must be meant for one of them.
    pub(crate) fn audience(&mut self, audience: impl Into<String>) {
        self.audiences.push(audience.into());
    }

    /// Replaces all audiences with this one.
    #[cfg(feature = "jwt")]
    pub(crate) fn only_audience(&mut self, audience: impl Into<String>) {
        self.audiences = vec![audience.into()];
    }

    #[cfg(feature = "jwt")]
    pub(crate) fn names_audience(&self) -> bool {
        !self.audiences.is_empty()
    }

    pub(crate) fn only_access_tokens(&mut self) {
        self.only_access_tokens = true;
    }

    pub(crate) fn max_lifetime(&mut self, lifetime: Duration) {
        self.max_lifetime = Some(self.max_lifetime.map_or(lifetime, |other| other.min(lifetime)));
    }

    pub(crate) fn scope(&mut self, scope: impl Into<String>) {
        self.scopes.push(scope.into());
    }

    /// Requires one of these roles. An empty list refuses every caller.
    pub(crate) fn any_role<T: Into<String>>(&mut self, roles: impl IntoIterator<Item = T>) {
        self.roles.push(roles.into_iter().map(Into::into).collect());
    }

    /// Checks a proof against all requirements.
    pub(crate) fn check(&self, auth: &AuthContext) -> Result<(), Unmet<'_>> {
        let is_ours = |audience: &str| self.audiences.iter().any(|ours| ours == audience);
        if !self.audiences.is_empty() && !auth.audiences().any(is_ours) {
            return Err(Unmet::Audience);
        }
        if self.only_access_tokens && !auth.is_access_token() {
            return Err(Unmet::AccessToken);
        }
        if let Some(longest) = self.max_lifetime {
            let from = auth.issued_at();
            // If the proof expires before it was issued, its lifetime is unknown.
            let lifetime = from.and_then(|from| auth.expires_at().duration_since(from).ok());
            if lifetime.is_none_or(|lifetime| lifetime > longest) {
                return Err(Unmet::Lifetime);
            }
        }
        if !self.scopes.iter().all(|scope| auth.has_scope(scope)) {
            return Err(Unmet::Scopes(&self.scopes));
        }
        for roles in &self.roles {
            if !roles.iter().any(|role| auth.has_role(role)) {
                return Err(Unmet::Roles(roles));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Policy, Unmet};
    use crate::{auth::AuthContext, clock::from_unix, id::Subject};
    use std::time::Duration;

    fn auth() -> AuthContext {
        AuthContext::new(Subject::new("ada").unwrap(), from_unix(1000))
    }

    fn policy(add: impl Fn(&mut Policy)) -> Policy {
        let mut policy = Policy::default();
        add(&mut policy);
        policy
    }

    #[test]
    fn a_later_requirement_does_not_remove_an_earlier_one() {
        let both = policy(|policy| {
            policy.any_role(["a"]);
            policy.any_role(["b", "c"]);
        });
        assert_eq!(both.check(&auth().with_roles(["a", "c"])), Ok(()));
        let (a, b) = (both.check(&auth().with_roles(["a"])), both.check(&auth().with_roles(["b"])));
        assert_eq!(a, Err(Unmet::Roles(&["b".to_owned(), "c".to_owned()])));
        assert_eq!(b, Err(Unmet::Roles(&["a".to_owned()])));
        let nobody = policy(|policy| policy.any_role(Vec::<String>::new()));
        assert_eq!(nobody.check(&auth().with_roles(["a"])), Err(Unmet::Roles(&[])));
        let scopes = policy(|policy| ["r", "w"].into_iter().for_each(|scope| policy.scope(scope)));
        assert_eq!(scopes.check(&auth().with_scopes(["w", "r"])), Ok(()));
        assert!(scopes.check(&auth().with_scopes(["w"])).is_err());
        for order in [[10, 20], [20, 10]] {
            let short = policy(|policy| {
                order.into_iter().for_each(|s| policy.max_lifetime(Duration::from_secs(s)));
            });
            assert_eq!(short.check(&auth().with_issued_at(from_unix(990))), Ok(()));
            let longer = auth().with_issued_at(from_unix(989));
            assert_eq!(short.check(&longer), Err(Unmet::Lifetime), "{order:?}");
        }
    }

    #[test]
    fn one_audience_is_enough_and_the_lifetime_must_be_known() {
        let chat = policy(|policy| ["chat", "admin"].into_iter().for_each(|a| policy.audience(a)));
        assert_eq!(chat.check(&auth().with_audiences(["x", "admin"])), Ok(()));
        assert_eq!(chat.check(&auth().with_audiences(["x"])), Err(Unmet::Audience));
        assert_eq!(chat.check(&auth()), Err(Unmet::Audience));
        let short = policy(|policy| policy.max_lifetime(Duration::from_secs(600)));
        assert_eq!(short.check(&auth()), Err(Unmet::Lifetime), "no `iat`");
        let backwards = auth().with_issued_at(from_unix(1001));
        assert_eq!(short.check(&backwards), Err(Unmet::Lifetime), "`exp` before `iat`");
        let kind = policy(Policy::only_access_tokens);
        assert_eq!(kind.check(&auth()), Err(Unmet::AccessToken));
        assert_eq!(kind.check(&auth().with_access_token(true)), Ok(()));
        assert_eq!(Policy::default().check(&auth()), Ok(()));
    }
}
