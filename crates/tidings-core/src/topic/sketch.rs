//! Which topics an index may have somebody for, as other threads may ask.
//! Knows nothing of who it is; it may say yes in vain, and never no in vain.
//!
//! Whoever hands out events asks here which threads to wake: with a topic for each subscriber,
//! waking all of them for each event would cost more than the delivery.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering, fence};

use foldhash::fast::FixedState;

use crate::event::{Topic, Topics};
use crate::limits::SKETCH_SLOTS;

/// Counts of topics by a hash of theirs, written by one thread and read by others.
#[derive(Debug)]
pub struct Sketch {
    /// Topics in each slot. One that is full stays so: what was not counted can't be taken back.
    slots: Box<[AtomicU8]>,
    patterns: AtomicUsize,
}

impl Default for Sketch {
    fn default() -> Self {
        let slots = (0..SKETCH_SLOTS).map(|_| AtomicU8::new(0)).collect();
        Self { slots, patterns: AtomicUsize::new(0) }
    }
}

impl Sketch {
    /// Whether somebody may select one of the topics.
    ///
    /// For an event that was put where the index's thread finds it before this was asked: if the
    /// answer is no, then that thread finds the event when it looks after its next
    /// [`Sketch::settle`], so nobody misses it.
    #[must_use]
    pub fn may_select(&self, topics: &Topics) -> bool {
        fence(Ordering::SeqCst);
        self.patterns.load(Ordering::Relaxed) > 0
            || topics.iter().any(|topic| self.slot(topic).load(Ordering::Relaxed) > 0)
    }

    /// What the index has taken in until now is seen by whoever asks after this thread's next
    /// look at what was put for it.
    pub fn settle(&self) {
        fence(Ordering::SeqCst);
    }

    pub(super) fn add(&self, topic: &Topic) {
        let slot = self.slot(topic);
        slot.store(slot.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
    }

    pub(super) fn remove(&self, topic: &Topic) {
        let slot = self.slot(topic);
        let count = slot.load(Ordering::Relaxed);
        if count < u8::MAX {
            slot.store(count - 1, Ordering::Relaxed);
        }
    }

    pub(super) fn add_pattern(&self) {
        self.patterns.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove_pattern(&self) {
        self.patterns.fetch_sub(1, Ordering::Relaxed);
    }

    // The hash needs no secret: who makes topics fall together wakes a thread in vain.
    fn slot(&self, topic: &Topic) -> &AtomicU8 {
        let hash = FixedState::default().hash_one(topic.as_str());
        &self.slots[hash as usize % SKETCH_SLOTS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(text: &str) -> Topic {
        Topic::parse(text).unwrap()
    }

    #[test]
    fn a_topic_counts_until_the_last_has_left() {
        let sketch = Sketch::default();
        let (a, b) = (topic("a"), topic("b"));
        sketch.add(&a);
        sketch.add(&a);
        sketch.remove(&a);
        assert!(sketch.may_select(&a.clone().into()) && !sketch.may_select(&b.clone().into()));
        assert!(sketch.may_select(&Topics::parse(vec![b.clone(), a.clone()]).unwrap()));
        sketch.remove(&a);
        assert!(!sketch.may_select(&a.into()));
        sketch.add_pattern();
        assert!(sketch.may_select(&b.clone().into()), "a pattern may select anything");
        sketch.remove_pattern();
        assert!(!sketch.may_select(&b.into()));
    }

    #[test]
    fn a_full_slot_never_says_no() {
        let sketch = Sketch::default();
        let a = topic("a");
        (0..300).for_each(|_| sketch.add(&a));
        (0..300).for_each(|_| sketch.remove(&a));
        assert!(sketch.may_select(&a.into()));
    }
}
