//! How long subscribers may stay: who is to be told that its stream will end, and whose ends.
//! Knows nothing of sessions but their slots.
//!
//! What is due next of each stands in one ordered set: some 30 bytes a subscriber that has a life,
//! none for those without, and a subscriber that leaves takes its entry with it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::port::{EndReason, Life};
use crate::limits::CLOSING_TIME_MAX;
use crate::pages::Pages;

/// Fine enough to spread a crowd over a second, and coarse enough for years in 32 bits.
const TICK: Duration = Duration::from_millis(50);

/// After so many ticks, a client that could not take the word of its end is told again.
const REPEAT_TICKS: u32 = 20;

const CLOSING_TICKS: u32 = (CLOSING_TIME_MAX.as_millis() / TICK.as_millis()) as u32;

/// What ends later than this, ends then: in six years and nine months.
const LAST_TICK: u32 = u32::MAX - 2 * CLOSING_TICKS;

#[derive(Debug)]
pub(super) struct Lives {
    start: Instant,
    /// The ticks at which something is due, and for which slot: one entry for each life.
    due: BTreeSet<(u32, u32)>,
    spans: Pages<Span>,
}

/// Before `ends`, a renewal is due; at it, the end; later, it has ended and not left.
#[derive(Clone, Copy, Debug)]
struct Span {
    due: u32,
    ends: u32,
    reason: EndReason,
}

/// Something that has become due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Due {
    /// The client is to be told that its stream ends after so long.
    Renew { slot: u32, left: Duration },
    /// The stream ends.
    Ends { slot: u32, reason: EndReason },
    /// The stream was to end, and its client has not taken the rest of a frame.
    Overdue { slot: u32 },
}

