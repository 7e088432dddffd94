//! The one table of rejections: what each kind is called and which number it has on each wire.

use http::StatusCode;

/// Why a request was refused.
///
/// The kinds of the first rows are the crate's: a context, a token, a thread, a stream. Those whose codes
/// begin with `request.` or `resource.`, `server.failed` and `server.unavailable` are for what an
/// application refuses by itself. The crate makes none of them, but for `request.*` where it reads a body
/// ([`require_json`](super::require_json)).
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
///
/// | code | HTTP | gRPC | WebSocket |
/// |---|---|---|---|
/// | `context.missing`, `context.invalid`, `cursor.invalid`, `message.invalid` | 400 | 3 `INVALID_ARGUMENT` | 4400 |
/// | `auth.missing`, `auth.invalid`, `auth.expired` | 401 | 16 `UNAUTHENTICATED` | 4401 |
/// | `tenant.mismatch`, `env.mismatch`, `auth.insufficient_scope`, `thread.forbidden`, `access.revoked` | 403 | 7 `PERMISSION_DENIED` | 4403 |
/// | `request.invalid` | 400 | 3 `INVALID_ARGUMENT` | 4400 |
/// | `resource.not_found` | 404 | 5 `NOT_FOUND` | 4404 |
/// | `resource.conflict` | 409 | 10 `ABORTED` | 4409 |
/// | `request.too_large` | 413 | 8 `RESOURCE_EXHAUSTED` | 1009 |
/// | `request.unsupported_media_type` | 415 | 3 `INVALID_ARGUMENT` | 1003 |
/// | `request.unprocessable` | 422 | 3 `INVALID_ARGUMENT` | 4422 |
/// | `stream.limit` | 429 | 8 `RESOURCE_EXHAUSTED` | 1013 |
/// | `auth.keys_unavailable`, `registry.unavailable`, `log.unavailable`, `server.unavailable` | 503 | 14 `UNAVAILABLE` | 1013 |
/// | `server.misconfigured`, `server.failed` | 500 | 13 `INTERNAL` | 1011 |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// The request does not name its tenant or env.
    ContextMissing,
    /// The request names its tenant, env or request id wrongly, or more than once.
    ContextInvalid,
    /// The request bears no token.
    AuthMissing,
    /// The token proves nothing: malformed, forged, or meant for somebody else.
    AuthInvalid,
    /// The token was good and is over.
    AuthExpired,
    /// The token does not speak for the tenant that the request names.
    TenantMismatch,
    /// The token does not speak for the env that the request names.
    EnvMismatch,
    /// The token lacks a role or scope that the application asks for.
    InsufficientScope,
    /// The thread does not exist, is another tenant's, or is closed to this caller: all the same.
    ThreadForbidden,
    /// What the request proves was withdrawn. The client stops: this proof opens nothing any more.
    AccessRevoked,
    /// The cursor to resume from is not one that was ever given out.
    CursorInvalid,
    /// What the client wants to publish is no message, or says whose it is.
    MessageInvalid,
    /// Too many streams.
    StreamLimit,
    /// The keys that tokens are verified with cannot be had.
    KeysUnavailable,
    /// The thread registry does not answer.
    RegistryUnavailable,
    /// The event log does not answer.
    LogUnavailable,
    /// A layer is missing in front of the handler. The log says which.
    Misconfigured,
    /// The application cannot read the request: a path, a parameter or a body of the wrong form.
    RequestInvalid,
    /// Something of the application's own does not exist for this caller. It was looked up within the
    /// scope's tenant and env, and what another tenant has answers the same.
    ///
    /// Never for a thread: one that does not exist, and one that the caller may not use, are both
    /// [`ThreadForbidden`](Self::ThreadForbidden), so that the answer does not tell them apart.
    NotFound,
    /// What the request wants does not go together with what is stored by now: it is there already, or
    /// somebody else was faster. The client reads the state anew, and decides again.
    Conflict,
    /// The body is longer than the application takes.
    TooLarge,
    /// The body is not of a type that the application takes, such as JSON.
    UnsupportedMediaType,
    /// The application can read the request, and its content makes no sense there.
    Unprocessable,
    /// The application failed, and it is not the client's fault. Keep the error by
    /// [`Rejection::failed`](super::Rejection::failed): the log has it, and the client does not.
    Failed,
    /// Something that the application needs does not answer. The client may try again.
    Unavailable,
}

