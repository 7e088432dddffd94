//! The same application on hyper's HTTP/1 connection, for servers with many streams.
//!
//! `axum::serve` first reads the 24 bytes that tell HTTP/2 from HTTP/1. hyper then finds its
//! buffer of 8 KiB partly used, and doubles it. The task of a connection for both versions is larger, too.

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
            // For small events, a copy costs less than giving the kernel a list of pieces.
            .writev(false)
            .serve_connection(TokioIo::new(socket), TowerToHyperService::new(service));
        // The connection itself is the task: an async block around it would store it twice.
        tokio::spawn(connection);
    }
}
