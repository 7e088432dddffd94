//! No wake-up is lost, in whatever order threads of the processor come to the log.
//!
//! A reader that waits is told by its waker and by nothing else, and it looks at the head without the
//! lock. Loom runs each model through all orders of its locks and atomics.

use super::super::{MemoryLog, MemoryReader};
use crate::{
    event::{EventType, NewEvent, StreamEvent},
    log::{LogError, LogItem},
    testing::fixtures::routing,
};
use futures_core::Stream as _;
use loom::thread;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// A task that remembers whether it was woken since it was last polled.
#[derive(Default)]
struct Task(AtomicBool);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A reader, and the task that it runs in.
struct Reading {
    reader: MemoryReader,
    task: Arc<Task>,
    seqs: Vec<u64>,
    erased: bool,
}

impl Reading {
    fn of(log: &MemoryLog) -> Self {
        let (_, reader) = log.open_now(routing("t_a", "th").key()).unwrap();
        Self { reader, task: Arc::default(), seqs: Vec::new(), erased: false }
    }

    /// Goes on in another task.
    fn move_on(&mut self) {
        self.task = Arc::default();
    }

    /// Reads all there is. Then it waits, unless the thread was erased.
    fn read(&mut self) {
        self.task.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.task));
        let mut cx = Context::from_waker(&waker);
        while let Poll::Ready(item) = Pin::new(&mut self.reader).poll_next(&mut cx) {
            match item.unwrap() {
                Ok(LogItem::Event(event)) => self.seqs.push(event.cursor().unwrap().seq()),
                Err(LogError::Erased) => return self.erased = true,
                other => panic!("nothing else happens here: {other:?}"),
            }
        }
    }

    /// As an executor does: polls the task again if it was woken, and only then.
    fn finish(&mut self) -> &[u64] {
        while !self.erased && self.task.0.load(Ordering::SeqCst) {
            self.read();
        }
        &self.seqs
    }
}

fn publish(log: &MemoryLog) -> StreamEvent {
    let event_type = EventType::new("x").unwrap();
    let event = NewEvent::new(routing("t_a", "th"), event_type, "y", None).unwrap();
    log.append_now(event).unwrap()
}

fn model(run: impl Fn(MemoryLog) + Send + Sync + 'static) {
    loom::model(move || run(MemoryLog::new()));
}

#[test]
fn a_reader_that_waits_is_woken_by_the_next_event() {
    model(|log| {
        let mut reading = Reading::of(&log);
        let publisher = thread::spawn(move || _ = publish(&log));
        reading.read();
        publisher.join().unwrap();
        assert_eq!(reading.finish(), [1]);
    });
}

#[test]
fn a_reader_that_reads_while_others_publish_misses_nothing() {
    model(|log| {
        let mut reading = Reading::of(&log);
        let publishers = [log.clone(), log].map(|log| thread::spawn(move || _ = publish(&log)));
        reading.read();
        publishers.map(|publisher| publisher.join().unwrap());
        assert_eq!(reading.finish(), [1, 2]);
    });
}

#[test]
fn the_task_that_polled_last_is_the_one_that_is_woken() {
    model(|log| {
        let mut reading = Reading::of(&log);
        let publisher = thread::spawn(move || _ = publish(&log));
        reading.read();
        reading.move_on();
        reading.read();
        publisher.join().unwrap();
        assert_eq!(reading.finish(), [1]);
    });
}

#[test]
fn a_reader_that_leaves_takes_no_wake_up_with_it() {
    model(|log| {
        let (mut leaves, mut stays) = (Reading::of(&log), Reading::of(&log));
        leaves.read();
        // Behind the second event, the one that stays may have the place that the other had.
        let publisher = thread::spawn(move || [publish(&log), publish(&log)].map(drop));
        let leaver = thread::spawn(move || drop(leaves.reader));
        stays.read();
        publisher.join().unwrap();
        leaver.join().unwrap();
        assert_eq!(stays.finish(), [1, 2]);
    });
}

#[test]
fn a_reader_that_waits_is_woken_when_its_thread_is_erased() {
    model(|log| {
        let mut reading = Reading::of(&log);
        let eraser = thread::spawn(move || log.erase_thread_now(routing("t_a", "th").key()));
        reading.read();
        eraser.join().unwrap();
        reading.finish();
        assert!(reading.erased);
    });
}

#[test]
fn what_is_published_while_its_thread_is_erased_is_erased_or_begins_anew() {
    model(|log| {
        let mut reading = Reading::of(&log);
        let publisher = {
            let log = log.clone();
            thread::spawn(move || publish(&log))
        };
        log.erase_thread_now(routing("t_a", "th").key());
        reading.read();
        let event = publisher.join().unwrap();
        reading.finish();
        assert!(reading.erased);
        let (extent, _) = log.open_now(routing("t_a", "th").key()).unwrap();
        let kept = extent.head().seq() == 1;
        assert_eq!(event.cursor().unwrap().epoch() == extent.epoch, kept);
    });
}
