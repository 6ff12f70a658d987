//! What becomes of appends and followers when the server goes, comes back, has forgotten, or when
//! the way to it breaks.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::redis::tests::server::options;
use crate::remote::testing::Proxy;
use crate::remote::testing::nodes::{self, PATIENCE, event, put, replaced, take};

async fn open(server: &Server) -> Redis {
    Redis::open(server.options()).await.unwrap()
}

async fn open_through(proxy: &Proxy) -> Redis {
    Redis::open(options(proxy.port(), "")).await.unwrap()
}

#[tokio::test]
async fn what_one_node_appends_all_follow() {
    let server = Server::start();
    nodes::what_one_node_appends_all_follow(open(&server).await, open(&server).await).await;
}

#[tokio::test]
async fn a_key_counts_for_all_nodes() {
    let server = Server::start();
    nodes::a_key_counts_for_all_nodes(open(&server).await, open(&server).await).await;
}

#[tokio::test]
async fn appends_wait_for_a_server_that_comes_back_with_all_it_had() {
    let server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let log = open(&server).await;
    let server = RefCell::new(server);
    let (kill, up) = (|| server.borrow_mut().kill(), || server.borrow_mut().up());
    nodes::appends_wait_for_a_server_that_comes_back_with_all_it_had(log, kill, up).await;
}

#[tokio::test]
async fn a_server_that_stays_away_is_told_and_waited_for() {
    let server = Server::start();
    let proxy = Proxy::to(server.port()).await;
    let log = open_through(&proxy).await;
    let place = "Redis at redis://127.0.0.1";
    nodes::a_server_that_stays_away_is_told_and_waited_for(log, &proxy, place).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_connections_lose_nothing_and_repeat_nothing() {
    let server = Server::start();
    let proxy = Proxy::to(server.port()).await;
    let log = open_through(&proxy).await;
    nodes::broken_connections_lose_nothing_and_repeat_nothing(log, &proxy).await;
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
