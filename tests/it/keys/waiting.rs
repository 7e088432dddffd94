//! Sources that hang, and runtimes that end: no request waits longer than the timeout.

use super::support::{SECOND, authenticate, clock, code, loaded, stepping, ticking, until};
use crate::support::PATIENCE;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tower_tenancy::{
    auth::{JwtVerifier, KeySet},
    clock::Clock as _,
    testing::{Conduct, TestIssuer},
};

#[tokio::test]
async fn a_cancelled_request_does_not_cancel_the_fetch() {
    let issuer = TestIssuer::start().await.unwrap();
    let (keys, verifier) = loaded(&issuer, &clock()).await;
    issuer.conduct(Conduct::Drip(Duration::from_micros(300)));
    issuer.rotate();
    let new = issuer.token("t_alpha", "prod", "eve");
    let given_up = tokio::time::timeout(Duration::from_millis(5), code(&verifier, &new)).await;
    assert!(given_up.is_err());
    until(|| keys.health().keys == 2).await;
    assert_eq!(code(&verifier, &new).await, "good");
    assert_eq!(issuer.fetches(), 2);
}

/// The ways in which a source does not answer.
#[derive(Clone, Copy, Debug)]
enum Fault {
    PanicsAtOnce,
    PanicsLater,
    NeverAnswers,
    BlocksItsThread,
}

/// A source with the keys of an issuer. It has the fault while `is_faulty` is set.
fn faulty(
    fault: Fault,
    is_faulty: &Arc<AtomicBool>,
    jwks: String,
) -> impl Fn() -> Pin<Box<dyn Future<Output = Result<String, tower_tenancy::BoxError>> + Send>> + use<>
{
    let is_faulty = Arc::clone(is_faulty);
    move || {
        let (jwks, is_faulty) = (jwks.clone(), Arc::clone(&is_faulty));
        let is_bad = is_faulty.load(Ordering::SeqCst);
        assert!(!is_bad || !matches!(fault, Fault::PanicsAtOnce), "the test asks for this panic");
        Box::pin(async move {
            if is_bad {
                match fault {
                    Fault::PanicsAtOnce => {}
                    Fault::PanicsLater => {
                        tokio::task::yield_now().await;
                        panic!("the test asks for this panic");
                    }
                    Fault::NeverAnswers => std::future::pending().await,
                    Fault::BlocksItsThread => {
                        while is_faulty.load(Ordering::SeqCst) {
                            std::thread::sleep(Duration::from_millis(1));
                        }
                    }
                }
            }
            Ok(jwks)
        })
    }
}

