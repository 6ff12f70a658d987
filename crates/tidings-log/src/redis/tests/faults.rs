//! What becomes of appends and followers when the server goes, comes back, has forgotten, or when
//! the way to it breaks.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::redis::tests::proxy::Proxy;
use crate::redis::tests::server::options;
use crate::{FollowError, Record};

/// After so long, something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

async fn open(server: &Server) -> Redis {
    Redis::open(server.options()).await.unwrap()
}

async fn open_through(proxy: &Proxy) -> Redis {
    Redis::open(options(proxy.port(), "")).await.unwrap()
}

fn event(data: &str) -> Append {
    let event = Event::new(Topic::parse("t").unwrap(), Data::from(data.to_owned()));
    Append { event, key: None, time: Timestamp(1_767_225_600_000) }
}

async fn put(log: &Redis, data: &str) -> u64 {
    let appended = log.append(vec![event(data)]).await.unwrap();
    appended[0].position.0
}

/// The next `count` events, passing over word that the server was away.
async fn take(follower: &mut dyn Follow, count: usize) -> Vec<String> {
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

async fn next(follower: &mut dyn Follow) -> Result<Vec<Arc<Record>>, FollowError> {
    timeout(PATIENCE, follower.next()).await.expect("it does not hang")
}

/// The log that the follower is told to be on now.
async fn replaced(follower: &mut dyn Follow) -> Bounds {
    loop {
        match next(follower).await {
            Err(FollowError::Replaced { bounds }) => return bounds,
            Ok(_) | Err(FollowError::Failed { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Waits until the log is well, or is not.
async fn until_health(log: &Redis, well: bool) {
    let waiting = async {
        while log.health().is_ok() != well {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("it changes");
}

#[tokio::test]
async fn what_one_node_appends_all_follow() {
    let server = Server::start();
    let (one, other) = (open(&server).await, open(&server).await);
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

#[tokio::test]
async fn a_key_counts_for_all_nodes() {
    let server = Server::start();
    let (one, other) = (open(&server).await, open(&server).await);
    let keyed = |data| {
        let key = Some(IdempotencyKey::parse("k").unwrap());
        vec![Append { key, ..event(data) }]
    };
    assert!(!one.append(keyed("1")).await.unwrap()[0].repeated);
    assert!(other.append(keyed("1")).await.unwrap()[0].repeated);
    assert_eq!(other.append(keyed("2")).await, Err(AppendError::KeyReused));
}

#[tokio::test]
async fn appends_wait_for_a_server_that_comes_back_with_all_it_had() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let log = open(&server).await;
    let incarnation = log.bounds().incarnation;
    let mut follower = log.follow(Position(1));
    assert_eq!(put(&log, "1").await, 1);
    server.kill();
    let (position, ()) = tokio::join!(put(&log, "2"), async {
        sleep(Duration::from_millis(300)).await;
        server.up();
    });
    assert_eq!(position, 2);
    assert_eq!(put(&log, "3").await, 3);
    assert_eq!(take(&mut *follower, 3).await, ["1", "2", "3"]);
    assert_eq!(log.bounds().incarnation, incarnation);
    until_health(&log, true).await;
}

#[tokio::test]
async fn a_server_that_stays_away_is_told_and_waited_for() {
    let server = Server::start();
    let proxy = Proxy::to(server.port()).await;
    let log = open_through(&proxy).await;
    let mut follower = log.follow(Position(1));
    put(&log, "1").await;
    assert_eq!(take(&mut *follower, 1).await, ["1"]);
    proxy.cut();
    let Err(FollowError::Failed { reason }) = next(&mut *follower).await else {
        panic!("the follower is told once")
    };
    assert!(reason.contains("Redis at redis://127.0.0.1"), "{reason}");
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

#[tokio::test]
async fn a_server_that_forgot_all_is_another_log() {
    let mut server = Server::start();
    let log = open(&server).await;
    let before = log.bounds().incarnation;
    let mut follower = log.follow(Position(1));
    for number in 1..=3 {
        put(&log, &number.to_string()).await;
    }
    server.kill();
    server.up();
    let bounds = replaced(&mut *follower).await;
    assert_ne!(bounds.incarnation, before);
    assert_eq!(bounds.next, Position(1));
    assert_eq!(log.bounds().incarnation, bounds.incarnation);
    assert_eq!(put(&log, "anew").await, 1);
    assert_eq!(take(&mut *follower, 1).await, ["anew"]);
}

#[tokio::test]
async fn a_flushed_database_is_another_log_even_where_nobody_appends() {
    let server = Server::start();
    let log = open(&server).await;
    let mut follower = log.follow(Position(1));
    put(&log, "1").await;
    server.ask(&["FLUSHALL"]);
    // As the hub does every second.
    let _ = log.trim(Timestamp(0)).await;
    replaced(&mut *follower).await;
    server.ask(&["FLUSHALL"]);
    assert_eq!(put(&log, "anew").await, 1, "the append itself notices");
    replaced(&mut *follower).await;
}

#[tokio::test]
async fn a_server_that_lost_its_end_is_another_log() {
    let mut server = Server::start();
    let log = open(&server).await;
    let before = log.bounds().incarnation;
    let mut follower = log.follow(Position(1));
    put(&log, "kept").await;
    server.ask(&["SAVE"]);
    put(&log, "lost").await;
    assert_eq!(take(&mut *follower, 2).await, ["kept", "lost"]);
    server.kill();
    server.up();
    let bounds = replaced(&mut *follower).await;
    assert_ne!(bounds.incarnation, before);
    assert_eq!((bounds.oldest, bounds.next), (Position(1), Position(2)), "what is kept is kept");
    assert_eq!(put(&log, "anew").await, 2);
    assert_eq!(take(&mut *follower, 1).await, ["anew"]);
}

#[tokio::test]
async fn a_lost_end_is_noticed_even_where_others_have_written_over_it() {
    let mut server = Server::start();
    let proxy = Proxy::to(server.port()).await;
    let log = open_through(&proxy).await;
    let before = log.bounds().incarnation;
    let mut follower = log.follow(Position(1));
    put(&log, "kept").await;
    server.ask(&["SAVE"]);
    put(&log, "lost").await;
    assert_eq!(take(&mut *follower, 2).await, ["kept", "lost"]);
    proxy.cut();
    server.kill();
    server.up();
    // A node that was not there before knows nothing of what was lost.
    let other = open(&server).await;
    let mut others = other.follow(Position(1));
    assert_eq!(other.bounds().incarnation, before);
    for number in 2..=4 {
        assert_eq!(put(&other, &number.to_string()).await, number);
    }
    assert_eq!(take(&mut *others, 4).await, ["kept", "2", "3", "4"]);
    proxy.mend();
    let bounds = replaced(&mut *follower).await;
    assert_ne!(bounds.incarnation, before);
    assert_eq!(bounds.next, Position(5));
    // The other node hears of it with the next word it has with the server.
    let _ = other.trim(Timestamp(0)).await;
    assert_eq!(replaced(&mut *others).await.incarnation, bounds.incarnation);
}

#[tokio::test]
async fn a_follower_does_not_stay_with_a_server_that_others_have_left() {
    let primary = Server::start();
    let replica = Server::with(&[
        "--save",
        "",
        "--replicaof",
        &format!("127.0.0.1 {}", primary.port()),
        "--repl-diskless-sync-delay",
        "0",
    ]);
    let proxy = Proxy::to(primary.port()).await;
    let log = open_through(&proxy).await;
    let mut follower = log.follow(Position(1));
    put(&log, "1").await;
    assert_eq!(take(&mut *follower, 1).await, ["1"]);
    let has_it = async {
        while !format!("{:?}", replica.ask(&["HGET", "{tidings:0}:meta", "next"])).contains('2') {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, has_it).await.unwrap();
    replica.ask(&["REPLICAOF", "NO", "ONE"]);
    proxy.lead_to(replica.port());
    // All connections but the one that waits for events come to the new primary.
    let clients = format!("{:?}", primary.ask(&["CLIENT", "LIST"]));
    let (_, clients) = clients.split_once("id=").unwrap();
    for client in clients.split("id=") {
        if !client.contains("cmd=xread") && !client.contains("cmd=client") {
            let id = client.split(' ').next().unwrap();
            primary.ask(&["CLIENT", "KILL", "ID", id]);
        }
    }
    put(&log, "2").await;
    assert_eq!(take(&mut *follower, 1).await, ["2"]);
}

/// Cuts the way again and again, at moments that nobody chose.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_connections_lose_nothing_and_repeat_nothing() {
    const PUBLISHERS: usize = 8;
    const EVENTS: usize = 60;
    let server = Server::start();
    let proxy = Proxy::to(server.port()).await;
    let log = Arc::new(open_through(&proxy).await);
    let mut follower = log.follow(Position(1));
    let mut tasks = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let log = Arc::clone(&log);
        tasks.spawn(async move {
            for number in 0..EVENTS {
                // Acknowledged, with no more than one cut in its time: it is kept exactly once.
                put(&log, &format!("{publisher} {number}")).await;
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
            until_health(&log, true).await;
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

#[tokio::test]
async fn a_script_that_the_server_forgot_is_sent_again() {
    let server = Server::start();
    let log = open(&server).await;
    put(&log, "1").await;
    server.ask(&["SCRIPT", "FLUSH"]);
    assert_eq!(put(&log, "2").await, 2);
}

#[tokio::test]
async fn a_server_without_memory_refuses_and_goes_on_when_there_is_some() {
    let server = Server::start();
    let log = open(&server).await;
    put(&log, "1").await;
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = log.append(vec![event("no room")]).await;
    let Err(AppendError::Unavailable { reason }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("OOM"), "{reason}");
    assert!(log.health().is_err());
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(put(&log, "2").await, 2);
    assert_eq!(log.health(), Ok(()));
}

#[tokio::test]
async fn replicas_that_are_not_there_are_not_waited_for_in_vain() {
    let server = Server::start();
    let log = Redis::open(RedisOptions { wait_replicas: 1, ..server.options() }).await.unwrap();
    let refused = log.append(vec![event("1")]).await;
    let Err(AppendError::Unavailable { reason }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("0 of 1 replicas (redis-wait-replicas)"), "{reason}");
}
