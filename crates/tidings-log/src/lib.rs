//! Where events are kept: one trait, and what implements it.
//! Knows nothing of subscribers, frames or HTTP.
//!
//! A [`Log`] is the ordered, kept sequence of events, and the one seam for keeping and for scaling
//! out: [`Log::follow`] yields, in order, what any node appended. So replay, live delivery and
//! fan-out across nodes are the same path, and the hub never asks whether it runs alone.
//!
//! All implementations pass the same suite, `conformance`.

#![forbid(unsafe_code)]

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod disk;
mod keys;
mod memory;
#[cfg(feature = "nats")]
mod nats;
mod page;
mod partition;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "nats", feature = "redis"))]
mod remote;
mod shares;

/// For the fuzz targets only.
#[doc(hidden)]
pub use disk::fuzzing;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidings_core::cursor::{Fingerprint, Incarnation, Position, Timestamp};
use tidings_core::event::{Event, EventId, IdempotencyKey};
use tidings_core::limits::APPEND_TIME_MAX;
use tidings_core::topic::Selectors;

#[cfg(feature = "nats")]
pub use self::nats::{
    Nats, NatsAddress, NatsAddressError, NatsCredentials, NatsDomain, NatsError, NatsNameError,
    NatsOptions, NatsStream,
};
#[cfg(feature = "redis")]
pub use self::redis::{
    Redis, RedisAddress, RedisAddressError, RedisError, RedisOptions, RedisPrefix, RedisPrefixError,
};
pub use disk::{Disk, DiskOptions, OpenError, Recovery, SyncPolicy, SyncPolicyError};
pub use memory::{Memory, MemoryOptions};
pub use partition::{logs_checksum, partition_of};
pub use shares::{Share, Shares};

/// The ordered, kept sequence of events.
///
/// What [`Log::append`] has acknowledged is kept, by the implementation's own promise of
/// durability, until retention lets it go; and only what is kept so is ever handed out by
/// [`Log::read`] and [`Log::follow`], so nobody receives an event that a crash then forgets.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Which log this is and which positions it holds now. Cheap: no input or output.
    ///
    /// Where other nodes append too, this is what this one has heard so far. The incarnation may
    /// change while the log is open: see [`FollowError::Replaced`].
    fn bounds(&self) -> Bounds;

    /// The same, and nothing that any node had been told before the call is missing in it. Cancel
    /// safe.
    ///
    /// # Errors
    /// [`ReadError::Failed`] only.
    async fn bounds_now(&self) -> Result<Bounds, ReadError> {
        Ok(self.bounds())
    }

    /// Keeps a batch: one contiguous run of positions in the batch's order, but for those whose
    /// idempotency key was seen within its window, which get the answer of the first time and
    /// are not stored again. Answers when all of it is kept, in the batch's order.
    ///
    /// Dropping the future does not take the batch back: it may be kept all the same.
    ///
    /// # Errors
    /// See [`AppendError`]. Nothing of the batch has been acknowledged or handed out then.
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Appended>, AppendError>;

    /// Reads what is selected, oldest first, one bounded page at a time.
    ///
    /// The page's `next` is always beyond `from`, unless `from` is at the tail or beyond it: so
    /// reading on from `next` comes to an end. A page may be empty and still have moved on, since
    /// the work of one call is bounded too.
    ///
    /// Cancel safe: dropping the future leaves nothing behind.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn read(&self, read: Read<'_>) -> Result<Page, ReadError>;

    /// The position that a mark stands for; `None` where an id is not kept.
    ///
    /// An id and a time are found without a scan of the log. Cancel safe.
    ///
    /// # Errors
    /// [`ReadError::Failed`] only.
    async fn find(&self, mark: Mark<'_>) -> Result<Option<Position>, ReadError>;

    /// The fingerprint of the event at a position, which a cursor of it has to have; `None` where
    /// the event has none, or is not kept. From memory where it is there. Cancel safe.
    ///
    /// Only logs whose events have fingerprints ([`Record::print`]) need more than this default.
    ///
    /// # Errors
    /// [`ReadError::Failed`] only.
    async fn fingerprint(&self, _position: Position) -> Result<Option<Fingerprint>, ReadError> {
        Ok(None)
    }

    /// Everything that is kept from `from` on, in order, without end.
    fn follow(&self, from: Position) -> Box<dyn Follow>;

    /// Lets go of what retention no longer covers at `now`, and of idempotency keys past their
    /// window. The hub calls it every second; implementations may do more often what
    /// appending makes necessary.
    ///
    /// # Errors
    /// A sentence for the operator. Trying again later is always right.
    async fn trim(&self, now: Timestamp) -> Result<(), String>;

    /// Whether the log takes appends; if not, a sentence for the operator. Cheap.
    fn health(&self) -> Result<(), String>;

    /// What the log holds. Cheap.
    fn usage(&self) -> Usage;

    /// Where the nodes of a hub count together what is limited; `None` where the log is one
    /// process's own, and what that one counts is all there is.
    fn shares(&self) -> Option<&dyn Shares> {
        None
    }

    /// Finishes what is under way, makes all of it durable and lets go of files and locks.
    /// Appends answer [`AppendError::Closed`] from now on. Calling it twice is fine.
    async fn close(&self);
}

