//! A typical server by hand: a broadcast channel of values, and an envelope that is written as JSON for each
//! connection, with its trace id. It checks nothing, and a client that reconnects misses events.

use crate::{envelope::Event, serve::PATH};
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::sse::{self, KeepAlive, Sse},
    routing::get,
};
use futures_util::{Stream, stream};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::broadcast::{Sender, channel};
use uuid::Uuid;

#[derive(Clone)]
struct App {
    sender: Sender<Arc<Event>>,
    seq: Arc<AtomicU64>,
}

async fn events(
    State(app): State<App>,
) -> Sse<impl Stream<Item = Result<sse::Event, axum::Error>>> {
    let trace_id = Uuid::now_v7().to_string();
    let state = (app.sender.subscribe(), trace_id);
    let events = stream::unfold(state, |(mut receiver, trace_id)| async move {
        let event = receiver.recv().await.ok()?;
        let written = sse::Event::default().id(event.id()).json_data(event.envelope(&trace_id));
        Some((written, (receiver, trace_id)))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

async fn publish(State(app): State<App>, text: String) -> StatusCode {
    let seq = app.seq.fetch_add(1, Ordering::Relaxed) + 1;
    // It fails if there is no subscriber.
    let _ = app.sender.send(Arc::new(Event::new(seq, text)));
    StatusCode::NO_CONTENT
}

pub(crate) fn router() -> Router {
    let app = App { sender: channel(1024).0, seq: Arc::default() };
    Router::new().route(PATH, get(events).post(publish)).with_state(app)
}
