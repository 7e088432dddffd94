//! The service, and the conversion of events to its messages.

/// Generated from `tenancy.v1.proto`. A test checks that it is up to date.
#[allow(clippy::all, clippy::pedantic, missing_docs, unreachable_pub, unnameable_types)]
pub(crate) mod pb {
    include!("tenancy.v1.rs");
}

use futures_core::Stream;
use pb::{
    Delivery, Event, Notice, PublishRequest, PublishResponse, SubscribeRequest,
    chat_server::{Chat, ChatServer},
    delivery,
};
use std::pin::Pin;
use tonic::{Request, Response, Status};
use tower_tenancy::{
    Cursor, LastEventId, MemoryLog, MemoryRegistry, Rejection, StampedEvent, TenantScope,
    delivery::Outbound, id::RequestId, log::PublishError, verify_thread_access,
};

pub(crate) fn chat(threads: MemoryRegistry, log: MemoryLog) -> ChatServer<Threads> {
    ChatServer::new(Threads { threads, log })
}

pub(crate) struct Threads {
    threads: MemoryRegistry,
    log: MemoryLog,
}

#[tonic::async_trait]
impl Chat for Threads {
    async fn publish(
        &self,
        request: Request<PublishRequest>,
    ) -> Result<Response<PublishResponse>, Status> {
        let scope = TenantScope::from_extensions(request.extensions())?;
        let PublishRequest { thread_id, text } = request.get_ref();
        let grant = verify_thread_access(&self.threads, scope, thread_id).await?;
        let data = serde_json::json!({ "text": text });
        let stored = grant.publisher(&self.log).publish("message", &data).await;
        let stored = stored.map_err(|error: PublishError| Rejection::from(error))?;
        let stamped = grant.stamp(stored)?;
        Ok(Response::new(PublishResponse { event: Some(event(&stamped)) }))
    }

    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<Delivery, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let scope = TenantScope::from_extensions(request.extensions())?;
        let SubscribeRequest { thread_id, last_event_id } = request.get_ref();
        let from = LastEventId::parse(last_event_id)?;
        let grant = verify_thread_access(&self.threads, scope, thread_id).await?;
        let events = grant.subscribe(&self.log, from).await?;
        let deliveries = grant.guard(events).into_grpc(|outbound, trace_id| {
            Some(match outbound {
                Outbound::Event(stamped) => delivery::Delivery::Event(event(&stamped)).into(),
                Outbound::Position(position) => {
                    let notice = Notice { code: "open".to_owned(), ..Notice::default() };
                    notice.at(Some(position.cursor()), trace_id).into()
                }
                Outbound::Gap(gap) => {
                    let notice = Notice {
                        code: "stream.gap".to_owned(),
                        detail: gap.detail().to_owned(),
                        reason: gap.reason().as_str().to_owned(),
                        ..Notice::default()
                    };
                    notice.at(gap.resumes_at(), trace_id).into()
                }
                // The status says how the stream ended.
                Outbound::End(_) | _ => return None,
            })
        });
        Ok(Response::new(Box::pin(deliveries)))
    }
}

fn event(stamped: &StampedEvent) -> Event {
    let (event, text) = (stamped.event(), |text: Option<&str>| text.unwrap_or_default().to_owned());
    let routing = event.routing();
    Event {
        v: 1,
        id: event.cursor().map(|cursor| cursor.to_string()).unwrap_or_default(),
        r#type: event.event_type().as_str().to_owned(),
        ts: event.ts().to_owned(),
        routing: Some(pb::Routing {
            tenant_id: routing.tenant().to_string(),
            env: routing.env().to_string(),
            thread_id: routing.thread().to_string(),
            actor_id: text(routing.actor_id().map(AsRef::as_ref)),
            actor_type: text(routing.actor_type().map(AsRef::as_ref)),
        }),
        meta: Some(pb::Meta {
            trace_id: stamped.trace_id().to_string(),
            origin_trace_id: text(event.origin_trace_id().map(AsRef::as_ref)),
            seq: event.cursor().map_or(0, Cursor::seq),
        }),
        data: event.data().to_owned(),
    }
}

impl Notice {
    /// Sets the cursor at which reading continues, and the request that receives the notice.
    fn at(mut self, cursor: Option<Cursor>, trace_id: &RequestId) -> Self {
        self.id = cursor.map(|cursor| cursor.to_string()).unwrap_or_default();
        self.meta = Some(pb::Meta { trace_id: trace_id.to_string(), ..pb::Meta::default() });
        self
    }
}

impl From<delivery::Delivery> for Delivery {
    fn from(delivery: delivery::Delivery) -> Self {
        Self { delivery: Some(delivery) }
    }
}

impl From<Notice> for Delivery {
    fn from(notice: Notice) -> Self {
        delivery::Delivery::Notice(notice).into()
    }
}
