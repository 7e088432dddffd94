//! Subscribers over HTTP/1.1: one thread, one buffer, one read for each wake-up.
//!
//! The generator never sleeps during a run. If a client sleeps on the same machine, the server also pays for waking
//! it. A server that is fast enough to keep the client busy does not pay, and would look better than it is. With
//! clients on other machines, no server pays for this.

use super::{Client, Load, PATIENCE, marker::Scanner, refused, tally::Tally};
use memchr::memmem;
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    time::{Duration, Instant},
};
use tower_tenancy::BoxError;

/// The number of connections that are opened at the same time: fewer than the backlog of a server.
const BATCH: usize = 256;
pub(crate) struct Http1 {
    poll: Poll,
    subscribers: Vec<Subscriber>,
    publisher: Publisher,
    buffer: Vec<u8>,
    received: u64,
    idle: Duration,
}

struct Subscriber {
    socket: TcpStream,
    scanner: Scanner,
}

struct Publisher {
    client: Client,
    socket: TcpStream,
    /// Requests that are not written to the socket yet.
    unsent: Vec<u8>,
}

const PUBLISHER: Token = Token(usize::MAX - 1);

impl Http1 {
    /// Connects all subscribers, and returns when each has the head of its response.
    pub(crate) fn open(client: Client, subscribers: usize) -> Result<Self, BoxError> {
        let poll = Poll::new()?;
        let mut open = Vec::with_capacity(subscribers);
        let mut buffer = vec![0; 256 * 1024];
        let request = client.subscribe();
        while open.len() < subscribers {
            let mut batch = Vec::new();
            for _ in 0..BATCH.min(subscribers - open.len()) {
                let mut socket = std::net::TcpStream::connect(client.address)?;
                socket.set_nodelay(true)?;
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.write_all(request.as_bytes())?;
                batch.push(socket);
            }
            for mut socket in batch {
                read_head(&mut socket, &mut buffer)?;
                socket.set_nonblocking(true)?;
                let mut socket = TcpStream::from_std(socket);
                poll.registry().register(&mut socket, Token(open.len()), Interest::READABLE)?;
                open.push(Subscriber { socket, scanner: Scanner::default() });
            }
        }
        let socket = std::net::TcpStream::connect(client.address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut socket, PUBLISHER, both)?;
        let publisher = Publisher { client, socket, unsent: Vec::new() };
        Ok(Self { poll, subscribers: open, publisher, buffer, received: 0, idle: Duration::ZERO })
    }
}

/// Reads up to the end of the head. The status must be 200.
fn read_head(socket: &mut std::net::TcpStream, buffer: &mut [u8]) -> Result<(), BoxError> {
    let mut length = 0;
    while memmem::find(&buffer[..length], b"\r\n\r\n").is_none() {
        let read = socket.read(&mut buffer[length..])?;
        if read == 0 {
            return Err("the server closed a stream before it opened".into());
        }
        length += read;
    }
    let head = &buffer[..length];
    if !head.starts_with(b"HTTP/1.1 200 ") {
        return Err(format!("no stream: {}", String::from_utf8_lossy(head)).into());
    }
    Ok(())
}

impl Publisher {
    /// Publishes as many events as the window allows.
    fn publish(&mut self, tally: &mut Tally) -> io::Result<()> {
        while let Some(seq) = tally.next() {
            self.unsent.extend_from_slice(self.client.publish(seq).as_bytes());
            tally.publish();
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads the answers.
    fn answers(&mut self, buffer: &mut [u8]) -> Result<(), BoxError> {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return Err("the server closed the publisher's connection".into()),
                Ok(read) => refused(&buffer[..read])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Subscriber {
    /// Reads the bytes that have arrived, and returns their number.
    fn read(
        &mut self,
        index: usize,
        buffer: &mut [u8],
        tally: &mut Tally,
    ) -> Result<u64, BoxError> {
        let mut received = 0;
        loop {
            let read = match self.socket.read(buffer) {
                Ok(0) => return Err(format!("the stream of subscriber {index} ended").into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(received),
                Err(error) => return Err(error.into()),
            };
            received += read as u64;
            let now = Instant::now();
            self.scanner.scan(&buffer[..read], |seq| tally.see(index, seq, now))?;
            // A read that does not fill the buffer leaves nothing behind (epoll(7)): no second call is needed.
            if read < buffer.len() {
                return Ok(received);
            }
        }
    }
}

impl Http1 {
    /// Reads the bytes that arrive within `patience`, and returns whether there were any.
    fn turn(
        &mut self,
        events: &mut Events,
        patience: Duration,
        tally: &mut Tally,
    ) -> Result<bool, BoxError> {
        let start = Instant::now();
        loop {
            match self.poll.poll(events, Some(Duration::ZERO)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => other?,
            }
            let waited = start.elapsed();
            if !events.is_empty() || waited > patience {
                self.idle += waited;
                break;
            }
        }
        for event in &*events {
            if event.token() == PUBLISHER {
                self.publisher.flush()?;
                self.publisher.answers(&mut self.buffer)?;
            } else {
                let Token(index) = event.token();
                let subscriber = &mut self.subscribers[index];
                self.received += subscriber.read(index, &mut self.buffer, tally)?;
                self.publisher.publish(tally)?;
            }
        }
        Ok(!events.is_empty())
    }
}

impl Load for Http1 {
    fn run(&mut self, tally: &mut Tally) -> Result<(), BoxError> {
        let mut events = Events::with_capacity(1024);
        self.publisher.publish(tally)?;
        while !tally.is_done() {
            if !self.turn(&mut events, PATIENCE, tally)? {
                return Err(tally.missing());
            }
        }
        Ok(())
    }

    fn settle(&mut self, tally: &mut Tally) -> Result<(), BoxError> {
        let mut events = Events::with_capacity(1024);
        while self.turn(&mut events, Duration::from_millis(20), tally)? {}
        Ok(())
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn idle(&self) -> Duration {
        self.idle
    }
}
