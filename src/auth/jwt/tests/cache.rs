//! The cache changes no verdict, and no issuer removes the tokens of another issuer.

use super::support::{NOW, Probe, SECRET, builder, pem, sign, tries, with};
use crate::{
    auth::{
        AuthContext,
        jwt::{Algorithm, JwtKey, JwtVerifier, KeySet, TokenCache},
    },
    clock::from_unix,
    testing::ManualClock,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::{
    collection::vec, prelude::Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use serde_json::json;
use std::{sync::LazyLock, time::Duration};

/// Key sets of one issuer over time: each `kid` comes, goes, and changes its key.
static DOCUMENTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let der =
        |name: &str| spki::Document::from_pem(std::str::from_utf8(&pem(name)).unwrap()).unwrap().1;
    let tail = |bytes: &[u8], from: usize, to: usize| {
        URL_SAFE_NO_PAD.encode(&bytes[bytes.len() - from..bytes.len() - to])
    };
    let (p256, ed) = (der("p256.pub"), der("ed25519.pub"));
    let (p256, ed) = (p256.as_bytes(), ed.as_bytes());
    let ec = |kid: &str| {
        json!({
            "kty": "EC", "crv": "P-256", "kid": kid, "x": tail(p256, 64, 32), "y": tail(p256, 32, 0),
        })
    };
    let okp = |kid: &str| json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": tail(ed, 32, 0)});
    let sets = [vec![ec("1")], vec![ec("1"), okp("2")], vec![okp("2")], vec![okp("1"), ec("2")]];
    sets.map(|keys| json!({ "keys": keys }).to_string()).to_vec()
});

static TOKENS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut tokens = Vec::new();
    for (alg, algorithm) in [("ES256", Algorithm::ES256), ("EdDSA", Algorithm::EdDSA)] {
        for kid in [json!("1"), json!("2")] {
            for (life, not_before) in [(600, NOW), (3600, NOW + 300)] {
                let mut claims = with("exp", json!(NOW + life));
                claims["nbf"] = json!(not_before);
                claims["sub"] = json!(format!("{alg}-{kid}-{life}"));
                tokens.push(sign(&json!({"alg": alg, "kid": kid}), &claims, algorithm));
            }
        }
    }
    // A good token with the signature of another one.
    let (good, other) = (tokens[0].rsplit_once('.').unwrap(), tokens[1].rsplit_once('.').unwrap());
    let forged = format!("{}.{}", good.0, other.1);
    tokens.push(forged);
    tokens
});

#[derive(Clone, Debug)]
enum Step {
    Verify(usize),
    Advance(u64),
    SetBack(u64),
    Rotate(usize),
    Clear,
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..9_usize).prop_map(Step::Verify),
        2 => (0..900_u64).prop_map(Step::Advance),
        1 => (0..900_u64).prop_map(Step::SetBack),
        1 => (0..4_usize).prop_map(Step::Rotate),
        1 => proptest::prelude::Just(Step::Clear),
    ]
}

