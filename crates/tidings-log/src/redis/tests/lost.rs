//! A server that has lost its end while a node holds on to it: nothing of two histories is mixed,
//! whichever connection of the node meets the other one first.

use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::FollowError;
use crate::redis::tests::server::options;
use crate::remote::testing::Proxy;

/// After so long, something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

async fn put(log: &Redis, data: &str) -> Appended {
    let event = Event::new(Topic::parse("t").unwrap(), Data::from(data.to_owned()));
    let append = Append { event, key: None, time: Timestamp(1_767_225_600_000) };
    log.append(vec![append]).await.unwrap()[0]
}

/// Reads on until the log is said to be another one.
async fn replaced(follower: &mut dyn Follow) -> Bounds {
    loop {
        match timeout(PATIENCE, follower.next()).await.expect("it does not hang") {
            Err(FollowError::Replaced { bounds }) => return bounds,
            Ok(_) | Err(FollowError::Failed { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Two primaries that have the first event in common, a node that listens to the old one, and has
/// heard a second event there, and another node on the new one, where other events have its place.
struct Parted {
    old: Server,
    new: Server,
    proxy: Proxy,
    log: Redis,
}

impl Parted {
    async fn make() -> Self {
        let old = Server::start();
        let primary = format!("127.0.0.1 {}", old.port());
        let new = Server::with(&[
            "--save",
            "",
            "--replicaof",
            &primary,
            "--repl-diskless-sync-delay",
            "0",
        ]);
        let proxy = Proxy::to(old.port()).await;
        let log = Redis::open(options(proxy.port(), "")).await.unwrap();
        let mut follower = log.follow(Position(1));
        put(&log, "kept").await;
        let next = ["HGET", "{tidings:0}:meta", "next"];
        let has_it = async {
            while !format!("{:?}", new.try_ask(&next)).contains('2') {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, has_it).await.unwrap();
        new.ask(&["REPLICAOF", "NO", "ONE"]);
        put(&log, "lost").await;
        let mut heard = 0;
        while heard < 2 {
            heard += timeout(PATIENCE, follower.next()).await.unwrap().unwrap().len();
        }
        let other = Redis::open(new.options()).await.unwrap();
        for data in ["2", "3", "4"] {
            put(&other, data).await;
        }
        Self { old, new, proxy, log }
    }

    /// All connections but the one that waits for events come to the new primary.
    fn lead_over(&self) {
        self.proxy.lead_to(self.new.port());
        let clients = format!("{:?}", self.old.ask(&["CLIENT", "LIST"]));
        let (_, clients) = clients.split_once("id=").unwrap();
        for client in clients.split("id=") {
            if !client.contains("cmd=xread") && !client.contains("cmd=client") {
                let id = client.split(' ').next().unwrap();
                self.old.ask(&["CLIENT", "KILL", "ID", id]);
            }
        }
    }
}

#[tokio::test]
async fn who_appends_looks_first_where_it_is() {
    let parted = Parted::make().await;
    let before = parted.log.bounds().incarnation;
    parted.lead_over();
    assert_eq!(put(&parted.log, "5").await.position, Position(5));
    assert_ne!(parted.log.bounds().incarnation, before, "known before it was acknowledged");
}

#[tokio::test]
async fn who_reads_looks_first_where_it_is() {
    let parted = Parted::make().await;
    let before = parted.log.bounds().incarnation;
    parted.lead_over();
    let selectors = Selectors::from(Selector::parse("*").unwrap());
    let read = Read { from: Position(1), selectors: &selectors, events_max: 9, bytes_max: 9999 };
    let page = parted.log.read(read).await;
    assert!(matches!(page, Err(ReadError::Failed { .. })), "{page:?}");
    assert_ne!(parted.log.bounds().incarnation, before);
    let page = parted.log.read(read).await.unwrap();
    let data: Vec<_> = page.records.iter().map(|record| record.event.data.as_str()).collect();
    assert_eq!(data, ["kept", "2", "3", "4"]);
}

#[tokio::test]
async fn an_entry_that_does_not_follow_on_what_was_heard_is_another_history_s() {
    let server = Server::start();
    let log = Redis::open(server.options()).await.unwrap();
    let before = log.bounds().incarnation;
    let mut follower = log.follow(Position(1));
    put(&log, "1").await;
    timeout(PATIENCE, follower.next()).await.unwrap().unwrap();
    // As after a full synchronisation with another server, over the same connection.
    server.ask(&["HSET", "{tidings:0}:meta", "print", "1"]);
    put(&log, "2").await;
    let bounds = replaced(&mut *follower).await;
    assert_ne!(bounds.incarnation, before);
    put(&log, "3").await;
    let records = timeout(PATIENCE, follower.next()).await.unwrap().unwrap();
    assert_eq!(records[0].position, bounds.next, "and all goes on");
}

#[tokio::test]
async fn the_fingerprint_right_before_what_is_kept_is_known() {
    let server = Server::start();
    let log = Redis::open(server.options()).await.unwrap();
    let prints = [put(&log, "1").await.print, put(&log, "2").await.print];
    assert_ne!(prints[0], prints[1]);
    server.ask(&["XTRIM", "{tidings:0}:log", "MINID", "2"]);
    server.ask(&["HSET", "{tidings:0}:meta", "oldest", "2"]);
    // A node that has nothing of it in memory.
    let other = Redis::open(server.options()).await.unwrap();
    for (position, print) in (1..).zip(prints) {
        assert_eq!(other.fingerprint(Position(position)).await, Ok(print));
    }
}
