//! Who is granted a thread, and for how long.

use super::{
    Member, MemoryRegistry, Registered, ThreadGrant, ThreadRecord, ThreadRegistry,
    verify_thread_access,
};
use crate::{
    auth::{AuthContext, Revocation},
    clock::{Clock as _, from_unix, manual::ManualClock},
    event::{LastEventId, StreamEvent, tests::routing},
    id::{Env, Subject, TenantId, ThreadId},
    inbound::OnClaims,
    log::{MemoryLog, PublishError, Publisher},
    rejection::{BoxError, Rejection},
    scope::{TenantScope, tests as scopes},
};
use futures_util::FutureExt as _;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn record(tenant: &str, thread: &str) -> ThreadRecord {
    (&*routing(tenant, thread)).into()
}

pub(crate) fn grant(scope: TenantScope, thread: &str) -> ThreadGrant {
    let thread = ThreadId::new(thread).unwrap();
    let record = ThreadRecord::new(scope.tenant().clone(), scope.env().clone(), thread);
    ThreadGrant::new(scope, record)
}

/// Ignores what it is asked for, as a registry with global ids would.
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

async fn verify(registry: &impl ThreadRegistry, thread: &str) -> Result<(), String> {
    let scope = scopes::scope("t_a");
    let grant = verify_thread_access(registry, &scope, thread).await;
    grant.map(|_| ()).map_err(|rejection| rejection.to_string())
}

#[tokio::test]
async fn own_thread_is_granted_and_the_same_id_elsewhere_is_another_thread() {
    let registry = MemoryRegistry::new();
    assert_eq!(registry.register(record("t_a", "th")), Registered::New);
    assert_eq!(registry.register(record("t_a", "th")), Registered::Known);
    let elsewhere = registry.register(record("t_b", "th"));
    assert_eq!(elsewhere, Registered::New, "another tenant's is another thread");
    registry.register(record("t_b", "foreign"));
    verify(&registry, "th").await.unwrap();

    let forbidden = verify(&registry, "foreign").await.unwrap_err();
    assert!(forbidden.starts_with("thread.forbidden"));
    for same in ["unknown", "", "mal formed", "../th"] {
        assert_eq!(verify(&registry, same).await.as_ref(), Err(&forbidden), "{same}");
    }
}

#[tokio::test]
async fn what_the_registry_returns_is_compared_again() {
    let forbidden = verify(&Answers(Ok(None)), "th").await.unwrap_err();
    let foreign = Answers(Ok(Some(record("t_b", "th"))));
    assert_eq!(verify(&foreign, "th").await.as_ref(), Err(&forbidden));
    let other_thread = Answers(Ok(Some(record("t_a", "other"))));
    assert_eq!(verify(&other_thread, "th").await.as_ref(), Err(&forbidden));
    verify(&Answers(Ok(Some(record("t_a", "th")))), "th").await.unwrap();
}

#[tokio::test]
async fn a_registry_that_cannot_tell_is_not_a_no() {
    let error = verify(&Answers(Err("connection reset")), "th").await.unwrap_err();
    assert!(error.starts_with("registry.unavailable"));
    assert!(!error.contains("connection reset"));
}

#[tokio::test]
async fn a_kept_scope_is_no_permission_once_its_token_is_over() {
    let clock = ManualClock::at(1000);
    let auth = scopes::auth(&["t_a"], &["prod"]).with_clock(clock.shared());
    let scope = TenantScope::agree(&scopes::request("t_a", "prod"), &auth).unwrap();
    let registry = MemoryRegistry::new();
    registry.register(record("t_a", "th"));
    assert!(verify_thread_access(&registry, &scope, "th").await.is_ok());
    clock.advance(Duration::from_secs(u64::from(u32::MAX) * 100));
    let refused = verify_thread_access(&registry, &scope, "th").await.unwrap_err();
    assert_eq!(refused.code(), "auth.expired");
}

/// Takes its time: the token is withdrawn before it answers.
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
async fn a_token_that_is_withdrawn_while_the_registry_is_asked_is_granted_nothing() {
    let switch = Revocation::new();
    let auth = scopes::auth(&["t_a"], &["prod"]).with_revocation(switch.clone());
    let scope = TenantScope::agree(&scopes::request("t_a", "prod"), &auth).unwrap();
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
    TenantScope::agree(&scopes::request("t_a", "prod"), auth).unwrap()
}

