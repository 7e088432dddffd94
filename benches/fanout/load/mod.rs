//! The load generator: a publisher, and subscribers that check every event.

pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod marker;
pub(crate) mod tally;

use crate::{
    envelope::Event,
    serve::{Kind, PATH},
    token,
};
use memchr::memmem;
use std::{net::SocketAddr, time::Duration};
use tally::Tally;
use tower_tenancy::BoxError;

/// After this time without an event, the run gives up waiting for the missing events.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many events to publish, to how many subscribers, and at what pace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) subscribers: usize,
    /// The most events that are published and have not reached all subscribers yet.
    pub(crate) window: usize,
    /// The number of measured events.
    pub(crate) events: usize,
    /// Bytes of data in each event.
    pub(crate) data: usize,
    /// The number of events before the measured ones.
    pub(crate) warm_up: usize,
}

/// Requests to one kind of server.
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    kind: Kind,
    token: String,
    data: usize,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, kind: Kind, data: usize) -> Result<Self, BoxError> {
        Ok(Self { address, kind, token: token::mint(), data })
    }

    fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// The header fields of each request. Most servers do not read them.
    fn headers(&self) -> [(&'static str, String); 3] {
        [
            ("x-tenant-id", "t_alpha".to_owned()),
            ("x-env", "prod".to_owned()),
            ("authorization", format!("Bearer {}", self.token)),
        ]
    }

    /// The beginning of an HTTP/1.1 request, up to its own fields.
    fn head(&self, method: &str) -> String {
        let mut head = format!("{method} {PATH} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in self.headers() {
            head += &format!("{name}: {value}\r\n");
        }
        head
    }

    fn subscribe(&self) -> String {
        self.head("GET") + "accept: text/event-stream\r\n\r\n"
    }

    fn publish(&self, seq: usize) -> String {
        let marker = marker::marker(seq);
        // The marker is at the end: when it arrives, all data have arrived.
        let padding = self.data.saturating_sub(marker.len());
        let data = format!("{}{marker}", "x".repeat(padding));
        // nchan makes no envelope: it sends the bytes as they are.
        let body =
            if self.kind == Kind::Nchan { Event::new(seq as u64, data).to_json() } else { data };
        let length = body.len();
        let head = self.head("POST");
        format!("{head}content-type: text/plain\r\ncontent-length: {length}\r\n\r\n{body}")
    }
}

/// Fails if an answer to the publisher is a refusal. Otherwise the event would be missing later, without a reason.
fn refused(answers: &[u8]) -> Result<(), BoxError> {
    for at in memmem::find_iter(answers, b"HTTP/1.1 ") {
        if answers.get(at + 9).is_some_and(|class| *class != b'2') {
            return Err(
                format!("an event was refused: {}", String::from_utf8_lossy(answers)).into()
            );
        }
    }
    Ok(())
}

/// The result of a phase, in which some events are delivered to all subscribers.
#[derive(Debug, Default)]
pub(crate) struct Phase {
    pub(crate) wall: Duration,
    /// The time from a publisher's write until a subscriber had the event, in microseconds.
    pub(crate) latencies: Vec<u32>,
    pub(crate) bytes: u64,
}

/// A publisher together with its subscribers.
pub(crate) trait Load {
    /// Publishes events until all subscribers have as many as the tally asks for.
    fn run(&mut self, tally: &mut Tally) -> Result<(), BoxError>;

    /// Waits until nothing more arrives. An event that still arrives is a repeated one.
    fn settle(&mut self, tally: &mut Tally) -> Result<(), BoxError>;

    /// The number of bytes that the subscribers have received.
    fn received(&self) -> u64;

    /// The processor time that the generator spent on busy waiting. Sleeping instead would cost the server time.
    fn idle(&self) -> Duration;
}

/// Publishes `events` more events, and waits until all subscribers have them.
pub(crate) fn phase(
    load: &mut impl Load,
    tally: &mut Tally,
    events: usize,
) -> Result<Phase, BoxError> {
    tally.aim(events);
    let before = load.received();
    let start = std::time::Instant::now();
    load.run(tally)?;
    let wall = start.elapsed();
    Ok(Phase { wall, latencies: tally.take_latencies(), bytes: load.received() - before })
}
