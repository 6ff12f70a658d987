//! What is appended is kept: in order, whole, once, and for as long as it was said.
//! Knows nothing of reading beyond the plainest way.

use std::sync::Arc;

use tidings_core::cursor::Position;
use tidings_core::event::{Data, EventType, Retry};
use tidings_core::limits::IDEMPOTENCY_TIME_MAX;
use tokio::task::JoinSet;

use super::world::*;
use crate::{Append, AppendError, Appended, Log};

pub(super) async fn positions_are_contiguous_and_in_the_order_of_the_batch(log: impl Log) {
    assert_eq!(append(&log, vec![]).await, Ok(vec![]));
    let first = put(&log, event("a", "0")).await;
    assert_eq!(first, Position::FIRST);
    let batch = (1..=5).map(|number| event("a", &number.to_string())).collect();
    let answers = append(&log, batch).await.expect("appended");
    for (answer, expected) in answers.iter().zip(2..) {
        assert_eq!((answer.position, answer.repeated), (Position(expected), false));
    }
    assert_eq!(put(&log, event("b", "6")).await, Position(7));
    let bounds = log.bounds();
    assert_eq!((bounds.oldest, bounds.next), (Position(1), Position(8)));
    assert_eq!(log.usage().events, 7);
    let records = all(&log).await;
    assert_contiguous(&records);
    assert_eq!(data(&records), ["0", "1", "2", "3", "4", "5", "6"]);
}

pub(super) async fn batches_of_many_at_once_stay_whole(log: impl Log) {
    let log = Arc::new(log);
    let mut tasks = JoinSet::new();
    for publisher in 0..20 {
        let log = Arc::clone(&log);
        tasks.spawn(async move {
            for round in 0..10 {
                let name = format!("p/{publisher}");
                let batch =
                    (0..7).map(|number| event(&name, &format!("{round}/{number}"))).collect();
                let answers = append(&*log, batch).await.expect("appended");
                let first = answers[0].position.0;
                let expected: Vec<u64> = (first..first + 7).collect();
                let got: Vec<u64> = answers.iter().map(|answer| answer.position.0).collect();
                assert_eq!(got, expected, "one contiguous run");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no publisher failed");
    }
    let records = all(&*log).await;
    assert_eq!(records.len(), 20 * 10 * 7);
    assert_contiguous(&records);
    for publisher in 0..20 {
        let name = topic(&format!("p/{publisher}"));
        let own: Vec<_> =
            records.iter().filter(|r| *r.event.topics.first() == name).cloned().collect();
        let expected: Vec<String> =
            (0..10).flat_map(|round| (0..7).map(move |n| format!("{round}/{n}"))).collect();
        assert_eq!(data(&own), expected, "each publisher's own order");
    }
}

pub(super) async fn every_field_comes_back_as_it_was(log: impl Log) {
    let mut full = event("x", "");
    full.event.topics = topics(&["orders/42", "https://example.com/ü?x#y", "مرحبا"]);
    full.event.event_type = Some(EventType::parse("orders.changed").expect("a type"));
    full.event.id = Some(id("urn:uuid:1"));
    full.event.retry = Some(Retry::from_ms(0).expect("a retry"));
    full.event.private = true;
    full.event.data = Data::from("line 1\r\nline 2\0\u{feff}ü");
    let plain = event("plain", "");
    let mut long = event(&"t".repeat(1024), &"x".repeat(300_000));
    long.event.id = Some(id(&"i".repeat(255)));
    let batch = vec![full, plain, long];
    append(&log, batch.clone()).await.expect("appended");
    let records = all(&log).await;
    assert_eq!(records.len(), batch.len());
    for (record, append) in records.iter().zip(&batch) {
        assert_eq!(record.event, append.event);
        assert_eq!(record.time, append.time);
    }
}

pub(super) async fn time_never_goes_back(log: impl Log) {
    put(&log, at(after(1000), event("a", "1"))).await;
    put(&log, at(after(500), event("a", "2"))).await;
    put(&log, at(after(1500), event("a", "3"))).await;
    let times: Vec<_> = all(&log).await.iter().map(|record| record.time).collect();
    assert_eq!(times, [after(1000), after(1000), after(1500)]);
}

/// For a log with [`super::SMALL`].
pub(super) async fn an_event_has_the_same_fingerprint_wherever_it_is_asked(log: impl Log) {
    let mut batch = vec![event("a", "1"), event("a", "2"), keyed("k", "a", "3")];
    let mut answers = append(&log, batch.clone()).await.expect("appended");
    answers.extend(append(&log, batch.split_off(1)).await.expect("appended"));
    let prints: Vec<_> = answers.iter().map(|answer| answer.print).collect();
    assert_eq!((prints[4], answers[4].repeated), (prints[2], true));
    let records = all(&log).await;
    let followed = log.follow(Position::FIRST).next().await.expect("followed");
    for (record, expected) in records.iter().zip(&prints) {
        assert_eq!(record.print, *expected);
        assert_eq!(log.fingerprint(record.position).await, Ok(*expected));
    }
    assert_eq!(followed[0].print, prints[0]);
    assert_eq!(log.fingerprint(Position(0)).await, Ok(None));
    assert_eq!(log.fingerprint(log.bounds().next).await, Ok(None));
}

pub(super) async fn an_event_that_can_never_fit_is_refused(log: impl Log) {
    put(&log, event("a", "fits")).await;
    let large = event("a", &"x".repeat(2 * 1024 * 1024));
    let refused = append(&log, vec![event("a", "goes with it"), large]).await;
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })), "{refused:?}");
    put(&log, event("a", "fits too")).await;
    assert_eq!(data(&all(&log).await), ["fits", "fits too"]);
}

