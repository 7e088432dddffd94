//! The items of a guarded stream, and its end.

use super::guarded::OnMismatch;
use crate::{
    access::{Member, MemoryRegistry, ThreadRecord, verify_thread_access},
    auth::{AuthContext, Revocation},
    clock::from_unix,
    delivery::{Delivery, Gap, GapReason, Outbound, Position},
    ending::Ending,
    event::StreamEvent,
    id::Subject,
    rejection::BoxError,
    scope::TenantScope,
    testing::{
        ManualClock,
        fixtures::{self as scopes, grant, routing},
    },
};
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use proptest::{collection::vec, prop_assert, prop_assert_eq, proptest};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

fn event(tenant: &str, thread: &str) -> StreamEvent {
    StreamEvent::new(routing(tenant, thread), "x", "y").unwrap()
}

/// The items of a guarded stream that never waits.
fn drained<S: Stream<Item = Outbound>>(stream: S) -> (Vec<StreamEvent>, Option<Ending>) {
    let mut events = Vec::new();
    let mut ending = None;
    for outbound in stream.collect::<Vec<_>>().now_or_never().expect("ready") {
        assert_eq!(ending, None, "the end is the last item");
        match outbound {
            Outbound::Event(stamped) => {
                assert_eq!(stamped.trace_id().as_str(), "req-1");
                events.push(stamped.event().clone());
            }
            Outbound::End(reason) => ending = Some(reason),
            Outbound::Position(_) | Outbound::Gap(_) => {}
        }
    }
    (events, ending)
}

proptest! {
    #[test]
    fn no_event_of_another_thread_comes_out_of_any_stream(
        // A small set of hostile ids: some are prefixes of others, and tenants and threads share them.
        routes in vec(("a|b|a-b|ab", "a|b|a-b|ab"), 0..60),
        close: bool,
    ) {
        let counter = Arc::new(AtomicU64::new(0));
        let events: Vec<_> = routes.iter().map(|(t, th)| event(t, th)).collect();
        let guarded = grant(scopes::scope("a"), "b").guard(stream::iter(events));
        let choice = if close { OnMismatch::Close } else { OnMismatch::Drop };
        let guarded = guarded.on_mismatch(choice).count_mismatches(counter.clone());
        let (out, ending) = drained(guarded);

        let ours = |(tenant, thread): &&(String, String)| tenant == "a" && thread == "b";
        prop_assert!(out.iter().all(|e| e.routing() == &*routing("a", "b")));
        let foreign = routes.iter().filter(|route| !ours(route)).count();
        if close {
            prop_assert_eq!(out.len(), routes.iter().take_while(ours).count());
            prop_assert_eq!(counter.load(Ordering::Relaxed), u64::from(foreign > 0));
        } else {
            prop_assert_eq!(out.len(), routes.len() - foreign);
            prop_assert_eq!(counter.load(Ordering::Relaxed), foreign as u64);
        }
        let failed = close && foreign > 0;
        let expected = if failed { Ending::SourceFailed } else { Ending::Complete };
        prop_assert_eq!(ending, Some(expected));
    }
}

#[test]
fn an_event_of_another_env_does_not_go_out() {
    let dev: crate::event::Routing = "a/dev/b".parse().unwrap();
    let source = stream::iter([StreamEvent::new(dev, "x", "y").unwrap()]);
    assert!(drained(grant(scopes::scope("a"), "b").guard(source)).0.is_empty());
}

#[test]
fn positions_and_gaps_of_another_thread_are_held_back_too() {
    let cursor = "0000000000000001-1".parse().unwrap();
    let foreign = routing("a", "other");
    let gap = Gap::new(&foreign, GapReason::Trimmed, cursor, cursor, Some(cursor));
    let source = [Delivery::from(Position::new(&foreign, cursor)), gap.into()];
    let counter = Arc::new(AtomicU64::new(0));
    let guarded = grant(scopes::scope("a"), "b").guard(stream::iter(source));
    let out = guarded.count_mismatches(counter.clone()).collect::<Vec<_>>();
    let out = out.now_or_never().expect("ready");
    assert!(matches!(out[..], [Outbound::End(Ending::Complete)]), "{out:?}");
    assert_eq!(counter.load(Ordering::Relaxed), 2);
}

#[test]
fn a_source_that_fails_ends_the_stream_for_that_reason() {
    let source = stream::iter([Ok(event("a", "b")), Err("boom"), Ok(event("a", "b"))]);
    let (out, ending) = drained(grant(scopes::scope("a"), "b").guard(source));
    assert_eq!((out.len(), ending), (1, Some(Ending::SourceFailed)));
}

