//! How streams end: one by one, all at once, at the end of their lives, or evenly in a drain.
//! Knows nothing of why somebody wants them to end.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Shard;
use super::lives::Due;
use super::port::{EndReason, Framing, Port, SubscriberId, Written};
use crate::cursor::Cursor;
use crate::limits::DRAIN_GAP_MAX;
use crate::session::Phase;
use crate::sse::{Frame, LAST_CHUNK};

impl Shard {
    /// Ends one subscriber's stream properly: what was begun is finished first.
    pub fn end_one(&mut self, id: SubscriberId, port: &mut impl Port) {
        if self.is_current(id) && self.subscribers[id.slot].session.handle_close() {
            self.end(id.slot, port);
        }
    }

    /// Ends all streams: those whose last frame was cut once it is whole, the others now.
    pub fn end_all(&mut self, port: &mut impl Port) {
        for slot in self.slots() {
            if self.subscribers[slot].session.handle_close() {
                self.end(slot, port);
            }
        }
    }

    /// Has all streams end within `time`, one after the other at even distances, of
    /// [`DRAIN_GAP_MAX`] at most; [`Shard::handle_timeout`] does it. From now on, each stream that
    /// ends tells its client to come back after one of these times in milliseconds.
    pub fn drain(&mut self, time: Duration, retry_ms: RangeInclusive<u32>, now: Instant) {
        self.last_retry = Some(retry_ms);
        let count = u32::try_from(self.len()).unwrap_or(u32::MAX).max(1);
        for (place, slot) in (0u32..).zip(self.slots()) {
            // Not a multiple of a gap, which would be rounded.
            let even = time.mul_f64(f64::from(place) / f64::from(count));
            let after = even.min(DRAIN_GAP_MAX.saturating_mul(place));
            self.lives.end_by(slot, now + after, EndReason::Drained);
        }
    }

    /// Does what is due by the lives of subscribers.
    pub(super) fn handle_lives(&mut self, now: Instant, tick: u64, port: &mut impl Port) {
        while let Some(due) = self.lives.expire(now) {
            match due {
                Due::Renew { slot, left } => self.tell_renew(slot, left, now, tick, port),
                Due::Ends { slot, reason } => {
                    let counts = &mut self.counts;
                    *match reason {
                        EndReason::Aged => &mut counts.aged,
                        EndReason::Drained => &mut counts.drained,
                        EndReason::Expired => &mut counts.expired,
                    } += 1;
                    if self.subscribers[slot].session.handle_close() {
                        self.end(slot, port);
                    }
                }
                Due::Overdue { slot } => self.close(slot, port),
            }
        }
    }

    /// Tells a subscriber that its stream will end, or tries again later where its connection
    /// takes nothing now.
    fn tell_renew(
        &mut self,
        slot: u32,
        left: Duration,
        now: Instant,
        tick: u64,
        port: &mut impl Port,
    ) {
        let subscriber = &self.subscribers[slot];
        let session = &subscriber.session;
        if session.phase() == Phase::Closing {
            return;
        }
        if !session.is_writable() {
            return self.lives.repeat(slot, now);
        }
        let next = session.position(self.head);
        let had = port.cursor(Cursor::before(self.incarnation, next));
        let frame = Frame::renew(had, left.as_secs());
        let bytes = subscriber.framing.bytes(&frame);
        match self.write(slot, &bytes, tick, port) {
            Written::Gone => self.close(slot, port),
            Written::Bytes(0) => {
                self.block(slot, next, None);
                self.lives.repeat(slot, now);
            }
            Written::Bytes(taken) => {
                self.counts.renewals += 1;
                if taken < bytes.len() {
                    self.block(slot, next, Some(bytes.slice(taken..)));
                }
            }
        }
    }

    /// Ends a stream whose last frame is whole. A connection that does not even take these few
    /// bytes is closed without them: its client reconnects all the same.
    pub(super) fn end(&mut self, slot: u32, port: &mut impl Port) {
        let subscriber = &self.subscribers[slot];
        let id = SubscriberId { slot, generation: subscriber.generation };
        let last = last_bytes(subscriber.framing, self.last_retry.as_ref().map(|r| pick(id, r)));
        if !last.is_empty() {
            let _ = port.write(id, &last);
        }
        self.close(slot, port);
    }
}

/// What a stream ends with, in one write: when to come back, if that has to be said, and the last
/// chunk.
fn last_bytes(framing: Framing, retry_ms: Option<u32>) -> Bytes {
    let retry = retry_ms.map(Frame::retry);
    match (framing, retry) {
        (Framing::Chunked, None) => Bytes::from_static(LAST_CHUNK),
        (Framing::Chunked, Some(retry)) => [retry.chunk(), LAST_CHUNK].concat().into(),
        (Framing::Raw, None) => Bytes::new(),
        (Framing::Raw, Some(retry)) => retry.raw(),
    }
}

/// One number of a range for each subscriber: spread evenly, without anything random in here.
fn pick(id: SubscriberId, range: &RangeInclusive<u32>) -> u32 {
    let (least, most) = (*range.start(), *range.end());
    let count = u64::from(most.saturating_sub(least)) + 1;
    // Multiplied by 2⁶⁴ divided by the golden ratio, numbers that follow each other lie far apart.
    let key = u64::from(id.slot) << 32 | u64::from(id.generation);
    let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    least + ((hash * count) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_come_back_spread_out() {
        let range = 1600..=2400;
        let ids = (0..1000).map(|slot| SubscriberId { slot, generation: slot / 3 });
        let mut picked: Vec<u32> = ids.map(|id| pick(id, &range)).collect();
        picked.sort_unstable();
        assert!(picked.iter().all(|ms| range.contains(ms)));
        for (tenth, ms) in (1u32..).zip(picked.chunks(100).map(|tenth| tenth[99])) {
            let even = 1600 + 80 * tenth;
            assert!(ms.abs_diff(even) < 40, "{tenth} tenths come within {ms} ms");
        }
        assert_eq!(pick(SubscriberId { slot: 7, generation: 9 }, &(5..=5)), 5);
    }

    #[test]
    fn the_end_is_one_write() {
        assert_eq!(last_bytes(Framing::Chunked, None), "0\r\n\r\n");
        assert_eq!(last_bytes(Framing::Chunked, Some(7)), "9\r\nretry: 7\n\r\n0\r\n\r\n");
        assert_eq!(last_bytes(Framing::Raw, None), "");
        assert_eq!(last_bytes(Framing::Raw, Some(7)), "retry: 7\n");
    }
}
