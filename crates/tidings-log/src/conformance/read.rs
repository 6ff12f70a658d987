//! What is kept can be read and found: page by page, by topic, id, time and from the end.
//! Knows nothing of following.

use tidings_core::cursor::{Position, Timestamp};

use super::world::*;
use crate::{Log, Mark, ReadError};

pub(super) async fn an_empty_log_is_empty(log: impl Log) {
    let bounds = log.bounds();
    assert_eq!((bounds.oldest, bounds.next), (Position::FIRST, Position::FIRST));
    assert_eq!(log.usage().events, 0);
    for from in [Position(0), Position(1)] {
        for wanted in ["*", "a"] {
            let page = page(&log, from, &[wanted], 10, 1000).await.expect("read");
            assert!(page.records.is_empty());
            assert_eq!(page.next, Position(1));
        }
    }
    let any = selectors(&["a"]);
    assert_eq!(find(&log, Mark::Id(&id("x"))).await, None);
    assert_eq!(find(&log, Mark::Time(NOW)).await, Some(1));
    assert_eq!(find(&log, Mark::Last { events: 3, selectors: &any }).await, Some(1));
    assert_eq!(find(&log, Mark::Last { events: 0, selectors: &any }).await, Some(1));
}

pub(super) async fn pages_keep_their_bounds_and_come_to_an_end(log: impl Log) {
    for number in 0..100 {
        let name = if number % 3 == 0 { "third" } else { "other" };
        put(&log, event(name, &number.to_string())).await;
    }
    let expected: Vec<String> = (0..100).step_by(3).map(|number| number.to_string()).collect();
    // By number and by weight; a topic alone, and one among several selectors.
    for (events_max, bytes_max) in [(0, 100_000), (1, 100_000), (7, 100_000), (1000, 1000)] {
        for wanted in [&["third"][..], &["third", "none/{x}"], &["th*"]] {
            let mut from = Position(1);
            let mut got = Vec::new();
            while from < log.bounds().next {
                let page = page(&log, from, wanted, events_max, bytes_max).await.expect("read");
                assert!(page.next > from);
                assert!(page.records.len() <= events_max.max(1));
                let weight: usize = page.records.iter().map(|r| r.event.weight()).sum();
                assert!(weight <= bytes_max, "{weight} > {bytes_max}");
                for record in &page.records {
                    assert!((from..page.next).contains(&record.position));
                }
                got.extend(page.records);
                from = page.next;
            }
            assert_eq!(data(&got), expected, "{events_max} {bytes_max} {wanted:?}");
        }
    }
    // At the tail and beyond it there is nothing, and nowhere to go.
    for from in [101, 500] {
        let page = page(&log, Position(from), &["*"], 10, 1000).await.expect("read");
        assert!(page.records.is_empty());
        assert_eq!(page.next, Position(from));
    }
}

pub(super) async fn a_page_holds_one_event_however_large(log: impl Log) {
    for _ in 0..3 {
        put(&log, event("a", &"x".repeat(400_000))).await;
    }
    for wanted in ["a", "*"] {
        for from in 1..=3 {
            let page = page(&log, Position(from), &[wanted], 10, 1).await.expect("read");
            assert_eq!(positions(&page.records), [from]);
            assert_eq!(page.next, Position(from + 1));
        }
    }
}

pub(super) async fn selectors_select(log: impl Log) {
    let mut both = event("x", "3");
    both.event.topics = topics(&["orders/1", "orders/2", "users/1"]);
    let batch = vec![
        event("orders/1", "1"),
        event("orders/2", "2"),
        both,
        event("orders/1/state", "4"),
        event("Orders/1", "5"),
    ];
    append(&log, batch).await.expect("appended");
    let check = async |texts: &[&str], expected: &[&str]| {
        let records = all_from(&log, Position(1), texts).await;
        assert_eq!(data(&records), expected, "{texts:?}");
    };
    check(&["orders/1"], &["1", "3"]).await;
    check(&["orders/1", "orders/2"], &["1", "2", "3"]).await;
    check(&["orders/{id}"], &["1", "2", "3"]).await;
    check(&["orders/*"], &["1", "2", "3", "4"]).await;
    check(&["users/1", "Orders/{id}"], &["3", "5"]).await;
    check(&["*"], &["1", "2", "3", "4", "5"]).await;
    check(&["nothing"], &[]).await;
    check(&["nothing/{x}"], &[]).await;
}

