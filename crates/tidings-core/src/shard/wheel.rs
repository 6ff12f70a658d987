//! A timer wheel: when which session may need a heartbeat.
//! Knows nothing of sessions but their slots, and of time but ticks.
//!
//! Buckets are linked lists through one array indexed by slot: 12 bytes a session, no allocation
//! when one is put or taken, and a session that leaves takes its timer with it at once.

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    previous: u32,
    next: u32,
    bucket: u32,
}

const FREE: Link = Link { previous: NONE, next: NONE, bucket: NONE };

#[derive(Debug)]
pub(super) struct Wheel {
    /// The first slot of each bucket.
    heads: Vec<u32>,
    links: Vec<Link>,
    /// All buckets before this tick are empty.
    tick: u64,
    scheduled: usize,
}

impl Wheel {
    /// A wheel for delays of at most `ticks_max`.
    pub(super) fn new(ticks_max: u64) -> Self {
        let buckets = usize::try_from(ticks_max + 2).expect("a heartbeat is a matter of seconds");
        Self { heads: vec![NONE; buckets], links: Vec::new(), tick: 0, scheduled: 0 }
    }

    /// Begins to turn at `tick`, after it was empty: nobody looked at the ticks before.
    pub(super) fn start(&mut self, tick: u64) {
        assert!(self.is_empty(), "timers would be passed over");
        self.tick = self.tick.max(tick);
    }

    /// Wakes `slot` at `tick`; a tick that has passed counts as the next one. A slot has one
    /// timer at the most.
    pub(super) fn schedule(&mut self, slot: u32, tick: u64) {
        let last = self.tick + self.heads.len() as u64 - 1;
        let bucket = self.bucket(tick.clamp(self.tick, last));
        let at = slot as usize;
        if at >= self.links.len() {
            self.links.resize(at + 1, FREE);
        }
        assert_eq!(self.links[at].bucket, NONE, "a session has one timer");
        let next = std::mem::replace(&mut self.heads[bucket], slot);
        if next != NONE {
            self.links[next as usize].previous = slot;
        }
        let bucket = u32::try_from(bucket).expect("buckets are few");
        self.links[at] = Link { previous: NONE, next, bucket };
        self.scheduled += 1;
    }

    /// Takes the timer of `slot` away, if it has one.
    pub(super) fn cancel(&mut self, slot: u32) {
        let Some(link) = self.links.get_mut(slot as usize) else { return };
        let Link { previous, next, bucket } = std::mem::replace(link, FREE);
        if bucket == NONE {
            return;
        }
        match previous {
            NONE => self.heads[bucket as usize] = next,
            previous => self.links[previous as usize].next = next,
        }
        if next != NONE {
            self.links[next as usize].previous = previous;
        }
        self.scheduled -= 1;
    }

    /// Takes one slot whose tick is `now` or earlier.
    pub(super) fn expire(&mut self, now: u64) -> Option<u32> {
        while self.tick <= now {
            let slot = self.heads[self.bucket(self.tick)];
            if slot != NONE {
                self.cancel(slot);
                return Some(slot);
            }
            // Nothing is scheduled beyond a full turn, so an idle wheel need not turn in steps.
            self.tick = if self.scheduled == 0 { now + 1 } else { self.tick + 1 };
        }
        None
    }

    /// The first tick that has not been looked at.
    pub(super) fn tick(&self) -> u64 {
        self.tick
    }

    /// Whether any slot has a timer.
    pub(super) fn is_empty(&self) -> bool {
        self.scheduled == 0
    }

    /// Gives back what a crowd of slots needed, once none has a timer.
    pub(super) fn shrink(&mut self) {
        assert!(self.is_empty(), "timers would be lost");
        self.links = Vec::new();
    }

    /// How many slots have a timer.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn len(&self) -> usize {
        self.scheduled
    }

    fn bucket(&self, tick: u64) -> usize {
        (tick % self.heads.len() as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::btree_map::Entry;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every timer comes at its tick, never early, never twice, and not when it was taken.
        #[test]
        fn each_timer_once_and_in_time(
            steps in prop::collection::vec((0u32..20, 0u64..10, any::<bool>(), 0u64..4), 1..80),
        ) {
            let mut wheel = Wheel::new(9);
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            let mut now = 0;
            for (slot, delay, cancel, pass) in steps {
                if cancel {
                    wheel.cancel(slot);
                    model.remove(&slot);
                } else if let Entry::Vacant(vacant) = model.entry(slot) {
                    wheel.schedule(slot, now + 1 + delay);
                    vacant.insert(now + 1 + delay);
                }
                now += pass;
                let mut expired: Vec<u32> = std::iter::from_fn(|| wheel.expire(now)).collect();
                expired.sort_unstable();
                let due: Vec<u32> =
                    model.iter().filter(|(_, tick)| **tick <= now).map(|(slot, _)| *slot).collect();
                model.retain(|_, tick| *tick > now);
                prop_assert_eq!(expired, due);
                prop_assert_eq!(wheel.is_empty(), model.is_empty());
            }
        }
    }
}
