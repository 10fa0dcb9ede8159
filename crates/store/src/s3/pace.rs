//! How fast requests go out: as many at a time as S3 bears, as many a second as was allowed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests under way: half as many each time S3 asks to slow down, one more for each round of
/// answers. What TCP does, for the same reason: nobody tells the rate, and it changes.
#[derive(Debug)]
pub(super) struct Pace {
    turns: Semaphore,
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    /// Turns that are to end without another one starting.
    debt: usize,
    /// Answers since the limit last grew.
    answers: usize,
    cut: Option<Instant>,
}

/// Requests that were under way when S3 first complained complain too: one cut for all.
const ONE_CUT: Duration = Duration::from_secs(1);

impl Pace {
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        let state = State { limit: most, debt: 0, answers: 0, cut: None };
        Self { turns: Semaphore::new(most), most, state: Mutex::new(state) }
    }

    /// Waits for a turn.
    pub(super) async fn enter(&self) -> Turn<'_> {
        // The semaphore is never closed.
        Turn { pace: self, permit: self.turns.acquire().await.ok() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self) {
        let mut state = self.state();
        state.answers += 1;
        if state.answers < state.limit || state.limit == self.most {
            return;
        }
        state.answers = 0;
        state.limit += 1;
        match state.debt {
            0 => self.turns.add_permits(1),
            _ => state.debt -= 1,
        }
    }

    fn throttled(&self, now: Instant) {
        let mut state = self.state();
        if state.cut.is_some_and(|cut| now.duration_since(cut) < ONE_CUT) {
            return;
        }
        let half = (state.limit / 2).max(1);
        state.debt += state.limit - half;
        (state.limit, state.answers, state.cut) = (half, 0, Some(now));
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pace: &'a Pace,
    permit: Option<SemaphorePermit<'a>>,
}

impl Turn<'_> {
    /// It was answered.
    pub(super) fn answered(self) {
        self.pace.answered();
    }

    /// It was asked to slow down.
    pub(super) fn throttled(self) {
        self.pace.throttled(Instant::now());
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.pace.state();
        if state.debt > 0
            && let Some(permit) = self.permit.take()
        {
            state.debt -= 1;
            permit.forget();
        }
    }
}

/// So many units a second, none saved up while idle.
#[derive(Debug)]
pub(super) struct Rate {
    unit: Option<f64>, // seconds
    next: Mutex<Option<Instant>>,
}

impl Rate {
    /// `per_second` units; no limit without.
    pub(super) fn new(per_second: Option<f64>) -> Self {
        let unit = per_second.filter(|rate| *rate > 0.0).map(|rate| 1.0 / rate);
        Self { unit, next: Mutex::new(None) }
    }

    /// Waits until `units` may go.
    pub(super) async fn take(&self, units: u64) {
        let wait = self.reserve(units, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    fn reserve(&self, units: u64, now: Instant) -> Duration {
        let Some(unit) = self.unit else { return Duration::ZERO };
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let start = next.map_or(now, |next| next.max(now));
        *next = Some(start + Duration::from_secs_f64(unit * units as f64));
        start - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(pace: &Pace) -> usize {
        pace.turns.available_permits()
    }

    /// Limit and debt.
    fn state(pace: &Pace) -> (usize, usize) {
        let state = pace.state();
        (state.limit, state.debt)
    }

    #[test]
    fn a_complaint_halves_and_answers_restore() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let pace = Pace::new(8);
            let turns = [pace.enter().await, pace.enter().await, pace.enter().await];
            assert_eq!(free(&pace), 5);
            let now = Instant::now();
            pace.throttled(now);
            pace.throttled(now + ONE_CUT / 2); // the same burst
            assert_eq!(state(&pace), (4, 4));
            drop(turns);
            assert_eq!((free(&pace), state(&pace).1), (5, 1), "three turns did not come back");
            pace.enter().await.answered();
            assert_eq!((free(&pace), state(&pace).1), (4, 0));
            for _ in 0..100 {
                pace.enter().await.answered();
            }
            assert_eq!((free(&pace), state(&pace).0), (8, 8), "never more than at the start");
            for i in 1..10 {
                pace.throttled(now + ONE_CUT * 2 * i);
            }
            assert_eq!(state(&pace).0, 1, "never none");
        });
    }

    #[test]
    fn rates_spread_units_over_time() {
        let now = Instant::now();
        let rate = Rate::new(Some(10.0));
        let waits: Vec<_> =
            [1, 5, 1].into_iter().map(|n| rate.reserve(n, now).as_millis()).collect();
        assert_eq!(waits, [0, 100, 600]);
        let later = now + Duration::from_secs(5);
        assert_eq!(rate.reserve(1, later), Duration::ZERO, "idle time is not saved up");
        assert_eq!(rate.reserve(1, later).as_millis(), 100);
        assert_eq!(Rate::new(None).reserve(u64::MAX, now), Duration::ZERO);
    }
}
