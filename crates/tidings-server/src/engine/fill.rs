//! Fills the tail of a hub that has just started with what its log kept before: a crowd that comes
//! back then finds it in memory, where else each of them would have it read from the log.
//! Knows nothing of subscribers.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use tidings_core::cursor::{Incarnation, Position};
use tidings_core::limits::{FILL_BYTES, PAGE_EVENTS_MAX};
use tidings_core::shard::Delivery;
use tidings_core::topic::{Selector, Selectors};
use tidings_log::{Log, Read, Record};

use super::reader::deliver;
use super::tail::Tail;

/// Events of the first step back: so few that even large ones are not much to read.
const STEP_EVENTS_MIN: u64 = 64;

/// Steps back through the log until the tail is full, or has all that is kept. A log that does not
/// answer, or becomes another one meanwhile, ends it: nothing depends on it.
///
/// The log may be one of several. Cancel safe: what the tail has by then it keeps.
pub(crate) async fn fill(log: Arc<dyn Log>, tail: Arc<Tail>, several: bool) {
    let all = Selectors::from(Selector::parse("*").expect("a selector"));
    let (incarnation, _) = tail.head();
    let mut end = tail.first();
    let mut events = STEP_EVENTS_MIN;
    while end > log.bounds().oldest {
        let from = Position(end.0.saturating_sub(events)).max(log.bounds().oldest);
        let make = |record: &Record| deliver(incarnation, record, several);
        let Some(step) = read(&*log, incarnation, from..end, &all, tail.bytes_max(), make).await
        else {
            return;
        };
        let bytes: usize = step.iter().map(|delivery| delivery.frame.chunk().len()).sum();
        if !tail.push_front(incarnation, end, step) {
            return;
        }
        // As many as will probably be a step's bytes.
        let each = (bytes as u64 / (end.0 - from.0)).max(1);
        events = (FILL_BYTES as u64 / each).clamp(1, PAGE_EVENTS_MAX as u64);
        end = from;
    }
}

/// What the log holds there, the newest of it where it is more than so many bytes. `None`: it
/// does not hold all of it any more, or does not answer.
async fn read(
    log: &dyn Log,
    incarnation: Incarnation,
    range: Range<Position>,
    all: &Selectors,
    bytes_max: usize,
    make: impl Fn(&Record) -> Arc<Delivery>,
) -> Option<VecDeque<Arc<Delivery>>> {
    let mut step = VecDeque::new();
    let mut bytes = 0;
    let mut from = range.start;
    while from < range.end {
        let events_max = usize::try_from(range.end.0 - from.0).unwrap_or(PAGE_EVENTS_MAX);
        let read = Read { from, selectors: all, events_max, bytes_max: FILL_BYTES };
        let page = log.read(read).await.ok()?;
        // No incarnation comes a second time: if it is the same now, it was so all the time.
        if log.bounds().incarnation != incarnation || page.next == from {
            return None;
        }
        from = page.next;
        for record in page.records.iter().filter(|record| record.position < range.end) {
            let delivery = make(record);
            bytes += delivery.frame.chunk().len();
            step.push_back(delivery);
            while bytes > bytes_max {
                let Some(oldest) = step.pop_front() else { break };
                bytes -= oldest.frame.chunk().len();
            }
        }
    }
    Some(step)
}

#[cfg(test)]
mod tests {
    use tidings_core::cursor::Timestamp;
    use tidings_core::event::{Data, Event, Topic};
    use tidings_core::shard::{Filter, Page};
    use tidings_log::{Append, Memory};

    use super::*;

    async fn log(events: u64, data: &str) -> Arc<dyn Log> {
        let log = Memory::default();
        for _ in 0..events {
            let event = Event::new(Topic::parse("a").unwrap(), Data::from(data.to_owned()));
            log.append(vec![Append { event, key: None, time: Timestamp(1) }]).await.unwrap();
        }
        Arc::new(log)
    }

    async fn filled(log: &Arc<dyn Log>, bytes_max: usize) -> Tail {
        let bounds = log.bounds();
        let tail = Arc::new(Tail::new(bounds.incarnation, bounds.next, bytes_max));
        fill(Arc::clone(log), Arc::clone(&tail), false).await;
        Arc::into_inner(tail).expect("nobody else has it")
    }

    #[tokio::test]
    async fn all_that_is_kept_is_there_in_its_order() {
        let log = log(3_000, "x").await;
        let tail = filled(&log, usize::MAX).await;
        assert_eq!(tail.first(), log.bounds().oldest);
        let selectors = Selector::parse("a").unwrap().into();
        let filter = Filter { selectors, private: None };
        let from = Position(1_990);
        let page = tail.page(log.bounds().incarnation, from, &filter);
        let Some(Page::Events { events, .. }) = page else { panic!("it is there") };
        let positions: Vec<u64> = events.iter().map(|event| event.position.0).collect();
        assert_eq!(positions[..3], [1_990, 1_991, 1_992]);
    }

    #[tokio::test]
    async fn no_more_than_there_is_room_for() {
        let log = log(500, &"x".repeat(10_000)).await;
        let tail = filled(&log, 1_000_000).await;
        let events = log.bounds().next.0 - tail.first().0;
        assert!((90..100).contains(&events), "{events}");
    }

    #[tokio::test]
    async fn an_empty_log_leaves_it_empty() {
        let log = log(0, "").await;
        assert_eq!(filled(&log, 1_000).await.first(), log.bounds().next);
    }
}
