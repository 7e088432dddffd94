//! Measures what authentication costs a request. It compares the layer of this crate with the layers of other
//! crates, each around a service that does nothing.
//!
//! ```sh
//! cargo bench --manifest-path benches/peers/Cargo.toml
//! BACKEND=rust-crypto cargo bench --manifest-path benches/peers/Cargo.toml
//! ```
//!
//! All rows get the same request, with the same token and the same key. The bench calls and polls each service
//! once, on one thread, without a runtime and without a subscriber for logs. The time includes the drop of
//! request and response. Each verifier has one fixed key, so none of them waits for the network. Before the bench
//! measures a row, the row must accept the request, and refuse a request with another signature.
//!
//! The rows do not do the same work:
//!
//! - `static bearer` compares the header with one string. It reads no token.
//! - `by hand`, `axum-jwt-auth`, `jwt-authorizer` and `tower-oauth2-resource-server` check
//!   signature, `exp`, `iss` and `aud`, and store the claims in the request's extensions.
//!   axum-jwt-auth is an extractor, not a layer: its row is a service that calls it and stores its
//!   result. This row and `by hand` do not need the boxes of axum's `from_fn`.
//! - `tower-tenancy` also checks that the token is for the tenant and the env that the headers name,
//!   reads the request id, opens a span, and stores its results as contexts.
//! - `tower-tenancy, cached` has verified the token before, as for every request of a client except the
//!   first. It does not check the signature again, so no other row does the same work.
//!
//! `BACKEND` names the library that verifies signatures: aws-lc-rs (the default) or rust-crypto. All
//! rows use it, except jwt-authorizer, which always uses ring. By default, axum-jwt-auth and
//! tower-oauth2-resource-server use rust-crypto.

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use axum_core::extract::FromRequestParts as _;
use axum_jwt_auth::{Decoder, LocalDecoder};
use bytes::Bytes;
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use futures_util::FutureExt as _;
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::Full;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, crypto,
    jwk::{Jwk, JwkSet},
};
use jwt_authorizer::{AuthError, IntoLayer as _, JwtAuthorizer};
use serde::Deserialize;
use serde_json::json;
use std::{
    convert::Infallible,
    future::ready,
    hint::black_box,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tower::{Layer as _, Service, service_fn};
use tower_http::validate_request::ValidateRequestHeaderLayer;
use tower_oauth2_resource_server::{
    server::OAuth2ResourceServer, tenant::TenantConfiguration, validation::ClaimsValidationSpec,
};
use tower_tenancy::{
    RequireTenantScope,
    auth::{Backend, JwtKey, JwtVerifier, TokenCache},
};

const SECRET: &str = "a secret of more than thirty-two bytes, for benches";
const ISSUER: &str = "https://id.example.com";
const AUDIENCE: &str = "chat";
/// tower-oauth2-resource-server refuses a token without a `kid`.
const KID: &str = "main";

macro_rules! pem {
    ($name:literal) => {
        include_str!(concat!("../../tests/keys/", $name, ".pem"))
    };
}

type Reply = Response<Full<Bytes>>;

#[derive(Clone, Deserialize)]
#[expect(dead_code, reason = "the bench parses the claims that an application would use")]
struct Claims {
    sub: String,
    exp: u64,
    tenant_id: String,
    env: String,
    roles: Vec<String>,
}

/// One algorithm, and its key in the form that each verifier needs.
struct Variant {
    algorithm: Algorithm,
    signs: EncodingKey,
    bare: DecodingKey,
    axum_jwt_auth: jsonwebtoken_10::DecodingKey,
    jwt_authorizer: JwtAuthorizer<Claims>,
    ours: JwtKey,
}

fn variants() -> [Variant; 4] {
    [
        Variant {
            algorithm: Algorithm::HS256,
            signs: EncodingKey::from_secret(SECRET.as_bytes()),
            bare: DecodingKey::from_secret(SECRET.as_bytes()),
            axum_jwt_auth: jsonwebtoken_10::DecodingKey::from_secret(SECRET.as_bytes()),
            jwt_authorizer: JwtAuthorizer::from_secret(SECRET),
            ours: JwtKey::hmac(tower_tenancy::auth::Algorithm::HS256, SECRET).unwrap(),
        },
        Variant {
            algorithm: Algorithm::RS256,
            signs: EncodingKey::from_rsa_pem(pem!("rsa").as_bytes()).unwrap(),
            bare: DecodingKey::from_rsa_pem(pem!("rsa.pub").as_bytes()).unwrap(),
            axum_jwt_auth: jsonwebtoken_10::DecodingKey::from_rsa_pem(pem!("rsa.pub").as_bytes())
                .unwrap(),
            jwt_authorizer: JwtAuthorizer::from_rsa_pem_text(pem!("rsa.pub")),
            ours: JwtKey::public_pem(pem!("rsa.pub")).unwrap(),
        },
        Variant {
            algorithm: Algorithm::ES256,
            signs: EncodingKey::from_ec_pem(pem!("p256").as_bytes()).unwrap(),
            bare: DecodingKey::from_ec_pem(pem!("p256.pub").as_bytes()).unwrap(),
            axum_jwt_auth: jsonwebtoken_10::DecodingKey::from_ec_pem(pem!("p256.pub").as_bytes())
                .unwrap(),
            jwt_authorizer: JwtAuthorizer::from_ec_pem_text(pem!("p256.pub")),
            ours: JwtKey::public_pem(pem!("p256.pub")).unwrap(),
        },
        Variant {
            algorithm: Algorithm::EdDSA,
            signs: EncodingKey::from_ed_pem(pem!("ed25519").as_bytes()).unwrap(),
            bare: DecodingKey::from_ed_pem(pem!("ed25519.pub").as_bytes()).unwrap(),
            axum_jwt_auth: jsonwebtoken_10::DecodingKey::from_ed_pem(
                pem!("ed25519.pub").as_bytes(),
            )
            .unwrap(),
            jwt_authorizer: JwtAuthorizer::from_ed_pem_text(pem!("ed25519.pub")),
            ours: JwtKey::public_pem(pem!("ed25519.pub")).unwrap(),
        },
    ]
}

fn token(algorithm: Algorithm, key: &EncodingKey) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "auth0|507f1f77bcf86cd799439020",
        "iat": now, "exp": now + 36_000, "tenant_id": "t_alpha", "env": "prod",
        "roles": ["editor", "ops"], "scope": "chat:read chat:write",
    });
    let header = Header { kid: Some(KID.to_owned()), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, &claims, key).unwrap()
}

