//! A log that an application writes itself, with the public API alone, keeps what the crate promises.
//!
//! It stores rows of text, as a database does, and makes the events again when it reads them.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{Request, Response};
use http_body_util::Full;
use serde_json::value::RawValue;
use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};
use tokio::sync::watch;
use tower::{ServiceBuilder, ServiceExt as _};
use tower_tenancy::{
    AuthContext, AuthRequest, Cursor, EventLog, EventType, LastEventId, MemoryRegistry, OnGap,
    RequestId, RequireTenantScope, Routing, StreamEvent, Subject, TenantId, TenantScope,
    ThreadGrant, Verdict,
    delivery::Outbound,
    event::{Epoch, NewEvent},
    id::ThreadKey,
    log::{DynEventLog, Extent, LogError, LogItem, LogReader, erase_thread},
    verify_thread_access,
};

/// An event, as a table stores it.
#[derive(Clone)]
struct Row {
    routing: String,
    actor: Option<(String, String)>,
    event_type: String,
    data: String,
    origin_trace_id: Option<String>,
    time: SystemTime,
}

impl Row {
    fn of(event: &NewEvent) -> Self {
        let routing = event.routing();
        let actor = routing.actor_id().zip(routing.actor_type());
        Self {
            routing: routing.to_path(),
            actor: actor.map(|(id, kind)| (id.as_str().to_owned(), kind.as_str().to_owned())),
            event_type: event.event_type().as_str().to_owned(),
            data: event.data().to_owned(),
            origin_trace_id: event.origin_trace_id().map(|id| id.as_str().to_owned()),
            time: SystemTime::now(),
        }
    }

    fn event(&self, at: Cursor) -> StreamEvent {
        let mut routing: Routing = self.routing.parse().unwrap();
        if let Some((id, kind)) = &self.actor {
            routing = routing.with_actor(Subject::new(id).unwrap(), kind.parse().unwrap());
        }
        let event_type = EventType::new(&self.event_type).unwrap();
        let data = RawValue::from_string(self.data.clone()).unwrap();
        let origin = self.origin_trace_id.as_ref().map(|id| RequestId::new(id).unwrap());
        StreamEvent::restored(routing, event_type, &data, origin, at, self.time).unwrap()
    }
}

/// The rows of one thread. Rows before `first` were trimmed.
#[derive(Clone)]
struct Table {
    /// As text: that is how a database stores it.
    epoch: String,
    first: u64,
    rows: Vec<Row>,
    erased: bool,
}

impl Table {
    fn new() -> Self {
        Self { epoch: Epoch::random().to_string(), first: 1, rows: Vec::new(), erased: false }
    }

    fn extent(&self) -> Extent {
        let next = self.first + self.rows.len() as u64;
        Extent::new(self.epoch.parse().unwrap(), self.first, next)
    }
}

/// Each thread is a channel that tells its readers when its table changes.
#[derive(Clone, Default)]
struct Rows(Arc<Mutex<HashMap<ThreadKey, watch::Sender<Table>>>>);

/// How many rows of a thread the log keeps.
const KEPT: usize = 4;

impl Rows {
    fn table(&self, thread: &ThreadKey) -> watch::Sender<Table> {
        let mut tables = self.0.lock().unwrap();
        tables.entry(thread.clone()).or_insert_with(|| watch::channel(Table::new()).0).clone()
    }

    fn erase(&self, gone: impl Fn(&ThreadKey) -> bool) {
        for (_, table) in self.0.lock().unwrap().extract_if(|thread, _| gone(thread)) {
            table.send_modify(|table| table.erased = true);
        }
    }
}

impl EventLog for Rows {
    type Reader = Reader;

    async fn append(&self, event: NewEvent) -> Result<StreamEvent, LogError> {
        let row = Row::of(&event);
        let mut sealed = None;
        self.table(event.key()).send_modify(|table| {
            let at = Cursor::new(table.extent().epoch, table.extent().next);
            sealed = Some(event.seal(at, row.time));
            table.rows.push(row);
            if table.rows.len() > KEPT {
                table.rows.remove(0);
                table.first += 1;
            }
        });
        Ok(sealed.unwrap())
    }

    async fn open(&self, thread: &ThreadKey) -> Result<(Extent, Reader), LogError> {
        let changes = self.table(thread).subscribe();
        let extent = changes.borrow().extent();
        Ok((extent, Reader { at: extent.head(), changes: Some(changes), waits: None }))
    }

    async fn erase_thread(&self, thread: &ThreadKey) -> Result<(), LogError> {
        self.erase(|other| other == thread);
        Ok(())
    }

    async fn erase_tenant(&self, tenant: &TenantId) -> Result<(), LogError> {
        self.erase(|thread| thread.tenant() == tenant);
        Ok(())
    }
}

type Changes = watch::Receiver<Table>;

struct Reader {
    at: Cursor,
    /// `None` while the reader waits for a change.
    changes: Option<Changes>,
    waits: Option<Pin<Box<dyn Future<Output = Changes> + Send>>>,
}

impl Stream for Reader {
    type Item = Result<LogItem, LogError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(waits) = &mut self.waits {
                let changes = ready!(waits.as_mut().poll(cx));
                (self.changes, self.waits) = (Some(changes), None);
            }
            let Some(mut changes) = self.changes.take() else { return Poll::Ready(None) };
            let table = changes.borrow_and_update().clone();
            if table.erased {
                self.changes = Some(changes);
                return Poll::Ready(Some(Err(LogError::Erased)));
            }
            let extent = table.extent();
            if self.at == extent.head() {
                self.waits = Some(Box::pin(async move {
                    let _closed = changes.changed().await;
                    changes
                }));
                continue;
            }
            self.changes = Some(changes);
            if extent.serves(self.at).is_err() {
                return Poll::Ready(Some(Ok(LogItem::Gap(extent))));
            }
            let next = Cursor::new(extent.epoch, self.at.seq() + 1);
            let row = &table.rows[usize::try_from(next.seq() - extent.oldest).unwrap()];
            self.at = next;
            return Poll::Ready(Some(Ok(LogItem::Event(row.event(next)))));
        }
    }
}

