//! How long a shard waits for more events, so that small ones leave in one write.
//! Knows nothing of what the events are.
//!
//! Without a wait, events are joined all the same where they come faster than they can be
//! written: what comes during a pass over the sockets leaves with the next one. A wait makes
//! fewer and larger writes of what comes slowly, and each event later by up to the wait.

use std::time::{Duration, Instant};

use crate::limits::PASS_EVENTS_MAX;

/// Says when waiting events leave.
#[derive(Debug)]
pub struct Coalesce {
    wait: Duration,
    /// When those that wait leave.
    due: Option<Instant>,
}

impl Coalesce {
    /// An event waits so long for others at the most.
    #[must_use]
    pub fn new(wait: Duration) -> Self {
        Self { wait, due: None }
    }

    /// Whether `waiting` events leave now: the first of them has waited long enough, or they fill
    /// a pass. Has to be asked whenever events may have come.
    pub fn is_due(&mut self, waiting: u64, now: Instant) -> bool {
        if waiting == 0 {
            // Those that waited filled their pass to the last, or are gone.
            self.due = None;
            return false;
        }
        let due = *self.due.get_or_insert(now + self.wait);
        let full = waiting >= PASS_EVENTS_MAX as u64;
        if full {
            self.due = Some(now);
        }
        full || due <= now
    }

    /// All that waited has left.
    pub fn handle_drained(&mut self) {
        self.due = None;
    }

    /// When to ask again, if nothing comes before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(5);

    #[expect(clippy::disallowed_methods, reason = "any start will do; then time is told")]
    fn any_time() -> Instant {
        Instant::now()
    }

    #[test]
    fn without_a_wait_events_leave_at_once() {
        let now = any_time();
        let mut coalesce = Coalesce::new(Duration::ZERO);
        assert!(!coalesce.is_due(0, now));
        assert!(coalesce.is_due(1, now));
        coalesce.handle_drained();
        assert_eq!(coalesce.poll_timeout(), None);
    }

    #[test]
    fn the_first_event_of_those_that_wait_decides() {
        let start = any_time();
        let mut coalesce = Coalesce::new(WAIT);
        assert!(!coalesce.is_due(1, start));
        assert_eq!(coalesce.poll_timeout(), Some(start + WAIT));
        assert!(!coalesce.is_due(9, start + WAIT / 2));
        assert!(coalesce.is_due(10, start + WAIT));
        coalesce.handle_drained();
        assert!(!coalesce.is_due(1, start + WAIT), "a new wait begins");
        assert_eq!(coalesce.poll_timeout(), Some(start + WAIT * 2));
    }

    #[test]
    fn a_full_pass_leaves_early_and_takes_the_rest_along() {
        let now = any_time();
        let mut coalesce = Coalesce::new(WAIT);
        assert!(!coalesce.is_due(63, now));
        assert!(coalesce.is_due(70, now));
        assert!(coalesce.is_due(6, now), "they waited with the others");
        coalesce.handle_drained();
        assert!(!coalesce.is_due(1, now));
    }

    #[test]
    fn nothing_is_due_behind_a_pass_that_was_filled_to_the_last() {
        let now = any_time();
        let mut coalesce = Coalesce::new(WAIT);
        assert!(coalesce.is_due(PASS_EVENTS_MAX as u64, now));
        assert!(!coalesce.is_due(0, now), "all of them have left");
        assert_eq!(coalesce.poll_timeout(), None);
    }
}
