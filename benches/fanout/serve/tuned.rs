//! Serves an axum router on hyper's HTTP/1 connection, as a server with many streams may do.
//!
//! `axum::serve` first reads 24 bytes to distinguish HTTP/2 from HTTP/1. Then hyper's buffer of 8 KiB is partly used,
//! and hyper doubles it. A connection that supports both versions also has a larger task.

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
            // For small events, a copy costs less than a write of several pieces.
            .writev(false)
            .serve_connection(TokioIo::new(socket), TowerToHyperService::new(service));
        // Spawn the connection itself: an async block around it would store it twice.
        tokio::spawn(connection);
    }
}
