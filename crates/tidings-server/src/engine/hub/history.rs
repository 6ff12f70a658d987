//! Looking back. Knows nothing of streams, but that one goes on where a page ends.

use std::sync::Arc;

use tidings_core::cursor::Cursor;
use tidings_core::limits::{HISTORY_BYTES_MAX, PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use tidings_core::shard::Filter;
use tidings_core::topic::Selectors;
use tidings_log::{Read, ReadError, Record};

use super::Hub;
use crate::engine::place::{self, Start};
use crate::engine::terms::History;

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
        let log = &*self.inner.log;
        let selectors = &filter.selectors;
        let start = if start == Start::Live { Start::Last(events) } else { start };
        let place = place::find(log, &self.inner.tail, &start, selectors).await?;
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
        Ok(History { records, next, verdict: place.verdict })
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
