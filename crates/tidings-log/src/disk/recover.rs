//! What a directory holds after whatever happened: kept records, a torn tail, or damage.
//! Knows nothing of appending.
//!
//! A crash can tear only what was being written, which is at the end of the last segment; that
//! is cut, since none of it was acknowledged. Everything else that is not as it should be is
//! damage, and reported: cutting there would silently lose what was acknowledged.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use tidings_core::cursor::{Position, Timestamp};
use tidings_core::limits::{IDEMPOTENCY_KEYS_MAX, IDEMPOTENCY_TIME_MAX};

use super::directory::{Directory, io_error};
use super::format::{
    Beginning, HEADER_BYTES, HeaderError, RECORD_MARKER, View, beginning, check_segment_header,
};
use super::index::{Entry, Extent, Growing, Mark, Written, entry_of};
use super::options::OpenError;
use super::scan::{Scanner, Step};
use super::segment::{Fault, Index, Segment};
use super::sizes::{LOOKUP_BYTES, SCAN_BYTES};
use crate::keys::Keys;

/// What was done to the directory when it was opened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Recovery {
    /// Bytes of a torn write that were cut off. With the sync policy `always` none of their
    /// events had been acknowledged; with the others so much was lost with the machine.
    pub bytes_cut: u64,
    /// Segments whose index had to be made again.
    pub indexes_made: usize,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Recovered {
    /// In order, the last one as it can be appended to.
    pub(super) segments: Vec<Arc<Segment>>,
    /// Those whose index is not in a file, though they are full.
    pub(super) unsealed: Vec<Arc<Segment>>,
    /// The last segment's file and its bytes, if there is a segment.
    pub(super) last: Option<(File, u64)>,
    pub(super) keys: Keys,
    pub(super) recovery: Recovery,
}

/// Reads what is needed of these segments, and repairs the last.
pub(super) fn recover(directory: &Directory, firsts: &[Position]) -> Result<Recovered, OpenError> {
    let mut recovered = Recovered {
        segments: Vec::with_capacity(firsts.len()),
        unsealed: Vec::new(),
        last: None,
        keys: Keys::default(),
        recovery: Recovery::default(),
    };
    for (number, first) in firsts.iter().enumerate() {
        match firsts.get(number + 1) {
            Some(until) => full(directory, *first, *until, &mut recovered)?,
            None => last(directory, *first, &mut recovered)?,
        }
    }
    keys(&recovered.segments, &mut recovered.keys).map_err(|fault| OpenError::Foreign {
        file: directory.path().to_owned(),
        reason: match fault {
            Fault::Gone => "a segment vanished while it was read".to_owned(),
            Fault::Failed(reason) => reason,
        },
    })?;
    Ok(recovered)
}

/// A segment with another after it, which begins at `until`. What its file holds from there on
/// could not be committed, and was written again in the next one.
fn full(
    directory: &Directory,
    first: Position,
    until: Position,
    recovered: &mut Recovered,
) -> Result<(), OpenError> {
    let path = directory.segment(first);
    let file = File::open(&path).map_err(io_error("open", &path))?;
    let bytes = checked_header(directory, first, &file)?;
    let written = Written::look(&directory.index(first), directory.incarnation, first);
    if let Some(written) = written
        && written.extent.next == until
        && u64::from(written.extent.end) <= bytes
    {
        let index = Index::Written { written, checked: false };
        let segment = Segment::new(directory, first, written.extent, index, bytes);
        recovered.segments.push(Arc::new(segment));
        return Ok(());
    }
    let mut found = Found::new(first, Growing::default(), Extent::empty(first));
    let stop = found.scan(&file, bytes, until).map_err(io_error("read", &path))?;
    if found.extent.next != until {
        let rest = last_byte_set(&file, stop.offset, bytes).map_err(io_error("read", &path))?;
        return Err(match rest {
            None => missing(directory, stop.position, until),
            Some(_) => damaged(path, stop),
        });
    }
    let index = Index::Growing(found.growing);
    let segment = Arc::new(Segment::new(directory, first, found.extent, index, bytes));
    recovered.recovery.indexes_made += 1;
    recovered.unsealed.push(Arc::clone(&segment));
    recovered.segments.push(segment);
    Ok(())
}

