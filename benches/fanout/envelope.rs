//! The envelope of tower-tenancy, for the servers that do not use the crate. So all servers send about the same
//! bytes for an event.

use bytes::Bytes;
use serde::Serialize;
use std::time::SystemTime;

/// The trace id of the servers that use one id for all connections.
pub(crate) const TRACE: &str = "0190b3e0-0000-7000-8000-000000000000";
const EPOCH: &str = "5f3c9a71d20be846";

/// An event, as an application would store it.
#[derive(Debug)]
pub(crate) struct Event {
    id: String,
    ts: String,
    seq: u64,
    data: String,
}

#[derive(Serialize)]
pub(crate) struct Envelope<'a> {
    v: u8,
    id: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    ts: &'a str,
    routing: Routing<'a>,
    meta: Meta<'a>,
    data: &'a str,
}

#[derive(Serialize)]
struct Routing<'a> {
    tenant_id: &'a str,
    env: &'a str,
    thread_id: &'a str,
    actor_id: &'a str,
    actor_type: &'a str,
}

#[derive(Serialize)]
struct Meta<'a> {
    trace_id: &'a str,
    origin_trace_id: &'a str,
    seq: u64,
}

impl Event {
    pub(crate) fn new(seq: u64, data: String) -> Self {
        let ts = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        Self { id: format!("{EPOCH}-{seq}"), ts, seq, data }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn envelope<'a>(&'a self, trace_id: &'a str) -> Envelope<'a> {
        Envelope {
            v: 1,
            id: &self.id,
            event_type: "message",
            ts: &self.ts,
            routing: Routing {
                tenant_id: "t_alpha",
                env: "prod",
                thread_id: "th",
                actor_id: "ada",
                actor_type: "human",
            },
            meta: Meta { trace_id, origin_trace_id: TRACE, seq: self.seq },
            data: &self.data,
        }
    }

    /// The envelope as JSON, the same for every connection.
    pub(crate) fn to_json(&self) -> String {
        // Strings and numbers always serialise.
        serde_json::to_string(&self.envelope(TRACE)).unwrap_or_default()
    }

    /// The block that is sent, the same for every connection.
    pub(crate) fn to_frame(&self) -> Bytes {
        format!("id: {}\ndata: {}\n\n", self.id, self.to_json()).into()
    }
}
