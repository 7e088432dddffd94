//! The three checks of [`RequireTenantScope`](crate::RequireTenantScope), one after the other.

use super::{
    auth::AuthCheck,
    context::ContextCheck,
    guard::GuardCheck,
    step::{AfterAuth, Check, FirstLook},
};
use http::{HeaderName, Request};

/// The check of [`RequireTenantScope`](crate::RequireTenantScope).
#[derive(Clone, Debug)]
pub struct ScopeCheck {
    pub(in crate::middleware) context: ContextCheck,
    pub(in crate::middleware) auth: AuthCheck,
}

impl Check for ScopeCheck {
    fn begin<B>(&self, request: &mut Request<B>) -> FirstLook {
        let FirstLook { step, span, echo } = self.context.begin(request);
        let step = step.and_then(|| {
            let step = span.in_scope(|| self.auth.step(request));
            let step = step.map_rest(|rest| AfterAuth { guard: true, ..rest });
            step.and_then(|| GuardCheck::step(request))
        });
        FirstLook { step, span, echo }
    }

    fn reads(&self) -> Vec<HeaderName> {
        [self.context.reads(), self.auth.reads()].concat()
    }
}

impl AsMut<ContextCheck> for ScopeCheck {
    fn as_mut(&mut self) -> &mut ContextCheck {
        &mut self.context
    }
}

impl AsMut<AuthCheck> for ScopeCheck {
    fn as_mut(&mut self) -> &mut AuthCheck {
        &mut self.auth
    }
}
