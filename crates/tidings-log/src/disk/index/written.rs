//! The index of a segment as a file: sorted tables that are searched where they are.
//! Knows nothing of the segment itself.
//!
//! All numbers are little-endian: a header of 80 bytes (magic, version u32, incarnation, first
//! and next position u64, end u32, first and last time u64, the number of marks, ids, topics and
//! keyed records u32, CRC-32C of the tables, CRC-32C of the header before it), then the marks
//! (position u64, time u64, offset u32), then ids and topics (hash u64, offset u32, sorted), then
//! the offsets of records with an idempotency key (u32).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use tidings_core::cursor::{Incarnation, Position, Timestamp};

use super::{Extent, Growing, Mark, Table};
use crate::disk::format::{HEADER_BYTES as SEGMENT_HEADER_BYTES, VERSION, u32_at, u64_at};

/// What is known of an index file without reading its tables.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::disk) struct Written {
    pub(in crate::disk) extent: Extent,
    marks: u32,
    ids: u32,
    topics: u32,
    keyed: u32,
    checksum: u32,
}

const MAGIC: &[u8; 8] = b"tideidx\n";
const HEADER_BYTES: usize = 80;
const MARK_BYTES: usize = 20;
const PAIR_BYTES: usize = 12;
const KEYED_BYTES: usize = 4;

/// Pairs that are read at once where several follow each other.
const PAIRS_AT_ONCE: u32 = 256;

impl Written {
    /// The bytes of the file, and what will be known of it.
    pub(in crate::disk) fn encode(
        growing: &Growing,
        extent: Extent,
        incarnation: Incarnation,
        first: Position,
    ) -> (Self, Vec<u8>) {
        let mut tables = Vec::new();
        for mark in &growing.marks {
            tables.extend_from_slice(&mark.position.0.to_le_bytes());
            tables.extend_from_slice(&mark.time.0.to_le_bytes());
            tables.extend_from_slice(&mark.offset.to_le_bytes());
        }
        for (hash, offset) in growing.ids.iter().chain(&growing.topics) {
            tables.extend_from_slice(&hash.to_le_bytes());
            tables.extend_from_slice(&offset.to_le_bytes());
        }
        for offset in &growing.keyed {
            tables.extend_from_slice(&offset.to_le_bytes());
        }
        // A segment has less than 2³² bytes, and so fewer records and topics.
        let count = |length: usize| u32::try_from(length).expect("fewer than a segment has bytes");
        let written = Self {
            extent,
            marks: count(growing.marks.len()),
            ids: count(growing.ids.len()),
            topics: count(growing.topics.len()),
            keyed: count(growing.keyed.len()),
            checksum: crc32c::crc32c(&tables),
        };
        let mut file = Vec::with_capacity(HEADER_BYTES + tables.len());
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&VERSION.to_le_bytes());
        file.extend_from_slice(incarnation.as_str().as_bytes());
        file.extend_from_slice(&first.0.to_le_bytes());
        file.extend_from_slice(&extent.next.0.to_le_bytes());
        file.extend_from_slice(&extent.end.to_le_bytes());
        file.extend_from_slice(&extent.time_first.0.to_le_bytes());
        file.extend_from_slice(&extent.time_last.0.to_le_bytes());
        for number in [written.marks, written.ids, written.topics, written.keyed, written.checksum]
        {
            file.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = crc32c::crc32c(&file);
        file.extend_from_slice(&checksum.to_le_bytes());
        assert_eq!(file.len(), HEADER_BYTES);
        file.extend_from_slice(&tables);
        (written, file)
    }

