//! How bytes get from a shard to its connections: whole runs in one write where they fit, and
//! what becomes of a session whose connection takes less or breaks.
//! Knows nothing of how it came about that somebody gets something.

use std::sync::Arc;

use bytes::Bytes;

use super::Shard;
use super::join::{Replay, bits};
use super::port::{Delivery, Placed, Port, SubscriberId, Written};
use crate::cursor::{Cursor, Position};
use crate::session::Phase;
use crate::sse::Frame;

impl Shard {
    /// Writes what a live subscriber gets in this pass.
    pub(super) fn deliver(
        &mut self,
        slot: u32,
        events: &[Arc<Delivery>],
        tick: u64,
        port: &mut impl Port,
    ) {
        let subscriber = &mut self.subscribers[slot];
        let mut mask = std::mem::take(&mut subscriber.pending);
        let framing = subscriber.framing;
        while mask != 0 {
            let joined = self.joiner.first(events, mask, framing).clone();
            match self.write(slot, &joined.bytes, tick, port) {
                Written::Gone => return self.close(slot, port),
                Written::Bytes(taken) if taken < joined.bytes.len() => {
                    let run = bits(mask).map(|bit| events[bit].place());
                    return self.cut(slot, run, taken);
                }
                Written::Bytes(_) => self.counts.delivered += joined.frames as u64,
            }
            for _ in 0..joined.frames {
                mask &= mask - 1;
            }
        }
        let session = &mut self.subscribers[slot].session;
        session.handle_reached(session.position(self.head), self.head);
    }

    /// Writes a page. `true`: all of it is written and the subscriber is still there.
    pub(super) fn write_page(
        &mut self,
        slot: u32,
        page: &Replay,
        tick: u64,
        port: &mut impl Port,
    ) -> bool {
        for (joined, run) in page.writes() {
            match self.write(slot, &joined.bytes, tick, port) {
                Written::Gone => {
                    self.close(slot, port);
                    return false;
                }
                Written::Bytes(taken) if taken < joined.bytes.len() => {
                    self.cut(slot, run, taken);
                    return false;
                }
                Written::Bytes(_) => self.counts.delivered += joined.frames as u64,
            }
        }
        self.subscribers[slot].session.handle_reached(page.next, self.head);
        true
    }

    /// Tells a subscriber that what it wanted is gone, and goes on at the oldest. `true`: it knows
    /// and is still there.
    pub(super) fn tell_reset(
        &mut self,
        slot: u32,
        oldest: Position,
        tick: u64,
        port: &mut impl Port,
    ) -> bool {
        let subscriber = &self.subscribers[slot];
        let next = subscriber.session.position(self.head);
        let incarnation = self.incarnation;
        let had = port.cursor(Cursor::before(incarnation, next));
        let missed = oldest.0.saturating_sub(next.0);
        let frame =
            Frame::reset(&had.to_string(), Cursor::before(incarnation, oldest), Some(missed));
        let bytes = subscriber.framing.bytes(&frame);
        let taken = match self.write(slot, &bytes, tick, port) {
            Written::Gone => {
                self.close(slot, port);
                return false;
            }
            Written::Bytes(taken) => taken,
        };
        if taken == 0 {
            // It knows of nothing: it will be told from where it really stands, and how far
            // retention has got by then.
            self.block(slot, next, None);
            return false;
        }
        self.counts.resets += 1;
        if taken < bytes.len() {
            self.block(slot, oldest, Some(bytes.slice(taken..)));
            return false;
        }
        self.subscribers[slot].session.handle_reached(oldest, self.head);
        true
    }

    /// Of a run, only so many bytes were taken: what is whole is delivered, what was cut goes
    /// first next time, what follows will be read from the log.
    fn cut<'a>(&mut self, slot: u32, run: impl Iterator<Item = Placed<'a>>, mut taken: usize) {
        let framing = self.subscribers[slot].framing;
        for (position, frame) in run {
            let bytes = framing.bytes(frame);
            if taken == 0 {
                return self.block(slot, position, None);
            }
            if taken < bytes.len() {
                return self.block(slot, position.next(), Some(bytes.slice(taken..)));
            }
            taken -= bytes.len();
            self.counts.delivered += 1;
        }
        unreachable!("fewer bytes were taken than the run has");
    }

    pub(super) fn block(&mut self, slot: u32, next: Position, rest: Option<Bytes>) {
        let session = &mut self.subscribers[slot].session;
        self.counts.lagged += u64::from(session.phase() == Phase::Live);
        session.handle_blocked(next, rest);
    }

    pub(super) fn write(
        &mut self,
        slot: u32,
        bytes: &Bytes,
        tick: u64,
        port: &mut impl Port,
    ) -> Written {
        let subscriber = &mut self.subscribers[slot];
        subscriber.written = tick;
        let id = SubscriberId { slot, generation: subscriber.generation };
        let written = port.write(id, bytes);
        self.counts.writes += 1;
        if let Written::Bytes(taken) = written {
            assert!(taken <= bytes.len(), "a port takes no more than it is offered");
            self.counts.bytes += taken as u64;
        }
        written
    }

    pub(super) fn close(&mut self, slot: u32, port: &mut impl Port) {
        let subscriber = self.subscribers.take(slot).expect("whoever is closed was there");
        if let Some(moved) = self.audiences.leave(subscriber.seat) {
            self.subscribers[moved].seat = subscriber.seat;
        }
        self.heartbeats.cancel(slot);
        self.lives.cancel(slot);
        port.close(SubscriberId { slot, generation: subscriber.generation });
        if self.subscribers.is_empty() {
            // The crowd has left: what it needed goes back to the system.
            self.heartbeats.shrink();
            self.touched.shrink_to_fit();
            self.behind.clear();
            self.behind.shrink_to_fit();
        }
    }
}
