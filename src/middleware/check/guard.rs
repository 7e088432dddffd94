//! The check that compares the request with the token.

use super::step::{Check, FirstLook, Step};
use crate::scope::Contexts;
use http::Request;

/// The check of [`TenantEnvGuard`](crate::TenantEnvGuard).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct GuardCheck;

impl GuardCheck {
    /// Makes the scope if request and token agree.
    pub(super) fn step<B>(request: &mut Request<B>) -> Step {
        Step::Decided(Contexts::conclude(request.extensions_mut()))
    }
}

impl Check for GuardCheck {
    fn begin<B>(&self, request: &mut Request<B>) -> FirstLook {
        Self::step(request).into()
    }
}