#[tokio::test]
async fn members_are_subjects_of_an_issuer_unique_subjects_or_roles() {
    let of = |issuer: &str| Member::subject_of(issuer, "ada");
    let unique = Member::unique_subject;
    let role = Member::role;
    for (members, issuer, roles, admitted) in [
        (vec![of("https://a")], Some("https://a"), vec![], true),
        (vec![of("https://a")], Some("https://b"), vec![], false),
        (vec![of("https://a")], Some("https://a/"), vec![], false),
        (vec![of("https://a")], None, vec![], false),
        (vec![of("https://b"), of("https://a")], Some("https://a"), vec![], true),
        (vec![unique("ada")], Some("https://b"), vec![], true),
        (vec![unique("ada")], None, vec![], true),
        (vec![unique("bob"), role("ops")], None, vec!["x", "ops"], true),
        (vec![unique("bob"), role("ops")], None, vec!["dev"], false),
        (vec![role("ada")], None, vec![], false),
        (vec![Member::subject_of("ada", "https://a")], Some("https://a"), vec![], false),
        (vec![], None, vec!["ops"], false),
    ] {
        let record = record("t_a", "th").with_members(members.clone());
        let scope = scope(&auth(issuer, "ada", &roles));
        let granted = verify_thread_access(&Answers(Ok(Some(record))), &scope, "th").await;
        assert_eq!(granted.is_ok(), admitted, "{members:?} {issuer:?} {roles:?}");
    }
}

#[test]
fn registering_a_known_thread_with_other_members_says_that_nothing_changed() {
    let registry = MemoryRegistry::new();
    let with = |members: Vec<Member>| record("t_a", "th").with_members(members);
    let (ada, bob) = (Member::unique_subject("ada"), Member::unique_subject("bob"));
    assert_eq!(registry.register(with(vec![ada.clone(), bob.clone()])), Registered::New);
    assert_eq!(registry.register(with(vec![bob.clone(), ada])), Registered::Known);
    assert_eq!(registry.register(with(vec![bob.clone()])), Registered::KnownWithOtherMembers);
    assert_eq!(registry.register(record("t_a", "th")), Registered::KnownWithOtherMembers);
    let scope = scope(&auth(None, "ada", &[]));
    let verify = || verify_thread_access(&registry, &scope, "th").now_or_never().unwrap();
    assert!(verify().is_ok(), "nothing changed");
    assert!(registry.set_members(with(vec![bob.clone()])));
    assert_eq!(verify().unwrap_err().code(), "thread.forbidden");
    assert!(registry.set_members(record("t_a", "th")), "open to all");
    assert!(verify().is_ok());
    assert!(!registry.set_members(record("t_a", "unknown").with_members([bob])));
}

#[test]
fn a_thread_that_was_removed_stays_so_for_its_grants_whatever_becomes_of_its_record() {
    let registry = MemoryRegistry::new();
    registry.register(record("t_a", "th"));
    let scope = scope(&auth(None, "ada", &[]));
    let thread = ThreadId::new("th").unwrap();
    let found = registry.find(scope.tenant(), scope.env(), &thread).now_or_never().unwrap();
    let removed = found.unwrap().unwrap();
    let verify = || verify_thread_access(&registry, &scope, "th").now_or_never().unwrap();
    let grant = verify().unwrap();
    registry.remove(&routing("t_a", "th"));
    // Somebody who found the record before it was removed changes its members.
    assert!(!removed.take_members_of(&record("t_a", "th")));
    assert_eq!(grant.proof().check().unwrap_err().code(), "access.revoked");
    // Somebody registers the thread anew, by the record that was removed.
    assert_eq!(registry.register(removed.clone()), Registered::New);
    assert!(verify().is_ok(), "it is a new thread");
    assert!(registry.set_members(removed));
    assert_eq!(grant.proof().check().unwrap_err().code(), "access.revoked");
}

