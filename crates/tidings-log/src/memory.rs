//! A log in memory: a ring of records, bounded by bytes and by age, gone with its process.
//! Knows nothing of files.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use foldhash::quality;
use parking_lot::Mutex;
use tidings_core::cursor::{Incarnation, Position, Timestamp};
use tidings_core::event::{EventId, Topic};
use tidings_core::limits::{LOG_AGE_MAX, MEMORY_LOG_BYTES_MAX, PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use tidings_core::topic::Selectors;
use tokio::sync::watch;

use crate::keys::Keys;
use crate::page::{self, Filling};
use crate::{
    Append, AppendError, Appended, Bounds, Follow, FollowError, Log, Mark, Page, Read, ReadError,
    Record, Usage,
};

/// What a log in memory keeps.
#[derive(Clone, Copy, Debug)]
pub struct MemoryOptions {
    /// Bytes of memory, the index included, roughly. The oldest events go first.
    pub bytes_max: u64,
    /// How long an event is kept.
    pub age_max: Duration,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self { bytes_max: MEMORY_LOG_BYTES_MAX, age_max: LOG_AGE_MAX }
    }
}

/// A log in memory. A new one is another incarnation, so that no cursor of an earlier process
/// can be mistaken for one of its own.
#[derive(Debug)]
pub struct Memory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    incarnation: Incarnation,
    options: MemoryOptions,
    /// A leaf: locked for a few lines, never across an await.
    ring: Mutex<Ring>,
    /// Says that `ring` has more, or has been closed.
    changed: watch::Sender<()>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(MemoryOptions::default())
    }
}

impl Memory {
    /// An empty log.
    #[must_use]
    pub fn new(options: MemoryOptions) -> Self {
        Self::with_incarnation(options, random_incarnation())
    }

    /// An empty log of this incarnation, for tests that want the same one every time.
    #[must_use]
    pub fn with_incarnation(options: MemoryOptions, incarnation: Incarnation) -> Self {
        let (changed, _) = watch::channel(());
        let ring = Mutex::new(Ring::default());
        Self { shared: Arc::new(Shared { incarnation, options, ring, changed }) }
    }

    /// The position of the n-th last selected event, where some selector is a pattern: no index
    /// helps, so it looks from the tail backwards, a stretch at a time, so that the lock is free
    /// in between.
    fn nth_last_by_scan(&self, events: usize, selectors: &Selectors) -> Position {
        let mut left = events;
        let mut before = self.shared.ring.lock().next();
        loop {
            let stretch = {
                let ring = self.shared.ring.lock();
                let from = Position(before.0.saturating_sub(LOOKS_MAX as u64)).max(ring.oldest);
                if from >= before {
                    return ring.oldest;
                }
                before = from;
                ring.stretch(from, LOOKS_MAX)
            };
            for record in stretch.iter().rev().filter(|r| selectors.matches(&r.event.topics)) {
                left -= 1;
                if left == 0 {
                    return record.position;
                }
            }
        }
    }
}

/// Records that are looked at in one go: it bounds the time that the lock is held and the work
/// of one read.
const LOOKS_MAX: usize = 1024;

#[async_trait]
impl Log for Memory {
    fn bounds(&self) -> Bounds {
        let ring = self.shared.ring.lock();
        Bounds { incarnation: self.shared.incarnation, oldest: ring.oldest, next: ring.next() }
    }

    async fn append(&self, mut batch: Vec<Append>) -> Result<Vec<Appended>, AppendError> {
        for append in &mut batch {
            append.event.data = append.event.data.unshared();
        }
        let answers = self.shared.ring.lock().append(batch, self.shared.options.bytes_max)?;
        self.shared.changed.send_replace(());
        Ok(answers)
    }

    async fn read(&self, read: Read<'_>) -> Result<Page, ReadError> {
        let mut filling = Filling::new(read.events_max, read.bytes_max);
        let (records, next) = {
            let ring = self.shared.ring.lock();
            let from = read.from.max(Position::FIRST);
            if from < ring.oldest {
                return Err(ReadError::Trimmed { oldest: ring.oldest });
            }
            match read.selectors.exact() {
                Some(topics) => ring.of_topics(&topics, from, filling.room()),
                None => {
                    let records = ring.stretch(from, LOOKS_MAX);
                    let next = Position(from.0 + records.len() as u64);
                    (records, next)
                }
            }
        };
        for record in records {
            if filling.full() {
                return Ok(filling.finish(record.position));
            }
            let position = record.position;
            if read.selectors.matches(&record.event.topics) && !filling.push(record) {
                return Ok(filling.finish(position));
            }
        }
        Ok(filling.finish(next))
    }

