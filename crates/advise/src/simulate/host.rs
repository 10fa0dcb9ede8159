//! One host: workers that ask, a link that they share, a consumer that takes from them in turn.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

use super::{HostRun, Model, skew};

/// A moment or an amount of service, ordered; events at the same moment go in the order in which
/// they came about, so that a run can be repeated.
#[derive(Clone, Copy, Debug)]
struct At<T> {
    at: f64,
    number: u64,
    what: T,
}

impl<T> Ord for At<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.total_cmp(&other.at).then(self.number.cmp(&other.number))
    }
}

impl<T> PartialOrd for At<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for At<T> {}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// The first byte of a request is about to come.
    Ready(Request),
    /// The consumer has taken what it had.
    Taken,
}

/// A request of a worker, by its number there.
#[derive(Clone, Copy, Debug)]
struct Request {
    worker: usize,
    number: u64,
    len: u64,
}

#[derive(Debug, Default)]
struct Worker {
    /// Lengths of the objects to read.
    objects: VecDeque<u64>,
    /// Bytes of the first of them that were asked for.
    offset: u64,
    /// Requests that were made, and that were taken by the consumer.
    asked: u64,
    taken: u64,
    /// Requests without an answer.
    in_flight: u64,
    /// Requests made and not taken, oldest first: their length, and whether the bytes are there.
    window: VecDeque<(u64, bool)>,
    /// When the consumer took its last bytes.
    done: f64,
}

impl Worker {
    fn is_done(&self) -> bool {
        self.objects.is_empty() && self.window.is_empty()
    }

    /// The length of the next request, if there is one left.
    fn next(&mut self, most: u64) -> Option<u64> {
        let object = *self.objects.front()?;
        let len = (object - self.offset).min(most);
        self.offset += len;
        if self.offset == object {
            self.objects.pop_front();
            self.offset = 0;
        }
        Some(len)
    }
}

pub(super) struct Host<'a> {
    model: &'a Model,
    workers: Vec<Worker>,
    now: f64,
    events: BinaryHeap<Reverse<At<Event>>>,
    numbers: u64,
    /// Requests whose bytes are coming, by the service at which they are through.
    link: BinaryHeap<Reverse<At<Request>>>,
    /// Bytes that a request got which was there from the start: all get the same.
    service: f64,
    /// The worker that the consumer takes from next.
    turn: usize,
    taking: bool,
    idle_since: f64,
    waited: f64,
    first: Option<f64>,
    bytes: u64,
    fetched: u64,
    requests: u64,
}

impl<'a> Host<'a> {
    pub(super) fn new(model: &'a Model, lens: &[u64]) -> Self {
        let count = usize::try_from(model.workers).unwrap_or(usize::MAX).min(lens.len());
        let mut workers: Vec<Worker> = Vec::new();
        workers.resize_with(count, Worker::default);
        for (len, turn) in lens.iter().zip((0..count).cycle()) {
            if let Some(worker) = workers.get_mut(turn) {
                worker.objects.push_back(*len);
            }
        }
        Self {
            model,
            workers,
            now: 0.0,
            events: BinaryHeap::new(),
            numbers: 0,
            link: BinaryHeap::new(),
            service: 0.0,
            turn: 0,
            taking: false,
            idle_since: 0.0,
            waited: 0.0,
            first: None,
            bytes: 0,
            fetched: 0,
            requests: 0,
        }
    }

    /// Plays from `start` to the end.
    pub(super) fn run(mut self, start: f64) -> HostRun {
        (self.now, self.idle_since) = (start, start);
        (0..self.workers.len()).for_each(|worker| self.ask(worker));
        while self.step() {}
        let length = self.now - start;
        HostRun {
            bytes: self.bytes,
            fetched: self.fetched,
            requests: self.requests,
            start,
            first_batch: self.first.unwrap_or(start),
            end: self.now,
            starved: if length > 0.0 { self.waited / length } else { 0.0 },
            worker_skew: skew(self.workers.iter().map(|worker| worker.done - start)),
        }
    }

