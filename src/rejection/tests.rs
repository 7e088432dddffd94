//! A rejection in each dialect.

use super::{
    ByContentType, Dialect, GrpcStatus, Plain, RejectWith, Rejection, RejectionKind,
    grpc_status::percent_encoded,
};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Version, header};
use std::time::Duration;

fn request(method: Method, version: Version, pairs: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).version(version);
    for (name, value) in pairs {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

#[test]
fn only_a_post_over_http_2_with_a_grpc_content_type_is_grpc() {
    let on = |method, version, types: &[&str]| {
        let pairs: Vec<_> = types.iter().map(|value| ("content-type", *value)).collect();
        let request = request(method, version, &pairs);
        assert_eq!(Dialect::of(&request), Dialect::of_stream(&request));
        Dialect::of(&request)
    };
    for good in [
        "application/grpc",
        "application/grpc+proto",
        "Application/GRPC",
        "application/grpc;x=y",
        "application/grpc ; x=y",
    ] {
        assert_eq!(on(Method::POST, Version::HTTP_2, &[good]), Dialect::Grpc, "{good}");
        assert_eq!(on(Method::POST, Version::HTTP_3, &[good]), Dialect::Grpc, "{good}");
        assert_eq!(on(Method::POST, Version::HTTP_11, &[good]), Dialect::Http, "{good}");
        assert_eq!(on(Method::POST, Version::HTTP_10, &[good]), Dialect::Http, "{good}");
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::OPTIONS] {
            assert_eq!(on(method, Version::HTTP_2, &[good]), Dialect::Http, "{good}");
        }
    }
    for bad in [
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/grpcx",
        "text/plain; application/grpc",
        "",
    ] {
        assert_eq!(on(Method::POST, Version::HTTP_2, &[bad]), Dialect::Http, "{bad}");
    }
    let twice = ["application/grpc", "application/grpc"];
    assert_eq!(on(Method::POST, Version::HTTP_2, &twice), Dialect::Http);
    assert_eq!(on(Method::POST, Version::HTTP_2, &[]), Dialect::Http);
}

#[test]
fn accept_identifies_an_event_source_only_on_a_route_that_opens_streams() {
    let on = |method, accepts: &[&str]| {
        let pairs: Vec<_> = accepts.iter().map(|value| ("accept", *value)).collect();
        let request = request(method, Version::HTTP_11, &pairs);
        assert_eq!(Dialect::of(&request), Dialect::Http, "{accepts:?}");
        Dialect::of_stream(&request)
    };
    for good in [
        &["text/event-stream"][..],
        &["Text/Event-Stream"],
        &["text/event-stream;q=1"],
        &["text/event-stream ; charset=utf-8; q=0.1"],
        &["application/json, text/event-stream"],
        &["text/event-stream", "text/event-stream"],
        &["application/json", "*/*, text/event-stream"],
    ] {
        assert_eq!(on(Method::GET, good), Dialect::EventSource, "{good:?}");
        assert_eq!(on(Method::POST, good), Dialect::Http, "{good:?}");
        assert_eq!(on(Method::HEAD, good), Dialect::Http, "{good:?}");
    }
    for bad in [
        &[][..],
        &["*/*"],
        &["text/*"],
        &["text/event-streams"],
        &["text/event-stream;q=0"],
        &["text/event-stream; Q=0.000"],
        &["application/json; x=text/event-stream"],
    ] {
        assert_eq!(on(Method::GET, bad), Dialect::Http, "{bad:?}");
    }
    let fetch = [("accept", "text/event-stream"), ("authorization", "Bearer x")];
    let fetch = request(Method::GET, Version::HTTP_11, &fetch);
    assert_eq!(Dialect::of_stream(&fetch), Dialect::Http);
}

fn refused(kind: RejectionKind, dialect: Dialect) -> Response<Bytes> {
    ByContentType.reject(&Rejection::new(kind), dialect)
}

#[test]
fn no_cache_may_store_a_refusal_in_any_dialect() {
    for kind in RejectionKind::ALL.iter().copied() {
        for dialect in [Dialect::Http, Dialect::Grpc, Dialect::EventSource] {
            let grpc: Response<()> = GrpcStatus.reject(&Rejection::new(kind), dialect);
            let by_content_type = refused(kind, dialect);
            for headers in [grpc.headers(), by_content_type.headers()] {
                let value = headers[header::CACHE_CONTROL].to_str().unwrap();
                assert!(value.starts_with("no-store"), "{kind:?} {dialect:?}: {value}");
            }
        }
    }
}

#[test]
fn no_browser_may_guess_the_type_of_a_refusal() {
    for kind in RejectionKind::ALL.iter().copied() {
        for dialect in [Dialect::Http, Dialect::EventSource] {
            let headers = refused(kind, dialect).headers().clone();
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{kind:?}");
        }
    }
}

