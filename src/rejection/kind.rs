//! The table of rejections: the kinds, and how each protocol reports them.

use crate::codes::codes;
use http::StatusCode;

codes! {
    /// Why a request was refused.
    ///
    /// Most kinds are for the refusals of the crate. They are about the request context, the token, the
    /// thread or the stream. The kinds with the codes `request.*`, `resource.*`, `server.failed` and
    /// `server.unavailable` are for the refusals of an application. Of these kinds, the crate itself uses
    /// only `request.*`, where it reads a body ([`require_json`](super::require_json)).
    ///
    /// ```
    /// use tower_tenancy::{Rejection, RejectionKind};
    ///
    /// fn rename(found: Option<String>) -> Result<String, Rejection> {
    ///     found.ok_or_else(|| {
    ///         Rejection::new(RejectionKind::NotFound).with_detail("There is no such folder.")
    ///     })
    /// }
    /// # assert_eq!(rename(None).unwrap_err().status(), 404);
    /// ```
    pub enum RejectionKind {
        /// The request does not name its tenant or env.
        ContextMissing: "context.missing", 400 BAD_REQUEST, 3 "INVALID_ARGUMENT", 4400, AfterChange,
            "name the tenant and the env",
            "Send the tenant and the env of the request, each in one header.";
        /// The request names its tenant or env in a wrong form, or more than once.
        ContextInvalid: "context.invalid", 400 BAD_REQUEST, 3 "INVALID_ARGUMENT", 4400, AfterChange,
            "correct the headers",
            "The tenant or the env is malformed, or sent more than once. Send each of them once.";
        /// The request has no token.
        AuthMissing: "auth.missing", 401 UNAUTHORIZED, 16 "UNAUTHENTICATED", 4401, AfterChange,
            "send a token",
            "Send exactly one 'Authorization: Bearer <token>' header.";
        /// The token is not valid: it is malformed, forged, or for another service.
        AuthInvalid: "auth.invalid", 401 UNAUTHORIZED, 16 "UNAUTHENTICATED", 4401, AfterChange,
            "get another token",
            "The token is not valid here. Get a new one from the issuer that this service trusts.";
        /// The token has expired.
        AuthExpired: "auth.expired", 401 UNAUTHORIZED, 16 "UNAUTHENTICATED", 4401, AfterChange,
            "renew the token",
            "The token has expired. Renew it and try again.";
        /// The token is not for the tenant that the request names.
        TenantMismatch: "tenant.mismatch", 403 FORBIDDEN, 7 "PERMISSION_DENIED", 4403, AfterChange,
            "name another tenant, or get another token",
            "The token is not for the tenant that the request names. Name a tenant that it is for, or get another token.";
        /// The token is not for the env that the request names.
        EnvMismatch: "env.mismatch", 403 FORBIDDEN, 7 "PERMISSION_DENIED", 4403, AfterChange,
            "name another env, or get another token",
            "The token is not for the env that the request names. Name an env that it is for, or get another token.";
        /// The token lacks a role or scope that the application requires.
        InsufficientScope: "auth.insufficient_scope", 403 FORBIDDEN, 7 "PERMISSION_DENIED", 4403, AfterChange,
            "get a token with more rights",
            "The token lacks a role or scope that this request needs.";
        /// The thread does not exist, belongs to another tenant, or is closed to this caller. The
        /// response does not say which.
        ThreadForbidden: "thread.forbidden", 403 FORBIDDEN, 7 "PERMISSION_DENIED", 4403, AfterChange,
            "check tenant, env and thread, or ask for access",
            "There is no such thread for this caller in the tenant and env of the request. Check the thread, the tenant and the env, or ask for access.";
        /// The access was withdrawn. The client should stop: this proof does not open anything any more.
        AccessRevoked: "access.revoked", 403 FORBIDDEN, 7 "PERMISSION_DENIED", 4403, Stop,
            "stop",
            "Access was withdrawn. Do not retry with this token or ticket.";
        /// The cursor that the client wants to resume from is malformed. A well-formed cursor that the
        /// log does not know leads to a [gap](crate::Gap) instead.
        CursorInvalid: "cursor.invalid", 400 BAD_REQUEST, 3 "INVALID_ARGUMENT", 4400, AfterChange,
            "resume from a cursor that the service sent, or without a cursor",
            "Resume from an event id that this service sent, from 'earliest', or without an event id.";
        /// The client's message is malformed, or sets a tenant, env, thread or actor.
        MessageInvalid: "message.invalid", 400 BAD_REQUEST, 3 "INVALID_ARGUMENT", 4400, AfterChange,
            "correct the message",
            "Send only `type` and the members of your data. Do not set tenant, env, thread or actor.";
        /// Too many streams are open.
        StreamLimit: "stream.limit", 429 TOO_MANY_REQUESTS, 8 "RESOURCE_EXHAUSTED", 1013, AfterDelay(1),
            "close a stream, or retry after the delay",
            "Too many streams are open. Close one, or try again later.";
        /// The keys that verify tokens are not available.
        KeysUnavailable: "auth.keys_unavailable", 503 SERVICE_UNAVAILABLE, 14 "UNAVAILABLE", 1013, AfterDelay(1),
            "retry after the delay",
            "Tokens cannot be verified right now. Try again later.";
        /// The thread registry does not answer.
        RegistryUnavailable: "registry.unavailable", 503 SERVICE_UNAVAILABLE, 14 "UNAVAILABLE", 1013, AfterDelay(1),
            "retry after the delay",
            "Access to the thread cannot be checked right now. Try again later.";
        /// The event log does not answer.
        LogUnavailable: "log.unavailable", 503 SERVICE_UNAVAILABLE, 14 "UNAVAILABLE", 1013, AfterDelay(1),
            "retry after the delay",
            "The events of the thread cannot be read or written right now. Try again later.";
        /// A layer is missing in front of the handler. The log says which.
        Misconfigured: "server.misconfigured", 500 INTERNAL_SERVER_ERROR, 13 "INTERNAL", 1011, Stop,
            "stop, and show the request id to the operator",
            "The server is misconfigured and refuses every request to this route. Its log says why.";
        /// The application cannot read the request: a path, a parameter or a body is malformed.
        RequestInvalid: "request.invalid", 400 BAD_REQUEST, 3 "INVALID_ARGUMENT", 4400, AfterChange,
            "correct the request",
            "The request is malformed. Correct it before you send it again.";
        /// A resource of the application does not exist for this caller. The application looks it up
        /// within the scope's tenant and env, so a resource of another tenant gets the same response.
        ///
        /// Do not use it for a thread. A thread that does not exist and a thread that the caller may not
        /// use both get [`ThreadForbidden`](Self::ThreadForbidden), so that nobody can tell them apart.
        NotFound: "resource.not_found", 404 NOT_FOUND, 5 "NOT_FOUND", 4404, AfterChange,
            "check the id, the tenant and the env",
            "Nothing with this id exists for this caller in the tenant and env of the request.";
        /// The request conflicts with the stored state: the resource exists already, or another caller
        /// changed it first. The client reads the state again, then decides again.
        Conflict: "resource.conflict", 409 CONFLICT, 10 "ABORTED", 4409, AfterChange,
            "read the state again, then decide again",
            "The stored state has changed. Read it again, then decide again.";
        /// The body is longer than the application allows.
        TooLarge: "request.too_large", 413 PAYLOAD_TOO_LARGE, 8 "RESOURCE_EXHAUSTED", 1009, AfterChange,
            "send a shorter body",
            "The body is too long. Send a shorter body.";
        /// The body has a type that the application does not accept.
        UnsupportedMediaType: "request.unsupported_media_type", 415 UNSUPPORTED_MEDIA_TYPE, 3 "INVALID_ARGUMENT", 1003, AfterChange,
            "send a body of another type",
            "The server does not accept a body of this type. Send another type, and name it in Content-Type.";
        /// The application can read the request, but cannot do what it asks for.
        Unprocessable: "request.unprocessable", 422 UNPROCESSABLE_ENTITY, 3 "INVALID_ARGUMENT", 4422, AfterChange,
            "change the request",
            "The request is well formed, but the server cannot do what it asks for. Change the request.";
        /// The application failed, and the client is not the cause.
        /// [`Rejection::failed`](super::Rejection::failed) keeps the error for the log. The client does
        /// not get it.
        Failed: "server.failed", 500 INTERNAL_SERVER_ERROR, 13 "INTERNAL", 1011, Stop,
            "stop, and show the request id to the operator",
            "The server failed. Its log says why, under the id of this request.";
        /// A service that the application needs does not answer. The client may try again.
        Unavailable: "server.unavailable", 503 SERVICE_UNAVAILABLE, 14 "UNAVAILABLE", 1013, AfterDelay(1),
            "retry after the delay",
            "This cannot be done right now. Try again later.";
    }
}

