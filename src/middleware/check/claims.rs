//! The check of the requirements for tokens on some routes.

use super::step::{Check, FirstLook, Step};
use crate::{
    auth::{AuthContext, Policy, Texts, Unmet},
    rejection::{Rejection, RejectionKind},
};
use http::Request;
use std::sync::Arc;

/// The check of [`RequireClaims`](crate::RequireClaims).
#[derive(Clone, Debug, Default)]
pub struct ClaimsCheck(Arc<Policy>);

impl ClaimsCheck {
    /// Adds a requirement.
    pub(in crate::middleware) fn with(mut self, add: impl FnOnce(&mut Policy)) -> Self {
        add(Arc::make_mut(&mut self.0));
        self
    }

    fn allow(&self, auth: &AuthContext) -> Result<(), Rejection> {
        let invalid = |why: &'static str| {
            Err(Rejection::new(RejectionKind::AuthInvalid).with_detail(why).with_source(why))
        };
        let insufficient = |what: &str, needed: String, has: &Texts| {
            let rejection = Rejection::new(RejectionKind::InsufficientScope)
                .with_detail(format!("The token needs {what}: {needed}."));
            match has.unread() {
                Some(found) => rejection.with_source(format!(
                    "the token has none, because the claim is malformed: found {found}"
                )),
                None => rejection,
            }
        };
        match self.0.check(auth) {
            Ok(()) => Ok(()),
            Err(Unmet::Audience) => invalid("This route needs a token with another audience."),
            Err(Unmet::AccessToken) => invalid(
                "The token is not an access token of RFC 9068: its `typ` is not `at+jwt`, or a claim is missing.",
            ),
            Err(Unmet::Lifetime) => {
                invalid("The lifetime of the token is too long for this route, or it has no `iat`.")
            }
            Err(Unmet::Scopes(scopes)) => {
                let scope = scopes.join(" ");
                let has = &auth.0.scopes;
                Err(insufficient("these scopes", scope.clone(), has).with_required_scopes(scope))
            }
            Err(Unmet::Roles(roles)) => {
                Err(insufficient("one of these roles", roles.join(", "), &auth.0.roles))
            }
        }
    }
}

impl Check for ClaimsCheck {
    fn begin<B>(&self, request: &mut Request<B>) -> FirstLook {
        let auth = AuthContext::from_extensions(request.extensions());
        Step::Decided(auth.and_then(|auth| self.allow(auth))).into()
    }
}
