//! Reads pages from the log for subscribers who are behind the frames in memory.
//! Knows nothing of sockets; runs beside the shards, which never wait for a disk.

use std::sync::Arc;

use tidings_core::cursor::{Cursor, Incarnation, Position};
use tidings_core::limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use tidings_core::shard::{Delivery, Filter, Page, SubscriberId};
use tidings_core::sse::Frame;
use tidings_log::{Log, Read, ReadError, Record};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::inbox::{Inbox, Input};
use crate::metrics::Metrics;

/// Makes the delivery of a record: the one place where an event becomes a frame. `several`: its
/// bytes tell its place in any case, as there are several logs.
pub(crate) fn deliver(incarnation: Incarnation, record: &Record, several: bool) -> Arc<Delivery> {
    let cursor = Cursor { incarnation, position: record.position, print: record.print };
    let frame = if several { Frame::placed_event } else { Frame::event };
    Arc::new(Delivery {
        position: record.position,
        print: record.print,
        topics: record.event.topics.clone(),
        private: record.event.private,
        frame: frame(cursor, &record.event),
    })
}

/// What all readers of a lane share: at most `LOG_READS_MAX` pages of all lanes are under way at
/// once, so that a storm of replays can't fill the memory.
pub(crate) struct Source {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) metrics: Arc<Metrics>,
    permits: Arc<Semaphore>,
    runtime: Handle,
    several: bool,
}

impl Source {
    pub(crate) fn new(
        log: Arc<dyn Log>,
        metrics: Arc<Metrics>,
        runtime: Handle,
        permits: Arc<Semaphore>,
        several: bool,
    ) -> Arc<Self> {
        Arc::new(Self { log, metrics, permits, runtime, several })
    }
}

/// One shard's way to the log.
#[derive(Clone)]
pub(crate) struct Reader {
    source: Arc<Source>,
    inbox: Inbox,
}

impl Reader {
    pub(crate) fn new(source: Arc<Source>, inbox: Inbox) -> Self {
        Self { source, inbox }
    }

    /// Reads a page of this log and sends it to the shard's inbox.
    pub(crate) fn read(
        &self,
        id: SubscriberId,
        incarnation: Incarnation,
        from: Position,
        filter: Filter,
    ) {
        let Self { source, inbox } = self.clone();
        self.source.runtime.spawn(async move {
            let permits = Arc::clone(&source.permits);
            let permit = permits.acquire_owned().await.expect("it is never closed");
            source.metrics.log_reads.inc();
            let page = page(&source, incarnation, from, &filter).await;
            inbox.send(Input::Page(id, page, permit));
        });
    }
}

async fn page(source: &Source, incarnation: Incarnation, from: Position, filter: &Filter) -> Page {
    let log = &*source.log;
    let read = Read {
        from,
        selectors: &filter.selectors,
        events_max: PAGE_EVENTS_MAX,
        bytes_max: PAGE_BYTES_MAX,
    };
    let page = log.read(read).await;
    // No incarnation comes a second time: if it is the same now, it was so all the time.
    if log.bounds().incarnation != incarnation {
        return Page::Failed;
    }
    match page {
        Ok(page) => Page::Events {
            events: page
                .records
                .iter()
                .filter(|record| filter.may_see(record.event.private, &record.event.topics))
                .map(|record| deliver(incarnation, record, source.several))
                .collect(),
            next: page.next,
        },
        Err(ReadError::Trimmed { oldest }) => Page::Trimmed { oldest },
        Err(ReadError::Failed { reason }) => {
            tracing::error!(%reason, "a subscriber's page can't be read; its stream is closed");
            Page::Failed
        }
    }
}
