//! No wake-up is lost, in any interleaving of the program's threads.
//!
//! Only its waker tells a waiting reader that there is an event, and the reader checks the head without
//! the lock. Loom runs each model in all orders of its locks and atomics.

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

    /// Moves the reader to another task.
    fn move_on(&mut self) {
        self.task = Arc::default();
    }

    /// Reads all events. Then it waits, unless the thread was erased.
    fn read(&mut self) {
        self.task.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.task));
        let mut cx = Context::from_waker(&waker);
        while let Poll::Ready(item) = Pin::new(&mut self.reader).poll_next(&mut cx) {
            match item.unwrap() {
                Ok(LogItem::Event(event)) => self.seqs.push(event.cursor().unwrap().seq()),
                Err(LogError::Erased) => return self.erased = true,
                other => panic!("unexpected item: {other:?}"),
            }
        }
    }

    /// Polls the task again only if it was woken, as an executor does.
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
fn an_event_wakes_the_task_that_polled_last() {
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
fn a_dropped_reader_does_not_take_the_wake_up_of_another() {
    model(|log| {
        let (mut leaves, mut stays) = (Reading::of(&log), Reading::of(&log));
        leaves.read();
        // After the first event, the reader that stays may get the place that the other reader had.
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
fn an_event_published_during_an_erasure_is_erased_or_belongs_to_the_new_epoch() {
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
