//! The least that a server on axum can do: it sends the same bytes to all, and frames them once, when the event is
//! published.

use crate::{envelope::Event, serve::PATH};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use futures_util::stream;
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::broadcast::{Sender, channel};

#[derive(Clone)]
struct App {
    sender: Sender<Bytes>,
    seq: Arc<AtomicU64>,
}

async fn events(State(app): State<App>) -> impl IntoResponse {
    let frames = stream::unfold(app.sender.subscribe(), |mut receiver| async move {
        let frame = receiver.recv().await.ok()?;
        Some((Ok::<_, Infallible>(frame), receiver))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(frames))
}

async fn publish(State(app): State<App>, text: String) -> StatusCode {
    let seq = app.seq.fetch_add(1, Ordering::Relaxed) + 1;
    // It fails if there is no subscriber.
    let _ = app.sender.send(Event::new(seq, text).to_frame());
    StatusCode::NO_CONTENT
}

pub(crate) fn router() -> Router {
    let app = App { sender: channel(1024).0, seq: Arc::default() };
    Router::new().route(PATH, get(events).post(publish)).with_state(app)
}
