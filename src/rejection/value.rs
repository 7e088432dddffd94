//! The rejection itself.

use super::{
    cause::{BoxError, Chain},
    kind::RejectionKind,
};
use crate::id::RequestId;
use bytes::Bytes;
use http::{Response, StatusCode};
use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

/// The log target of every refusal. It stays the same wherever the code moves.
pub(crate) const TARGET: &str = "tower_tenancy::rejection";

/// The default delay after a retryable rejection.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The reason why a request was refused. One part of it is for the client, and the other part is only for
/// the log.
///
/// [`Display`](fmt::Display) and [`detail`](Self::detail) are safe for clients: they never contain a
/// token, a claim or the ids of another tenant. [`source`](Error::source) is for logs.
///
/// The layers put the rejection into the extensions of the response, so that an outer layer can count it
/// or change its style.
#[derive(Clone, Debug)]
pub struct Rejection(Box<Inner>);

/// Boxed, so that a `Result` with a rejection stays small.
#[derive(Clone, Debug)]
struct Inner {
    kind: RejectionKind,
    detail: Option<Cow<'static, str>>,
    source: Option<Arc<dyn Error + Send + Sync>>,
    retry_after: Option<Duration>,
    /// The scopes that the client needs (RFC 6750 section 3).
    required_scopes: Option<Cow<'static, str>>,
    /// The id of the refused request.
    request_id: Option<RequestId>,
    /// The log already has a line about this refusal.
    logged: bool,
}

impl Rejection {
    /// A refusal of this kind, with the kind's own text.
    #[must_use]
    pub fn new(kind: RejectionKind) -> Self {
        let retry_after = kind.is_retryable().then_some(RETRY_AFTER);
        Self(Box::new(Inner {
            kind,
            detail: None,
            source: None,
            retry_after,
            required_scopes: None,
            request_id: None,
            logged: false,
        }))
    }

    /// The application failed: `server.failed`. Only the log shows the reason.
    ///
    /// ```
    /// use tower_tenancy::Rejection;
    ///
    /// fn read(path: &str) -> Result<String, Rejection> {
    ///     std::fs::read_to_string(path).map_err(Rejection::failed)
    /// }
    ///
    /// let told = read("/no/such/file").unwrap_err();
    /// assert_eq!((told.status().as_u16(), told.code()), (500, "server.failed"));
    /// assert!(!told.to_string().contains("file"));
    /// ```
    #[must_use]
    pub fn failed(source: impl Into<BoxError>) -> Self {
        Self::new(RejectionKind::Failed).with_source(source)
    }

    /// Replaces the text that the client reads. It must not contain a secret or the id of another tenant.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Keeps the cause for the log. No client sees it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into().into());
        self
    }

    /// Asks the client to wait this long before it tries again (`Retry-After`, RFC 9110 section 10.2.3).
    /// The default is five seconds for [retryable](RejectionKind::is_retryable) kinds, and no delay for
    /// all others.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Names the scopes that the client needs, separated by spaces: `scope` in the challenge (RFC 6750
    /// section 3).
    #[must_use]
    pub fn with_required_scopes(mut self, scope: impl Into<Cow<'static, str>>) -> Self {
        self.0.required_scopes = Some(scope.into());
        self
    }

    /// Sets the id of the request. In the notice for a browser's `EventSource`, it is `meta.trace_id`.
    /// The layers set the id by themselves. Call this if you make the response yourself, with
    /// [`RejectWith`](super::RejectWith).
    #[must_use]
    pub fn with_request_id(mut self, id: RequestId) -> Self {
        self.0.request_id = Some(id);
        self
    }

    /// The refusal if a layer is missing in front of a handler or of another layer.
    pub(crate) fn layer_missing(needed: &'static str, layer: &'static str) -> Self {
        tracing::error!(
            target: TARGET,
            needed,
            layer,
            "request refused: nothing provides the {needed}; \
             put RequireTenantScope, or the single layer {layer}, in front of this route"
        );
        Self::new(RejectionKind::Misconfigured)
            .with_source(format!("the layer {layer}, which provides the {needed}, is missing"))
            .already_logged()
    }

    /// Puts the rejection into the extensions of the response, for outer layers that log it, count it or
    /// change its style.
    pub(super) fn attach_to(&self, mut response: Response<Bytes>) -> Response<Bytes> {
        response.extensions_mut().insert(self.clone());
        response
    }

    pub(crate) fn already_logged(mut self) -> Self {
        self.0.logged = true;
        self
    }

    /// The kind of the refusal.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.0.kind
    }

    /// The stable code that clients match on, such as `tenant.mismatch`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.kind.code()
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.kind.status()
    }

    /// The text that the client reads: what it should do.
    #[must_use]
    pub fn detail(&self) -> &str {
        self.0.detail.as_deref().unwrap_or(self.0.kind.row().detail)
    }

    /// The scopes that the client needs.
    #[must_use]
    pub fn required_scopes(&self) -> Option<&str> {
        self.0.required_scopes.as_deref()
    }

    /// The id of the refused request, if it is known.
    #[must_use]
    pub fn request_id(&self) -> Option<&RequestId> {
        self.0.request_id.as_ref()
    }

    /// How long the client should wait before it tries again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Writes one line to the log. The level is `error` for a server-side failure, `warn` for a 403, and
    /// `info` for all others.
    pub(crate) fn log(&mut self) {
        if std::mem::replace(&mut self.0.logged, true) {
            return;
        }
        let (code, detail) = (self.code(), self.detail());
        // A `String`, so that the formatter quotes and escapes it: the text may contain claims.
        let cause = || self.0.source.as_deref().map(|source| Chain(source).to_string());
        match self.status().as_u16() {
            500.. => {
                tracing::error!(target: TARGET, code, detail, cause = cause(), "request refused")
            }
            403 => tracing::warn!(target: TARGET, code, detail, cause = cause(), "request refused"),
            _ => tracing::info!(target: TARGET, code, detail, cause = cause(), "request refused"),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.detail())
    }
}

impl Error for Rejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<RejectionKind> for Rejection {
    fn from(kind: RejectionKind) -> Self {
        Self::new(kind)
    }
}
