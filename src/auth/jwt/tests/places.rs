//! Places: where an issuer writes a claim, and with which JSON type.

use super::support::{
    NOW, builder, extended, good_claims, hs256, sign, sign_text, verify, verify_claims, with,
};
use crate::auth::{
    AuthContext,
    jwt::{Algorithm, ClaimNames, ClaimPlace, token_error::TokenError},
};
use serde_json::{Value, json};

#[test]
fn names_may_be_a_string_or_an_array_at_every_place_and_null_is_absent() {
    let own = |kind: &str| format!("/own/{kind}");
    let named = ClaimNames::default()
        .tenant(own("tenant"))
        .env(own("env"))
        .roles(own("roles"))
        .scopes(own("scope"));
    let many = named.clone().tenants(own("tenant")).envs(own("env"));
    for (value, tenants, texts, scopes) in [
        (json!("a b"), &["a b"][..], &["a b"][..], &["a", "b"][..]),
        (json!(["a b", "c"]), &["a b", "c"], &["a b", "c"], &["a b", "c"]),
        (json!(""), &[""], &[""], &[]),
        (json!([]), &[], &[], &[]),
        (Value::Null, &[], &[], &[]),
        (json!([null]), &[], &[], &[]),
        (json!([null, "a", null]), &["a"], &["a"], &["a"]),
    ] {
        let top = json!({"tenant_id": value, "env": value, "roles": value, "scope": value});
        let plural = json!({"tenant_ids": value, "envs": value, "roles": value, "scope": value});
        let nested =
            json!({"own": {"tenant": value, "env": value, "roles": value, "scope": value}});
        for (names, claims) in [
            (ClaimNames::default(), &top),
            (ClaimNames::default(), &plural),
            (named.clone(), &nested),
        ] {
            let auth = verify(&builder().claims(names), &hs256(&extended(claims))).unwrap();
            assert!(auth.tenants().eq(tenants.iter().copied()), "{claims}");
            assert!(auth.envs().eq(texts.iter().copied()), "{claims}");
            assert!(auth.roles().eq(texts.iter().copied()), "{claims}");
            assert!(auth.scopes().eq(scopes.iter().copied()), "{claims}");
        }
        let auth = verify(&builder().claims(many.clone()), &hs256(&extended(&nested))).unwrap();
        assert_eq!(auth.tenants().count(), 2 * tenants.len(), "{nested}");
    }
    // A number is a tenant. Its name is the text of the number in the token.
    for (written, tenants) in [
        ("0", vec!["0"]),
        ("42", vec!["42"]),
        ("-7", vec!["-7"]),
        ("18446744073709551616", vec!["18446744073709551616"]),
        ("[1, \"t_b\", 2]", vec!["1", "t_b", "2"]),
    ] {
        for place in ["tenant_id", "tenant_ids"] {
            let claims = extended(&json!({})).to_string();
            let claims = claims.replacen('{', &format!("{{\"{place}\":{written},"), 1);
            let token = sign_text(r#"{"alg":"HS256"}"#, &claims, Algorithm::HS256);
            let auth = verify(&builder(), &token).unwrap();
            assert!(auth.tenants().eq(tenants.iter().copied()), "{claims}");
        }
    }
    for written in ["1.0", "1e3", "-0.5", "1E0"] {
        let claims = extended(&json!({})).to_string();
        let claims = claims.replacen('{', &format!("{{\"tenant_id\":{written},"), 1);
        let token = sign_text(r#"{"alg":"HS256"}"#, &claims, Algorithm::HS256);
        assert_eq!(verify(&builder(), &token).err(), Some("auth.invalid"), "{written}");
    }
}

#[test]
fn the_keys_of_an_object_are_names_only_if_the_place_says_so() {
    let tree = json!({
        "urn:zitadel:iam:org:project:roles": {"admin": {"1": "a.example"}, "ops": {}},
        "organization": {"acme": {"id": "1"}, "left": null, "never": false, "beta": {}},
        "one": "acme", "several": ["acme", "beta"], "empty": {}, "no": true, "nested": [{"a": 1}],
    });
    let token = hs256(&extended(&tree));
    let keys = ClaimPlace::keys_of;
    let names = ClaimNames::default()
        .tenants(keys("/organization"))
        .envs(keys("/organization/acme"))
        .roles(keys("/urn:zitadel:iam:org:project:roles"))
        .scopes(keys("/urn:zitadel:iam:org:project:roles"));
    let auth = verify(&builder().claims(names), &token).unwrap();
    assert_eq!(
        auth.tenants().collect::<Vec<_>>(),
        ["acme", "beta"],
        "keys with `null` or `false` are skipped"
    );
    assert_eq!(auth.envs().collect::<Vec<_>>(), ["id"]);
    assert_eq!(auth.roles().collect::<Vec<_>>(), ["admin", "ops"]);
    assert_eq!(auth.scopes().collect::<Vec<_>>(), ["admin", "ops"]);
    let told = |place: ClaimPlace| {
        let by_tenant = builder().claims(ClaimNames::default().tenant(place));
        let auth = verify(&by_tenant.default_tenants(["t_default"]), &token)?;
        Ok(auth.tenants().map(str::to_owned).collect::<Vec<_>>().join(" "))
    };
    for (place, tenants) in [
        (keys("/one"), Ok("acme".to_owned())),
        (keys("/several"), Ok("acme beta".into())),
        // The claim exists, but has no names, so no default applies.
        (keys("/empty"), Ok(String::new())),
        (keys("/nowhere"), Ok("t_default".into())),
        (keys("/organization/left"), Ok("t_default".into())),
        (keys("/no"), Err("auth.invalid")),
        (keys("/nested"), Err("auth.invalid")),
        (ClaimPlace::at("/organization"), Err("auth.invalid")),
        (ClaimPlace::at("/empty"), Err("auth.invalid")),
    ] {
        assert_eq!(told(place.clone()), tenants, "{place:?}");
    }
    let many: serde_json::Map<_, _> = (0..513).map(|n| (format!("{n}"), json!({}))).collect();
    let many = hs256(&extended(&json!({"organization": many})));
    let tenants = builder().claims(ClaimNames::default().tenants(keys("/organization")));
    assert_eq!(verify(&tenants, &many).err(), Some("auth.invalid"));
}

#[test]
fn claims_are_read_from_the_configured_places() {
    let names = ClaimNames::default()
        .tenant("/https:~1~1example.com~1tenant")
        .envs("/app_metadata/envs")
        .roles("/realm_access/roles");
    let claims = json!({
        "iss": "https://id.example", "aud": "chat", "sub": "x", "exp": NOW + 1,
        "https://example.com/tenant": "t_a",
        "app_metadata": {"envs": ["prod"]},
        "realm_access": {"roles": ["ops"]},
        "tenant_id": "t_ignored",
    });
    let token = sign(&json!({"alg": "HS256"}), &claims, Algorithm::HS256);
    let auth = verify(&builder().claims(names), &token).unwrap();
    assert_eq!(auth.tenants().collect::<Vec<_>>(), ["t_a"]);
    assert_eq!(auth.envs().collect::<Vec<_>>(), ["prod"]);
    assert!(auth.has_role("ops"));
}

#[test]
fn a_configured_place_replaces_the_default_places_of_its_kind() {
    let claims = json!({
        "iss": "https://id.example", "aud": "chat", "sub": "x", "exp": NOW + 1,
        "tenant_id": "smuggled", "tenant_ids": ["smuggled"], "env": "smuggled", "envs": ["smuggled"],
        "roles": ["smuggled"], "scope": "smuggled", "actor_type": "smuggled",
        "app": {
            "sub": "y", "aud": "chat", "one": "a", "many": ["b"], "scp": ["s"], "kind": "agent",
        },
    });
    let names = ClaimNames::default;
    let told = |names: ClaimNames| {
        let auth = verify(&builder().claims(names), &hs256(&claims)).unwrap();
        let texts = |all: &mut dyn Iterator<Item = &str>| all.collect::<Vec<_>>().join(" ");
        (texts(&mut auth.tenants()), texts(&mut auth.envs()))
    };
    let smuggled = || "smuggled smuggled".to_owned();
    for (names, tenants) in [
        (names(), smuggled()),
        (names().tenant("/app/one"), "a".into()),
        (names().tenants("/app/many"), "b".into()),
        (names().tenant("/app/one").tenants("/app/many"), "b a".into()),
        (names().tenants("/app/many").tenant("/app/one"), "b a".into()),
        (names().tenant("/app/nowhere"), String::new()),
        (names().tenants("/app/nowhere"), String::new()),
        // You may also set a default place.
        (names().tenant("/tenant_id"), "smuggled".into()),
    ] {
        assert_eq!(told(names.clone()), (tenants, smuggled()), "{names:?}");
    }
    for (names, envs) in [
        (names().env("/app/one"), "a"),
        (names().envs("/app/many"), "b"),
        (names().env("/app/one").envs("/app/many"), "b a"),
        (names().envs("/app/nowhere"), ""),
    ] {
        assert_eq!(told(names.clone()), (smuggled(), envs.to_owned()), "{names:?}");
    }
    let elsewhere = names().subject("/app/sub").audience("/app/aud").roles("/app/many");
    let elsewhere = elsewhere.scopes("/app/scp").actor_type("/app/kind");
    let auth = verify(&builder().claims(elsewhere), &hs256(&claims)).unwrap();
    assert_eq!((auth.subject().as_str(), auth.actor_type().unwrap().as_str()), ("y", "agent"));
    assert!(auth.roles().eq(["b"]) && auth.scopes().eq(["s"]) && auth.audiences().eq(["chat"]));
}

#[test]
fn a_claim_has_at_most_512_names() {
    let empty = |names: usize| json!(vec![""; names]);
    let words = |names: usize| json!(vec!["s"; names].join("  "));
    let mut audiences = vec!["chat"; 512];
    for (claim, most, more) in [
        ("tenant_ids", empty(511), empty(512)), // `tenant_id` has one more name
        ("envs", empty(511), empty(512)),
        ("roles", empty(512), empty(513)),
        ("scope", empty(512), empty(513)),
        ("scope", words(512), words(513)),
        ("aud", json!(audiences), {
            audiences.push("");
            json!(audiences)
        }),
    ] {
        let verifier = builder().build().unwrap();
        let auth = verifier.check(&hs256(&with(claim, most))).unwrap();
        let token = hs256(&with(claim, more));
        // If there are more than 512 roles or scopes, the token has none.
        let has = |auth: &AuthContext| match claim {
            "roles" => Some(auth.roles().count()),
            "scope" => Some(auth.scopes().count()),
            _ => None,
        };
        if let Some(names) = has(&auth) {
            assert_eq!(names, 512, "{claim}");
            assert_eq!(verify(&builder(), &token).map(|auth| has(&auth)), Ok(Some(0)), "{claim}");
            continue;
        }
        let refused = verifier.check(&token).unwrap_err();
        assert!(matches!(&refused, TokenError::BadClaim { .. }), "{claim}: {refused}");
        assert!(refused.to_string().contains("more than 512"), "{refused}");
        assert_eq!(verify(&builder(), &token).err(), Some("auth.invalid"));
    }
}

#[test]
fn scopes_are_a_string_with_spaces_or_an_array_and_the_audience_can_be_replaced() {
    let scopes = |scope: Value| {
        let auth = verify_claims(&with("scope", scope))?;
        Ok::<_, &str>(auth.scopes().map(str::to_owned).collect::<Vec<_>>())
    };
    assert_eq!(
        scopes(json!("chat:read  chat:write")),
        Ok(vec!["chat:read".into(), "chat:write".into()])
    );
    assert_eq!(scopes(json!(["a b", "c"])), Ok(vec!["a b".into(), "c".into()]));
    assert_eq!(scopes(Value::Null), Ok(vec![]));
    assert_eq!(scopes(json!(5)), Ok(vec![]));
    let by_client = builder().claims(ClaimNames::default().audience("/client_id"));
    let mut claims = with("client_id", json!("chat"));
    claims["aud"] = json!("whoever");
    let token = sign(&json!({"alg": "HS256"}), &claims, Algorithm::HS256);
    assert_eq!(verify(&by_client, &token).unwrap().audiences().collect::<Vec<_>>(), ["chat"]);
    let other = sign(&json!({"alg": "HS256"}), &with("client_id", json!("x")), Algorithm::HS256);
    assert_eq!(verify(&by_client, &other).err(), Some("auth.invalid"));
    let verifier = builder().build().unwrap().with_audience("admin");
    let admin = sign(&json!({"alg": "HS256"}), &with("aud", json!("admin")), Algorithm::HS256);
    assert!(verifier.verify(&admin).is_ok());
    assert!(
        verifier.verify(&sign(&json!({"alg": "HS256"}), &good_claims(), Algorithm::HS256)).is_err()
    );
}
