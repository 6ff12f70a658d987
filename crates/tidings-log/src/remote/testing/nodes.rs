//! What has to hold for nodes on any server: the checks, and what they share.
//! Knows nothing of any server, but how it is cut off, killed and started.

use std::sync::Arc;
use std::time::Duration;

use tidings_core::cursor::{Position, Timestamp};
use tidings_core::event::{Data, Event, IdempotencyKey, Topic};
use tidings_core::topic::{Selector, Selectors};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Proxy;
use crate::{
    Append, AppendError, Bounds, Claims, Follow, FollowError, Log, Read, ReadError, Record,
};

/// After so long, something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn event(data: &str) -> Append {
    let event = Event::new(Topic::parse("t").unwrap(), Data::from(data.to_owned()));
    Append { event, key: None, time: Timestamp(1_767_225_600_000) }
}

pub(crate) async fn put(log: &impl Log, data: &str) -> u64 {
    let appended = log.append(vec![event(data)]).await.unwrap();
    appended[0].position.0
}

/// The next `count` events, passing over word that the server was away.
pub(crate) async fn take(follower: &mut dyn Follow, count: usize) -> Vec<String> {
    let mut data = Vec::new();
    while data.len() < count {
        match next(follower).await {
            Ok(records) => data.extend(records.iter().map(|r| r.event.data.as_str().to_owned())),
            Err(FollowError::Failed { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    data
}

pub(crate) async fn next(follower: &mut dyn Follow) -> Result<Vec<Arc<Record>>, FollowError> {
    timeout(PATIENCE, follower.next()).await.expect("it does not hang")
}

/// The log that the follower is told to be on now.
pub(crate) async fn replaced(follower: &mut dyn Follow) -> Bounds {
    loop {
        match next(follower).await {
            Err(FollowError::Replaced { bounds }) => return bounds,
            Ok(_) | Err(FollowError::Failed { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Waits until the log is well, or is not.
pub(crate) async fn until_health(log: &impl Log, well: bool) {
    let waiting = async {
        while log.health().is_ok() != well {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("it changes");
}

pub(crate) async fn what_one_node_appends_all_follow(one: impl Log, other: impl Log) {
    assert_eq!(one.bounds(), other.bounds());
    let mut followers = [one.follow(Position(1)), other.follow(Position(1))];
    assert_eq!(put(&one, "1").await, 1);
    assert_eq!(put(&other, "2").await, 2);
    for follower in &mut followers {
        assert_eq!(take(&mut **follower, 2).await, ["1", "2"]);
    }
    assert_eq!(put(&one, "3").await, 3);
    // Whatever `other` has heard by itself, it can be made sure.
    assert_eq!(other.bounds_now().await.unwrap().next, Position(4));
}

pub(crate) async fn a_key_counts_for_all_nodes(one: impl Log, other: impl Log) {
    let keyed = |data| {
        let key = Some(IdempotencyKey::parse("k").unwrap());
        vec![Append { key, ..event(data) }]
    };
    assert!(!one.append(keyed("1")).await.unwrap()[0].repeated);
    assert!(other.append(keyed("1")).await.unwrap()[0].repeated);
    assert_eq!(other.append(keyed("2")).await, Err(AppendError::KeyReused));
}

pub(crate) async fn a_claim_is_one_node_s(one: impl Claims, other: impl Claims) {
    let long = Duration::from_secs(60);
    assert_eq!(one.claim("a", long).await, Ok(true));
    assert_eq!(other.claim("a", long).await, Ok(false));
    assert_eq!(one.claim("a", long).await, Ok(false));
}

pub(crate) async fn appends_wait_for_a_server_that_comes_back_with_all_it_had(
    log: impl Log,
    kill: impl FnOnce(),
    up: impl FnOnce(),
) {
    let incarnation = log.bounds().incarnation;
    let mut follower = log.follow(Position(1));
    assert_eq!(put(&log, "1").await, 1);
    kill();
    let (position, ()) = tokio::join!(put(&log, "2"), async {
        sleep(Duration::from_millis(300)).await;
        up();
    });
    assert_eq!(position, 2);
    assert_eq!(put(&log, "3").await, 3);
    assert_eq!(take(&mut *follower, 3).await, ["1", "2", "3"]);
    assert_eq!(log.bounds().incarnation, incarnation);
    until_health(&log, true).await;
}

/// `place` is what every sentence about the server begins with.
pub(crate) async fn a_server_that_stays_away_is_told_and_waited_for(
    log: impl Log,
    proxy: &Proxy,
    place: &str,
) {
    let mut follower = log.follow(Position(1));
    put(&log, "1").await;
    assert_eq!(take(&mut *follower, 1).await, ["1"]);
    proxy.cut();
    let Err(FollowError::Failed { reason }) = next(&mut *follower).await else {
        panic!("the follower is told once")
    };
    assert!(reason.contains(place), "{reason}");
    assert!(log.health().is_err());
    let refused = log.append(vec![event("never")]).await;
    assert!(matches!(refused, Err(AppendError::Late { .. })), "{refused:?}");
    let selectors = Selectors::from(Selector::parse("*").unwrap());
    let read = Read { from: Position(1), selectors: &selectors, events_max: 9, bytes_max: 9999 };
    assert!(matches!(log.read(read).await, Err(ReadError::Failed { .. })));
    assert_eq!(log.trim(Timestamp(0)).await, Ok(()), "health tells it");
    proxy.mend();
    until_health(&log, true).await;
    assert_eq!(put(&log, "2").await, 2, "what was refused was never sent");
    assert_eq!(take(&mut *follower, 1).await, ["2"]);
}

/// Cuts the way again and again, at moments that nobody chose.
pub(crate) async fn broken_connections_lose_nothing_and_repeat_nothing(
    log: impl Log,
    proxy: &Proxy,
) {
    const PUBLISHERS: usize = 8;
    const EVENTS: usize = 60;
    let log = Arc::new(log);
    let mut follower = log.follow(Position(1));
    let mut tasks = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let log = Arc::clone(&log);
        tasks.spawn(async move {
            for number in 0..EVENTS {
                // Acknowledged, with no more than one cut in its time: it is kept exactly once.
                put(&*log, &format!("{publisher} {number}")).await;
            }
        });
    }
    let following = async {
        let mut data = Vec::new();
        while data.len() < PUBLISHERS * EVENTS {
            data.extend(take(&mut *follower, 1).await);
        }
        data
    };
    let cutting = async {
        for pause in [3, 20, 1, 40, 7, 11, 2, 30] {
            sleep(Duration::from_millis(pause)).await;
            proxy.cut();
            sleep(Duration::from_millis(pause)).await;
            proxy.mend();
            until_health(&*log, true).await;
        }
    };
    let (data, ()) = tokio::join!(following, cutting);
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(log.bounds().next, Position((PUBLISHERS * EVENTS + 1) as u64), "nothing twice");
    for publisher in 0..PUBLISHERS {
        let own = data.iter().filter_map(|data| data.strip_prefix(&format!("{publisher} ")));
        let expected = (0..EVENTS).map(|number| number.to_string());
        assert!(own.eq(expected), "publisher {publisher}: in order, once");
    }
}
