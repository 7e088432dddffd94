//! Guarded streams over gRPC, with a real tonic client. The layers wrap a whole server, or one service.

use crate::{
    layers::verifier,
    support::{Example, token, with_short_token},
};
use service::pb::{
    Delivery, Event, Notice, PublishRequest, SubscribeRequest,
    chat_client::ChatClient,
    delivery::Delivery::{Event as IsEvent, Notice as IsNotice},
};
use std::net::SocketAddr;
use tonic::{
    Code, Request, Status, Streaming,
    transport::{Channel, Server, server::TcpIncoming},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tower::Layer as _;
use tower_tenancy::{
    MemoryLog, MemoryRegistry, RequireAuth, RequireRequestContext, RequireTenantScope, Routing,
    TenantEnvGuard, rejection::GrpcStatus,
};

#[path = "../../examples/grpc_chat/service.rs"]
mod service;

type Chat = ChatClient<Channel>;

fn threads() -> MemoryRegistry {
    let threads = MemoryRegistry::new();
    for thread in ["t_alpha/prod/th", "t_beta/prod/th", "t_beta/prod/only-beta"] {
        threads.register(&thread.parse::<Routing>().unwrap());
    }
    threads
}

fn bind() -> (TcpIncoming, SocketAddr) {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = incoming.local_addr().unwrap();
    (incoming, addr)
}

async fn client(addr: impl ToString) -> Chat {
    let channel = Channel::from_shared(format!("http://{}", addr.to_string())).unwrap();
    ChatClient::new(channel.connect().await.unwrap())
}

/// The metadata of a valid call, with one change.
fn call<T>(message: T, change: (&'static str, &str)) -> Request<T> {
    let bearer = format!("Bearer {}", token("t_alpha", "prod", "ada"));
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    for (name, value) in [("x-tenant-id", "t_alpha"), ("x-env", "prod"), ("authorization", &bearer)]
    {
        metadata.insert(name, value.parse().unwrap());
    }
    match change {
        ("", _) => {}
        (name, "") => drop(metadata.remove(name)),
        (name, value) => drop(metadata.insert(name, value.parse().unwrap())),
    }
    request
}

fn listen(thread: &str, from: &str) -> SubscribeRequest {
    SubscribeRequest { thread_id: thread.to_owned(), last_event_id: from.to_owned() }
}

fn say(thread: &str, text: &str) -> PublishRequest {
    PublishRequest { thread_id: thread.to_owned(), text: text.to_owned() }
}

const NO_CHANGE: (&str, &str) = ("", "");

fn told(status: &Status) -> (Code, String) {
    let code = status.metadata().get("tenancy-code").map(|code| code.to_str().unwrap().to_owned());
    (status.code(), code.unwrap_or_default())
}

async fn next_event(deliveries: &mut Streaming<Delivery>) -> Event {
    match deliveries.message().await.unwrap().unwrap().delivery.unwrap() {
        IsEvent(event) => event,
        IsNotice(notice) => panic!("{notice:?}"),
    }
}

async fn next_notice(deliveries: &mut Streaming<Delivery>) -> Notice {
    match deliveries.message().await.unwrap().unwrap().delivery.unwrap() {
        IsNotice(notice) => notice,
        IsEvent(event) => panic!("{event:?}"),
    }
}

#[tokio::test]
async fn a_probe_asks_for_the_health_of_the_server_without_a_tenant() {
    let server = Example::run("grpc_chat", &[]);
    let channel = Channel::from_shared(server.base.clone()).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "tenancy.v1.Chat"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let status = health.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service:?}");
    }
    let refused = ChatClient::new(channel).subscribe(listen("th", "")).await.unwrap_err();
    assert_eq!(told(&refused), (Code::InvalidArgument, "context.missing".to_owned()));
}

