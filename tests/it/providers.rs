//! The mappings of the page on identity providers, held against tokens of the shapes that these
//! document.

use crate::{minter::Minter, support::now};
use jsonwebtoken::{Algorithm, EncodingKey, crypto::aws_lc::DEFAULT_PROVIDER};
use serde_json::{Value, json};
use tower_tenancy::auth::{
    ClaimNames, ClaimPlace, JwtConfigError, JwtKey, JwtVerifier, JwtVerifierBuilder,
};

const DIRECTORY: &str = "aaaabbbb-0000-cccc-1111-dddd2222eeee";

struct Provider {
    fixture: &'static str,
    mapping: fn(JwtVerifierBuilder) -> Result<JwtVerifier, JwtConfigError>,
    /// Where the token names whom it is for, and where its tenant.
    audience: &'static str,
    tenant: &'static str,
}

fn auth0(builder: JwtVerifierBuilder) -> Result<JwtVerifier, JwtConfigError> {
    builder
        .issuer("https://example.eu.auth0.com/")
        .audience("https://chat.example.com")
        .claims(
            ClaimNames::default()
                .tenant("/https:~1~1example.com~1tenant")
                .env("/https:~1~1example.com~1env")
                .roles("/https:~1~1example.com~1roles"),
        )
        .build()
}

fn cognito(builder: JwtVerifierBuilder) -> Result<JwtVerifier, JwtConfigError> {
    builder
        .issuer("https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_EXAMPLE")
        .audience("1example23456789")
        .require_claim("/token_use", "access")
        .claims(ClaimNames::default().audience("/client_id").roles("/cognito:groups"))
        .build()
}

fn keycloak(builder: JwtVerifierBuilder) -> Result<JwtVerifier, JwtConfigError> {
    builder
        .issuer("https://id.example.com/realms/chat")
        .audience("chat-api")
        .require_claim("/typ", "Bearer")
        .claims(ClaimNames::default().roles("/realm_access/roles"))
        .build()
}

fn supabase(builder: JwtVerifierBuilder) -> Result<JwtVerifier, JwtConfigError> {
    builder
        .issuer("https://exampleprojectref.supabase.co/auth/v1")
        .audience("authenticated")
        .require_claim("/role", "authenticated")
        .claims(
            ClaimNames::default()
                .tenant("/app_metadata/tenant_id")
                .env("/app_metadata/env")
                .roles("/app_metadata/roles"),
        )
        .build()
}

fn entra(builder: JwtVerifierBuilder) -> Result<JwtVerifier, JwtConfigError> {
    builder
        .issuer(format!("https://login.microsoftonline.com/{DIRECTORY}/v2.0"))
        .audience("11111111-2222-3333-4444-555555555555")
        .require_claim("/ver", "2.0")
        .tenants([DIRECTORY])
        .envs(["prod"])
        .default_envs(["prod"])
        .claims(ClaimNames::default().subject("/oid").tenant("/tid").scopes("/scp"))
        .build()
}

fn zitadel(builder: JwtVerifierBuilder) -> Result<JwtVerifier, JwtConfigError> {
    builder
        .issuer("https://example-abc123.zitadel.cloud")
        .audience("2345678901234566")
        .envs(["prod"])
        .default_envs(["prod"])
        .claims(
            ClaimNames::default()
                .tenant("/urn:zitadel:iam:user:resourceowner:id")
                .roles(ClaimPlace::keys_of("/urn:zitadel:iam:org:project:roles")),
        )
        .build()
}

fn b2c(builder: JwtVerifierBuilder) -> Result<JwtVerifier, JwtConfigError> {
    builder
        .issuer(format!("https://acme.b2clogin.com/{DIRECTORY}/v2.0/"))
        .audience("11111111-2222-3333-4444-555555555555")
        .require_claim("/tfp", "B2C_1_signin")
        .envs(["prod"])
        .default_envs(["prod"])
        .claims(ClaimNames::default().subject("/oid").tenant("/extension_Tenant").scopes("/scp"))
        .build()
}

