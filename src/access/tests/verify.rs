//! Tests of `verify_thread_access`.

use super::Answers;
use crate::{
    access::{
        DynThreadRegistry, MemoryRegistry, Registered, ThreadRecord, ThreadRegistry,
        verify_thread_access,
    },
    auth::Revocation,
    id::{Env, TenantId, ThreadId},
    rejection::BoxError,
    scope::TenantScope,
    testing::{
        ManualClock,
        fixtures::{auth, record, request, routing, scope},
    },
};
use std::time::Duration;

async fn verify(registry: &impl ThreadRegistry, thread: &str) -> Result<(), String> {
    let scope = scope("t_a");
    let grant = verify_thread_access(registry, &scope, thread).await;
    grant.map(|_| ()).map_err(|rejection| rejection.to_string())
}

#[tokio::test]
async fn a_client_gets_a_grant_for_a_thread_of_its_own_tenant_only() {
    let registry = MemoryRegistry::new();
    assert_eq!(registry.register(record("t_a", "th")), Registered::New);
    assert_eq!(registry.register(record("t_a", "th")), Registered::Known);
    let elsewhere = registry.register(record("t_b", "th"));
    assert_eq!(elsewhere, Registered::New, "the same id in another tenant is another thread");
    registry.register(record("t_b", "foreign"));
    verify(&registry, "th").await.unwrap();

    let forbidden = verify(&registry, "foreign").await.unwrap_err();
    assert!(forbidden.starts_with("thread.forbidden"));
    for same in ["unknown", "", "mal formed", "../th"] {
        assert_eq!(verify(&registry, same).await.as_ref(), Err(&forbidden), "{same}");
    }
}

#[tokio::test]
async fn the_tenant_and_thread_of_the_returned_record_are_checked() {
    let forbidden = verify(&Answers(Ok(None)), "th").await.unwrap_err();
    let foreign = Answers(Ok(Some(record("t_b", "th"))));
    assert_eq!(verify(&foreign, "th").await.as_ref(), Err(&forbidden));
    let other_thread = Answers(Ok(Some(record("t_a", "other"))));
    assert_eq!(verify(&other_thread, "th").await.as_ref(), Err(&forbidden));
    verify(&Answers(Ok(Some(record("t_a", "th")))), "th").await.unwrap();
}

#[tokio::test]
async fn an_error_of_the_registry_is_refused_as_registry_unavailable() {
    let error = verify(&Answers(Err("connection reset")), "th").await.unwrap_err();
    assert!(error.starts_with("registry.unavailable"));
    assert!(!error.contains("connection reset"));
}

#[tokio::test]
async fn a_kept_scope_gives_no_grant_after_its_token_has_expired() {
    let clock = ManualClock::at(1000);
    let auth = auth(&["t_a"], &["prod"]).with_clock(clock.shared());
    let scope = TenantScope::agree(&request("t_a", "prod"), &auth).unwrap();
    let registry = MemoryRegistry::new();
    registry.register(record("t_a", "th"));
    assert!(verify_thread_access(&registry, &scope, "th").await.is_ok());
    clock.advance(Duration::from_secs(u64::from(u32::MAX) * 100));
    let refused = verify_thread_access(&registry, &scope, "th").await.unwrap_err();
    assert_eq!(refused.code(), "auth.expired");
}

#[tokio::test]
async fn a_dyn_thread_registry_gives_the_same_answers_as_the_registry_inside() {
    let threads = MemoryRegistry::new();
    threads.register(record("t_a", "th"));
    for registry in [
        DynThreadRegistry::new(threads.clone()),
        DynThreadRegistry::new(Answers(Ok(Some(record("t_a", "th"))))),
        // A registry in two `DynThreadRegistry`s gives the same answers.
        DynThreadRegistry::new(DynThreadRegistry::new(threads)),
    ] {
        verify(&registry, "th").await.unwrap();
    }
    let broken = DynThreadRegistry::new(Answers(Err("connection reset")));
    let error = verify(&broken, "th").await.unwrap_err();
    assert!(error.starts_with("registry.unavailable"), "{error}");
    let none = DynThreadRegistry::new(MemoryRegistry::new());
    assert!(verify(&none, "th").await.unwrap_err().starts_with("thread.forbidden"));
}

/// A registry that revokes the token before it answers.
struct Slow(Revocation);

impl ThreadRegistry for Slow {
    async fn find(
        &self,
        _: &TenantId,
        _: &Env,
        _: &ThreadId,
    ) -> Result<Option<ThreadRecord>, BoxError> {
        self.0.revoke();
        Ok(Some(record("t_a", "th")))
    }
}

#[tokio::test]
async fn a_token_that_is_revoked_while_the_registry_answers_gets_no_grant() {
    let switch = Revocation::new();
    let auth = auth(&["t_a"], &["prod"]).with_revocation(switch.clone());
    let scope = TenantScope::agree(&request("t_a", "prod"), &auth).unwrap();
    let refused = verify_thread_access(&Slow(switch), &scope, "th").await.unwrap_err();
    assert_eq!(refused.code(), "access.revoked");
}

#[tokio::test]
async fn a_removed_thread_is_unknown() {
    let registry = MemoryRegistry::new();
    registry.register(record("t_a", "th"));
    verify(&registry, "th").await.unwrap();
    assert!(registry.remove(&routing("t_a", "th")));
    assert!(!registry.remove(&routing("t_a", "th")));
    assert!(verify(&registry, "th").await.unwrap_err().starts_with("thread.forbidden"));
}