fn expiring(clock: &ManualClock, at: u64, leeway: u64) -> TenantScope {
    let auth = AuthContext::new(Subject::new("ada").unwrap(), from_unix(at))
        .with_leeway(Duration::from_secs(leeway))
        .with_clock(clock.shared())
        .with_tenants(["a"])
        .with_envs(["prod"]);
    TenantScope::agree(&scopes::request("a", "prod"), &auth).unwrap()
}

#[tokio::test]
async fn an_idle_stream_ends_when_the_token_has_expired_and_its_leeway_has_passed() {
    let clock = ManualClock::at(1000);
    let source = stream::pending::<StreamEvent>();
    let guarded = grant(expiring(&clock, 8000, 60), "b").guard(source);
    let mut guarded = guarded.boxed();
    assert!(guarded.next().now_or_never().is_none());
    // First past the longest alarm, and then to the last second before the end.
    for step in [3600, 3400, 59] {
        clock.advance(Duration::from_secs(step));
        assert!(guarded.next().now_or_never().is_none(), "{step}");
    }
    let waiting = tokio::spawn(async move { guarded.next().await });
    tokio::task::yield_now().await;
    clock.advance(Duration::from_secs(1));
    let last = waiting.await.unwrap();
    assert!(matches!(last, Some(Outbound::End(Ending::AuthExpired))), "{last:?}");
}

#[tokio::test]
async fn a_source_that_is_never_idle_does_not_outlive_the_token() {
    let clock = ManualClock::at(1000);
    let ticking = clock.clone();
    let source = stream::repeat_with(move || {
        ticking.advance(Duration::from_secs(1));
        event("a", "b")
    });
    let guarded = grant(expiring(&clock, 1100, 0), "b").guard(source);
    let out: Vec<_> = guarded.collect().await;
    assert_eq!(out.len(), 100, "one event a second, and then the end");
    assert!(matches!(out.last(), Some(Outbound::End(Ending::AuthExpired))));
}

#[test]
fn a_source_that_is_never_idle_does_not_outlive_a_revocation() {
    let (session, mut left) = (Revocation::new(), 3);
    let switch = session.clone();
    let source = stream::repeat_with(move || {
        left -= 1;
        if left == 0 {
            switch.revoke();
        }
        event("a", "b")
    });
    let auth = scopes::auth(&["a"], &["prod"]).with_revocation(session);
    let scope = TenantScope::agree(&scopes::request("a", "prod"), &auth).unwrap();
    let (out, ending) = drained(grant(scope, "b").guard(source.take(100)));
    assert_eq!((out.len(), ending), (2, Some(Ending::AccessRevoked)));
}

#[tokio::test]
async fn an_idle_stream_ends_at_a_revocation() {
    let session = Revocation::new();
    let auth = scopes::auth(&["a"], &["prod"]).with_revocation(session.clone());
    let scope = TenantScope::agree(&scopes::request("a", "prod"), &auth).unwrap();
    let mut guarded = grant(scope, "b").guard(stream::pending::<StreamEvent>()).boxed();
    let waiting = tokio::spawn(async move { guarded.next().await });
    tokio::task::yield_now().await;
    session.revoke();
    let last = tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap();
    assert!(matches!(last, Some(Outbound::End(Ending::AccessRevoked))), "{last:?}");
}

#[tokio::test]
async fn a_flood_of_foreign_events_yields_to_other_tasks() {
    let source = stream::repeat_with(|| event("a", "other"));
    let mut guarded = grant(scopes::scope("a"), "b").guard(source).boxed();
    assert!(guarded.next().now_or_never().is_none(), "the poll ends although the source does not");
}

#[test]
fn deliveries_and_results_of_deliveries_can_be_guarded() {
    let cursor = "0000000000000001-1".parse().unwrap();
    let position = Position::new(&routing("a", "b"), cursor);
    let plain = stream::iter([Delivery::from(event("a", "b")), position.into()]);
    assert_eq!(drained(grant(scopes::scope("a"), "b").guard(plain)).0.len(), 1);
    let results = stream::iter([Ok::<_, BoxError>(event("a", "b"))]);
    assert_eq!(drained(grant(scopes::scope("a"), "b").guard(results)).0.len(), 1);
}

