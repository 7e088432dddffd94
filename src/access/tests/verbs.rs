//! Tests of the methods of a grant, before and after the end of its proof.

use super::scope;
use crate::{
    access::{Member, MemoryRegistry, ThreadGrant, verify_thread_access},
    auth::{AuthContext, Revocation},
    clock::Clock as _,
    event::{LastEventId, StreamEvent},
    id::Subject,
    inbound::OnForeignMembers,
    log::{MemoryLog, PublishError, Publisher},
    rejection::Rejection,
    testing::{
        ManualClock,
        fixtures::{self as scopes, grant, record, routing},
    },
};
use futures_util::FutureExt as _;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Calls every method of a grant, and returns the code of each result.
fn verbs(grant: &ThreadGrant, publisher: &Publisher<MemoryLog>, log: &MemoryLog) -> Vec<String> {
    fn code<T>(outcome: Result<T, impl Into<Rejection>>) -> String {
        outcome.map_or_else(|error| error.into().code().to_owned(), |_| "done".to_owned())
    }
    let text = r#"{"text":"hi"}"#;
    let received = grant.receive(text, OnForeignMembers::Refuse);
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
fn every_method_of_a_grant_refuses_after_the_end_of_its_proof() {
    let session = Revocation::new();
    let registry = MemoryRegistry::new();
    let clock = ManualClock::at(1000);
    let log = MemoryLog::new();
    // Each way to end a proof, and the code of the methods afterwards.
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
        let message = grant.receive(r#"{"text":"in time"}"#, OnForeignMembers::Refuse).unwrap();
        let published = log_len(&log);
        end();
        let after = verbs(&grant, &publisher, &log);
        assert!(after.iter().all(|code| code == expected), "{n}: {after:?}");
        let late = grant.publish(&log, message.clone()).now_or_never().unwrap();
        assert_eq!(
            late.unwrap_err().code(),
            expected,
            "received before the end, published after it"
        );
        assert!(publisher.publish_message(message).now_or_never().unwrap().is_err());
        assert_eq!(log_len(&log), published, "the log must not store anything");
    }
}

/// The number of events of the thread.
fn log_len(log: &MemoryLog) -> u64 {
    let grant = grant(scopes::scope("t_a"), "th");
    grant.position(log).now_or_never().unwrap().unwrap().seq()
}

#[test]
fn a_publisher_refuses_a_message_of_another_thread() {
    let log = MemoryLog::new();
    let [one, other] = ["th", "other"].map(|thread| grant(scopes::scope("t_a"), thread));
    let message = || one.receive("{}", OnForeignMembers::Refuse).unwrap();
    let refused = other.publisher(&log).publish_message(message()).now_or_never().unwrap();
    assert!(matches!(refused, Err(PublishError::OtherThread)));
    let refused = other.publish(&log, message()).now_or_never().unwrap();
    assert_eq!(refused.unwrap_err().code(), "thread.forbidden");
    assert!(one.publish(&log, message()).now_or_never().unwrap().is_ok());
}