    /// Goes to the next thing that happens; false when nothing is left.
    fn step(&mut self) -> bool {
        let event = self.events.peek().map(|Reverse(event)| event.at);
        let rate = self.rate();
        let through = self
            .link
            .peek()
            .map(|Reverse(request)| self.now + (request.at - self.service).max(0.0) / rate);
        match (event, through) {
            (None, None) => return false,
            (Some(event), through) if through.is_none_or(|through| event < through) => {
                self.pass(event, rate);
                if let Some(Reverse(At { what, .. })) = self.events.pop() {
                    match what {
                        Event::Ready(request) => self.transfer(request),
                        Event::Taken => self.taken(),
                    }
                }
            }
            (_, through) => {
                if let Some(Reverse(At { at, what, .. })) = self.link.pop() {
                    self.now = through.unwrap_or(self.now);
                    self.service = self.service.max(at);
                    self.arrive(what);
                }
            }
        }
        true
    }

    /// Bytes a second that each request gets whose bytes are coming.
    fn rate(&self) -> f64 {
        (self.model.bandwidth / self.link.len().max(1) as f64).min(self.model.stream)
    }

    fn pass(&mut self, to: f64, rate: f64) {
        if !self.link.is_empty() {
            self.service += (to - self.now) * rate;
        }
        self.now = to;
    }

    /// Makes as many requests as a worker may have.
    fn ask(&mut self, worker: usize) {
        let model = self.model;
        let ahead = (model.ahead / model.request).max(model.in_flight);
        let Some(state) = self.workers.get_mut(worker) else { return };
        while state.in_flight < model.in_flight
            && (state.window.len() as u64) < ahead
            && let Some(len) = state.next(model.request)
        {
            let request = Request { worker, number: state.asked, len };
            state.asked += 1;
            state.in_flight += 1;
            state.window.push_back((len, false));
            self.requests += 1;
            self.numbers += 1;
            let at = self.now + model.latency;
            self.events.push(Reverse(At { at, number: self.numbers, what: Event::Ready(request) }));
        }
    }

    fn transfer(&mut self, request: Request) {
        if self.rate() == f64::INFINITY {
            return self.arrive(request);
        }
        if self.link.is_empty() {
            self.service = 0.0; // small numbers are exact ones
        }
        self.numbers += 1;
        let at = self.service + request.len as f64;
        self.link.push(Reverse(At { at, number: self.numbers, what: request }));
    }

    fn arrive(&mut self, request: Request) {
        self.fetched += request.len;
        if let Some(worker) = self.workers.get_mut(request.worker) {
            worker.in_flight -= 1;
            let place = usize::try_from(request.number - worker.taken).ok();
            if let Some((_, there)) = place.and_then(|place| worker.window.get_mut(place)) {
                *there = true;
            }
        }
        self.ask(request.worker);
        self.take();
    }

    /// Lets the consumer take what the next worker has, if it is free and that is there.
    fn take(&mut self) {
        let all = self.workers.len();
        let mut turns = (0..all).map(|i| (self.turn + i) % all);
        let next = turns.find(|&turn| self.workers.get(turn).is_some_and(|w| !w.is_done()));
        let Some(turn) = next.filter(|_| !self.taking) else { return };
        let Some(worker) = self.workers.get(turn) else { return };
        let Some(&(len, true)) = worker.window.front() else { return };
        (self.turn, self.taking) = (turn, true);
        self.waited += self.now - self.idle_since;
        self.first.get_or_insert(self.now);
        self.numbers += 1;
        let at = self.now + len as f64 / self.model.consume;
        self.events.push(Reverse(At { at, number: self.numbers, what: Event::Taken }));
    }

    fn taken(&mut self) {
        (self.taking, self.idle_since) = (false, self.now);
        let turn = self.turn;
        if let Some(worker) = self.workers.get_mut(turn) {
            let (len, _) = worker.window.pop_front().unwrap_or_default();
            worker.taken += 1;
            worker.done = self.now;
            self.bytes += len;
        }
        self.turn = turn + 1;
        self.ask(turn);
        self.take();
    }
}
