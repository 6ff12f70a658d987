//! Looking back. Knows nothing of streams, but that one goes on where a page ends.

use std::collections::VecDeque;
use std::sync::Arc;

use tidings_core::cursor::{Cursor, Incarnation, Position};
use tidings_core::limits::{HISTORY_BYTES_MAX, PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use tidings_core::shard::Filter;
use tidings_core::topic::Selectors;
use tidings_log::{Read, ReadError, Record};

use super::Hub;
use crate::engine::place::{self, Place, Start};
use crate::engine::places::{self, Part};
use crate::engine::terms::{Bookmark, History};

impl Hub {
    /// A page of what was published before: at most `events` events from `start` on (fewer where
    /// they are large: [`HISTORY_BYTES_MAX`]); for [`Start::Live`], the last ones. Cancel safe.
    ///
    /// # Errors
    /// Where the log can't be read.
    pub async fn history(
        &self,
        filter: &Filter,
        start: Start,
        events: usize,
    ) -> Result<History, ReadError> {
        let start = if start == Start::Live { Start::Last(events) } else { start };
        if self.is_partitioned() {
            return self.history_of_several(filter, &start, events).await;
        }
        let log = &*self.inner.lanes[0].log;
        let selectors = &filter.selectors;
        let place = place::find(log, &self.running(0).tail, &start, selectors).await?;
        let mut next = place.next;
        let mut records: Vec<Arc<Record>> = Vec::new();
        let mut bytes = 0;
        while records.len() < events && bytes < HISTORY_BYTES_MAX {
            let read = Read {
                from: next,
                selectors,
                events_max: (events - records.len()).min(PAGE_EVENTS_MAX),
                bytes_max: PAGE_BYTES_MAX,
            };
            let page = match log.read(read).await {
                // It was passed between the look and the read.
                Err(ReadError::Trimmed { oldest }) => {
                    next = oldest;
                    continue;
                }
                page => page?,
            };
            let seen = page
                .records
                .into_iter()
                .filter(|record| filter.may_see(record.event.private, &record.event.topics));
            records.extend(seen.inspect(|record| bytes += record.event.weight()));
            if page.next == next {
                break;
            }
            next = page.next;
        }
        if self.bounds().incarnation != place.incarnation {
            // Nobody knows of which of the two logs these are.
            let reason = "the log was replaced by another one meanwhile".to_owned();
            return Err(ReadError::Failed { reason });
        }
        let print = match records.last() {
            Some(last) if last.position.next() == next => last.print,
            None if next == place.next => place.print,
            // The event right before was not asked for, and not looked at.
            _ => None,
        };
        let next = Cursor { print, ..Cursor::before(place.incarnation, next) };
        Ok(History {
            incarnations: vec![place.incarnation; records.len()],
            records,
            next: Bookmark::One(next),
            verdict: place.verdict,
        })
    }

    /// The same over several partitions: of all their next events the oldest comes first.
    async fn history_of_several(
        &self,
        filter: &Filter,
        start: &Start,
        events: usize,
    ) -> Result<History, ReadError> {
        let selectors = &filter.selectors;
        let parts = self.parts(selectors).await?;
        let begins = places::find(&self.inner.lanes, &parts, start, selectors).await?;
        let mut readings: Vec<Reading<'_>> = parts
            .iter()
            .zip(begins.places)
            .map(|(part, place)| Reading::new(*part, place))
            .collect();
        let (mut records, mut incarnations) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        while records.len() < events && bytes < HISTORY_BYTES_MAX {
            for reading in &mut readings {
                reading.fill(filter, events).await?;
            }
            let waiting = readings.iter_mut().filter(|reading| !reading.page.is_empty());
            let oldest = waiting.min_by_key(|reading| reading.page[0].time);
            let Some((reading, record)) = oldest.and_then(Reading::take) else { break };
            bytes += record.event.weight();
            incarnations.push(reading);
            records.push(record);
        }
        if readings.iter().any(Reading::is_of_another_log) {
            let reason = "a log was replaced by another one meanwhile".to_owned();
            return Err(ReadError::Failed { reason });
        }
        let places: Vec<Place> = readings.into_iter().map(|reading| reading.place).collect();
        let next = match &places[..] {
            [only] => Bookmark::One(only.cursor()),
            _ => Bookmark::Several(places::vector(self.inner.lanes.len(), &parts, &places)),
        };
        Ok(History { records, incarnations, next, verdict: begins.verdict })
    }

    /// The last events that are selected and not private, oldest first.
    ///
    /// # Errors
    /// Where the log can't be read.
    pub async fn last(
        &self,
        selectors: &Selectors,
        events: usize,
    ) -> Result<Vec<Arc<Record>>, ReadError> {
        let filter = Filter { selectors: selectors.clone(), private: None };
        Ok(self.history(&filter, Start::Last(events), events).await?.records)
    }
}

/// How far one of several partitions has been read.
struct Reading<'a> {
    part: Part<'a>,
    /// All before it has been given, or is not wanted.
    place: Place,
    /// What comes next.
    page: VecDeque<Arc<Record>>,
    /// Where the page ends.
    read: Position,
    /// There is no more now.
    ended: bool,
}

impl<'a> Reading<'a> {
    fn new(part: Part<'a>, place: Place) -> Self {
        let read = place.next;
        Self { part, place, page: VecDeque::new(), read, ended: false }
    }

    /// Reads on until there is something to give, or nothing more.
    async fn fill(&mut self, filter: &Filter, events_max: usize) -> Result<(), ReadError> {
        while self.page.is_empty() && !self.ended {
            let read = Read {
                from: self.read,
                selectors: &filter.selectors,
                events_max: events_max.min(PAGE_EVENTS_MAX),
                bytes_max: PAGE_BYTES_MAX,
            };
            match self.part.log.read(read).await {
                Ok(page) => {
                    self.ended = page.next == self.read;
                    self.read = page.next;
                    let seen = page.records.into_iter().filter(|record| {
                        filter.may_see(record.event.private, &record.event.topics)
                    });
                    self.page.extend(seen);
                }
                // It was passed between the look and the read.
                Err(ReadError::Trimmed { oldest }) => self.read = oldest,
                Err(error) => return Err(error),
            }
            self.look_on(None);
        }
        Ok(())
    }

    /// Takes what comes next, and the log that it is in.
    fn take(&mut self) -> Option<(Incarnation, Arc<Record>)> {
        let record = self.page.pop_front()?;
        self.look_on(Some(&record));
        Some((self.place.incarnation, record))
    }

    /// Moves the place on, after this record or without one.
    fn look_on(&mut self, given: Option<&Record>) {
        let next = self.page.front().map_or(self.read, |record| record.position);
        match given {
            Some(record) if record.position.next() == next => self.place.print = record.print,
            None if next == self.place.next => {}
            // The event right before was not asked for, and not looked at.
            _ => self.place.print = None,
        }
        self.place.next = next;
    }

    fn is_of_another_log(&self) -> bool {
        self.part.log.bounds().incarnation != self.place.incarnation
    }
}
