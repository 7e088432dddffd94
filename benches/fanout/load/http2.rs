//! Subscribers over HTTP/2, with many streams on each connection, as behind a proxy. The publisher uses HTTP/1.1.

use super::{Client, Load, PATIENCE, marker::Scanner, refused, tally::Tally};
use bytes::Bytes;
use h2::{RecvStream, client::SendRequest};
use std::{
    cell::{Cell, RefCell},
    future::Future,
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Runtime,
    sync::Notify,
    task::{LocalSet, spawn_local},
    time::timeout,
};
use tower_tenancy::BoxError;

/// The number of streams on each connection.
const STREAMS: usize = 100;
/// The flow-control window in bytes. It is large enough that flow control does not matter.
const WINDOW: u32 = 1 << 24;

pub(crate) struct Http2 {
    runtime: Runtime,
    tasks: LocalSet,
    client: Client,
    publisher: OwnedWriteHalf,
    inbox: Rc<Inbox>,
    /// Keeps the connections open: a connection closes if it has no stream and no handle.
    _connections: Vec<SendRequest<Bytes>>,
}

/// Passes messages from the tasks of the streams to the tally.
#[derive(Default)]
struct Inbox {
    seen: RefCell<Vec<(usize, usize, Instant)>>,
    received: Cell<u64>,
    failed: RefCell<Option<BoxError>>,
    notify: Notify,
}

impl Http2 {
    /// Opens all streams, and returns when each has the head of its response.
    pub(crate) fn open(client: Client, subscribers: usize) -> Result<Self, BoxError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tasks = LocalSet::new();
        let inbox = Rc::new(Inbox::default());
        let mut connections = Vec::new();
        let publisher = tasks.block_on(&runtime, async {
            for first in (0..subscribers).step_by(STREAMS) {
                let mut connection = connect(&client, &inbox).await?;
                for subscriber in first..subscribers.min(first + STREAMS) {
                    let body = subscribe(&client, &mut connection).await?;
                    watch(&inbox, receive(subscriber, body, Rc::clone(&inbox)));
                }
                connections.push(connection);
            }
            let socket = TcpStream::connect(client.address).await?;
            socket.set_nodelay(true)?;
            let (answers, publisher) = socket.into_split();
            watch(&inbox, read_answers(answers));
            Ok::<_, BoxError>(publisher)
        })?;
        Ok(Self { runtime, tasks, client, publisher, inbox, _connections: connections })
    }
}

/// Runs a task that must not fail.
fn watch(inbox: &Rc<Inbox>, task: impl Future<Output = Result<(), BoxError>> + 'static) {
    let inbox = Rc::clone(inbox);
    spawn_local(async move {
        if let Err(error) = task.await {
            inbox.failed.replace(Some(error));
            inbox.notify.notify_one();
        }
    });
}

async fn connect(client: &Client, inbox: &Rc<Inbox>) -> Result<SendRequest<Bytes>, BoxError> {
    let socket = TcpStream::connect(client.address).await?;
    socket.set_nodelay(true)?;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let (requests, connection) = builder.handshake(socket).await?;
    watch(inbox, async { Ok(connection.await?) });
    Ok(requests.ready().await?)
}

async fn subscribe(
    client: &Client,
    connection: &mut SendRequest<Bytes>,
) -> Result<RecvStream, BoxError> {
    let mut request = http::Request::get(client.url()).header("accept", "text/event-stream");
    for (name, value) in client.headers() {
        request = request.header(name, value);
    }
    *connection = connection.clone().ready().await?;
    let (response, _) = connection.send_request(request.body(())?, true)?;
    let response = timeout(PATIENCE, response).await??;
    if response.status() != http::StatusCode::OK {
        return Err(format!("no stream: {}", response.status()).into());
    }
    Ok(response.into_body())
}

async fn receive(
    subscriber: usize,
    mut body: RecvStream,
    inbox: Rc<Inbox>,
) -> Result<(), BoxError> {
    let mut scanner = Scanner::default();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        let now = Instant::now();
        body.flow_control().release_capacity(chunk.len())?;
        inbox.received.set(inbox.received.get() + chunk.len() as u64);
        scanner.scan(&chunk, |seq| {
            inbox.seen.borrow_mut().push((subscriber, seq, now));
            Ok(())
        })?;
        inbox.notify.notify_one();
    }
    Err(format!("the stream of subscriber {subscriber} ended").into())
}

async fn read_answers(mut answers: OwnedReadHalf) -> Result<(), BoxError> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match answers.read(&mut buffer).await? {
            0 => return Err("the server closed the publisher's connection".into()),
            read => refused(&buffer[..read])?,
        }
    }
}

impl Inbox {
    /// Takes the messages that arrive within `patience`, and returns whether there were any.
    async fn turn(&self, patience: Duration, tally: &mut Tally) -> Result<bool, BoxError> {
        let came = timeout(patience, self.notify.notified()).await.is_ok();
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        for (subscriber, seq, at) in self.seen.borrow_mut().drain(..) {
            tally.see(subscriber, seq, at)?;
        }
        Ok(came)
    }
}

impl Load for Http2 {
    fn run(&mut self, tally: &mut Tally) -> Result<(), BoxError> {
        let Self { runtime, tasks, client, publisher, inbox, .. } = self;
        tasks.block_on(runtime, async {
            while !tally.is_done() {
                while let Some(seq) = tally.next() {
                    let request = client.publish(seq);
                    tally.publish();
                    publisher.write_all(request.as_bytes()).await?;
                }
                if !inbox.turn(PATIENCE, tally).await? {
                    return Err(tally.missing());
                }
            }
            Ok(())
        })
    }

    fn settle(&mut self, tally: &mut Tally) -> Result<(), BoxError> {
        let Self { runtime, tasks, inbox, .. } = self;
        let patience = Duration::from_millis(20);
        tasks.block_on(runtime, async {
            while inbox.turn(patience, tally).await? {}
            Ok(())
        })
    }

    fn received(&self) -> u64 {
        self.inbox.received.get()
    }

    fn idle(&self) -> Duration {
        // This generator sleeps while it waits.
        Duration::ZERO
    }
}
