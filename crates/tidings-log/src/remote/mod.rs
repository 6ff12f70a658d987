//! What logs on a server have in common: what one node has heard of the log, who waits to append
//! to it, who follows it, and how events are written. Knows nothing of any server.

mod backoff;
mod door;
mod follow;
mod format;
mod reading;
mod shared;
mod sizes;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use self::backoff::Backoff;
pub(crate) use self::door::{Door, Gathering, Waiting, batch_bytes, gather};
pub(crate) use self::follow::Follower;
pub(crate) use self::format::{Entry, encode, event_bytes};
pub(crate) use self::reading::{Reading, find, fingerprint, read};
pub(crate) use self::shared::{Held, Shared};
pub(crate) use self::sizes::{
    ANSWER_TIME_MAX, BATCH_BYTES_MAX, EVENT_OVERHEAD_BYTES, OPEN_TIME_MAX, RETRY_PAUSE_MAX,
    RETRY_PAUSE_MIN, SCANS_MAX,
};
