//! What the hot paths allocate, counted: a figure that no noise of the machine changes.
//!
//! In a binary of its own, since it counts for the whole of one.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

#[path = "../benches/fanout/token.rs"]
mod token;

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use futures_util::{FutureExt as _, Stream as _, stream};
use http::{HeaderName, HeaderValue, Request, Response, header};
use http_body::Body as _;
use http_body_util::Full;
use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};
use token::SECRET;
use tower::{Layer as _, Service, service_fn};
use tower_tenancy::{
    AuthContext, AuthRequest, LastEventId, Member, MemoryLog, MemoryRegistry, Publisher,
    RequireTenantScope, Routing, StreamEvent, Subject, TenantScope, ThreadGrant, ThreadRecord,
    Verdict,
    auth::{Algorithm, JwtKey, JwtVerifier, Revocation, TokenCache},
    verify_thread_access,
};

fn request(id: Option<&str>) -> Request<()> {
    let mut request = Request::new(());
    let headers = [
        ("x-tenant-id", "t_alpha".to_owned()),
        ("x-env", "prod".to_owned()),
        ("authorization", format!("Bearer {}", token::mint().unwrap())),
    ];
    for (name, value) in headers.into_iter().chain(id.map(|id| ("x-request-id", id.to_owned()))) {
        // As hyper does it: all values share the buffer that they were read into.
        let buffer = Bytes::from(value);
        let value = HeaderValue::from_maybe_shared(buffer.clone()).unwrap();
        request.headers_mut().insert(HeaderName::from_static(name), value);
    }
    request
}

type Answer = Ready<Result<Response<Full<Bytes>>, Infallible>>;

/// Hands the scope out, if there is one.
fn scoped(request: Request<()>) -> Answer {
    let mut response = Response::new(Full::default());
    if let Ok(scope) = TenantScope::from_extensions(request.extensions()) {
        response.extensions_mut().insert(scope.clone());
    }
    ready(Ok(response))
}

/// Answers with a header, as any real service does: room for the echoed id is there.
fn no_op(request: Request<()>) -> Answer {
    drop(request);
    let mut response = Response::new(Full::default());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    ready(Ok(response))
}

/// What a service does before this at the very least: it stores one context.
fn stores_one_context(mut request: Request<()>) -> Answer {
    request.extensions_mut().insert([0_u8; 200]);
    no_op(request)
}

fn tenancy() -> RequireTenantScope {
    let key = JwtKey::hmac(Algorithm::HS256, SECRET).unwrap();
    let verifier = JwtVerifier::builder().key(key).cache(TokenCache::new(100));
    RequireTenantScope::new(verifier.build().unwrap())
}

/// The id is stored once more where tower-http's layers look for it.
const SHARED_ID: u64 = cfg!(feature = "tower-http") as u64;

/// Counted for the second request: the first one fills the cache and starts what starts once.
fn counted<S>(mut service: S, id: Option<&str>) -> AllocationInfo
where
    S: Service<Request<()>, Response = Response<Full<Bytes>>, Error = Infallible>,
{
    let mut call = |request| drop(service.call(request).now_or_never().unwrap().unwrap());
    call(request(id));
    let second = request(id);
    measure(|| call(second))
}

fn grant(id: &str) -> ThreadGrant {
    let thread: Routing = "t_alpha/prod/th".parse().unwrap();
    let registry = MemoryRegistry::new();
    registry.register(&thread);
    let mut service = tenancy().layer(service_fn(scoped));
    let response = service.call(request(Some(id))).now_or_never().unwrap().unwrap();
    let scope = response.extensions().get::<TenantScope>().unwrap();
    verify_thread_access(&registry, scope, thread.thread()).now_or_never().unwrap().unwrap()
}

#[test]
fn guards_allocate_what_storing_one_context_does() {
    let id = Some("0190b3e0-0000-7000-8000-000000000000");
    let bare = counted(service_fn(no_op), id);
    let one = counted(service_fn(stores_one_context), id);
    let guarded = counted(tenancy().layer(service_fn(no_op)), id);
    assert!(one.count_total > bare.count_total, "{one:?}");
    assert_eq!(guarded.count_total, one.count_total + SHARED_ID, "{guarded:?}");
}