/// For a log with [`super::SMALL`].
pub(super) async fn what_is_gone_is_told(log: impl Log) {
    fill(&log, 4000, 1000).await;
    log.trim(NOW).await.expect("trimmed");
    let oldest = log.bounds().oldest;
    for wanted in ["*", "fill"] {
        for from in [Position(0), Position(1), Position(oldest.0 - 1)] {
            let refused = page(&log, from, &[wanted], 10, 1000).await;
            assert_eq!(refused.map(|page| page.next), Err(ReadError::Trimmed { oldest }));
        }
        let page = page(&log, oldest, &[wanted], 1, 1).await.expect("read");
        assert_eq!(positions(&page.records), [oldest.0]);
    }
}

pub(super) async fn ids_are_found_the_newest_first(log: impl Log) {
    put(&log, with_id("a", event("t", "1"))).await;
    put(&log, event("t", "2")).await;
    put(&log, with_id("b", event("t", "3"))).await;
    put(&log, with_id("a", event("t", "4"))).await;
    assert_eq!(find(&log, Mark::Id(&id("a"))).await, Some(4));
    assert_eq!(find(&log, Mark::Id(&id("b"))).await, Some(3));
    assert_eq!(find(&log, Mark::Id(&id("c"))).await, None);
}

pub(super) async fn times_are_found(log: impl Log) {
    for ms in [0, 10, 10, 10, 20] {
        put(&log, at(after(ms), event("t", ""))).await;
    }
    assert_eq!(find(&log, Mark::Time(Timestamp(0))).await, Some(1));
    assert_eq!(find(&log, Mark::Time(after(0))).await, Some(1));
    assert_eq!(find(&log, Mark::Time(after(1))).await, Some(2));
    assert_eq!(find(&log, Mark::Time(after(10))).await, Some(2));
    assert_eq!(find(&log, Mark::Time(after(11))).await, Some(5));
    assert_eq!(find(&log, Mark::Time(after(21))).await, Some(6));
}

pub(super) async fn the_last_n_are_found(log: impl Log) {
    // 1 a, 2 b, 3 a+b, 4 c, 5 a
    put(&log, event("a", "")).await;
    put(&log, event("b", "")).await;
    let mut both = event("a", "");
    both.event.topics = topics(&["a", "b"]);
    put(&log, both).await;
    put(&log, event("c", "")).await;
    put(&log, event("a", "")).await;
    let check = async |texts: &[&str], events: usize, expected: u64| {
        let selectors = selectors(texts);
        let found = find(&log, Mark::Last { events, selectors: &selectors }).await;
        assert_eq!(found, Some(expected), "{events} of {texts:?}");
    };
    check(&["a"], 0, 6).await;
    check(&["a"], 1, 5).await;
    check(&["a"], 2, 3).await;
    check(&["a"], 3, 1).await;
    check(&["a"], 4, 1).await;
    check(&["a", "b"], 2, 3).await;
    check(&["a", "b"], 3, 2).await;
    check(&["{x}"], 2, 4).await;
    check(&["b", "c*"], 2, 3).await;
    check(&["*"], 5, 1).await;
    check(&["*"], 1000, 1).await;
    check(&["none"], 1, 1).await;
    check(&["none/{x}"], 1, 1).await;
}

/// For a log with [`super::SMALL`].
pub(super) async fn marks_forget_what_retention_took(log: impl Log) {
    put(&log, with_id("gone", event("gone", "1"))).await;
    fill(&log, 4000, 1000).await;
    put(&log, with_id("kept", event("kept", "1"))).await;
    log.trim(NOW).await.expect("trimmed");
    let oldest = log.bounds().oldest.0;
    let gone = selectors(&["gone"]);
    assert_eq!(find(&log, Mark::Id(&id("gone"))).await, None);
    assert_eq!(find(&log, Mark::Id(&id("kept"))).await, Some(4002));
    assert_eq!(find(&log, Mark::Time(Timestamp(0))).await, Some(oldest));
    assert_eq!(find(&log, Mark::Last { events: 1, selectors: &gone }).await, Some(oldest));
    assert!(all_from(&log, Position(oldest), &["gone"]).await.is_empty());
}

async fn find(log: &impl Log, mark: Mark<'_>) -> Option<u64> {
    log.find(mark).await.expect("the log can be read").map(|position| position.0)
}
