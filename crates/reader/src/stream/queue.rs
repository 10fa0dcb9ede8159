//! From the thread that reads to the loop: bounded in bytes, which a channel of messages is not.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::stats::Skipped;
use crate::{Result, Sample};

/// Bytes and samples after which a batch is handed over, where the stream does not wait before.
const BATCH: (usize, usize) = (1 << 20, 256);

/// Samples that were read together, and what happened on the way.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) samples: Vec<Result<Sample>>,
    pub(super) skipped: Vec<Skipped>,
    /// Positions whose own sample was damaged, skipped or not.
    pub(super) lost: Vec<u64>,
    /// Shards of the plan that began, by their numbers.
    pub(super) shards: Vec<u32>,
    /// Bytes of the stream that were read since the batch before.
    pub(super) read: u64,
    /// Memory that the samples take.
    weight: usize,
}

/// Batches that wait for the loop.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// For the thread: there is room, or nobody wants more.
    room: Condvar,
    /// For the loop: there is a batch, or the end.
    ready: Condvar,
    budget: usize,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Batch>,
    weight: usize,
    /// Nothing will follow.
    ended: bool,
    /// Nobody takes any more.
    closed: bool,
}

impl Queue {
    /// A queue of at most `budget` bytes, or of one batch.
    pub(super) fn new(budget: usize) -> Self {
        Self { state: Mutex::default(), room: Condvar::new(), ready: Condvar::new(), budget }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room. What nobody wants is dropped.
    fn push(&self, batch: Batch) {
        let fits = |state: &State| {
            state.closed || state.weight == 0 || state.weight + batch.weight <= self.budget
        };
        let mut state = self.state();
        while !fits(&state) {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return;
        }
        state.weight += batch.weight;
        state.batches.push_back(batch);
        self.ready.notify_one();
    }

    /// The next batch; none at the end.
    pub(super) fn pop(&self) -> Option<Batch> {
        let mut state = self.state();
        loop {
            if let Some(batch) = state.batches.pop_front() {
                state.weight -= batch.weight;
                self.room.notify_one();
                return Some(batch);
            }
            if state.ended || state.closed {
                return None;
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that nothing follows.
    fn end(&self) {
        self.state().ended = true;
        self.ready.notify_one();
    }

    /// Says that nobody takes any more.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.batches.clear();
        self.room.notify_one();
    }
}

/// The thread's end: fills a batch and hands it over when it is large enough, or before the stream
/// is waited for.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: Arc<Queue>,
    /// Locked by the one thread alone; a lock all the same, because readers of streams must be
    /// `Send`.
    batch: Mutex<Batch>,
    /// Hands over before every read: the stream does not say when it waits.
    eager: bool,
}

impl Outbox {
    pub(super) fn new(queue: Arc<Queue>, eager: bool) -> Self {
        Self { queue, batch: Mutex::default(), eager }
    }

    fn batch(&self) -> MutexGuard<'_, Batch> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, sample: Result<Sample>, weight: usize) {
        let mut batch = self.batch();
        batch.samples.push(sample);
        batch.weight = batch.weight.saturating_add(weight);
        if batch.weight >= BATCH.0 || batch.samples.len() >= BATCH.1 {
            let batch = std::mem::take(&mut *batch);
            self.queue.push(batch);
        }
    }

    pub(super) fn lost(&self, position: u64) {
        self.batch().lost.push(position);
    }

    /// Notes a shard, before any of its samples.
    pub(super) fn begins(&self, shard: u32) {
        self.batch().shards.push(shard);
    }

    pub(super) fn skipped(&self, skipped: Skipped) {
        self.batch().skipped.push(skipped);
    }

    /// Notes bytes that were read.
    pub(super) fn read(&self, bytes: usize) {
        self.batch().read += bytes as u64;
    }

    /// Hands over what there is, if the read that follows may wait unheard.
    pub(super) fn before_read(&self) {
        if self.eager {
            self.flush();
        }
    }

    /// Hands over the samples that there are.
    pub(super) fn flush(&self) {
        let mut batch = self.batch();
        if !batch.samples.is_empty() {
            let batch = std::mem::take(&mut *batch);
            self.queue.push(batch);
        }
    }

    /// Hands over all that there is: nothing follows.
    pub(super) fn end(&self) {
        let batch = std::mem::take(&mut *self.batch());
        self.queue.push(batch);
        self.queue.end();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn batch(weight: usize) -> Batch {
        Batch { weight, ..Batch::default() }
    }

    #[test]
    fn what_waits_is_within_the_budget_or_one_batch() {
        let queue = Arc::new(Queue::new(10));
        let weights = [4, 4, 4, 25, 1, 0, 10, 9, 2];
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                weights.into_iter().for_each(|weight| queue.push(batch(weight)));
                queue.end();
            })
        };
        let mut seen = Vec::new();
        loop {
            {
                let state = queue.state();
                assert!(state.weight <= 10 || state.batches.len() == 1, "{}", state.weight);
            }
            let Some(batch) = queue.pop() else { break };
            seen.push(batch.weight);
        }
        assert_eq!(seen, weights);
        producer.join().unwrap();
    }

    #[test]
    fn one_who_waits_for_room_is_let_go_when_nobody_wants_more() {
        let queue = Arc::new(Queue::new(1));
        queue.push(batch(1));
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.push(batch(1)))
        };
        queue.close();
        producer.join().unwrap();
        assert!(queue.pop().is_none());
    }
}