#[test]
fn a_request_without_an_id_costs_the_header_that_bears_it_and_no_more() {
    let one = counted(service_fn(stores_one_context), None);
    let guarded = counted(tenancy().layer(service_fn(no_op)), None);
    // The header's bytes, and that request and response share them.
    assert_eq!(guarded.count_total, one.count_total + 2 + SHARED_ID, "{guarded:?}");
}

fn events(count: usize) -> Vec<StreamEvent> {
    let routing: Routing = "t_alpha/prod/th".parse().unwrap();
    let event = StreamEvent::new(routing, "message", &"x".repeat(256)).unwrap();
    vec![event; count]
}

#[test]
fn the_adapter_allocates_nothing_for_an_event() {
    for id in ["r-1", "0190b3e0-0000-7000-8000-000000000000"] {
        let mut guarded = pin!(grant(id).guard(stream::iter(events(1000))));
        let mut cx = Context::from_waker(Waker::noop());
        let counted = measure(|| {
            for _ in 0..1000 {
                let Poll::Ready(Some(outbound)) = guarded.as_mut().poll_next(&mut cx) else {
                    unreachable!("there are 1000 events")
                };
                drop(outbound);
            }
        });
        assert_eq!(counted.count_total, 0, "{counted:?}");
    }
}

#[test]
fn an_event_of_a_log_costs_its_frame_and_nothing_else() {
    let log = MemoryLog::new();
    let publisher = Publisher::without_proof(log.clone(), grant("r-1").routing().clone());
    let grant = grant("r-2");
    let events = grant.subscribe(&log, LastEventId::Live).now_or_never().unwrap().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _in_runtime = runtime.enter();
    let mut body = Box::pin(grant.guard(events).into_sse());
    let mut frames = || {
        let mut cx = Context::from_waker(Waker::noop());
        let mut frames = 0;
        while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
            drop(frame.unwrap());
            frames += 1;
        }
        frames
    };
    let publish = || {
        publisher.publish("message", "hello").now_or_never().unwrap().unwrap();
    };
    // The opening, timers, and room to wait in.
    publish();
    assert_eq!(frames(), 1);
    publish();
    assert_eq!(frames(), 1);
    publish();
    let counted = measure(|| assert_eq!(frames(), 1));
    assert_eq!(counted.count_total, 1, "{counted:?}");
}

