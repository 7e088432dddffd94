//! Requests, and services that answer them.

use crate::support::{SECRET, token};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use std::{
    convert::Infallible,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tower::{Layer, Service, ServiceExt as _, service_fn};
use tower_tenancy::{
    AuthRequest, Rejection, Verdict,
    auth::{Algorithm, JwtKey, JwtVerifier},
};

pub(super) type Body = Full<Bytes>;

pub(crate) fn key() -> JwtKey {
    JwtKey::hmac(Algorithm::HS256, SECRET).unwrap()
}

pub(crate) fn verifier() -> JwtVerifier {
    JwtVerifier::builder().key(key()).build().unwrap()
}

/// An authenticator that gives the same answers as [`verifier`], but later.
pub(crate) fn later(request: &AuthRequest<'_>) -> Verdict {
    let token = request.bearer_token().map(str::to_owned);
    let verifier = verifier();
    Verdict::later(async move {
        tokio::task::yield_now().await;
        verifier.verify(&token?)
    })
}

pub(crate) fn request() -> Request<()> {
    Request::builder()
        .header("x-tenant-id", "t_alpha")
        .header("x-env", "prod")
        .header("authorization", format!("Bearer {}", token("t_alpha", "prod", "ada")))
        .body(())
        .unwrap()
}

pub(crate) fn without(mut request: Request<()>, name: &str) -> Request<()> {
    request.headers_mut().remove(name);
    request
}

pub(crate) fn setting(mut request: Request<()>, name: &'static str, value: &str) -> Request<()> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

/// A handler that counts how often it runs.
pub(crate) fn counting(
    calls: &Arc<AtomicUsize>,
) -> impl Service<Request<()>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ use<> {
    let calls = Arc::clone(calls);
    service_fn(move |_: Request<()>| {
        calls.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(Response::new(Body::from("events"))))
    })
}

/// The status, and the code of a refusal.
pub(super) async fn answer<L>(layer: L, request: Request<()>) -> (u16, Option<&'static str>)
where
    L: Layer<tower::util::BoxCloneService<Request<()>, Response<Body>, Infallible>>,
    L::Service: Service<Request<()>, Response = Response<Body>, Error = Infallible>,
{
    let calls = Arc::default();
    let service = layer.layer(tower::util::BoxCloneService::new(counting(&calls)));
    let response = service.oneshot(request).await.unwrap();
    let code = response.extensions().get::<Rejection>().map(Rejection::code);
    assert_eq!(
        calls.load(Ordering::Relaxed),
        usize::from(code.is_none()),
        "only an accepted request may reach the handler"
    );
    (response.status().as_u16(), code)
}

pub(super) const OK: (u16, Option<&str>) = (200, None);

pub(super) fn refused(status: u16, code: &'static str) -> (u16, Option<&'static str>) {
    (status, Some(code))
}

/// Collects log lines.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The log lines of `run` on this thread.
pub(crate) async fn logged(run: impl Future<Output = ()>) -> String {
    // If another thread without a subscriber reached a log statement first, tracing would disable the
    // statement permanently.
    static EVERYWHERE: std::sync::Once = std::sync::Once::new();
    EVERYWHERE.call_once(|| {
        let all = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
        drop(tracing::subscriber::set_global_default(all.with_writer(io::sink).finish()));
    });
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    run.await;
    drop(guard);
    String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
}
