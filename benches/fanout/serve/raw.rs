//! The lower limits: tokio's sockets, and one write of bytes that are framed once for each subscriber and event.
//! These servers use no HTTP library and read no token.

use crate::envelope::Event;
use bytes::Bytes;
use memchr::memmem;
use std::{cell::RefCell, collections::VecDeque, io, rc::Rc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::broadcast::{Sender, channel},
    task::{LocalSet, spawn_local},
};
use tower_tenancy::BoxError;

const OPEN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                      cache-control: no-store\r\n\r\n";
const TAKEN: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// Which task writes to the subscribers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writers {
    /// The task of the publisher writes to one subscriber after the other. No server can do less.
    One,
    /// Each subscriber has a task, which a broadcast channel wakes. No server with a tokio task for each subscriber
    /// can do less.
    Each,
}

struct Server {
    writers: Writers,
    subscribers: RefCell<Vec<Rc<Subscriber>>>,
    sender: Sender<Bytes>,
    seq: RefCell<u64>,
}

struct Subscriber {
    socket: OwnedWriteHalf,
    /// Bytes that are not written to the socket yet. If there are any, a task waits for the socket.
    backlog: RefCell<VecDeque<Bytes>>,
    /// Whether the client has disconnected.
    gone: RefCell<bool>,
}

impl Subscriber {
    fn send(self: &Rc<Self>, frame: &Bytes) {
        let waiting = !self.backlog.borrow().is_empty();
        let written = if waiting { Ok(0) } else { taken(self.socket.try_write(frame)) };
        match written {
            Ok(written) if written == frame.len() => {}
            Ok(written) => {
                self.backlog.borrow_mut().push_back(frame.slice(written..));
                if !waiting {
                    spawn_local(Rc::clone(self).drain());
                }
            }
            Err(_) => *self.gone.borrow_mut() = true,
        }
    }

    /// Writes the backlog as fast as the socket accepts it.
    async fn drain(self: Rc<Self>) {
        loop {
            let Some(mut frame) = self.backlog.borrow().front().cloned() else { return };
            let written = match self.socket.writable().await {
                Ok(()) => taken(self.socket.try_write(&frame)),
                Err(error) => Err(error),
            };
            let Ok(written) = written else {
                *self.gone.borrow_mut() = true;
                return;
            };
            let mut backlog = self.backlog.borrow_mut();
            if written == frame.len() {
                backlog.pop_front();
            } else if let Some(first) = backlog.front_mut() {
                *first = frame.split_off(written);
            }
        }
    }
}

/// Returns the number of bytes written. A full socket accepts none.
fn taken(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

impl Server {
    fn publish(&self, text: &str) {
        let seq = *self.seq.borrow() + 1;
        self.seq.replace(seq);
        let frame = Event::new(seq, text.to_owned()).to_frame();
        if self.writers == Writers::Each {
            // It fails if there is no subscriber.
            let _ = self.sender.send(frame);
            return;
        }
        let mut subscribers = self.subscribers.borrow_mut();
        for subscriber in &*subscribers {
            subscriber.send(&frame);
        }
        subscribers.retain(|subscriber| !*subscriber.gone.borrow());
    }

    /// Serves one connection: either a subscriber, or the requests of a publisher, one after the other.
    async fn serve(self: Rc<Self>, socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let (mut from, mut to) = socket.into_split();
        let mut received = Vec::new();
        loop {
            let Some(end) = memmem::find(&received, b"\r\n\r\n") else {
                if from.read_buf(&mut received).await? == 0 {
                    return Ok(());
                }
                continue;
            };
            if received.starts_with(b"GET ") {
                to.write_all(OPEN).await?;
                return self.subscribe(from, to).await;
            }
            let end = end + 4;
            let whole = end + body_length(received.get(..end).unwrap_or_default())?;
            while received.len() < whole {
                if from.read_buf(&mut received).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            let rest = received.split_off(whole);
            let text = received.split_off(end);
            received = rest;
            let text = String::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData)?;
            self.publish(&text);
            to.write_all(TAKEN).await?;
        }
    }

    /// Keeps a subscriber until its client disconnects.
    async fn subscribe(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
        if self.writers == Writers::Each {
            let mut frames = self.sender.subscribe();
            while let Ok(frame) = frames.recv().await {
                to.write_all(&frame).await?;
            }
            return Ok(());
        }
        let backlog = RefCell::default();
        let subscriber = Rc::new(Subscriber { socket: to, backlog, gone: RefCell::new(false) });
        self.subscribers.borrow_mut().push(Rc::clone(&subscriber));
        let end = from.read_u8().await;
        subscriber.gone.replace(true);
        end.map(drop)
    }
}

fn body_length(head: &[u8]) -> io::Result<usize> {
    let head = std::str::from_utf8(head).map_err(|_| io::ErrorKind::InvalidData)?;
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let length = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.filter_map(|(_, value)| value.trim().parse().ok()).next();
    length.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

pub(crate) async fn run(listener: TcpListener, writers: Writers) -> Result<(), BoxError> {
    let server = Rc::new(Server {
        writers,
        subscribers: RefCell::default(),
        sender: channel(1024).0,
        seq: RefCell::default(),
    });
    let accept = async {
        loop {
            let (socket, _) = listener.accept().await?;
            let server = Rc::clone(&server);
            spawn_local(async move {
                // It fails if the client disconnects.
                let _ = server.serve(socket).await;
            });
        }
    };
    LocalSet::new().run_until(accept).await
}