    async fn find(&self, mark: Mark<'_>) -> Result<Option<Position>, ReadError> {
        let ring = self.shared.ring.lock();
        Ok(match mark {
            Mark::Id(id) => ring.ids.get(id).copied(),
            Mark::Last { events: 0, .. } => Some(ring.next()),
            Mark::Last { events, selectors } => Some(match selectors.exact() {
                Some(topics) => ring.nth_last_of_topics(&topics, events),
                None => {
                    drop(ring);
                    self.nth_last_by_scan(events, selectors)
                }
            }),
            Mark::Time(time) => Some(ring.first_since(time)),
        })
    }

    fn follow(&self, from: Position) -> Box<dyn Follow> {
        Box::new(Follower {
            next: from.max(Position::FIRST),
            changed: self.shared.changed.subscribe(),
            shared: Arc::clone(&self.shared),
        })
    }

    async fn trim(&self, now: Timestamp) -> Result<(), String> {
        let age_max = u64::try_from(self.shared.options.age_max.as_millis()).unwrap_or(u64::MAX);
        let cutoff = Timestamp(now.0.saturating_sub(age_max));
        let mut ring = self.shared.ring.lock();
        while ring.records.front().is_some_and(|record| record.time < cutoff) {
            ring.drop_oldest();
        }
        ring.keys.expire(now);
        Ok(())
    }

    fn health(&self) -> Result<(), String> {
        if self.shared.ring.lock().closed { Err(AppendError::Closed.to_string()) } else { Ok(()) }
    }

    fn usage(&self) -> Usage {
        let ring = self.shared.ring.lock();
        Usage { events: ring.records.len() as u64, bytes: ring.bytes }
    }

    async fn close(&self) {
        self.shared.ring.lock().closed = true;
        self.shared.changed.send_replace(());
    }
}

struct Follower {
    next: Position,
    shared: Arc<Shared>,
    changed: watch::Receiver<()>,
}

#[async_trait]
impl Follow for Follower {
    async fn next(&mut self) -> Result<Vec<Arc<Record>>, FollowError> {
        loop {
            // Seen before looking: what comes after the look wakes the wait below.
            self.changed.borrow_and_update();
            {
                let ring = self.shared.ring.lock();
                if self.next < ring.oldest {
                    self.next = ring.oldest;
                    return Err(FollowError::Trimmed { oldest: ring.oldest });
                }
                let mut filling = Filling::new(PAGE_EVENTS_MAX, PAGE_BYTES_MAX);
                let stretch = ring.stretch(self.next, PAGE_EVENTS_MAX);
                let closed = ring.closed;
                drop(ring);
                let taken = stretch.into_iter().take_while(|r| filling.push(Arc::clone(r))).count();
                if taken > 0 {
                    self.next = Position(self.next.0 + taken as u64);
                    return Ok(filling.finish(self.next).records);
                }
                if closed {
                    return Err(FollowError::Closed);
                }
            }
            // Cannot fail: this follower keeps the sender alive.
            let _ = self.changed.changed().await;
        }
    }
}

/// The records and what finds them.
#[derive(Debug)]
struct Ring {
    records: VecDeque<Arc<Record>>,
    /// The position of the first of `records`, or of the next one where there are none.
    oldest: Position,
    /// The sum of [`cost`] over `records`.
    bytes: u64,
    /// Of the newest record ever.
    time: Timestamp,
    topics: HashMap<Topic, VecDeque<Position>, quality::RandomState>,
    ids: HashMap<EventId, Position, quality::RandomState>,
    keys: Keys,
    closed: bool,
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            records: VecDeque::new(),
            oldest: Position::FIRST,
            bytes: 0,
            time: Timestamp(0),
            topics: HashMap::default(),
            ids: HashMap::default(),
            keys: Keys::default(),
            closed: false,
        }
    }
}

impl Ring {
    fn next(&self) -> Position {
        Position(self.oldest.0 + self.records.len() as u64)
    }

    fn append(&mut self, batch: Vec<Append>, bytes_max: u64) -> Result<Vec<Appended>, AppendError> {
        if self.closed {
            return Err(AppendError::Closed);
        }
        if let Some(bytes) = batch.iter().map(cost).find(|bytes| *bytes > bytes_max) {
            return Err(AppendError::TooLarge { bytes, bytes_max });
        }
        let answers = self.keys.admit(&batch, self.next())?;
        for (append, answer) in batch.into_iter().zip(&answers) {
            if !answer.repeated {
                self.push(append, answer.position);
            }
        }
        while self.bytes > bytes_max {
            self.drop_oldest();
        }
        Ok(answers)
    }

