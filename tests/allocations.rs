//! Counts the allocations of the hot paths. Unlike a time, this number is the same on every run.
//!
//! A separate binary, because the counter counts for a whole process.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod minter;

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use futures_util::{FutureExt as _, Stream as _, stream};
use http::{HeaderName, HeaderValue, Request, Response, header};
use http_body::Body as _;
use http_body_util::Full;
use jsonwebtoken::{EncodingKey, crypto::aws_lc::DEFAULT_PROVIDER};
use minter::Minter;
use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};
use tower::{Layer as _, Service, service_fn};
use tower_tenancy::{
    AuthContext, AuthRequest, LastEventId, Member, MemoryLog, MemoryRegistry, Publisher,
    RequireTenantScope, Routing, StreamEvent, Subject, TenantScope, ThreadGrant, ThreadRecord,
    Verdict,
    auth::{Algorithm, JwtKey, JwtVerifier, Revocation, TokenCache},
    verify_thread_access,
};

const SECRET: &str = "a secret of more than thirty-two bytes, for tests";

/// The claims of the requests' token.
const CLAIMS: &str = r#"{"sub":"ada","tenant_id":"t_alpha","env":"prod","exp":9999999999}"#;

/// A token with these claims.
fn signed(claims: &str) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    Minter::new(&DEFAULT_PROVIDER, jsonwebtoken::Algorithm::HS256, key)
        .sign(r#"{"alg":"HS256"}"#, claims)
}

fn request(id: Option<&str>) -> Request<()> {
    let mut request = Request::new(());
    let headers = [
        ("x-tenant-id", "t_alpha".to_owned()),
        ("x-env", "prod".to_owned()),
        ("authorization", format!("Bearer {}", signed(CLAIMS))),
    ];
    for (name, value) in headers.into_iter().chain(id.map(|id| ("x-request-id", id.to_owned()))) {
        // Like hyper: a value shares the buffer that it was read into.
        let buffer = Bytes::from(value);
        let value = HeaderValue::from_maybe_shared(buffer.clone()).unwrap();
        request.headers_mut().insert(HeaderName::from_static(name), value);
    }
    request
}

type Answer = Ready<Result<Response<Full<Bytes>>, Infallible>>;

/// A handler that returns the scope, if there is one, in the response's extensions.
fn scoped(request: Request<()>) -> Answer {
    let mut response = Response::new(Full::default());
    if let Ok(scope) = TenantScope::from_extensions(request.extensions()) {
        response.extensions_mut().insert(scope.clone());
    }
    ready(Ok(response))
}

/// A handler that responds with a header, like a real service. So the header map has room for the request id.
fn no_op(request: Request<()>) -> Answer {
    drop(request);
    let mut response = Response::new(Full::default());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    ready(Ok(response))
}

/// The minimum for comparison: a handler that stores one context.
fn stores_one_context(mut request: Request<()>) -> Answer {
    request.extensions_mut().insert([0_u8; 200]);
    no_op(request)
}

fn tenancy() -> RequireTenantScope {
    let key = JwtKey::hmac(Algorithm::HS256, SECRET).unwrap();
    let verifier = JwtVerifier::builder().key(key).cache(TokenCache::new(100));
    RequireTenantScope::new(verifier.build().unwrap())
}

/// With tower-http, the layer stores the id a second time, in tower-http's extension.
const SHARED_ID: u64 = cfg!(feature = "tower-http") as u64;

/// Counts the allocations of the second request. The first one fills the cache and initializes statics.
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
fn the_layer_allocates_as_much_as_a_handler_that_stores_one_context() {
    let id = Some("0190b3e0-0000-7000-8000-000000000000");
    let bare = counted(service_fn(no_op), id);
    let one = counted(service_fn(stores_one_context), id);
    let guarded = counted(tenancy().layer(service_fn(no_op)), id);
    assert!(one.count_total > bare.count_total, "{one:?}");
    assert_eq!(guarded.count_total, one.count_total + SHARED_ID, "{guarded:?}");
}

