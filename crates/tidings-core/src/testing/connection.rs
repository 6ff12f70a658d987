//! One end of a simulated connection: a buffer that takes so many bytes and no more.
//! Knows nothing of what the bytes mean.

use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};

use crate::limits::CLOSING_TIME_MAX;
use crate::shard::{SubscriberId, Written};
use crate::sse::Frame;

/// A connection as the hub sees it.
#[derive(Debug)]
pub struct Connection {
    /// The shard that writes to it.
    pub shard: usize,
    /// What it is called there.
    pub id: SubscriberId,
    /// What was taken and the client has not read.
    buffer: BytesMut,
    /// What the buffer holds at the most.
    room_bytes: usize,
    /// It took less than it was offered, and has not been reported writable since.
    blocked: bool,
    broken: bool,
    /// When it last took a byte.
    written: Instant,
    /// Since when it could have taken bytes and got none.
    silent_since: Instant,
    /// When the hub ends it at the latest.
    pub(super) ends: Option<Instant>,
    /// How often something was offered.
    pub writes: usize,
    /// Heartbeats that were offered.
    pub heartbeats: usize,
    /// What was offered last.
    pub last_offer: Bytes,
}

impl Connection {
    pub(super) fn new(shard: usize, id: SubscriberId, room_bytes: usize, now: Instant) -> Self {
        Self {
            shard,
            id,
            buffer: BytesMut::new(),
            room_bytes,
            blocked: false,
            broken: false,
            written: now,
            silent_since: now,
            ends: None,
            writes: 0,
            heartbeats: 0,
            last_offer: Bytes::new(),
        }
    }

    /// Takes what fits.
    pub(super) fn offer(&mut self, bytes: &Bytes, now: Instant, heartbeat: Duration) -> Written {
        assert!(!self.blocked, "a connection that took less is left alone until it is writable");
        assert!(!bytes.is_empty(), "a write has something to write");
        let silence = now - self.written;
        if *bytes == Frame::heartbeat().raw() || bytes == Frame::heartbeat().chunk() {
            self.heartbeats += 1;
            // A fifth earlier at the most, and time is counted in sixteenths.
            let early = silence < heartbeat.mul_f64(0.7);
            assert!(!early, "a heartbeat after only {silence:?} of silence");
        }
        self.writes += 1;
        self.last_offer = bytes.clone();
        if self.broken {
            return Written::Gone;
        }
        let taken = bytes.len().min(self.room_bytes - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        self.blocked = taken < bytes.len();
        if taken > 0 {
            (self.written, self.silent_since) = (now, now);
        }
        Written::Bytes(taken)
    }

    /// Takes bytes out at the client's end.
    pub(super) fn read(&mut self, bytes_max: usize) -> Bytes {
        let bytes = self.buffer.len().min(bytes_max);
        let read = self.buffer.copy_to_bytes(bytes);
        if self.buffer.is_empty() {
            // A crowd of idle clients holds no buffers.
            self.buffer = BytesMut::new();
        }
        read
    }

    /// From now on it takes so many bytes more, until some are read.
    pub(super) fn set_room(&mut self, bytes: usize) {
        self.room_bytes = self.buffer.len().saturating_add(bytes);
    }

    /// Breaks it: the hub learns of it by its next write.
    pub(super) fn sever(&mut self) {
        self.broken = true;
    }

    /// Whether it is broken.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether it took less than it was offered, and has not been reported writable since.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Whether the shard is owed word that more can be written.
    pub(super) fn is_owed_word(&self) -> bool {
        self.blocked && (self.broken || self.buffer.len() < self.room_bytes)
    }

    /// The shard is about to be told that more can be written.
    pub(super) fn unblock(&mut self, now: Instant) {
        self.blocked = false;
        self.silent_since = self.silent_since.max(now);
    }

    /// Nobody who takes bytes waits longer than the interval for one, and nobody stays longer than
    /// it may.
    pub(super) fn check(&self, now: Instant, heartbeat: Duration) {
        let silence = now - self.silent_since;
        let excused = self.blocked || self.broken;
        assert!(excused || silence <= heartbeat, "{:?}: {silence:?} of silence", self.id);
        let patience = if self.blocked { CLOSING_TIME_MAX } else { Duration::ZERO };
        let is_in_time = self.ends.is_none_or(|ends| now <= ends + patience);
        assert!(is_in_time, "{:?} is there after {:?}", self.id, self.ends);
    }
}