#[tokio::test]
async fn only_the_streams_of_a_removed_member_end() {
    let threads = MemoryRegistry::new();
    let members = |names: &[&str]| {
        let members = names.iter().map(|name| Member::unique_subject(*name));
        ThreadRecord::from(&*routing("a", "b")).with_members(members.collect::<Vec<_>>())
    };
    threads.register(members(&["ada", "bob", "eve"]));
    let open = |name: &'static str| {
        let auth = AuthContext::new(Subject::new(name).unwrap(), from_unix(u64::MAX))
            .with_tenants(["a"])
            .with_envs(["prod"]);
        let scope = TenantScope::agree(&scopes::request("a", "prod"), &auth).unwrap();
        let grant = verify_thread_access(&threads, &scope, "b").now_or_never().unwrap().unwrap();
        let mut stream = grant.guard(stream::pending::<StreamEvent>()).boxed();
        tokio::spawn(async move { stream.next().await })
    };
    let (ada, bob, eve) = (open("ada"), open("bob"), open("eve"));
    let settle = || async {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    };
    settle().await;
    // Remove two members, one after the other, so that the remaining streams must wait again in between.
    threads.set_members(members(&["ada", "bob"]));
    let ended = eve.await.unwrap();
    assert!(matches!(ended, Some(Outbound::End(Ending::AccessRevoked))), "{ended:?}");
    settle().await;
    assert!(!ada.is_finished() && !bob.is_finished());
    threads.set_members(members(&["ada"]));
    let ended = bob.await.unwrap();
    assert!(matches!(ended, Some(Outbound::End(Ending::AccessRevoked))), "{ended:?}");
    settle().await;
    assert!(!ada.is_finished());
    threads.set_members(&*routing("a", "b"));
    settle().await;
    assert!(!ada.is_finished(), "a thread that is open to all is open to Ada");
    threads.remove(&routing("a", "b"));
    let ended = ada.await.unwrap();
    assert!(matches!(ended, Some(Outbound::End(Ending::AccessRevoked))), "{ended:?}");
}

#[test]
fn a_source_that_is_never_idle_does_not_outlive_the_membership() {
    let threads = MemoryRegistry::new();
    threads.register(&*routing("a", "b"));
    let scope = scopes::scope("a");
    let grant = verify_thread_access(&threads, &scope, "b").now_or_never().unwrap().unwrap();
    let mut left = 3;
    let source = stream::repeat_with(move || {
        left -= 1;
        if left == 0 {
            threads.remove(&routing("a", "b"));
        }
        event("a", "b")
    });
    let (out, ending) = drained(grant.guard(source.take(100)));
    assert_eq!((out.len(), ending), (2, Some(Ending::AccessRevoked)));
}

#[test]
fn the_end_of_the_proof_overrules_the_ending_of_the_source() {
    let at = "0000000000000001-1".parse().unwrap();
    let gap = || Gap::new(&routing("a", "b"), GapReason::Trimmed, at, at, None);
    let session = Revocation::new();
    let auth = scopes::auth(&["a"], &["prod"]).with_revocation(session.clone());
    let scope = TenantScope::agree(&scopes::request("a", "prod"), &auth).unwrap();
    let mut closing = grant(scope, "b").guard(stream::iter([gap()])).boxed();
    let mut next = || closing.next().now_or_never().unwrap();
    assert!(matches!(next(), Some(Outbound::Gap(_))));
    session.revoke();
    let last = next();
    assert!(matches!(last, Some(Outbound::End(Ending::AccessRevoked))), "{last:?}");
    assert!(next().is_none());
}

/// tokio makes a task yield after a number of polls. A stream that becomes idle for the first time at
/// that moment still wakes at a revocation.
#[tokio::test]
async fn a_revocation_wakes_a_stream_that_became_idle_when_tokio_made_its_task_yield() {
    for items in 100..160 {
        let (send, receive) = tokio::sync::mpsc::unbounded_channel();
        (0..items).for_each(|_| send.send(event("a", "b")).unwrap());
        let source = stream::unfold(receive, async |mut receive| {
            let event = receive.recv().await?;
            Some((event, receive))
        });
        let session = Revocation::new();
        let auth = scopes::auth(&["a"], &["prod"]).with_revocation(session.clone());
        let scope = TenantScope::agree(&scopes::request("a", "prod"), &auth).unwrap();
        let mut guarded = grant(scope, "b").guard(source).boxed();
        let reading = tokio::spawn(async move {
            loop {
                match guarded.next().await {
                    Some(Outbound::End(ending)) => return ending,
                    Some(_) => {}
                    None => panic!("the stream gives its end"),
                }
            }
        });
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        session.revoke();
        let ending = tokio::time::timeout(Duration::from_secs(60), reading).await;
        assert_eq!(ending.unwrap().unwrap(), Ending::AccessRevoked, "{items}");
        drop(send);
    }
}
