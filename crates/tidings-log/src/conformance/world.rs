//! What the checks share: events in a line, and the whole of a log page by page.
//! Knows nothing of what is checked.

use std::sync::Arc;

use tidings_core::cursor::{Position, Timestamp};
use tidings_core::event::{Data, Event, EventId, IdempotencyKey, Topic, Topics};
use tidings_core::limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use tidings_core::topic::{Selector, Selectors};

use crate::{Append, AppendError, Appended, Log, Page, Read, ReadError, Record};

/// 2026-01-01, so that ages can be subtracted from it.
pub(super) const NOW: Timestamp = Timestamp(1_767_225_600_000);

pub(super) fn after(ms: u64) -> Timestamp {
    Timestamp(NOW.0 + ms)
}

pub(super) fn topic(name: &str) -> Topic {
    Topic::parse(name).expect("a topic")
}

pub(super) fn topics(names: &[&str]) -> Topics {
    Topics::parse(names.iter().map(|name| topic(name)).collect()).expect("topics")
}

pub(super) fn id(text: &str) -> EventId {
    EventId::parse(text).expect("an id")
}

pub(super) fn selectors(texts: &[&str]) -> Selectors {
    let all = texts.iter().map(|text| Selector::parse(text).expect("a selector")).collect();
    Selectors::parse(all, texts.len()).expect("selectors")
}

pub(super) fn event(name: &str, data: &str) -> Append {
    let event = Event::new(topic(name), Data::from(data.to_owned()));
    Append { event, key: None, time: NOW }
}

pub(super) fn keyed(key: &str, name: &str, data: &str) -> Append {
    let key = IdempotencyKey::parse(key).expect("a key");
    Append { key: Some(key), ..event(name, data) }
}

pub(super) fn at(time: Timestamp, append: Append) -> Append {
    Append { time, ..append }
}

pub(super) fn with_id(text: &str, mut append: Append) -> Append {
    append.event.id = Some(id(text));
    append
}

pub(super) async fn append(
    log: &impl Log,
    batch: Vec<Append>,
) -> Result<Vec<Appended>, AppendError> {
    log.append(batch).await
}

/// Appends one and says where it stands.
pub(super) async fn put(log: &impl Log, one: Append) -> Position {
    log.append(vec![one]).await.expect("the log takes it")[0].position
}

/// Appends `count` events of `bytes` each under the topic `fill`, several at once so that a log
/// that syncs does not take all day.
pub(super) async fn fill(log: &impl Log, count: usize, bytes: usize) {
    const BATCH: usize = 20;
    let one = event("fill", &"x".repeat(bytes));
    for from in (0..count).step_by(BATCH) {
        let batch = vec![one.clone(); BATCH.min(count - from)];
        log.append(batch).await.expect("the log takes it");
    }
}

pub(super) async fn page(
    log: &impl Log,
    from: Position,
    texts: &[&str],
    events_max: usize,
    bytes_max: usize,
) -> Result<Page, ReadError> {
    let selectors = selectors(texts);
    log.read(Read { from, selectors: &selectors, events_max, bytes_max }).await
}

/// All that is selected from a position on, page by page.
pub(super) async fn all_from(
    log: &impl Log,
    mut from: Position,
    texts: &[&str],
) -> Vec<Arc<Record>> {
    let mut records = Vec::new();
    loop {
        let page = page(log, from, texts, PAGE_EVENTS_MAX, PAGE_BYTES_MAX).await;
        let page = page.expect("the log can be read");
        records.extend(page.records);
        if page.next >= log.bounds().next {
            return records;
        }
        assert!(page.next > from, "a page has to get on");
        from = page.next;
    }
}

pub(super) async fn all(log: &impl Log) -> Vec<Arc<Record>> {
    all_from(log, log.bounds().oldest, &["*"]).await
}

pub(super) fn data(records: &[Arc<Record>]) -> Vec<&str> {
    records.iter().map(|record| record.event.data.as_str()).collect()
}

pub(super) fn positions(records: &[Arc<Record>]) -> Vec<u64> {
    records.iter().map(|record| record.position.0).collect()
}

/// That these are all positions from the first to the last, each once.
pub(super) fn assert_contiguous(records: &[Arc<Record>]) {
    for pair in records.windows(2) {
        assert_eq!(pair[1].position, pair[0].position.next(), "a gap or a repetition");
        assert!(pair[0].time <= pair[1].time, "time went back");
    }
}