const PROVIDERS: [Provider; 7] = [
    Provider {
        fixture: include_str!("../providers/b2c.json"),
        mapping: b2c,
        audience: "/aud",
        tenant: "/extension_Tenant",
    },
    Provider {
        fixture: include_str!("../providers/auth0.json"),
        mapping: auth0,
        audience: "/aud",
        tenant: "/https:~1~1example.com~1tenant",
    },
    Provider {
        fixture: include_str!("../providers/cognito.json"),
        mapping: cognito,
        audience: "/client_id",
        tenant: "/tenant_id",
    },
    Provider {
        fixture: include_str!("../providers/keycloak.json"),
        mapping: keycloak,
        audience: "/aud",
        tenant: "/tenant_id",
    },
    Provider {
        fixture: include_str!("../providers/supabase.json"),
        mapping: supabase,
        audience: "/aud",
        tenant: "/app_metadata/tenant_id",
    },
    Provider {
        fixture: include_str!("../providers/entra.json"),
        mapping: entra,
        audience: "/aud",
        tenant: "/tid",
    },
    Provider {
        fixture: include_str!("../providers/zitadel.json"),
        mapping: zitadel,
        audience: "/aud",
        tenant: "/urn:zitadel:iam:user:resourceowner:id",
    },
];

fn sign(header: &Value, claims: &Value) -> String {
    let mut claims = claims.clone();
    claims["iat"] = json!(now() - 10);
    claims["nbf"] = json!(now() - 10);
    claims["exp"] = json!(now() + 3600);
    let key = EncodingKey::from_ec_pem(include_bytes!("../keys/p256.pem")).unwrap();
    Minter::new(&DEFAULT_PROVIDER, Algorithm::ES256, key).sign(header, claims)
}

fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> Value {
    json!(texts.collect::<Vec<_>>())
}

#[test]
fn each_provider_is_understood_by_its_mapping() {
    for Provider { fixture, mapping, audience, tenant } in PROVIDERS {
        let fixture: Value = serde_json::from_str(fixture).unwrap();
        let (header, claims) = (&fixture["header"], &fixture["access_token"]);
        let key = JwtKey::public_pem(include_bytes!("../keys/p256.pub.pem")).unwrap();
        let verifier = mapping(JwtVerifier::builder().key(key)).unwrap();
        let issuer = claims["iss"].as_str().unwrap();

        let auth = verifier.verify(&sign(header, claims)).unwrap();
        let expected = &fixture["expected"];
        assert_eq!(auth.subject().as_str(), expected["subject"], "{issuer}");
        assert_eq!(texts(auth.tenants()), expected["tenants"], "{issuer}");
        assert_eq!(texts(auth.envs()), expected["envs"], "{issuer}");
        assert_eq!(texts(auth.roles()), expected["roles"], "{issuer}");
        assert_eq!(texts(auth.scopes()), expected["scopes"], "{issuer}");

        let changed = |pointer: &str, value: Value| {
            let mut claims = claims.clone();
            *claims.pointer_mut(pointer).unwrap() = value;
            verifier.verify(&sign(header, &claims)).map_err(|refused| refused.code())
        };
        assert_eq!(changed("/iss", json!("https://evil.test")).err(), Some("auth.invalid"));
        assert_eq!(changed("/iss", json!(format!("{issuer}x"))).err(), Some("auth.invalid"));
        assert_eq!(changed(audience, json!("another")).err(), Some("auth.invalid"), "{issuer}");
        // A token that names no tenant proves none.
        let (parent, name) = tenant.rsplit_once('/').unwrap();
        let mut nobodys = claims.clone();
        let name = name.replace("~1", "/");
        nobodys.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(&name).unwrap();
        let nobodys = verifier.verify(&sign(header, &nobodys)).unwrap();
        assert_eq!(nobodys.tenants().count(), 0, "{issuer}");
        if let Some(id_token) = fixture.get("id_token") {
            let refused = verifier.verify(&sign(header, id_token)).unwrap_err();
            assert_eq!(refused.code(), "auth.invalid", "{issuer}: an ID token");
        }
    }
}

