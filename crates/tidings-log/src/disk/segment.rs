//! One segment: how far it goes, and its index wherever that is.
//! Knows nothing of other segments, nor of when it is full.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::RwLock;
use tidings_core::cursor::{Incarnation, Position, Timestamp};

use super::directory::Directory;
use super::files::Files;
use super::format::HEADER_BYTES;
use super::index::{Entry, Extent, Growing, Mark, OpenIndex, Table, Written, entry_of};
use super::scan::{Scanner, Step};
use super::sizes::SCAN_BYTES;

/// A run of positions in a file of its own. Only what is committed is in it: a record that its
/// file holds beyond [`Segment::extent`] does not exist.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) first: Position,
    incarnation: Incarnation,
    path: PathBuf,
    index_path: PathBuf,
    /// A leaf: locked for a few lines by readers, and by the writer for one group.
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    extent: Extent,
    index: Index,
    /// Bytes that the segment's file takes.
    bytes: u64,
}

#[derive(Debug)]
pub(super) enum Index {
    Growing(Growing),
    /// In its file. Its tables are checked when they are first used, so that opening the log
    /// does not have to read them all.
    Written {
        written: Written,
        checked: bool,
    },
}

/// Why a segment could not be read.
#[derive(Debug)]
pub(super) enum Fault {
    /// Its file is not there: retention has taken it, or else somebody.
    Gone,
    /// In a sentence.
    Failed(String),
}

impl Extent {
    /// Of a segment without records.
    pub(super) fn empty(first: Position) -> Self {
        Self { next: first, end: HEADER_BYTES, time_first: Timestamp(0), time_last: Timestamp(0) }
    }
}

impl Segment {
    pub(super) fn new(
        directory: &Directory,
        first: Position,
        extent: Extent,
        index: Index,
        bytes: u64,
    ) -> Self {
        Self {
            first,
            incarnation: directory.incarnation,
            path: directory.segment(first),
            index_path: directory.index(first),
            state: RwLock::new(State { extent, index, bytes }),
        }
    }

    pub(super) fn extent(&self) -> Extent {
        self.state.read().extent
    }

    pub(super) fn is_empty(&self) -> bool {
        self.extent().next == self.first
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of disk.
    pub(super) fn bytes(&self) -> u64 {
        let state = self.state.read();
        state.bytes
            + match &state.index {
                Index::Growing(_) => 0,
                Index::Written { written, .. } => written.bytes(),
            }
    }

    /// Takes committed records, which end before this byte.
    pub(super) fn commit<T>(&self, entries: impl IntoIterator<Item = Entry<T>>, end: u32)
    where
        T: IntoIterator<Item = u64>,
    {
        let mut state = self.state.write();
        let State { extent, index, .. } = &mut *state;
        let Index::Growing(growing) = index else { unreachable!("only the last segment grows") };
        for entry in entries {
            assert_eq!(entry.mark.position, extent.next, "positions have no holes");
            if extent.next == self.first {
                extent.time_first = entry.mark.time;
            }
            extent.next = extent.next.next();
            extent.time_last = entry.mark.time;
            growing.push(entry);
        }
        extent.end = end;
    }

    /// Writes the index to its file, which then also says how far the segment is known to be
    /// good. The records have to be synced before.
    pub(super) fn write_index(&self, files: &Files) -> io::Result<Written> {
        let (written, bytes) = {
            let state = self.state.read();
            match &state.index {
                Index::Growing(growing) => {
                    Written::encode(growing, state.extent, self.incarnation, self.first)
                }
                Index::Written { written, .. } => return Ok(*written),
            }
        };
        files.replace(&self.index_path, &bytes)?;
        Ok(written)
    }

    /// Writes the index of a segment that grows no more, frees the memory that it took, and the
    /// disk behind the last record.
    pub(super) fn seal(&self, files: &Files) -> io::Result<()> {
        let written = self.write_index(files)?;
        self.state.write().index = Index::Written { written, checked: true };
        let file = OpenOptions::new().write(true).open(&self.path)?;
        let end = u64::from(written.extent.end);
        files.cut(&file, end)?;
        self.state.write().bytes = end;
        Ok(())
    }

    /// Removes its files. The index goes last, so that no segment is ever without one for long.
    pub(super) fn remove(&self, files: &Files) -> io::Result<()> {
        files.remove(&self.path)?;
        files.remove(&self.index_path)
    }

    pub(super) fn open(&self) -> Result<File, Fault> {
        File::open(&self.path).map_err(|error| self.io_fault(&error))
    }

    pub(super) fn io_fault(&self, error: &io::Error) -> Fault {
        match error.kind() {
            io::ErrorKind::NotFound => Fault::Gone,
            _ => Fault::Failed(format!("{}: {error}", self.path.display())),
        }
    }

    pub(super) fn damage(&self, offset: u64) -> Fault {
        Fault::Failed(format!(
            "{} is damaged at byte {offset}: stop the server and restore the file from a backup; \
             or, to go on without what it holds, move it and all older segments out of the \
             directory (the log then begins after them)",
            self.path.display()
        ))
    }

    /// Its index, to be searched.
    pub(super) fn search(&self) -> Result<Search<'_>, Fault> {
        let (written, checked) = match &self.state.read().index {
            Index::Growing(_) => return Ok(Search::Growing(self)),
            Index::Written { written, checked } => (*written, *checked),
        };
        let intact = |file: &File| checked || written.intact(file).unwrap_or(false);
        match File::open(&self.index_path) {
            Ok(file) if intact(&file) => {
                if let Index::Written { checked, .. } = &mut self.state.write().index {
                    *checked = true;
                }
                Ok(Search::Written(self, OpenIndex { file, written }))
            }
            Ok(_) => self.reindex(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.reindex(),
            Err(error) => Err(self.io_fault(&error)),
        }
    }

    /// Makes an index that was lost from the segment again. It stays in memory until the next
    /// start: this is too rare to be written in the midst of a read.
    fn reindex(&self) -> Result<Search<'_>, Fault> {
        let file = self.open()?;
        let extent = self.extent();
        let (start, end) = (u64::from(HEADER_BYTES), u64::from(extent.end));
        let mut scanner = Scanner::new(&file, start, end, SCAN_BYTES);
        let mut growing = Growing::default();
        let mut next = self.first;
        while next < extent.next {
            let at = scanner.offset();
            match scanner.step().map_err(|error| self.io_fault(&error))? {
                Step::Record(offset, view) if view.place.position == next => {
                    growing.push(entry_of(offset, &view));
                    next = next.next();
                }
                _ => return Err(self.damage(at)),
            }
        }
        self.state.write().index = Index::Growing(growing);
        Ok(Search::Growing(self))
    }
}

