//! A seeded shuffle of what passes: SPEC.md of the plan has its numbers.

use crate::plan::random::{Use, below, key, nth};

/// Holds up to so many things; of one more, any of them goes out.
#[derive(Debug)]
pub(super) struct Window<T> {
    held: Vec<(T, usize)>,
    bytes: usize,
    room: Room,
    key: u64,
    drawn: u64,
}

/// How much a window holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Things; with none, everything goes out at once and in order.
    pub(super) most: usize,
    /// Bytes; one thing is held whatever its size.
    pub(super) bytes: usize,
}

impl<T> Window<T> {
    pub(super) fn new(room: Room, seed: u64, epoch: u64, rank: u64) -> Self {
        let key = key([seed, epoch, Use::Stream as u64, rank]);
        Self { held: Vec::new(), bytes: 0, room, key, drawn: 0 }
    }

    pub(super) fn push(&mut self, thing: T, bytes: usize) {
        self.held.push((thing, bytes));
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// What goes out; at the end of the stream everything does.
    pub(super) fn pop(&mut self, at_end: bool) -> Option<T> {
        let len = self.held.len();
        let full = len > self.room.most || (self.bytes > self.room.bytes && len > 1);
        if len == 0 || !(full || at_end) {
            return None;
        }
        let place = below(nth(self.key, self.drawn), len as u64) as usize;
        self.drawn += 1;
        let (thing, bytes) = self.held.swap_remove(place);
        self.bytes -= bytes.min(self.bytes);
        Some(thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(room: Room, seed: u64, things: usize) -> (Vec<usize>, usize) {
        let mut window = Window::new(room, seed, 0, 0);
        let (mut out, mut most) = (Vec::new(), 0);
        for thing in 0..things {
            window.push(thing, 10);
            out.extend(std::iter::from_fn(|| window.pop(false)));
            most = most.max(window.held.len());
        }
        out.extend(std::iter::from_fn(|| window.pop(true)));
        (out, most)
    }

    proptest! {
        #[test]
        fn everything_goes_out_once_and_memory_is_bounded(most in 0usize..20, bytes in 0usize..200, seed: u64, things in 0usize..100) {
            let room = Room { most, bytes };
            let (mut out, held) = run(room, seed, things);
            prop_assert!(held <= most && held <= (bytes / 10).max(1));
            prop_assert_eq!(&run(room, seed, things).0, &out);
            out.sort_unstable();
            prop_assert_eq!(out, (0..things).collect::<Vec<_>>());
        }
    }

    #[test]
    fn without_room_the_order_stays_and_with_it_another_seed_is_another_order() {
        let order: Vec<_> = (0..50).collect();
        assert_eq!(run(Room { most: 0, bytes: 1 << 20 }, 7, 50).0, order);
        let room = Room { most: 16, bytes: 1 << 20 };
        assert_ne!(run(room, 7, 50).0, order);
        assert_ne!(run(room, 7, 50).0, run(room, 8, 50).0);
    }
}
