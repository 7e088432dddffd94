//! The same application on hyper's own connection of HTTP/1, for servers that hold many streams.
//!
//! `axum::serve` first reads the 24 bytes that tell HTTP/2 from HTTP/1. hyper then finds its buffer
//! of 8 KiB begun, and doubles it. The task of a connection that may become either is larger, too.

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use tower_tenancy::BoxError;

pub(crate) async fn run(listener: TcpListener, router: Router) -> Result<(), BoxError> {
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let service =
            router.clone().map_request(|request: Request<Incoming>| request.map(Body::new));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // Small events: to copy one costs less than to hand the kernel a list of its pieces.
            .writev(false)
            .serve_connection(TokioIo::new(socket), TowerToHyperService::new(service));
        // The connection itself: a block around it would hold room for it twice.
        tokio::spawn(connection);
    }
}