    fn push(&mut self, append: Append, position: Position) {
        self.bytes += cost(&append);
        self.time = self.time.max(append.time);
        let Append { event, key, .. } = append;
        if let Some(key) = key {
            self.keys.remember(&key, position, self.time, &event);
        }
        for topic in &event.topics {
            match self.topics.get_mut(topic) {
                Some(positions) => positions.push_back(position),
                None => drop(self.topics.insert(topic.clone(), VecDeque::from([position]))),
            }
        }
        if let Some(id) = &event.id {
            self.ids.insert(id.clone(), position);
        }
        self.records.push_back(Arc::new(Record { position, print: None, time: self.time, event }));
    }

    fn drop_oldest(&mut self) {
        let Some(record) = self.records.pop_front() else { return };
        self.oldest = record.position.next();
        self.bytes -= event_cost(&record.event);
        for topic in &record.event.topics {
            let Some(positions) = self.topics.get_mut(topic) else { continue };
            positions.pop_front();
            if positions.is_empty() {
                self.topics.remove(topic);
            } else if positions.capacity() > 64 && positions.len() < positions.capacity() / 4 {
                // What a busy hour has made large must not stay so for ever.
                positions.shrink_to(positions.len() * 2);
            }
        }
        if let Some(id) = &record.event.id
            && self.ids.get(id) == Some(&record.position)
        {
            self.ids.remove(id);
        }
    }

    fn at(&self, position: Position) -> Option<&Arc<Record>> {
        self.records.get(usize::try_from(position.0.checked_sub(self.oldest.0)?).ok()?)
    }

    /// At most `max` records from a position on.
    fn stretch(&self, from: Position, max: usize) -> Vec<Arc<Record>> {
        let skip = usize::try_from(from.0.saturating_sub(self.oldest.0)).unwrap_or(usize::MAX);
        let skip = skip.min(self.records.len());
        let end = skip.saturating_add(max).min(self.records.len());
        self.records.range(skip..end).cloned().collect()
    }

    /// The first records of these topics from a position on, at least `max` where there are so
    /// many; and where to go on after them.
    fn of_topics(
        &self,
        topics: &[&Topic],
        from: Position,
        max: usize,
    ) -> (Vec<Arc<Record>>, Position) {
        let lists = topics.iter().filter_map(|topic| self.topics.get(*topic)).map(|positions| {
            let skip = positions.partition_point(|position| *position < from);
            positions.range(skip..).take(max).copied().collect::<Vec<_>>()
        });
        let mut positions = page::merge(lists.collect(), max);
        let next = if positions.len() >= max {
            positions.truncate(max);
            positions.last().map_or(from, |position| position.next())
        } else {
            self.next().max(from)
        };
        (positions.into_iter().filter_map(|position| self.at(position).cloned()).collect(), next)
    }

    fn nth_last_of_topics(&self, topics: &[&Topic], events: usize) -> Position {
        let lists = topics.iter().filter_map(|topic| self.topics.get(*topic)).map(|positions| {
            positions.iter().rev().take(events).map(|p| std::cmp::Reverse(*p)).collect()
        });
        let merged = page::merge(lists.collect(), events);
        merged.get(events - 1).map_or(self.oldest, |position| position.0)
    }

    fn first_since(&self, time: Timestamp) -> Position {
        let before = self.records.partition_point(|record| record.time < time);
        Position(self.oldest.0 + before as u64)
    }
}

fn cost(append: &Append) -> u64 {
    event_cost(&append.event)
}

/// What a record takes with its places in the index: a hundred short topics weigh far more there
/// than in the event.
fn event_cost(event: &tidings_core::event::Event) -> u64 {
    const INDEX_ENTRY_BYTES: usize = 96;
    let entries = event.topics.iter().count() + usize::from(event.id.is_some());
    (event.weight() + entries * INDEX_ENTRY_BYTES) as u64
}

/// The standard library seeds its hash tables from the system's random numbers, which saves us a
/// dependency: an incarnation has to be different, not secret.
pub(crate) fn random_incarnation() -> Incarnation {
    Incarnation::from_random(random_number())
}

/// The same chance, as a number.
pub(crate) fn random_number() -> u64 {
    RandomState::new().hash_one("incarnation")
}

/// As random, and as little secret.
#[cfg(feature = "redis")]
pub(crate) fn random_fingerprint() -> tidings_core::cursor::Fingerprint {
    tidings_core::cursor::Fingerprint::from_bits(RandomState::new().hash_one("fingerprint") as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, Settings};

    #[tokio::test]
    async fn memory_keeps_the_promises() {
        conformance::run(async |Settings { bytes_max, age_max }| {
            Memory::new(MemoryOptions { bytes_max, age_max })
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn memory_keeps_the_promises_on_several_threads() {
        conformance::run(async |Settings { bytes_max, age_max }| {
            Memory::new(MemoryOptions { bytes_max, age_max })
        })
        .await;
    }

    #[test]
    fn two_logs_are_two_incarnations() {
        assert_ne!(Memory::default().bounds().incarnation, Memory::default().bounds().incarnation);
    }
}