#[test]
fn a_request_without_an_id_costs_two_more_allocations_for_its_header() {
    let one = counted(service_fn(stores_one_context), None);
    let guarded = counted(tenancy().layer(service_fn(no_op)), None);
    // One for the header's bytes, and one to share them between request and response.
    assert_eq!(guarded.count_total, one.count_total + 2 + SHARED_ID, "{guarded:?}");
}

fn events(count: usize) -> Vec<StreamEvent> {
    let routing: Routing = "t_alpha/prod/th".parse().unwrap();
    let event = StreamEvent::new(routing, "message", &"x".repeat(256)).unwrap();
    vec![event; count]
}

#[test]
fn a_guarded_stream_allocates_nothing_for_an_event() {
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
fn an_event_of_a_log_costs_one_allocation_for_its_frame() {
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
    // These allocate the opening, the timers, and the reader's place among the wakers.
    publish();
    assert_eq!(frames(), 1);
    publish();
    assert_eq!(frames(), 1);
    publish();
    let counted = measure(|| assert_eq!(frames(), 1));
    assert_eq!(counted.count_total, 1, "{counted:?}");
}

#[test]
fn a_cache_of_tokens_stays_within_its_limit_for_all_kinds_of_claims() {
    /// The size of an empty cache.
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
        // One item more than a power of two, so that the list has nearly twice the capacity that it needs.
        ("a list that has just grown", Box::new(many("\"\"", 257))),
        ("short roles", Box::new(many("\"editor\"", 500))),
        ("long roles", Box::new(many(&format!("{long:?}"), 20))),
        (
            "roles a little too long to be stored in place",
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
    // Tables that grew for small tokens must not stay large for large tokens.
    fills("mixed", &mixed, BOUND, FIXED);
}

/// Fills a cache, measures its memory, and compares it with the limit.
fn fills(kind: &str, tokens: &[String], bound: usize, fixed: i64) {
    let key = JwtKey::hmac(Algorithm::HS256, SECRET).unwrap();
    let verifier = |cache: &TokenCache| {
        JwtVerifier::builder().key(key.clone()).cache(cache.clone()).build().unwrap()
    };
    // Initializes statics before the measurement.
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
    // The cache must be at least half full. Otherwise its own count would be far too high.
    assert!(held.bytes_current >= bound as i64 / 2, "{kind}: {held:?}");
}

#[test]
fn a_cached_token_costs_no_allocation() {
    let key = JwtKey::hmac(Algorithm::HS256, SECRET).unwrap();
    let verifier = JwtVerifier::builder().key(key).cache(TokenCache::new(100)).build().unwrap();
    let token = signed(CLAIMS);
    verifier.verify(&token).unwrap();
    let counted = measure(|| drop(verifier.verify(&token).unwrap()));
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn an_idle_stream_holds_less_than_a_kibibyte() {
    let log = MemoryLog::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _in_runtime = runtime.enter();
    let threads = MemoryRegistry::new();
    let thread: Routing = "t_alpha/prod/th".parse().unwrap();
    threads.register(&thread);
    // These belong to the thread or to the request, not to the stream.
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
fn a_look_up_of_a_thread_does_not_copy_its_members() {
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

/// The auth context of a token with this number of roles and of scopes.
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
fn clones_of_an_auth_context_share_its_lists_even_after_a_change() {
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

/// Issues one ticket for each of `grants`. Returns the bytes that they keep, and the bytes that the store
/// counts.
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
fn tickets_share_the_lists_of_their_token_and_the_store_counts_at_least_what_they_keep() {
    let of = |roles: usize| {
        let auth = auth(roles);
        let grants: Vec<_> = (0..32).map(|_| grant_of(auth.clone())).collect();
        tickets(&grants)
    };
    let ((few, counted_few), (many, counted_many)) = (of(2), of(100));
    assert_eq!(few, many, "tickets must share the lists");
    assert!(few <= counted_few, "{few} bytes are kept, and {counted_few} counted");
    // The store counts the lists in full for each ticket, because the ticket may outlive the token.
    assert!(counted_many > counted_few + 32 * 2 * 100 * 30, "{counted_few}, {counted_many}");
    // Each ticket has another caller, and in two of three cases another tenant.
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
