//! Tests of the spellings of origins, and of the pages that a request may come from.

use super::{Origin, invalid::Fault};
use crate::request::RequestHead;
use http::Request;

fn comes(method: &str, headers: &[(&str, &str)]) -> bool {
    comes_to("app.test:8080", method, headers)
}

fn comes_to(host: &str, method: &str, headers: &[(&str, &str)]) -> bool {
    let mut request = Request::builder().method(method).uri("/").header("host", host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).unwrap();
    let head = RequestHead::of(&request);
    head.comes_from(&[Origin::named("https://good.test").unwrap()])
}

#[test]
fn spellings_of_one_origin_are_equal() {
    for (written, canonical) in [
        ("https://app.test", "https://app.test"),
        ("https://app.test/", "https://app.test"),
        ("https://app.test:443", "https://app.test"),
        ("https://app.test:443/", "https://app.test"),
        ("https://app.test:", "https://app.test"),
        ("https://app.test:0443", "https://app.test"),
        ("HTTPS://App.TEST", "https://app.test"),
        ("http://app.test:80", "http://app.test"),
        ("http://app.test:443", "http://app.test:443"),
        ("https://app.test:80", "https://app.test:80"),
        ("https://app.test.", "https://app.test."),
        ("https://xn--BCHER-kva.test", "https://xn--bcher-kva.test"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://[0:0:0:0:0:0:0:1]:80/", "http://[::1]"),
        ("https://[2001:DB8::A]", "https://[2001:db8::a]"),
        ("http://localhost", "http://localhost"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
    ] {
        let origin = Origin::parse(written).unwrap();
        assert_eq!(origin.to_string(), canonical, "{written}");
        assert_eq!(Ok(origin.clone()), Origin::parse(canonical), "{written}");
        assert_eq!(origin.is_written(written), written == canonical, "{written}");
        let head = Request::builder().header("origin", written).body(()).unwrap();
        assert_eq!(RequestHead::of(&head).origin_text().as_deref(), Some(canonical));
    }
    for (one, other) in [
        ("https://app.test", "http://app.test"),
        ("https://app.test", "https://app.test:8443"),
        ("https://app.test", "https://app.test."),
        ("https://app.test", "https://www.app.test"),
        ("https://app.test:443", "http://app.test:443"),
        ("http://[::1]", "http://[::2]"),
        ("http://127.0.0.1", "http://[::ffff:127.0.0.1]"),
        ("capacitor://localhost", "capacitor://localhost:80"),
    ] {
        assert_ne!(Origin::parse(one).unwrap(), Origin::parse(other).unwrap());
    }
}

#[test]
fn a_text_that_is_not_an_origin_is_refused_with_the_reason() {
    for (text, fault) in [
        ("", Fault::NoScheme),
        ("app.test", Fault::NoScheme),
        ("app.test:443", Fault::NoScheme),
        ("//app.test", Fault::NoScheme),
        ("://app.test", Fault::NoScheme),
        (" https://app.test", Fault::NoScheme),
        ("https:app.test", Fault::NoScheme),
        ("blob:https://app.test", Fault::NoScheme),
        ("wss://app.test", Fault::NoPage),
        ("file:///home", Fault::Path),
        ("file://", Fault::NoPage),
        ("*", Fault::Wildcard),
        ("https://*", Fault::Wildcard),
        ("https://*.app.test", Fault::Wildcard),
        ("null", Fault::Opaque),
        ("https://b\u{fc}cher.test", Fault::Unicode),
        ("https://user@app.test", Fault::User),
        ("https://user:s3cret@app.test/", Fault::User),
        ("https://app.test/path", Fault::Path),
        ("https://app.test//", Fault::Path),
        ("https://app.test?a=b", Fault::Path),
        ("https://app.test/?", Fault::Path),
        ("https://app.test#a", Fault::Path),
        ("https://app.test\\", Fault::Path),
        ("https://", Fault::Host),
        ("https://:443", Fault::Host),
        ("https://app..test", Fault::Host),
        ("https://.app.test", Fault::Host),
        ("https://app.test ", Fault::Host),
        ("https://app.test, https://b.test", Fault::Path),
        ("https://a.test https://b.test", Fault::Path),
        ("https://app%2etest", Fault::Host),
        ("http://127.1", Fault::Host),
        ("http://2130706433", Fault::Host),
        ("http://0x7f.0.0.1", Fault::Host),
        ("http://127.0.0.0x1", Fault::Host),
        ("http://::1", Fault::Host),
        ("http://[::1", Fault::Host),
        ("http://[fe80::1%25eth0]", Fault::Host),
        ("http://[::1]a", Fault::Port),
        ("https://app.test:65536", Fault::Port),
        ("https://app.test:+443", Fault::Port),
        ("https://app.test:https", Fault::Port),
        ("https://app.test:1:2", Fault::Port),
    ] {
        assert_eq!(Origin::parse(text).err(), Some(fault), "{text}");
        let error = Origin::named(text).unwrap_err().to_string();
        assert!(error.contains(&fault.to_string()) && !error.contains("s3cret"), "{error}");
        // In a header, it is treated like `null`.
        if let Ok(head) = Request::builder().header("origin", text).body(()) {
            assert_eq!(RequestHead::of(&head).origin_text().as_deref(), Some("null"), "{text}");
            assert!(!RequestHead::of(&head).comes_from(&[]));
        }
    }
}

#[test]
fn a_page_is_of_the_same_host_if_host_and_port_are_equal() {
    for (host, origin, passes) in [
        ("app.test", "https://app.test", true),
        ("app.test", "https://app.test:443", true),
        ("app.test", "http://app.test:80", true),
        ("App.Test", "HTTPS://app.TEST/", true),
        ("app.test:443", "https://app.test", true),
        ("app.test:80", "http://app.test", true),
        ("app.test:443", "http://app.test", false),
        ("app.test", "https://app.test:8443", false),
        ("app.test:8443", "https://app.test:8443", true),
        ("app.test.", "https://app.test", false),
        ("[::1]:3000", "http://[0:0::1]:3000", true),
        ("[::1]", "http://[::1]:80", true),
        ("[::1]", "http://[::2]", false),
        ("127.0.0.1", "http://127.0.0.1", true),
        ("app.test", "capacitor://app.test", false),
        ("app.test", "wss://app.test", false),
        ("", "https://app.test", false),
        ("user@app.test", "https://app.test", false),
    ] {
        assert_eq!(comes_to(host, "GET", &[("origin", origin)]), passes, "{host} {origin}");
    }
    let twice = [("origin", "https://app.test"), ("host", "app.test")];
    assert!(!comes_to("app.test", "GET", &twice), "two `Host` headers");
}

#[test]
fn requests_of_pages_of_other_origins_are_detected() {
    let upgrade = ("upgrade", "WebSocket");
    for (method, headers, passes) in [
        ("GET", vec![], true),
        ("POST", vec![], false),
        ("GET", vec![("origin", "http://app.test:8080")], true),
        ("GET", vec![("origin", "https://APP.test:8080")], true),
        ("GET", vec![("origin", "https://app.test")], false),
        ("GET", vec![("origin", "https://app.test:8080.evil.test")], false),
        ("GET", vec![("origin", "https://good.test")], true),
        ("GET", vec![("origin", "https://GOOD.test:443")], true),
        ("GET", vec![("origin", "http://good.test")], false),
        ("GET", vec![("origin", "https://good.test https://good.test")], false),
        ("GET", vec![("origin", "https://evil.test")], false),
        ("GET", vec![("origin", "null")], false),
        ("GET", vec![("origin", "https://good.test"), ("origin", "https://good.test")], false),
        ("GET", vec![upgrade], false),
        ("CONNECT", vec![], false),
        ("GET", vec![upgrade, ("origin", "https://good.test")], true),
        ("GET", vec![upgrade, ("origin", "https://evil.test")], false),
        ("GET", vec![upgrade, ("sec-fetch-site", "same-origin")], false),
        ("GET", vec![("upgrade", "h2c, websocket")], false),
        ("POST", vec![upgrade, ("origin", "https://evil.test")], false),
        // The browser reports another scheme on the same host.
        ("GET", vec![("origin", "http://app.test:8080"), ("sec-fetch-site", "cross-site")], false),
        ("GET", vec![("sec-fetch-site", "same-origin")], true),
        ("GET", vec![("sec-fetch-site", "none")], true),
        ("GET", vec![("sec-fetch-site", "same-site")], false),
        ("GET", vec![("sec-fetch-site", "cross-site")], false),
        ("POST", vec![("sec-fetch-site", "same-origin")], true),
    ] {
        assert_eq!(comes(method, &headers), passes, "{method} {headers:?}");
    }
}