proptest! {
    #[test]
    fn a_cache_changes_no_verdict(steps in vec(steps(), 1..60), entries in 1..6_usize) {
        let clock = ManualClock::at(NOW);
        let (keys, install) = KeySet::by_hand(clock.shared());
        let cache = TokenCache::new(entries);
        let build = || JwtVerifier::builder()
            .key_set(keys.clone())
            .issuer("https://id.example")
            .audience("chat")
            .clock(clock.shared());
        let plain = build().build().unwrap();
        let cached = build().cache(cache.clone()).build().unwrap();
        // This verifier shares the cache, but must not use the entries of the first verifier.
        let narrow = build().cache(cache.clone()).tenants(["t_other"]).build().unwrap();
        install(&DOCUMENTS[0]);
        for step in steps {
            match step {
                Step::Verify(i) => {
                    let verdict = |verifier: &JwtVerifier| {
                        let auth = verifier.verify(&TOKENS[i]).map_err(|refused| refused.code())?;
                        let tenants = auth.tenants().count();
                        Ok::<_, &str>((auth.subject().to_string(), auth.expires_at(), tenants))
                    };
                    let expected = verdict(&plain);
                    prop_assert_eq!(verdict(&cached), expected.clone());
                    prop_assert_eq!(verdict(&cached), expected.clone(), "the second time");
                    let narrowed = expected.and(Err("tenant.mismatch"));
                    prop_assert_eq!(verdict(&narrow), narrowed);
                }
                Step::Advance(seconds) => clock.advance(Duration::from_secs(seconds)),
                Step::SetBack(seconds) => clock.set_back(Duration::from_secs(seconds)),
                Step::Rotate(i) => install(&DOCUMENTS[i]),
                Step::Clear => cache.clear(),
            }
            prop_assert!(cache.len() <= entries, "{} of {entries}", cache.len());
        }
    }
}

#[test]
fn a_good_token_is_cached_and_a_removed_or_bad_token_is_not() {
    let cache = TokenCache::bounded(100, 100_000);
    let verifier = builder().cache(cache.clone()).build().unwrap();
    let token = |subject: &str| {
        sign(&json!({"alg": "HS256"}), &with("sub", json!(subject)), Algorithm::HS256)
    };
    for _ in 0..3 {
        assert!(verifier.verify(&token("ada")).is_ok());
        assert!(verifier.verify(&token("bob")).is_ok());
        assert!(verifier.verify(&token("")).is_err());
    }
    assert_eq!(cache.len(), 2, "only good tokens are cached");
    cache.forget(|auth| auth.subject().as_str() == "ada");
    assert_eq!(cache.len(), 1);
    assert!(!format!("{cache:?}{verifier:?}").contains(&token("bob")));
    // When the last clone of a verifier is dropped, its entries are removed.
    let (clone, len) = (verifier.clone(), cache.len());
    drop(verifier);
    assert_eq!(cache.len(), len);
    drop(clone);
    assert_eq!((cache.len(), cache.bytes()), (0, 0));
    // The number of bytes is limited as well.
    let small = TokenCache::bounded(100, 3000);
    let verifier = builder().cache(small.clone()).build().unwrap();
    for i in 0..50 {
        verifier.verify(&token(&format!("u{i}"))).unwrap();
    }
    assert!(small.len() <= 4 && small.bytes() <= 3000, "{}", small.len());
}

/// A verifier with its own audience, and a function that makes its tokens.
fn party(cache: &TokenCache, name: &'static str) -> (JwtVerifier, impl Fn(usize) -> String) {
    let key = JwtKey::hmac(Algorithm::HS256, SECRET).unwrap();
    let verifier = JwtVerifier::builder().key(key).audience(name).cache(cache.clone());
    let verifier = verifier.clock(ManualClock::at(NOW).shared()).build().unwrap();
    let token = move |i: usize| {
        let claims = json!({"aud": name, "sub": format!("{name}-{i}"), "exp": NOW + 600});
        sign(&json!({"alg": "HS256"}), &claims, Algorithm::HS256)
    };
    (verifier, token)
}

/// Whether the token is in the cache, so that no key is tried.
fn is_hit(verifier: &JwtVerifier, token: &str) -> bool {
    let (tries, verdict) = tries(|| verifier.verify(token));
    verdict.unwrap();
    tries == 0
}