/// Every verb of a grant, and what it answers.
fn verbs(grant: &ThreadGrant, publisher: &Publisher<MemoryLog>, log: &MemoryLog) -> Vec<String> {
    fn code<T>(outcome: Result<T, impl Into<Rejection>>) -> String {
        outcome.map_or_else(|error| error.into().code().to_owned(), |_| "done".to_owned())
    }
    let text = r#"{"text":"hi"}"#;
    let received = grant.receive(text, OnClaims::Refuse);
    let event = StreamEvent::new(grant.routing().clone(), "x", "y").unwrap();
    let mut codes = vec![
        code(grant.subscribe(log, LastEventId::Earliest).now_or_never().unwrap()),
        code(grant.position(log).now_or_never().unwrap()),
        code(publisher.publish("x", "y").now_or_never().unwrap()),
        code(grant.publisher(log).publish("x", "y").now_or_never().unwrap()),
        code(grant.stamp(event)),
    ];
    #[cfg(feature = "tickets")]
    {
        let issuer = crate::TicketIssuer::in_memory();
        codes.push(code(issuer.issue(grant, log, LastEventId::Live).now_or_never().unwrap()));
        codes.push(code(issuer.issue_once(grant).now_or_never().unwrap()));
    }
    match received {
        Ok(message) => {
            codes.push("done".to_owned());
            codes.push(code(publisher.publish_message(message.clone()).now_or_never().unwrap()));
            codes.push(code(grant.publish(log, message).now_or_never().unwrap()));
        }
        Err(error) => codes.push(code(Err::<(), _>(error))),
    }
    codes
}

#[test]
fn no_verb_of_a_grant_outlives_its_proof() {
    let session = Revocation::new();
    let registry = MemoryRegistry::new();
    let clock = ManualClock::at(1000);
    let log = MemoryLog::new();
    // Whatever ends a proof, and what the verbs say then.
    let ends: [(&str, &dyn Fn()); 4] = [
        ("auth.expired", &|| clock.advance(Duration::from_secs(160))),
        ("access.revoked", &|| session.revoke()),
        ("access.revoked", &|| {
            let bob = Member::unique_subject("bob");
            assert!(registry.set_members(record("t_a", "th").with_members([bob])));
        }),
        ("access.revoked", &|| assert!(registry.remove(&routing("t_a", "th")))),
    ];
    for (n, (expected, end)) in ends.into_iter().enumerate() {
        registry.remove(&routing("t_a", "th"));
        registry.register(record("t_a", "th"));
        let auth = AuthContext::new(Subject::new("ada").unwrap(), clock.now() + SECOND * 100)
            .with_leeway(SECOND * 60)
            .with_clock(clock.shared())
            .with_tenants(["t_a"])
            .with_envs(["prod"]);
        let auth = if n == 1 { auth.with_revocation(session.clone()) } else { auth };
        let grant = verify_thread_access(&registry, &scope(&auth), "th").now_or_never().unwrap();
        let grant = grant.unwrap();
        let publisher = grant.publisher(&log);
        clock.advance(SECOND * 159);
        let before = verbs(&grant, &publisher, &log);
        assert!(before.iter().all(|code| code == "done"), "{n}: {before:?}");
        let message = grant.receive(r#"{"text":"in time"}"#, OnClaims::Refuse).unwrap();
        let published = log_len(&log);
        end();
        let after = verbs(&grant, &publisher, &log);
        assert!(after.iter().all(|code| code == expected), "{n}: {after:?}");
        let late = grant.publish(&log, message.clone()).now_or_never().unwrap();
        assert_eq!(late.unwrap_err().code(), expected, "received in time, published too late");
        assert!(publisher.publish_message(message).now_or_never().unwrap().is_err());
        assert_eq!(log_len(&log), published, "nothing got into the log");
    }
}

/// How many events the thread has.
fn log_len(log: &MemoryLog) -> u64 {
    let grant = grant(scopes::scope("t_a"), "th");
    grant.position(log).now_or_never().unwrap().unwrap().seq()
}

#[test]
fn a_publisher_takes_no_message_of_another_thread() {
    let log = MemoryLog::new();
    let [one, other] = ["th", "other"].map(|thread| grant(scopes::scope("t_a"), thread));
    let message = || one.receive("{}", OnClaims::Refuse).unwrap();
    let refused = other.publisher(&log).publish_message(message()).now_or_never().unwrap();
    assert!(matches!(refused, Err(PublishError::OtherThread)));
    let refused = other.publish(&log, message()).now_or_never().unwrap();
    assert_eq!(refused.unwrap_err().code(), "thread.forbidden");
    assert!(one.publish(&log, message()).now_or_never().unwrap().is_ok());
}