/// One row of the table.
pub(super) struct Wire {
    pub(super) code: &'static str,
    pub(super) http: StatusCode,
    pub(super) grpc: u8,
    pub(super) websocket: u16,
    /// Told to the client unless the rejection has a detail of its own.
    pub(super) detail: &'static str,
}

const fn row(
    code: &'static str,
    http: StatusCode,
    grpc: u8,
    websocket: u16,
    detail: &'static str,
) -> Wire {
    Wire { code, http, grpc, websocket, detail }
}

impl RejectionKind {
    /// Every kind, in the order of the table.
    pub const ALL: [Self; 25] = [
        Self::ContextMissing,
        Self::ContextInvalid,
        Self::AuthMissing,
        Self::AuthInvalid,
        Self::AuthExpired,
        Self::TenantMismatch,
        Self::EnvMismatch,
        Self::InsufficientScope,
        Self::ThreadForbidden,
        Self::AccessRevoked,
        Self::CursorInvalid,
        Self::MessageInvalid,
        Self::StreamLimit,
        Self::KeysUnavailable,
        Self::RegistryUnavailable,
        Self::LogUnavailable,
        Self::Misconfigured,
        Self::RequestInvalid,
        Self::NotFound,
        Self::Conflict,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Unprocessable,
        Self::Failed,
        Self::Unavailable,
    ];

