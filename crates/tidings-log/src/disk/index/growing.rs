//! The index of a segment that still grows, in memory.
//! Knows nothing of files.

use std::collections::BTreeSet;

use tidings_core::cursor::{Position, Timestamp};

use super::{Entry, Mark, Table};
use crate::disk::sizes::MARK_SPACING_BYTES;

/// Trees rather than hash tables, since they are written sorted, and asked for the offsets before
/// or after another: a segment's worth takes a few megabytes.
#[derive(Clone, Debug, Default)]
pub(in crate::disk) struct Growing {
    pub(super) marks: Vec<Mark>,
    pub(super) ids: BTreeSet<(u64, u32)>,
    pub(super) topics: BTreeSet<(u64, u32)>,
    /// The offsets of records with an idempotency key.
    pub(super) keyed: Vec<u32>,
}

impl Growing {
    /// Takes the record behind all others.
    pub(in crate::disk) fn push(&mut self, entry: Entry<impl IntoIterator<Item = u64>>) {
        let offset = entry.mark.offset;
        let far = |last: &Mark| offset - last.offset >= MARK_SPACING_BYTES;
        if self.marks.last().is_none_or(far) {
            self.marks.push(entry.mark);
        }
        self.ids.extend(entry.id.map(|hash| (hash, offset)));
        self.topics.extend(entry.topics.into_iter().map(|hash| (hash, offset)));
        if entry.keyed {
            self.keyed.push(offset);
        }
    }

    /// The last mark at or before a position.
    pub(in crate::disk) fn mark_at(&self, position: Position) -> Option<Mark> {
        let after = self.marks.partition_point(|mark| mark.position <= position);
        self.marks[..after].last().copied()
    }

    /// The last mark before a time.
    pub(in crate::disk) fn mark_before(&self, time: Timestamp) -> Option<Mark> {
        let after = self.marks.partition_point(|mark| mark.time < time);
        self.marks[..after].last().copied()
    }

    /// At most `max` offsets from one on, ascending.
    pub(in crate::disk) fn after(
        &self,
        table: Table,
        hash: u64,
        offset: u32,
        max: usize,
    ) -> Vec<u32> {
        let range = self.table(table).range((hash, offset)..=(hash, u32::MAX));
        range.take(max).map(|(_, offset)| *offset).collect()
    }

    /// At most `max` offsets before one, descending.
    pub(in crate::disk) fn before(
        &self,
        table: Table,
        hash: u64,
        offset: u32,
        max: usize,
    ) -> Vec<u32> {
        let range = self.table(table).range((hash, 0)..(hash, offset));
        range.rev().take(max).map(|(_, offset)| *offset).collect()
    }

    pub(in crate::disk) fn keyed(&self) -> &[u32] {
        &self.keyed
    }

    fn table(&self, table: Table) -> &BTreeSet<(u64, u32)> {
        match table {
            Table::Ids => &self.ids,
            Table::Topics => &self.topics,
        }
    }
}