#[test]
fn only_a_json_content_type_is_json() {
    let status = |types: &[&str]| {
        let pairs: Vec<_> = types.iter().map(|value| ("content-type", *value)).collect();
        let request = request(Method::POST, Version::HTTP_11, &pairs);
        let refused = super::require_json(request.headers()).err();
        refused.map(|rejection| rejection.status().as_u16())
    };
    for good in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=utf-8",
        "application/merge-patch+json",
        "application/vnd.api+JSON ; v=1",
    ] {
        assert_eq!(status(&[good]), None, "{good}");
    }
    for bad in [
        "",
        "json",
        "text/json",
        "text/plain",
        "text/plain; application/json",
        "text/plain, application/json",
        "application/json, text/plain",
        "application/x, text/plain+json",
        "application/jsonp",
        "application/json-seq",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=application/json",
        "application/",
        "application/ json",
        "+json",
    ] {
        assert_eq!(status(&[bad]), Some(415), "{bad}");
    }
    assert_eq!(status(&[]), Some(415));
    assert_eq!(status(&["application/json", "application/json"]), Some(415));
    assert_eq!(status(&["application/json", "text/plain"]), Some(415));
}

#[test]
fn a_plain_refusal_is_recognised_until_its_content_changes() {
    let plain = || {
        let mut response = refused(RejectionKind::ThreadForbidden, Dialect::Http);
        let plain = response.extensions_mut().remove::<Plain>().unwrap();
        (response, plain)
    };
    let still = |change: &dyn Fn(&mut Response<Bytes>), to_head| {
        let (mut response, plain) = plain();
        change(&mut response);
        plain.still(&response, to_head).is_some()
    };
    let set = |name, value: &str| {
        let value = HeaderValue::try_from(value).unwrap();
        move |response: &mut Response<Bytes>| {
            response.headers_mut().insert(&name, value.clone());
        }
    };
    let length = plain().0.body().len().to_string();
    assert!(still(&|_| {}, false));
    assert!(still(&set(header::CONTENT_LENGTH, &length), false));
    assert!(still(&set(header::CONTENT_ENCODING, "gzip"), false), "wrapped, not replaced");
    assert!(!still(&set(header::CONTENT_LENGTH, "7"), false));
    assert!(!still(&set(header::CONTENT_TYPE, "text/html"), false));
    assert!(!still(&|r| *r.status_mut() = http::StatusCode::NOT_FOUND, false));
    let replaced = |response: &mut Response<Bytes>| {
        let same = Bytes::copy_from_slice(response.body());
        *response.body_mut() = same;
    };
    assert!(!still(&replaced, false));
    assert!(still(&replaced, true), "hosts drop the body of a response to HEAD");
}

#[test]
fn http_clients_get_a_problem_with_challenge_or_delay() {
    for kind in RejectionKind::ALL.iter().copied() {
        let response = refused(kind, Dialect::Http);
        assert_eq!(response.status(), kind.status());
        let headers = response.headers();
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(problem["code"], kind.code());
        assert_eq!(problem["status"], kind.status().as_u16());
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        let challenged = matches!(kind.status().as_u16(), 401 | 403);
        assert_eq!(headers.contains_key(header::WWW_AUTHENTICATE), challenged);
        assert_eq!(headers.contains_key(header::RETRY_AFTER), kind.is_retryable());
    }
    let missing = refused(RejectionKind::AuthMissing, Dialect::Http);
    assert!(!missing.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().contains("error"));
}

#[test]
fn grpc_clients_get_trailers_only() {
    let response = refused(RejectionKind::EnvMismatch, Dialect::Grpc);
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["grpc-status"], "7");
    assert_eq!(response.headers()["tenancy-code"], "env.mismatch");
    assert!(response.body().is_empty());
    let rejection = Rejection::new(RejectionKind::AuthMissing);
    let same: Response<()> = GrpcStatus.reject(&rejection, Dialect::Http);
    assert_eq!(same.headers()["grpc-status"], "16");
    assert_eq!(same.status(), 401, "a client that does not read gRPC reads the HTTP status");
    assert!(same.headers().contains_key(header::WWW_AUTHENTICATE));
    let called: Response<()> = GrpcStatus.reject(&rejection, Dialect::Grpc);
    assert_eq!(called.status(), 200);
    assert_eq!(percent_encoded("50% ü\n"), "50%25 %C3%BC%0A");
    assert!(!same.headers().contains_key("grpc-retry-pushback-ms"));
    let later = refused(RejectionKind::LogUnavailable, Dialect::Grpc);
    assert_eq!(later.headers()["grpc-retry-pushback-ms"], "5000");
}

#[test]
fn an_event_source_is_asked_to_reconnect_only_after_a_retryable_refusal() {
    for kind in RejectionKind::ALL.iter().copied() {
        let response = refused(kind, Dialect::EventSource);
        if !kind.is_retryable() {
            assert_eq!(response.status(), kind.status());
            continue;
        }
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        let text = std::str::from_utf8(response.body()).unwrap();
        assert!(text.starts_with("event: ") && text.contains(kind.code()), "{text}");
        assert!(!text.contains("\nid:"), "a notice does not move the cursor");
    }
}

#[test]
fn a_delay_under_a_second_is_sent_as_one_second() {
    let rejection =
        Rejection::new(RejectionKind::StreamLimit).with_retry_after(Duration::from_millis(10));
    let response: Response<Bytes> = ByContentType.reject(&rejection, Dialect::Http);
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
}
