//! What goes into a hub and what comes back: the words of its calls.
//! Knows nothing of how the hub does what they say.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Serialize, Serializer};
use tidings_core::cursor::{Cursor, Incarnation, Position};
use tidings_core::event::{Event, EventId, IdempotencyKey};
use tidings_core::shard::Interest;
use tidings_core::topic::Selectors;
use tidings_core::vector::Vector;
use tidings_log::{AppendError, ReadError, Record};

use crate::gate::{Client, Counted, NotAdmitted};

use super::lifetime::UnderWayGuard;
use super::place::{Start, Verdict};

/// One event to publish.
#[derive(Clone, Debug)]
pub struct Publish {
    /// The event.
    pub event: Event,
    /// Makes a repetition of this publish the same publish.
    pub key: Option<IdempotencyKey>,
}

/// What was kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Published {
    /// The event's id.
    pub id: Id,
    /// Its place in the log.
    pub position: Position,
    /// It was there already, under the same idempotency key.
    pub repeated: bool,
}

/// The id of an event, as its subscribers get it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Id {
    /// The one that its publisher chose.
    Chosen(EventId),
    /// The hub's own.
    Own(Cursor),
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chosen(id) => id.fmt(f),
            Self::Own(cursor) => cursor.fmt(f),
        }
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A place to go on at, as clients get it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Bookmark {
    /// In one partition, which most often is the only one.
    One(Cursor),
    /// In each of several.
    Several(Vector),
}

impl fmt::Display for Bookmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(cursor) => cursor.fmt(f),
            Self::Several(vector) => vector.fmt(f),
        }
    }
}

/// Why nothing was published.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PublishError {
    /// The log refused.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The chosen id has the form of this log's own ids, and would be taken for another event's.
    #[error("the id {id:?} has the form of this hub's own ids: choose another, or leave it out")]
    OwnId {
        /// The id.
        id: String,
    },
    /// Its topics belong to several partitions, of which none can keep it for all of them.
    #[error(
        "the topics of this event are kept in different partitions (redis-partitions): publish it \
         once for each topic"
    )]
    SeveralPartitions,
}

/// Somebody publishes more than they may.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("events are published too fast ({limit}, {rate} a second): publish the rest later")]
pub struct TooFast {
    /// The limit's name.
    pub limit: &'static str,
    /// Events a second that are allowed.
    pub rate: u32,
    /// How long to wait.
    pub wait: Duration,
}

/// Why there is no subscription.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SubscribeError {
    /// The address has as many as it may have.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// The log can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The subject has as many streams as it may have.
    #[error(
        "your token has as many event streams open as it may (streams_per_token_max, \
         {streams_max}): close some first"
    )]
    TooMany {
        /// How many that is.
        streams_max: usize,
    },
}

/// What somebody wants to receive, and from where on.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Which events.
    pub selectors: Selectors,
    /// Of which topics private events are among them; `None`: of none.
    pub private: Option<Arc<Selectors>>,
    /// From where on.
    pub start: Start,
    /// A name that the client gives its connections, by which [`super::Hub::cut`] finds
    /// them.
    pub label: Option<String>,
    /// Whose stream it is, where the streams of one are limited: those of a subject by
    /// [`crate::Config::streams_per_token_max`], those of an address that came through a proxy by
    /// [`crate::Config::connections_per_address_max`].
    pub client: Option<Client>,
    /// Until when the right to it was given: the stream ends then, after an event `tidings.renew`
    /// some time before.
    pub expires: Option<Instant>,
}

/// A subscription that has its place and waits for a connection.
#[derive(Debug)]
pub struct Subscribed {
    /// What became of the wish to begin somewhere.
    pub verdict: Verdict,
    /// The place after which the stream begins: with it a client that has not got an event yet
    /// comes back without missing one.
    pub cursor: Bookmark,
    /// What it wants of one partition.
    pub(crate) interest: PartInterest,
    /// What it wants of others, if it does.
    pub(crate) others: Vec<PartInterest>,
    pub(crate) label: Option<Box<str>>,
    pub(crate) expires: Option<Instant>,
    pub(crate) counted: Option<Counted>,
    pub(crate) arriving: UnderWayGuard,
    /// What the stream begins with.
    pub(crate) first: Bytes,
}

/// What a subscription wants of one partition.
#[derive(Debug)]
pub(crate) struct PartInterest {
    pub(crate) partition: usize,
    pub(crate) incarnation: Incarnation,
    pub(crate) interest: Interest,
}

/// A run of events that were published before.
#[derive(Clone, Debug)]
pub struct History {
    /// The events, oldest first.
    pub records: Vec<Arc<Record>>,
    /// The log that each of them is in.
    pub(crate) incarnations: Vec<Incarnation>,
    /// The place after which the next page begins, or a stream goes on without a gap.
    pub next: Bookmark,
    /// What became of the wish to begin somewhere.
    pub verdict: Verdict,
}

impl History {
    /// The id of one of its events: its publisher's, or the cursor.
    ///
    /// # Panics
    /// Where there are not so many events.
    #[must_use]
    pub fn id(&self, number: usize) -> Id {
        let Record { position, print, event, .. } = &*self.records[number];
        let (position, print) = (*position, *print);
        match &event.id {
            Some(id) => Id::Chosen(id.clone()),
            None => Id::Own(Cursor { incarnation: self.incarnations[number], position, print }),
        }
    }
}