pub(super) async fn a_key_makes_a_repetition_the_same_append(log: impl Log) {
    let first = append(&log, vec![keyed("k", "a", "1")]).await.expect("appended");
    assert!(!first[0].repeated);
    put(&log, event("a", "2")).await;
    let again = append(&log, vec![keyed("k", "a", "1")]).await.expect("appended");
    assert_eq!(again, [Appended { repeated: true, ..first[0] }]);
    for other in [keyed("k", "a", "x"), keyed("k", "b", "1"), with_id("i", keyed("k", "a", "1"))] {
        let refused = append(&log, vec![event("a", "goes with it"), other]).await;
        assert_eq!(refused, Err(AppendError::KeyReused));
    }
    assert_eq!(data(&all(&log).await), ["1", "2"]);
}

pub(super) async fn a_key_counts_within_its_batch_too(log: impl Log) {
    let batch =
        vec![keyed("k", "a", "1"), event("a", "2"), keyed("k", "a", "1"), keyed("l", "a", "3")];
    let answers = append(&log, batch).await.expect("appended");
    let expected = [(1, false), (2, false), (1, true), (3, false)];
    let got: Vec<_> = answers.iter().map(|a| (a.position.0, a.repeated)).collect();
    assert_eq!(got, expected);
    let refused = append(&log, vec![keyed("m", "a", "4"), keyed("m", "a", "5")]).await;
    assert_eq!(refused, Err(AppendError::KeyReused));
    // Nothing of the refused batch is remembered.
    let answers = append(&log, vec![keyed("m", "a", "5")]).await.expect("appended");
    assert_eq!((answers[0].position, answers[0].repeated), (Position(4), false));
    assert_eq!(data(&all(&log).await), ["1", "2", "3", "5"]);
}

pub(super) async fn a_key_used_by_many_at_once_is_kept_once(log: impl Log) {
    let log = Arc::new(log);
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let log = Arc::clone(&log);
        tasks.spawn(async move {
            let batch: Vec<Append> = (0..3).map(|n| keyed(&format!("k{n}"), "a", "1")).collect();
            append(&*log, batch).await.expect("appended")
        });
    }
    let mut firsts = 0;
    while let Some(answers) = tasks.join_next().await {
        let answers = answers.expect("no publisher failed");
        let positions: Vec<u64> = answers.iter().map(|answer| answer.position.0).collect();
        assert_eq!(positions, [1, 2, 3]);
        firsts += answers.iter().filter(|answer| !answer.repeated).count();
    }
    assert_eq!(firsts, 3);
    assert_eq!(all(&*log).await.len(), 3);
}

pub(super) async fn a_key_is_free_again_after_its_window(log: impl Log) {
    let window = u64::try_from(IDEMPOTENCY_TIME_MAX.as_millis()).expect("a few minutes");
    put(&log, keyed("k", "a", "1")).await;
    let late = at(after(window), keyed("k", "a", "1"));
    assert!(append(&log, vec![late]).await.expect("appended")[0].repeated);
    let later = at(after(window + 1), keyed("k", "a", "2"));
    assert!(!append(&log, vec![later]).await.expect("appended")[0].repeated);
    log.trim(after(window + 2)).await.expect("trimmed");
    assert_eq!(data(&all(&log).await), ["1", "2"]);
}

/// For a log with [`super::SMALL`].
pub(super) async fn bytes_are_bounded_and_the_oldest_go_first(log: impl Log) {
    fill(&log, 4000, 1000).await;
    log.trim(NOW).await.expect("trimmed");
    let bounds = log.bounds();
    assert_eq!(bounds.next, Position(4001));
    assert!(bounds.oldest > Position(3000), "4 MB do not fit into 1: {bounds:?}");
    assert!(bounds.oldest < Position(3900), "a tenth of it is for events: {bounds:?}");
    let usage = log.usage();
    assert_eq!(usage.events, bounds.next.0 - bounds.oldest.0);
    // An implementation that frees a file at a time may be above by one.
    assert!(usage.bytes <= 1024 * 1024 + 256 * 1024, "{usage:?}");
    let records = all(&log).await;
    assert_contiguous(&records);
    assert_eq!(records.len() as u64, usage.events);
    assert_eq!(records[0].position, bounds.oldest);
}

/// For a log with [`super::SHORT`].
pub(super) async fn age_is_bounded(log: impl Log) {
    for second in 0..10 {
        put(&log, at(after(second * 1000), event("a", &second.to_string()))).await;
    }
    log.trim(after(60_000)).await.expect("trimmed");
    assert_eq!(log.bounds().oldest, Position(1), "a minute old is not too old");
    log.trim(after(64_500)).await.expect("trimmed");
    assert_eq!(data(&all(&log).await), ["5", "6", "7", "8", "9"]);
    assert_eq!(log.usage().events, 5);
    log.trim(after(1_000_000)).await.expect("trimmed");
    let bounds = log.bounds();
    assert_eq!((bounds.oldest, bounds.next), (Position(11), Position(11)));
    assert_eq!(put(&log, at(after(1_000_000), event("a", "10"))).await, Position(11));
    assert_eq!(data(&all(&log).await), ["10"]);
}

pub(super) async fn a_closed_log_takes_nothing_and_says_so(log: impl Log) {
    put(&log, event("a", "1")).await;
    assert_eq!(log.health(), Ok(()));
    log.close().await;
    log.close().await;
    assert_eq!(append(&log, vec![event("a", "2")]).await, Err(AppendError::Closed));
    assert!(log.health().is_err());
}
