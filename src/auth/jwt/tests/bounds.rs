//! Bounds and defaults: the tenants and envs that an issuer may speak for.

use super::support::{NOW, builder, extended, good_claims, hs256, verify, with};
use crate::{
    auth::jwt::{ClaimNames, JwtConfigError},
    rejection::{Rejection, RejectionKind},
};
use proptest::{collection::vec, prop_assert_eq, proptest};
use serde_json::{Value, json};
use std::error::Error as _;

#[test]
fn a_token_proves_only_names_that_its_issuer_may_speak_for() {
    let token = hs256(&with("tenant_ids", json!(["t_b", "t_c"])));
    let auth = verify(&builder().tenants(["t_b", "t_x"]), &token).unwrap();
    assert_eq!(auth.tenants().collect::<Vec<_>>(), ["t_b"]);
    for (bound, code) in [
        (builder().tenants(["t_x"]), "tenant.mismatch"),
        (builder().tenants(Vec::<String>::new()), "tenant.mismatch"),
        // If `tenants` is called twice, both bounds apply.
        (builder().tenants(["t_b"]).tenants(["t_c"]), "tenant.mismatch"),
        (builder().tenants(["t_x"]).any_tenant(), "tenant.mismatch"),
        (builder().any_tenant().tenants(["t_x"]), "tenant.mismatch"),
        (builder().envs(["dev"]), "env.mismatch"),
        (builder().envs(["dev"]).tenants(["t_x"]), "tenant.mismatch"),
    ] {
        assert_eq!(verify(&bound, &token).err(), Some(code), "{bound:?}");
    }
}

#[test]
fn names_out_of_bounds_are_the_last_reason_and_the_log_has_the_details() {
    let dev = builder().envs(["dev"]).build().unwrap();
    let refused = dev.verify(&hs256(&with("env", json!("pr\nod")))).unwrap_err();
    let source = refused.source().unwrap().to_string();
    assert_eq!((refused.code(), refused.status().as_u16()), ("env.mismatch", 403));
    for told in ["https://id.example", "envs", r#"["pr\nod"]"#] {
        assert!(source.contains(told), "{source}");
    }
    // The client gets the same text as for any other mismatch.
    assert_eq!(refused.detail(), Rejection::new(RejectionKind::EnvMismatch).detail());
    let mut over = with("env", json!("prod"));
    over["exp"] = json!(NOW - 60);
    assert_eq!(verify(&builder().envs(["dev"]), &hs256(&over)).err(), Some("auth.expired"));
    over["aud"] = json!("other");
    assert_eq!(verify(&builder().envs(["dev"]), &hs256(&over)).err(), Some("auth.invalid"));
}