    pub(super) const fn wire(self) -> Wire {
        use StatusCode as S;
        match self {
            Self::ContextMissing => row(
                "context.missing",
                S::BAD_REQUEST,
                3,
                4400,
                "Send the tenant and the env of the request, each in one header.",
            ),
            Self::ContextInvalid => row(
                "context.invalid",
                S::BAD_REQUEST,
                3,
                4400,
                "The tenant, env or request id is malformed or sent more than once. Send each once.",
            ),
            Self::AuthMissing => row(
                "auth.missing",
                S::UNAUTHORIZED,
                16,
                4401,
                "Send exactly one 'Authorization: Bearer <token>' header.",
            ),
            Self::AuthInvalid => row(
                "auth.invalid",
                S::UNAUTHORIZED,
                16,
                4401,
                "The token is not valid here. Get a new one from the issuer that this service trusts.",
            ),
            Self::AuthExpired => row(
                "auth.expired",
                S::UNAUTHORIZED,
                16,
                4401,
                "The token has expired. Renew it and try again.",
            ),
            Self::TenantMismatch => row(
                "tenant.mismatch",
                S::FORBIDDEN,
                7,
                4403,
                "The token does not speak for the tenant that the request names. Name one that it speaks for, or get another token.",
            ),
            Self::EnvMismatch => row(
                "env.mismatch",
                S::FORBIDDEN,
                7,
                4403,
                "The token does not speak for the env that the request names. Name one that it speaks for, or get another token.",
            ),
            Self::InsufficientScope => row(
                "auth.insufficient_scope",
                S::FORBIDDEN,
                7,
                4403,
                "The token lacks a role or scope that this needs.",
            ),
            Self::ThreadForbidden => row(
                "thread.forbidden",
                S::FORBIDDEN,
                7,
                4403,
                "There is no such thread for this caller in the tenant and env of the request. Check all three, or ask for access.",
            ),
            Self::AccessRevoked => row(
                "access.revoked",
                S::FORBIDDEN,
                7,
                4403,
                "Access was withdrawn. Do not come back with this token or ticket.",
            ),
            Self::CursorInvalid => row(
                "cursor.invalid",
                S::BAD_REQUEST,
                3,
                4400,
                "Resume from an event id that this service gave out, from 'earliest', or from none.",
            ),
            Self::MessageInvalid => row(
                "message.invalid",
                S::BAD_REQUEST,
                3,
                4400,
                "Send a JSON object of a type and data, which says nothing about whose it is.",
            ),
            Self::StreamLimit => row(
                "stream.limit",
                S::TOO_MANY_REQUESTS,
                8,
                1013,
                "Too many streams are open. Close one, or try again later.",
            ),
            Self::KeysUnavailable => row(
                "auth.keys_unavailable",
                S::SERVICE_UNAVAILABLE,
                14,
                1013,
                "Tokens cannot be verified right now. Try again later.",
            ),
            Self::RegistryUnavailable => row(
                "registry.unavailable",
                S::SERVICE_UNAVAILABLE,
                14,
                1013,
                "Access to the thread cannot be checked right now. Try again later.",
            ),
            Self::LogUnavailable => row(
                "log.unavailable",
                S::SERVICE_UNAVAILABLE,
                14,
                1013,
                "The events of the thread cannot be read or written right now. Try again later.",
            ),
            Self::Misconfigured => row(
                "server.misconfigured",
                S::INTERNAL_SERVER_ERROR,
                13,
                1011,
                "The server is set up wrongly and refuses every request here. Its log says why.",
            ),
            Self::RequestInvalid => row(
                "request.invalid",
                S::BAD_REQUEST,
                3,
                4400,
                "The request is malformed. Mend it before you send it again.",
            ),
            Self::NotFound => row(
                "resource.not_found",
                S::NOT_FOUND,
                5,
                4404,
                "There is no such thing for this caller in the tenant and env of the request.",
            ),
            Self::Conflict => row(
                "resource.conflict",
                S::CONFLICT,
                10,
                4409,
                "The request does not fit what is stored by now. Read it again, and decide anew.",
            ),
            Self::TooLarge => row(
                "request.too_large",
                S::PAYLOAD_TOO_LARGE,
                8,
                1009,
                "The body is too long. Send less at once.",
            ),
            Self::UnsupportedMediaType => row(
                "request.unsupported_media_type",
                S::UNSUPPORTED_MEDIA_TYPE,
                3,
                1003,
                "The body is not of a type that is taken here. Send another one, and name it in Content-Type.",
            ),
            Self::Unprocessable => row(
                "request.unprocessable",
                S::UNPROCESSABLE_ENTITY,
                3,
                4422,
                "The request is well formed, and what it says cannot be done. Say something else.",
            ),
            Self::Failed => row(
                "server.failed",
                S::INTERNAL_SERVER_ERROR,
                13,
                1011,
                "The server failed. Its log says why, under the id of this request.",
            ),
            Self::Unavailable => row(
                "server.unavailable",
                S::SERVICE_UNAVAILABLE,
                14,
                1013,
                "This cannot be done right now. Try again later.",
            ),
        }
    }

    /// The kind for a status that something else refused with, such as an extractor of the host. A
    /// status of the client's fault that has no kind of its own is `request.invalid`, and everything
    /// else is `server.failed`.
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
        self.wire().code
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.wire().http
    }

    /// The gRPC status code.
    #[must_use]
    pub const fn grpc_code(self) -> u8 {
        self.wire().grpc
    }

    /// The WebSocket close code, for a refusal after the upgrade.
    #[must_use]
    pub const fn close_code(self) -> u16 {
        self.wire().websocket
    }

    /// Whether the trouble is temporary, so that the same request may pass later.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::StreamLimit
                | Self::KeysUnavailable
                | Self::RegistryUnavailable
                | Self::LogUnavailable
                | Self::Unavailable
        )
    }
}

#[cfg(test)]
mod tests {
    use super::RejectionKind;

    #[test]
    fn table_is_complete_and_consistent() {
        for (i, kind) in RejectionKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, i, "ALL follows the declaration");
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
        assert_eq!(RejectionKind::ALL.len() - 1, RejectionKind::Unavailable as usize);
        let codes: std::collections::HashSet<_> =
            RejectionKind::ALL.into_iter().map(RejectionKind::code).collect();
        assert_eq!(codes.len(), RejectionKind::ALL.len(), "each kind has its own code");
    }

    #[test]
    fn a_status_without_a_kind_is_the_clients_fault_or_ours() {
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
