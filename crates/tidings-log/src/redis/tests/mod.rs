//! The log in Redis, against servers of the tests' own.

mod cluster;
mod faults;
mod lost;
mod sentinels;
mod server;

use std::sync::atomic::{AtomicU32, Ordering};

use tidings_core::event::{Data, Event, EventId, IdempotencyKey, Topic};
use tidings_core::limits::SHARES_LEASE;
use tidings_core::topic::{Selector, Selectors};
use tokio::sync::oneshot;

use self::server::{Server, options};
use super::group::Group;
use super::scripts::Answer;
use super::sizes::ANSWERS_KEPT;
use super::*;
use crate::Share;
use crate::conformance::{self, Settings};
use crate::remote::{Gathering as _, Waiting};

/// A log of its own in the server.
async fn fresh(server: RedisOptions, settings: Settings) -> Redis {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let prefix = format!("test-{number}").parse().unwrap();
    let Settings { bytes_max, age_max } = settings;
    let options = RedisOptions { prefix, bytes_max, age_max, ..server };
    Redis::open(options).await.unwrap()
}

#[tokio::test]
async fn redis_keeps_the_promises() {
    let server = Server::start();
    conformance::run(async |settings| fresh(server.options(), settings).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_keeps_the_promises_on_several_threads() {
    let server = Server::start();
    conformance::run(async |settings| fresh(server.options(), settings).await).await;
}

#[tokio::test]
async fn a_log_that_is_opened_again_is_the_same() {
    let server = Server::start();
    let append = |data: &'static str| {
        let event = Event::new(Topic::parse("t").unwrap(), Data::from(data));
        vec![Append { event, key: None, time: Timestamp(1_767_225_600_000) }]
    };
    let log = Redis::open(server.options()).await.unwrap();
    log.append(append("1")).await.unwrap();
    let bounds = log.bounds();
    log.close().await;
    drop(log);
    let log = Redis::open(server.options()).await.unwrap();
    assert_eq!(log.bounds(), bounds);
    assert_eq!(log.append(append("2")).await.unwrap()[0].position, Position(2));
}

#[tokio::test]
async fn users_databases_and_prefixes_are_kept_apart() {
    let server = Server::start();
    // What the documentation says that a user needs.
    let needed = ["+@read", "+@write", "+@scripting", "+@connection", "+time", "+wait"];
    let user = ["ACL", "SETUSER", "hub", "on", ">secret", "~{mine:0}:*"];
    server.ask(&[&user[..], &needed[..]].concat());
    let open = async |user: &str, database: &str, prefix: &str| {
        let mut options = options(server.port(), user);
        options.address = format!("{}/{database}", address(user, server.port())).parse().unwrap();
        options.prefix = prefix.parse().unwrap();
        Redis::open(options).await
    };
    let one = open("hub:secret@", "0", "mine").await.unwrap();
    let other = open("", "3", "mine").await.unwrap();
    assert_ne!(one.bounds().incarnation, other.bounds().incarnation);
    let mut follower = one.follow(Position(1));
    let mut event = Event::new(Topic::parse("t").unwrap(), Data::from("x"));
    event.id = Some(EventId::parse("i").unwrap());
    let key = Some(IdempotencyKey::parse("k").unwrap());
    one.append(vec![Append { event, key, time: Timestamp(0) }]).await.unwrap();
    one.trim(Timestamp(0)).await.unwrap();
    assert_eq!(one.find(Mark::Time(Timestamp(0))).await, Ok(Some(Position(1))));
    assert_eq!(follower.next().await.unwrap().len(), 1);
    assert_eq!(one.claim("a", Duration::from_secs(60)).await, Ok(true));
    assert_eq!(one.live(0).await, Ok(false));
    let share = Share { name: "a", held: 1, order: 1, max: Some(1) };
    assert_eq!(one.hold(&[share]).await, Ok(vec![true]));
    let denied = open("hub:secret@", "0", "theirs").await.unwrap_err().to_string();
    assert!(denied.contains("no permissions") && !denied.contains("secret"), "{denied}");
    let wrong = open("hub:guessed@", "0", "mine").await.unwrap_err().to_string();
    assert!(wrong.contains("hub:***@") && !wrong.contains("guessed"), "{wrong}");
}

fn address(user: &str, port: u16) -> String {
    format!("redis://{user}127.0.0.1:{port}")
}

#[tokio::test]
async fn what_is_let_go_of_leaves_nothing_behind() {
    let server = Server::start();
    let options = RedisOptions { bytes_max: 64 * 1024, ..server.options() };
    let log = Redis::open(options).await.unwrap();
    let time = Timestamp(1_767_225_600_000);
    for number in 0..500 {
        let mut event = Event::new(Topic::parse("t").unwrap(), Data::from("x".repeat(1000)));
        event.id = Some(EventId::parse(&format!("id {number}")).unwrap());
        let key = Some(IdempotencyKey::parse(&format!("k{number}")).unwrap());
        log.append(vec![Append { event, key, time }]).await.unwrap();
    }
    let count = |command: &str, key: &str| match server.ask(&[command, key]) {
        redis::Value::Int(count) => count,
        other => panic!("{other:?}"),
    };
    let kept = i64::try_from(log.usage().events).unwrap();
    assert!((40..64).contains(&kept), "{kept}");
    assert_eq!(count("XLEN", "{tidings:0}:log"), kept);
    assert_eq!(count("HLEN", "{tidings:0}:ids"), kept);
    assert_eq!(count("HLEN", "{tidings:0}:keys"), 500);
    let later = Timestamp(time.0 + IDEMPOTENCY_TIME_MAX.as_millis() as u64 + 1);
    log.trim(later).await.unwrap();
    assert_eq!(count("HLEN", "{tidings:0}:keys"), 0);
    assert_eq!(count("LLEN", "{tidings:0}:keys-in-order"), 0);
}

#[tokio::test]
async fn a_claim_is_one_node_s_and_ends() {
    let server = Server::start();
    let one = Redis::open(server.options()).await.unwrap();
    let other = Redis::open(server.options()).await.unwrap();
    let long = Duration::from_secs(60);
    assert_eq!(one.claim("a", long).await, Ok(true));
    assert_eq!(other.claim("a", long).await, Ok(false));
    assert_eq!(one.claim("a", long).await, Ok(false));
    assert_eq!(other.claim("b", Duration::from_millis(1)).await, Ok(true));
    while !one.claim("b", long).await.unwrap() {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn nodes_count_together_what_they_hold() {
    let server = Server::start();
    let one = Redis::open(server.options()).await.unwrap();
    let other = Redis::open(server.options()).await.unwrap();
    conformance::shares(&one, &other).await;

    // A node that counts as dead is told, and what it held is free.
    let share = |held, order| [Share { name: "e", held, order, max: Some(1) }];
    assert_eq!(one.hold(&share(1, 5_000)).await, Ok(vec![true]));
    assert_eq!(other.hold(&share(1, 5_000)).await, Ok(vec![false]));
    server.ask(&["DEL", "{tidings:0}:nodes"]);
    assert_eq!(other.hold(&share(1, 5_001)).await, Ok(vec![true]));
    assert_eq!(one.live(0).await, Ok(false));

    // Nothing stays for ever.
    for key in ["nodes", "held:e", "held:many 1\n"] {
        let left = server.ask(&["PTTL", &format!("{{tidings:0}}:{key}")]);
        assert!(matches!(left, redis::Value::Int(1..)), "{key}: {left:?}");
    }
    assert_eq!(other.hold(&share(0, 5_002)).await, Ok(vec![true]));
    let redis::Value::Int(left) = server.ask(&["PTTL", "{tidings:0}:held:e"]) else { panic!() };
    assert!(left <= SHARES_LEASE.as_millis() as i64, "nothing is not remembered for long: {left}");
}

#[tokio::test]
async fn what_others_have_put_there_is_an_error() {
    let server = Server::start();
    server.ask(&["SET", "{tidings:0}:meta", "mine"]);
    let error = Redis::open(server.options()).await.unwrap_err().to_string();
    assert!(error.contains("WRONGTYPE"), "{error}");
    server.ask(&["DEL", "{tidings:0}:meta"]);
    let log = Redis::open(server.options()).await.unwrap();
    server.ask(&["HSET", "{tidings:0}:meta", "next", "2"]);
    server.ask(&["XADD", "{tidings:0}:log", "1-1", "hello", "world", "b", "1"]);
    log.bounds_now().await.unwrap();
    let selectors = Selectors::from(Selector::parse("*").unwrap());
    let read = Read { from: Position(1), selectors: &selectors, events_max: 9, bytes_max: 9999 };
    let Err(ReadError::Failed { reason }) = log.read(read).await else { panic!("it is none") };
    assert!(reason.contains("redis-prefix"), "{reason}");
    server.ask(&["HSET", "{tidings:0}:meta", "format", "2"]);
    let newer = Redis::open(server.options()).await.unwrap_err();
    assert_eq!(newer, RedisError::Version { found: "2".into() });
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let port = {
        let server = Server::start();
        server.port()
    };
    let options = options(port, "hub:secret@");
    let started = Instant::now();
    let error = Redis::open(options).await.unwrap_err().to_string();
    assert!(error.contains(&format!("redis://hub:***@127.0.0.1:{port}")), "{error}");
    assert!(started.elapsed() < 3 * OPEN_TIME_MAX, "it does not try for ever");
}

#[tokio::test]
async fn what_comes_a_second_time_is_answered_and_not_appended() {
    let server = Server::start();
    let keys = Keys::new(&RedisPrefix::default(), Partition::ONLY, "node");
    let dialer = Dialer::new(&server.options(), &keys).unwrap();
    let link = dialer.dial(ANSWER_TIME_MAX).await.unwrap();
    let (held, _) = meet::open(&link, &keys).await.unwrap();
    let append = async |number: u64| {
        let event = Event::new(Topic::parse("t").unwrap(), Data::from("x"));
        let batch = vec![Append { event, key: None, time: Timestamp(0) }];
        let (answer, _answered) = oneshot::channel();
        let mut group = Group::new(number);
        group.push(Waiting { batch, deadline: Instant::now() + OPEN_TIME_MAX, answer });
        group.finish();
        let numbers = [0, number, ANSWERS_KEPT as u64, 1 << 30, 0, 0, 1 << 16, 7];
        let numbers = numbers.map(|number| number.to_string());
        let mut arguments = vec![held.incarnation.as_str().as_bytes()];
        arguments.extend(numbers.iter().map(String::as_bytes));
        arguments.extend(group.arguments());
        match link.run(&scripts::APPEND, &keys, &arguments).await.unwrap() {
            Answer::Done(_, places) => {
                let text = places.and_then(scripts::text)?;
                Some(text.strip_prefix("7 ").unwrap().to_owned())
            }
            Answer::Other | Answer::Back => None,
        }
    };
    for number in 1..=ANSWERS_KEPT as u64 + 1 {
        let place = Some(number.to_string());
        assert_eq!(append(number).await, place);
        assert_eq!(append(number).await, place, "the answer got lost");
    }
    assert_eq!(append(1).await, None, "later than any answer could be waited for");
    assert_eq!(append(2).await.as_deref(), Some("2"));
    assert_eq!(append(100).await, Some((ANSWERS_KEPT + 2).to_string()));
}