#[test]
fn many_tokens_of_one_issuer_remove_no_token_of_an_issuer_within_its_share() {
    // The number of entries limits the first cache, and the number of bytes limits the second. The third is
    // larger.
    for cache in [TokenCache::new(100), TokenCache::bounded(10_000, 180_000), TokenCache::new(1000)]
    {
        let ((a, of_a), (b, of_b), (c, of_c)) =
            (party(&cache, "a"), party(&cache, "b"), party(&cache, "c"));
        // While only one verifier has tokens, it may use the whole cache.
        let mut all = 0;
        while cache.len() == all {
            a.verify(&of_a(all)).unwrap();
            all += 1;
        }
        let all = cache.len();
        assert!(all >= 100, "{all}");
        // It loses the entries above its share when others need the room.
        let share = all / 3;
        (0..share).for_each(|i| drop(b.verify(&of_b(i)).unwrap()));
        (0..share).for_each(|i| drop(c.verify(&of_c(i)).unwrap()));
        assert!((0..share).all(|i| is_hit(&b, &of_b(i)) && is_hit(&c, &of_c(i))), "{all}");
        (0..3 * all).for_each(|i| drop(a.verify(&of_a(10_000 + i)).unwrap()));
        assert!((0..share).all(|i| is_hit(&b, &of_b(i)) && is_hit(&c, &of_c(i))), "{all}");
        assert!(cache.len() <= all);
        // A later verifier takes nothing from the share of `b` either. The share of the dropped verifier is
        // free.
        let (d, of_d) = party(&cache, "d");
        drop(c);
        (0..3 * all).for_each(|i| drop(d.verify(&of_d(i)).unwrap()));
        assert!((0..share).all(|i| is_hit(&b, &of_b(i))), "{all}");
        drop((a, d));
        assert_eq!(cache.len(), share);
        cache.clear();
        assert_eq!((cache.len(), cache.bytes()), (0, 0));
        assert!(
            !is_hit(&b, &of_b(0)) && is_hit(&b, &of_b(0)),
            "after `clear`, the cache still works"
        );
    }
}

#[test]
fn a_token_in_use_stays_while_other_tokens_of_its_issuer_come_and_go() {
    let cache = TokenCache::new(50);
    let (a, of_a) = party(&cache, "a");
    assert!(!is_hit(&a, &of_a(0)));
    for i in 1..500 {
        a.verify(&of_a(i)).unwrap();
        assert!(is_hit(&a, &of_a(0)), "{i}");
    }
    assert_eq!(cache.len(), 50);
}

#[test]
fn variants_of_a_verifier_do_not_replace_each_others_tokens() {
    let cache = TokenCache::new(50);
    let (a, _) = party(&cache, "a");
    let b = a.clone().with_audience("b");
    let claims = json!({"aud": ["a", "b"], "sub": "ada", "exp": NOW + 600});
    let both = sign(&json!({"alg": "HS256"}), &claims, Algorithm::HS256);
    assert!(!is_hit(&a, &both) && !is_hit(&b, &both));
    assert!(is_hit(&a, &both) && is_hit(&b, &both));
}

#[test]
fn a_cache_frees_removed_entries_after_it_releases_its_locks() {
    use std::sync::{Arc, mpsc};

    // The probe is the clock of the entry, so it is dropped with the entry.
    for forget in [TokenCache::clear, |cache: &TokenCache| cache.forget(|_| true)] {
        let cache = TokenCache::new(10);
        let share = cache.share();
        let (was_free, drops) = mpsc::channel();
        let add = |token: &str| {
            let held = cache.clone();
            let probe = Probe { is_free: move || held.is_free(), was_free: was_free.clone() };
            let auth =
                AuthContext::new(crate::id::Subject::new("ada").unwrap(), from_unix(NOW + 9));
            let auth = auth.with_clock(Arc::new(probe));
            share.insert(1, 0, token, crate::auth::jwt::rules::Checked { auth, not_before: None });
        };
        add("one");
        add("two");
        assert!(drops.try_recv().is_err(), "both entries are in the cache");
        forget(&cache);
        assert_eq!(drops.try_iter().collect::<Vec<_>>(), [true, true]);
        add("three");
        assert_eq!(cache.len(), 1);
        drop(share);
        assert_eq!(drops.try_iter().collect::<Vec<_>>(), [true]);
    }
}