/// A token that says so, signed.
fn signed(claims: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use jsonwebtoken::{EncodingKey, crypto::aws_lc::DEFAULT_PROVIDER};

    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signer = (DEFAULT_PROVIDER.signer_factory)(&Algorithm::HS256, &key).unwrap();
    let signature = signer.try_sign(message.as_bytes()).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn a_cache_of_tokens_keeps_no_more_than_its_bound_whatever_the_tokens_say() {
    /// What an empty cache takes.
    const FIXED: i64 = 24 * 1024;
    const BOUND: usize = 1024 * 1024;

    let list = |item: &str, count| vec![item; count].join(",");
    let many = |item: &str, count| {
        let list = list(item, count);
        move |i| format!(r#"{{"sub":"{i}","exp":9999999999,"roles":[{list}]}}"#)
    };
    let long = "s".repeat(240);
    let tenants = list("\"t\"", 500);
    let kinds: Vec<(&str, Box<dyn Fn(usize) -> String>)> = vec![
        ("small", Box::new(many("", 0))),
        ("empty roles", Box::new(many("\"\"", 512))),
        // One more than its list had room for, so that it has nearly twice the room.
        ("a list that has just grown", Box::new(many("\"\"", 257))),
        ("short roles", Box::new(many("\"editor\"", 500))),
        ("long roles", Box::new(many(&format!("{long:?}"), 20))),
        (
            "roles a little too long to stand in place",
            Box::new(many(&format!("{:?}", "r".repeat(41)), 120)),
        ),
        ("long subjects", Box::new(move |i| format!(r#"{{"sub":"{long}{i}","exp":9999999999}}"#))),
        (
            "everything at once",
            Box::new(move |i| {
                format!(
                    r#"{{"sub":"{i}","exp":9999999999,"iss":"{}","actor_type":"{}","tenant_ids":[{tenants}],"scope":"{}"}}"#,
                    "i".repeat(100),
                    "k".repeat(60),
                    "s ".repeat(500)
                )
            }),
        ),
        (
            "of the largest size",
            Box::new(|i| {
                format!(r#"{{"sub":"{i}","exp":9999999999,"x":"{}"}}"#, "x".repeat(12_000))
            }),
        ),
    ];
    let mut mixed = Vec::new();
    for (kind, claims) in kinds {
        let tokens: Vec<_> = (0..2000).map(|i| signed(&claims(i))).collect();
        mixed.extend(tokens.iter().step_by(5).cloned());
        fills(kind, &tokens, BOUND, FIXED);
    }
    // Tables that were wide for small ones do not stay so for large ones.
    fills("mixed", &mixed, BOUND, FIXED);
}

/// Fills a cache, measures what it holds, and holds that against its bound.
fn fills(kind: &str, tokens: &[String], bound: usize, fixed: i64) {
    let key = JwtKey::hmac(Algorithm::HS256, SECRET).unwrap();
    let verifier = |cache: &TokenCache| {
        JwtVerifier::builder().key(key.clone()).cache(cache.clone()).build().unwrap()
    };
    // What starts once, starts before.
    verifier(&TokenCache::bounded(10_000, bound)).verify(tokens.first().unwrap()).unwrap();
    let mut cache = None;
    let held = measure(|| {
        let filled = TokenCache::bounded(10_000, bound);
        let verifier = verifier(&filled);
        for token in tokens {
            drop(verifier.verify(token).unwrap());
        }
        cache = Some((filled, verifier));
    });
    let (cache, _verifier) = cache.unwrap();
    let counted = cache.bytes();
    assert!(counted <= bound, "{kind}: {counted}");
    assert!(held.bytes_current <= counted as i64 + fixed, "{kind}: {counted} counted, {held:?}");
    // And it is filled: the count is no exaggeration.
    assert!(held.bytes_current >= bound as i64 / 2, "{kind}: {held:?}");
}

#[test]
fn a_token_that_is_remembered_costs_no_allocation() {
    let key = JwtKey::hmac(Algorithm::HS256, SECRET).unwrap();
    let verifier = JwtVerifier::builder().key(key).cache(TokenCache::new(100)).build().unwrap();
    let token = token::mint().unwrap();
    verifier.verify(&token).unwrap();
    let counted = measure(|| drop(verifier.verify(&token).unwrap()));
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn an_idle_stream_keeps_less_than_a_kibibyte() {
    let log = MemoryLog::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _in_runtime = runtime.enter();
    let threads = MemoryRegistry::new();
    let thread: Routing = "t_alpha/prod/th".parse().unwrap();
    threads.register(&thread);
    // What the thread and its first reader take once, and the scope, which is the request's.
    let first = grant("0190b3e0-0000-7000-8000-000000000000");
    let _reader = first.subscribe(&log, LastEventId::Live).now_or_never().unwrap().unwrap();
    let scope = first.scope().clone();
    let mut stream = None;
    let kept = measure(|| {
        let grant = verify_thread_access(&threads, &scope, thread.thread()).now_or_never().unwrap();
        let grant = grant.unwrap();
        let events = grant.subscribe(&log, LastEventId::Live).now_or_never().unwrap().unwrap();
        let mut body = Box::pin(grant.guard(events).into_sse());
        let mut cx = Context::from_waker(Waker::noop());
        while body.as_mut().poll_frame(&mut cx).is_ready() {}
        stream = Some(body);
    });
    assert!(kept.bytes_current < 1024, "{kept:?}");
    drop(stream);
}

#[test]
fn a_look_up_of_a_thread_copies_none_of_its_members() {
    let registry = MemoryRegistry::new();
    let thread: Routing = "t_alpha/prod/th".parse().unwrap();
    let scope = grant("r-1").scope().clone();
    let caller = Member::unique_subject(scope.subject().as_str());
    let others = (0..50_000).map(|n| Member::subject_of("https://id.example", format!("u{n}")));
    let others: Vec<_> = others.collect();
    let look_up = |members: Vec<Member>, thread: &str| {
        registry.set_members(
            ThreadRecord::from(&"t_alpha/prod/th".parse().unwrap()).with_members(members),
        );
        let verify = || verify_thread_access(&registry, &scope, thread).now_or_never().unwrap();
        let is_member = verify().is_ok();
        (is_member, measure(|| drop(verify())).bytes_total)
    };
    registry.register(&thread);
    let with_caller = [others.clone(), vec![caller]].concat();
    for (members, thread, expected) in
        [(with_caller, "th", true), (others.clone(), "th", false), (others, "unknown", false)]
    {
        let (is_member, bytes) = look_up(members, thread);
        assert_eq!(is_member, expected);
        assert!(bytes < 2048, "{thread}: {bytes} bytes for a thread of 50,000 members");
    }
}

/// What a token with so many roles and scopes proves.
fn auth(roles: usize) -> AuthContext {
    let texts = |what: &str| (0..roles).map(|i| format!("{what}{i}")).collect::<Vec<_>>();
    let subject = Subject::new("ada").unwrap();
    AuthContext::new(subject, SystemTime::now() + Duration::from_secs(600))
        .with_tenants(["t_alpha"])
        .with_envs(["prod"])
        .with_issuer("https://an.issuer.with.a.name.longer.than.forty.bytes.test/")
        .with_roles(texts("r"))
        .with_scopes(texts("s"))
}

#[test]
fn clones_share_the_lists_of_a_token_also_when_something_is_added_to_them() {
    let revocation = Revocation::new();
    let added = |roles| {
        let auth = auth(roles);
        measure(|| drop(auth.clone().with_revocation(revocation.clone())))
    };
    let (few, many) = (added(2), added(1000));
    assert_eq!((few.count_total, few.bytes_total), (many.count_total, many.bytes_total));
}

#[cfg(feature = "tickets")]
fn grant_of(auth: AuthContext) -> ThreadGrant {
    let tenant = auth.tenants().next().unwrap().to_owned();
    let authenticator = move |_: &AuthRequest<'_>| Verdict::Ready(Ok(auth.clone()));
    let mut service = RequireTenantScope::new(authenticator).layer(service_fn(scoped));
    let mut request = request(None);
    request.headers_mut().insert("x-tenant-id", tenant.parse().unwrap());
    let response = service.call(request).now_or_never().unwrap().unwrap();
    let scope = response.extensions().get::<TenantScope>().unwrap();
    let threads = MemoryRegistry::new();
    threads.register(&format!("{tenant}/prod/th").parse::<Routing>().unwrap());
    verify_thread_access(&threads, scope, "th").now_or_never().unwrap().unwrap()
}

/// How many bytes the tickets of `grants` keep, one each, and for how many they count.
#[cfg(feature = "tickets")]
fn tickets(grants: &[ThreadGrant]) -> (usize, usize) {
    use tower_tenancy::{TicketIssuer, ticket::MemoryTickets};
    let store = Arc::new(MemoryTickets::new());
    let issuer = TicketIssuer::new(Arc::clone(&store));
    let kept = measure(|| {
        for grant in grants {
            drop(issuer.issue_once(grant).now_or_never().unwrap().unwrap());
        }
    });
    (usize::try_from(kept.bytes_current).unwrap(), store.bytes())
}

#[cfg(feature = "tickets")]
#[test]
fn tickets_share_the_lists_of_their_token_and_count_for_no_less_than_they_keep() {
    let of = |roles: usize| {
        let auth = auth(roles);
        let grants: Vec<_> = (0..32).map(|_| grant_of(auth.clone())).collect();
        tickets(&grants)
    };
    let ((few, counted_few), (many, counted_many)) = (of(2), of(100));
    assert_eq!(few, many, "shared");
    assert!(few <= counted_few, "{few} bytes are kept, and {counted_few} counted");
    // In full: the token may be gone before the ticket is.
    assert!(counted_many > counted_few + 32 * 2 * 100 * 30, "{counted_few}, {counted_many}");
    // Each of a caller of its own, and of a tenant of its own.
    for (tenants, length) in [(1, 43), (300, 43), (300, 128)] {
        let auths = (0..300).map(|i| {
            let subject = Subject::new(format!("a subject of more than forty bytes, number {i}"));
            let tenant = format!("{:_<length$}", format!("a_tenant_number_{}", i % tenants));
            AuthContext::new(subject.unwrap(), SystemTime::now() + Duration::from_secs(600))
                .with_tenants([tenant])
                .with_envs(["prod"])
        });
        let grants: Vec<_> = auths.map(grant_of).collect();
        let (kept, counted) = tickets(&grants);
        assert!(kept <= counted, "{kept} bytes are kept, and {counted} counted");
        assert!(counted <= kept * 4, "{kept} bytes are kept, and {counted} counted");
    }
}