impl Lives {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, due: BTreeSet::new(), spans: Pages::default() }
    }

    /// A slot is taken by somebody with this life.
    pub(super) fn start(&mut self, slot: u32, life: &Life) {
        let ends = self.tick(life.ends);
        let due = life.renew.map_or(ends, |renew| self.tick(renew).min(ends));
        self.spans.put(slot, Span { due, ends, reason: life.reason });
        self.due.insert((due, slot));
    }

    /// A slot is free again.
    pub(super) fn cancel(&mut self, slot: u32) {
        if let Some(span) = self.spans.take(slot) {
            self.due.remove(&(span.due, slot));
        }
    }

    /// Whoever has this slot ends at this time, if it does not end before.
    pub(super) fn end_by(&mut self, slot: u32, at: Instant, reason: EndReason) {
        let ends = self.tick(at);
        if self.spans.get(slot).is_none_or(|span| span.ends > ends) {
            self.cancel(slot);
            self.start(slot, &Life { renew: None, ends: at, reason });
        }
    }

    /// When [`Lives::expire`] has to be called, if anybody has a life.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let (due, _) = self.due.first()?;
        Some(self.start + TICK * *due)
    }

    /// Takes one thing that is due; the next one of the same slot is set.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Due> {
        let tick = self.tick(now);
        let (due, slot) = *self.due.first().filter(|(due, _)| *due <= tick)?;
        let Span { ends, reason, .. } = self.spans[slot];
        if due < ends {
            self.set(slot, ends);
            // What is left is told in whole seconds: not more of them than there are.
            let left = (self.start + TICK * ends).saturating_duration_since(now);
            return Some(Due::Renew { slot, left });
        }
        self.set(slot, tick + CLOSING_TICKS);
        Some(if due == ends { Due::Ends { slot, reason } } else { Due::Overdue { slot } })
    }

    /// The client of this slot could not take the word of its end: another attempt.
    pub(super) fn repeat(&mut self, slot: u32, now: Instant) {
        let due = self.tick(now) + REPEAT_TICKS;
        if let Some(span) = self.spans.get(slot) {
            self.set(slot, due.min(span.ends));
        }
    }

    /// How many slots have a life.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.due.len(), self.spans.len(), "each has one entry");
        self.due.len()
    }

    fn set(&mut self, slot: u32, due: u32) {
        let span = &mut self.spans[slot];
        self.due.remove(&(span.due, slot));
        span.due = due;
        self.due.insert((due, slot));
    }

    /// The tick that a moment belongs to. Nothing comes late: what is due within a tick is due at
    /// its beginning.
    fn tick(&self, at: Instant) -> u32 {
        let ticks = at.saturating_duration_since(self.start).as_millis() / TICK.as_millis();
        u32::try_from(ticks).unwrap_or(u32::MAX).min(LAST_TICK)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any start will do; then time is told")]
    fn any_time() -> Instant {
        Instant::now()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn all(lives: &mut Lives, now: Instant) -> Vec<Due> {
        std::iter::from_fn(|| lives.expire(now)).collect()
    }

    #[test]
    fn a_life_is_a_word_in_time_an_end_and_a_last_patience() {
        let start = any_time();
        let mut lives = Lives::new(start);
        let ends = start + seconds(100);
        let renew = Some(start + seconds(40));
        lives.start(7, &Life { renew, ends, reason: EndReason::Expired });
        assert_eq!(lives.poll_timeout(), renew);
        assert_eq!(all(&mut lives, start + seconds(39)), []);
        let told = Due::Renew { slot: 7, left: seconds(60) };
        assert_eq!(all(&mut lives, start + seconds(40)), [told]);
        lives.repeat(7, start + seconds(40));
        let told = Due::Renew { slot: 7, left: seconds(59) };
        assert_eq!(all(&mut lives, start + seconds(41)), [told], "it could not take it");
        let ended = Due::Ends { slot: 7, reason: EndReason::Expired };
        assert_eq!(all(&mut lives, ends), [ended]);
        assert_eq!(lives.poll_timeout(), Some(ends + CLOSING_TIME_MAX));
        assert_eq!(all(&mut lives, ends + CLOSING_TIME_MAX), [Due::Overdue { slot: 7 }]);
        lives.cancel(7);
        assert_eq!((lives.poll_timeout(), lives.len()), (None, 0));
    }

    #[test]
    fn the_word_comes_at_once_where_there_is_little_time_and_never_after_the_end() {
        let start = any_time();
        let mut lives = Lives::new(start);
        let life = |renew, ends| Life {
            renew: Some(start + seconds(renew)),
            ends: start + seconds(ends),
            reason: EndReason::Expired,
        };
        lives.start(1, &life(0, 5));
        lives.start(2, &life(9, 5));
        assert_eq!(all(&mut lives, start), [Due::Renew { slot: 1, left: seconds(5) }]);
        let due = all(&mut lives, start + seconds(9));
        assert!(due.iter().all(|due| matches!(due, Due::Ends { .. })), "{due:?}");
        assert_eq!(due.len(), 2);
    }

    #[test]
    fn a_drain_leaves_those_alone_who_end_before() {
        let start = any_time();
        let mut lives = Lives::new(start);
        let early = Life { renew: None, ends: start + seconds(1), reason: EndReason::Aged };
        let late = Life { renew: Some(start), ends: start + seconds(50), ..early };
        lives.start(1, &early);
        lives.start(2, &late);
        for slot in [1, 2, 3] {
            lives.end_by(slot, start + seconds(10), EndReason::Drained);
        }
        let ends = |slot, reason| Due::Ends { slot, reason };
        assert_eq!(all(&mut lives, start + seconds(1)), [ends(1, EndReason::Aged)]);
        let drained = [2, 3].map(|slot| ends(slot, EndReason::Drained));
        assert_eq!(all(&mut lives, start + seconds(10)), drained);
    }

    #[test]
    fn what_ends_in_a_century_ends_in_some_years() {
        let start = any_time();
        let mut lives = Lives::new(start);
        let ends = start + seconds(100 * 365 * 24 * 60 * 60);
        lives.start(0, &Life { renew: Some(ends), ends, reason: EndReason::Expired });
        assert_eq!(all(&mut lives, start + seconds(6 * 365 * 24 * 60 * 60)), []);
        assert_eq!(all(&mut lives, ends).len(), 1);
    }

    proptest! {
        /// Everybody ends once, in time and never early, however they come, leave and are drained.
        #[test]
        fn each_end_once_and_in_time(
            steps in prop::collection::vec((0u32..20, 0u64..40, 0u8..4, 0u64..10), 1..80),
        ) {
            let start = any_time();
            let mut lives = Lives::new(start);
            let mut model: BTreeMap<u32, Instant> = BTreeMap::new();
            let mut now = start;
            for (slot, delay, step, pass) in steps {
                let at = now + TICK * delay as u32;
                match step {
                    0 => {
                        lives.cancel(slot);
                        model.remove(&slot);
                    }
                    1 => {
                        lives.end_by(slot, at, EndReason::Drained);
                        let ends = model.entry(slot).or_insert(at);
                        *ends = at.min(*ends);
                    }
                    _ if !model.contains_key(&slot) => {
                        let renew = (step == 2).then_some(now + TICK * (delay / 2) as u32);
                        lives.start(slot, &Life { renew, ends: at, reason: EndReason::Aged });
                        model.insert(slot, at);
                    }
                    _ => {}
                }
                now += TICK * pass as u32;
                let mut ended = Vec::new();
                for due in all(&mut lives, now) {
                    match due {
                        Due::Ends { slot, .. } => ended.push(slot),
                        Due::Renew { slot, left } => prop_assert_eq!(model[&slot] - now, left),
                        Due::Overdue { .. } => prop_assert!(false, "it has left before"),
                    }
                }
                ended.sort_unstable();
                let due: Vec<u32> =
                    model.iter().filter(|(_, ends)| **ends <= now).map(|(slot, _)| *slot).collect();
                prop_assert_eq!(&ended, &due);
                for slot in due {
                    lives.cancel(slot);
                    model.remove(&slot);
                }
                prop_assert_eq!(lives.len(), model.len());
                prop_assert!(lives.poll_timeout().is_none_or(|at| at > now));
            }
        }
    }
}
