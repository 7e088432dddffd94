//! The ids.

use super::{
    rules::{InvalidId, check_name, check_request_id, check_subject},
    validated::validated_text,
};

validated_text! {
    /// The id of a tenant: `[A-Za-z0-9._:@~-]{1,128}`, not only dots, not a placeholder.
    ///
    /// ```
    /// use tower_tenancy::TenantId;
    ///
    /// assert_eq!(TenantId::new("t_alpha")?.as_str(), "t_alpha");
    /// assert_eq!(TenantId::new("acme.example:eu@7")?.as_str(), "acme.example:eu@7");
    /// assert!(TenantId::new("T_Unknown").is_err(), "a placeholder");
    /// assert!(TenantId::new("undefined").is_err(), "a script sends this for an absent value");
    /// assert!(TenantId::new("a/b").is_err());
    /// # Ok::<(), tower_tenancy::id::InvalidId>(())
    /// ```
    TenantId, check_name, InvalidId
}

validated_text! {
    /// A deployment environment, such as `prod`: `[A-Za-z0-9._:@~-]{1,128}`, not only dots, not a
    /// placeholder.
    Env, check_name, InvalidId
}

validated_text! {
    /// The id of a thread inside a tenant and env: `[A-Za-z0-9._:@~-]{1,128}`, not only dots, not a
    /// placeholder.
    ///
    /// The same thread id in two tenants names two threads.
    ThreadId, check_name, InvalidId
}

validated_text! {
    /// Names one request in logs and in every event of its stream: 1 to 128 characters of visible ASCII
    /// (RFC 5234 `VCHAR`: no space) without `"` and `\`, not a placeholder.
    ///
    /// It accepts the ids that gateways write: `uuid#1`, `105445aa7843bc8b/1;o=1`, base64, several ids
    /// joined by commas, `Root=1-67891233-abcdef012345678912345678;Parent=53995c`. It needs no escaping
    /// in JSON, in a header, or in a quoted field of a log line.
    ///
    /// ```
    /// use tower_tenancy::RequestId;
    ///
    /// assert!(RequestId::new("7b3bf470-9456-11e8-9eb6-529269fb1459#1").is_ok());
    /// assert!(RequestId::new("two words").is_err());
    /// ```
    RequestId, check_request_id, InvalidId
}

validated_text! {
    /// The caller's name in the token (`sub`), such as `auth0|123`: 1 to 255 bytes without control
    /// characters, not a placeholder.
    Subject, check_subject, InvalidId
}

validated_text! {
    /// The kind of the actor, such as `human` or `agent`: `[A-Za-z0-9._:@~-]{1,128}`, not only dots, not a
    /// placeholder.
    ActorType, check_name, InvalidId
}

impl RequestId {
    /// A new id, which is time-ordered and cannot be guessed (UUID version 7, RFC 9562 section 5.7).
    #[must_use]
    pub fn generate() -> Self {
        let mut buffer = uuid::Uuid::encode_buffer();
        let text: &str = uuid::Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
        Self(text.into())
    }
}