#[test]
fn traps_of_single_providers_are_no_traps() {
    let key = || JwtKey::public_pem(include_bytes!("../keys/p256.pub.pem")).unwrap();
    let verify = |provider: &Provider, change: &dyn Fn(&mut Value)| {
        let fixture: Value = serde_json::from_str(provider.fixture).unwrap();
        let mut claims = fixture["access_token"].clone();
        change(&mut claims);
        let verifier = (provider.mapping)(JwtVerifier::builder().key(key())).unwrap();
        verifier.verify(&sign(&fixture["header"], &claims)).map_err(|refused| refused.code())
    };
    let [b2c, auth0, cognito, keycloak, supabase, entra, zitadel] = &PROVIDERS;
    let other_policy = verify(b2c, &|claims| claims["tfp"] = json!("B2C_1_signup"));
    assert_eq!(other_policy.err(), Some("auth.invalid"), "B2C has one issuer for all policies");
    let slashless = verify(auth0, &|claims| claims["iss"] = json!("https://example.eu.auth0.com"));
    assert_eq!(slashless.err(), Some("auth.invalid"), "Auth0's issuer ends in a slash");
    let id = verify(cognito, &|claims| claims["token_use"] = json!("id"));
    assert_eq!(id.err(), Some("auth.invalid"));
    let every_client = verify(keycloak, &|claims| claims["aud"] = json!("account"));
    assert_eq!(every_client.err(), Some("auth.invalid"));
    let public_key = json!({"iss": "supabase", "ref": "exampleprojectref", "role": "anon"});
    let public_key = verify(supabase, &|claims| *claims = public_key.clone());
    assert_eq!(public_key.err(), Some("auth.invalid"), "the public API key is a token, too");
    // Who signs in anonymously has the role of everybody; nobody gave them a tenant.
    let anonymous = verify(supabase, &|claims| {
        claims["is_anonymous"] = json!(true);
        claims["app_metadata"] = json!({});
    });
    assert_eq!(anonymous.unwrap().tenants().count(), 0);
    // Another directory's token by the issuer of ours cannot be, but would prove nothing.
    let foreign = verify(entra, &|claims| claims["tid"] = json!("another-directory"));
    assert_eq!(foreign.err(), Some("tenant.mismatch"));
    for issuer in [
        "https://login.microsoftonline.com/{tenantid}/v2.0",
        "https://login.microsoftonline.com/common/v2.0",
        "https://login.microsoftonline.com/another-directory/v2.0",
        &format!("https://sts.windows.net/{DIRECTORY}/"),
    ] {
        let foreign = verify(entra, &|claims| claims["iss"] = json!(issuer));
        assert_eq!(foreign.err(), Some("auth.invalid"), "{issuer}");
    }
    let old = verify(entra, &|claims| claims["ver"] = json!("1.0"));
    assert_eq!(old.err(), Some("auth.invalid"));
    // Machines and users alike are granted roles; who is granted none has no such claim.
    let nobody = verify(zitadel, &|claims| {
        claims["urn:zitadel:iam:org:project:roles"] = Value::Null;
    });
    assert_eq!(nobody.unwrap().roles().count(), 0);
}

#[test]
fn the_organizations_of_keycloak_are_tenants_in_each_of_their_shapes() {
    let fixture: Value = serde_json::from_str(include_str!("../providers/keycloak.json")).unwrap();
    let key = JwtKey::public_pem(include_bytes!("../keys/p256.pub.pem")).unwrap();
    let verifier = JwtVerifier::builder()
        .key(key)
        .issuer("https://id.example.com/realms/chat")
        .audience("chat-api")
        .claims(ClaimNames::default().tenants(ClaimPlace::keys_of("/organization")))
        .build()
        .unwrap();
    for organization in [
        json!(["acme", "beta"]),
        json!({"acme": {}, "beta": {}}),
        json!({"acme": {"id": "5e8a", "plan": ["gold"]}, "beta": {"id": "77b1"}}),
    ] {
        let mut claims = fixture["access_token"].clone();
        claims["organization"] = organization.clone();
        let auth = verifier.verify(&sign(&fixture["header"], &claims)).unwrap();
        assert_eq!(texts(auth.tenants()), json!(["acme", "beta"]), "{organization}");
    }
}

#[tokio::test]
async fn a_malformed_claim_that_is_ignored_is_told_at_debug_without_its_value() {
    let fixture: Value = serde_json::from_str(include_str!("../providers/keycloak.json")).unwrap();
    let key = JwtKey::public_pem(include_bytes!("../keys/p256.pub.pem")).unwrap();
    let verifier = keycloak(JwtVerifier::builder().key(key)).unwrap();
    let mut claims = fixture["access_token"].clone();
    claims["realm_access"] = json!({"roles": {"s3cret": true}});
    claims["scope"] = json!(["s3cret", 7]);
    claims["actor_type"] = json!("s3cret role");
    let log = crate::layers::logged(async {
        let auth = verifier.verify(&sign(&fixture["header"], &claims)).unwrap();
        assert_eq!(auth.roles().chain(auth.scopes()).count(), 0);
    });
    let log = log.await;
    for (claim, found) in [
        ("/realm_access/roles", "an object"),
        ("/scope", "an array with a number in it"),
        ("/actor_type", "a string that is no actor type"),
    ] {
        let fields = format!("claim=\"{claim}\" found=\"{found}\"");
        let told = |line: &&str| line.contains("DEBUG") && line.contains(&fields);
        assert_eq!(log.lines().filter(told).count(), 1, "{fields} in {log}");
    }
    assert!(!log.contains("s3cret"), "{log}");
}
