//! The rejection itself.

use super::{BoxError, Chain, RejectionKind};
use crate::id::RequestId;
use bytes::Bytes;
use http::{Response, StatusCode};
use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

/// How long a client is asked to wait after trouble of ours.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why a request was refused: what the client is told, and what only the log is told.
///
/// [`Display`](fmt::Display) and [`detail`](Self::detail) are safe for clients: they never repeat
/// a token, a claim or another tenant's ids. [`source`](Error::source) is for logs.
///
/// The layers put the rejection into the extensions of the response that they refuse with, so
/// that an outer layer can count or restyle it.
#[derive(Clone, Debug)]
pub struct Rejection(Box<Inner>);

/// Kept out of line: results that are nearly always good are then no larger than what is good.
#[derive(Clone, Debug)]
struct Inner {
    kind: RejectionKind,
    detail: Option<Cow<'static, str>>,
    source: Option<Arc<dyn Error + Send + Sync>>,
    retry_after: Option<Duration>,
    /// The scopes that would do (RFC 6750 section 3).
    required_scopes: Option<Cow<'static, str>>,
    /// Of the request that is refused.
    request_id: Option<RequestId>,
    /// Whoever refused has already told the log, with more than a rejection knows.
    logged: bool,
}

impl Rejection {
    /// A refusal of this kind, told in the kind's own words.
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

    /// The application failed, for this reason, which is for the log alone: `server.failed`.
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

    /// Tells the client something more precise. It must not repeat a secret or a foreign id.
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

    /// Asks the client to wait this long before it tries again (`Retry-After`, RFC 9110 section
    /// 10.2.3). Rejections worth retrying ask for five seconds by themselves.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Tells the client which scopes, separated by spaces, it needs: `scope` of the challenge (RFC
    /// 6750 section 3).
    #[must_use]
    pub fn with_required_scopes(mut self, scope: impl Into<Cow<'static, str>>) -> Self {
        self.0.required_scopes = Some(scope.into());
        self
    }

    /// Names the request in the notice that a browser's `EventSource` is told, as `meta.trace_id`. The
    /// layers do so by themselves; a host that [refuses by hand](RejectWith) says it.
    #[must_use]
    pub fn with_request_id(mut self, id: RequestId) -> Self {
        self.0.request_id = Some(id);
        self
    }

    /// A layer is missing in front of a handler or of another layer.
    pub(crate) fn layer_missing(needed: &'static str, layer: &'static str) -> Self {
        tracing::error!(
            needed,
            layer,
            "request refused: nothing provides the {needed}; \
             put RequireTenantScope, or {layer} among its parts, in front of this route"
        );
        Self::new(RejectionKind::Misconfigured)
            .with_source(format!("the {layer} layer is missing, which provides the {needed}"))
            .already_logged()
    }

    /// Puts the rejection into the response's extensions: layers outside log, count and restyle by it.
    pub(super) fn attach_to(&self, mut response: Response<Bytes>) -> Response<Bytes> {
        response.extensions_mut().insert(self.clone());
        response
    }

    pub(crate) fn already_logged(mut self) -> Self {
        self.0.logged = true;
        self
    }

    /// What kind of refusal this is.
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

    /// What the client is told to do about it.
    #[must_use]
    pub fn detail(&self) -> &str {
        self.0.detail.as_deref().unwrap_or(self.0.kind.row().detail)
    }

    /// The scopes that the client needs.
    #[must_use]
    pub fn required_scopes(&self) -> Option<&str> {
        self.0.required_scopes.as_deref()
    }

    /// The request that is refused, where that is known.
    #[must_use]
    pub fn request_id(&self) -> Option<&RequestId> {
        self.0.request_id.as_ref()
    }

    /// How long the client is asked to wait before it tries again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// One line for the people on call, as loud as the trouble is ours or an attempt on others.
    pub(crate) fn log(&mut self) {
        if std::mem::replace(&mut self.0.logged, true) {
            return;
        }
        let (code, detail) = (self.code(), self.detail());
        // As text, which the formatter quotes and escapes: it repeats claims, which are foreign.
        let cause = || self.0.source.as_deref().map(|source| Chain(source).to_string());
        match self.status().as_u16() {
            500.. => tracing::error!(code, detail, cause = cause(), "request refused"),
            403 => tracing::warn!(code, detail, cause = cause(), "request refused"),
            _ => tracing::info!(code, detail, cause = cause(), "request refused"),
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
