use super::{FoundToken, TokenSources};
use http::{Request, header};

const UPGRADE: (&str, &str) = ("upgrade", "websocket");

/// The code or the token, and what is left of the headers that may contain a token.
fn take(sources: &TokenSources, headers: &[(&str, &str)]) -> (String, Vec<String>) {
    let mut request = Request::builder().uri("/").header("host", "app.test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(()).unwrap();
    let found = match sources.take(&mut request) {
        Ok(FoundToken::Header) => "header".to_owned(),
        Ok(FoundToken::Elsewhere(token)) => format!("= {token}"),
        Ok(FoundToken::Nowhere) => "nowhere".to_owned(),
        Err(rejection) => format!("{} {}", rejection.status().as_u16(), rejection.code()),
    };
    let names = [header::COOKIE, header::SEC_WEBSOCKET_PROTOCOL];
    let left = names.iter().flat_map(|name| request.headers().get_all(name).iter());
    let text = |value: &http::HeaderValue| String::from_utf8(value.as_bytes().to_vec()).unwrap();
    (found, left.map(text).collect())
}

#[test]
fn a_token_is_found_in_one_place_and_removed_from_it() {
    let all = TokenSources::header().or_cookie("session").or_subprotocol();
    for (headers, found, left) in [
        (vec![], "nowhere", vec![]),
        (vec![("authorization", "Bearer t")], "header", vec![]),
        (vec![("cookie", "a=1; session=t.t; b=2")], "= t.t", vec!["a=1; b=2"]),
        (vec![("cookie", "a=1"), ("cookie", "session=\"t\"")], "= t", vec!["a=1"]),
        (vec![("cookie", "session=; a=1")], "nowhere", vec!["a=1"]),
        (vec![("cookie", "name=Zoë; session=t")], "= t", vec!["name=Zoë"]),
        (vec![("cookie", "xsession=t; session2=t")], "nowhere", vec!["xsession=t; session2=t"]),
        (vec![UPGRADE, ("sec-websocket-protocol", "chat.v1, bearer.t")], "= t", vec!["chat.v1"]),
        (
            vec![UPGRADE, ("sec-websocket-protocol", "bearer.t"), ("sec-websocket-protocol", "x")],
            "= t",
            vec!["x"],
        ),
        // The subprotocol is read only from an upgrade.
        (vec![("sec-websocket-protocol", "bearer.t")], "nowhere", vec!["bearer.t"]),
        (vec![UPGRADE, ("sec-websocket-protocol", "bearer.t")], "400 context.invalid", vec![]),
        // Two tokens.
        (
            vec![("authorization", "Bearer t"), ("cookie", "session=t")],
            "400 context.invalid",
            vec![],
        ),
        (vec![("cookie", "session=t; session=u")], "400 context.invalid", vec![]),
        (vec![("cookie", "session=t; session=u; session=t")], "400 context.invalid", vec![]),
        (vec![("cookie", "session=t"), ("cookie", "session=u")], "400 context.invalid", vec![]),
        // One token that is sent twice.
        (vec![("cookie", "session=t; a=1; session=\"t\"")], "= t", vec!["a=1"]),
        (vec![("cookie", "session=t; session=; session=t")], "= t", vec![]),
        (vec![("cookie", "session=t"), ("cookie", "session=t")], "= t", vec![]),
        (
            vec![UPGRADE, ("sec-websocket-protocol", "x, bearer.t, bearer.u")],
            "400 context.invalid",
            vec!["x"],
        ),
        (
            vec![UPGRADE, ("cookie", "session=t"), ("sec-websocket-protocol", "x, bearer.t")],
            "400 context.invalid",
            vec!["x"],
        ),
    ] {
        assert_eq!(
            take(&all, &headers),
            (found.to_owned(), left.iter().map(ToString::to_string).collect()),
            "{headers:?}"
        );
    }
    let only_header = TokenSources::header();
    assert_eq!(take(&only_header, &[("cookie", "session=t")]).0, "nowhere");
}

#[test]
fn a_cookie_counts_only_from_an_allowed_origin() {
    let sources = TokenSources::header().or_cookie("session");
    let sources = sources.allow_origin("HTTPS://Good.test:443/").unwrap();
    let cookie = ("cookie", "session=t");
    for (headers, found) in [
        (vec![cookie], "= t"),
        (vec![cookie, ("origin", "https://app.test")], "= t"),
        (vec![cookie, ("origin", "https://app.test:443")], "= t"),
        (vec![cookie, ("origin", "https://good.test")], "= t"),
        (vec![cookie, ("origin", "https://good.test:443")], "= t"),
        (vec![cookie, ("origin", "http://good.test")], "401 auth.invalid"),
        (vec![cookie, ("origin", "null")], "401 auth.invalid"),
        (vec![cookie, ("origin", "https://evil.test")], "401 auth.invalid"),
        (vec![cookie, ("sec-fetch-site", "cross-site")], "401 auth.invalid"),
        (vec![cookie, ("sec-fetch-site", "same-site")], "401 auth.invalid"),
        (vec![cookie, UPGRADE], "401 auth.invalid"),
        (vec![cookie, UPGRADE, ("origin", "https://app.test")], "= t"),
        (vec![cookie, UPGRADE, ("origin", "https://evil.test")], "401 auth.invalid"),
    ] {
        assert_eq!(take(&sources, &headers).0, found, "{headers:?}");
    }
}

#[test]
fn allow_origin_refuses_a_text_that_is_not_an_origin() {
    for bad in ["app.test", "*", "null", "https://app.test/path", "wss://app.test"] {
        assert!(TokenSources::header().allow_origin(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_password_of_a_proxy_is_not_a_token_and_any_other_scheme_is() {
    let all = TokenSources::header().or_cookie("session").or_subprotocol();
    let cookie = ("cookie", "session=t");
    let protocol = ("sec-websocket-protocol", "x, bearer.t");
    let digest = "Digest username=\"ada\", realm=\"a b\", uri=\"/\", response=\"x\"";
    for gate in [
        "Basic YTpi",
        "basic YTpi",
        "BASIC  YTpi==",
        "Basic",
        digest,
        "Digest username=\"a, b\", uri=\"/x,y?\\\", z\", nonce = \"n\"",
        "Basic YTpi,",
        "Negotiate YII=",
        "NTLM TlR",
        "",
    ] {
        let gate = ("authorization", gate);
        assert_eq!(take(&all, &[gate, cookie]).0, "= t", "{gate:?}");
        assert_eq!(take(&all, &[gate, UPGRADE, protocol]).0, "= t", "{gate:?}");
        assert_eq!(take(&all, &[gate]).0, "header", "{gate:?}");
        // Two `Authorization` headers count as a token.
        let twice = take(&all, &[gate, gate, cookie]).0;
        assert_eq!(twice, "400 context.invalid", "{gate:?}");
    }
    let basic = ("authorization", "Basic YTpi");
    for token in [
        "Bearer u",
        "bearer u",
        "Bearer",
        "ApiKey u",
        "DPoP u",
        "Basic2 u",
        "Bearer\tu",
        "u",
        "Basic YTpi, Bearer u",
        "Basic YTpi,bearer u==",
        "Basic YTpi, ApiKey u",
        "Digest username=\"a\", Bearer u",
        "Digest username=\"a, Bearer u",
        "Basic YTpi\", Bearer u",
    ] {
        let token = ("authorization", token);
        for headers in
            [vec![token, cookie], vec![token, UPGRADE, protocol], vec![basic, token, cookie]]
        {
            assert_eq!(take(&all, &headers).0, "400 context.invalid", "{headers:?}");
        }
    }
}
