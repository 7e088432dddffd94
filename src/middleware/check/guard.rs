//! The check that holds request and token against each other.

use super::step::{Begun, Check, Step};
use crate::scope::Contexts;
use http::Request;

/// The check of [`TenantEnvGuard`](crate::TenantEnvGuard).
#[derive(Clone, Copy, Debug)]
pub struct GuardCheck;

impl GuardCheck {
    /// Makes the scope.
    pub(super) fn step<B>(request: &mut Request<B>) -> Step {
        Step::Decided(Contexts::conclude(request.extensions_mut()))
    }
}

impl Check for GuardCheck {
    fn begin<B>(&self, request: &mut Request<B>) -> Begun {
        Self::step(request).into()
    }
}
