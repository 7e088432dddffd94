//! Tests of the comparison of request and token, and of the stored contexts.

use super::{Contexts, TenantScope};
use crate::testing::fixtures::{auth, request};
use http::Extensions;

#[test]
fn request_and_token_must_agree_on_tenant_and_env() {
    let asks = request("t_a", "prod");
    for (tenants, envs, code) in [
        (vec!["t_a"], vec!["prod"], None),
        (vec!["t_b", "t_a"], vec!["dev", "production"], None),
        (vec!["t_b"], vec!["prod"], Some("tenant.mismatch")),
        (vec!["T_A"], vec!["prod"], Some("tenant.mismatch")),
        (vec!["t_a "], vec!["prod"], Some("tenant.mismatch")),
        (vec![], vec!["prod"], Some("tenant.mismatch")),
        (vec![], vec![], Some("tenant.mismatch")),
        (vec!["t_a"], vec!["dev"], Some("env.mismatch")),
        (vec!["t_a"], vec![], Some("env.mismatch")),
    ] {
        let result = TenantScope::agree(&asks, &auth(&tenants, &envs));
        assert_eq!(result.err().map(|r| r.code()), code, "{tenants:?} {envs:?}");
    }
}

#[test]
fn the_client_does_not_see_the_tenants_of_the_token_in_a_refusal() {
    let rejection = TenantScope::agree(&request("t_a", "prod"), &auth(&["t_secret"], &[]));
    let rejection = rejection.unwrap_err();
    assert!(!rejection.to_string().contains("t_secret"));
    assert!(std::error::Error::source(&rejection).unwrap().to_string().contains("t_secret"));
}

#[test]
fn the_log_line_of_a_refusal_is_short_even_if_the_token_names_many_tenants() {
    let long: Vec<String> = (0..512).map(|i| format!("t_{i}{}", "x".repeat(400))).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    for auth in [auth(&long, &["prod"]), auth(&["t_a"], &long)] {
        let rejection = TenantScope::agree(&request("t_a", "prod"), &auth).unwrap_err();
        let cause = std::error::Error::source(&rejection).unwrap().to_string();
        assert!(cause.contains("\"t_0") && cause.ends_with("511 more"), "{cause}");
        assert!(cause.len() < 300, "{cause}");
    }
}

#[test]
fn the_scope_is_removed_when_a_layer_sets_a_context_again() {
    let mut extensions = Extensions::new();
    assert!(Contexts::conclude(&mut extensions).is_err());
    Contexts::set_request(&mut extensions, request("t_a", "prod"));
    assert!(Contexts::conclude(&mut extensions).is_err());
    Contexts::set_auth(&mut extensions, Some(auth(&["t_a"], &["prod"])));
    assert!(TenantScope::from_extensions(&extensions).is_err());
    Contexts::conclude(&mut extensions).unwrap();
    assert!(TenantScope::from_extensions(&extensions).is_ok());
    Contexts::set_request(&mut extensions, request("t_b", "prod"));
    assert!(TenantScope::from_extensions(&extensions).is_err());
    Contexts::set_auth(&mut extensions, None);
    assert_eq!(Contexts::conclude(&mut extensions).unwrap_err().code(), "auth.missing");
}