    /// Looks at a file; `None` where it is not there, torn, or not this segment's: it is then
    /// made again.
    pub(in crate::disk) fn look(
        path: &Path,
        incarnation: Incarnation,
        first: Position,
    ) -> Option<Self> {
        let file = File::open(path).ok()?;
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0).ok()?;
        let own = header[..8] == *MAGIC
            && u32_at(&header, 8) == VERSION
            && header[12..20] == *incarnation.as_str().as_bytes()
            && u64_at(&header, 20) == first.0
            && u32_at(&header, 76) == crc32c::crc32c(&header[..76]);
        if !own {
            return None;
        }
        let written = Self {
            extent: Extent {
                next: Position(u64_at(&header, 28)),
                end: u32_at(&header, 36),
                time_first: Timestamp(u64_at(&header, 40)),
                time_last: Timestamp(u64_at(&header, 48)),
            },
            marks: u32_at(&header, 56),
            ids: u32_at(&header, 60),
            topics: u32_at(&header, 64),
            keyed: u32_at(&header, 68),
            checksum: u32_at(&header, 72),
        };
        let whole = file.metadata().ok()?.len() == written.bytes();
        let Extent { next, end, .. } = written.extent;
        (whole && next >= first && end >= SEGMENT_HEADER_BYTES).then_some(written)
    }

    /// Bytes of the file.
    pub(in crate::disk) fn bytes(&self) -> u64 {
        self.keyed_at() + u64::from(self.keyed) * KEYED_BYTES as u64
    }

    /// Whether the tables are as they were written.
    pub(in crate::disk) fn intact(&self, file: &File) -> io::Result<bool> {
        Ok(self.tables(file)?.is_some())
    }

    fn tables(&self, file: &File) -> io::Result<Option<Vec<u8>>> {
        let mut tables = vec![0; self.bytes() as usize - HEADER_BYTES];
        file.read_exact_at(&mut tables, HEADER_BYTES as u64)?;
        Ok((crc32c::crc32c(&tables) == self.checksum).then_some(tables))
    }

    /// Reads all tables; `None` where they are damaged.
    pub(in crate::disk) fn load(&self, file: &File) -> io::Result<Option<Growing>> {
        let Some(tables) = self.tables(file)? else { return Ok(None) };
        let (marks, rest) = tables.split_at(self.marks as usize * MARK_BYTES);
        let (ids, rest) = rest.split_at(self.ids as usize * PAIR_BYTES);
        let (topics, keyed) = rest.split_at(self.topics as usize * PAIR_BYTES);
        Ok(Some(Growing {
            marks: marks.chunks_exact(MARK_BYTES).map(decode_mark).collect(),
            ids: ids.chunks_exact(PAIR_BYTES).map(decode_pair).collect(),
            topics: topics.chunks_exact(PAIR_BYTES).map(decode_pair).collect(),
            keyed: keyed.chunks_exact(KEYED_BYTES).map(|bytes| u32_at(bytes, 0)).collect(),
        }))
    }

    fn table(&self, table: Table) -> (u64, u32) {
        let ids_at = HEADER_BYTES as u64 + u64::from(self.marks) * MARK_BYTES as u64;
        match table {
            Table::Ids => (ids_at, self.ids),
            Table::Topics => (ids_at + u64::from(self.ids) * PAIR_BYTES as u64, self.topics),
        }
    }

    fn keyed_at(&self) -> u64 {
        let (start, count) = self.table(Table::Topics);
        start + u64::from(count) * PAIR_BYTES as u64
    }
}

/// An index file to be searched.
#[derive(Debug)]
pub(in crate::disk) struct OpenIndex {
    pub(in crate::disk) file: File,
    pub(in crate::disk) written: Written,
}

impl OpenIndex {
    /// The last mark at or before a position.
    pub(in crate::disk) fn mark_at(&self, position: Position) -> io::Result<Option<Mark>> {
        self.last_mark(|mark| mark.position <= position)
    }

    /// The last mark before a time.
    pub(in crate::disk) fn mark_before(&self, time: Timestamp) -> io::Result<Option<Mark>> {
        self.last_mark(|mark| mark.time < time)
    }

    fn last_mark(&self, before: impl Fn(&Mark) -> bool) -> io::Result<Option<Mark>> {
        let mark = |number: u32| {
            let mut bytes = [0; MARK_BYTES];
            let at = HEADER_BYTES as u64 + u64::from(number) * MARK_BYTES as u64;
            self.file.read_exact_at(&mut bytes, at).map(|()| decode_mark(&bytes))
        };
        let after = partition(self.written.marks, |number| Ok(before(&mark(number)?)))?;
        after.checked_sub(1).map(mark).transpose()
    }

    /// At most `max` offsets from one on, ascending.
    pub(in crate::disk) fn after(
        &self,
        table: Table,
        hash: u64,
        offset: u32,
        max: usize,
    ) -> io::Result<Vec<u32>> {
        let (_, count) = self.written.table(table);
        let mut from = self.lower_bound(table, (hash, offset))?;
        let mut offsets = Vec::new();
        while from < count && offsets.len() < max {
            let pairs = self.pairs(table, from, (count - from).min(PAIRS_AT_ONCE))?;
            from += pairs.len() as u32;
            let own = pairs.iter().take_while(|pair| pair.0 == hash).map(|pair| pair.1);
            let before = offsets.len();
            offsets.extend(own.take(max - before));
            if offsets.len() - before < pairs.len() {
                break;
            }
        }
        Ok(offsets)
    }

    /// At most `max` offsets before one, descending.
    pub(in crate::disk) fn before(
        &self,
        table: Table,
        hash: u64,
        offset: u32,
        max: usize,
    ) -> io::Result<Vec<u32>> {
        let mut to = self.lower_bound(table, (hash, offset))?;
        let mut offsets = Vec::new();
        while to > 0 && offsets.len() < max {
            let from = to.saturating_sub(PAIRS_AT_ONCE);
            let pairs = self.pairs(table, from, to - from)?;
            to = from;
            let own = pairs.iter().rev().take_while(|pair| pair.0 == hash).map(|pair| pair.1);
            let before = offsets.len();
            offsets.extend(own.take(max - before));
            if offsets.len() - before < pairs.len() {
                break;
            }
        }
        Ok(offsets)
    }

