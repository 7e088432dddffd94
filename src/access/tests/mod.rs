//! Tests of access to threads.

mod members;
mod verbs;
mod verify;

use super::{ThreadRecord, ThreadRegistry};
use crate::{
    auth::AuthContext,
    clock::from_unix,
    id::{Env, Subject, TenantId, ThreadId},
    rejection::BoxError,
    scope::TenantScope,
    testing::fixtures::request,
};

/// A registry that gives the same answer for every thread.
struct Answers(Result<Option<ThreadRecord>, &'static str>);

impl ThreadRegistry for Answers {
    async fn find(
        &self,
        _: &TenantId,
        _: &Env,
        _: &ThreadId,
    ) -> Result<Option<ThreadRecord>, BoxError> {
        self.0.clone().map_err(Into::into)
    }
}

fn auth(issuer: Option<&str>, subject: &str, roles: &[&str]) -> AuthContext {
    let auth = AuthContext::new(Subject::new(subject).unwrap(), from_unix(u64::MAX))
        .with_tenants(["t_a"])
        .with_envs(["prod"])
        .with_roles(roles.iter().copied());
    match issuer {
        Some(issuer) => auth.with_issuer(issuer),
        None => auth,
    }
}

fn scope(auth: &AuthContext) -> TenantScope {
    TenantScope::agree(&request("t_a", "prod"), auth).unwrap()
}