fn request(token: &str) -> Request<()> {
    Request::builder()
        .header("x-tenant-id", "t_alpha")
        .header("x-env", "prod")
        .header("x-request-id", "0190b3e0-0000-7000-8000-000000000000")
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .body(())
        .unwrap()
}

/// The same token with one character of its signature changed.
fn forged(token: &str) -> String {
    let at = token.rfind('.').unwrap() + 1;
    let other = if token[at..].starts_with('A') { "B" } else { "A" };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}

/// The response of the service that does nothing. No layer makes such a response.
fn reached() -> Reply {
    let mut response = Reply::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn refused() -> Reply {
    let mut response = Reply::default();
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

/// jwt-authorizer accepts only services whose response can be made from its error.
struct FromAuthError(Reply);

impl From<AuthError> for FromAuthError {
    fn from(_: AuthError) -> Self {
        Self(refused())
    }
}

impl From<FromAuthError> for Reply {
    fn from(response: FromAuthError) -> Self {
        response.0
    }
}

/// Typical code of an application, without the boxes of axum's `from_fn`.
fn by_hand<S>(
    inner: S,
    key: DecodingKey,
    validation: Validation,
) -> impl Service<Request<()>, Response = Reply, Error = Infallible>
where
    S: Service<Request<()>, Response = Reply, Error = Infallible> + Clone,
{
    let shared = Arc::new((key, validation));
    service_fn(move |mut request: Request<()>| {
        let (mut inner, shared) = (inner.clone(), Arc::clone(&shared));
        async move {
            let (key, validation) = &*shared;
            let header = request.headers().get(AUTHORIZATION).and_then(|it| it.to_str().ok());
            let token = header.and_then(|it| it.strip_prefix("Bearer "));
            let decode = |token| jsonwebtoken::decode::<Claims>(token, key, validation).ok();
            let Some(data) = token.and_then(decode) else { return Ok(refused()) };
            request.extensions_mut().insert(data.claims);
            inner.call(request).await
        }
    })
}

fn axum_jwt_auth<S>(
    inner: S,
    decoder: Decoder<Claims>,
) -> impl Service<Request<()>, Response = Reply, Error = Infallible>
where
    S: Service<Request<()>, Response = Reply, Error = Infallible> + Clone,
{
    service_fn(move |request: Request<()>| {
        let (mut inner, decoder) = (inner.clone(), Arc::clone(&decoder));
        async move {
            let (mut parts, body) = request.into_parts();
            let extracted =
                axum_jwt_auth::Claims::<Claims>::from_request_parts(&mut parts, &decoder).await;
            let Ok(extracted) = extracted else { return Ok(refused()) };
            parts.extensions.insert(extracted.claims);
            inner.call(Request::from_parts(parts, body)).await
        }
    })
}

fn call<S>(service: &mut S, request: Request<()>) -> StatusCode
where
    S: Service<Request<()>, Response: Into<Reply>, Error = Infallible>,
{
    let response = service.call(request).now_or_never().expect("the layer must not wait");
    black_box(response.unwrap().into()).status()
}

fn measure<S>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, token: &str, mut service: S)
where
    S: Service<Request<()>, Response: Into<Reply>, Error = Infallible>,
{
    let request = request(token);
    assert_eq!(call(&mut service, request.clone()), StatusCode::NO_CONTENT, "{name}");
    group.bench_function(name, |bencher| {
        bencher.iter_batched(
            || request.clone(),
            |request| call(&mut service, request),
            BatchSize::SmallInput,
        );
    });
}

/// Like `measure`, but the row must first refuse a token with another signature.
fn guarded<S>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, token: &str, mut service: S)
where
    S: Service<Request<()>, Response: Into<Reply>, Error = Infallible>,
{
    let status = call(&mut service, request(&forged(token)));
    assert!(status.is_client_error(), "{name} accepted a forged token: {status}");
    measure(group, name, token, service);
}

