//! What the log's threads and its callers share: which segments there are, the bounds, and the
//! records behind the tail.
//! Knows nothing of who does what with it.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidings_core::cursor::{Position, Timestamp};
use tidings_core::limits::LOG_READS_MAX;
use tokio::sync::{Semaphore, watch};

use super::directory::Directory;
use super::options::SyncPolicy;
use super::queue::Queue;
use super::segment::Segment;
use super::sizes::RECENT_BYTES_MAX;
use crate::{Record, Usage};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) directory: Directory,
    pub(super) sync: SyncPolicy,
    pub(super) bytes_max: u64,
    pub(super) age_max: Duration,
    /// What a segment takes, unless a batch needs more.
    pub(super) segment_bytes: u64,
    pub(super) queue: Queue,
    /// The segment that comes next, if it is ready. Locked for as long as it takes to make it:
    /// whoever needs it would have to make it otherwise.
    pub(super) spare: Mutex<Option<Spare>>,
    pub(super) spare_bytes: AtomicU64,
    /// A leaf: locked for a few lines, never across an await.
    pub(super) state: Mutex<State>,
    /// Says that there is more, or that the log was closed.
    pub(super) changed: watch::Sender<()>,
    /// Bounds the threads that read.
    pub(super) reads: Arc<Semaphore>,
}

#[derive(Debug)]
pub(super) struct Spare {
    pub(super) file: File,
    pub(super) bytes: u64,
}

#[derive(Debug)]
pub(super) struct State {
    /// The oldest that is kept. Retention by age may have passed the beginning of the first
    /// segment: such events are no longer given to anybody, though they still take room.
    pub(super) oldest: Position,
    /// The tail: what is before it is committed.
    pub(super) next: Position,
    /// In order; the last one is the one that grows. Replaced when it changes, so that readers
    /// have a whole one.
    pub(super) segments: Arc<Vec<Arc<Segment>>>,
    pub(super) recent: Recent,
    /// Why nothing can be appended.
    pub(super) trouble: Option<String>,
    pub(super) closed: bool,
}

/// What a reader works on.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) oldest: Position,
    pub(super) next: Position,
    pub(super) segments: Arc<Vec<Arc<Segment>>>,
}

impl Shared {
    pub(super) fn new(
        directory: Directory,
        sync: SyncPolicy,
        bytes_max: u64,
        age_max: Duration,
        segments: Vec<Arc<Segment>>,
    ) -> Self {
        let oldest = segments.first().map_or(Position::FIRST, |segment| segment.first);
        let next = segments.last().map_or(Position::FIRST, |segment| segment.extent().next);
        Self {
            directory,
            sync,
            bytes_max,
            age_max,
            segment_bytes: super::segment_bytes(bytes_max),
            queue: Queue::default(),
            spare: Mutex::default(),
            spare_bytes: AtomicU64::default(),
            state: Mutex::new(State {
                oldest,
                next,
                segments: Arc::new(segments),
                recent: Recent::new(next),
                trouble: None,
                closed: false,
            }),
            changed: watch::channel(()).0,
            reads: Arc::new(Semaphore::new(LOG_READS_MAX)),
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let state = self.state.lock();
        Snapshot { oldest: state.oldest, next: state.next, segments: Arc::clone(&state.segments) }
    }

    /// Makes committed records visible, and wakes those who wait for them. The segment has them
    /// already.
    pub(super) fn publish(&self, records: Vec<Arc<Record>>) {
        {
            let mut state = self.state.lock();
            if let Some(last) = records.last() {
                state.next = last.position.next();
            }
            state.recent.extend(records);
            state.trouble = None;
        }
        self.changed.send_replace(());
    }

    /// Sets the list of segments anew.
    pub(super) fn change_segments(&self, change: impl FnOnce(&mut Vec<Arc<Segment>>)) {
        let mut state = self.state.lock();
        change(Arc::make_mut(&mut state.segments));
    }

    /// Lets go of segments that are past the oldest position or beyond the bytes, oldest first,
    /// never the last one.
    pub(super) fn retain(&self, oldest: Position) -> Vec<Arc<Segment>> {
        let mut state = self.state.lock();
        state.oldest = state.oldest.max(oldest);
        // The spare counts before it is there: it is made after room was made for it.
        let mut bytes = self.segment_bytes + bytes_of(&state.segments);
        let mut gone = Vec::new();
        for segment in &state.segments[..state.segments.len().saturating_sub(1)] {
            if segment.extent().next > state.oldest && bytes <= self.bytes_max {
                break;
            }
            bytes -= segment.bytes();
            gone.push(Arc::clone(segment));
        }
        if !gone.is_empty() {
            let segments = Arc::make_mut(&mut state.segments);
            segments.drain(..gone.len());
            let first = segments[0].first;
            state.oldest = state.oldest.max(first);
        }
        gone
    }

    pub(super) fn usage(&self) -> Usage {
        let Snapshot { oldest, next, segments } = self.snapshot();
        let bytes = bytes_of(&segments) + self.spare_bytes.load(Ordering::Relaxed);
        Usage { events: next.0 - oldest.0, bytes }
    }
}

fn bytes_of(segments: &[Arc<Segment>]) -> u64 {
    segments.iter().map(|segment| segment.bytes()).sum()
}

impl Snapshot {
    /// The segment that holds a position, by its number, or the last one.
    pub(super) fn segment_with(&self, position: Position) -> usize {
        let after = self.segments.partition_point(|segment| segment.first <= position);
        after.saturating_sub(1)
    }

    /// The first segment that may have records of this time or later, by its number.
    pub(super) fn segment_since(&self, time: Timestamp) -> usize {
        self.segments
            .partition_point(|segment| !segment.is_empty() && segment.extent().time_last < time)
    }
}

/// The records behind the tail, which most readers want, in a bounded number of bytes.
#[derive(Debug)]
pub(super) struct Recent {
    records: VecDeque<Arc<Record>>,
    /// The position of the first of them, or the tail.
    first: Position,
    bytes: usize,
}

impl Recent {
    pub(super) fn new(next: Position) -> Self {
        Self { records: VecDeque::new(), first: next, bytes: 0 }
    }

    fn extend(&mut self, records: Vec<Arc<Record>>) {
        self.bytes += records.iter().map(|record| record.event.weight()).sum::<usize>();
        self.records.extend(records);
        while self.bytes > RECENT_BYTES_MAX
            && let Some(record) = self.records.pop_front()
        {
            self.bytes -= record.event.weight();
            self.first = record.position.next();
        }
    }

    /// At most `max` records from a position on; `None` where some of them are not here.
    pub(super) fn from(&self, from: Position, max: usize) -> Option<Vec<Arc<Record>>> {
        let skip = usize::try_from(from.0.checked_sub(self.first.0)?).ok()?;
        let skip = skip.min(self.records.len());
        let end = skip.saturating_add(max).min(self.records.len());
        Some(self.records.range(skip..end).cloned().collect())
    }
}