impl LogReader for Reader {
    fn seek(&mut self, after: Cursor) {
        self.at = after;
    }

    fn is_erased(&self) -> bool {
        self.changes.as_ref().is_some_and(|changes| changes.borrow().erased)
    }
}

/// What the layers and the registry grant to `ada`.
async fn grant(thread: &str) -> ThreadGrant {
    let anybody = |_: &AuthRequest<'_>| {
        let until = SystemTime::now() + Duration::from_secs(600);
        let auth = AuthContext::new(Subject::new("ada").unwrap(), until);
        Verdict::Ready(Ok(auth.with_tenants(["t_alpha"]).with_envs(["prod"])))
    };
    let (granted, grants) = std::sync::mpsc::channel();
    let thread = thread.to_owned();
    let service = ServiceBuilder::new().layer(RequireTenantScope::new(anybody)).service_fn(
        move |request: Request<()>| {
            let (granted, thread) = (granted.clone(), thread.clone());
            async move {
                let threads = MemoryRegistry::new();
                let routing: Routing = format!("t_alpha/prod/{thread}").parse().unwrap();
                threads.register(&routing);
                let scope = TenantScope::from_extensions(request.extensions()).unwrap();
                let grant = verify_thread_access(&threads, scope, thread.as_str()).await;
                granted.send(grant.unwrap()).unwrap();
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
            }
        },
    );
    let request = Request::builder().header("x-tenant-id", "t_alpha").header("x-env", "prod");
    service.oneshot(request.body(()).unwrap()).await.unwrap();
    grants.try_recv().unwrap()
}

/// What a guarded stream writes next, in short.
async fn next(stream: &mut (impl Stream<Item = Outbound> + Unpin)) -> String {
    let item = tokio::time::timeout(Duration::from_secs(60), stream.next()).await;
    match item.expect("something comes") {
        Some(Outbound::Event(event)) => {
            let event = event.event();
            format!("{} {}", event.cursor().unwrap().seq(), event.data())
        }
        Some(Outbound::Position(position)) => format!("at {}", position.cursor().seq()),
        Some(Outbound::Gap(gap)) => format!("gap {}", gap.reason().as_str()),
        Some(Outbound::End(ending)) => ending.code().to_owned(),
        None => "nothing".to_owned(),
        Some(other) => panic!("{other:?}"),
    }
}

async fn listen(
    log: &DynEventLog,
    thread: &str,
    from: impl Into<LastEventId>,
) -> impl Stream<Item = Outbound> + Unpin {
    let grant = grant(thread).await;
    let events = grant.subscribe(log, from).await.unwrap().on_gap(OnGap::Oldest);
    grant.guard(events)
}

#[tokio::test]
async fn it_replays_goes_on_live_says_gaps_and_ends_with_its_thread() {
    let log = DynEventLog::new(Rows::default());
    let publisher = grant("th").await.publisher(&log);
    let first = publisher.publish("note", "1").await.unwrap().cursor().unwrap();
    publisher.publish("note", "2").await.unwrap();

    let mut replay = listen(&log, "th", first).await;
    assert_eq!(next(&mut replay).await, "at 1");
    assert_eq!(next(&mut replay).await, "2 \"2\"");
    let (live, _) = tokio::join!(next(&mut replay), publisher.publish("note", "3"));
    assert_eq!(live, "3 \"3\"");

    for n in 4..8 {
        publisher.publish("note", &n.to_string()).await.unwrap();
    }
    let mut late = listen(&log, "th", first).await;
    for expected in ["gap trimmed", "4 \"4\"", "5 \"5\"", "6 \"6\"", "7 \"7\""] {
        assert_eq!(next(&mut late).await, expected);
    }
    let mut other = listen(&log, "other", first).await;
    assert_eq!(next(&mut other).await, "gap unknown");

    let thread: Routing = "t_alpha/prod/th".parse().unwrap();
    erase_thread(&log, &thread).await.unwrap();
    assert_eq!(next(&mut late).await, "access.revoked");
    assert_eq!(next(&mut late).await, "nothing");
    let mut anew = listen(&log, "th", first).await;
    assert_eq!(next(&mut anew).await, "gap unknown");
}

#[tokio::test]
async fn an_event_that_is_made_again_from_its_row_is_the_same_event() {
    let log = Rows::default();
    let publishes = grant("th").await;
    let stored = publishes.publisher(&log).publish("note", &["a", "\"b\""]).await.unwrap();
    let grant = grant("th").await;
    let mut events = Box::pin(grant.subscribe(&log, LastEventId::Earliest).await.unwrap());
    let _position = events.next().await;
    let again = log.table_rows("t_alpha/prod/th")[0].event(stored.cursor().unwrap());
    assert_eq!(again.routing(), stored.routing());
    assert_eq!(
        publishes.stamp(again).unwrap().to_json(),
        publishes.stamp(stored).unwrap().to_json()
    );
}

impl Rows {
    fn table_rows(&self, path: &str) -> Vec<Row> {
        let tables = self.0.lock().unwrap();
        let (_, table) = tables.iter().find(|(thread, _)| thread.to_path() == path).unwrap();
        table.borrow().rows.clone()
    }
}
