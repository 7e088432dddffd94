//! The WebSocket upgrade in a plain hyper service.

use super::{message::WsMessage as _, session::WsSession, tungstenite::config};
use crate::{
    auth::is_bearer_protocol,
    clock,
    inbound::ClientMessage,
    rejection::{Rejection, RejectionKind},
    request::{RequestHead, tokens},
    stream::IntoDelivery,
};
use futures_core::Stream;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::{
    ext::Protocol,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use std::{fmt, future::Future, pin::pin, time::Duration};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

/// How long the client has to answer the close frame of a refused upgrade.
const REFUSED_WAIT: Duration = Duration::from_secs(2);
/// The longest message that the server reads meanwhile, in bytes.
const REFUSED_MAX_MESSAGE: usize = 1024;

/// A request for a WebSocket that hyper can upgrade, over HTTP/1.1 ([RFC 6455 section 4.2.1]) or HTTP/2
/// ([RFC 8441 section 4]).
///
/// Over HTTP/2 the request is a `CONNECT`. A server accepts it only with
/// `http2::Builder::enable_connect_protocol`.
///
/// In axum, use `WebSocketUpgrade` instead.
///
/// ```
/// use http::{Request, Response};
/// use tower_tenancy::{
///     LastEventId, MemoryLog, MemoryRegistry, Rejection, TenantScope, verify_thread_access,
///     ws::Handshake,
/// };
///
/// async fn talk<B>(
///     request: Request<B>,
///     threads: &MemoryRegistry,
///     log: MemoryLog,
/// ) -> Result<Response<()>, Rejection> {
///     let scope = TenantScope::from_extensions(request.extensions())?;
///     let from = LastEventId::of(request.headers(), request.uri())?.unwrap_or_default();
///     let thread = request.uri().path().trim_start_matches("/ws/");
///     let grant = verify_thread_access(threads, scope, thread).await?;
///     let publisher = grant.publisher(&log);
///     let events = grant.subscribe(&log, from).await?;
///     let session = grant.guard(events).into_ws();
///     Ok(Handshake::of(&request)?.run(session, move |message| {
///         let publisher = publisher.clone();
///         async move { publisher.publish_message(message).await }
///     }))
/// }
/// ```
///
/// [RFC 6455 section 4.2.1]: https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
/// [RFC 8441 section 4]: https://www.rfc-editor.org/rfc/rfc8441#section-4
#[must_use = "the client waits for the response"]
pub struct Handshake {
    upgrade: OnUpgrade,
    response: Response<()>,
}

impl Handshake {
    /// The handshake that the request asks for. The request stays as it is.
    ///
    /// # Errors
    ///
    /// `context.invalid` if the request does not ask for a handshake, or the connection cannot be
    /// upgraded.
    pub fn of<B>(request: &Request<B>) -> Result<Self, Rejection> {
        let headers = request.headers();
        let answer = if request.method() == Method::CONNECT {
            let protocol = request.extensions().get::<Protocol>();
            protocol.filter(|name| name.as_str() == "websocket").map(|_| Response::new(()))
        } else {
            switched(RequestHead::of(request))
        };
        let is_13 = |version: &HeaderValue| version == "13";
        let is_13 = headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(is_13);
        let (Some(mut response), true, Some(upgrade)) =
            (answer, is_13, request.extensions().get::<OnUpgrade>().cloned())
        else {
            return Err(Rejection::new(RejectionKind::ContextInvalid)
                .with_detail("Send a WebSocket upgrade of version 13."));
        };
        // A browser that offers protocols closes the connection if the server chooses none.
        let mut offered = tokens(headers, header::SEC_WEBSOCKET_PROTOCOL);
        if let Some(protocol) = offered.find(|name| !is_bearer_protocol(name))
            && let Ok(protocol) = HeaderValue::try_from(protocol)
        {
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        drop(offered);
        Ok(Self { upgrade, response })
    }

    /// Whether `status` accepts the upgrade.
    pub(crate) fn is_accepted_by(&self, status: StatusCode) -> bool {
        status == self.response.status()
    }

    /// Runs the session on the upgraded connection, in its own task, once the response has been sent. See
    /// [`WsSession::run`] for `on_message`.
    pub fn run<S, H, F, O, E>(self, session: WsSession<S>, on_message: H) -> Response<()>
    where
        S: Stream + Send + 'static,
        S::Item: IntoDelivery,
        H: FnMut(ClientMessage) -> F + Send + 'static,
        F: Future<Output = Result<O, E>> + Send + 'static,
        O: 'static,
        E: Into<Rejection> + 'static,
    {
        let max_message = session.options.max_message;
        self.accept(max_message, move |socket| session.run(socket, on_message))
    }

    /// Accepts the upgrade, and closes the connection at once.
    pub(crate) fn close(self, code: u16, reason: &'static str) -> Response<()> {
        self.accept(REFUSED_MAX_MESSAGE, async move |mut socket| {
            let closing = async {
                // An error here means that the client is gone.
                if socket.send(Message::close(code, reason)).await.is_ok() {
                    // Wait for the client's close frame. If the server closed the connection first, the
                    // client could lose what it has not read.
                    while socket.next().await.is_some() {}
                }
            };
            // `select` polls the limit first. Otherwise a client that sends without a pause would keep it
            // from firing.
            futures_util::future::select(clock::system().sleep(REFUSED_WAIT), pin!(closing)).await;
        })
    }

    /// Accepts the upgrade, and calls `run` with the socket.
    fn accept<F>(
        self,
        max_message: usize,
        run: impl FnOnce(WebSocketStream<TokioIo<Upgraded>>) -> F + Send + 'static,
    ) -> Response<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { upgrade, response } = self;
        tokio::spawn(async move {
            match upgrade.await {
                Ok(upgraded) => {
                    let (io, config) = (TokioIo::new(upgraded), config(max_message));
                    run(WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await)
                        .await;
                }
                Err(error) => tracing::debug!(%error, "a connection was not upgraded"),
            }
        });
        response
    }
}

/// The response that accepts an upgrade over HTTP/1.1. `None` if the request does not ask for one.
fn switched(head: RequestHead<'_>) -> Option<Response<()>> {
    let upgrades = |name: &str| name.eq_ignore_ascii_case("upgrade");
    let asks = head.is_upgrade() && tokens(head.headers, header::CONNECTION).any(upgrades);
    let key = head.headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| asks)?;
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    // Base64 is always a valid header value.
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()?;
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Some(response)
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").finish_non_exhaustive()
    }
}
