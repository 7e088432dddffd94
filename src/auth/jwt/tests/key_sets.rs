//! Key sets that change: how many keys a set uses.

use super::support::{NOW, builder, garbage, some_rsa, tries};
use crate::{
    auth::jwt::{JwtVerifierBuilder, KeySet, token_error::TokenError},
    testing::ManualClock,
};
use serde_json::json;

#[test]
fn a_set_uses_a_limited_number_of_keys_and_a_garbage_token_tries_four() {
    let (set, install) = KeySet::by_hand(ManualClock::at(NOW).shared());
    let verifier = JwtVerifierBuilder { keys: Vec::new(), ..builder() }.key_set(set.clone());
    let verifier = verifier.build().unwrap();
    let jwks = |count: u8, bits, named: bool| {
        let keys = (0..count).map(|i| {
            let mut jwk = some_rsa(bits, i);
            if named {
                jwk["kid"] = json!(format!("{i}"));
            }
            jwk
        });
        json!({"keys": keys.collect::<Vec<_>>()}).to_string()
    };
    let header = json!({"alg": "RS256"});
    install(&jwks(5, 2048, false));
    let named = garbage(&json!({"alg": "RS256", "kid": "new"}), 2048 / 8);
    let tried = tries(|| verifier.check(&named).unwrap_err());
    assert_eq!(tried, (4, TokenError::NoSuchKey(Some("new".to_owned()))));
    for (count, bits, named, held) in
        [(200, 2048, true, 64), (200, 2048, false, 4), (200, 4096, true, 64), (4, 2048, false, 4)]
    {
        install(&jwks(count, bits, named));
        assert_eq!(set.health().keys, held);
        let (tries, refused) = tries(|| verifier.verify(&garbage(&header, bits / 8)));
        assert_eq!((tries, refused.unwrap_err().code()), (4, "auth.invalid"));
    }
}
