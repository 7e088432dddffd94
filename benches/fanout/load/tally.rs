//! Checks that every subscriber has seen every event, in order and once.

use std::time::Instant;
use tower_tenancy::BoxError;

#[derive(Debug)]
pub(crate) struct Tally {
    window: usize,
    /// The number of events to publish in all.
    goal: usize,
    /// How many events each subscriber has seen.
    seen: Vec<usize>,
    /// When each event was published, and how many subscribers have not seen it yet.
    published: Vec<(Instant, usize)>,
    /// The last event that all subscribers have seen. Events are counted from 1.
    done: usize,
    latencies: Vec<u32>,
}

impl Tally {
    pub(crate) fn new(subscribers: usize, window: usize) -> Self {
        Self {
            window,
            goal: 0,
            seen: vec![0; subscribers],
            published: Vec::new(),
            done: 0,
            latencies: Vec::new(),
        }
    }

    /// Raises the goal by `events`.
    pub(crate) fn aim(&mut self, events: usize) {
        self.goal += events;
        // Reserve in advance: growing a list of millions takes long.
        self.latencies.reserve(events * self.seen.len());
    }

    /// The event to publish now, if the window allows one.
    pub(crate) fn next(&self) -> Option<usize> {
        let published = self.published.len();
        (published < self.goal && published - self.done < self.window).then_some(published + 1)
    }

    /// Records that the next event is published.
    pub(crate) fn publish(&mut self) {
        self.published.push((Instant::now(), self.seen.len()));
    }

    /// Records that a subscriber has seen an event. Fails if it is not the next one.
    pub(crate) fn see(
        &mut self,
        subscriber: usize,
        seq: usize,
        now: Instant,
    ) -> Result<(), BoxError> {
        let seen = &mut self.seen[subscriber];
        if seq != *seen + 1 {
            return Err(format!("subscriber {subscriber}: event {seq} follows event {seen}").into());
        }
        *seen = seq;
        let Some((at, left)) = self.published.get_mut(seq - 1) else {
            return Err(format!("subscriber {subscriber}: event {seq} was never published").into());
        };
        self.latencies.push(u32::try_from((now - *at).as_micros()).unwrap_or(u32::MAX));
        *left -= 1;
        if *left == 0 {
            self.done = seq;
        }
        Ok(())
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done == self.goal
    }

    /// The error for deliveries that did not arrive in time.
    pub(crate) fn missing(&self) -> BoxError {
        let published = self.published.len();
        let missing: usize = self.seen.iter().map(|seen| published - seen).sum();
        let behind = self.seen.iter().filter(|seen| **seen < published).count();
        format!(
            "{missing} deliveries to {behind} subscribers did not arrive; {published} events were published"
        )
        .into()
    }

    pub(crate) fn take_latencies(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.latencies)
    }
}

/// Checks that the tally detects missing, repeated and reordered events. Panics if it does not.
pub(crate) fn check() {
    let mut tally = Tally::new(1, 2);
    tally.aim(2);
    let published = std::iter::from_fn(|| tally.next().inspect(|_| tally.publish()));
    assert_eq!(published.collect::<Vec<_>>(), [1, 2], "as many as the window allows");
    let now = Instant::now();
    assert!(tally.see(0, 2, now).is_err(), "an event is missing");
    assert!(tally.see(0, 1, now).is_ok() && !tally.is_done());
    assert!(tally.see(0, 1, now).is_err(), "an event comes twice");
    assert!(tally.see(0, 2, now).is_ok() && tally.is_done());
    assert!(tally.see(0, 3, now).is_err(), "an event that was never published");
}
