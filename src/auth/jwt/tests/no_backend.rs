//! The test without a crypto backend.

use crate::auth::jwt::{Algorithm, JwtConfigError, JwtKey, JwtVerifier};

#[test]
fn without_a_backend_no_verifier_can_be_built() {
    let key = JwtKey::hmac(Algorithm::HS256, [7; 32]).unwrap();
    let built = JwtVerifier::builder().key(key).build();
    assert!(matches!(built, Err(JwtConfigError::NoBackend)));
}