#[tokio::test] // one thread: code that blocks it would block the whole test
async fn no_request_waits_longer_than_the_timeout_for_a_source_that_panics_or_hangs() {
    let issuer = TestIssuer::start().await.unwrap();
    let good = issuer.token("t_alpha", "prod", "ada");
    // A panic ends the wait at once.
    for (fault, told, step) in [
        (Fault::PanicsAtOnce, "panicked", Duration::ZERO),
        (Fault::PanicsLater, "panicked", Duration::ZERO),
        (Fault::NeverAnswers, "no answer within 10s", SECOND),
        (Fault::BlocksItsThread, "no answer within 10s", SECOND),
    ] {
        let is_faulty = Arc::new(AtomicBool::new(true));
        let clock = clock();
        let source = faulty(fault, &is_faulty, issuer.jwks());
        let keys = KeySet::builder(source).clock(clock.shared()).start().unwrap();
        let verifier = JwtVerifier::builder().key_set(keys.clone()).issuer(issuer.url());
        let verifier = verifier.build().unwrap();
        let begun = clock.now();
        let refused = stepping(&clock, step, authenticate(&verifier, &good)).await.unwrap_err();
        assert_eq!(refused.code(), "auth.keys_unavailable", "{fault:?}");
        assert!(refused.retry_after().unwrap() >= SECOND);
        let waited = clock.now().duration_since(begun).unwrap();
        assert!(waited <= 11 * SECOND, "{fault:?}: {waited:?}");
        stepping(&clock, step, keys.loaded()).await;
        let error = keys.health().error.unwrap();
        assert!(error.contains(told), "{fault:?}: {error}");
        // While the fault lasts, each request is refused in time.
        for _ in 0..5 {
            let code = stepping(&clock, step, code(&verifier, &good)).await;
            assert_eq!(code, "auth.keys_unavailable", "{fault:?}");
            clock.advance(61 * SECOND);
        }
        is_faulty.store(false, Ordering::SeqCst);
        ticking(&clock, async {
            while code(&verifier, &good).await != "good" {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        assert_eq!((keys.health().keys, keys.health().error), (1, None), "{fault:?}");
    }
}

#[tokio::test]
async fn a_loaded_set_does_not_hang_when_its_source_hangs_later() {
    let issuer = TestIssuer::start().await.unwrap();
    let is_faulty = Arc::new(AtomicBool::new(false));
    let clock = clock();
    let source = faulty(Fault::BlocksItsThread, &is_faulty, issuer.jwks());
    let keys = KeySet::builder(source).clock(clock.shared()).start().unwrap();
    keys.loaded().await;
    let verifier = JwtVerifier::builder().key_set(keys).issuer(issuer.url()).build().unwrap();
    let known = issuer.token("t_alpha", "prod", "ada");
    issuer.rotate();
    let unknown = issuer.token("t_alpha", "prod", "eve");
    is_faulty.store(true, Ordering::SeqCst);
    let told = ticking(&clock, code(&verifier, &unknown)).await;
    assert_eq!(told, "auth.keys_unavailable", "the set cannot know whether the key exists");
    assert_eq!(code(&verifier, &known).await, "good");
    is_faulty.store(false, Ordering::SeqCst);
}

/// Another runtime, which the test can drop.
fn elsewhere() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Runs a future to its end on another thread, because `block_on` must not run on a thread of a runtime.
trait BlockElsewhere {
    fn block_on_elsewhere<T: Send>(&self, future: impl Future<Output = T> + Send) -> T;
}

impl BlockElsewhere for tokio::runtime::Runtime {
    fn block_on_elsewhere<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        std::thread::scope(|scope| scope.spawn(|| self.block_on(future)).join().unwrap())
    }
}

#[tokio::test]
async fn a_set_still_works_after_the_end_of_the_runtime_where_it_was_started() {
    let issuer = TestIssuer::start().await.unwrap();
    let good = issuer.token("t_alpha", "prod", "ada");
    // End the runtime during the first fetch, or after the keys are loaded.
    for is_loaded in [false, true] {
        let is_faulty = Arc::new(AtomicBool::new(!is_loaded));
        let source = faulty(Fault::NeverAnswers, &is_faulty, issuer.jwks());
        let runtime = elsewhere();
        let keys = runtime.block_on_elsewhere(async move {
            let keys = KeySet::builder(source).start().unwrap();
            if is_loaded {
                keys.loaded().await;
            } else {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            keys
        });
        runtime.shutdown_background();
        let verifier = JwtVerifier::builder().key_set(keys.clone()).issuer(issuer.url());
        let verifier = verifier.build().unwrap();
        is_faulty.store(false, Ordering::SeqCst);
        if is_loaded {
            // The loaded keys still verify tokens.
            assert_eq!(code(&verifier, &good).await, "good");
        }
        let ended = async {
            loop {
                match code(&verifier, &good).await {
                    "good" if keys.health().error.is_none() => break,
                    "good" | "auth.keys_unavailable" => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    other => panic!("{other}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.unwrap();
        tokio::time::timeout(PATIENCE, keys.loaded()).await.unwrap();
        assert_eq!(keys.health().keys, 1);
    }
}

#[tokio::test]
async fn a_health_check_restarts_the_task_of_a_set_without_requests() {
    let issuer = TestIssuer::start().await.unwrap();
    let jwks = issuer.jwks();
    let runtime = elsewhere();
    let source = move || {
        let jwks = jwks.clone();
        async move { Ok(jwks) }
    };
    let keys = runtime.block_on_elsewhere(async move {
        let keys = KeySet::builder(source).start().unwrap();
        keys.loaded().await;
        keys
    });
    runtime.shutdown_background();
    // This becomes true when the threads of the runtime have dropped the task.
    until(|| keys.health().error.is_some_and(|error| error.contains("runtime"))).await;
    until(|| keys.health().error.is_none()).await;
}

#[tokio::test]
async fn no_request_waits_longer_than_the_timeout_for_an_idle_runtime() {
    let issuer = TestIssuer::start().await.unwrap();
    let jwks = issuer.jwks();
    let source = move || {
        let jwks = jwks.clone();
        async move { Ok(jwks) }
    };
    let idle = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let clock = clock();
    let keys = {
        let _in_it = idle.enter();
        KeySet::builder(source).clock(clock.shared()).start().unwrap()
    };
    let verifier = JwtVerifier::builder().key_set(keys.clone()).issuer(issuer.url());
    let verifier = verifier.build().unwrap();
    let good = issuer.token("t_alpha", "prod", "ada");
    let told = ticking(&clock, code(&verifier, &good)).await;
    assert_eq!(told, "auth.keys_unavailable");
    ticking(&clock, keys.loaded()).await;
    assert_eq!(code(&verifier, &good).await, "good", "the next request starts a new task");
    idle.shutdown_background();
}