/// An index that is searched, wherever it is.
#[derive(Debug)]
pub(super) enum Search<'s> {
    Growing(&'s Segment),
    Written(&'s Segment, OpenIndex),
}

impl Search<'_> {
    /// The last mark at or before a position.
    pub(super) fn mark_at(&self, position: Position) -> Result<Option<Mark>, Fault> {
        self.ask(|growing| growing.mark_at(position), |file| file.mark_at(position))
    }

    /// The last mark before a time.
    pub(super) fn mark_before(&self, time: Timestamp) -> Result<Option<Mark>, Fault> {
        self.ask(|growing| growing.mark_before(time), |file| file.mark_before(time))
    }

    /// At most `max` offsets of records with this hash, from one on, ascending.
    pub(super) fn after(
        &self,
        table: Table,
        hash: u64,
        offset: u32,
        max: usize,
    ) -> Result<Vec<u32>, Fault> {
        self.ask(
            |growing| growing.after(table, hash, offset, max),
            |file| file.after(table, hash, offset, max),
        )
    }

    /// At most `max` offsets of records with this hash, before one, descending.
    pub(super) fn before(
        &self,
        table: Table,
        hash: u64,
        offset: u32,
        max: usize,
    ) -> Result<Vec<u32>, Fault> {
        self.ask(
            |growing| growing.before(table, hash, offset, max),
            |file| file.before(table, hash, offset, max),
        )
    }

    /// The offsets of records with an idempotency key.
    pub(super) fn keyed(&self) -> Result<Vec<u32>, Fault> {
        self.ask(|growing| growing.keyed().to_vec(), OpenIndex::keyed)
    }

    fn ask<T>(
        &self,
        memory: impl FnOnce(&Growing) -> T,
        file: impl Fn(&OpenIndex) -> io::Result<T>,
    ) -> Result<T, Fault> {
        match self {
            Search::Written(segment, open) => file(open).map_err(|error| segment.io_fault(&error)),
            Search::Growing(segment) => {
                if let Index::Growing(growing) = &segment.state.read().index {
                    return Ok(memory(growing));
                }
                // It was sealed since the search began.
                match segment.search()? {
                    Search::Written(_, open) => {
                        file(&open).map_err(|error| segment.io_fault(&error))
                    }
                    Search::Growing(_) => Err(Fault::Failed(format!(
                        "the index of {} was lost while it was searched: try again",
                        segment.path.display()
                    ))),
                }
            }
        }
    }
}