/// The last segment, which may end in a torn write.
fn last(
    directory: &Directory,
    first: Position,
    recovered: &mut Recovered,
) -> Result<(), OpenError> {
    let path = directory.segment(first);
    let open = OpenOptions::new().read(true).write(true).open(&path);
    let file = open.map_err(io_error("open", &path))?;
    let bytes = checked_header(directory, first, &file)?;
    let read_error = |error| io_error("read", &path)(error);
    let mut found = checkpoint(directory, first, bytes)?;
    let stop = found.scan(&file, bytes, Position(u64::MAX)).map_err(read_error)?;
    let end = u64::from(found.extent.end);
    let write_error = |error| io_error("repair", &path)(error);
    // What the file's own records don't vouch for may be in the system's cache only: if the
    // process died after a failed sync, the system takes it for written. So it is written again.
    rewrite(directory, &file, found.vouched.min(end), end).map_err(write_error)?;
    if let Some(torn_to) = last_byte_set(&file, end, bytes).map_err(read_error)? {
        if vouched_beyond(&file, end, bytes, found.extent.next).map_err(read_error)? {
            return Err(damaged(path, stop));
        }
        directory.files.zero(&file, end, torn_to).map_err(write_error)?;
        recovered.recovery.bytes_cut = torn_to - end;
    }
    directory.files.sync(&file).map_err(io_error("sync", &path))?;
    let index = Index::Growing(found.growing);
    recovered.segments.push(Arc::new(Segment::new(directory, first, found.extent, index, bytes)));
    recovered.last = Some((file, bytes));
    Ok(())
}

/// Where to begin with the last segment: closing the log leaves an index, which says up to where
/// all was good, so that only what came after has to be read.
fn checkpoint(directory: &Directory, first: Position, bytes: u64) -> Result<Found, OpenError> {
    let path = directory.index(first);
    let written = Written::look(&path, directory.incarnation, first);
    let loaded = written.and_then(|written| {
        let growing = written.load(&File::open(&path).ok()?).ok()??;
        Some((written.extent, growing))
    });
    let Some((extent, growing)) = loaded else {
        return Ok(Found::new(first, Growing::default(), Extent::empty(first)));
    };
    if u64::from(extent.end) > bytes {
        let file = directory.segment(first);
        return Err(OpenError::Damaged { file, offset: bytes, position: extent.next.0 });
    }
    Ok(Found::new(first, growing, extent))
}

fn damaged(file: PathBuf, stop: Stop) -> OpenError {
    OpenError::Damaged { file, offset: stop.offset, position: stop.position.0 }
}

fn missing(directory: &Directory, from: Position, until: Position) -> OpenError {
    let directory = directory.path().to_owned();
    OpenError::Missing { directory, from: from.0, to: until.0.saturating_sub(1) }
}

/// Checks a segment's header, and says how many bytes its file has.
fn checked_header(directory: &Directory, first: Position, file: &File) -> Result<u64, OpenError> {
    let path = directory.segment(first);
    let bytes = file.metadata().map_err(io_error("read", &path))?.len();
    let mut header = vec![0; bytes.min(u64::from(HEADER_BYTES)) as usize];
    file.read_exact_at(&mut header, 0).map_err(io_error("read", &path))?;
    match check_segment_header(&header, directory.incarnation, first) {
        Ok(()) if bytes <= u64::from(u32::MAX) => Ok(bytes),
        Ok(()) => {
            let reason = "it is larger than any segment".to_owned();
            Err(OpenError::Foreign { file: path, reason })
        }
        Err(HeaderError::Version(found)) => {
            Err(OpenError::Version { file: path, found: found.to_string() })
        }
        Err(HeaderError::Foreign(reason)) => {
            Err(OpenError::Foreign { file: path, reason: reason.to_owned() })
        }
    }
}

/// What was found in a segment so far.
#[derive(Debug)]
struct Found {
    first: Position,
    growing: Growing,
    extent: Extent,
    /// Up to which byte a later record, or the index, says that all was synced.
    vouched: u64,
}

/// Where a scan found no further record, and which one it looked for.
#[derive(Clone, Copy, Debug)]
struct Stop {
    offset: u64,
    position: Position,
}

impl Found {
    fn new(first: Position, growing: Growing, extent: Extent) -> Self {
        Self { first, growing, extent, vouched: u64::from(extent.end) }
    }