    /// The offsets of records with an idempotency key.
    pub(in crate::disk) fn keyed(&self) -> io::Result<Vec<u32>> {
        let mut bytes = vec![0; self.written.keyed as usize * KEYED_BYTES];
        self.file.read_exact_at(&mut bytes, self.written.keyed_at())?;
        Ok(bytes.chunks_exact(KEYED_BYTES).map(|bytes| u32_at(bytes, 0)).collect())
    }

    /// The number of the first pair that is not less.
    fn lower_bound(&self, table: Table, pair: (u64, u32)) -> io::Result<u32> {
        let (_, count) = self.written.table(table);
        partition(count, |number| Ok(self.pairs(table, number, 1)?[0] < pair))
    }

    fn pairs(&self, table: Table, from: u32, count: u32) -> io::Result<Vec<(u64, u32)>> {
        let (start, _) = self.written.table(table);
        let mut bytes = vec![0; count as usize * PAIR_BYTES];
        self.file.read_exact_at(&mut bytes, start + u64::from(from) * PAIR_BYTES as u64)?;
        Ok(bytes.chunks_exact(PAIR_BYTES).map(decode_pair).collect())
    }
}

/// The first number below `count` for which it is no longer so: `partition_point` over a file.
fn partition(count: u32, so: impl Fn(u32) -> io::Result<bool>) -> io::Result<u32> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if so(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

fn decode_mark(bytes: &[u8]) -> Mark {
    Mark {
        position: Position(u64_at(bytes, 0)),
        time: Timestamp(u64_at(bytes, 8)),
        offset: u32_at(bytes, 16),
    }
}

fn decode_pair(bytes: &[u8]) -> (u64, u32) {
    (u64_at(bytes, 0), u32_at(bytes, 8))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::disk::index::Entry;

    const FIRST: Position = Position(10);

    fn growing(records: &[(u64, Vec<u64>)]) -> Growing {
        let mut growing = Growing::default();
        for (number, (id, topics)) in records.iter().enumerate() {
            let number = number as u32;
            growing.push(Entry {
                mark: Mark {
                    position: Position(FIRST.0 + u64::from(number)),
                    time: Timestamp(u64::from(number / 3)),
                    offset: 64 + number * 5000,
                },
                id: (*id > 0).then_some(*id),
                topics: topics.iter().copied().collect::<BTreeSet<_>>(),
                keyed: number.is_multiple_of(7),
            });
        }
        growing
    }

    fn written(growing: &Growing) -> (tempfile::TempDir, OpenIndex) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        let extent = Extent {
            next: Position(50),
            end: 99,
            time_first: Timestamp(1),
            time_last: Timestamp(2),
        };
        let incarnation = "k3f9x2ab".parse().unwrap();
        let (expected, bytes) = Written::encode(growing, extent, incarnation, FIRST);
        std::fs::write(&path, bytes).unwrap();
        let found = Written::look(&path, incarnation, FIRST).unwrap();
        assert_eq!(found, expected);
        assert_eq!(Written::look(&path, incarnation, Position(11)), None);
        (directory, OpenIndex { file: File::open(path).unwrap(), written: found })
    }

    /// The id and the topics of each record.
    fn records() -> impl Strategy<Value = Vec<(u64, Vec<u64>)>> {
        prop::collection::vec((0_u64..4, prop::collection::vec(0_u64..5, 0..4)), 0..700)
    }

    proptest! {
        #[test]
        fn the_file_answers_as_the_memory_does(
            records in records(),
            offset in 0_u32..4_000_000,
            max in 1_usize..600,
        ) {
            let growing = growing(&records);
            let (_directory, file) = written(&growing);
            for hash in 0..5 {
                for table in [Table::Ids, Table::Topics] {
                    let after = growing.after(table, hash, offset, max);
                    prop_assert_eq!(file.after(table, hash, offset, max).unwrap(), after);
                    let before = growing.before(table, hash, offset, max);
                    prop_assert_eq!(file.before(table, hash, offset, max).unwrap(), before);
                }
            }
            for number in [0, 9, 10, 11, 50, 300, 1000] {
                let (position, time) = (Position(number), Timestamp(number));
                prop_assert_eq!(file.mark_at(position).unwrap(), growing.mark_at(position));
                prop_assert_eq!(file.mark_before(time).unwrap(), growing.mark_before(time));
            }
            prop_assert_eq!(file.keyed().unwrap(), growing.keyed());
            let loaded = file.written.load(&file.file).unwrap().unwrap();
            prop_assert_eq!(format!("{loaded:?}"), format!("{growing:?}"));
        }
    }
}
