//! What is kept is handed on: in order, without a gap, and what is lost is told.
//! Knows nothing of how a follower is woken.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tidings_core::cursor::Position;
use tokio::task::JoinSet;

use super::world::*;
use crate::{Follow, FollowError, Log, Record};

pub(super) async fn the_past_comes_first_and_then_the_present(log: impl Log) {
    fill(&log, 3000, 100).await;
    for from in [0, 1, 2, 2999, 3000] {
        let mut follower = log.follow(Position(from));
        let first = from.max(1);
        let records = take(&mut *follower, 3001 - first as usize).await;
        assert_eq!(records[0].position, Position(first));
        assert_contiguous(&records);
    }
    let mut follower = log.follow(Position(3001));
    put(&log, event("a", "now")).await;
    assert_eq!(data(&take(&mut *follower, 1).await), ["now"]);
    put(&log, event("a", "and now")).await;
    assert_eq!(data(&take(&mut *follower, 1).await), ["and now"]);
}

pub(super) async fn many_follow_many_without_a_gap(log: impl Log) {
    const PUBLISHERS: usize = 8;
    const ROUNDS: usize = 100;
    const BATCH: usize = 3;
    const TOTAL: usize = PUBLISHERS * ROUNDS * BATCH;
    let log = Arc::new(log);
    let mut tasks = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let log = Arc::clone(&log);
        tasks.spawn(async move {
            for _ in 0..ROUNDS {
                let name = format!("p/{publisher}");
                let batch = (0..BATCH).map(|_| event(&name, &"x".repeat(500))).collect();
                append(&*log, batch).await.expect("appended");
            }
        });
    }
    for follower in 0..8_u64 {
        let log = Arc::clone(&log);
        tasks.spawn(async move {
            // Some begin in the past, some wait for a position that is yet to come.
            let from = 1 + follower * 100;
            let mut follower = log.follow(Position(from));
            let records = take(&mut *follower, TOTAL + 1 - from as usize).await;
            assert_eq!(records[0].position, Position(from));
            assert_contiguous(&records);
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("all publishers and followers get through");
    }
}

pub(super) async fn a_dropped_wait_loses_nothing(log: impl Log) {
    let mut follower = log.follow(Position(1));
    assert!(poll_once(&mut *follower).await.is_none(), "there is nothing yet");
    put(&log, event("a", "1")).await;
    // Each poll may be the one that is dropped while it reads.
    let mut got = Vec::new();
    while got.is_empty() {
        got.extend(poll_once(&mut *follower).await.unwrap_or_default());
        tokio::task::yield_now().await;
    }
    put(&log, event("a", "2")).await;
    got.extend(take(&mut *follower, 1).await);
    assert_eq!(data(&got), ["1", "2"]);
}

pub(super) async fn a_follower_may_wait_beyond_the_tail(log: impl Log) {
    let mut follower = log.follow(Position(3));
    for number in 1..=2 {
        put(&log, event("a", &number.to_string())).await;
        assert!(poll_once(&mut *follower).await.is_none());
    }
    put(&log, event("a", "3")).await;
    assert_eq!(data(&take(&mut *follower, 1).await), ["3"]);
}

/// For a log with [`super::SMALL`].
pub(super) async fn who_is_overtaken_is_told_and_goes_on(log: impl Log) {
    put(&log, event("a", "1")).await;
    let mut follower = log.follow(Position(1));
    assert_eq!(data(&take(&mut *follower, 1).await), ["1"]);
    fill(&log, 4000, 1000).await;
    log.trim(NOW).await.expect("trimmed");
    let bounds = log.bounds();
    match follower.next().await {
        Err(FollowError::Trimmed { oldest }) => assert_eq!(oldest, bounds.oldest),
        other => panic!("the follower was not told: {other:?}"),
    }
    let left = usize::try_from(bounds.next.0 - bounds.oldest.0).expect("a few thousand");
    let records = take(&mut *follower, left).await;
    assert_eq!(records[0].position, bounds.oldest);
    assert_contiguous(&records);
}

pub(super) async fn closing_ends_it_after_all_was_given(log: impl Log) {
    let mut waiting = log.follow(Position(2001));
    assert!(poll_once(&mut *waiting).await.is_none());
    fill(&log, 2000, 100).await;
    let mut behind = log.follow(Position(1));
    log.close().await;
    assert_eq!(waiting.next().await.map(|records| records.len()), Err(FollowError::Closed));
    let records = take(&mut *behind, 2000).await;
    assert_contiguous(&records);
    for _ in 0..2 {
        assert_eq!(behind.next().await.map(|records| records.len()), Err(FollowError::Closed));
    }
}

/// The next `count` records or a few more.
async fn take(follower: &mut dyn Follow, count: usize) -> Vec<Arc<Record>> {
    let mut records = Vec::new();
    while records.len() < count {
        let run = follower.next().await.expect("the log can be followed");
        assert!(!run.is_empty(), "at least one");
        records.extend(run);
    }
    records
}

/// What is there at once.
async fn poll_once(follower: &mut dyn Follow) -> Option<Vec<Arc<Record>>> {
    let mut next = pin!(follower.next());
    let polled = poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await;
    match polled {
        Poll::Ready(run) => Some(run.expect("the log can be followed")),
        Poll::Pending => None,
    }
}
