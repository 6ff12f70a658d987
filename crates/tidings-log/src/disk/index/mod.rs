//! What finds records in a segment without reading all of it: marks every few kibibytes, and
//! tables from hashes of ids and topics to offsets.
//! Knows nothing of what the records say beyond that.
//!
//! While a segment grows its index is in memory ([`Growing`]); once it is full, the index is
//! written beside it ([`Written`]) and looked up there. It is derived: one that is lost is made
//! again from the segment. A hash may stand for another text, so whoever looks something up has
//! to look at the record too.

mod growing;
mod written;

use tidings_core::cursor::{Position, Timestamp};

use super::format::View;
use crate::keys::Fnv;

pub(super) use growing::Growing;
pub(super) use written::{OpenIndex, Written};

/// How far a segment goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Extent {
    /// The position after its last record.
    pub(super) next: Position,
    /// The byte after its last record.
    pub(super) end: u32,
    /// Of its first record, if it has one.
    pub(super) time_first: Timestamp,
    /// Of its last record, if it has one.
    pub(super) time_last: Timestamp,
}

/// A record that a search can begin at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mark {
    pub(super) position: Position,
    pub(super) time: Timestamp,
    pub(super) offset: u32,
}

/// Which table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Table {
    Ids,
    Topics,
}

/// One record as an index sees it.
#[derive(Clone, Debug)]
pub(super) struct Entry<T> {
    pub(super) mark: Mark,
    /// The hash of its id.
    pub(super) id: Option<u64>,
    /// The hashes of its topics.
    pub(super) topics: T,
    /// Whether it has an idempotency key.
    pub(super) keyed: bool,
}

/// A record that was read at this byte, as an index sees it.
pub(super) fn entry_of<'a>(
    offset: u32,
    view: &View<'a>,
) -> Entry<impl Iterator<Item = u64> + use<'a>> {
    Entry {
        mark: Mark { position: view.place.position, time: view.place.time, offset },
        id: view.id().map(Fnv::of),
        topics: view.topics().map(Fnv::of),
        keyed: view.keyed(),
    }
}