#[tokio::test]
async fn the_layers_refuse_and_stream_in_the_same_way_at_every_place() {
    let one = || RequireTenantScope::new(verifier()).reject_with(GrpcStatus);
    let (incoming, whole) = bind();
    let mut server = Server::builder().layer(one());
    let server = server.add_service(service::chat(threads(), MemoryLog::new()));
    tokio::spawn(server.serve_with_incoming(incoming));

    let (incoming, three) = bind();
    let mut server = Server::builder()
        .layer(RequireRequestContext::new().reject_with(GrpcStatus))
        .layer(RequireAuth::new(verifier()).reject_with(GrpcStatus))
        .layer(TenantEnvGuard::new().reject_with(GrpcStatus));
    let server = server.add_service(service::chat(threads(), MemoryLog::new()));
    tokio::spawn(server.serve_with_incoming(incoming));

    // A layer around one service keeps the name of the service.
    let (incoming, single) = bind();
    let guarded = one().layer(service::chat(threads(), MemoryLog::new()));
    let server = Server::builder().add_service(guarded);
    tokio::spawn(server.serve_with_incoming(incoming));

    let beta = format!("Bearer {}", token("t_beta", "prod", "bob"));
    for addr in [whole, three, single] {
        let mut chat = client(addr).await;
        for (thread, from, change, code, tenancy) in [
            ("th", "", ("x-tenant-id", ""), Code::InvalidArgument, "context.missing"),
            ("th", "", ("x-env", "qa"), Code::InvalidArgument, "context.invalid"),
            ("th", "", ("x-tenant-id", "T_Unknown"), Code::InvalidArgument, "context.invalid"),
            ("th", "", ("authorization", ""), Code::Unauthenticated, "auth.missing"),
            ("th", "", ("authorization", "Bearer x.y.z"), Code::Unauthenticated, "auth.invalid"),
            ("th", "", ("authorization", &beta), Code::PermissionDenied, "tenant.mismatch"),
            ("th", "", ("x-env", "dev"), Code::PermissionDenied, "env.mismatch"),
            ("only-beta", "", NO_CHANGE, Code::PermissionDenied, "thread.forbidden"),
            ("nowhere", "", NO_CHANGE, Code::PermissionDenied, "thread.forbidden"),
            ("th", "42", NO_CHANGE, Code::InvalidArgument, "cursor.invalid"),
        ] {
            let refused = chat.subscribe(call(listen(thread, from), change)).await.unwrap_err();
            assert_eq!(told(&refused), (code, tenancy.to_owned()), "{thread} {change:?}");
            if from.is_empty() {
                let refused = chat.publish(call(say(thread, "hi"), change)).await.unwrap_err();
                assert_eq!(told(&refused), (code, tenancy.to_owned()), "{thread} {change:?}");
            }
        }
        let id = ("x-request-id", "conn-1");
        let response = chat.subscribe(call(listen("th", ""), id)).await.unwrap();
        assert_eq!(response.metadata().get("x-request-id").unwrap(), "conn-1", "echoed");
        let mut deliveries = response.into_inner();
        let open = next_notice(&mut deliveries).await;
        assert_eq!((open.code.as_str(), open.meta.unwrap().trace_id.as_str()), ("open", "conn-1"));
        let stored = chat.publish(call(say("th", "hi"), ("x-request-id", "say-1"))).await.unwrap();
        let stored = stored.into_inner().event.unwrap();
        let event = next_event(&mut deliveries).await;
        assert_eq!(event.id, stored.id);
        assert_eq!(event.data, r#"{"text":"hi"}"#);
        assert!(event.ts.ends_with('Z') && event.ts.len() == 24, "{}", event.ts);
        let (routing, meta) = (event.routing.unwrap(), event.meta.unwrap());
        assert_eq!(
            [&routing.tenant_id, &routing.env, &routing.thread_id, &routing.actor_id],
            ["t_alpha", "prod", "th", "ada"]
        );
        assert_eq!((routing.actor_type.as_str(), meta.seq), ("human", 1));
        assert_eq!([&meta.trace_id, &meta.origin_trace_id], ["conn-1", "say-1"]);
        let resumed = chat.subscribe(call(listen("th", &open.id), NO_CHANGE)).await.unwrap();
        let mut resumed = resumed.into_inner();
        assert_eq!(next_notice(&mut resumed).await.id, open.id, "the accepted cursor");
        assert_eq!(next_event(&mut resumed).await.id, stored.id);
        let unknown = "0123456789abcdef-7";
        let gap = chat.subscribe(call(listen("th", unknown), NO_CHANGE)).await.unwrap();
        let id = gap.metadata().get("x-request-id").unwrap().to_str().unwrap().to_owned();
        let mut gap = gap.into_inner();
        let notice = next_notice(&mut gap).await;
        assert_eq!(notice.meta.unwrap().trace_id, id, "the notice has the id of its request");
        assert_eq!([notice.code.as_str(), &notice.reason], ["stream.gap", "unknown"]);
        assert_eq!(notice.id, open.id, "the position before the oldest event");
        assert_eq!(next_event(&mut gap).await.id, stored.id);
    }
}

#[tokio::test]
async fn the_example_resumes_without_loss_and_ends_with_the_token() {
    let example = Example::run("grpc_chat", &["--leeway", "0"]);
    let addr = example.base.trim_start_matches("http://").to_owned();
    let mut chat = client(&addr).await;
    let publisher = tokio::spawn({
        let mut chat = chat.clone();
        async move {
            for i in 0..200 {
                chat.publish(call(say("th", &i.to_string()), NO_CHANGE)).await.unwrap();
            }
        }
    });
    let (mut seen, mut from) = (Vec::new(), "earliest".to_owned());
    while seen.len() < 200 {
        let deliveries = chat.subscribe(call(listen("th", &from), NO_CHANGE)).await.unwrap();
        let mut deliveries = deliveries.into_inner();
        from = next_notice(&mut deliveries).await.id;
        for _ in 0..(1 + uuid::Uuid::new_v4().as_bytes()[0] % 20) {
            if seen.len() < 200 {
                let event = next_event(&mut deliveries).await;
                seen.push(event.data);
                from = event.id;
            }
        }
        // Dropping the stream cancels the call.
    }
    publisher.await.unwrap();
    let sent: Vec<_> = (0..200).map(|i| format!(r#"{{"text":"{i}"}}"#)).collect();
    assert_eq!(seen, sent);

    let (mut deliveries, _) = with_short_token(async |token| {
        let bearer = format!("Bearer {token}");
        let call = call(listen("th", ""), ("authorization", &bearer));
        let mut deliveries = chat.clone().subscribe(call).await.ok()?.into_inner();
        deliveries.message().await.ok()?;
        Some(deliveries)
    })
    .await;
    let ended = deliveries.message().await.unwrap_err();
    assert_eq!(told(&ended), (Code::Unauthenticated, "auth.expired".to_owned()));
}