fn layers(criterion: &mut Criterion) {
    let (name, backend, provider, provider_10) = match std::env::var("BACKEND").as_deref() {
        Ok("rust-crypto") => (
            "rust-crypto",
            Backend::rust_crypto(),
            &crypto::rust_crypto::DEFAULT_PROVIDER,
            &jsonwebtoken_10::crypto::rust_crypto::DEFAULT_PROVIDER,
        ),
        _ => (
            "aws-lc-rs",
            Backend::aws_lc_rs(),
            &crypto::aws_lc::DEFAULT_PROVIDER,
            &jsonwebtoken_10::crypto::aws_lc::DEFAULT_PROVIDER,
        ),
    };
    // With two backends in the tree, jsonwebtoken panics unless the process chooses one.
    assert!(provider.install_default().is_ok(), "only one provider for each process");
    assert!(provider_10.install_default().is_ok(), "only one provider for each process");
    let no_op = service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(reached())));

    for variant in variants() {
        let Variant { algorithm, signs, bare, .. } = variant;
        let token = token(algorithm, &signs);
        let group = &mut criterion.benchmark_group(format!("{algorithm:?} by {name}"));

        measure(group, "no-op service", &token, no_op);

        // This replaces `ValidateRequestHeaderLayer::bearer`, which is deprecated.
        let header = format!("Bearer {token}");
        let layer = ValidateRequestHeaderLayer::has_header_value("authorization", &header);
        guarded(group, "tower-http, static bearer", &token, layer.unwrap().layer(no_op));

        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        let service = by_hand(no_op, bare.clone(), validation);
        guarded(group, "jsonwebtoken::decode by hand", &token, service);

        let mut validation =
            jsonwebtoken_10::Validation::new(format!("{algorithm:?}").parse().unwrap());
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        let decoder = LocalDecoder::new(vec![variant.axum_jwt_auth], validation).unwrap();
        guarded(group, "axum-jwt-auth", &token, axum_jwt_auth(no_op, Arc::new(decoder)));

        let validation = jwt_authorizer::Validation::new().iss(&[ISSUER]).aud(&[AUDIENCE]);
        let authorizer = variant.jwt_authorizer.validation(validation).build();
        let layer = authorizer.now_or_never().expect("no key to fetch").unwrap().into_layer();
        let inner =
            service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(FromAuthError(reached()))));
        guarded(group, "jwt-authorizer", &token, layer.layer(inner));

        let mut jwk = Jwk::from_decoding_key(&bare, Some(algorithm)).unwrap();
        jwk.common.key_id = Some(KID.to_owned());
        let tenant = TenantConfiguration::static_builder(
            serde_json::to_string(&JwkSet { keys: vec![jwk] }).unwrap(),
        );
        let spec = ClaimsValidationSpec::new().iss(ISSUER).aud(&vec![AUDIENCE.to_owned()]);
        let tenant = tenant.claims_validation(spec.exp(true)).allowed_algorithms(&[algorithm]);
        let server = OAuth2ResourceServer::<Claims>::builder().add_tenant(tenant.build().unwrap());
        let server = server.build().now_or_never().expect("no key to fetch").unwrap();
        let service = server.into_layer().layer(no_op);
        guarded(group, "tower-oauth2-resource-server", &token, service);

        let verifier = || {
            let builder = JwtVerifier::builder().key(variant.ours.clone().with_kid(KID));
            builder.backend(backend).issuer(ISSUER).audience(AUDIENCE)
        };
        let layer = RequireTenantScope::new(verifier().build().unwrap());
        guarded(group, "tower-tenancy", &token, layer.layer(no_op));

        let cached = verifier().cache(TokenCache::new(1000)).build().unwrap();
        let layer = RequireTenantScope::new(cached);
        guarded(group, "tower-tenancy, cached", &token, layer.layer(no_op));
    }
}

criterion_group!(benches, layers);
criterion_main!(benches);