/// What a log for many nodes can do for them beside keeping events.
#[async_trait]
pub trait Claims: Send + Sync + 'static {
    /// Claims a name for a time among all who use this log: `true` for the first of them. Of
    /// several at the same time one is the first. It may stay claimed for longer, by minutes.
    /// Cancelled, it may have been claimed.
    ///
    /// # Errors
    /// [`ReadError::Failed`] only, where the server does not answer, or the time is too long.
    async fn claim(&self, name: &str, time: Duration) -> Result<bool, ReadError>;
}

/// What [`Log::follow`] gives.
#[async_trait]
pub trait Follow: Send {
    /// Waits for events and gives the next run of them: at least one, in order, without gaps,
    /// bounded in number and bytes. Cancel safe: what was not returned comes with the next call.
    ///
    /// # Errors
    /// See [`FollowError`].
    async fn next(&mut self) -> Result<Vec<Arc<Record>>, FollowError>;
}

/// Which positions a log holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// Which log this is.
    pub incarnation: Incarnation,
    /// The oldest position that is kept; the same as `next` where nothing is.
    pub oldest: Position,
    /// The position that the next event will get: the tail.
    pub next: Position,
}

/// One event to be kept.
#[derive(Clone, Debug)]
pub struct Append {
    /// The event.
    pub event: Event,
    /// Makes a repetition of this append the same append.
    pub key: Option<IdempotencyKey>,
    /// When it was published. A log never goes back in time: where it holds a later event
    /// already, that one's time is kept instead.
    pub time: Timestamp,
}

/// Where an event stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Appended {
    /// Its position.
    pub position: Position,
    /// The same as in its [`Record`].
    pub print: Option<Fingerprint>,
    /// It was there already, under the same idempotency key.
    pub repeated: bool,
}

/// One event as it is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Its place.
    pub position: Position,
    /// Where what keeps the log may lose its end, by a restart or when a replica takes over: what
    /// tells this event from one that is given its place after that. `None` where that can't
    /// be, or is another incarnation each time.
    pub print: Option<Fingerprint>,
    /// When it was published; never earlier than the record before it.
    pub time: Timestamp,
    /// What was published.
    pub event: Event,
}

/// What to read.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    /// The first position that may be in the page.
    pub from: Position,
    /// Which events are wanted.
    pub selectors: &'a Selectors,
    /// At most so many events; 0 counts as 1, since a page has to get on.
    pub events_max: usize,
    /// At most so many bytes ([`Event::weight`]), but always one event.
    pub bytes_max: usize,
}

/// A run of what was read.
#[derive(Clone, Debug)]
pub struct Page {
    /// The selected events.
    pub records: Vec<Arc<Record>>,
    /// Where to read on: all before it has been looked at.
    pub next: Position,
}

/// Something that stands for a position.
#[derive(Clone, Copy, Debug)]
pub enum Mark<'a> {
    /// The newest event with this id of its publisher's.
    Id(&'a EventId),
    /// The position from which on there are at most so many selected events: the place of the
    /// n-th last of them, the oldest position where fewer are kept, the tail where 0 are asked
    /// for.
    Last {
        /// How many.
        events: usize,
        /// Of which.
        selectors: &'a Selectors,
    },
    /// The first event of this time or later; the tail where there is none.
    Time(Timestamp),
}

/// What a log holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// Events.
    pub events: u64,
    /// Bytes of memory or disk.
    pub bytes: u64,
}

/// Why nothing was appended.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AppendError {
    /// The log was closed.
    #[error("the log is closed: the server is shutting down")]
    Closed,
    /// The log can't keep anything now. It tries again by itself with later appends.
    #[error("the log can't keep events now: {reason}")]
    Unavailable {
        /// What is the matter: a full disk, a failed write.
        reason: String,
    },
    /// The log did not keep it in the time that a publisher waits. It may be kept all the same.
    #[error(
        "the log can't keep events now: {reason}, for {APPEND_TIME_MAX:?} (append_time_max); what \
         was sent to it may be kept all the same, so repeat it under the same Idempotency-Key"
    )]
    Late {
        /// What is the matter.
        reason: String,
    },
    /// The key was used within its window for another event.
    #[error("this Idempotency-Key was used for another event: use a new key for a new event")]
    KeyReused,
    /// An event larger than the log can ever hold.
    #[error("the event is larger than the log can hold ({bytes} of {bytes_max} bytes)")]
    TooLarge {
        /// How large.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
}

/// Why nothing was read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// The log could not be read.
    #[error("the log can't be read: {reason}")]
    Failed {
        /// What is the matter.
        reason: String,
    },
    /// Retention has passed the position.
    #[error("events before position {oldest} are no longer kept")]
    Trimmed {
        /// The oldest position that is kept.
        oldest: Position,
    },
}

/// Why following ends.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FollowError {
    /// The log was closed, and all that it held has been given.
    #[error("the log is closed")]
    Closed,
    /// The log could not be read; calling again tries again.
    #[error("the log can't be read: {reason}")]
    Failed {
        /// What is the matter.
        reason: String,
    },
    /// The log is another one now: what kept it has lost events that it had acknowledged. Nothing
    /// is known of what came in between, and the follower goes on at the other one's tail.
    #[error("the log was replaced by another one")]
    Replaced {
        /// The other one; its `next` is where the follower goes on.
        bounds: Bounds,
    },
    /// Retention has passed the follower, which goes on at the oldest position.
    #[error("events before position {oldest} are no longer kept")]
    Trimmed {
        /// The oldest position that is kept.
        oldest: Position,
    },
}
