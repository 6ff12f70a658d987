//! Reads committed records from segments. All of it blocks, so it is called from threads that
//! may wait for a disk.
//! Knows nothing of appending.

use std::fs::File;
use std::sync::Arc;

use tidings_core::cursor::{Position, Timestamp};
use tidings_core::event::{EventId, Topic};
use tidings_core::topic::Selectors;

use super::format::{HEADER_BYTES, View};
use super::index::Table;
use super::scan::{Scanner, Step};
use super::segment::{Fault, Segment};
use super::shared::{Shared, Snapshot};
use super::sizes::{LOOKUP_BYTES, READ_BYTES_MAX, READ_SEGMENTS_MAX, SCAN_BYTES};
use crate::keys::Fnv;
use crate::page::{self, Filling};
use crate::{Page, ReadError, Record};

/// The log as it was at one moment.
#[derive(Debug)]
pub(super) struct Reader {
    snapshot: Snapshot,
}

/// How many ids with the same hash are looked at at once. There is hardly ever a second.
const SAME_HASH: usize = 16;

impl Reader {
    pub(super) fn new(shared: &Shared) -> Self {
        Self { snapshot: shared.snapshot() }
    }

    /// A page of what is selected, or of all.
    pub(super) fn page(
        &self,
        from: Position,
        selectors: Option<&Selectors>,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Page, Fault> {
        let filling = Filling::new(events_max, bytes_max);
        match selectors.and_then(|selectors| selectors.exact().map(|topics| (selectors, topics))) {
            Some((selectors, topics)) => self.page_by_topics(from, selectors, &topics, filling),
            None => self.page_by_scan(from, selectors, filling),
        }
    }

    fn page_by_scan(
        &self,
        from: Position,
        selectors: Option<&Selectors>,
        mut filling: Filling,
    ) -> Result<Page, Fault> {
        let mut next = from;
        let mut read = 0;
        for segment in &self.snapshot.segments[self.snapshot.segment_with(from)..] {
            let extent = segment.extent();
            let file = segment.open()?;
            let mark = if next > segment.first { segment.search()?.mark_at(next)? } else { None };
            let start = mark.map_or(HEADER_BYTES, |mark| mark.offset);
            let mut scanner =
                Scanner::new(&file, u64::from(start), u64::from(extent.end), SCAN_BYTES);
            while next < extent.next.min(self.snapshot.next) {
                let (_, view) = step(segment, &mut scanner)?;
                let position = view.place.position;
                if position < next {
                    continue;
                }
                if selectors.is_none_or(|selectors| view.selected(selectors))
                    && !filling.push(Arc::new(record(segment, &view)?))
                {
                    return Ok(filling.finish(position));
                }
                next = position.next();
                if filling.full() || read + scanner.bytes_read() >= READ_BYTES_MAX {
                    return Ok(filling.finish(next));
                }
            }
            read += scanner.bytes_read();
        }
        Ok(filling.finish(next))
    }

    fn page_by_topics(
        &self,
        from: Position,
        selectors: &Selectors,
        topics: &[&Topic],
        mut filling: Filling,
    ) -> Result<Page, Fault> {
        let mut next = from;
        let first = self.snapshot.segment_with(from);
        for segment in self.snapshot.segments[first..].iter().take(READ_SEGMENTS_MAX) {
            let extent = segment.extent();
            if next >= extent.next {
                continue;
            }
            let file = segment.open()?;
            let search = segment.search()?;
            let mut offset = search.mark_at(next)?.map_or(HEADER_BYTES, |mark| mark.offset);
            let mut scanner = Scanner::new(&file, 0, u64::from(extent.end), LOOKUP_BYTES);
            loop {
                let max = filling.room().max(1);
                let lists: Result<Vec<_>, _> = topics
                    .iter()
                    .map(|topic| search.after(Table::Topics, hash(topic), offset, max))
                    .collect();
                let offsets = page::merge(lists?, max);
                let Some(last) = offsets.last() else { break };
                offset = last + 1;
                for offset in offsets {
                    scanner.seek(u64::from(offset));
                    let (_, view) = step(segment, &mut scanner)?;
                    let position = view.place.position;
                    if position < next || position >= self.snapshot.next {
                        continue;
                    }
                    if view.selected(selectors) && !filling.push(Arc::new(record(segment, &view)?))
                    {
                        return Ok(filling.finish(position));
                    }
                    next = position.next();
                    if filling.full() {
                        return Ok(filling.finish(next));
                    }
                }
            }
            next = extent.next.min(self.snapshot.next).max(next);
        }
        Ok(filling.finish(next))
    }

    /// The newest event with this id.
    pub(super) fn find_id(&self, id: &EventId) -> Result<Option<Position>, Fault> {
        let hash = Fnv::of(id.as_str().as_bytes());
        for segment in self.segments_backwards() {
            let search = segment.search()?;
            let mut before = u32::MAX;
            let mut offsets = search.before(Table::Ids, hash, before, SAME_HASH)?;
            if offsets.is_empty() {
                continue;
            }
            let file = segment.open()?;
            let mut scanner = lookups(segment, &file);
            while !offsets.is_empty() {
                for offset in offsets {
                    before = offset;
                    scanner.seek(u64::from(offset));
                    let (_, view) = step(segment, &mut scanner)?;
                    if view.id() == Some(id.as_str().as_bytes()) && self.holds(&view) {
                        return Ok(Some(view.place.position));
                    }
                }
                offsets = search.before(Table::Ids, hash, before, SAME_HASH)?;
            }
        }
        Ok(None)
    }

    /// The first event of this time or later, or the tail.
    pub(super) fn since(&self, time: Timestamp) -> Result<Position, Fault> {
        let Snapshot { oldest, next, segments } = &self.snapshot;
        for segment in &segments[self.snapshot.segment_since(time)..] {
            let extent = segment.extent();
            if segment.is_empty() || extent.time_first >= time {
                return Ok(segment.first.clamp(*oldest, *next));
            }
            let file = segment.open()?;
            let mark = segment.search()?.mark_before(time)?;
            let start = mark.map_or(HEADER_BYTES, |mark| mark.offset);
            let mut scanner =
                Scanner::new(&file, u64::from(start), u64::from(extent.end), SCAN_BYTES);
            let mut position = mark.map_or(segment.first, |mark| mark.position);
            while position < extent.next {
                let (_, view) = step(segment, &mut scanner)?;
                if view.place.time >= time {
                    return Ok(view.place.position.clamp(*oldest, *next));
                }
                position = view.place.position.next();
            }
        }
        Ok(*next)
    }

    /// The place of the n-th last selected event, or the oldest.
    pub(super) fn nth_last(&self, events: usize, selectors: &Selectors) -> Result<Position, Fault> {
        let mut left = events;
        let topics = selectors.exact();
        for segment in self.segments_backwards() {
            let found = match &topics {
                Some(topics) => self.last_by_topics(segment, left, selectors, topics)?,
                None => self.last_by_scan(segment, left, selectors)?,
            };
            // The newest first.
            match found.get(left - 1) {
                Some(position) => return Ok(*position),
                None => left -= found.len(),
            }
        }
        Ok(self.snapshot.oldest)
    }

    /// At most `max` last selected events of a segment, the newest first.
    fn last_by_topics(
        &self,
        segment: &Segment,
        max: usize,
        selectors: &Selectors,
        topics: &[&Topic],
    ) -> Result<Vec<Position>, Fault> {
        let mut found = Vec::new();
        let search = segment.search()?;
        let file = segment.open()?;
        let mut scanner = lookups(segment, &file);
        let mut before = u32::MAX;
        while found.len() < max {
            let lists: Result<Vec<Vec<_>>, Fault> = topics
                .iter()
                .map(|topic| {
                    let offsets = search.before(Table::Topics, hash(topic), before, max)?;
                    Ok(offsets.into_iter().map(std::cmp::Reverse).collect())
                })
                .collect();
            let offsets = page::merge(lists?, max);
            let Some(last) = offsets.last() else { break };
            before = last.0;
            for offset in offsets {
                scanner.seek(u64::from(offset.0));
                let (_, view) = step(segment, &mut scanner)?;
                if view.selected(selectors) && self.holds(&view) {
                    found.push(view.place.position);
                }
            }
        }
        Ok(found)
    }

    /// The same for selectors that no index knows.
    fn last_by_scan(
        &self,
        segment: &Segment,
        max: usize,
        selectors: &Selectors,
    ) -> Result<Vec<Position>, Fault> {
        let mut found = std::collections::VecDeque::new();
        let file = segment.open()?;
        let extent = segment.extent();
        let start = u64::from(HEADER_BYTES);
        let mut scanner = Scanner::new(&file, start, u64::from(extent.end), SCAN_BYTES);
        let mut position = segment.first;
        while position < extent.next {
            let (_, view) = step(segment, &mut scanner)?;
            position = view.place.position.next();
            if view.selected(selectors) && self.holds(&view) {
                if found.len() == max {
                    found.pop_back();
                }
                found.push_front(view.place.position);
            }
        }
        Ok(found.into())
    }

    /// Whether a record was within the log at the moment of the snapshot.
    fn holds(&self, view: &View<'_>) -> bool {
        (self.snapshot.oldest..self.snapshot.next).contains(&view.place.position)
    }

    fn segments_backwards(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.snapshot.segments.iter().rev().filter(|segment| !segment.is_empty())
    }
}

fn hash(topic: &Topic) -> u64 {
    Fnv::of(topic.as_str().as_bytes())
}

fn lookups<'f>(segment: &Segment, file: &'f File) -> Scanner<'f> {
    Scanner::new(file, 0, u64::from(segment.extent().end), LOOKUP_BYTES)
}

/// The next record, which has to be there: it is committed.
fn step<'b>(segment: &Segment, scanner: &'b mut Scanner<'_>) -> Result<(u32, View<'b>), Fault> {
    let at = scanner.offset();
    match scanner.step() {
        Ok(Step::Record(offset, view)) => Ok((offset, view)),
        Ok(Step::End | Step::Damaged) => Err(segment.damage(at)),
        Err(error) => Err(segment.io_fault(&error)),
    }
}

fn record(segment: &Segment, view: &View<'_>) -> Result<Record, Fault> {
    view.record().ok_or_else(|| {
        Fault::Failed(format!(
            "{} holds something at position {} that is no event",
            segment.path().display(),
            view.place.position
        ))
    })
}

impl Fault {
    /// What it means to somebody who wanted to read from a position.
    pub(super) fn reading(self, from: Position, oldest: Position) -> ReadError {
        match self {
            // Retention went past while it was read.
            Self::Gone if from < oldest => ReadError::Trimmed { oldest },
            Self::Gone => ReadError::Failed {
                reason: "a segment is missing, though retention did not take it".to_owned(),
            },
            Self::Failed(reason) => ReadError::Failed { reason },
        }
    }
}
