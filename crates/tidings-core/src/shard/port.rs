//! What passes between a shard and the world around it: subscribers, events and pages in, bytes
//! and wishes to read out. Knows nothing of what a shard makes of them.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::cursor::{Cursor, Fingerprint, Position};
use crate::event::Topics;
use crate::sse::Frame;
use crate::topic::Selectors;

/// The world that a shard acts on. Calls must not come back into the shard.
pub trait Port {
    /// Hands bytes to a connection, which takes what it can without waiting.
    fn write(&mut self, id: SubscriberId, bytes: &Bytes) -> Written;

    /// Asks for the next selected events from `from` on.
    fn read(&mut self, id: SubscriberId, from: Position, filter: &Filter) -> Answer;

    /// The cursor with the fingerprint of its event, if that is at hand.
    fn cursor(&self, cursor: Cursor) -> Cursor {
        cursor
    }

    /// The subscriber is gone: its connection is closed and all of it freed.
    fn close(&mut self, id: SubscriberId);
}

/// What became of a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Written {
    /// So many bytes were taken. Where they are fewer than were offered, the port calls
    /// [`super::Shard::handle_writable`] once more can be.
    Bytes(usize),
    /// The connection is broken.
    Gone,
}

/// What became of a wish to read.
#[derive(Debug)]
pub enum Answer {
    /// A page, at once.
    Page(Page),
    /// It will come by [`super::Shard::handle_page`].
    Later,
}

/// Selected events from the log.
#[derive(Debug)]
pub enum Page {
    /// The events, in order, and where to read on.
    Events {
        /// The events, oldest first.
        events: Vec<Arc<Delivery>>,
        /// All before it has been looked at.
        next: Position,
    },
    /// Retention has passed the position that was asked for.
    Trimmed {
        /// The oldest position that is kept.
        oldest: Position,
    },
    /// The log can't be read now: the connection is closed, and its client comes back with its
    /// cursor.
    Failed,
}

/// Names one subscriber of one shard; never means another one, even when its slot is used again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SubscriberId {
    /// Its place in tables, as small as can be.
    pub slot: u32,
    /// How often the slot had been used before.
    pub generation: u32,
}

/// What somebody wants to receive, where from and how.
#[derive(Clone, Debug)]
pub struct Interest {
    /// Which events.
    pub filter: Filter,
    /// The first position.
    pub next: Position,
    /// How the bytes are framed.
    pub framing: Framing,
    /// How long it may last; without it, as long as its client likes.
    pub life: Option<Life>,
}

/// How long a stream may last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Life {
    /// When its client is told by `tidings.renew` that it will end, if there is something that the
    /// client can do about it.
    pub renew: Option<Instant>,
    /// When it ends.
    pub ends: Instant,
    /// Why it ends then.
    pub reason: EndReason,
}

/// Why a stream ends before its client leaves.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum EndReason {
    /// Its connection has lasted long enough.
    Aged,
    /// The hub sends all its subscribers elsewhere.
    Drained,
    /// The right to it was given until then.
    Expired,
}

/// Which events somebody gets. Those with the same filter share it in their shard.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Filter {
    /// What is asked for.
    pub selectors: Selectors,
    /// Of which topics private events are among it: an event is, if one of its topics is
    /// selected here. `None`: of none.
    pub private: Option<Arc<Selectors>>,
}

impl Filter {
    /// Whether an event is among it.
    #[must_use]
    pub fn passes(&self, delivery: &Delivery) -> bool {
        self.may_see(delivery.private, &delivery.topics) && self.selectors.matches(&delivery.topics)
    }

    /// A copy that shares no memory with this one.
    pub(super) fn unshared(&self) -> Self {
        let private = self.private.as_ref().map(|private| Arc::new(private.unshared()));
        Self { selectors: self.selectors.unshared(), private }
    }

    /// Whether an event with these topics that is asked for is among it.
    #[must_use]
    pub fn may_see(&self, private: bool, topics: &Topics) -> bool {
        !private || self.private.as_ref().is_some_and(|allowed| allowed.matches(topics))
    }
}

/// What a subscriber's connection wants around its bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// HTTP/1.1: each frame is a chunk.
    Chunked,
    /// HTTP/1.0, HTTP/2, and bodies that somebody else frames.
    Raw,
}

impl Framing {
    pub(super) fn bytes(self, frame: &Frame) -> Bytes {
        match self {
            Self::Chunked => frame.chunk().clone(),
            Self::Raw => frame.raw(),
        }
    }
}

/// One event on its way to subscribers: its frame, and what decides who gets it.
#[derive(Debug)]
pub struct Delivery {
    /// Its place in the log.
    pub position: Position,
    /// Its fingerprint, where the log has them.
    pub print: Option<Fingerprint>,
    /// What it was published under.
    pub topics: Topics,
    /// Only for subscribers who may see private events.
    pub private: bool,
    /// Its bytes.
    pub frame: Frame,
}

/// A frame and where it stands in the log.
pub(super) type Placed<'a> = (Position, &'a Frame);

impl Delivery {
    pub(super) fn place(&self) -> Placed<'_> {
        (self.position, &self.frame)
    }
}

/// What a shard has done since it was last asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Events handed over whole.
    pub delivered: u64,
    /// Bytes handed over.
    pub bytes: u64,
    /// Writes.
    pub writes: u64,
    /// Times a live subscriber's connection took no more.
    pub lagged: u64,
    /// Times a subscriber was told of a gap.
    pub resets: u64,
    /// Heartbeats.
    pub heartbeats: u64,
    /// Times a client was told that its stream will end.
    pub renewals: u64,
    /// Streams that ended because their connection had lasted long enough.
    pub aged: u64,
    /// Streams that a drain ended.
    pub drained: u64,
    /// Streams that ended with the right to them.
    pub expired: u64,
}
