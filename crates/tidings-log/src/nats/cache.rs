//! What was read or heard lately, and where things stand in the stream.
//! Knows nothing of connections.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tidings_core::cursor::Position;

use super::message::{Head, Part};
use super::sizes::{ANCHOR_BYTES, ANCHORS_MAX, CACHE_BYTES_MAX};

/// Bounded; the oldest goes first.
#[derive(Debug, Default)]
pub(super) struct Cache {
    parts: HashMap<u64, Part>,
    order: VecDeque<u64>,
    bytes: usize,
    /// The first message of some runs, by the run's position.
    anchors: BTreeMap<Position, Anchor>,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    seq: u64,
    offset: u64,
}

impl Cache {
    pub(super) fn part(&self, seq: u64) -> Option<Part> {
        self.parts.get(&seq).cloned()
    }

    pub(super) fn insert(&mut self, seq: u64, part: &Part) {
        if self.parts.insert(seq, part.clone()).is_some() {
            return;
        }
        self.order.push_back(seq);
        self.bytes += part.bytes();
        while self.bytes > CACHE_BYTES_MAX && self.order.len() > 1 {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(part) = self.parts.remove(&oldest) {
                self.bytes -= part.bytes();
            }
        }
    }

    /// Remembers where a run begins, unless a run close to it is known.
    pub(super) fn anchor(&mut self, head: &Head, first_seq: u64) {
        if head.count == 0 {
            return;
        }
        let before = self.anchors.range(..=head.first).next_back().map(|(_, anchor)| *anchor);
        let after = self.anchors.range(head.first..).next().map(|(_, anchor)| *anchor);
        let far = |one: u64, other: u64| one.abs_diff(other) >= ANCHOR_BYTES;
        let alone = before.is_none_or(|anchor| far(anchor.offset, head.offset))
            && after.is_none_or(|anchor| far(anchor.offset, head.offset));
        if alone {
            self.anchors.insert(head.first, Anchor { seq: first_seq, offset: head.offset });
            if self.anchors.len() > ANCHORS_MAX {
                // Thinned out rather than cut off: what is old is searched for as well.
                let mut odd = false;
                self.anchors.retain(|_, _| {
                    odd = !odd;
                    odd
                });
            }
        }
    }

    /// Between which messages a position stands, where something is known.
    pub(super) fn around(&self, position: Position) -> (Option<u64>, Option<u64>) {
        let low = self.anchors.range(..=position).next_back().map(|(_, anchor)| anchor.seq);
        let high = self.anchors.range(position.next()..).next().map(|(_, anchor)| anchor.seq);
        (low, high)
    }

    /// Forgets what retention has let go of.
    pub(super) fn forget_before(&mut self, oldest: Position) {
        while self.anchors.first_key_value().is_some_and(|(first, _)| *first < oldest) {
            self.anchors.pop_first();
        }
    }
}