    /// Takes records up to this position, batch by batch, and says where it stopped.
    fn scan(&mut self, file: &File, bytes: u64, until: Position) -> io::Result<Stop> {
        let mut scanner = Scanner::new(file, u64::from(self.extent.end), bytes, SCAN_BYTES);
        let mut batch: Vec<Entry<Vec<u64>>> = Vec::new();
        let mut next = self.extent.next;
        let mut time = self.extent.time_last;
        while next < until {
            let stop = Stop { offset: scanner.offset(), position: next };
            let Step::Record(offset, view) = scanner.step()? else { return Ok(stop) };
            if view.place.position != next || view.place.time < time {
                return Ok(stop);
            }
            next = next.next();
            time = view.place.time;
            self.vouched = self.vouched.max(u64::from(view.place.synced));
            let Entry { mark, id, topics, keyed } = entry_of(offset, &view);
            batch.push(Entry { mark, id, topics: topics.collect(), keyed });
            if !view.place.more {
                self.take(&mut batch, scanner.offset());
            }
        }
        Ok(Stop { offset: scanner.offset(), position: next })
    }

    fn take(&mut self, batch: &mut Vec<Entry<Vec<u64>>>, end: u64) {
        for entry in batch.drain(..) {
            let Mark { position, time, .. } = entry.mark;
            if position == self.first {
                self.extent.time_first = time;
            }
            self.extent.next = position.next();
            self.extent.time_last = time;
            self.growing.push(entry);
        }
        self.extent.end = u32::try_from(end).expect("a segment has less than 2³² bytes");
    }
}

/// The byte after the last one that is not zero.
fn last_byte_set(file: &File, from: u64, to: u64) -> io::Result<Option<u64>> {
    let mut last = None;
    in_chunks(file, from, to, |offset, bytes| {
        if let Some(at) = bytes.iter().rposition(|byte| *byte != 0) {
            last = Some(offset + at as u64 + 1);
        }
        Ok(())
    })?;
    Ok(last)
}

/// Whether a record from `end` on says that the bytes at `end` had been synced before it was
/// written: no crash tears those. A record can begin anywhere there, but only with a byte that
/// no publisher can write.
fn vouched_beyond(file: &File, end: u64, bytes: u64, next: Position) -> io::Result<bool> {
    let mut torn = Vec::new();
    in_chunks(file, end, bytes, |_, chunk| {
        torn.extend_from_slice(chunk);
        Ok(())
    })?;
    let marked = torn.iter().enumerate().filter(|(_, byte)| **byte == RECORD_MARKER);
    Ok(marked.map(|(at, _)| &torn[at..]).any(|rest| {
        let Beginning::Record(length) = beginning(rest) else { return false };
        let view = rest.get(..length).and_then(View::decode);
        view.is_some_and(|view| view.place.position >= next && u64::from(view.place.synced) > end)
    }))
}

fn rewrite(directory: &Directory, file: &File, from: u64, to: u64) -> io::Result<()> {
    in_chunks(file, from, to, |offset, bytes| directory.files.write(file, bytes, offset))
}

fn in_chunks(
    file: &File,
    from: u64,
    to: u64,
    mut each: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; SCAN_BYTES];
    let mut offset = from;
    while offset < to {
        let bytes = (to - offset).min(buffer.len() as u64) as usize;
        file.read_exact_at(&mut buffer[..bytes], offset)?;
        each(offset, &buffer[..bytes])?;
        offset += bytes as u64;
    }
    Ok(())
}

/// Remembers the keys of the window before the last record, from the records that have one.
fn keys(segments: &[Arc<Segment>], keys: &mut Keys) -> Result<(), Fault> {
    let last = segments.iter().rev().find(|segment| !segment.is_empty());
    let Some(last) = last else { return Ok(()) };
    let window = u64::try_from(IDEMPOTENCY_TIME_MAX.as_millis()).unwrap_or(u64::MAX);
    let since = Timestamp(last.extent().time_last.0.saturating_sub(window));
    let mut uses = Vec::new();
    'segments: for segment in segments.iter().rev().filter(|segment| !segment.is_empty()) {
        let extent = segment.extent();
        if extent.time_last < since {
            break;
        }
        let offsets = segment.search()?.keyed()?;
        let file = segment.open()?;
        let start = u64::from(HEADER_BYTES);
        let mut scanner = Scanner::new(&file, start, u64::from(extent.end), LOOKUP_BYTES);
        for offset in offsets.into_iter().rev() {
            scanner.seek(u64::from(offset));
            let step = scanner.step().map_err(|error| segment.io_fault(&error))?;
            // Damage is for those to be told who read the record; its key is not worth refusing
            // to start.
            let Step::Record(_, view) = step else { continue };
            if view.place.time < since || uses.len() >= IDEMPOTENCY_KEYS_MAX {
                break 'segments;
            }
            if let (Some(key), Some(record)) = (view.key(), view.record()) {
                uses.push((key, record));
            }
        }
    }
    for (key, record) in uses.iter().rev() {
        keys.remember(key, record.position, record.time, &record.event);
    }
    Ok(())
}
