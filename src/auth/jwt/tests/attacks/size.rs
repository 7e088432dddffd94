//! Tokens that are too long.

use super::service::{Accepts, Service, claims, hs256, plain, with};
use crate::auth::{
    AuthRequest, Authenticator as _, Verdict,
    jwt::{Algorithm, TrustedIssuers, token::MAX_TOKEN, token_error::TokenError},
};
use serde_json::json;

#[test]
fn the_length_of_a_token_is_checked_before_anything_else() {
    let service = Service::of(Algorithm::HS256);
    let token = |pad: usize| {
        let claims = with(claims(), "pad", Some(json!("x".repeat(pad))));
        hs256(&plain(Algorithm::HS256), &claims)
    };
    // The longest token that is accepted, and a token that is a little longer.
    let longest = (11_000..13_000).take_while(|pad| token(*pad).len() <= MAX_TOKEN).last().unwrap();
    let (control, attack) = (token(longest), token(longest + 1));
    assert!(control.len() + 1 >= MAX_TOKEN, "{}", control.len());
    service.withstands("a letter too many", &attack, &control, "auth.invalid", Accepts);
    let huge = token(1_000_000);
    service.withstands("a megabyte", &huge, &control, "auth.invalid", Accepts);
    let too_long = |token: &str| {
        let refused = service.ours.clone().build().unwrap().check(token).unwrap_err();
        assert_eq!(refused, TokenError::TooLong { bytes: token.len(), most: MAX_TOKEN });
    };
    too_long(&attack);
    // The length is checked before anything else.
    too_long(&"x".repeat(MAX_TOKEN + 1));
}

#[test]
fn each_issuer_has_its_own_maximum_length_with_a_cache_as_well() {
    let (short, long) = (1000, 40_000);
    let service = Service::of(Algorithm::HS256);
    let token = |issuer: &str, bytes: usize| {
        let of = |pad: usize| {
            let claims = with(claims(), "pad", Some(json!("x".repeat(pad))));
            hs256(&plain(Algorithm::HS256), &with(claims, "iss", Some(json!(issuer))))
        };
        // Base64 encodes three bytes as four letters.
        let token = of((bytes - of(0).len()) / 4 * 3);
        assert!((bytes - 8..=bytes).contains(&token.len()), "{}", token.len());
        token
    };
    let verifier = |issuer: &str, most: usize| {
        let verifier = service.ours.clone().issuer(issuer).max_token_bytes(most).any_tenant();
        #[cfg(feature = "token-cache")]
        let verifier = verifier.cache(crate::auth::jwt::TokenCache::new(100));
        verifier.build().unwrap()
    };
    let issuers = TrustedIssuers::new();
    let code = |token: &str| {
        let request = http::Request::builder();
        let request = request.header("authorization", format!("Bearer {token}"));
        match issuers.authenticate(&AuthRequest::of(&request.body(()).unwrap())) {
            Verdict::Ready(verdict) => verdict.map(drop).map_err(|refused| {
                let why = std::error::Error::source(&refused).unwrap().to_string();
                (refused.code(), why.contains("max_token_bytes"))
            }),
            Verdict::Later(_) => panic!("there is nothing to wait for"),
        }
    };
    let too_long = Err(("auth.invalid", true));
    // No issuer is trusted yet.
    assert_eq!(code(&token("a", short)), Err(("auth.invalid", false)));
    assert_eq!(code(&token("a", long)), too_long);
    issuers.insert(verifier("a", short)).unwrap();
    assert_eq!(code(&token("a", short)), Ok(()));
    assert_eq!(code(&token("a", 2 * short)), too_long);
    issuers.insert(verifier("b", long)).unwrap();
    for _ in 0..2 {
        assert_eq!(code(&token("b", long)), Ok(()));
        assert_eq!(
            code(&token("a", long)),
            too_long,
            "the limit of issuer `a` applies to its tokens"
        );
    }
    assert_eq!(code(&token("b", long + 16)), too_long);
    assert!(issuers.remove("b"));
    assert_eq!(code(&token("b", long)), too_long);
    assert_eq!(
        code(&token("b", short)),
        Err(("auth.invalid", false)),
        "the issuer is no longer trusted"
    );
    let none = verifier("a", 0);
    assert!(matches!(none.check("a.b.c"), Err(TokenError::TooLong { bytes: 5, most: 0 })));
}
