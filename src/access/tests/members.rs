//! Tests of a thread's members, and of changes of them.

use super::{Answers, auth, scope};
use crate::{
    access::{Member, MemoryRegistry, Registered, ThreadRegistry as _, verify_thread_access},
    id::ThreadId,
    testing::fixtures::{record, routing},
};
use futures_util::FutureExt as _;

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
fn register_returns_whether_a_known_thread_has_other_members_and_changes_nothing() {
    let registry = MemoryRegistry::new();
    let with = |members: Vec<Member>| record("t_a", "th").with_members(members);
    let (ada, bob) = (Member::unique_subject("ada"), Member::unique_subject("bob"));
    assert_eq!(registry.register(with(vec![ada.clone(), bob.clone()])), Registered::New);
    assert_eq!(registry.register(with(vec![bob.clone(), ada])), Registered::Known);
    assert_eq!(registry.register(with(vec![bob.clone()])), Registered::KnownWithOtherMembers);
    assert_eq!(registry.register(record("t_a", "th")), Registered::KnownWithOtherMembers);
    let scope = scope(&auth(None, "ada", &[]));
    let verify = || verify_thread_access(&registry, &scope, "th").now_or_never().unwrap();
    assert!(verify().is_ok(), "the members must not change");
    assert!(registry.set_members(with(vec![bob.clone()])));
    assert_eq!(verify().unwrap_err().code(), "thread.forbidden");
    assert!(registry.set_members(record("t_a", "th")), "open to everybody");
    assert!(verify().is_ok());
    assert!(!registry.set_members(record("t_a", "unknown").with_members([bob])));
}

#[test]
fn grants_of_a_removed_thread_stay_revoked_even_if_its_record_is_registered_again() {
    let registry = MemoryRegistry::new();
    registry.register(record("t_a", "th"));
    let scope = scope(&auth(None, "ada", &[]));
    let thread = ThreadId::new("th").unwrap();
    let found = registry.find(scope.tenant(), scope.env(), &thread).now_or_never().unwrap();
    let removed = found.unwrap().unwrap();
    let verify = || verify_thread_access(&registry, &scope, "th").now_or_never().unwrap();
    let grant = verify().unwrap();
    registry.remove(&routing("t_a", "th"));
    // A record that was found before the removal cannot change the members.
    assert!(!removed.replace_members(&record("t_a", "th")));
    assert_eq!(grant.proof().check().unwrap_err().code(), "access.revoked");
    // Register the thread again with the removed record.
    assert_eq!(registry.register(removed.clone()), Registered::New);
    assert!(verify().is_ok(), "it is a new thread");
    assert!(registry.set_members(removed));
    assert_eq!(grant.proof().check().unwrap_err().code(), "access.revoked");
}
