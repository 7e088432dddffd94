//! Tests of reading tenant, env and request id from a request.

use super::{ContextParts, Envs, RequestContext, RequestIdFound, request_id::WhyReplaced};
use crate::{
    id::{InvalidId, NOT_VISIBLE, RequestId},
    rejection::Rejection,
    request::RequestHead,
};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request};

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

fn read(pairs: &[(&'static str, &str)]) -> Result<RequestContext, Rejection> {
    read_with(pairs, ContextParts::default())
}

fn read_with(
    pairs: &[(&'static str, &str)],
    named: ContextParts<'_>,
) -> Result<RequestContext, Rejection> {
    let mut request = Request::new(());
    *request.headers_mut() = headers(pairs);
    let id = RequestId::generate();
    RequestContext::read(
        RequestHead::of(&request),
        &named,
        &ContextParts::new(),
        id,
        &Envs::default(),
    )
}

#[test]
fn the_query_may_name_tenant_and_env_only_if_no_header_does() {
    let named = |uri: &str| ContextParts::take(&mut uri.parse().unwrap());
    let both = "/?tenant=t_alpha&env=production";
    let context = read_with(&[], named(both).unwrap()).unwrap();
    assert_eq!((context.tenant().as_str(), context.env().as_str()), ("t_alpha", "prod"));
    let mixed = read_with(&[("x-env", "prod")], named("/?tenant=t_alpha").unwrap());
    assert_eq!(mixed.unwrap().tenant().as_str(), "t_alpha");
    let twice = read_with(&[("x-env", "prod")], named(both).unwrap());
    assert_eq!(twice.unwrap_err().code(), "context.invalid");
    assert_eq!(named("/?tenant=a&tenant=a").unwrap_err().code(), "context.invalid");
    let bad = read_with(&[], named("/?tenant=t_unknown&env=prod").unwrap());
    assert_eq!(bad.unwrap_err().code(), "context.invalid");
}

#[test]
fn tenant_and_env_are_read_and_aliases_resolved() {
    let context = read(&[("x-tenant-id", "t_alpha"), ("x-env", "production")]).unwrap();
    assert_eq!(context.tenant().as_str(), "t_alpha");
    assert_eq!(context.env().as_str(), "prod");
    assert!(context.is_env("prod") && context.is_env("production") && !context.is_env("dev"));
}

#[test]
fn requests_without_exactly_one_valid_tenant_and_env_are_refused() {
    let t = ("x-tenant-id", "t_alpha");
    let e = ("x-env", "prod");
    for (pairs, code) in [
        (vec![], "context.missing"),
        (vec![t], "context.missing"),
        (vec![e], "context.missing"),
        (vec![t, t, e], "context.invalid"),
        (vec![t, e, e], "context.invalid"),
        (vec![t, ("x-env", "PROD")], "context.invalid"),
        (vec![t, ("x-env", "qa")], "context.invalid"),
        (vec![t, ("x-env", "")], "context.invalid"),
        (vec![("x-tenant-id", ""), e], "context.invalid"),
        (vec![("x-tenant-id", "T_Unknown"), e], "context.invalid"),
        (vec![("x-tenant-id", "a, b"), e], "context.invalid"),
        (vec![("x-tenant-id", "\u{e4}"), e], "context.invalid"),
    ] {
        assert_eq!(read(&pairs).unwrap_err().code(), code, "{pairs:?}");
    }
}

#[test]
fn served_envs_replace_the_default_ones_and_keep_their_aliases() {
    let envs = Envs::new(["qa", "prod"]).unwrap().alias("test", "qa").unwrap();
    let resolve = |name| envs.resolve(name).map(ToString::to_string);
    assert_eq!(resolve("test").as_deref(), Some("qa"));
    assert_eq!(resolve("production").as_deref(), Some("prod"));
    assert_eq!(resolve("dev"), None);
    let moved = Envs::new(["qa", "prod"]).unwrap().alias("production", "qa").unwrap();
    assert_eq!(moved.resolve("production").unwrap().as_str(), "qa");
    let stray = Envs::new(["qa"]).unwrap().alias("x", "prod").unwrap();
    assert!(stray.resolve("x").is_none() && stray.resolve("prod").is_none());
}

#[test]
fn a_request_may_leave_out_the_env_if_the_service_has_only_one() {
    let only = Envs::only("prod").unwrap().alias("live", "prod").unwrap();
    let read = |pairs: &[(&'static str, &str)], placed: ContextParts<'_>, envs: &Envs| {
        let mut request = Request::new(());
        *request.headers_mut() = headers(pairs);
        request.headers_mut().insert("x-tenant-id", HeaderValue::from_static("t_alpha"));
        let (head, id) = (RequestHead::of(&request), RequestId::generate());
        let context = RequestContext::read(head, &ContextParts::new(), &placed, id, envs);
        context.map(|context| context.env().to_string()).map_err(|refused| refused.code())
    };
    for (pairs, env) in [
        (&[][..], Ok("prod")),
        (&[("x-env", "prod")], Ok("prod")),
        (&[("x-env", "production")], Ok("prod")),
        (&[("x-env", "live")], Ok("prod")),
        (&[("x-env", "dev")], Err("context.invalid")),
        (&[("x-env", "")], Err("context.invalid")),
        (&[("x-env", " ")], Err("context.invalid")),
        (&[("x-env", "\u{e4}")], Err("context.invalid")),
        (&[("x-env", "prod"), ("x-env", "prod")], Err("context.invalid")),
    ] {
        assert_eq!(read(pairs, ContextParts::new(), &only), env.map(str::to_owned), "{pairs:?}");
    }
    let empty = ContextParts::new().env(Some(""));
    assert_eq!(read(&[], empty, &only), Err("context.invalid"));
    // Without `Envs::only`, a request must name its env.
    let one = Envs::new(["prod"]).unwrap();
    assert_eq!(read(&[], ContextParts::new(), &one), Err("context.missing"));
    assert_eq!(read(&[], ContextParts::new(), &Envs::default()), Err("context.missing"));
    assert!(Envs::only("").is_err() && Envs::only("undefined").is_err());
}

#[test]
fn the_values_of_the_client_and_of_the_application_must_be_equal() {
    let read =
        |pairs: &[(&'static str, &str)], sent: ContextParts<'_>, placed: ContextParts<'_>| {
            let mut request = Request::new(());
            *request.headers_mut() = headers(pairs);
            let (head, id) = (RequestHead::of(&request), RequestId::generate());
            let context = RequestContext::read(head, &sent, &placed, id, &Envs::default());
            let context = context.map_err(|refused| refused.code())?;
            Ok::<_, &str>(format!("{}/{}", context.tenant(), context.env()))
        };
    let named = |tenant: &'static str, env: &'static str| {
        let some = |text: &'static str| Some(text).filter(|text| *text != "-");
        ContextParts::new().tenant(some(tenant)).env(some(env))
    };
    let (t, e) = (("x-tenant-id", "t_a"), ("x-env", "prod"));
    for (pairs, sent, placed, outcome) in [
        (&[][..], named("-", "-"), named("t_a", "prod"), Ok("t_a/prod")),
        (&[e], named("-", "-"), named("t_a", "-"), Ok("t_a/prod")),
        (&[t], named("-", "-"), named("-", "production"), Ok("t_a/prod")),
        (&[t, e], named("-", "-"), named("t_a", "prod"), Ok("t_a/prod")),
        // The same env by an alias.
        (&[t, e], named("-", "-"), named("t_a", "production"), Ok("t_a/prod")),
        (&[], named("t_a", "prod"), named("t_a", "production"), Ok("t_a/prod")),
        (&[], named("-", "-"), named("-", "prod"), Err("context.missing")),
        (&[t, e], named("-", "-"), named("t_b", "prod"), Err("context.invalid")),
        (&[t, e], named("-", "-"), named("T_A", "prod"), Err("context.invalid")),
        (&[t, e], named("-", "-"), named("t_a", "dev"), Err("context.invalid")),
        (&[], named("t_a", "prod"), named("t_b", "-"), Err("context.invalid")),
        (&[], named("t_a", "prod"), named("-", "dev"), Err("context.invalid")),
        (&[t, t, e], named("-", "-"), named("t_a", "-"), Err("context.invalid")),
        (&[("x-tenant-id", ""), e], named("-", "-"), named("t_a", "-"), Err("context.invalid")),
        (&[t, e], named("-", "-"), named("", "-"), Err("context.invalid")),
        (&[t, e], named("-", "-"), named("-", ""), Err("context.invalid")),
        (&[e], named("-", "-"), named("undefined", "-"), Err("context.invalid")),
        (&[e], named("-", "-"), named("a/b", "-"), Err("context.invalid")),
        (&[t], named("-", "-"), named("-", "qa"), Err("context.invalid")),
        // A header together with the query is refused, even with equal values.
        (&[t, e], named("t_a", "-"), named("t_a", "-"), Err("context.invalid")),
    ] {
        let case = format!("{pairs:?} {sent:?} {placed:?}");
        assert_eq!(read(pairs, sent, placed), outcome.map(str::to_owned), "{case}");
    }
}

#[test]
fn a_request_id_is_used_unchanged_or_replaced_but_never_refused() {
    let of = |values: &[&str]| {
        let pairs: Vec<_> = values.iter().map(|value| ("x-request-id", *value)).collect();
        RequestIdFound::of(&headers(&pairs), &Extensions::new())
    };
    for (values, is_only_header) in [
        (&["7b3bf470-9456-11e8-9eb6-529269fb1459#1"][..], true),
        (&["Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8"], true),
        (&["a,b"], true),
        (&["same", "same"], false),
        (&["same", "same", "same"], false),
    ] {
        let found = of(values);
        assert_eq!(found.id.as_str(), values[0]);
        assert_eq!(found.sent.unwrap(), values[0]);
        assert_eq!((found.is_only_header, found.replaced), (is_only_header, None), "{values:?}");
    }
    let too_long = "x".repeat(129);
    let malformed = |why| Some(WhyReplaced::Malformed(why));
    for (values, why) in [
        (&[][..], None),
        (&[""], malformed(InvalidId::Empty)),
        (&[&too_long], malformed(InvalidId::TooLong { max: 128 })),
        (&["a b"], malformed(NOT_VISIBLE)),
        (&["a\"b"], malformed(NOT_VISIBLE)),
        (&["\u{e4}"], malformed(NOT_VISIBLE)),
        (&["T_UNKNOWN"], malformed(InvalidId::Placeholder)),
        (&["undefined"], malformed(InvalidId::Placeholder)),
        (&["a", "b"], Some(WhyReplaced::Differing)),
        (&["a", ""], Some(WhyReplaced::Differing)),
        (&["a", "a", "A"], Some(WhyReplaced::Differing)),
        (&["a b", "a b"], malformed(NOT_VISIBLE)),
    ] {
        let (found, again) = (of(values), of(values));
        assert_ne!(found.id, again.id, "each generated id is new: {values:?}");
        assert!(found.id.as_str().len() == 36 && found.sent.is_none() && !found.is_only_header);
        assert_eq!(found.replaced, why, "{values:?}");
    }
}

#[test]
fn a_request_id_that_is_not_utf_8_is_replaced() {
    let mut headers = HeaderMap::new();
    headers.insert("x-request-id", HeaderValue::from_bytes(b"\xff\xfe").unwrap());
    let found = RequestIdFound::of(&headers, &Extensions::new());
    assert_eq!(found.replaced, Some(WhyReplaced::Malformed(NOT_VISIBLE)));
}