#[test]
fn a_default_replaces_an_absent_claim_and_must_be_within_the_bound() {
    let dev = || builder().envs(["dev", "qa"]).default_envs(["dev"]);
    for (claims, expected) in [
        (json!({}), Ok(vec!["dev"])),
        (json!({"env": "qa"}), Ok(vec!["qa"])),
        (json!({"envs": ["qa", "prod"]}), Ok(vec!["qa"])),
        (json!({"env": "prod"}), Err("env.mismatch")),
        (json!({"envs": ["prod", "staging"]}), Err("env.mismatch")),
        (json!({"env": ""}), Err("env.mismatch")),
        // The claim exists, but has no names.
        (json!({"envs": []}), Ok(vec![])),
        (json!({"envs": [null]}), Ok(vec![])),
        (json!({"envs": "qa"}), Ok(vec!["qa"])),
        // The claim is absent.
        (json!({"env": null}), Ok(vec!["dev"])),
        (json!({"env": null, "envs": null}), Ok(vec!["dev"])),
        (json!({"env": null, "envs": ["prod"]}), Err("env.mismatch")),
        // The claim exists, but is malformed, so no default applies.
        (json!({"env": {}}), Err("auth.invalid")),
        (json!({"env": 1}), Err("auth.invalid")),
        (json!({"envs": {"dev": true}}), Err("auth.invalid")),
        (json!({"env": "dev", "envs": [false]}), Err("auth.invalid")),
    ] {
        let mut all = with("env", Value::Null);
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let auth = verify(&dev(), &hs256(&all));
        let envs = auth.map(|auth| auth.envs().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(
            envs,
            expected.map(|all| all.into_iter().map(str::to_owned).collect()),
            "{claims}"
        );
    }
    let nested = || {
        let names =
            ClaimNames::default().tenant("/meta/tenant").tenants("/meta/all").env("/meta/env/0");
        builder().claims(names).default_tenants(["t_x"]).default_envs(["dev"])
    };
    for (meta, expected) in [
        (json!({}), Ok(vec!["t_x", "dev"])),
        (json!({"tenant": "t_a"}), Ok(vec!["t_a", "dev"])),
        (json!({"all": [], "env": []}), Ok(vec!["dev"])),
        (json!({"tenant": "t_a", "env": ["qa"]}), Ok(vec!["t_a", "qa"])),
        (json!({"env": "qa"}), Err("auth.invalid")),
        (json!({"tenant": {}}), Err("auth.invalid")),
        (json!("x"), Err("auth.invalid")),
        (json!(["t_a"]), Err("auth.invalid")),
        (json!([]), Err("auth.invalid")),
        (json!(7), Err("auth.invalid")),
        (json!(false), Err("auth.invalid")),
    ] {
        let auth = verify(&nested(), &hs256(&with("meta", meta.clone())));
        let said = auth
            .map(|auth| auth.tenants().chain(auth.envs()).map(str::to_owned).collect::<Vec<_>>());
        let expected = expected.map(|all| all.into_iter().map(str::to_owned).collect());
        assert_eq!(said, expected, "{meta}");
    }
    // A claim is absent if it or a value above it is `null`.
    for null in [json!({"meta": null}), json!({"meta": {"tenant": null, "env": null}})] {
        let auth = verify(&nested(), &hs256(&extended(&null))).unwrap();
        assert!(auth.tenants().chain(auth.envs()).eq(["t_x", "dev"]), "{null}");
    }
    assert_eq!(verify(&nested(), &hs256(&good_claims())).unwrap().tenants().next(), Some("t_x"));

    let of_a = builder().default_tenants(["t_a"]).default_tenants(["t_b"]);
    let auth = verify(&of_a, &hs256(&with("tenant_id", Value::Null))).unwrap();
    assert_eq!(auth.tenants().collect::<Vec<_>>(), ["t_a", "t_b"]);
    let auth = verify(&of_a, &hs256(&with("tenant_id", json!("t_c")))).unwrap();
    assert_eq!(auth.tenants().collect::<Vec<_>>(), ["t_c"]);

    // The order of the calls does not matter.
    for (wrong, told) in [
        (builder().envs(["dev"]).default_envs(["prod"]), "prod"),
        (builder().default_envs(["dev", "prod"]).envs(["dev"]), "prod"),
        (builder().tenants(["t_a"]).default_tenants(["t_b"]), "t_b"),
        (builder().tenants(["t_a"]).any_tenant().default_tenants(["t_b"]), "t_b"),
    ] {
        let error = wrong.build().unwrap_err();
        assert!(
            matches!(&error, JwtConfigError::DefaultOutOfBound(name) if name == told),
            "{error}"
        );
    }
}

proptest! {
    /// The rule: a token proves the claimed names, or the defaults if there is no claim, but only names
    /// within the bound.
    #[test]
    fn no_combination_of_claims_bounds_and_defaults_proves_more_than_the_bound(
        one in proptest::option::of("[abc]"),
        many in proptest::option::of(vec("[abc]", 0..3)),
        bound in proptest::option::of(vec("[abc]", 0..3)),
        default in vec("[abc]", 0..2),
    ) {
        let mut claims = with("tenant_id", one.clone().map_or(Value::Null, Value::from));
        if let Some(many) = &many {
            claims["tenant_ids"] = json!(many);
        }
        let mut verifier = builder().default_tenants(&default);
        if let Some(bound) = &bound {
            verifier = verifier.tenants(bound);
        }
        let allowed = |name: &String| bound.as_ref().is_none_or(|bound| bound.contains(name));
        let built = verifier.clone().build();
        prop_assert_eq!(built.is_ok(), default.iter().all(allowed));
        if built.is_ok() {
            let claimed: Vec<String> = many.clone().into_iter().flatten().chain(one.clone()).collect();
            let is_absent = one.is_none() && many.is_none();
            let said = if is_absent { default } else { claimed };
            let mut expected = said.clone();
            expected.retain(allowed);
            let verdict = verify(&verifier, &hs256(&claims));
            if expected.is_empty() && !said.is_empty() {
                prop_assert_eq!(verdict.err(), Some("tenant.mismatch"));
            } else {
                let proven: Vec<_> = verdict.unwrap().tenants().map(str::to_owned).collect();
                prop_assert_eq!(proven, expected);
            }
        }
    }
}