impl RejectionKind {
    /// The kind for the status of a refusal that this crate did not make, such as a refusal by an
    /// extractor of axum. A 4xx status that has no kind is `request.invalid`. Any other status is
    /// `server.failed`.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::AuthInvalid,
            StatusCode::FORBIDDEN => Self::InsufficientScope,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::CONFLICT => Self::Conflict,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::UNPROCESSABLE_ENTITY => Self::Unprocessable,
            StatusCode::TOO_MANY_REQUESTS => Self::StreamLimit,
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            status if status.is_client_error() => Self::RequestInvalid,
            _ => Self::Failed,
        }
    }

    /// The stable code that clients match on, such as `tenant.mismatch`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().code
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.row().http
    }

    /// The gRPC status code.
    #[must_use]
    pub const fn grpc_code(self) -> u8 {
        self.row().grpc
    }

    /// The WebSocket close code, for a refusal after the upgrade.
    #[must_use]
    pub const fn close_code(self) -> u16 {
        self.row().websocket
    }

    /// Whether the failure is temporary, so that the same request may pass later.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        self.row().retry.delay_factor().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::RejectionKind;

    #[test]
    fn table_is_complete_and_consistent() {
        for kind in RejectionKind::ALL {
            assert_eq!(RejectionKind::of_status(kind.status()).status(), kind.status());
            let (grpc, close) = match kind.status().as_u16() {
                400 => (3, 4400),
                404 => (5, 4404),
                409 => (10, 4409),
                413 => (8, 1009),
                415 => (3, 1003),
                422 => (3, 4422),
                401 => (16, 4401),
                403 => (7, 4403),
                429 => (8, 1013),
                503 => (14, 1013),
                500 => (13, 1011),
                other => panic!("{other}"),
            };
            assert_eq!((kind.grpc_code(), kind.close_code()), (grpc, close), "{}", kind.code());
            assert_eq!(kind.is_retryable(), matches!(kind.status().as_u16(), 429 | 503));
        }
    }

    #[test]
    fn a_status_without_a_kind_is_request_invalid_or_server_failed() {
        for (status, code) in [
            (405, "request.invalid"),
            (418, "request.invalid"),
            (501, "server.failed"),
            (502, "server.failed"),
            (302, "server.failed"),
            (404, "resource.not_found"),
        ] {
            let status = http::StatusCode::from_u16(status).unwrap();
            assert_eq!(RejectionKind::of_status(status).code(), code);
        }
    }
}
