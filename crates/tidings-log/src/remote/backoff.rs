//! How long to wait before a connection is tried again: longer each time, and never all at once.
//! Knows nothing of connections.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Pauses that double up to a bound, each shortened by up to a half by chance, so that nodes which
/// lost the same server don't come back in the same moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    random: RandomState,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        // The standard library seeds it anew for each, which is all the chance that is needed.
        Self { first, longest, next: first, random: RandomState::new() }
    }

    /// The next pause.
    pub(crate) fn next(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.longest);
        let share = self.random.hash_one(whole) % 1024;
        self.random = RandomState::new();
        whole.mul_f64(1.0 - share as f64 / 2048.0)
    }

    /// It worked: the next pause is the first one again.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_begin_anew() {
        let (first, longest) = (Duration::from_millis(50), Duration::from_secs(2));
        let mut backoff = Backoff::new(first, longest);
        let mut whole = first;
        for _ in 0..20 {
            let pause = backoff.next();
            assert!(pause > whole / 2 && pause <= whole, "{pause:?} of {whole:?}");
            whole = (whole * 2).min(longest);
        }
        backoff.reset();
        assert!(backoff.next() <= first);
    }
}
